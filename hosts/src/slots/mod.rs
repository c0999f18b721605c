//! Slots: the right to run one job on one host, held as a lock file that stock clients lock too (facts 4.1, 4.2).
//!
//! Knows nothing of which hosts are worth a try; the caller leaves those out.
//!
//! POSIX record locks belong to a process, and closing *any* descriptor of a file drops them. So a process keeps a note
//! of the files it holds and never opens one of them again.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::{Errno, FdFlags};

use crate::folder::{Folder, FolderError};
use crate::list::Host;

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
    /// Asked when a signal came, when it becomes this process's turn, and about once in a second: stop waiting?
    pub give_up: &'a dyn Fn() -> bool,
}

/// Why there is no slot.
#[derive(Debug, thiserror::Error)]
pub enum NoSlot {
    /// All were taken for as long as the caller's patience lasted.
    #[error("all slots are taken")]
    Busy,
    /// No host was given, or each is marked `down`.
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
        }
    }

    /// A slot of the first host that has one free: slot 0 of each in their order, then slot 1 of each, and so on.
    /// Waits its turn while all are taken.
    pub fn take_remote(&self, hosts: &[&Host], patience: &Patience<'_>) -> Result<Slot, NoSlot> {
        let rows: Vec<Row> = hosts
            .iter()
            .enumerate()
            .filter(|(_, host)| !host.down)
            .map(|(index, host)| Row {
                host: index,
                name: host.lock_name(),
                slots: host.slots,
            })
            .collect();
        self.take("remote", &rows, patience)
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
        self.take(
            queue,
            &[Row {
                host: 0,
                name: "localhost".to_owned(),
                slots: size,
            }],
            patience,
        )
    }

    fn take(&self, _queue: &str, rows: &[Row], patience: &Patience<'_>) -> Result<Slot, NoSlot> {
        if rows.iter().all(|row| row.slots == 0) {
            return Err(NoSlot::NoHost);
        }
        loop {
            for (row, number) in breadth_first(rows) {
                if let Some(slot) = self.try_slot(row, number)? {
                    return Ok(slot);
                }
            }
            if (patience.give_up)() || patience.until.is_some_and(|until| Instant::now() >= until) {
                return Err(NoSlot::Busy);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn try_slot(&self, row: &Row, number: u32) -> Result<Option<Slot>, FolderError> {
        let path = self
            .folder
            .lock()
            .join(format!("cpu_{}_{number}", row.name));
        let mut held = held();
        if held.contains(&path) {
            return Ok(None);
        }
        let file = self.folder.open(&path)?;
        if !try_lock(&file).map_err(|source| FolderError::Lock {
            path: path.clone(),
            source: source.into(),
        })? {
            return Ok(None);
        }
        held.push(path.clone());
        Ok(Some(Slot {
            file: Some(file),
            path,
            host: row.host,
            number,
        }))
    }
}

/// One host while a slot is looked for.
struct Row {
    host: usize,
    name: String,
    slots: u32,
}

fn breadth_first(rows: &[Row]) -> impl Iterator<Item = (&Row, u32)> {
    let most = rows.iter().map(|row| row.slots).max().unwrap_or(0);
    (0..most).flat_map(move |number| {
        rows.iter()
            .filter(move |row| number < row.slots)
            .map(move |row| (row, number))
    })
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
