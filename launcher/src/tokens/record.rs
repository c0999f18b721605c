//! Who owes a jobserver a token: a file for each jobserver, `$DISTCC_DIR/tokens/NAME`, with a byte for each debt.
//!
//! A debtor locks its byte (a POSIX record lock, so that the kernel lets go of it when the debtor is gone, however it went) and sets
//! it; a byte that is set and that nobody locks is the debt of a launcher that was killed.  Who strikes the last debt out removes
//! the file.  Knows nothing of tokens.
//!
//! Closing any descriptor of a file drops a process's record locks on it, so there is one at a time: a debt's, or one that looks
//! for debts.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use integration_ninja::jobserver::Tokens;

use super::os;

/// More debts at a time than anybody has slots.
const MOST: u64 = 4096;
/// The age of a record whose jobserver is long gone.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a record may be removed between its opening and its locking.
const TRIES: usize = 100;

/// The debts to one jobserver.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    /// May another jobserver have had this name, before the machine was started?
    recurs: bool,
}

/// A debt, whose byte is locked by this process until the value is dropped.
#[derive(Debug)]
pub(super) struct Debt {
    file: File,
    path: PathBuf,
    at: u64,
    new: bool,
}

impl Record {
    pub(super) fn of(tokens: &Tokens, folder: &Path) -> Record {
        let (name, lasting) = tokens.name();
        Record {
            path: folder.join("tokens").join(name),
            recurs: !lasting,
        }
    }

    /// Takes over a debt that nobody pays, or enters a new one; `None` where there is no record to be had.
    pub(super) fn enter(&self) -> Option<Debt> {
        for _ in 0..TRIES {
            let file = self.open(true)?;
            let at = (0..MOST).find(|at| os::lock(&file, *at))?;
            if !is_named(&file) {
                continue;
            }
            let new = byte(&file, at) == 0;
            if new {
                file.write_all_at(&[1], at).ok()?;
            }
            return Some(Debt {
                file,
                path: self.path.clone(),
                at,
                new,
            });
        }
        None
    }

    /// A debt of a launcher that is no more.  Asked while this process has none of its own.
    pub(super) fn abandoned(&self) -> Option<Debt> {
        let file = self.open(false)?;
        let mut bytes = vec![0; length(&file)];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let set = (0..MOST).zip(bytes).filter(|(_, byte)| *byte != 0);
        let at = set.map(|(at, _)| at).find(|at| {
            // It may have been struck out just now.
            let abandoned = os::lock(&file, *at) && byte(&file, *at) != 0;
            if !abandoned {
                os::unlock(&file, *at);
            }
            abandoned
        })?;
        Some(Debt {
            file,
            path: self.path.clone(),
            at,
            new: false,
        })
    }

    fn open(&self, create: bool) -> Option<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).mode(0o600);
        let file = match options.open(&self.path) {
            Err(error) if create && error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(self.path.parent()?).ok()?;
                options.open(&self.path).ok()?
            }
            opened => opened.ok()?,
        };
        if length(&file) == 0 {
            self.sweep();
        } else if self.recurs && is_before_boot(&file) && os::lock_all(&file) {
            if is_before_boot(&file) {
                let _ = file.set_len(0);
            }
            os::unlock_all(&file);
        }
        Some(file)
    }

    /// Removes the records of jobservers that are long gone.
    fn sweep(&self) {
        let entries = self.path.parent().and_then(|path| path.read_dir().ok());
        for entry in entries.into_iter().flatten().flatten() {
            let age = entry
                .metadata()
                .and_then(|found| found.modified())
                .ok()
                .and_then(|time| SystemTime::now().duration_since(time).ok());
            if age > Some(STALE) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Debt {
    /// Is the token that it stands for still to be given?
    pub(super) fn is_new(&self) -> bool {
        self.new
    }

    /// Where its byte is, for a signal handler.
    pub(super) fn place(&self) -> (&File, u64) {
        (&self.file, self.at)
    }

    /// It is paid.
    pub(super) fn strike(self) {
        let _ = self.file.write_all_at(&[0], self.at);
        // Who can lock all of it is the only one here; who opens it meanwhile will see that it has no name any more.
        if os::lock_all(&self.file) && is_named(&self.file) {
            let mut bytes = vec![1; length(&self.file)];
            let read = self.file.read_exact_at(&mut bytes, 0).is_ok();
            if read && bytes.iter().all(|byte| *byte == 0) {
                let _ = std::fs::remove_file(&self.path);
            }
        }
    }
}

fn byte(file: &File, at: u64) -> u8 {
    let mut byte = [0];
    file.read_at(&mut byte, at).map_or(0, |_| byte[0])
}

fn length(file: &File) -> usize {
    file.metadata()
        .map_or(0, |found| found.len().min(MOST) as usize)
}

/// Is it still the file of its name?
fn is_named(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.nlink() > 0)
}

fn is_before_boot(file: &File) -> bool {
    let uptime = u64::try_from(rustix::system::sysinfo().uptime).unwrap_or(0);
    let boot = SystemTime::now().checked_sub(Duration::from_secs(uptime + 1));
    let written = file.metadata().and_then(|found| found.modified()).ok();
    written
        .zip(boot)
        .is_some_and(|(written, boot)| written < boot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use integration_ninja::jobserver::{Server, Style};

    fn record(folder: &tempfile::TempDir) -> (Record, Server) {
        let server = Server::start(Style::Fifo, 2).expect("a jobserver");
        (Record::of(server.tokens(), folder.path()), server)
    }

    /// As a launcher leaves its debt that is killed.
    fn abandon(debt: Debt) {
        drop(debt);
    }

    #[test]
    fn a_debt_that_is_paid_leaves_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let (record, _server) = record(&folder);
        assert!(record.abandoned().is_none());
        assert!(!record.path.exists(), "looking makes no file");
        let debt = record.enter().expect("a new one");
        assert!(debt.is_new() && record.path.exists());
        debt.strike();
        assert!(!record.path.exists());
        assert!(record.abandoned().is_none());
    }

    #[test]
    fn debts_of_the_killed_are_taken_over_each_once() {
        let folder = tempfile::tempdir().expect("folder");
        let (record, _server) = record(&folder);
        abandon(record.enter().expect("a new one"));
        let over = record.enter().expect("the same one");
        assert!(!over.is_new());
        abandon(over);
        let found = record.abandoned().expect("the same one");
        found.strike();
        assert!(record.abandoned().is_none() && !record.path.exists());
    }

    #[test]
    fn records_of_a_former_day_and_a_former_boot_are_not_believed() {
        let folder = tempfile::tempdir().expect("folder");
        let (mut record, _server) = record(&folder);
        abandon(record.enter().expect("a new one"));
        let other = folder.path().join("tokens/other");
        std::fs::write(&other, [1]).expect("written");
        for path in [&record.path, &other] {
            let file = File::options().write(true).open(path).expect("there");
            let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
            file.set_modified(long_ago).expect("set");
        }
        record.recurs = true;
        assert!(record.abandoned().is_none());
        assert!(record.enter().expect("a new one").is_new());
        assert!(!other.exists());
    }
}
