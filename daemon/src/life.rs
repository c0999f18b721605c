//! The daemon's life, from its first socket to its last file.
//!
//! The order is what matters here: what can fail while somebody watches comes before the background, what needs root
//! before the ordinary user, signals before anything that would be left behind.

mod once;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::Limits;
use rustix::process::DumpableBehavior;
use sandbox::Sandbox;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch as told;

use crate::access::{self, AccessList};
use crate::activation::{self, Notify};
use crate::answers::Answers;
use crate::boxed;
use crate::compilers::Compilers;
use crate::crowd::{self, Crowd};
use crate::detach::{self, Announcement, Detached, Ready};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::gate::Gate;
use crate::headers::Headers;
use crate::idents::Idents;
use crate::job::Conditions;
use crate::log::{self, Chain};
use crate::metrics::Metrics;
use crate::options::{LogTo, Options};
use crate::queue::Queue;
use crate::reload::Reload;
use crate::scratch::{self, Scratch};
use crate::server::{self, Exchanged, Phase, Server};
use crate::signals::{Signals, Told};
use crate::sockets::Sockets;
use crate::stats::Stats;
use crate::store::Store;
use crate::watch::Whom;
use crate::{DaemonError, cannot, user, zeroconf};

pub(crate) use once::serve_stdin;

/// What is settled before anything starts.
struct Settled {
    access: AccessList,
    compilers: Compilers,
    io_timeout: Duration,
    reload: Reload,
}

impl Settled {
    fn new(options: &Options, environment: &Environment) -> Result<Self, DaemonError> {
        let search = environment.search(options.any_program)?;
        let compilers = Compilers::find(&search)?;
        let reload = Reload::new(options, search).map_err(cannot("find --allow-file"))?;
        // While somebody watches; they are wiped again, for what is started next is a copy of this process.
        gate(options)?;
        Ok(Self {
            access: reload.access()?,
            compilers,
            io_timeout: environment.io_timeout()?,
            reload,
        })
    }

    /// The box for the compilers that are there, and what a job in it may use.
    fn start_box(
        &self,
        options: &Options,
        environment: &Environment,
    ) -> Result<(Sandbox, sandbox::Limits), DaemonError> {
        let search = environment.search(options.any_program)?;
        let compilers = self.compilers.paths();
        Ok(boxed::start(
            options,
            &search,
            &compilers,
            environment.tmpdir(),
        )?)
    }
}

/// The gate, if there is one. To be read while this may still be root, but not before the box is there, whose processes need to
/// know no keys.
fn gate(options: &Options) -> Result<Option<Gate>, DaemonError> {
    let keys = options.keys.as_deref().map(keys::DaemonKeys::read);
    Ok(keys.transpose()?.map(Gate::new))
}

/// The daemon that listens.
pub(crate) fn serve_port(
    options: &Options,
    environment: &Environment,
) -> Result<Exit, DaemonError> {
    let settled = Settled::new(options, environment)?;
    let get = |name: &str| environment.get(name).map(ToOwned::to_owned);
    let handed = activation::take(get)?;
    if !options.may_be_open() {
        access::listens_privately(options.listen.as_deref(), handed.jobs.as_ref())?;
    }
    let sockets = Sockets::open(options, environment, handed)?;
    let ready = if options.detach {
        match detach::detach().map_err(cannot("go to the background"))? {
            Detached::Parent(exit) => return Ok(exit),
            Detached::Daemon(ready) => ready,
        }
    } else {
        lead_group();
        Ready::nobody_waits()
    };
    let started = start(options, environment, settled, sockets);
    let exit = match started {
        Ok(started) => {
            ready.tell(Exit::Ok);
            started.serve();
            Exit::Ok
        }
        Err(error) => {
            log::error!("{}", Chain(&error));
            ready.tell(error.exit());
            error.exit()
        }
    };
    Ok(exit)
}

/// A process group of one's own lets scripts signal the daemon as a whole, as with stock; at a terminal it would take
/// Ctrl-C away.
fn lead_group() {
    if !std::io::stdin().is_terminal()
        && let Err(error) = rustix::process::setpgid(None, None)
    {
        log::debug!("could not lead a process group: {error}");
    }
}

