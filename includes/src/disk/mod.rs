//! What is on the disk: folders, files and links, looked at as seldom as may be and never believed longer than that.

mod changes;
mod contents;
#[cfg(any(test, feature = "checks"))]
mod memory;
mod os;
mod tree;

#[cfg(any(test, feature = "checks"))]
pub(crate) use memory::{Memory, Node};
pub(crate) use os::System;
pub(crate) use tree::{FileId, FolderId, Found, LinkId, Map, ROOT, Trail, Tree};

use std::io;
use std::sync::Arc;

/// What a name is, without going through links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    File,
    Folder,
    Link,
    /// `/dev/null` and its kin.
    Device,
    Other,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) sort: Sort,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) links: u64,
    /// Seconds and nanoseconds since the epoch.
    pub(crate) modified: (i64, u32),
    pub(crate) changed: (i64, u32),
}

/// What happened in a watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The name stands for something else, or for nothing.
    Name { watch: i32, name: Vec<u8> },
    /// The file of this name has other bytes or another time.
    Content { watch: i32, name: Vec<u8> },
    /// The folder is gone or elsewhere.
    Folder { watch: i32 },
    /// Anything may have changed.
    Everything,
}

/// The system's files. Paths are absolute.
pub(crate) trait Disk: std::fmt::Debug + Send {
    fn look(&mut self, path: &[u8]) -> Option<Stat>;
    fn read_link(&mut self, path: &[u8]) -> io::Result<Vec<u8>>;
    /// The bytes of a file, and what it was when they were read.
    fn read(&mut self, path: &[u8]) -> io::Result<(Arc<[u8]>, Stat)>;
    /// Seconds since the epoch.
    fn now(&mut self) -> i64;
    /// Begins to report changes in a folder; `None` where none would be reported.
    fn watch(&mut self, path: &[u8]) -> Option<i32>;
    /// Appends what changed since this was asked last.
    fn changes(&mut self, out: &mut Vec<Change>);
}
