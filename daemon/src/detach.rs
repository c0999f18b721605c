//! Into the background: the parent stays until the daemon listens, so that scripts can go on as soon as it returns.

use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::log;
use crate::os::{self, Forked};

/// The way to tell the waiting parent how it went. Dropped without a word, the parent ends with 100.
pub(crate) struct Ready(Option<io::PipeWriter>);

/// What this process is after [`detach`].
pub(crate) enum Detached {
    /// The process that was started: end with this code.
    Parent(Exit),
    /// The daemon.
    Daemon(Ready),
}

/// Forks; the parent comes back when the daemon has called [`Ready::tell`] or died.
///
/// # Errors
/// No pipe or no process could be made.
pub(crate) fn detach() -> io::Result<Detached> {
    let (mut reader, writer) = io::pipe()?;
    match os::fork()? {
        Forked::Parent => {
            drop(writer);
            let mut code = [0];
            let told = reader.read_exact(&mut code).is_ok();
            let exit = if told {
                Exit::from_code(code[0])
            } else {
                Exit::Failed
            };
            Ok(Detached::Parent(exit))
        }
        Forked::Child => {
            drop(reader);
            rustix::process::setsid()?;
            Ok(Detached::Daemon(Ready(Some(writer))))
        }
    }
}

impl Ready {
    /// For a daemon that stays in the foreground: nobody waits.
    pub(crate) fn nobody_waits() -> Self {
        Self(None)
    }

    /// Tells the parent, and leaves the terminal when all is well.
    pub(crate) fn tell(self, exit: Exit) {
        let Some(mut writer) = self.0 else { return };
        if exit == Exit::Ok
            && let Err(error) = leave_terminal()
        {
            log::warning!("standard input and output stay open: {error}");
        }
        if writer.write_all(&[exit.code()]).is_err() {
            log::debug!("the process that started the daemon is gone");
        }
    }
}

fn leave_terminal() -> io::Result<()> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// A file that says something about this process for as long as it runs.
pub(crate) struct Announcement {
    /// Nothing for a device or a pipe, which is not ours to remove.
    remove: Option<PathBuf>,
}

impl Announcement {
    /// Writes `line` to `path`, at once and whole: a reader sees all of it or no file.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(crate) fn write(path: &Path, line: u64) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        if path.metadata().is_ok_and(|about| !about.is_file()) {
            let mut device = std::fs::OpenOptions::new().write(true).open(&path)?;
            writeln!(device, "{line}")?;
            return Ok(Self { remove: None });
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        let readable = std::fs::Permissions::from_mode(0o644);
        let mut builder = tempfile::Builder::new();
        let mut file = builder
            .prefix(".distccd-")
            .permissions(readable)
            .tempfile_in(folder)?;
        writeln!(file, "{line}")?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(Self { remove: Some(path) })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Root wrote it; whoever root became may not be allowed to remove it.
        if let Some(path) = &self.remove
            && let Err(error) = std::fs::remove_file(path)
        {
            log::info!("could not remove {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_whole_and_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        std::fs::write(&path, "stale").unwrap();
        let announcement = Announcement::write(&path, 4711).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "4711\n");
        drop(announcement);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_device_stays_what_it_is() {
        drop(Announcement::write(Path::new("/dev/null"), 4711).unwrap());
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}
