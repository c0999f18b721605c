//! Programs of ours that outlive the launcher which starts them: found, and started so that nothing waits for them.
//!
//! What is started is to end at once and leave another process behind, which lets go of all that it inherited: a build tool waits for
//! whoever holds its pipes.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The program of this name, beside ours or in PATH.
pub(crate) fn program(name: &str, path: &OsStr) -> Option<PathBuf> {
    let runs = |path: &Path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    let beside = std::fs::read_link("/proc/self/exe")
        .ok()
        .and_then(|ours| Some(ours.parent()?.join(name)))
        .filter(|path| runs(path));
    beside.or_else(|| {
        let mut folders = path.as_bytes().split(|byte| *byte == b':');
        folders.find_map(|folder| {
            let path = Path::new(OsStr::from_bytes(folder)).join(name);
            (path.is_absolute() && runs(&path)).then_some(path)
        })
    })
}

/// Runs `command`, without output, and waits until it says by its end that the process which stays is ready.
///
/// # Errors
/// It cannot be started, fails, or takes longer than `limit`.
pub(crate) fn start(command: &mut Command, limit: &Timespec) -> io::Result<()> {
    let program = Path::new(command.get_program()).file_name();
    let name = program.unwrap_or_default().display().to_string();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let watched = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let mut fds = [PollFd::new(&watched, PollFlags::IN)];
    let ready = poll(&mut fds, Some(limit));
    if !matches!(ready, Ok(1..)) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(io::Error::other(format!(
            "{name} did not get ready in time"
        )));
    }
    match child.wait()? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("{name}: {status}"))),
    }
}
