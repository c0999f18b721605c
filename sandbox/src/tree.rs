//! Trees of a client's files, laid out under their own names, that outlive a job: the next one writes only what changed.
//!
//! A tree is one job's at a time, and holds exactly what that job's closure names: no file more, since compilers probe for files
//! (`__has_include`), and no folder more, since they warn of missing ones. Jobs see it under a folder of their own and never write
//! to it. Each owner has trees of its own; who waits for none makes a new one.

mod wanted;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::shown::Shown;
use crate::template::Template;
pub use wanted::{Bytes, Closure, Content, Entry, Misfit, Packed};
use wanted::{Item, Wanted};

#[derive(Debug)]
struct Slot {
    number: u64,
    owner: Vec<u8>,
    /// What stands where, and its bytes.
    items: BTreeMap<OsString, (Item, u64)>,
    bytes: u64,
    /// Seconds that the next file's time of modification stands at: another for each, since gcc takes two files of the same
    /// content and time for one.
    clock: i64,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Not in use, longest ago first.
    idle: Vec<Slot>,
    /// Of all slots, idle or not.
    bytes: u64,
}

#[derive(Debug)]
struct Shared {
    store: OwnedFd,
    shown: Shown,
    template: Template,
    state: Mutex<State>,
    /// Bytes above which idle trees are thrown away.
    room: u64,
    /// Idle trees that are kept.
    kept: usize,
}

/// All trees of a box.
#[derive(Debug, Clone)]
pub struct Trees(Arc<Shared>);

/// A tree for one job. Goes back to its owner's trees when dropped.
#[derive(Debug)]
pub struct Tree {
    shared: Arc<Shared>,
    slot: Option<Slot>,
    merged: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
}

/// The first file's time of modification; long ago, so that nothing is younger than its reader.
const EPOCH: i64 = 1_000_000_000;

impl Trees {
    pub(crate) fn new(store: OwnedFd, template: Template, room: u64, kept: usize) -> Self {
        Self(Arc::new(Shared {
            store,
            shown: Shown,
            template,
            state: Mutex::default(),
            room,
            kept,
        }))
    }

    /// Lays out `closure` in one of `owner`'s trees. Blocks for as long as files are written in memory.
    ///
    /// # Errors
    /// [`Misfit`] names what cannot be there.
    pub fn lay_out(&self, owner: &[u8], closure: &Closure<'_>) -> Result<Tree, Misfit> {
        let shared = &self.0;
        let wanted = shared.wanted(closure)?;
        let mut slot = shared.take(owner);
        let before = slot.bytes;
        let written = shared.write(&mut slot, &wanted);
        let mut state = shared.state();
        state.bytes = state.bytes - before + slot.bytes;
        drop(state);
        if let Err(misfit) = written {
            shared.discard(&slot);
            return Err(misfit);
        }
        let above = wanted.keys().filter_map(|path| Path::new(path).parent());
        let mut above: Vec<&OsStr> = above.map(Path::as_os_str).collect();
        above.sort_unstable();
        above.dedup();
        let merged = above.into_iter().map(PathBuf::from);
        let merged = merged.filter(|folder| shared.template.shows(folder));
        let merged = merged.collect();
        let hidden = closure
            .hidden
            .iter()
            .map(|folder| shared.template.real(folder))
            .collect();
        Ok(Tree {
            shared: Arc::clone(shared),
            slot: Some(slot),
            merged,
            hidden,
        })
    }

    /// The folders of this machine's toolchain that jobs see.
    #[must_use]
    pub fn toolchain(&self) -> &[PathBuf] {
        &self.0.template.folders
    }

    /// How many trees there are that no job uses, and the bytes of all.
    #[must_use]
    pub fn usage(&self) -> (usize, u64) {
        let state = self.0.state();
        (state.idle.len(), state.bytes)
    }
}

impl Tree {
    pub(crate) fn number(&self) -> u64 {
        self.slot.as_ref().map_or(0, |slot| slot.number)
    }

    /// Folders of this tree that lie below toolchain's.
    pub(crate) fn merged(&self) -> &[PathBuf] {
        &self.merged
    }

