//! A disk of which everything is known: for tests, and for fuzzing.

use super::{Change, Disk, Sort, Stat};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Folder,
    File(Arc<[u8]>),
    Link(Vec<u8>),
}

#[derive(Debug, Default)]
struct Inside {
    nodes: BTreeMap<Vec<u8>, (Node, i64)>,
    watched: bool,
    watches: Vec<Vec<u8>>,
    changes: Vec<Change>,
    now: i64,
    looks: u64,
    reads: u64,
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Inside>>);

impl Memory {
    pub(crate) fn new(watched: bool) -> Memory {
        let memory = Memory::default();
        let mut inside = memory.inside();
        inside.watched = watched;
        inside.now = 1_000_000;
        inside.nodes.insert(b"/".to_vec(), (Node::Folder, 0));
        drop(inside);
        memory
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something at a path, and folders above it. Returns whether there was room: nothing can be below a file or a link.
    pub(crate) fn put(&self, path: &[u8], node: Node) -> bool {
        let mut inside = self.inside();
        let mut end = 1;
        while let Some(slash) = path[end..].iter().position(|&b| b == b'/') {
            let above = path[..end + slash].to_vec();
            match inside.nodes.get(&above) {
                Some((Node::Folder, _)) => {}
                Some(_) => return false,
                None => inside.set(above, Node::Folder),
            }
            end += slash + 1;
        }
        if matches!(inside.nodes.get(path), Some((Node::Folder, _))) {
            return false;
        }
        inside.set(path.to_vec(), node);
        true
    }

    #[cfg(test)]
    pub(crate) fn remove(&self, path: &[u8]) {
        let mut inside = self.inside();
        inside.nodes.remove(path);
        inside.report(path, true);
    }

    /// Lets time pass.
    #[cfg(test)]
    pub(crate) fn wait(&self, seconds: i64) {
        self.inside().now += seconds;
    }

    /// How often something was looked at, and read.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (u64, u64) {
        let inside = self.inside();
        (inside.looks, inside.reads)
    }

    #[cfg(test)]
    pub(crate) fn lose_changes(&self) {
        let mut inside = self.inside();
        inside.changes.clear();
        inside.changes.push(Change::Everything);
    }
}

impl Inside {
    fn set(&mut self, path: Vec<u8>, node: Node) {
        let now = self.now;
        let old = self.nodes.insert(path.clone(), (node, now));
        let content = matches!(
            (&old, self.nodes.get(&path)),
            (Some((Node::File(_), _)), Some((Node::File(_), _)))
        );
        self.report(&path, !content);
    }

    fn report(&mut self, path: &[u8], moved: bool) {
        let slash = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
        let folder = &path[..slash.max(1)];
        if let Some(watch) = self.watches.iter().position(|watched| watched == folder) {
            let (watch, name) = (watch as i32, path[slash + 1..].to_vec());
            self.changes.push(if moved {
                Change::Name { watch, name }
            } else {
                Change::Content { watch, name }
            });
        }
    }

    fn stat(&self, path: &[u8]) -> Option<Stat> {
        let (node, time) = self.nodes.get(path)?;
        let (sort, size) = match node {
            Node::Folder => (Sort::Folder, 0),
            Node::File(bytes) => (Sort::File, bytes.len() as u64),
            Node::Link(target) => (Sort::Link, target.len() as u64),
        };
        Some(Stat {
            sort,
            device: 1,
            inode: crate::names::hash(path),
            size,
            links: 1,
            modified: (*time, 0),
            changed: (*time, 0),
        })
    }
}

impl Disk for Memory {
    fn look(&mut self, path: &[u8]) -> Option<Stat> {
        let mut inside = self.inside();
        inside.looks += 1;
        inside.stat(path)
    }

    fn read_link(&mut self, path: &[u8]) -> io::Result<Vec<u8>> {
        match self.inside().nodes.get(path) {
            Some((Node::Link(target), _)) => Ok(target.clone()),
            _ => Err(io::Error::other("no link")),
        }
    }

    fn read(&mut self, path: &[u8]) -> io::Result<(Arc<[u8]>, Stat)> {
        let mut inside = self.inside();
        inside.reads += 1;
        let stat = inside.stat(path);
        match (inside.nodes.get(path), stat) {
            (Some((Node::File(bytes), _)), Some(stat)) => Ok((bytes.clone(), stat)),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn now(&mut self) -> i64 {
        self.inside().now
    }

    fn watch(&mut self, path: &[u8]) -> Option<i32> {
        let mut inside = self.inside();
        if !inside.watched {
            return None;
        }
        if let Some(at) = inside.watches.iter().position(|watched| watched == path) {
            return Some(at as i32);
        }
        inside.watches.push(path.to_vec());
        Some(inside.watches.len() as i32 - 1)
    }

    fn changes(&mut self, out: &mut Vec<Change>) {
        out.append(&mut self.inside().changes);
    }
}
