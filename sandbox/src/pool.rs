//! Which wardens there are, and who of them has nothing to do: a table in memory that the keeper shares with them.
//!
//! Wardens take jobs by themselves; all that the keeper has to do is to see that one is always free for the next. Who takes a job
//! while nobody else is free wakes it. Knows nothing of what a job is.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use rustix::event::EventfdFlags;

use crate::os;

/// Most wardens at a time. More jobs wait until one is free.
const MAX: usize = 4094;

// What may stand in a warden's place. Any other value is the number of the job that it has.
const NOBODY: u64 = 0;
const FREE: u64 = 1;
/// It ends by itself.
const LEAVING: u64 = 2;
const FIRST_JOB: u64 = 3;

pub(crate) struct Pool {
    /// Jobs so far.
    jobs: &'static AtomicU64,
    /// Places that were ever taken.
    used: &'static AtomicU64,
    places: &'static [AtomicU64],
    /// What the keeper sleeps on.
    pub(crate) bell: OwnedFd,
    /// How many may be free.
    kept: usize,
}

/// What a warden was doing when it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    ByItself,
    /// It should have waited for a job.
    Early,
    /// It had this job.
    With(u64),
}

/// A warden's place in the table.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pool: &'a Pool,
    at: usize,
}

impl Pool {
    pub(crate) fn new(kept: usize) -> io::Result<Self> {
        let numbers = os::shared_numbers(MAX + 2)?;
        let [jobs, used, places @ ..] = numbers else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self {
            jobs,
            used,
            places,
            bell: rustix::event::eventfd(0, flags)?,
            kept: kept.max(1),
        })
    }

    fn taken(&self) -> &[AtomicU64] {
        let used = usize::try_from(self.used.load(SeqCst)).unwrap_or(MAX);
        &self.places[..used.min(MAX)]
    }

    /// Whether a warden waits for the next job, or is about to.
    pub(crate) fn has_free(&self) -> bool {
        self.free().next().is_some()
    }

    fn free(&self) -> impl Iterator<Item = &AtomicU64> {
        let places = self.taken().iter();
        places.filter(|place| place.load(SeqCst) == FREE)
    }

    /// For the keeper: a place for a warden that is not there yet, which counts as free from now on.
    pub(crate) fn take_place(&self) -> Option<usize> {
        let at = self
            .places
            .iter()
            .position(|place| place.load(SeqCst) == NOBODY)?;
        self.places[at].store(FREE, SeqCst);
        self.used.fetch_max(at as u64 + 1, SeqCst);
        Some(at)
    }

    /// For the keeper: whoever was at this place is gone.
    pub(crate) fn clear(&self, at: usize) -> Gone {
        let place = self.places.get(at);
        match place.map_or(NOBODY, |place| place.swap(NOBODY, SeqCst)) {
            NOBODY | LEAVING => Gone::ByItself,
            FREE => Gone::Early,
            job => Gone::With(job),
        }
    }

    pub(crate) fn place(&self, at: usize) -> Place<'_> {
        Place { pool: self, at }
    }

    /// Forgets that the bell was rung.
    pub(crate) fn hush(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.bell, &mut count);
    }
}

impl Place<'_> {
    fn set(self, what: u64) {
        if let Some(place) = self.pool.places.get(self.at) {
            place.store(what, SeqCst);
        }
    }

    /// Is about to wait for the next job. Not where enough others do: then this warden may go.
    pub(crate) fn be_free(self) -> bool {
        let wanted = self.pool.free().count() < self.pool.kept;
        self.set(if wanted { FREE } else { LEAVING });
        wanted
    }

    /// Has a job: its number, which no other has.
    pub(crate) fn begin(self) -> u64 {
        let number = FIRST_JOB + self.pool.jobs.fetch_add(1, SeqCst);
        self.set(number);
        if !self.pool.has_free() {
            let _ = rustix::io::write(&self.pool.bell, &1u64.to_ne_bytes());
        }
        number
    }

    /// Whether this warden may go, because another one is free.
    pub(crate) fn leave(self) -> bool {
        self.set(LEAVING);
        let others = self.pool.has_free();
        if !others {
            self.set(FREE);
        }
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(pool: &Pool) -> bool {
        let mut count = [0; 8];
        rustix::io::read(&pool.bell, &mut count).is_ok()
    }

    #[test]
    fn who_takes_a_job_from_the_last_free_place_rings() {
        let pool = Pool::new(9).unwrap();
        assert!(!pool.has_free());
        let [one, two] = [pool.take_place(), pool.take_place()].map(Option::unwrap);
        assert!(one != two && pool.has_free());
        let first = pool.place(one).begin();
        assert!(pool.has_free() && !rung(&pool));
        let second = pool.place(two).begin();
        assert!(first != second && !pool.has_free() && rung(&pool));
        assert!(pool.place(one).be_free() && pool.has_free());
        assert_eq!(pool.clear(two), Gone::With(second));
        assert_eq!(pool.clear(two), Gone::ByItself);
        assert_eq!(pool.take_place(), Some(two));
    }

    #[test]
    fn the_last_free_one_stays() {
        let pool = Pool::new(9).unwrap();
        let [one, two] = [pool.take_place(), pool.take_place()].map(Option::unwrap);
        assert!(pool.place(one).leave());
        assert!(!pool.place(two).leave());
        assert!(pool.has_free());
        assert_eq!(pool.clear(one), Gone::ByItself);
        assert_eq!(pool.clear(two), Gone::Early);
    }

    #[test]
    fn no_more_wait_than_are_kept() {
        let pool = Pool::new(2).unwrap();
        let places = [(); 3].map(|()| pool.take_place().unwrap());
        for at in places {
            pool.place(at).begin();
        }
        assert_eq!(
            places.map(|at| pool.place(at).be_free()),
            [true, true, false]
        );
        assert_eq!(pool.clear(places[2]), Gone::ByItself);
    }

    #[test]
    fn there_is_an_end_to_places() {
        let pool = Pool::new(9).unwrap();
        for at in 0..MAX {
            assert_eq!(pool.take_place(), Some(at));
        }
        assert_eq!(pool.take_place(), None);
        assert_eq!(pool.clear(MAX), Gone::ByItself);
    }
}