    pub(crate) fn hidden(&self) -> &[PathBuf] {
        &self.hidden
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.shared.give_back(slot);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree that `owner` used last, or a new one.
    fn take(&self, owner: &[u8]) -> Slot {
        let mut state = self.state();
        if let Some(at) = state.idle.iter().rposition(|slot| slot.owner == owner) {
            return state.idle.remove(at);
        }
        state.next += 1;
        Slot {
            number: state.next,
            owner: owner.to_owned(),
            items: BTreeMap::new(),
            bytes: 0,
            clock: EPOCH,
        }
    }

    fn give_back(&self, slot: Slot) {
        let mut state = self.state();
        state.idle.push(slot);
        let mut old = Vec::new();
        while state.idle.len() > self.kept || (state.bytes > self.room && state.idle.len() > 1) {
            let slot = state.idle.remove(0);
            state.bytes -= slot.bytes;
            old.push(slot);
        }
        drop(state);
        old.iter().for_each(|slot| self.remove(slot));
    }

    /// Throws away a tree that is not as it should be.
    fn discard(&self, slot: &Slot) {
        self.state().bytes -= slot.bytes;
        self.remove(slot);
    }

    /// Changes what the slot has into what is wanted.
    fn write(&self, slot: &mut Slot, wanted: &Wanted<'_>) -> Result<(), Misfit> {
        let root = PathBuf::from(slot.number.to_string());
        if slot.items.is_empty() {
            match self.make_folder(&root) {
                // A slot whose last closure was empty has it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made.map_err(|source| write_error(&root, source))?,
            }
        }
        let stale = slot.items.iter().filter(|(path, (item, _))| {
            let wanted = wanted.get(*path);
            wanted.is_none_or(|(wanted, _)| wanted != item)
        });
        let stale: Vec<OsString> = stale.map(|(path, _)| path.clone()).collect();
        // The deepest first: what is in a folder goes before it.
        for path in stale.iter().rev() {
            if let Some((item, len)) = slot.items.remove(path) {
                slot.bytes -= len;
                let path = Path::new(path);
                self.unlink(&place(slot.number, path), &item)
                    .map_err(|source| write_error(path, source))?;
            }
        }
        for (name, (item, bytes)) in wanted {
            if slot.items.contains_key(name) {
                continue;
            }
            let path = Path::new(name);
            let unpacked;
            let bytes = match bytes {
                Bytes::These(bytes) => bytes,
                Bytes::From(packed) => {
                    unpacked = packed.unpack().map_err(|source| Misfit::Content {
                        path: path.to_owned(),
                        source,
                    })?;
                    &unpacked[..]
                }
            };
            let at = place(slot.number, path);
            slot.clock += 1;
            self.make(&at, item, bytes, slot.clock)
                .map_err(|source| write_error(path, source))?;
            let len = bytes.len() as u64;
            slot.bytes += len;
            slot.items.insert(name.clone(), (item.clone(), len));
        }
        Ok(())
    }

    fn make_folder(&self, at: &Path) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(
            &self.store,
            at,
            Mode::from_raw_mode(0o755),
        )?)
    }

    fn make(&self, at: &Path, item: &Item, bytes: &[u8], clock: i64) -> io::Result<()> {
        match item {
            Item::Folder => self.make_folder(at),
            Item::Link(target) => Ok(rustix::fs::symlinkat(&**target, &self.store, at)?),
            Item::File(_) => {
                // No name on the way is a link: `wanted` saw to that. Said once more, for the kernel.
                let beneath =
                    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(0o644);
                let file = File::from(rustix::fs::openat2(&self.store, at, flags, mode, beneath)?);
                (&file).write_all(bytes)?;
                let time = Timespec {
                    tv_sec: clock,
                    tv_nsec: 0,
                };
                let times = Timestamps {
                    last_access: time,
                    last_modification: time,
                };
                Ok(rustix::fs::futimens(&file, &times)?)
            }
        }
    }

    fn unlink(&self, at: &Path, item: &Item) -> io::Result<()> {
        let flags = match item {
            Item::Folder => AtFlags::REMOVEDIR,
            _ => AtFlags::empty(),
        };
        Ok(rustix::fs::unlinkat(&self.store, at, flags)?)
    }

    fn remove(&self, slot: &Slot) {
        for (path, (item, _)) in slot.items.iter().rev() {
            // What is left stays until the box ends, and counts no more.
            let _ = self.unlink(&place(slot.number, Path::new(path)), item);
        }
        let _ = self.unlink(Path::new(&slot.number.to_string()), &Item::Folder);
    }
}

fn write_error(path: &Path, source: io::Error) -> Misfit {
    match Errno::from_io_error(&source) {
        Some(Errno::EXIST | Errno::NOTDIR | Errno::LOOP) => Misfit::Clash(path.to_owned()),
        _ => Misfit::Write {
            path: path.to_owned(),
            source,
        },
    }
}

fn place(number: u64, path: &Path) -> PathBuf {
    Path::new(&number.to_string()).join(path.strip_prefix("/").unwrap_or(path))
}
