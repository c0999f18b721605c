//! Who is avoided for a while, remembered in backoff files that stock clients read too (facts 4.4).
//!
//! Knows no clock: the caller says what time it is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, Timespec, Timestamps};

use crate::folder::{Folder, FolderError};
use crate::list::Host;

/// The pause after the first failure of a host, where DISTCC_BACKOFF_PERIOD is not set. Doubles with each further one.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause, where DISTCC_BACKOFF_PERIOD is not set.
pub const LAST_PAUSE: Duration = Duration::from_secs(3);
/// How long a host stays out of use for a compiler that it answered wrongly for.
pub const UNFIT: Duration = Duration::from_secs(600);
/// Failures are counted up to here: the length of a backoff file.
const MAX_COUNT: u64 = 16;

/// How long a host is avoided after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// [`FIRST_PAUSE`] doubling to [`LAST_PAUSE`], then one process at a time tries the host.
    Growing,
    /// Stock's meaning: this long after each failure, then all try. Zero remembers nothing.
    Fixed(Duration),
}

impl Period {
    /// From the value of DISTCC_BACKOFF_PERIOD, in seconds. What is no such number counts as not set.
    pub fn from_variable(value: Option<&OsStr>) -> Period {
        let seconds = value
            .and_then(OsStr::to_str)
            .and_then(|text| text.trim().parse().ok());
        seconds.map_or(Period::Growing, |seconds| {
            Period::Fixed(Duration::from_secs(seconds))
        })
    }
}

/// The failures in a row of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// When the last one was that counted.
    pub noted: SystemTime,
    /// How many there were, counted up to [`MAX_COUNT`].
    pub failures: u64,
}

impl Backoff {
    /// When its pause ends, as seen at `now`.
    pub fn until(&self, period: Period, now: SystemTime) -> SystemTime {
        let pause = match period {
            Period::Fixed(period) => period,
            Period::Growing => pause(self.failures),
        };
        // A time in the future was written under another clock and says nothing.
        match self.noted > now + pause {
            true => now,
            false => self.noted + pause,
        }
    }

    /// After one more failure at `now`; `None` where nothing changes. A failure during the pause is one of the jobs that were under
    /// way when the host went away, and counts with the first.
    pub fn after(before: Option<Backoff>, period: Period, now: SystemTime) -> Option<Backoff> {
        let failures = match period {
            Period::Fixed(Duration::ZERO) => return None,
            Period::Fixed(_) => 0,
            Period::Growing if before.is_some_and(|before| before.until(period, now) > now) => {
                return None;
            }
            Period::Growing => before.map_or(0, |before| before.failures.min(MAX_COUNT - 1)),
        };
        Some(Backoff {
            noted: now,
            failures: failures + 1,
        })
    }
}

/// May a host be tried?
#[derive(Debug)]
pub enum Try {
    Yes,
    /// The pause is over and nobody else is trying: keep the guard until the host has worked or failed.
    YesAsProbe(ProbeGuard),
    /// Not before this time, or another process is just trying.
    No {
        until: SystemTime,
    },
}

/// While it lives, other processes go on avoiding the host.
#[derive(Debug)]
pub struct ProbeGuard {
    _file: File,
    _alive: Arc<()>,
}

/// What is remembered about hosts.
#[derive(Debug)]
pub struct Dislikes {
    pub(crate) folder: Folder,
    period: Period,
    /// Backoff files that were there when this process looked, each with its own [`ProbeGuard`] while that lives.
    seen: RefCell<BTreeMap<PathBuf, Weak<()>>>,
}

impl Dislikes {
    pub fn new(folder: &Folder, period: Period) -> Dislikes {
        Dislikes {
            folder: folder.clone(),
            period,
            seen: RefCell::default(),
        }
    }

    /// May `host` get a job at `now`? One `stat` where nothing is remembered. What cannot be read counts as nothing.
    /// `Yes` also as long as a guard lives that these `Dislikes` gave out for the host.
    pub fn may_try(&self, host: &Host, now: SystemTime) -> Try {
        if self.period == Period::Fixed(Duration::ZERO) {
            return Try::Yes;
        }
        let path = self.backoff(host);
        if self
            .seen
            .borrow()
            .get(&path)
            .is_some_and(|probe| probe.strong_count() > 0)
        {
            return Try::Yes;
        }
        let Some(until) = self.until(&path, now) else {
            return Try::Yes;
        };
        self.seen.borrow_mut().entry(path.clone()).or_default();
        if until > now {
            return Try::No { until };
        }
        if self.period != Period::Growing {
            return Try::Yes;
        }
        self.probe(&path, now)
    }

