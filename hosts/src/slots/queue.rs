//! The queue before the slots: one process at a time watches them, the others sleep in a lock until it is their turn.
//!
//! The turn is a `flock` on a file of ours: the kernel wakes one sleeper when its holder leaves or dies, in the order in
//! which they came, and finds no false deadlocks as it does with record locks.
//!
//! A holder that is stopped (Ctrl-Z on one build) must not stop the builds beside it. So the holder *beats*: it renews
//! the file's times. Whoever saw no beat for 3 to 6 s marks the *lane* and goes on to the next one, as do those
//! who come later and find the mark. The next beat removes it.
//!
//! Sleeping in `flock` has no time limit, so it is done in a thread of its own, while the process waits for the thread, a
//! signal or the end of its patience. Who finds nobody before him needs no thread.

use std::fs::File;
use std::io::{PipeReader, pipe};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, flock};
use rustix::io::Errno;

use super::Patience;
use crate::folder::{Folder, FolderError};

/// How often the holder of a turn shows that it runs.
pub(super) const BEAT: Duration = Duration::from_millis(100);
/// How long sleepers wait for a beat. Each adds a little of its own, so that they do not all wake at once.
const LOOK: Duration = Duration::from_millis(3000);
const LOOK_SPREAD_MS: u32 = 3000;
/// After so many stopped holders nobody queues any more.
const LANES: usize = 4;

/// Bytes of stack for a thread that makes one system call.
const STACK: usize = 64 << 10;

/// A way to the slots.
pub(super) struct Queue<'f> {
    folder: &'f Folder,
    name: String,
}

/// What became of waiting.
pub(super) enum Entered {
    Turn(Turn),
    /// The patience was over first.
    OutOfPatience,
    /// There is nothing to queue in: look at the slots without a turn.
    NoQueue,
}

/// The right to watch the slots. The next in the queue gets it when the value is dropped.
pub(super) struct Turn {
    lane: Arc<File>,
}

impl Turn {
    /// Shows the sleepers that this process runs.
    pub(super) fn beat(&self) {
        // Where the file is another user's this fails, and sleepers then leave for the next lane sooner than they need.
        let _ = set_times(&self.lane, NOW, NOW);
    }
}

impl<'f> Queue<'f> {
    pub(super) fn new(folder: &'f Folder, name: String) -> Queue<'f> {
        Queue { folder, name }
    }

    /// Waits until nobody is before this process.
    pub(super) fn enter(&self, patience: &Patience<'_>) -> Result<Entered, FolderError> {
        for number in 0..LANES {
            let lane = Arc::new(self.folder.open_read(&self.path(number))?);
            match flock(&lane, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Entered::Turn(Turn { lane })),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(_) => return Ok(Entered::NoQueue),
            }
            if patience.is_over() {
                return Ok(Entered::OutOfPatience);
            }
            if is_marked(&lane) {
                continue;
            }
            match sleep(lane, patience) {
                Slept::Turn(turn) => {
                    turn.beat();
                    return Ok(Entered::Turn(turn));
                }
                Slept::OutOfPatience => return Ok(Entered::OutOfPatience),
                Slept::NoThread => return Ok(Entered::NoQueue),
                Slept::Stopped => {}
            }
        }
        Ok(Entered::NoQueue)
    }

    /// Does somebody hold the turn?
    pub(super) fn is_waited_in(&self) -> bool {
        let Ok(lane) = File::open(self.path(0)) else {
            return false;
        };
        flock(&lane, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    }

    fn path(&self, lane: usize) -> PathBuf {
        self.folder
            .lock()
            .join(format!("queue_{}_{lane}", self.name))
    }
}

enum Slept {
    Turn(Turn),
    OutOfPatience,
    /// The holder of the lane seems to be stopped.
    Stopped,
    NoThread,
}

const SLEEPING: u8 = 0;
const LOCKED: u8 = 1;
const GIVEN_UP: u8 = 2;
const FAILED: u8 = 3;

/// What the process and its sleeping thread share.
struct Bed {
    lane: Arc<File>,
    state: AtomicU8,
}

impl Bed {
    fn change(&self, to: u8) -> bool {
        self.state
            .compare_exchange(SLEEPING, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The thread: sleeps until the lane is ours. If the process has given up by then, the lock goes with the file.
    fn sleep(&self) {
        let locked = loop {
            match flock(&self.lane, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                result => break result.is_ok(),
            }
        };
        if !self.change(if locked { LOCKED } else { FAILED }) {
            let _ = flock(&self.lane, FlockOperation::Unlock);
        }
    }
}

fn sleep(lane: Arc<File>, patience: &Patience<'_>) -> Slept {
    // The thread closes its end when it is done.
    let Ok((done, end)) = pipe() else {
        return Slept::NoThread;
    };
    let state = AtomicU8::new(SLEEPING);
    let bed = Arc::new(Bed { lane, state });
    let sleeper = Arc::clone(&bed);
    let sleep = move || {
        sleeper.sleep();
        drop(end);
    };
    let Ok(thread) = thread::Builder::new().stack_size(STACK).spawn(sleep) else {
        return Slept::NoThread;
    };
    loop {
        let before = beat_of(&bed.lane);
        let end = Instant::now() + LOOK + spread();
        match wait(&done, end, patience) {
            Waited::OutOfPatience if bed.change(GIVEN_UP) => return Slept::OutOfPatience,
            Waited::Long if beat_of(&bed.lane) != before => continue,
            Waited::Long if bed.change(GIVEN_UP) => {
                let _ = set_times(&bed.lane, MARK, OMIT);
                return Slept::Stopped;
            }
            // Done, if only at the last moment.
            _ => {}
        }
        // The thread must be gone before a later `exec`, which would end it.
        let _ = thread.join();
        return match bed.state.load(Ordering::Acquire) {
            LOCKED => Slept::Turn(Turn {
                lane: Arc::clone(&bed.lane),
            }),
            _ => Slept::NoThread,
        };
    }
}

enum Waited {
    Done,
    /// `end` has come.
    Long,
    OutOfPatience,
}

fn wait(done: &PipeReader, end: Instant, patience: &Patience<'_>) -> Waited {
    loop {
        let limit = patience.until.map_or(end, |until| until.min(end));
        let left = limit.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(done, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(left))) {
            Ok(0) | Err(_) if patience.is_over() => return Waited::OutOfPatience,
            Ok(0) if Instant::now() >= end => return Waited::Long,
            Ok(0) | Err(_) => {}
            Ok(_) => return Waited::Done,
        }
    }
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().min(1 << 30) as i64,
        tv_nsec: duration.subsec_nanos().into(),
    }
}

fn spread() -> Duration {
    let pid = rustix::process::getpid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs();
    Duration::from_millis((pid.wrapping_mul(0x9e37_79b1) % LOOK_SPREAD_MS).into())
}

const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: UTIME_NOW as _,
};
const OMIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: UTIME_OMIT as _,
};
/// The access time of a lane whose holder is stopped.
const MARK: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

fn set_times(lane: &File, access: Timespec, modification: Timespec) -> rustix::io::Result<()> {
    rustix::fs::futimens(
        lane,
        &Timestamps {
            last_access: access,
            last_modification: modification,
        },
    )
}

/// When the last beat was.
fn beat_of(lane: &File) -> Option<impl PartialEq + use<>> {
    rustix::fs::fstat(lane)
        .ok()
        .map(|stat| (stat.st_mtime, stat.st_mtime_nsec))
}

fn is_marked(lane: &File) -> bool {
    rustix::fs::fstat(lane).is_ok_and(|stat| stat.st_atime == MARK.tv_sec)
}
