//! Slots: the right to run one job on one host, held as a lock file that stock clients lock too (facts 4.1, 4.2).
//!
//! Knows nothing of which hosts are worth a try; the caller leaves those out.
//!
//! POSIX record locks belong to a process, and closing *any* descriptor of a file drops them. So a process keeps a note
//! of the files it holds and never opens one of them again.

mod look;
mod note;
mod queue;
mod watch;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::{Errno, FdFlags};

use crate::choice::Outlook;
use crate::fnv1a;
use crate::folder::{Folder, FolderError};
use crate::list::Host;
pub use look::Found;
pub(crate) use queue::timespec;
use queue::{Entered, Queue};
use watch::Watch;

/// How this machine's own slots are called.
const HERE: &str = "localhost";

/// Files whose lock this process holds.
static HELD: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn held() -> MutexGuard<'static, Vec<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to run one job. Its lock is held exactly as long as the value lives.
#[derive(Debug)]
pub struct Slot {
    /// There until the value is dropped.
    file: Option<File>,
    path: PathBuf,
    host: usize,
    number: u32,
    /// One of this machine's own.
    here: bool,
}

/// Gives a slot of this machine, if a job ends sooner in it than in so many ms.
pub type Here<'a> = &'a dyn Fn(Option<f32>) -> Option<Slot>;

/// What somebody wants who waits for a slot of a host.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    pub hosts: &'a [&'a Host],
    /// What is expected of these hosts, in their order: asked when it is this job's turn, which may be long after it came, and each
    /// 100 ms from then on.
    pub outlook: &'a dyn Fn() -> Outlook,
    /// Which of them get no job now, in their order; `None`: each may get one. Asked as the outlook is.
    pub barred: Option<&'a dyn Fn() -> Vec<bool>>,
    /// Takes a slot of this machine, if the job ends sooner here than in the given time (ms; `None`: nobody knows). Asked when all
    /// slots are taken, and each 100 ms from then on by the first in the queue.
    pub here: Option<Here<'a>>,
}

/// Which of this machine's own pools. Both count on the same files, as in stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalPool {
    /// Compiling here.
    Job,
    /// Preprocessing here.
    Cpp,
}

/// How long to wait for a slot.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// No waiting after this moment; `None` waits for ever.
    pub until: Option<Instant>,
    /// Stop waiting? Asked once before it begins, when a signal came (`poll` returned `EINTR`), and else each 3 to 6 s in
    /// the queue and each 100 ms when it is this process's turn to watch the slots.
    pub give_up: &'a dyn Fn() -> bool,
}

/// Why there is no slot.
#[derive(Debug, thiserror::Error)]
pub enum NoSlot {
    /// All were taken for as long as the caller's patience lasted.
    #[error("all slots are taken")]
    Busy,
    /// No host was given, or each is marked `down` or gets no job now.
    #[error("no host takes jobs")]
    NoHost,
    /// The lock files cannot be used. No reason to fail a build: run without a slot.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Where slots are taken from.
#[derive(Debug)]
pub struct Slots {
    folder: Folder,
    /// One search at a time: a thread that closes a lock file would take away the lock of another.
    search: Mutex<()>,
}

impl<'a> Wish<'a> {
    /// Of a job that does not run here instead.
    pub fn of(hosts: &'a [&'a Host], outlook: &'a dyn Fn() -> Outlook) -> Wish<'a> {
        Wish {
            hosts,
            outlook,
            barred: None,
            here: None,
        }
    }
}

impl Patience<'_> {
    fn is_over(&self) -> bool {
        self.is_late() || (self.give_up)()
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Patience<'static> {
    /// Waits as long as it takes.
    pub const FOREVER: Patience<'static> = Patience {
        until: None,
        give_up: &|| false,
    };
    /// Takes what is free now.
    pub const NONE: Patience<'static> = Patience {
        until: None,
        give_up: &|| true,
    };
}

impl Slots {
    pub fn new(folder: &Folder) -> Slots {
        Slots {
            folder: folder.clone(),
            search: Mutex::new(()),
        }
    }

    /// The free slot in which the job is expected to end first; where nothing is known, slot 0 of each host in their order, then
    /// slot 1 of each, and so on. Waits its turn while all are taken, or while it is better to wait for a faster one.
    pub fn take_remote(&self, wish: &Wish<'_>, patience: &Patience<'_>) -> Result<Slot, NoSlot> {
        self.take("remote", &rows(wish.hosts), wish, patience)
    }

    /// The best slot that nobody holds, by its host's index and number, while nobody queues for one. Looks only.
    pub fn idle(&self, wish: &Wish<'_>) -> Option<(usize, u32)> {
        let rows = rows(wish.hosts);
        let queue = Queue::new(&self.folder, format!("remote_{:016x}", key(&rows)));
        let _search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_waited_in() {
            return None;
        }
        let open = without_barred(&rows, wish).ok()?;
        let ranges = open.iter().map(|row| row.first..row.slots).collect();
        let outlook = (wish.outlook)();
        let mut order = outlook.order(ranges);
        let free = order.find(|(row, number)| {
            watch::is_free(&self.folder, &format!("cpu_{}_{number}", rows[*row].name))
        });
        free.map(|(row, number)| (rows[row].host, number))
    }

    /// How many of the host's slots somebody holds.
    pub fn in_use(&self, host: &Host) -> u32 {
        let _search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
        let name = host.lock_name();
        let held = (0..host.slots)
            .filter(|number| !watch::is_free(&self.folder, &format!("cpu_{name}_{number}")));
        u32::try_from(held.count()).unwrap_or(u32::MAX)
    }

