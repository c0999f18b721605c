//! Where the records are: one small file beside the locks, `$DISTCC_DIR/lock/paces`, shared by all launchers of the user.
//!
//! Readers take no lock. Writers take one for a few microseconds, and do without writing where it is not to be had: what one
//! job took is no loss.

use std::cell::{OnceCell, RefCell};
use std::fs::File;
use std::time::Duration;

use rustix::event::poll;
use rustix::fs::{FlockOperation, flock};

use super::record::{Record, Section};
use crate::folder::Folder;
use crate::slots::timespec;

/// Records, by their section and number.
pub trait Store {
    /// While it lives, nobody else writes.
    type Guard<'s>
    where
        Self: 's;

    /// `None` where nothing can be written, or not now.
    fn lock(&self) -> Option<Self::Guard<'_>>;

    /// `None` where none was written, or none that is whole.
    fn read<R: Record>(&self, number: u64) -> Option<R>;

    /// Only under the lock.
    fn write<R: Record>(&self, number: u64, record: &R);
}

/// The file.
#[derive(Debug)]
pub struct Table {
    folder: Folder,
    file: OnceCell<Option<File>>,
}

/// Unlocks when it is dropped.
#[derive(Debug)]
pub struct TableGuard<'t>(&'t File);

/// How often, and with which pause, a writer tries to get the lock.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(1);

impl Table {
    pub fn new(folder: &Folder) -> Table {
        Table {
            folder: folder.clone(),
            file: OnceCell::new(),
        }
    }

    /// The file as it is, for who only looks: it is not created, and nothing is written to it.
    pub fn to_look_at(folder: &Folder) -> Table {
        Table {
            folder: folder.clone(),
            file: OnceCell::from(File::open(folder.lock().join("paces")).ok()),
        }
    }

    fn file(&self) -> Option<&File> {
        let open = || {
            self.folder
                .open_plain(&self.folder.lock().join("paces"))
                .ok()
        };
        self.file.get_or_init(open).as_ref()
    }
}

fn place<R: Record>(number: u64) -> u64 {
    R::SECTION.start() + number % R::SECTION.records() * R::SECTION.size() as u64
}

impl Store for Table {
    type Guard<'s> = TableGuard<'s>;

    fn lock(&self) -> Option<TableGuard<'_>> {
        let file = self.file()?;
        for _ in 0..TRIES {
            if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Some(TableGuard(file));
            }
            // A signal only shortens it.
            let _ = poll(&mut [], Some(&timespec(PAUSE)));
        }
        None
    }

    fn read<R: Record>(&self, number: u64) -> Option<R> {
        let mut bytes = [0; MAX_RECORD];
        let bytes = &mut bytes[..R::SECTION.size()];
        let count = rustix::io::pread(self.file()?, &mut *bytes, place::<R>(number)).ok()?;
        R::decode(&bytes[..count])
    }

    fn write<R: Record>(&self, number: u64, record: &R) {
        if let Some(file) = self.file() {
            let _ = rustix::io::pwrite(file, &record.encode(), place::<R>(number));
        }
    }
}

/// Bytes of the largest record.
const MAX_RECORD: usize = 256;
const _: () = assert!(Section::Hosts.size() <= MAX_RECORD && Section::Window.size() <= MAX_RECORD);

impl Drop for TableGuard<'_> {
    fn drop(&mut self) {
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

/// Records in memory, for simulations and tests.
#[derive(Debug, Default)]
pub struct InMemory(RefCell<Vec<u8>>);

impl Store for InMemory {
    type Guard<'s> = ();

    fn lock(&self) -> Option<()> {
        Some(())
    }

    fn read<R: Record>(&self, number: u64) -> Option<R> {
        let start = place::<R>(number) as usize;
        let bytes = self.0.borrow();
        R::decode(bytes.get(start..start + R::SECTION.size())?)
    }

    fn write<R: Record>(&self, number: u64, record: &R) {
        let start = place::<R>(number) as usize;
        let record = record.encode();
        let mut bytes = self.0.borrow_mut();
        if bytes.len() < start + record.len() {
            bytes.resize(start + record.len(), 0);
        }
        bytes[start..start + record.len()].copy_from_slice(&record);
    }
}
