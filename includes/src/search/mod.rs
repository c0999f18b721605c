//! Which file does a name in a source mean?

mod chain;
mod member;
mod missed;

pub(crate) use chain::{Folders, Plan, folders};
pub(crate) use member::{is_below, member};
pub(crate) use missed::{Miss, Missed};

use crate::Family;
use crate::closure::Member;
use crate::disk::{FileId, FolderId, Found, Map, Trail, Tree};
use crate::lex::Inclusion;
use crate::names::{Name, Names};
use std::sync::Arc;

/// A folder that is searched.
#[derive(Debug)]
pub(crate) struct SearchFolder {
    /// As the command or the compiler names it.
    pub(crate) name: Vec<u8>,
    pub(crate) id: FolderId,
    identity: (u64, u64),
    pub(crate) system: bool,
    framework: bool,
    pub(crate) trail: Trail,
}

impl SearchFolder {
    fn key(&self) -> (u64, u64, bool) {
        (self.identity.0, self.identity.1, self.framework)
    }
}

/// A file under a name, as it is found in one [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct OpenedId(pub(crate) u32);

/// How a file was found: where `#include_next` goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// Named by the command.
    Command,
    /// By the folder of the file that includes it.
    Beside,
    /// By this folder of the search; to clang also beside a file that was.
    Folder(u32),
    /// By an absolute name.
    Absolute,
}

#[derive(Debug)]
pub(crate) struct Opened {
    /// As the compiler names it.
    pub(crate) path: Name,
    /// `None` for a device, which is empty.
    pub(crate) file: Option<FileId>,
    pub(crate) origin: Origin,
    pub(crate) trail: Trail,
    /// Below one of the compiler's own folders?
    pub(crate) system: bool,
    pub(crate) member: Option<Arc<Member>>,
    /// What was looked for before it and is not there.
    pub(crate) missed: Vec<Miss>,
}

/// What is asked of a file each time that it is included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hot {
    /// The path up to and with its last slash.
    folder: Name,
    /// Stands for what a search from here depends on: the folder and, to clang, by which one the file was found.
    start: u32,
    /// The question that it was listed for, and where in the list.
    pub(crate) listed: (u32, u32),
    /// What makes it do nothing, once it was run for this question.
    pub(crate) skip: Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    Never,
    Always,
    /// When this macro is defined.
    Guarded(Name),
}

/// A file that was looked for; with the question that it counts for when nobody watches all of the folders.
type Lookup = (Option<OpenedId>, Option<u32>);

/// A working folder and a search path, and what was found with them.
#[derive(Debug)]
pub(crate) struct Place {
    family: Family,
    pub(crate) cwd: FolderId,
    pub(crate) folders: Folders,
    /// Real names of the compiler's own folders.
    pub(crate) system: Arc<[std::path::PathBuf]>,
    lookups: Map<(u32, u32), Lookup>,
    pub(crate) missed: Missed,
    pub(crate) opened: Vec<Opened>,
    pub(crate) hot: Vec<Hot>,
    /// Tells this place from any other, and from itself before something changed.
    pub(crate) serial: u32,
    by_path: Map<(u32, u32), OpenedId>,
    starts: Map<(u32, u32), u32>,
    /// The state of the tree that all this is for.
    pub(crate) generation: u64,
    pub(crate) last_used: u32,
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) from: OpenedId,
    pub(crate) kind: Inclusion,
    pub(crate) quote: bool,
    pub(crate) name: Name,
}

