//! The way to an include server: the one that `INCLUDE_SERVER_PORT` names, else this user's resident one, which is started if
//! none runs.
//!
//! The resident server lives in `$DISTCC_DIR/pump`, a folder that nobody else may enter, and ends by itself when it is idle. It is started
//! detached from everything that the build tool waits for.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rustix::event::Timespec;
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use super::NotPumped;
use crate::detached;
use crate::remember;
use crate::say::Say;
use crate::settings::Settings;

const PROGRAM: &str = "include-server";
/// The longest wait for an answer; ordinary ones take milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a stock server: it answers one after the other, gives up on a source after seconds, and ends when who asked is gone.
const STOCKS_PATIENCE: Duration = Duration::from_secs(30);
/// In the folder of a server's sockets: made when it did not answer in time. Then nobody waits for it for a while.
const SLOW: &str = "slow";
/// The longest wait for a server that starts.
const STARTING: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};
/// How long a server that could not be started, or did not answer, is not tried again.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// An open conversation, or a server that is not yet called.
#[derive(Debug)]
pub(super) enum Server {
    Ours(UnixStream),
    Stock(StockServer),
}

/// A stock server. A call that asks nothing would end it, so nobody calls before there is a question.
#[derive(Debug)]
pub(super) struct StockServer {
    port: PathBuf,
}

impl StockServer {
    /// Calls it, to ask.
    ///
    /// # Errors
    /// Nobody listens.
    pub(super) fn call(&self) -> Result<UnixStream, NotPumped> {
        let stream = reach(&self.port).and_then(|stream| {
            stream.set_read_timeout(Some(STOCKS_PATIENCE))?;
            Ok(stream)
        });
        stream.map_err(|_| NotPumped("no-include-server"))
    }
}

/// Where this user's resident server lives.
pub(super) fn folder(settings: &Settings) -> Option<PathBuf> {
    settings.folder.as_ref().map(|folder| folder.join("pump"))
}

/// Where the sockets are of the server that this run is to use.
fn place(settings: &Settings) -> Option<PathBuf> {
    match &settings.include_server_port {
        Some(port) => Path::new(port).parent().map(Path::to_owned),
        None => folder(settings),
    }
}

/// Notes that the server did not answer in time.
pub(super) fn is_slow(settings: &Settings) {
    if let Some(folder) = place(settings) {
        remember::write(&folder.join(SLOW), b"");
    }
}

/// Was it noted a moment ago?
fn was_slow(settings: &Settings) -> bool {
    place(settings).is_some_and(|folder| is_recent(&folder.join(SLOW)))
}

fn is_recent(note: &Path) -> bool {
    let written = std::fs::metadata(note).and_then(|about| about.modified());
    let recently = |then: SystemTime| then.elapsed().is_ok_and(|age| age < GIVEN_UP);
    written.is_ok_and(recently)
}

/// Connects to the server that this run is to use.
///
/// # Errors
/// There is none, and none could be started; or it was slow a moment ago.
pub(super) fn connect(settings: &Settings, say: &Say) -> Result<Server, NotPumped> {
    if was_slow(settings) {
        return Err(NotPumped("include-server-slow"));
    }
    if let Some(port) = &settings.include_server_port {
        let port = Path::new(port);
        let beside = port.parent().map(|folder| folder.join("launch"));
        if let Some(stream) = beside.and_then(|path| reach(&path).ok()) {
            return Ok(Server::Ours(stream));
        }
        if !port.exists() {
            return Err(NotPumped("no-include-server"));
        }
        let port = port.to_owned();
        return Ok(Server::Stock(StockServer { port }));
    }
    let folder = folder(settings).ok_or(NotPumped("no-include-server"))?;
    let stream = reach_or_start(settings, say, &folder, "launch")?;
    Ok(Server::Ours(stream))
}

/// Connects to the same server as stock clients do.
///
/// # Errors
/// There is none, and none could be started.
pub(super) fn connect_as_stock(settings: &Settings, say: &Say) -> Result<UnixStream, NotPumped> {
    match &settings.include_server_port {
        Some(port) => StockServer { port: port.into() }.call(),
        None => {
            let folder = folder(settings).ok_or(NotPumped("no-include-server"))?;
            reach_or_start(settings, say, &folder, "socket")
        }
    }
}

fn reach_or_start(
    settings: &Settings,
    say: &Say,
    folder: &Path,
    door: &str,
) -> Result<UnixStream, NotPumped> {
    if let Some(stream) = ours(folder, door) {
        return Ok(stream);
    }
    if let Err(error) = start(settings, folder) {
        say.info(format_args!(
            "no include server, so sources are preprocessed here: {error}"
        ));
        return Err(NotPumped("no-include-server"));
    }
    ours(folder, door).ok_or(NotPumped("no-include-server"))
}

/// The resident server, if the folder is this user's alone and the other side is this user.
fn ours(folder: &Path, door: &str) -> Option<UnixStream> {
    let about = std::fs::symlink_metadata(folder).ok()?;
    let user = rustix::process::geteuid();
    if !about.is_dir() || about.uid() != user.as_raw() || about.mode() & 0o077 != 0 {
        return None;
    }
    let stream = reach(&folder.join(door)).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    (peer.uid == user).then_some(stream)
}

/// The process of this user's resident server; `None` when none listens.
pub(crate) fn process(settings: &Settings) -> Option<Pid> {
    let stream = ours(&folder(settings)?, "launch")?;
    // Who listens is who is at the other end, even if it never takes the call.
    let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    Some(peer.pid)
}

/// Connects, also to a socket whose path is too long to be said.
fn reach(path: &Path) -> io::Result<UnixStream> {
    let stream = match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(error);
            };
            let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
            UnixStream::connect(Path::new(&format!("/proc/self/fd/{number}")).join(name))?
        }
        done => done?,
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Starts the resident server, and waits until it listens.
fn start(settings: &Settings, folder: &Path) -> io::Result<()> {
    let note = folder.with_file_name("pump.failed");
    if is_recent(&note) {
        return Err(io::Error::other("it could not be started a moment ago"));
    }
    let started = try_to_start(settings, folder);
    if let Err(error) = &started {
        remember::write(&note, error.to_string().as_bytes());
    }
    started
}

fn try_to_start(settings: &Settings, folder: &Path) -> io::Result<()> {
    let program = program(&settings.path).ok_or_else(|| {
        io::Error::other("there is no include-server beside distcc-launch or in PATH")
    })?;
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above)?;
    }
    let mut command = std::process::Command::new(program);
    command.arg("--resident").arg(folder).stdin(Stdio::null());
    // The process that we started ends when the one that stays listens.
    detached::start(&mut command, &STARTING)
}

/// The program, beside ours or in PATH.
pub(crate) fn program(path: &OsStr) -> Option<PathBuf> {
    detached::program(PROGRAM, path)
}
