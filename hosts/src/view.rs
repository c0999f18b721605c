//! What the lock folder says to somebody who only looks: who holds which slot, which hosts are avoided, and for whom.
//!
//! Takes no lock and changes no file, so that looking never disturbs a build.

use std::fs::File;
use std::time::{Duration, SystemTime};

use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::dislike::{Dislikes, UNFIT};
use crate::folder::Folder;
use crate::list::Host;

/// A slot that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub slot: u32,
    /// Whose it is; `None` for a process that this one cannot see.
    pub pid: Option<u32>,
}

/// A host that failed of late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avoided {
    /// No job before this time; when it has passed, one is tried.
    pub until: SystemTime,
    /// Failures in a row, as far as they are counted.
    pub failures: u64,
}

/// A compiler that a host gets no jobs of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// What the compiler is called in messages; empty where that was not noted.
    pub compiler: String,
    pub until: SystemTime,
}

/// The slots of `host` that somebody holds, of its first `slots`, in their order.
pub fn held(folder: &Folder, host: &Host, slots: u32) -> Vec<Held> {
    let name = host.lock_name();
    let look = |slot| {
        let file = File::open(folder.lock().join(format!("cpu_{name}_{slot}"))).ok()?;
        let holder = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()??;
        let pid = holder.pid.map(|pid| pid.as_raw_nonzero().get());
        Some(Held {
            slot,
            pid: pid.and_then(|pid| u32::try_from(pid).ok()),
        })
    };
    (0..slots).filter_map(look).collect()
}

impl Dislikes {
    /// Is `host` avoided, or will the next job be the one to try it?  Unlike [`Dislikes::may_try`] it asks for no turn.
    pub fn avoided(&self, host: &Host, now: SystemTime) -> Option<Avoided> {
        let path = self.backoff(host);
        let until = self.until(&path, now)?;
        let failures = std::fs::metadata(&path).ok()?.len();
        Some(Avoided { until, failures })
    }

    /// The compilers that `host` gets no jobs of at `now`.
    pub fn unfit_for(&self, host: &Host, now: SystemTime) -> Vec<Unfit> {
        let prefix = format!("unfit_{}_", host.lock_name());
        let Ok(entries) = std::fs::read_dir(self.folder.lock()) else {
            return Vec::new();
        };
        let mut found: Vec<Unfit> = entries
            .flatten()
            .filter(|entry| {
                // Another host's name may go on where this one's ends.
                let name = entry.file_name();
                let rest = name.as_encoded_bytes().strip_prefix(prefix.as_bytes());
                rest.is_some_and(|rest| rest.len() == 16 && !rest.contains(&b'_'))
            })
            .filter_map(|entry| {
                let noted = entry.metadata().ok()?.modified().ok()?;
                let compiler = std::fs::read(entry.path()).ok()?;
                let until = noted + UNFIT;
                (noted <= now + UNFIT && now < until).then(|| Unfit {
                    compiler: String::from_utf8_lossy(&compiler).trim_end().to_owned(),
                    until,
                })
            })
            .collect();
        found.sort_by(|a, b| a.compiler.cmp(&b.compiler));
        found
    }
}

/// How long it is from `now` to `until`; zero when that has passed.
pub fn left(until: SystemTime, now: SystemTime) -> Duration {
    until.duration_since(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dislike::Period;
    use crate::list::parse;

    #[test]
    fn looking_changes_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(temp.path());
        let list = parse("h/4 h:1 hh").unwrap();
        let (host, now) = (&list.hosts[0], SystemTime::now());
        let dislikes = Dislikes::new(&folder, Period::Growing);
        assert_eq!(dislikes.avoided(host, now), None);
        assert_eq!(dislikes.unfit_for(host, now), []);
        assert_eq!(held(&folder, host, 4), []);
        assert!(!folder.lock().exists());

        dislikes.failed(host, now).unwrap();
        let avoided = dislikes.avoided(host, now).unwrap();
        assert_eq!(avoided.failures, 1);
        let left_of_it = left(avoided.until, now);
        assert!(left_of_it > Duration::from_millis(400), "{left_of_it:?}");
        assert_eq!(left(avoided.until, now + UNFIT), Duration::ZERO);

        dislikes.unfit(host, "gcc 12", now).unwrap();
        dislikes.unfit(&list.hosts[1], "gcc 13", now).unwrap();
        dislikes.unfit(&list.hosts[2], "gcc 14", now).unwrap();
        let names = |now| {
            let unfit = dislikes.unfit_for(host, now).into_iter();
            unfit.map(|unfit| unfit.compiler).collect::<Vec<_>>()
        };
        assert_eq!(names(now), ["gcc 12"]);
        assert_eq!(names(now + UNFIT * 2), [""; 0]);
        assert_eq!(names(now), ["gcc 12"], "nothing was removed");
    }
}
