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
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::queue::{BEAT, Turn, timespec};
use super::{HERE, Here, NoSlot, Patience, Row, Slot, held, note, try_lock};
use crate::choice::{Busy, Hold, Outlook, Pick, pick, soonest};
use crate::folder::{Folder, FolderError};

/// How often the first in the queue looks at all slots: a share of the time it has waited, within these limits. A look at
/// 12 slots costs 20 to 35 us.
const LOOK_SHARE: u32 = 4;
const LOOK_MIN: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(6);
/// Where nothing came free for so long, jobs are long, and it looks no oftener than this.
const LONG: Duration = Duration::from_secs(1);
const LOOK_LONG: Duration = Duration::from_millis(20);
/// How often those look who are in no queue, of whom there may be many.
const LOOK_CROWD: Duration = Duration::from_millis(100);

/// Slots in the order in which they are wanted. Their files are opened when they are first looked at, and stay open.
pub(super) struct Watch<'w> {
    folder: &'w Folder,
    rows: &'w [Row],
    outlook: &'w Outlook,
    here: Option<Here<'w>>,
    rest: Box<dyn Iterator<Item = (usize, u32)> + 'w>,
    opened: Vec<Candidate>,
    /// Why the first of those that could not be opened was not.
    broken: Option<FolderError>,
}

struct Candidate {
    file: File,
    path: PathBuf,
    /// Not for a link, wherever that leads.
    may_write: bool,
    /// Its row.
    row: usize,
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

impl<'w> Watch<'w> {
    pub(super) fn new(
        folder: &'w Folder,
        rows: &'w [Row],
        outlook: &'w Outlook,
        here: Option<Here<'w>>,
    ) -> Watch<'w> {
        Watch {
            folder,
            rows,
            outlook,
            here,
            rest: Watch::all(rows, outlook),
            opened: Vec::new(),
            broken: None,
        }
    }

    fn all(rows: &'w [Row], outlook: &'w Outlook) -> Box<dyn Iterator<Item = (usize, u32)> + 'w> {
        let ranges = rows.iter().map(|row| row.first..row.slots).collect();
        Box::new(outlook.order(ranges))
    }

    /// The best free slot; none while it is better to wait for one that is taken.
    pub(super) fn look(&mut self) -> Result<Option<Slot>, FolderError> {
        match pick(self)? {
            Pick::Take(index) => {
                let Candidate {
                    file,
                    path,
                    may_write,
                    row,
                    number,
                } = self.opened.remove(index);
                let host = self.rows[row].host;
                held().push(path.clone());
                if let Some(ms) = self.outlook.ms(row, number).filter(|_| may_write) {
                    note::write(&file, ms);
                }
                Ok(Some(Slot {
                    file: Some(file),
                    path,
                    host,
                    number,
                    here: false,
                }))
            }
            Pick::None | Pick::Wait => Ok(None),
        }
    }

    /// This machine's slot, if the job ends sooner here than in any of the others.
    fn here(&mut self) -> Option<Slot> {
        let here = self.here?;
        let busy = (0..self.opened.len()).filter_map(|index| self.busy(index));
        let soonest = soonest(busy);
        // It may be one of those, and closing ours would drop its lock.
        if self.rows.iter().any(|row| row.name == HERE) {
            self.opened.clear();
            self.rest = Watch::all(self.rows, self.outlook);
        }
        here(soonest)
    }

    /// Waits until one of them is free; `None` after a while, when what is known of the hosts may have changed. `since`: when this
    /// process began to wait for its turn to end.
    pub(super) fn watch(
        mut self,
        turn: Option<&Turn>,
        patience: &Patience<'_>,
        since: Instant,
    ) -> Result<Option<Slot>, NoSlot> {
        if let Some(slot) = self.here() {
            return Ok(Some(slot));
        }
        let start = Instant::now();
        loop {
            let waited = since.elapsed();
            let share = match waited < LONG {
                true => (waited / LOOK_SHARE).clamp(LOOK_MIN, LOOK_MAX),
                false => LOOK_LONG,
            };
            let pause = if turn.is_some() { share } else { LOOK_CROWD };
            let left = patience.until.map_or(pause, |until| {
                until.saturating_duration_since(Instant::now())
            });
            let signal = poll(&mut [], Some(&timespec(left.min(pause)))).is_err();
            if let Some(slot) = self.look()? {
                return Ok(Some(slot));
            }
            if patience.is_late() {
                return Err(NoSlot::Busy);
            }
            if signal || start.elapsed() >= BEAT {
                if (patience.give_up)() {
                    return Err(NoSlot::Busy);
                }
                if let Some(turn) = turn {
                    turn.beat();
                }
                return Ok(None);
            }
        }
    }

    /// Opens the next slot that this process does not hold itself; false when there is none.
    fn open_next(&mut self) -> Result<bool, FolderError> {
        for (row, number) in self.rest.by_ref() {
            let name = &self.rows[row].name;
            let path = self.folder.lock().join(format!("cpu_{name}_{number}"));
            if held().contains(&path) {
                continue;
            }
            let plain = self.folder.open_plain(&path);
            let may_write = plain.is_ok();
            let file = match plain.or_else(|_| self.folder.open(&path)) {
                Ok(file) => file,
                // Those that are open will do.
                Err(error) if error.is_too_many() && !self.opened.is_empty() => {
                    self.rest = Box::new(std::iter::empty());
                    return Ok(false);
                }
                // One slot less, such as one whose file root left behind.
                Err(error) => {
                    self.broken.get_or_insert(error);
                    continue;
                }
            };
            self.opened.push(Candidate {
                file,
                path,
                may_write,
                row,
                number,
            });
            return Ok(true);
        }
        match self.broken.take() {
            Some(error) if self.opened.is_empty() => Err(error),
            _ => Ok(false),
        }
    }
}

impl Hold for Watch<'_> {
    type Error = FolderError;

    fn try_take(&mut self, index: usize) -> Result<Option<bool>, FolderError> {
        if index == self.opened.len() && !self.open_next()? {
            return Ok(None);
        }
        self.opened[index].try_take().map(Some)
    }

    fn give_back(&mut self, index: usize) {
        let _ = fcntl_lock(&self.opened[index].file, FlockOperation::Unlock);
    }

    fn ms(&self, index: usize) -> Option<f32> {
        let Candidate { row, number, .. } = self.opened[index];
        self.outlook.ms(row, number)
    }

    fn is_short(&self, index: usize) -> bool {
        let Candidate { row, number, .. } = self.opened[index];
        self.outlook.is_short(row, number)
    }

    fn busy(&self, index: usize) -> Option<Busy> {
        let (elapsed, expected) = note::read(&self.opened[index].file)?;
        Some(Busy {
            elapsed,
            expected,
            ms: self.ms(index)?,
        })
    }
}
