//! A job's files, from inside its root: what it brings, what it prints, what it leaves.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{MemfdFlags, Mode, OFlags, ResolveFlags};

use crate::order::{Location, Order, Parcel};
use crate::paths::{make_folders, make_folders_below};

/// How much of what a failed program printed last is searched for complaints.
const LAST_WORDS: u64 = 16 << 10;

/// Descriptors of what the program prints.
pub(crate) struct Printed {
    pub(crate) stdout: File,
    pub(crate) stderr: File,
}

impl Printed {
    /// In memory, and not in the view: a job that fills its view shall still be able to say so.
    pub(crate) fn new() -> io::Result<Self> {
        let make = |name| -> io::Result<File> {
            Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into())
        };
        Ok(Self {
            stdout: make("stdout")?,
            stderr: make("stderr")?,
        })
    }
}

/// Writes what the job brings, and makes the folders that it will write to.
pub(crate) fn write(order: &Order, parcel: &Parcel<'_>) -> io::Result<()> {
    let files = order.files.iter().map(|(path, _)| path);
    let above = files.chain(&order.outputs).filter_map(|path| path.parent());
    let mut folders: Vec<&Path> = above.chain([order.cwd.as_path()]).collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        match &order.location {
            Location::Folder(top) => make_folders_below(top, folder)?,
            _ => make_folders(folder)?,
        }
    }
    let mut from = order.texts_at;
    for (path, len) in &order.files {
        // It may stand for one of the tree, which is not written to but covered.
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?);
        parcel.texts(from, *len, |piece| file.write_all(piece))?;
        from += len;
    }
    Ok(())
}

/// The last of what a program printed.
pub(crate) fn last_words(stderr: &File) -> Vec<u8> {
    let len = stderr.metadata().map_or(0, |about| about.len());
    let count = len.min(LAST_WORDS);
    let mut words = vec![0; usize::try_from(count).unwrap_or(0)];
    match stderr.read_exact_at(&mut words, len - count) {
        Ok(()) => words,
        Err(_) => Vec::new(),
    }
}

/// A file that the job left: regular, and not by a link. All of the job's processes are gone.
pub(crate) fn open_output(location: &Location, path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = match location {
        Location::Folder(top) => open_below(top, path, flags),
        // Links of the job lead to what is in its root.
        _ => rustix::fs::open(path, flags, Mode::empty()),
    };
    let file = File::from(opened.ok()?);
    file.metadata()
        .is_ok_and(|about| about.is_file())
        .then_some(file)
}

/// Opens what is below `top`, where a job may have put links in the place of folders.
fn open_below(top: &Path, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let rest = path.strip_prefix(top);
    let rest = rest.map_err(|_| rustix::io::Errno::XDEV)?;
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(top, folder, Mode::empty())?;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(&folder, rest, flags, Mode::empty(), beneath)
}
