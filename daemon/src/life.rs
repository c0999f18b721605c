//! The daemon's life, from its first socket to its last file.
//!
//! The order is what matters here: what can fail while somebody watches comes before the background, what needs root
//! before the ordinary user, signals before anything that would be left behind.

use std::io::IsTerminal;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use protocol::Limits;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use crate::access::{self, AccessList};
use crate::compilers::Compilers;
use crate::connection::Peer;
use crate::crowd::{self, Crowd};
use crate::detach::{self, Announcement, Detached, Ready};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::gate::{self, Gate};
use crate::idents::Idents;
use crate::job::Conditions;
use crate::log::{self, Chain};
use crate::options::{LogTo, Options};
use crate::scratch::{self, Scratch};
use crate::server::{self, Server};
use crate::stats::Stats;
use crate::{DaemonError, cannot, inetd, listen, user};

/// What is settled before anything starts.
struct Settled {
    compilers: Compilers,
    /// Read while this may still be root.
    gate: Option<Gate>,
    io_timeout: Duration,
}

impl Settled {
    fn new(options: &Options, environment: &Environment) -> Result<Self, DaemonError> {
        let keys = options.keys.as_deref().map(keys::DaemonKeys::read);
        Ok(Self {
            gate: keys.transpose()?.map(Gate::new),
            io_timeout: environment.io_timeout()?,
            compilers: Compilers::find(&environment.search(options.any_program)?)?,
        })
    }
}

/// The daemon that listens.
pub(crate) fn serve_port(
    options: &Options,
    environment: &Environment,
) -> Result<Exit, DaemonError> {
    let settled = Settled::new(options, environment)?;
    let host = options.listen.as_deref();
    if options.keys.is_none() && !options.insecure_network {
        access::stay_private(host, &options.allow)?;
    }
    let listener = listen::bind(host, options.port, environment.defers_accept())?;
    // Statistics answer before anything is asked, so that connection may not wait for bytes.
    let stats = options
        .stats_port
        .map(|port| listen::bind(host, port.get(), false));
    let sockets = Sockets {
        listener,
        stats: stats.transpose()?,
    };
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

struct Sockets {
    listener: TcpListener,
    stats: Option<TcpListener>,
}

/// A daemon that can be connected to. The order of the fields is that of their end.
struct Started<Ending> {
    runtime: Runtime,
    ending: Ending,
    listener: tokio::net::TcpListener,
    stats: Option<tokio::net::TcpListener>,
    server: Arc<Server>,
    ends: watch::Sender<bool>,
    /// Pid and port files.
    announcements: Vec<Announcement>,
}

fn start(
    options: &Options,
    environment: &Environment,
    settled: Settled,
    sockets: Sockets,
) -> Result<Started<impl Future<Output = ()>>, DaemonError> {
    user::give_up_gaining();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(cannot("start the threads that serve"))?;
    let entered = runtime.enter();
    let watch_port = || cannot("watch the port");
    let address = sockets.listener.local_addr().map_err(watch_port())?;
    let listener = tokio::net::TcpListener::from_std(sockets.listener).map_err(watch_port())?;
    let stats = sockets.stats.map(tokio::net::TcpListener::from_std);
    let stats = stats.transpose().map_err(watch_port())?;
    // Before the files that say we are here: who reads them may end us at once.
    let ending = end_of_daemon(options.lifetime).map_err(cannot("wait for signals"))?;
    let (ends, receiver) = watch::channel(false);
    let announcements = announce(options, address.port())?;
    let server = Arc::new(prepare(options, environment, settled, receiver)?);
    if options.allow.is_empty() && !options.allow_private {
        log::info!("only private networks are served; --allow names others");
    }
    log::notice!("listening on {address}, {} jobs at once", options.jobs);
    log::info!(
        "jobs are compiled in {}; compilers: {}",
        server.scratch.place().display(),
        server.compilers.names().join(" ")
    );
    drop(entered);
    Ok(Started {
        runtime,
        ending,
        listener,
        stats,
        server,
        ends,
        announcements,
    })
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
    ends: watch::Receiver<bool>,
) -> Result<Server, DaemonError> {
    user::discard_root(options.user.as_deref())?;
    let place = scratch::place(environment.tmpdir());
    let error = cannot(format!("make a folder in {}", place.display()));
    let scratch = Scratch::new(place).map_err(error)?;
    let to = match &options.log_to {
        LogTo::File(file) => {
            LogTo::File(std::path::absolute(file).map_err(cannot("find the log file"))?)
        }
        other => other.clone(),
    };
    log::open(&to, options.log_level);
    let sysroot = options.sysroot.as_ref().map(std::path::absolute);
    let sysroot = sysroot.transpose().map_err(cannot("find --sysroot"))?;
    std::env::set_current_dir(scratch.place()).map_err(cannot("enter the folder for jobs"))?;
    for note in &options.notes {
        log::warning!("{note}");
    }
    let limits = Limits::for_daemon();
    if let Some(gate) = &settled.gate {
        let clients = gate.clients();
        log::notice!("only who has one of {clients} keys is served");
    }
    Ok(Server {
        gate: settled.gate,
        access: AccessList::new(&options.allow, options.allow_private),
        compilers: settled.compilers,
        idents: Idents::default(),
        sysroot,
        conditions: Conditions {
            environment: environment.for_compilers(&options.pass_env),
            nice: options.nice,
            oom_score_adj: options.oom_score_adj,
            lifetime: options.job_lifetime,
            max_output: u64::from(limits.max_output),
            max_object: u64::from(limits.max_object),
        },
        scratch,
        slots: Semaphore::new(options.jobs),
        jobs: options.jobs,
        crowd: Crowd::new(crowd::room(options.jobs)),
        stats: Stats::default(),
        io_timeout: settled.io_timeout,
        ends,
    })
}

impl<Ending: Future<Output = ()>> Started<Ending> {
    /// Serves until the end, and leaves nothing behind.
    fn serve(self) {
        let Self {
            runtime,
            ending,
            listener,
            stats,
            server,
            ends,
            announcements,
        } = self;
        runtime.block_on(async {
            let serving = tokio::spawn(server::run(Arc::clone(&server), listener, stats));
            ending.await;
            // The receivers live in `server`, which is still here.
            let _ = ends.send(true);
            let _ = serving.await;
        });
        // Tasks that are still there are dropped here, and their compilers with them.
        runtime.shutdown_timeout(Duration::from_secs(1));
        drop(server);
        drop(announcements);
    }
}

/// Ends when a signal says so or the daemon's time is over. SIGHUP changes nothing; compilers do not inherit that.
fn end_of_daemon(lifetime: Option<Duration>) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        let over = async {
            match lifetime {
                Some(lifetime) => tokio::time::sleep(lifetime).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let why = loop {
            tokio::select! {
                _ = terminate.recv() => break "SIGTERM",
                _ = interrupt.recv() => break "SIGINT",
                () = &mut over => break "--lifetime is over",
                _ = hangup.recv() => log::info!("SIGHUP: nothing to read again"),
            }
        };
        log::notice!("ending: {why}");
    })
}