    fn probe(&self, path: &PathBuf, now: SystemTime) -> Try {
        let Ok(file) = File::options().read(true).write(true).open(path) else {
            return Try::Yes;
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Try::No {
                    until: now + FIRST_PAUSE,
                };
            }
            Err(_) => return Try::Yes,
        }
        // The one who tried before may have noted its failure, or taken the file away.
        match self.until(path, now) {
            None => Try::Yes,
            Some(until) if until > now => Try::No { until },
            Some(_) => {
                let alive = Arc::new(());
                self.seen
                    .borrow_mut()
                    .insert(path.clone(), Arc::downgrade(&alive));
                Try::YesAsProbe(ProbeGuard {
                    _file: file,
                    _alive: alive,
                })
            }
        }
    }

    /// When the pause of a backoff file ends; `None` where there is no file.
    pub(crate) fn until(&self, path: &Path, now: SystemTime) -> Option<SystemTime> {
        Some(remembered(path)?.until(self.period, now))
    }

    /// When `host` failed last, if that is remembered.
    pub fn failed_at(&self, host: &Host) -> Option<SystemTime> {
        Some(remembered(&self.backoff(host))?.noted)
    }

    /// Notes that `host` failed at `now`.
    pub fn failed(&self, host: &Host, now: SystemTime) -> Result<(), FolderError> {
        let path = self.backoff(host);
        if self.period != Period::Fixed(Duration::ZERO) {
            self.seen.borrow_mut().entry(path.clone()).or_default();
        }
        let Some(backoff) = Backoff::after(remembered(&path), self.period, now) else {
            return Ok(());
        };
        let file = self.folder.open(&path)?;
        let write = || {
            // The file's length is the number.
            rustix::io::pwrite(&file, b"x", backoff.failures - 1)?;
            rustix::fs::futimens(&file, &timestamps(backoff.noted))
        };
        write().map_err(|source| FolderError::Open {
            path,
            source: source.into(),
        })
    }

    /// Notes that `host` did a job. No system call where no backoff file was seen before.
    pub fn worked(&self, host: &Host) {
        if self.seen.borrow().is_empty() {
            return;
        }
        let path = self.backoff(host);
        if self.seen.borrow_mut().remove(&path).is_some() {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Notes that `host` answers wrongly for this compiler: with an object of another machine or compiler version.
    pub fn unfit(
        &self,
        host: &Host,
        compiler_id: &str,
        now: SystemTime,
    ) -> Result<(), FolderError> {
        let path = self.unfit_file(host, compiler_id);
        let file = self.folder.open(&path)?;
        // For people only; its time is what counts.
        let _ = rustix::io::pwrite(&file, compiler_id.as_bytes(), 0);
        rustix::fs::futimens(&file, &timestamps(now)).map_err(|source| FolderError::Open {
            path,
            source: source.into(),
        })
    }

    /// Was `host` found unfit for this compiler less than [`UNFIT`] ago?
    pub fn is_unfit(&self, host: &Host, compiler_id: &str, now: SystemTime) -> bool {
        let path = self.unfit_file(host, compiler_id);
        let Ok(noted) = std::fs::metadata(&path).and_then(|data| data.modified()) else {
            return false;
        };
        if noted <= now + UNFIT && now < noted + UNFIT {
            return true;
        }
        let _ = std::fs::remove_file(path);
        false
    }

    pub(crate) fn backoff(&self, host: &Host) -> PathBuf {
        self.folder
            .lock()
            .join(format!("backoff_{}_0", host.lock_name()))
    }

    fn unfit_file(&self, host: &Host, compiler_id: &str) -> PathBuf {
        let id = crate::fnv1a(compiler_id.as_bytes());
        self.folder
            .lock()
            .join(format!("unfit_{}_{id:016x}", host.lock_name()))
    }
}

/// What the backoff file at `path` says: its length is the number of failures, its time that of the last one.
fn remembered(path: &Path) -> Option<Backoff> {
    let data = std::fs::metadata(path).ok()?;
    Some(Backoff {
        noted: data.modified().ok()?,
        failures: data.len(),
    })
}

/// The pause after `failures` in a row.
fn pause(failures: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(MAX_COUNT) as u32;
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LAST_PAUSE)
}

fn timestamps(time: SystemTime) -> Timestamps {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let time = Timespec {
        tv_sec: since.as_secs() as i64,
        tv_nsec: since.subsec_nanos().into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[cfg(test)]
mod tests;