    /// How many slots of these hosts nobody holds, as far as `enough`. Looks only: they may be taken the next moment.
    pub fn free_remote(&self, hosts: &[&Host], enough: u32) -> u32 {
        let _search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = hosts.iter().filter(|host| !host.down);
        // Slots are taken in the order of their numbers, so the last are the likeliest to be free.
        let most = rows.clone().map(|host| host.slots).max().unwrap_or(0);
        let mut seen = Vec::new();
        let mut free = 0;
        for number in (0..most).rev() {
            for host in rows.clone().filter(|host| host.slots > number) {
                let name = format!("cpu_{}_{number}", host.lock_name());
                if free >= enough {
                    return free;
                }
                if !seen.contains(&name) {
                    free += u32::from(watch::is_free(&self.folder, &name));
                    seen.push(name);
                }
            }
        }
        free
    }

    /// One of the first `size` slots of this machine. A process takes its remote slot, if any, before this one.
    pub fn take_local(
        &self,
        pool: LocalPool,
        size: u32,
        patience: &Patience<'_>,
    ) -> Result<Slot, NoSlot> {
        let queue = match pool {
            LocalPool::Job => "local_job",
            LocalPool::Cpp => "local_cpp",
        };
        let row = Row {
            host: 0,
            name: HERE.to_owned(),
            first: 0,
            slots: size,
        };
        let wish = Wish::of(&[], &Outlook::blank);
        let mut slot = self.take(queue, &[row], &wish, patience)?;
        slot.here = true;
        Ok(slot)
    }

    fn take(
        &self,
        pool: &str,
        rows: &[Row],
        wish: &Wish<'_>,
        patience: &Patience<'_>,
    ) -> Result<Slot, NoSlot> {
        if rows.iter().all(|row| row.slots == 0) {
            return Err(NoSlot::NoHost);
        }
        let _search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = Queue::new(&self.folder, format!("{pool}_{:016x}", key(rows)));
        let (turn, waits) = match queue.enter(patience)? {
            Entered::Turn(turn) => (Some(turn), true),
            Entered::NoQueue => (None, true),
            // Somebody is before us and we may not wait: there may still be a slot for both.
            Entered::OutOfPatience => (None, false),
        };
        let since = Instant::now();
        loop {
            let open = without_barred(rows, wish)?;
            let outlook = (wish.outlook)();
            let mut watch = Watch::new(&self.folder, &open, &outlook, wish.here);
            if let Some(slot) = watch.look()? {
                return Ok(slot);
            }
            if !waits || patience.is_over() {
                return Err(NoSlot::Busy);
            }
            if let Some(slot) = watch.watch(turn.as_ref(), patience, since)? {
                return Ok(slot);
            }
        }
    }
}

/// The rows, without the slots of hosts that get no job now.
fn without_barred(rows: &[Row], wish: &Wish<'_>) -> Result<Vec<Row>, NoSlot> {
    let mut rows = rows.to_vec();
    let barred = wish.barred.map(|barred| barred()).unwrap_or_default();
    for (row, _) in rows.iter_mut().zip(barred).filter(|(_, barred)| *barred) {
        row.slots = row.first;
    }
    match rows.iter().all(|row| row.slots == row.first) {
        true => Err(NoSlot::NoHost),
        false => Ok(rows),
    }
}

/// Who wants the same slots queues in the same queue, in whatever order its list has the hosts.
fn key(rows: &[Row]) -> u64 {
    rows.iter()
        .map(|row| fnv1a(row.name.as_bytes()).wrapping_mul(u64::from(row.slots) | 1 << 32))
        .fold(0, u64::wrapping_add)
}

/// One host while a slot is looked for, at the same place as in the wish.
#[derive(Clone)]
struct Row {
    host: usize,
    name: String,
    /// Slots below this one belong to an earlier row of the same name.
    first: u32,
    slots: u32,
}

/// The slots of `hosts` that are not down.
fn rows(hosts: &[&Host]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::with_capacity(hosts.len());
    for (index, host) in hosts.iter().enumerate() {
        let name = host.lock_name();
        // A host that is named twice has the slots of the larger number, and each lock file is opened once: closing a
        // second descriptor would drop the lock.
        let before = rows.iter().filter(|row| row.name == name);
        let first = before.map(|row| row.slots).max().unwrap_or(0);
        rows.push(Row {
            host: index,
            name,
            first,
            slots: if host.down { first } else { host.slots },
        });
    }
    rows
}

/// A write lock on the whole file, if nobody else has one.
fn try_lock(file: impl AsFd) -> Result<bool, Errno> {
    match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Slot {
    /// Index into the hosts that were given to [`Slots::take_remote`]; 0 for a local slot.
    pub fn host_index(&self) -> usize {
        self.host
    }

    /// Is it one of this machine's own?
    pub fn is_here(&self) -> bool {
        self.here
    }

    /// Number of the slot on its host, from 0.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Leaves the lock to the program that this process is about to `exec`: it is held until that program exits.
    /// Where the `exec` fails, the lock stays until this process exits.
    pub fn keep_across_exec(self) -> Result<(), FolderError> {
        if let Some(file) = &self.file {
            rustix::io::fcntl_setfd(file, FdFlags::empty()).map_err(|source| {
                FolderError::Lock {
                    path: self.path.clone(),
                    source: source.into(),
                }
            })?;
        }
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The note goes last: a thread that opened the file before it is closed would lose its lock by the closing.
        drop(self.file.take());
        held().retain(|path| *path != self.path);
    }
}
