//! Ends what we started and removes what we made, whichever way the program ends.
//!
//! Processes and folders are entered here when they come to be.  Their guards let go of them on the ordinary way out, and
//! a handler does on SIGINT, SIGTERM and SIGHUP.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

static OWED: Mutex<Owed> = Mutex::new(Owed {
    groups: Vec::new(),
    children: Vec::new(),
    folders: Vec::new(),
});
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What has to go before this program may end.
struct Owed {
    groups: Vec<Pid>,
    children: Vec<Pid>,
    folders: Vec<PathBuf>,
}

fn owed() -> MutexGuard<'static, Owed> {
    OWED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on, an interrupted program cleans up before it ends (exit code 130).
pub(crate) fn on_interrupt() -> Result<()> {
    let handler = || {
        INTERRUPTED.store(true, Ordering::SeqCst);
        let owed = owed();
        for &child in &owed.children {
            let _gone_already = kill_process(child, Signal::TERM);
        }
        for &group in &owed.groups {
            let _gone_already = kill_process_group(group, Signal::KILL);
        }
        for folder in &owed.folders {
            remove(folder);
        }
        eprintln!("interrupted");
        std::process::exit(130);
    };
    ctrlc::set_handler(handler).context("could not install a signal handler")
}

/// Blocks for good once a signal has come: the handler is about to end the program, and says so itself.
pub(crate) fn wait_if_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// A process with everything it starts, in a process group of its own; killed when this is dropped.
pub(crate) struct Group {
    child: Child,
    pid: Pid,
}

impl Group {
    pub(crate) fn start(command: &mut Command) -> io::Result<Group> {
        let mut owed = owed(); // a signal between start and entry would leave the process behind
        let child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        owed.groups.push(pid);
        Ok(Group { child, pid })
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _gone_already = kill_process_group(self.pid, Signal::KILL);
        let _reaped_already = self.child.wait();
        owed().groups.retain(|&pid| pid != self.pid);
    }
}

/// Runs `command` to its end; a signal that reaches only us ends it too.
pub(crate) fn run(command: &mut Command) -> io::Result<ExitStatus> {
    let mut child = {
        let mut owed = owed();
        let child = command.spawn()?;
        owed.children.push(Pid::from_child(&child));
        child
    };
    let status = child.wait();
    let pid = Pid::from_child(&child);
    owed().children.retain(|&known| known != pid);
    status
}

/// A new folder below the system's temporary one, removed with everything in it when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(prefix: &str) -> Result<Folder> {
        let mut owed = owed();
        let folder = tempfile::Builder::new().prefix(prefix).tempdir();
        let path = folder.context("could not make a temporary folder")?.keep();
        owed.folders.push(path.clone());
        Ok(Folder(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
        owed().folders.retain(|path| *path != self.0);
    }
}

fn remove(folder: &Path) {
    // Killed compilers may still be creating files; what is left then is in the system's temporary folder.
    for _attempt in 0..3 {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => continue,
            _ => return,
        }
    }
    eprintln!("could not remove {}", folder.display());
}
