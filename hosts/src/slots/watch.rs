//! Looking at slots: once, or until one is free.
//!
//! Watching is looking again every few milliseconds, seldomer the longer it takes. The kernel could tell (inotify sees a
//! holder close its file), but closing an inotify descriptor takes 10 to 15 ms, which the job or the end of the process
//! would wait for, and one user has only 128 of them.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::poll;
use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::queue::{BEAT, Turn, timespec};
use super::{NoSlot, Patience, Row, Slot, breadth_first, held, try_lock};
use crate::folder::{Folder, FolderError};

/// How often the first in the queue looks at all slots: a share of the time it has waited, within these limits. A look at
/// 12 slots costs 20 to 35 us.
const LOOK_SHARE: u32 = 4;
const LOOK_MIN: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(6);
/// How often those look who are in no queue, of whom there may be many.
const LOOK_CROWD: Duration = Duration::from_millis(100);

/// Slots that somebody else has, in the order in which they are wanted. Their files stay open while waiting.
pub(super) struct Taken {
    slots: Vec<Candidate>,
}

struct Candidate {
    file: File,
    path: PathBuf,
    host: usize,
    number: u32,
}

impl Candidate {
    /// Locks it if nobody has it.
    fn try_take(&self) -> Result<bool, FolderError> {
        try_lock(&self.file).map_err(|source| FolderError::Lock {
            path: self.path.clone(),
            source: source.into(),
        })
    }

    fn into_slot(self) -> Slot {
        Slot {
            file: Some(self.file),
            path: self.path,
            host: self.host,
            number: self.number,
        }
    }
}

/// The first free slot, or else all of them.
pub(super) fn look(folder: &Folder, rows: &[Row]) -> Result<Result<Slot, Taken>, FolderError> {
    let mut slots = Vec::new();
    for (row, number) in breadth_first(rows) {
        let path = folder.lock().join(format!("cpu_{}_{number}", row.name));
        let mut held = held();
        if held.contains(&path) {
            continue;
        }
        let file = match folder.open(&path) {
            Ok(file) => file,
            // Most likely too many open files: those that are open will do.
            Err(_) if !slots.is_empty() => break,
            Err(error) => return Err(error),
        };
        let candidate = Candidate {
            file,
            path,
            host: row.host,
            number,
        };
        if candidate.try_take()? {
            held.push(candidate.path.clone());
            return Ok(Ok(candidate.into_slot()));
        }
        slots.push(candidate);
    }
    Ok(Err(Taken { slots }))
}

/// Does nobody hold the slot of this name?
pub(super) fn is_free(folder: &Folder, name: &str) -> bool {
    let path = folder.lock().join(name);
    // Closing a second descriptor of a slot of ours would drop its lock, so nobody takes one meanwhile.
    let held = held();
    if held.contains(&path) {
        return false;
    }
    let file = match File::open(&path) {
        Ok(file) => file,
        // A slot that nobody ever took.
        Err(error) => return error.kind() == io::ErrorKind::NotFound,
    };
    let wanted = Flock::from(FlockType::WriteLock);
    matches!(fcntl_getlk(&file, &wanted), Ok(None))
}

impl Taken {
    /// Waits until one of them is free.
    pub(super) fn watch(
        mut self,
        turn: Option<&Turn>,
        patience: &Patience<'_>,
    ) -> Result<Slot, NoSlot> {
        let start = Instant::now();
        let mut beaten = start;
        loop {
            let share = (start.elapsed() / LOOK_SHARE).clamp(LOOK_MIN, LOOK_MAX);
            let pause = if turn.is_some() { share } else { LOOK_CROWD };
            let left = patience.until.map_or(pause, |until| {
                until.saturating_duration_since(Instant::now())
            });
            let signal = poll(&mut [], Some(&timespec(left.min(pause)))).is_err();
            if let Some(slot) = self.try_all()? {
                return Ok(slot);
            }
            if patience.is_late() {
                return Err(NoSlot::Busy);
            }
            if signal || beaten.elapsed() >= BEAT {
                if (patience.give_up)() {
                    return Err(NoSlot::Busy);
                }
                if let Some(turn) = turn {
                    turn.beat();
                }
                beaten = Instant::now();
            }
        }
    }

    fn try_all(&mut self) -> Result<Option<Slot>, FolderError> {
        for index in 0..self.slots.len() {
            if self.slots[index].try_take()? {
                let slot = self.slots.swap_remove(index).into_slot();
                held().push(slot.path.clone());
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }
}
