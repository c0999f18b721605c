//! distcc-launchd: compiles what distcc clients send.
//!
//! ```text
//! words, environment ─▶ compilers ─▶ port bound ─▶ background ─▶ ordinary user ─▶ accept … end
//! options, environment  compilers    listen        detach        user             server
//!
//! connection: receive ─▶ check ─▶ slot ─▶ compile ─▶ answer ─▶ noted
//!             protocol   compiler server  job        protocol  log, stats
//! ```
//!
//! `docs/security.md` says what stops whom.

mod access;
mod compilers;
mod connection;
mod detach;
mod environment;
mod exit;
mod inetd;
mod job;
mod listen;
mod log;
mod options;
mod os;
mod receive;
mod resolve;
mod scratch;
mod server;
mod stats;
mod stopgap;
mod user;

use std::io::{IsTerminal, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use access::AccessList;
use compilers::{Compilers, CompilersError};
use detach::{Announcement, Detached, Ready};
use environment::{Environment, EnvironmentError};
use exit::Exit;
use job::Conditions;
use listen::ListenError;
use log::Chain;
use options::{Instead, LogTo, Mode, Options};
use protocol::Limits;
use scratch::Scratch;
use server::Server;
use user::UserError;

/// Why the daemon did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
enum DaemonError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Compilers(#[from] CompilersError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error("could not {what}")]
    System {
        what: String,
        source: std::io::Error,
    },
}

impl DaemonError {
    fn exit(&self) -> Exit {
        match self {
            Self::Environment(_) => Exit::BadArguments,
            Self::Compilers(_) => Exit::CompilerMissing,
            Self::Listen(_) => Exit::BindFailed,
            Self::User(_) => Exit::ChangeUser,
            Self::System { .. } => Exit::Failed,
        }
    }
}

/// Says what could not be done.
fn cannot(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> DaemonError {
    move |source| DaemonError::System {
        what: what.into(),
        source,
    }
}

fn main() -> ExitCode {
    let options = match options::read(std::env::args_os()) {
        Ok(options) => options,
        Err(Instead::Print(text)) => {
            let printed = std::io::stdout().write_all(text.as_bytes());
            return if printed.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Err(Instead::Refuse(exit, why)) => {
            let _ = writeln!(
                std::io::stderr(),
                "distccd: {}",
                why.trim_start_matches("error: ").trim_end()
            );
            return ExitCode::from(exit.code());
        }
    };
    let inetd =
        options.mode == Mode::Inetd || (options.mode == Mode::ByStdin && inetd::stdin_is_socket());
    let environment = Environment::read();
    let result = if inetd {
        serve_stdin(&options, &environment)
    } else {
        serve_port(&options, &environment)
    };
    let exit = result.unwrap_or_else(|error| {
        log::error!("{}", Chain(&error));
        error.exit()
    });
    ExitCode::from(exit.code())
}

/// The daemon that listens.
fn serve_port(options: &Options, environment: &Environment) -> Result<Exit, DaemonError> {
    let compilers = Compilers::find(&environment.search(options.any_program)?)?;
    let defer = environment.defers_accept();
    let bind = |port| listen::bind(options.listen.as_deref(), port, defer);
    let listener = bind(options.port)?;
    // Statistics answer before anything is asked, so that connection may not wait for bytes.
    let stats = options
        .stats_port
        .map(|port| listen::bind(options.listen.as_deref(), port.get(), false))
        .transpose()?;
    let ready = if options.detach {
        match detach::detach().map_err(cannot("go to the background"))? {
            Detached::Parent(exit) => return Ok(exit),
            Detached::Daemon(ready) => ready,
        }
    } else {
        lead_group();
        Ready::nobody_waits()
    };
    match start(options, environment, compilers, &listener) {
        Ok(started) => started.serve(ready, listener, stats),
        Err(error) => {
            log::error!("{}", Chain(&error));
            let exit = error.exit();
            ready.tell(exit);
            Ok(exit)
        }
    }
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

/// All that is to be done between listening and serving.
struct Started {
    server: Arc<Server>,
    ends: watch::Sender<bool>,
    lifetime: Option<Duration>,
    /// Pid and port files; removed last.
    announcements: Vec<Announcement>,
}

fn start(
    options: &Options,
    environment: &Environment,
    compilers: Compilers,
    listener: &TcpListener,
) -> Result<Started, DaemonError> {
    let port = listener
        .local_addr()
        .map_err(cannot("learn the port"))?
        .port();
    let mut announcements = Vec::new();
    for (file, line) in [
        (&options.pid_file, u64::from(std::process::id())),
        (&options.port_file, u64::from(port)),
    ] {
        if let Some(file) = file {
            let error = cannot(format!("write {}", file.display()));
            announcements.push(Announcement::write(file, line).map_err(error)?);
        }
    }
    let (ends, receiver) = watch::channel(false);
    let server = Arc::new(prepare(options, environment, compilers, receiver)?);
    if options.allow.is_empty() && !options.allow_private {
        log::info!("only private networks are served; --allow names others");
    }
    log::notice!(
        "listening on {}, {} jobs at once",
        listener.local_addr().map_err(cannot("learn the port"))?,
        options.jobs
    );
    log::info!(
        "jobs are compiled in {}; compilers: {}",
        server.scratch.root().display(),
        server.compilers.names().join(" ")
    );
    Ok(Started {
        server,
        ends,
        lifetime: options.lifetime,
        announcements,
    })
}

/// Gives up root, opens the log and makes what connections share.
fn prepare(
    options: &Options,
    environment: &Environment,
    compilers: Compilers,
    ends: watch::Receiver<bool>,
) -> Result<Server, DaemonError> {
    user::discard_root(options.user.as_deref())?;
    let place = scratch::place(environment.tmpdir());
    let scratch =
        Scratch::new(&place).map_err(cannot(format!("make a folder in {}", place.display())))?;
    let to = match &options.log_to {
        LogTo::File(file) => {
            LogTo::File(std::path::absolute(file).map_err(cannot("find the log file"))?)
        }
        other => other.clone(),
    };
    log::open(&to, options.log_level);
    std::env::set_current_dir(scratch.root()).map_err(cannot("enter the folder for jobs"))?;
    for note in &options.notes {
        log::warning!("{note}");
    }
    if options.sysroot.is_some() {
        log::info!("--sysroot has no effect: -specs= is refused");
    }
    let limits = Limits::for_daemon();
    Ok(Server {
        access: AccessList::new(&options.allow, options.allow_private),
        compilers,
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
        stats: stats::Stats::default(),
        io_timeout: environment.io_timeout()?,
        ends,
    })
}

impl Started {
    fn serve(
        self,
        ready: Ready,
        listener: TcpListener,
        stats: Option<TcpListener>,
    ) -> Result<Exit, DaemonError> {
        let Self {
            server,
            ends,
            lifetime,
            announcements,
        } = self;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(cannot("start the threads that serve"))?;
        let result = runtime.block_on(async {
            let listener =
                tokio::net::TcpListener::from_std(listener).map_err(cannot("watch the port"))?;
            let stats = stats
                .map(tokio::net::TcpListener::from_std)
                .transpose()
                .map_err(cannot("watch the port"))?;
            // Before the parent is told: a script may end the daemon at once.
            let wait = end_of_daemon(lifetime).map_err(cannot("wait for signals"))?;
            ready.tell(Exit::Ok);
            let serving = tokio::spawn(server::run(Arc::clone(&server), listener, stats));
            wait.await;
            // The receivers live in `server`, which is still here.
            let _ = ends.send(true);
            let _ = serving.await;
            Ok(Exit::Ok)
        });
        // Nothing of a job may be left when the process is gone: tasks that are still there are dropped here.
        runtime.shutdown_timeout(Duration::from_secs(1));
        drop(server);
        drop(announcements);
        result
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
fn serve_stdin(options: &Options, environment: &Environment) -> Result<Exit, DaemonError> {
    let compilers = Compilers::find(&environment.search(options.any_program)?)?;
    let (ends, receiver) = watch::channel(false);
    let mut options = options.clone();
    if options.log_to == LogTo::Stderr && inetd::stderr_is_peer() {
        options.log_to = LogTo::Syslog;
    }
    let server = prepare(&options, environment, compilers, receiver)?;
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
            watch,
        } = inetd::ends().map_err(cannot("use standard input and output"))?;
        let wait = end_of_daemon(options.lifetime).map_err(cannot("wait for signals"))?;
        let peer = inetd::peer_name();
        let serving = connection::serve(&server, reader, writer, watch, &peer);
        tokio::pin!(serving);
        tokio::select! {
            () = &mut serving => {}
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
