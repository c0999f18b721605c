//! What a closure wants to stand where, and what must not.

use std::collections::BTreeMap;
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

impl Shared {
    /// What must stand at which name, folders on the way included.
    pub(super) fn wanted<'a>(&self, closure: &Closure<'a>) -> Result<Wanted<'a>, Misfit> {
        let mut wanted = Wanted::new();
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
                add_folders(&mut wanted, &path)?;
                continue;
            }
            if let Some(above) = path.parent() {
                add_folders(&mut wanted, above)?;
            }
            if wanted
                .insert(path.into_os_string(), (item, bytes))
                .is_some()
            {
                return Err(Misfit::Clash(entry.name.to_owned()));
            }
        }
        Ok(wanted)
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

/// Wants `path` and all above it to be folders.
fn add_folders(wanted: &mut Wanted<'_>, path: &Path) -> Result<(), Misfit> {
    for folder in path.ancestors().filter(|folder| folder.as_os_str() != "/") {
        match wanted.get(folder.as_os_str()) {
            Some((Item::Folder, _)) => return Ok(()),
            Some(_) => return Err(Misfit::Clash(folder.to_owned())),
            None => {
                wanted.insert(folder.into(), (Item::Folder, Bytes::These(&[])));
            }
        }
    }
    Ok(())
}
