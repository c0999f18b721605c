//! How the doctor's time is shared out.

use std::time::{Duration, Instant};

/// All in all, unless `--limit` says otherwise.  What follows is of this.
pub(super) const WHOLE: Duration = Duration::from_secs(5);

/// Until when all hosts were asked whose daemon they run, the units are back, and the link has ended.
pub(super) const ASKED: Duration = Duration::from_millis(2700);
pub(super) const COMPILED: Duration = Duration::from_millis(4400);
pub(super) const LINKED: Duration = Duration::from_millis(4850);
/// For all addresses of a host to be connected to.
pub(super) const CONNECT: Duration = Duration::from_millis(1000);
/// What a daemon has to close the connection of one that it does not let in: before it is sent anything, and after.
pub(super) const ACCESS: [Duration; 2] = [Duration::from_millis(60), Duration::from_millis(200)];
/// One read or write of the unit's conversation.
pub(super) const SILENCE: Duration = Duration::from_millis(2000);
/// For the compiler of this machine to say its version, and to compile the unit; for make to say its version.
pub(super) const VERSION: Duration = Duration::from_millis(1300);
pub(super) const HERE: Duration = Duration::from_millis(1300);
pub(super) const MAKE: Duration = Duration::from_millis(500);

/// When it began, and how much more or less time than [`WHOLE`] there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    begun: Instant,
    factor: f64,
}

impl Pace {
    /// Begins now.
    pub(super) fn within(limit: f64) -> Pace {
        Pace {
            begun: Instant::now(),
            factor: limit.clamp(0.5, 3600.0) / WHOLE.as_secs_f64(),
        }
    }

    /// How long a step may take.
    pub(super) fn of(&self, share: Duration) -> Duration {
        share.mul_f64(self.factor)
    }

    /// The moment that is `share` after the beginning.
    pub(super) fn at(&self, share: Duration) -> Instant {
        self.begun + self.of(share)
    }

    /// The end of a step that begins now.
    pub(super) fn end_of(&self, share: Duration) -> Instant {
        Instant::now() + self.of(share)
    }

    /// What is left until [`Pace::at`].
    pub(super) fn left(&self, share: Duration) -> Duration {
        self.at(share).saturating_duration_since(Instant::now())
    }
}