impl Place {
    pub(crate) fn new(
        family: Family,
        cwd: FolderId,
        folders: Folders,
        missed: Missed,
        generation: u64,
        serial: u32,
    ) -> Place {
        Place {
            family,
            cwd,
            folders,
            system: missed.system(),
            missed,
            lookups: Map::default(),
            opened: Vec::new(),
            hot: Vec::new(),
            serial,
            by_path: Map::default(),
            starts: Map::default(),
            generation,
            last_used: 0,
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.lookups.len() * 32 + self.opened.len() * 200 + self.folders.all.len() * 128
    }

    pub(crate) fn get(&self, id: OpenedId) -> &Opened {
        &self.opened[id.0 as usize]
    }

    pub(crate) fn hot(&mut self, id: OpenedId) -> &mut Hot {
        &mut self.hot[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: OpenedId) -> &mut Opened {
        &mut self.opened[id.0 as usize]
    }

    /// The file that a directive means.
    pub(crate) fn find(
        &mut self,
        wish: Wish,
        tree: &mut Tree,
        names: &mut Names,
    ) -> Option<OpenedId> {
        self.find_lasting(wish, tree, names).0
    }

    /// The file that a directive means, and whether it will be the same for other questions until the place changes.
    pub(crate) fn find_lasting(
        &mut self,
        wish: Wish,
        tree: &mut Tree,
        names: &mut Names,
    ) -> (Option<OpenedId>, bool) {
        let key = self.key(wish);
        if let Some(&(found, only)) = self.lookups.get(&key)
            && only.is_none_or(|question| question == tree.question)
        {
            return (found, only.is_none());
        }
        let mut unwatched = false;
        self.missed.begin();
        let found = self.search(wish, tree, names, &mut unwatched);
        self.note_missed(key, found);
        let only = unwatched.then_some(tree.question);
        self.lookups.insert(key, (found, only));
        (found, only.is_none())
    }

    /// What was looked for in vain since [`Missed::begin`] belongs to what was found in the end, or else to the wish.
    fn note_missed(&mut self, key: (u32, u32), found: Option<OpenedId>) {
        match found {
            Some(found) => self
                .missed
                .give_to(&mut self.opened[found.0 as usize].missed),
            None => self.missed.keep(key),
        }
    }

    /// From which folder on, those for quotes left out, a wish has a name looked for.
    pub(crate) fn start_of(&self, wish: Wish) -> usize {
        let first = match (wish.kind, self.get(wish.from).origin) {
            (Inclusion::Next, Origin::Folder(at)) => at as usize + 1,
            _ => 0,
        };
        first.max(self.folders.angle)
    }

    /// What was looked for in vain by a wish that nothing was found for.
    pub(crate) fn missed_by(&self, wish: Wish) -> &[Miss] {
        self.missed.by(self.key(wish))
    }

    /// What a search depends on: where it begins, and the name.
    fn key(&self, wish: Wish) -> (u32, u32) {
        let from = self.hot[wish.from.0 as usize];
        let start = match (wish.kind, wish.quote) {
            (Inclusion::Next, quote) => 1 << 31 | wish.from.0 << 1 | u32::from(quote),
            (_, true) => from.start + 1,
            (_, false) => 0,
        };
        (start, wish.name.0)
    }

    fn search(
        &mut self,
        wish: Wish,
        tree: &mut Tree,
        names: &mut Names,
        unwatched: &mut bool,
    ) -> Option<OpenedId> {
        let name = names.get(wish.name).to_vec();
        if name.is_empty() {
            return None;
        }
        if name.first() == Some(&b'/') {
            let found = self.open(&name, Origin::Absolute, tree, names, unwatched);
            if found.is_none() {
                self.missed.beside(&name, self.cwd, tree, names);
            }
            return found;
        }
        let from = self.get(wish.from);
        let beside = self.hot[wish.from.0 as usize].folder;
        let (first, look_beside) = match (wish.kind, from.origin) {
            (Inclusion::Next, Origin::Folder(at)) => (at as usize + 1, false),
            (Inclusion::Next, Origin::Beside) if self.family == Family::Gcc => (0, false),
            _ if wish.quote => (0, !self.folders.only_named),
            _ => (self.folders.angle, false),
        };
        if look_beside {
            let mut path = names.get(beside).to_vec();
            path.extend_from_slice(&name);
            let origin = match (self.family, from.origin) {
                (Family::Clang, Origin::Folder(at)) => Origin::Folder(at),
                _ => Origin::Beside,
            };
            if let Some(found) = self.open(&path, origin, tree, names, unwatched) {
                return Some(found);
            }
            self.missed.beside(&path, self.cwd, tree, names);
        }
        (first..self.folders.all.len())
            .find_map(|at| self.look_in(at, &name, tree, names, unwatched))
    }

    /// The file that the command names with `-include`: beside the working folder first.
    pub(crate) fn find_forced(
        &mut self,
        name: &[u8],
        tree: &mut Tree,
        names: &mut Names,
    ) -> Option<OpenedId> {
        let mut unwatched = false;
        if name.first() == Some(&b'/') {
            return self.open(name, Origin::Absolute, tree, names, &mut unwatched);
        }
        let beside = match self.family {
            Family::Gcc => [b"./", name].concat(),
            Family::Clang => name.to_vec(),
        };
        self.missed.begin();
        if let Some(found) = self.open(&beside, Origin::Beside, tree, names, &mut unwatched) {
            return Some(found);
        }
        self.missed.beside(&beside, self.cwd, tree, names);
        self.look_in_all(0, name, tree, names)
    }

    /// The header that the compiler includes on its own.
    pub(crate) fn find_angle(
        &mut self,
        name: &[u8],
        tree: &mut Tree,
        names: &mut Names,
    ) -> Option<OpenedId> {
        self.missed.begin();
        self.look_in_all(self.folders.angle, name, tree, names)
    }

    /// A name that no directive wishes for, in the folders from `first` on.
    fn look_in_all(
        &mut self,
        first: usize,
        name: &[u8],
        tree: &mut Tree,
        names: &mut Names,
    ) -> Option<OpenedId> {
        let mut unwatched = false;
        let found = (first..self.folders.all.len())
            .find_map(|at| self.look_in(at, name, tree, names, &mut unwatched))?;
        self.missed
            .give_to(&mut self.opened[found.0 as usize].missed);
        Some(found)
    }

    fn look_in(
        &mut self,
        at: usize,
        name: &[u8],
        tree: &mut Tree,
        names: &mut Names,
        unwatched: &mut bool,
    ) -> Option<OpenedId> {
        let folder = &self.folders.all[at];
        if folder.framework {
            return self.look_in_frameworks(at, name, tree, names, unwatched);
        }
        let mut trail = Trail::default();
        let found = tree.resolve(folder.id, name, names, &mut trail);
        *unwatched |= trail.unwatched;
        let Some(found) = found else {
            self.missed.within(folder.id, name, tree, names);
            return None;
        };
        let mut path = folder.name.clone();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        if folder.system
            && self.family == Family::Gcc
            && let Found::File(file) = found
        {
            let real = &tree.file(file).path;
            if real.len() < path.len() {
                path = real.to_vec();
            }
        }
        trail.links.extend_from_slice(&folder.trail.links);
        trail.left.extend_from_slice(&folder.trail.left);
        self.add(&path, found, Origin::Folder(at as u32), trail, tree, names)
    }

    /// `<A/b.h>` is `A.framework/Headers/b.h`.
    fn look_in_frameworks(
        &mut self,
        at: usize,
        name: &[u8],
        tree: &mut Tree,
        names: &mut Names,
        unwatched: &mut bool,
    ) -> Option<OpenedId> {
        let slash = memchr::memchr(b'/', name)?;
        let (framework, header) = (&name[..slash], &name[slash + 1..]);
        [&b"Headers"[..], b"PrivateHeaders"]
            .iter()
            .find_map(|kind| {
                let path = [
                    &self.folders.all[at].name[..],
                    b"/",
                    framework,
                    b".framework/",
                    kind,
                    b"/",
                    header,
                ]
                .concat();
                self.open(&path, Origin::Folder(at as u32), tree, names, unwatched)
            })
    }

    /// The file of this name, relative to the working folder.
    pub(crate) fn open(
        &mut self,
        path: &[u8],
        origin: Origin,
        tree: &mut Tree,
        names: &mut Names,
        unwatched: &mut bool,
    ) -> Option<OpenedId> {
        let mut trail = Trail::default();
        let found = tree.resolve(self.cwd, path, names, &mut trail);
        *unwatched |= trail.unwatched;
        self.add(path, found?, origin, trail, tree, names)
    }

    fn add(
        &mut self,
        path: &[u8],
        found: Found,
        origin: Origin,
        trail: Trail,
        tree: &Tree,
        names: &mut Names,
    ) -> Option<OpenedId> {
        let file = match found {
            Found::File(file) => Some(file),
            Found::Device => None,
            Found::Folder(_) => return None,
        };
        let name = names.add(path);
        let from = match origin {
            Origin::Command => 0,
            Origin::Beside => 1,
            Origin::Absolute => 2,
            Origin::Folder(at) => 3 + at,
        };
        if let Some(&known) = self.by_path.get(&(name.0, from))
            && self.get(known).file == file
        {
            return Some(known);
        }
        let slash = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
        let folder = names.add(&path[..slash]);
        let found_by = match self.family {
            Family::Gcc => 0,
            Family::Clang => from,
        };
        let next = self.starts.len() as u32;
        let start = *self.starts.entry((folder.0, found_by)).or_insert(next);
        let system = file.is_some_and(|file| is_below(&tree.file(file).path, &self.system));
        let id = OpenedId(self.opened.len() as u32);
        self.opened.push(Opened {
            path: name,
            file,
            origin,
            trail,
            system,
            member: None,
            missed: Vec::new(),
        });
        self.hot.push(Hot {
            folder,
            start,
            listed: (0, 0),
            skip: Skip::Never,
        });
        self.by_path.insert((name.0, from), id);
        Some(id)
    }
}
