//! What was looked for and is not there, where another machine might have it.
//!
//! A closure has every file that a compile reads, but a compile elsewhere would read others if it found them: a header in an earlier folder,
//! one that is asked for by `__has_include`. Folders of a project are empty elsewhere but for what is sent. Those of the system and of the
//! compiler are not, so names that were missed there are part of the closure.

use super::is_below;
use crate::disk::{FolderId, Found, Map, ROOT, Trail, Tree};
use crate::names::{self, Name, Names};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

/// A name that is not there: the folder that it is not in, without links, and its name there, empty where the folder is not there.
pub(crate) type Miss = (Name, Name);

/// Where every machine has files of its own.
const SHARED: &[&str] = &[
    "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin",
];

/// What one place's searches missed.
#[derive(Debug)]
pub(crate) struct Missed {
    /// The compiler's own folders by their real names, and where they and others like them are.
    system: Arc<[PathBuf]>,
    shared: Vec<PathBuf>,
    /// The names of folders, as far as they were asked for; `None` where no other machine has anything.
    folders: Map<u32, Option<Name>>,
    /// By the search that is going on.
    now: Vec<Miss>,
    /// By searches that found nothing.
    kept: Map<(u32, u32), Vec<Miss>>,
    /// Folders that would be searched if they were there.
    pub(crate) no_folders: Vec<Miss>,
}

impl Missed {
    pub(crate) fn new(system: Arc<[PathBuf]>) -> Missed {
        let usual = SHARED.iter().map(PathBuf::from);
        Missed {
            shared: usual.chain(system.iter().cloned()).collect(),
            system,
            folders: Map::default(),
            now: Vec::new(),
            kept: Map::default(),
            no_folders: Vec::new(),
        }
    }

    pub(super) fn system(&self) -> Arc<[PathBuf]> {
        self.system.clone()
    }

    /// A folder of this absolute name is not there.
    pub(crate) fn no_folder(&mut self, path: &[u8], names: &mut Names) {
        let path = lexical(path);
        if is_below(&path, &self.shared) {
            self.no_folders.push((names.add(&path), names::EMPTY));
        }
    }

    pub(crate) fn begin(&mut self) {
        self.now.clear();
    }

    /// There is no file `name` in the folder.
    pub(super) fn within(&mut self, folder: FolderId, name: &[u8], tree: &Tree, names: &mut Names) {
        let Some(at) = self.name_of(folder, tree, names) else {
            return;
        };
        let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
        if name.split(|&b| b == b'/').all(plain) {
            self.now.push((at, names.add(name)));
        } else {
            let path = lexical(&[names.get(at), b"/", name].concat());
            self.add(&path, names);
        }
    }

    /// There is no file of this name, which may be relative to `cwd`.
    pub(crate) fn beside(
        &mut self,
        path: &[u8],
        cwd: FolderId,
        tree: &mut Tree,
        names: &mut Names,
    ) {
        // A project lies elsewhere, as a rule.
        if path.first() != Some(&b'/') && self.name_of(cwd, tree, names).is_none() {
            return;
        }
        let slash = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
        let found = tree.resolve(cwd, &path[..slash], names, &mut Trail::default());
        if let Some(Found::Folder(folder)) = found {
            self.within(folder, &path[slash..], tree, names);
        }
    }

    /// There is no file of this name, which is absolute.
    fn add(&mut self, path: &[u8], names: &mut Names) {
        if let Some(slash) = memchr::memrchr(b'/', path)
            && is_below(path, &self.shared)
        {
            let (folder, name) = (names.add(&path[..slash]), names.add(&path[slash + 1..]));
            self.now.push((folder, name));
        }
    }

    fn name_of(&mut self, folder: FolderId, tree: &Tree, names: &mut Names) -> Option<Name> {
        let shared = &self.shared;
        *self.folders.entry(folder.0).or_insert_with(|| {
            let path = tree.path(folder);
            let is = shared
                .iter()
                .any(|one| one.as_os_str().as_bytes() == &path[..])
                || is_below(path, shared);
            (is && folder != ROOT).then(|| names.add(path))
        })
    }

    pub(crate) fn give_to(&mut self, missed: &mut Vec<Miss>) {
        for miss in self.now.drain(..) {
            if !missed.contains(&miss) {
                missed.push(miss);
            }
        }
    }

    pub(super) fn keep(&mut self, key: (u32, u32)) {
        if self.now.is_empty() {
            self.kept.remove(&key);
        } else {
            self.kept.insert(key, std::mem::take(&mut self.now));
        }
    }

    pub(super) fn by(&self, key: (u32, u32)) -> &[Miss] {
        self.kept.get(&key).map_or(&[], Vec::as_slice)
    }
}

/// An absolute name without empty, `.` and `..` components. Where one of those that go is a link or not there, another name may
/// come out; that it is looked for as well does no harm.
fn lexical(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for part in parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_brought_down_to_their_components() {
        for (path, wanted) in [
            ("/usr/include/x.h", "/usr/include/x.h"),
            ("/usr/include/../lib//./x.h", "/usr/lib/x.h"),
            ("/../..", ""),
        ] {
            assert_eq!(lexical(path.as_bytes()), wanted.as_bytes(), "{path}");
        }
    }
}