/// A daemon that can be connected to. The order of the fields is that of their end.
struct Started {
    runtime: Runtime,
    signals: Signals,
    listener: tokio::net::TcpListener,
    stats: Option<(tokio::net::TcpListener, Whom)>,
    server: Arc<Server>,
    phase: told::Sender<Phase>,
    reload: Reload,
    drain: Duration,
    zeroconf: bool,
    notify: Notify,
    /// Pid and port files.
    announcements: Vec<Announcement>,
}

fn start(
    options: &Options,
    environment: &Environment,
    settled: Settled,
    sockets: Sockets,
) -> Result<Started, DaemonError> {
    user::give_up_gaining();
    // Before there are threads; it gives up root for itself.
    let boxed = settled.start_box(options, environment)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads())
        .enable_all()
        .build()
        .map_err(cannot("start the threads that serve"))?;
    let entered = runtime.enter();
    let watch_port = || cannot("watch the port");
    let address = sockets.listener.local_addr().map_err(watch_port())?;
    let listener = tokio::net::TcpListener::from_std(sockets.listener).map_err(watch_port())?;
    let stats = match sockets.stats {
        Some((listener, whom)) => {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(watch_port())?;
            Some((listener, whom))
        }
        None => None,
    };
    // Before the files that say we are here: who reads them may end us at once.
    let signals = Signals::new(options.lifetime).map_err(cannot("wait for signals"))?;
    let (phase, receiver) = told::channel(Phase::Serving);
    let announcements = announce(options, address.port())?;
    let (server, reload) = prepare(options, environment, settled, boxed, receiver)?;
    let server = Arc::new(server);
    if options.allow.is_empty() && !options.allow_private && options.allow_file.is_none() {
        log::info!("only private networks are served; --allow names others");
    }
    log::notice!("listening on {address}, {} jobs at once", options.jobs);
    log::info!(
        "jobs are compiled in {}; compilers: {}",
        server.scratch.place().display(),
        server.compilers.get().names().join(" ")
    );
    match (&stats, sockets.no_stats) {
        (Some((listener, _)), _) => {
            if let Ok(address) = listener.local_addr() {
                log::info!("statistics on http://{address}/");
            }
        }
        (None, Some(error)) => log::info!("no statistics: {}", Chain(&error)),
        (None, None) => {}
    }
    drop(entered);
    Ok(Started {
        runtime,
        signals,
        listener,
        stats,
        server,
        phase,
        reload,
        drain: options.drain,
        zeroconf: options.zeroconf,
        notify: Notify::new(environment.get("NOTIFY_SOCKET").map(ToOwned::to_owned)),
        announcements,
    })
}

/// Threads that serve: few, since each job is little work for them, and handing it from one to another is most of it. What takes long
/// is done beside them (`heavy`).
fn threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 4).clamp(1, 8)
}

/// Writes the files that were asked for, while this may still be root.
fn announce(options: &Options, port: u16) -> Result<Vec<Announcement>, DaemonError> {
    let pid = std::process::id().into();
    let wanted = [(&options.pid_file, pid), (&options.port_file, port.into())];
    let mut written = Vec::new();
    for (file, line) in wanted {
        if let Some(file) = file {
            let error = cannot(format!("write {}", file.display()));
            written.push(Announcement::write(file, line).map_err(error)?);
        }
    }
    Ok(written)
}