/// One job on standard input and output.
pub(crate) fn serve_stdin(
    options: &Options,
    environment: &Environment,
) -> Result<Exit, DaemonError> {
    let settled = Settled::new(options, environment)?;
    let (ends, receiver) = watch::channel(false);
    let mut options = options.clone();
    if options.log_to == LogTo::Stderr && inetd::stderr_is_peer() {
        options.log_to = LogTo::Syslog;
    }
    user::give_up_gaining();
    let server = prepare(&options, environment, settled, receiver)?;
    // Whoever started us chose who may connect; a list is obeyed all the same.
    let listed = options.allow_private || !options.allow.is_empty();
    if let Some(ip) = inetd::peer_ip()
        && listed
        && !server.access.allows(ip)
    {
        log::warning!("{ip} is not on the access list: closed");
        return Ok(Exit::Ok);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot("prepare to serve"))?;
    let result = runtime.block_on(async {
        let inetd::Ends {
            reader,
            writer,
            watched,
        } = inetd::ends().map_err(cannot("use standard input and output"))?;
        let wait = end_of_daemon(options.lifetime).map_err(cannot("wait for signals"))?;
        let peer = Peer {
            name: inetd::peer_name(),
            place: server.crowd.enter(),
            watched,
        };
        let serving = gate::serve(&server, reader, writer, peer, inetd::peer_ip());
        tokio::pin!(serving);
        tokio::select! {
            _ = &mut serving => {}
            () = wait => {
                let _ = ends.send(true);
                serving.await;
            }
        }
        Ok(Exit::Ok)
    });
    // A thread that still waits for standard input must not keep the process.
    runtime.shutdown_background();
    result
}
