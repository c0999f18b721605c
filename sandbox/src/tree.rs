//! Trees of a client's files, laid out under their own names, that outlive a job: the next one writes only what changed.
//!
//! A tree is one job's at a time, and holds exactly what that job's closure names: no file more, since compilers probe for files
//! (`__has_include`), and no folder more, since they warn of missing ones. Jobs see it under a folder of their own and never write
//! to it. Each owner has trees of its own; who waits for none makes a new one.

mod contents;
mod wanted;

use std::collections::{BTreeMap, HashSet};
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
use contents::{Contents, Digest, New, Owner};
pub use wanted::{Bytes, Closure, Content, Entry, Misfit, Packed};
use wanted::{Item, Wanted};

#[derive(Debug)]
struct Slot {
    number: u64,
    owner: Owner,
    /// What stands where; for a file, which one of the contents it is.
    items: BTreeMap<OsString, (Item, Option<u64>)>,
    /// All contents that have a name here, or are about to.
    has: HashSet<u64>,
    /// Bytes that its names take here and in the kernel.
    weight: u64,
}

/// What the kernel keeps of a name beside its bytes.
const NAME: u64 = 1 << 10;

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Not in use, longest ago first.
    idle: Vec<Slot>,
}

#[derive(Debug)]
struct Shared {
    store: OwnedFd,
    shown: Shown,
    template: Template,
    contents: Contents,
    state: Mutex<State>,
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

/// Where contents are, below the store, each by its number; trees are beside this folder, and called by numbers too.
const CONTENTS: &str = "contents";
/// Bytes of contents that no tree names and that are kept all the same, and how many.
const SPARE_BYTES: u64 = 256 << 20;
const SPARE: usize = 20_000;

impl Trees {
    pub(crate) fn new(store: OwnedFd, template: Template, room: u64, kept: usize) -> Self {
        Self(Arc::new(Shared {
            store,
            shown: Shown,
            template,
            contents: Contents::new(room, SPARE_BYTES.min(room / 4), SPARE),
            state: Mutex::default(),
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
        if let Err(misfit) = shared.write(&mut slot, &wanted) {
            // A tree that is not as it should be.
            shared.remove(&slot);
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
        let idle = self.0.state().idle.len();
        (idle, self.0.contents.bytes())
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
        if let Some(at) = state.idle.iter().rposition(|slot| *slot.owner == *owner) {
            return state.idle.remove(at);
        }
        state.next += 1;
        Slot {
            number: state.next,
            owner: self.contents.add_tree(owner),
            items: BTreeMap::new(),
            has: HashSet::new(),
            weight: 0,
        }
    }

    fn give_back(&self, slot: Slot) {
        self.state().idle.push(slot);
        while let Some(old) = self.one_too_many() {
            self.remove(&old);
        }
    }

    fn one_too_many(&self) -> Option<Slot> {
        let mut state = self.state();
        let many = state.idle.len() > self.kept;
        let names = state.idle.iter().map(|slot| slot.weight).sum();
        (many || (self.contents.is_full(names) && state.idle.len() > 1))
            .then(|| state.idle.remove(0))
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
        let mut unnamed = Vec::new();
        // The deepest first: what is in a folder goes before it.
        for path in stale.iter().rev() {
            if let Some((item, content)) = slot.items.remove(path) {
                unnamed.extend(content);
                let path = Path::new(path);
                self.unlink(&place(slot.number, path), &item)
                    .map_err(|source| write_error(path, source))?;
            }
        }
        unnamed.iter().for_each(|number| {
            slot.has.remove(number);
        });
        self.remove_contents(&self.contents.release(unnamed));
        slot.weight = wanted.keys().map(|name| name.len() as u64 + NAME).sum();
        let mut folder = Open::default();
        for (name, (item, bytes)) in wanted {
            if slot.items.contains_key(name) {
                continue;
            }
            let path = Path::new(name);
            let failed = |source| write_error(path, source);
            let at = place(slot.number, path);
            let content = match item {
                Item::Folder => {
                    self.make_folder(&at).map_err(failed)?;
                    None
                }
                Item::Link(target) => {
                    rustix::fs::symlinkat(&**target, &self.store, &at)
                        .map_err(|error| failed(error.into()))?;
                    None
                }
                Item::File(digest) => {
                    let number = self.content(slot, path, digest, *bytes)?;
                    self.name(number, &at, &mut folder).map_err(failed)?;
                    Some(number)
                }
            };
            slot.items.insert(name.clone(), (item.clone(), content));
        }
        Ok(())
    }

    /// A file with these bytes that has no name in `slot` yet: one that was written before, or a new one.
    fn content(
        &self,
        slot: &mut Slot,
        path: &Path,
        digest: &Digest,
        bytes: Bytes<'_>,
    ) -> Result<u64, Misfit> {
        if let Some(number) = self.contents.take(&slot.owner, digest, &slot.has) {
            slot.has.insert(number);
            return Ok(number);
        }
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
        if !self.make_room(&slot.owner, bytes.len() as u64) {
            return Err(Misfit::Room);
        }
        let new = self.contents.number();
        if let Err(error) = self.write_content(new, bytes) {
            self.remove_contents(&[new.number]);
            return Err(write_error(path, error));
        }
        slot.has.insert(new.number);
        let len = bytes.len() as u64;
        let removed = self.contents.add(&slot.owner, *digest, new.number, len);
        self.remove_contents(&removed);
        Ok(new.number)
    }

    /// Lets go of what `owner` has and does not use, until so many bytes are free for it.
    fn make_room(&self, owner: &Owner, bytes: u64) -> bool {
        while !self.contents.fits(owner, bytes) {
            let spare = self.contents.drop_spare(owner);
            self.remove_contents(&spare);
            let mut state = self.state();
            let idle = state.idle.iter().position(|slot| slot.owner == *owner);
            let idle = idle.map(|at| state.idle.remove(at));
            drop(state);
            match idle {
                Some(idle) => self.remove(&idle),
                None if spare.is_empty() => return false,
                None => {}
            }
        }
        true
    }

    fn write_content(&self, new: New, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let path = content_place(new.number);
        let made = match rustix::fs::openat(&self.store, &path, flags, mode) {
            Err(Errno::NOENT) => {
                match self.make_folder(Path::new(CONTENTS)) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => {}
                }
                rustix::fs::openat(&self.store, &path, flags, mode)
            }
            made => made,
        };
        let file = File::from(made?);
        (&file).write_all(bytes)?;
        let time = Timespec {
            tv_sec: new.time,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        Ok(rustix::fs::futimens(&file, &times)?)
    }

    /// Lets a content stand at `at` too.
    fn name(&self, number: u64, at: &Path, open: &mut Open) -> io::Result<()> {
        let (Some(above), Some(name)) = (at.parent(), at.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let folder = match &mut open.0 {
            Some((path, folder)) if path == above => folder,
            other => {
                // No name on the way is a link: `wanted` saw to that. Said once more, for the kernel.
                let beneath =
                    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let none = Mode::empty();
                let folder = rustix::fs::openat2(&self.store, above, flags, none, beneath)?;
                &mut other.insert((above.to_owned(), folder)).1
            }
        };
        let content = content_place(number);
        let flags = AtFlags::empty();
        Ok(rustix::fs::linkat(
            &self.store,
            content,
            &*folder,
            name,
            flags,
        )?)
    }

    fn remove_contents(&self, numbers: &[u64]) {
        for number in numbers {
            // What is left stays until the box ends, and counts no more.
            let _ = rustix::fs::unlinkat(&self.store, content_place(*number), AtFlags::empty());
        }
    }

    fn make_folder(&self, at: &Path) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(
            &self.store,
            at,
            Mode::from_raw_mode(0o755),
        )?)
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
        let removed = self
            .contents
            .drop_tree(&slot.owner, slot.has.iter().copied());
        self.remove_contents(&removed);
    }
}

/// The folder that a name was made in last; the next one is often made there too.
#[derive(Default)]
struct Open(Option<(PathBuf, OwnedFd)>);

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

fn content_place(number: u64) -> PathBuf {
    Path::new(CONTENTS).join(number.to_string())
}
