//! The folders and files that names lead to, as the kernel would find them: component by component, through links, `..` by the real parent.
//!
//! In a watched folder what was seen is believed until a change is reported; elsewhere it is looked at again for each question.

use super::{Change, Disk, Sort, Stat};
use crate::lex::Mode;
use crate::macros::SourceId;
use crate::names::{Name, Names};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// A hash of numbers that are no one's to choose.
#[derive(Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

/// A map by small numbers.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FolderId(pub(crate) u32);
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId(pub(crate) u32);
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) u32);

/// What a name led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    File(FileId),
    Folder(FolderId),
    /// A device, which is as good as an empty file.
    Device,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Nothing,
    File(FileId),
    Folder(FolderId),
    Link(LinkId),
    Device,
    Other,
}

#[derive(Debug)]
pub(super) struct Folder {
    path: Arc<[u8]>,
    parent: FolderId,
    pub(super) entries: Map<Name, (Entry, u32)>,
    pub(super) watched: bool,
    /// Device and inode.
    identity: (u64, u64),
}

/// A link, and where it is.
#[derive(Debug)]
pub(crate) struct LinkNode {
    pub(crate) path: Vec<u8>,
    pub(crate) target: Vec<u8>,
}

/// A file and what was read of it.
#[derive(Debug)]
pub(crate) struct FileNode {
    pub(crate) path: Arc<[u8]>,
    pub(super) folder: FolderId,
    pub(crate) stat: Stat,
    pub(crate) bytes: Option<Arc<[u8]>>,
    /// What was lexed of these bytes.
    pub(crate) sources: Vec<(Mode, SourceId)>,
    /// The question for which it was last looked at.
    pub(super) checked: u32,
    /// A change was reported.
    pub(super) changed: bool,
    /// The question for which it was last included.
    pub(crate) entered: u32,
    /// The question for which it is not to be included again.
    pub(crate) once: u32,
    /// So young when it was read that a later change might not show.
    pub(crate) young: bool,
}

/// What was met on the way to a file.
#[derive(Debug, Default, Clone)]
pub(crate) struct Trail {
    pub(crate) links: Vec<LinkId>,
    /// Folders that were left by `..`.
    pub(crate) left: Vec<FolderId>,
    /// Was something looked at that nobody watches?
    pub(crate) unwatched: bool,
    links_followed: u32,
}

/// As many links as the kernel follows in one name.
const MAX_LINKS: u32 = 40;

/// All that is known of the disk.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) disk: Box<dyn Disk>,
    pub(super) folders: Vec<Folder>,
    pub(crate) files: Vec<FileNode>,
    pub(crate) links: Vec<LinkNode>,
    pub(super) by_watch: Map<u32, FolderId>,
    by_path: HashMap<Arc<[u8]>, FileId>,
    /// Counts changes that could change an answer.
    pub(crate) generation: u64,
    /// Counts changes of what names lead to.
    pub(crate) names_generation: u64,
    /// The question that is being answered.
    pub(crate) question: u32,
    pub(crate) reads: u64,
    pub(crate) watches: u64,
    pub(super) changes: Vec<Change>,
}

pub(crate) const ROOT: FolderId = FolderId(0);

impl Tree {
    pub(crate) fn new(disk: Box<dyn Disk>) -> Tree {
        let mut tree = Tree {
            disk,
            folders: Vec::new(),
            files: Vec::new(),
            links: Vec::new(),
            by_watch: Map::default(),
            by_path: HashMap::new(),
            generation: 1,
            names_generation: 1,
            question: 0,
            reads: 0,
            watches: 0,
            changes: Vec::new(),
        };
        tree.add_folder(ROOT, b"/".to_vec());
        tree
    }

    pub(super) fn add_folder(&mut self, parent: FolderId, path: Vec<u8>) -> FolderId {
        let id = FolderId(self.folders.len() as u32);
        // Watched first, looked at then: nothing happens unseen in between.
        let watch = self.disk.watch(&path);
        if let Some(watch) = watch {
            self.by_watch.insert(watch as u32, id);
            self.watches += 1;
        }
        let identity = self
            .disk
            .look(&path)
            .map_or((0, 0), |stat| (stat.device, stat.inode));
        self.folders.push(Folder {
            path: path.into(),
            parent,
            entries: Map::default(),
            watched: watch.is_some(),
            identity,
        });
        id
    }

    pub(crate) fn path(&self, folder: FolderId) -> &Arc<[u8]> {
        &self.folders[folder.0 as usize].path
    }

    pub(crate) fn identity(&self, folder: FolderId) -> (u64, u64) {
        self.folders[folder.0 as usize].identity
    }

    pub(crate) fn file(&self, file: FileId) -> &FileNode {
        &self.files[file.0 as usize]
    }

