//! What a closure wants to stand where, and what must not.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::Shared;
use crate::paths::is_plain;

/// One name of a closure.
#[derive(Clone)]
pub struct Entry<'a> {
    /// Absolute, of plain components.
    pub name: &'a Path,
    pub content: Content<'a>,
}

#[derive(Clone)]
pub enum Content<'a> {
    /// `digest` stands for the bytes, which are asked for only where a tree does not have them: of a hash that nobody can find two
    /// contents for.
    File {
        digest: [u8; 16],
        bytes: Bytes<'a>,
    },
    /// A symbolic link and its own text.
    Link(&'a OsStr),
    Folder,
}

/// A file's bytes.
#[derive(Clone, Copy)]
pub enum Bytes<'a> {
    These(&'a [u8]),
    /// What this gives.
    From(&'a dyn Packed),
}

/// Bytes in another form.
pub trait Packed {
    /// # Errors
    /// There are no such bytes.
    fn unpack(&self) -> io::Result<Vec<u8>>;
}

/// All that a job shall find.
#[derive(Clone, Default)]
pub struct Closure<'a> {
    pub entries: Vec<Entry<'a>>,
    /// Folders of the machine's toolchain in which nothing shall be found but what `entries` say.
    pub hidden: Vec<PathBuf>,
}

/// Why a closure cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum Misfit {
    #[error("not a plain absolute name: {}", .0.display())]
    Name(PathBuf),
    #[error("named twice, or below something that is no folder: {}", .0.display())]
    Clash(PathBuf),
    #[error("would stand in the way of this machine's toolchain: {}", .0.display())]
    Toolchain(PathBuf),
    #[error("more names, or longer ones, than a job may have")]
    Names,
    #[error("more bytes than one client's files may have here")]
    Room,
    #[error("could not unpack {}", path.display())]
    Content { path: PathBuf, source: io::Error },
    #[error("could not write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// What stands at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Folder,
    /// Of this content.
    File([u8; 16]),
    Link(Box<OsStr>),
}

/// What is wanted at a name: the same with bytes to write. Names are in the order of their bytes, which puts a folder before what is
/// in it, and which is told ten times as fast as that of paths.
pub(super) type Wanted<'a> = BTreeMap<OsString, (Item, Bytes<'a>)>;

/// Names of a closure, folders on the way included, and their bytes: a name of 4 KiB can stand below two thousand folders.
const MAX_NAMES: usize = 200_000;
const MAX_NAME_BYTES: usize = 32 << 20;

/// What is wanted so far.
#[derive(Default)]
struct Names<'a> {
    wanted: Wanted<'a>,
    bytes: usize,
}

impl<'a> Names<'a> {
    fn add(&mut self, path: OsString, item: Item, bytes: Bytes<'a>) -> Result<(), Misfit> {
        self.bytes += path.len();
        if self.wanted.len() >= MAX_NAMES || self.bytes > MAX_NAME_BYTES {
            return Err(Misfit::Names);
        }
        match self.wanted.entry(path) {
            btree_map::Entry::Vacant(free) => free.insert((item, bytes)),
            btree_map::Entry::Occupied(taken) => return Err(Misfit::Clash(taken.key().into())),
        };
        Ok(())
    }

    /// Wants `path` and all above it to be folders.
    fn add_folders(&mut self, path: &Path) -> Result<(), Misfit> {
        for folder in path.ancestors().filter(|folder| folder.as_os_str() != "/") {
            match self.wanted.get(folder.as_os_str()) {
                Some((Item::Folder, _)) => return Ok(()),
                Some(_) => return Err(Misfit::Clash(folder.to_owned())),
                None => self.add(folder.into(), Item::Folder, Bytes::These(&[]))?,
            }
        }
        Ok(())
    }
}

impl Shared {
    /// What must stand at which name, folders on the way included.
    pub(super) fn wanted<'a>(&self, closure: &Closure<'a>) -> Result<Wanted<'a>, Misfit> {
        let mut names = Names::default();
        for entry in &closure.entries {
            if !is_plain(entry.name) || entry.name == Path::new("/") {
                return Err(Misfit::Name(entry.name.to_owned()));
            }
            let path = self.template.real(entry.name);
            let none = Bytes::These(&[]);
            let (item, bytes) = match &entry.content {
                Content::File { digest, bytes } => (Item::File(*digest), *bytes),
                Content::Link(target) => (Item::Link((*target).into()), none),
                Content::Folder => (Item::Folder, none),
            };
            if !self.may_stand(&path, &item, &closure.hidden)? {
                continue;
            }
            if item == Item::Folder {
                names.add_folders(&path)?;
                continue;
            }
            if let Some(above) = path.parent() {
                names.add_folders(above)?;
            }
            names.add(path.into_os_string(), item, bytes)?;
        }
        Ok(names.wanted)
    }

    /// Whether an entry is to be written: not what the machine has just so.
    fn may_stand(&self, path: &Path, item: &Item, hidden: &[PathBuf]) -> Result<bool, Misfit> {
        let in_way = || Misfit::Toolchain(path.to_owned());
        if !self.template.shows(path) {
            // A file or link above one of the toolchain's folders would hide it.
            let hides = *item != Item::Folder && self.template.is_above(path);
            return if hides { Err(in_way()) } else { Ok(true) };
        }
        if hidden.iter().any(|folder| path.starts_with(folder)) {
            return Ok(true);
        }
        match item {
            Item::Link(target)
                if std::fs::read_link(path).is_ok_and(|own| own.as_os_str() == &**target) =>
            {
                Ok(false)
            }
            Item::Folder if self.shown.is_folder_or_free(path) => Ok(true),
            Item::File(_) | Item::Link(_) if self.shown.may_be_covered(path) => Ok(true),
            _ => Err(in_way()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_with_the_folders_above_them() {
        let none = Bytes::These(&[]);
        let mut names = Names::default();
        let folder = PathBuf::from(format!("/w{}", "/d".repeat(1000)));
        names.add_folders(&folder).unwrap();
        assert_eq!(names.wanted.len(), 1001);
        // A thousand names of a thousand bytes, for a name of two thousand.
        assert!(names.bytes > 1_000_000);
        let deep = (0..100).find_map(|number| {
            let folder = PathBuf::from(format!("/{number}{}", "/d".repeat(1000)));
            names.add_folders(&folder).err()
        });
        assert!(matches!(deep, Some(Misfit::Names)), "{deep:?}");
        assert!(names.bytes < 2 * MAX_NAME_BYTES);
        let mut names = Names::default();
        let many = (0..).find_map(|number| {
            let name = format!("/{number}").into();
            names
                .add(name, Item::Link(OsStr::new("x").into()), none)
                .err()
        });
        assert!(matches!(many, Some(Misfit::Names)), "{many:?}");
        assert_eq!(names.wanted.len(), MAX_NAMES);
    }
}
