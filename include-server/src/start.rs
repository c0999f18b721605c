//! Coming up: one process starts another, which listens and stays; the first tells of it and ends.
//!
//! The second gets a socket for its standard input, says over it that it listens, and puts `/dev/null` in its place. If it ends before, the
//! first hears that: nobody waits for ever.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::options::Options;
use crate::serve::Doors;

/// Set for the process that stays.
const STAYS: &str = "_INCLUDE_SERVER_STAYS";
/// What it says when it listens.
const READY: &[u8] = b"ready";
/// What it says when another server holds the folder.
const TAKEN: &[u8] = b"taken";
/// The socket for our launcher, beside the one for stock clients.
const LAUNCH: &str = "launch";
/// The longest wait for another server that holds the folder to listen, or to let go.
const OTHER: Duration = Duration::from_secs(4);
/// Clients that may wait at a door before they are taken in.
const BACKLOG: i32 = 4096;
/// A log that has grown past this many bytes is begun anew.
const LOG_MOST: u64 = 1 << 20;

/// Is this the process that stays?
pub(crate) fn stays() -> bool {
    std::env::var_os(STAYS).is_some()
}

/// Starts the process that stays, and waits until it listens.
pub(crate) fn start(options: &Options) -> Result<ExitCode> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(STAYS, "1");
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    let child = command.spawn().context("could not start the server")?;
    // Its end of the pair is now its own alone.
    drop(command);
    let mut said = Vec::new();
    let _ = (&mut ours).take(READY.len() as u64).read_to_end(&mut said);
    match said.as_slice() {
        READY | TAKEN => {}
        _ => return Ok(failed(child)),
    }
    if let Some(file) = &options.pid_file {
        fs::write(file, format!("{}\n", child.id()))
            .with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn failed(mut child: Child) -> ExitCode {
    let code = child.wait().ok().and_then(|status| status.code());
    let code = code.and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.filter(|code| *code > 0).unwrap_or(1))
}

/// The waiting process, told over standard input.
pub(crate) struct Waiting(());

impl Waiting {
    /// Lets go of everything that came from whoever started us, but for standard streams.
    pub(crate) fn new() -> Waiting {
        crate::os::close_inherited();
        Waiting(())
    }

    pub(crate) fn ready(self) -> io::Result<()> {
        Self::say(READY)
    }

    /// Another server is there already.
    pub(crate) fn taken(self) -> io::Result<()> {
        Self::say(TAKEN)
    }

    fn say(text: &[u8]) -> io::Result<()> {
        let stdin = io::stdin();
        rustix::io::write(stdin.as_fd(), text)?;
        let null = File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        Ok(())
    }
}

/// Listens where stock's option says, and beside it for our launcher.
pub(crate) fn open_port(port: &Path) -> Result<Doors> {
    let beside = port.with_file_name(LAUNCH);
    let stock = listen(port)?;
    let launcher = listen(&beside)?;
    Ok(Doors {
        stock: Some(stock),
        launcher,
        paths: vec![port.to_owned(), beside],
    })
}

/// The folder of a resident server, as long as it is ours.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder; `None` when another server serves there.
    ///
    /// # Errors
    /// It cannot be made, or others may enter it, or another server has it and does not serve.
    pub(crate) fn take(path: &Path) -> Result<Option<Folder>> {
        let made = DirBuilder::new().mode(0o700).recursive(true).create(path);
        made.with_context(|| format!("could not make {}", path.display()))?;
        let about = fs::symlink_metadata(path)?;
        let user = rustix::process::geteuid().as_raw();
        if !about.is_dir() || about.uid() != user || about.mode() & 0o077 != 0 {
            bail!(
                "{} must be a folder of this user that nobody else may enter (chmod 700)",
                path.display()
            );
        }
        let lock = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock)
            .with_context(|| format!("could not open {}", lock.display()))?;
        let begun = Instant::now();
        loop {
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error).context("could not lock the folder"),
            }
            // The other one comes up, or serves, or is about to end.
            if reach(&path.join(LAUNCH)).is_ok() {
                return Ok(None);
            }
            if begun.elapsed() > OTHER {
                bail!(
                    "another server holds {} and does not listen",
                    path.display()
                );
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Some(Folder {
            path: path.to_owned(),
            _lock: lock,
        }))
    }

    /// Listens for stock clients and for our launcher.
    pub(crate) fn open(&self) -> Result<Doors> {
        open_port(&self.path.join("socket"))
    }

    /// Leaves the terminal and the streams of whoever started us; words go to a log.
    pub(crate) fn detach(&self) -> Result<()> {
        // Fails only for one that leads a session already.
        let _ = rustix::process::setsid();
        let path = self.path.join("log");
        if fs::metadata(&path).is_ok_and(|about| about.len() > LOG_MOST) {
            fs::remove_file(&path)?;
        }
        let mut options = OpenOptions::new();
        let log = options.append(true).create(true).mode(0o600).open(&path);
        let log = log.with_context(|| format!("could not open {}", path.display()))?;
        rustix::stdio::dup2_stdout(&log)?;
        rustix::stdio::dup2_stderr(&log)?;
        std::env::set_current_dir("/")?;
        Ok(())
    }
}

impl Doors {
    /// Removes the sockets.
    pub(crate) fn close(&self) {
        for path in &self.paths {
            // One that somebody removed is gone.
            let _ = fs::remove_file(path);
        }
    }
}

/// A socket at `path`, in place of an old one. Its name appears when it listens: until then nobody can be turned away.
fn listen(path: &Path) -> Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => bail!("{} is a folder", path.display()),
        Ok(about) if about.file_type().is_socket() || about.is_file() => {}
        Ok(_) => bail!("{} is in the way", path.display()),
        Err(_) => {}
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}~", std::process::id()));
    let draft = PathBuf::from(draft);
    let bound = bind(&draft).with_context(|| format!("could not listen on {}", path.display()))?;
    bound.set_nonblocking(true)?;
    rustix::net::listen(&bound, BACKLOG)?;
    if let Err(error) = fs::rename(&draft, path) {
        let _ = fs::remove_file(&draft);
        return Err(error).with_context(|| format!("could not listen on {}", path.display()));
    }
    Ok(bound)
}

/// Binds, also where the path is too long to be said.
fn bind(path: &Path) -> io::Result<UnixListener> {
    by_any_name(path, |path| UnixListener::bind(path))
}

/// Connects, also where the path is too long to be said.
fn reach(path: &Path) -> io::Result<UnixStream> {
    by_any_name(path, |path| UnixStream::connect(path))
}

fn by_any_name<T>(path: &Path, done: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    match done(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(error);
            };
            let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
            done(&Path::new(&format!("/proc/self/fd/{number}")).join(name))
        }
        done => done,
    }
}

/// Writes to standard error what ended us.
pub(crate) fn complain(error: &anyhow::Error) {
    let text = format!("include-server: {error:#}\n");
    let _ = io::stderr().write_all(text.as_bytes());
}
