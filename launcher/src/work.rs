//! What a job's time depends on, in the words of the table of paces.
//!
//! Knows nothing of what the table makes of it.

use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use compiler::Job;
use compiler::language::Language;
use hosts::pace::{Kind, Moment, Unit, Work};

/// The work that `job` is, as far as its words tell.
pub(crate) fn of(job: &Job<'_>) -> Work {
    let language = match job.language() {
        Language::C => 0,
        Language::Cxx | Language::CxxModule => 1,
        Language::ObjC | Language::ObjCxx => 2,
        // Preprocessed sources, and assembler.
        _ => 3,
    };
    let names = [job.cwd(), job.source(), job.output()];
    Work {
        kind: Kind::new(language, job.is_optimised(), job.writes_debug()),
        unit: Unit::of(names.map(|name| name.as_bytes())),
        bytes: None,
    }
}

/// The time as the table counts it, that never goes back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
    moment: Moment,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Clock {
            began: Instant::now(),
            moment: since.map_or(0, |since| since.as_millis() as Moment),
        }
    }

    pub(crate) fn now(self) -> Moment {
        self.at(Instant::now())
    }

    /// The moment that `instant` is.
    pub(crate) fn at(self, instant: Instant) -> Moment {
        let after = instant.saturating_duration_since(self.began);
        self.moment + after.as_millis() as Moment
    }

    /// When `moment` is: rounded up, so that it has come by then.  `None` for one that never comes.
    pub(crate) fn instant(self, moment: Moment) -> Option<Instant> {
        let after = Duration::from_millis(moment.saturating_sub(self.moment));
        (moment < Moment::MAX).then(|| self.began + after)
    }
}