    pub(crate) fn link(&self, link: LinkId) -> &LinkNode {
        &self.links[link.0 as usize]
    }

    /// What `path` leads to from `start`; links and folders that were left on the way are added to `trail`.
    pub(crate) fn resolve(
        &mut self,
        start: FolderId,
        path: &[u8],
        names: &mut Names,
        trail: &mut Trail,
    ) -> Option<Found> {
        trail.links_followed = 0;
        self.walk(start, path, names, trail)
    }

    fn walk(
        &mut self,
        start: FolderId,
        path: &[u8],
        names: &mut Names,
        trail: &mut Trail,
    ) -> Option<Found> {
        let mut at = if path.first() == Some(&b'/') {
            ROOT
        } else {
            start
        };
        let mut parts = path
            .split(|&b| b == b'/')
            .filter(|part| !part.is_empty())
            .peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            if part == b"." {
                continue;
            }
            if part == b".." {
                trail.left.push(at);
                at = self.folders[at.0 as usize].parent;
                continue;
            }
            let name = names.add(part);
            let entry = self.entry(at, name, part, trail);
            let found = match entry {
                Entry::Nothing | Entry::Other => return None,
                Entry::File(file) => Found::File(file),
                Entry::Folder(folder) => Found::Folder(folder),
                Entry::Device => Found::Device,
                Entry::Link(link) => {
                    trail.links_followed += 1;
                    if trail.links_followed > MAX_LINKS {
                        return None;
                    }
                    trail.links.push(link);
                    let target = self.links[link.0 as usize].target.clone();
                    self.walk(at, &target, names, trail)?
                }
            };
            match found {
                Found::Folder(folder) => at = folder,
                // A slash behind a file's name asks for a folder.
                other if last && path.last() != Some(&b'/') => return Some(other),
                _ => return None,
            }
        }
        Some(Found::Folder(at))
    }

    fn entry(&mut self, folder: FolderId, name: Name, part: &[u8], trail: &mut Trail) -> Entry {
        let node = &self.folders[folder.0 as usize];
        let known = node.entries.get(&name).copied();
        trail.unwatched |= !node.watched;
        if let Some((entry, when)) = known
            && (node.watched || when == self.question)
        {
            return entry;
        }
        let mut path = node.path.to_vec();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(part);
        let entry = self.look(folder, path, known.map(|(entry, _)| entry));
        if known.is_some_and(|(before, _)| before != entry) {
            self.generation += 1;
            self.names_generation += 1;
        }
        let question = self.question;
        self.folders[folder.0 as usize]
            .entries
            .insert(name, (entry, question));
        entry
    }

    fn look(&mut self, folder: FolderId, path: Vec<u8>, known: Option<Entry>) -> Entry {
        let Some(stat) = self.disk.look(&path) else {
            return Entry::Nothing;
        };
        match stat.sort {
            Sort::Device => Entry::Device,
            Sort::Other => Entry::Other,
            Sort::Folder => match known {
                Some(Entry::Folder(id))
                    if self.folders[id.0 as usize].identity == (stat.device, stat.inode) =>
                {
                    Entry::Folder(id)
                }
                _ => Entry::Folder(self.add_folder(folder, path)),
            },
            Sort::Link => {
                let Ok(target) = self.disk.read_link(&path) else {
                    return Entry::Nothing;
                };
                if let Some(Entry::Link(id)) = known
                    && self.links[id.0 as usize].target == target
                {
                    return Entry::Link(id);
                }
                self.links.push(LinkNode { path, target });
                Entry::Link(LinkId(self.links.len() as u32 - 1))
            }
            Sort::File => Entry::File(self.file_at(folder, path, stat)),
        }
    }

    fn file_at(&mut self, folder: FolderId, path: Vec<u8>, stat: Stat) -> FileId {
        let path: Arc<[u8]> = path.into();
        if let Some(&id) = self.by_path.get(&path) {
            let file = &mut self.files[id.0 as usize];
            file.folder = folder;
            file.changed |= file.stat != stat;
            return id;
        }
        let id = FileId(self.files.len() as u32);
        self.by_path.insert(path.clone(), id);
        self.files.push(FileNode {
            path,
            folder,
            stat,
            bytes: None,
            sources: Vec::new(),
            checked: 0,
            entered: 0,
            once: 0,
            changed: true,
            young: true,
        });
        id
    }

    /// About how much memory all this takes, bytes of files included.
    pub(crate) fn memory(&self) -> usize {
        let files: usize = self
            .files
            .iter()
            .map(|file| 256 + file.bytes.as_ref().map_or(0, |bytes| bytes.len()))
            .sum();
        let folders: usize = self
            .folders
            .iter()
            .map(|folder| 192 + folder.entries.len() * 24)
            .sum();
        files + folders + self.links.len() * 128
    }
}