/// Gives up root, opens the log and makes what connections share.
fn prepare(
    options: &Options,
    environment: &Environment,
    settled: Settled,
    (sandbox, job_limits): (Sandbox, sandbox::Limits),
    phase: told::Receiver<Phase>,
) -> Result<(Server, Reload), DaemonError> {
    let gate = gate(options)?;
    if gate.is_some() {
        // Compilers run as this user.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|error| cannot("keep others from reading the keys")(error.into()))?;
    }
    user::discard_root(options.user.as_deref())?;
    let disk = disk(environment);
    let place = scratch::place(environment.tmpdir());
    let error = cannot(format!("make a folder in {}", place.display()));
    let scratch = Scratch::new(place).map_err(error)?;
    let to = match &options.log_to {
        LogTo::File(file) => {
            LogTo::File(std::path::absolute(file).map_err(cannot("find the log file"))?)
        }
        other => other.clone(),
    };
    log::open(&to, options.log_level, options.log_format);
    let sysroot = options.sysroot.as_ref().map(std::path::absolute);
    let sysroot = sysroot.transpose().map_err(cannot("find --sysroot"))?;
    std::env::set_current_dir(scratch.place()).map_err(cannot("enter the folder for jobs"))?;
    boxed::tell(&sandbox, &options.sandbox);
    let limits = Limits::for_daemon();
    if let Some(gate) = &gate {
        let clients = gate.clients();
        log::notice!("only who has one of {clients} keys is served");
    }
    let shown = sandbox.trees().map(|trees| trees.toolchain().to_vec());
    let headers = Headers::below(shown.unwrap_or_default());
    let room = crowd::room(options.jobs).min(options.max_connections);
    let server = Server {
        gate,
        access: Exchanged::new(settled.access),
        compilers: Exchanged::new(settled.compilers),
        idents: Idents::default(),
        headers: Arc::new(headers),
        sysroot,
        conditions: Conditions {
            sandbox: Arc::new(sandbox),
            job_limits,
            environment: environment.for_compilers(&options.pass_env),
            nice: options.nice,
            oom_score_adj: options.oom_score_adj,
            lifetime: options.job_lifetime,
            max_output: u64::from(limits.max_output),
            max_object: u64::from(limits.max_object),
        },
        scratch,
        queue: Queue::new(options.jobs),
        jobs: options.jobs,
        crowd: Crowd::new(room),
        store: Store::new(disk),
        answers: Answers::new(),
        stats: Stats::default(),
        metrics: Metrics::default(),
        io_timeout: settled.io_timeout,
        phase,
    };
    Ok((server, settled.reload))
}

/// Where requests wait for which memory is too dear.
fn disk(environment: &Environment) -> PathBuf {
    let named = environment.tmpdir().filter(|folder| !folder.is_empty());
    match named {
        Some(folder) => folder.into(),
        None if Path::new("/var/tmp").is_dir() => "/var/tmp".into(),
        None => "/tmp".into(),
    }
}

impl Started {
    /// Serves until the end, and leaves nothing behind.
    fn serve(self) {
        let Self {
            runtime,
            mut signals,
            listener,
            stats,
            server,
            phase,
            reload,
            drain,
            zeroconf,
            notify,
            announcements,
        } = self;
        notify.ready();
        let announced = listener.local_addr().ok().filter(|_| zeroconf);
        runtime.block_on(async {
            let asking = Arc::clone(&server);
            // Launchers do not wait long for a hello: they would take a daemon that asks them all only then for a frozen one.
            tokio::spawn(async move { asking.idents.learn(&asking).await });
            let mut serving = tokio::spawn(server::run(Arc::clone(&server), listener, stats));
            let announcing =
                announced.map(|at| tokio::spawn(zeroconf::announce(Arc::clone(&server), at)));
            loop {
                match signals.next().await {
                    Told::Reload => {
                        log::notice!("SIGHUP: reading compilers and access list again");
                        notify.reloading();
                        reload.again(&server);
                        notify.ready();
                    }
                    Told::End(why) => {
                        log::notice!("ending: {why}");
                        break;
                    }
                }
            }
            notify.stopping();
            // The receivers live in `server`, which is still here.
            let _ = phase.send(Phase::Draining);
            if let Some(announcing) = announcing {
                let _ = announcing.await;
            }
            tokio::select! {
                _ = &mut serving => return,
                () = tokio::time::sleep(drain) => log::notice!("jobs end now: --drain is over"),
                why = signals.end() => log::notice!("jobs end now: {why} again"),
            }
            let _ = phase.send(Phase::Ending);
            let _ = serving.await;
        });
        // Tasks that are still there are dropped here, and their compilers with them.
        runtime.shutdown_timeout(Duration::from_secs(1));
        drop(server);
        drop(announcements);
    }
}
