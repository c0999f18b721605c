//! The mirror: where stock clients find the files of an answer, compressed, under the names that the answer gives.
//!
//! A client takes the first three components of a name off, so a mirror is a folder of exactly three. A file of which a client may still
//! read the last version is never overwritten: its next version goes into another of a few such folders. Everything goes when this
//! process ends; what a killed one left is cleared by the next.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use includes::Closure;

use protocol::{Digest, digest};

use crate::blocks::Blocks;
use crate::plan::{self, FileItem, Item};
use protocol::include_talk::FORCING;

/// Folders that the versions of a file go round.
const FOLDERS: usize = 4;
/// What stands in the names of these folders, before the process's number.
const MARK: &str = ".include_server-";

/// Why the mirror has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MirrorError {
    #[error("could not write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is in the way of itself in the mirror", path.display())]
    InTheWay { path: PathBuf },
}

/// The place where mirrors are made is unusable.
#[derive(Debug, thiserror::Error)]
#[error("DISTCC_CLIENT_TMP is {}; it must be a folder named by one or two components, as in /dev/shm or /tmp", .0.display())]
pub(crate) struct BadPlace(PathBuf);

#[derive(Debug)]
pub(crate) struct Mirror {
    place: PathBuf,
    folders: Vec<Root>,
    /// What each name below a folder holds, and in which folder that is.
    held: HashMap<PathBuf, (Held, usize)>,
}

#[derive(Debug)]
struct Root {
    /// Three components.
    path: PathBuf,
    /// What is removed in the end.
    top: PathBuf,
    /// Says to other servers that somebody lives here.
    _lock: OwnedFd,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    /// A file with a block of this digest.
    File(Digest),
    Link(PathBuf),
}

impl Mirror {
    /// A mirror that makes its folders in `wanted`, or in memory if there is room for it, once it needs them.
    ///
    /// # Errors
    /// A folder in `wanted` would not have three components, or it is none.
    pub(crate) fn new(wanted: Option<OsString>) -> Result<Mirror, BadPlace> {
        let usable = |path: &Path| {
            let access = rustix::fs::Access::READ_OK
                | rustix::fs::Access::WRITE_OK
                | rustix::fs::Access::EXEC_OK;
            rustix::fs::access(path, access).is_ok()
        };
        let place = match wanted {
            Some(wanted) => PathBuf::from(wanted),
            None if usable(Path::new("/dev/shm")) => PathBuf::from("/dev/shm"),
            None => PathBuf::from("/tmp"),
        };
        let depth = place.components().count();
        if !place.is_absolute() || !(2..=3).contains(&depth) || !place.is_dir() {
            return Err(BadPlace(place));
        }
        Ok(Mirror {
            place,
            folders: Vec::new(),
            held: HashMap::new(),
        })
    }

    /// Puts the files of `closure` where a client finds them; gives the names, the source's first.
    ///
    /// # Errors
    /// A file could not be written.
    pub(crate) fn answer(
        &mut self,
        blocks: &Blocks,
        closure: &Closure,
        force_folders: bool,
    ) -> Result<Vec<Vec<u8>>, MirrorError> {
        let items = plan::for_stock(closure, force_folders);
        let mut names = Vec::with_capacity(items.len());
        for item in &items {
            let path = match item {
                Item::File(file) => self.file(blocks, file)?,
                Item::Link { name, target } | Item::SystemFolder { name, target } => {
                    self.hold(below(name), Held::Link(target.clone()), &[])?
                }
                Item::Folder(name) => {
                    self.hold(below(name).join(FORCING), Held::File(digest(&[])), &[])?
                }
            };
            names.push(path.into_os_string().into_vec());
        }
        Ok(names)
    }

    fn file(&mut self, blocks: &Blocks, file: &FileItem) -> Result<PathBuf, MirrorError> {
        let mut name = below(&file.member.real).into_os_string();
        name.push(if file.named { ".lzo.abs" } else { ".lzo" });
        let block = blocks.block(file);
        // On disk an empty file is the block of one.
        let block = match block.is_empty() {
            true => &b"\x11\0\0"[..],
            false => &block,
        };
        self.hold(name.into(), Held::File(digest(block)), block)
    }

    /// Makes `name`, below a folder, hold this; gives the whole path.
    fn hold(&mut self, name: PathBuf, held: Held, block: &[u8]) -> Result<PathBuf, MirrorError> {
        let last = self.held.get(&name);
        if let Some((known, folder)) = last
            && *known == held
        {
            let path = self.folders[*folder].path.join(&name);
            // Somebody may have cleared the place.
            if path.symlink_metadata().is_ok() {
                return Ok(path);
            }
        }
        let first = last.map_or(0, |(_, folder)| folder + 1);
        for step in 0..FOLDERS {
            let folder = (first + step) % FOLDERS;
            let path = self.folder(folder)?.join(&name);
            match place(&path, &held, block) {
                Ok(()) => {
                    self.held.insert(name, (held, folder));
                    return Ok(path);
                }
                // A file or a link of another time is where a folder has to be, or a folder where a link has to be.
                Err(error) if is_in_the_way(&error) => {}
                Err(source) => return Err(MirrorError::Write { path, source }),
            }
        }
        Err(MirrorError::InTheWay { path: name })
    }

    fn folder(&mut self, number: usize) -> Result<&Path, MirrorError> {
        while self.folders.len() <= number {
            let generation = self.folders.len() + 1;
            let root = Root::new(&self.place, generation).map_err(|source| MirrorError::Write {
                path: self.place.clone(),
                source,
            })?;
            self.folders.push(root);
        }
        Ok(&self.folders[number].path)
    }

    /// Removes what servers left that do not live any more.
    pub(crate) fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.place) else {
            return;
        };
        for entry in entries.flatten() {
            if is_left_over(&entry) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        for root in &self.folders {
            let _ = fs::remove_dir_all(&root.top);
        }
    }
}

impl Root {
    fn new(place: &Path, generation: usize) -> io::Result<Root> {
        let mut tries = 0u32;
        let top = loop {
            let salt = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| since.subsec_nanos());
            let name = format!(
                "tmp{:08x}{MARK}{}-{generation}",
                salt.rotate_left(tries),
                std::process::id()
            );
            let top = place.join(name);
            match fs::DirBuilder::new().mode(0o700).create(&top) {
                Ok(()) => break top,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < 30 => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        };
        let lock = OwnedFd::from(fs::File::open(&top)?);
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        let path = match top.components().count() {
            3 => {
                let path = top.join("padding");
                fs::create_dir(&path)?;
                path
            }
            _ => top.clone(),
        };
        Ok(Root {
            path,
            top,
            _lock: lock,
        })
    }
}

/// A name below a mirror's folder.
fn below(name: &Path) -> PathBuf {
    name.strip_prefix("/").unwrap_or(name).to_owned()
}

/// Writes a file, whole or not at all, or a link.
fn place(path: &Path, held: &Held, block: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match held {
        Held::Link(target) => match symlink(target, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(path)?;
                symlink(target, path)
            }
            done => done,
        },
        Held::File(_) => {
            let mut partial = path.as_os_str().to_owned();
            partial.push("~");
            fs::write(&partial, block)?;
            fs::rename(&partial, path)
        }
    }
}

fn is_in_the_way(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::NotFound
    )
}

/// Is it a mirror's folder of this user, of a process that is gone, and does nobody hold it?
fn is_left_over(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let Some(name) = name.to_str().filter(|name| name.starts_with("tmp")) else {
        return false;
    };
    let process = name
        .split_once(MARK)
        .and_then(|(_, rest)| rest.split_once('-'))
        .and_then(|(process, _)| process.parse::<i32>().ok());
    let Some(process) = process.and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    let user = rustix::process::geteuid().as_raw();
    let own = entry
        .metadata()
        .is_ok_and(|about| about.is_dir() && about.uid() == user);
    let gone = rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH)
        || is_zombie(process);
    let free = || {
        let folder = fs::File::open(entry.path());
        folder.is_ok_and(|folder| {
            let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
            rustix::fs::flock(&folder, lock).is_ok()
        })
    };
    own && gone && free()
}

/// Has it ended, with nobody there to notice?
fn is_zombie(process: rustix::process::Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    // The state stands behind the name, in which there may be anything.
    let state = |stat: String| {
        stat.rsplit_once(") ")
            .map(|(_, rest)| rest.starts_with('Z'))
    };
    stat.ok().and_then(state) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use includes::{Member, Role};
    use std::sync::Arc;
    use std::time::SystemTime;

    fn closure(bytes: &[u8]) -> Closure {
        let member = Member {
            name: "a.c".into(),
            real: "/w/a.c".into(),
            bytes: bytes.into(),
            system: false,
            modified: SystemTime::UNIX_EPOCH,
            role: Role::Source,
        };
        Closure {
            files: vec![Arc::new(member)],
            directories: vec![Path::new("/w/d").into()],
            ..Closure::default()
        }
    }

    fn path(name: &[u8]) -> PathBuf {
        PathBuf::from(OsString::from_vec(name.to_vec()))
    }

    #[test]
    fn each_version_has_its_own_place() {
        let (blocks, mut mirror) = (
            Blocks::default(),
            Mirror::new(Some("/tmp".into())).expect("usable"),
        );
        let first = mirror
            .answer(&blocks, &closure(b"int a;\n"), true)
            .expect("written");
        let again = mirror
            .answer(&blocks, &closure(b"int a;\n"), true)
            .expect("written");
        assert_eq!(first, again);
        let second = mirror
            .answer(&blocks, &closure(b"int b;\n"), true)
            .expect("written");
        assert_ne!(first[0], second[0]);
        assert_eq!(first[1], second[1]);
        let text = |name: &[u8]| {
            let mut text = Vec::new();
            let block = fs::read(path(name)).expect("there");
            protocol::lzo::decompress(&block, &mut text, 100).expect("a block");
            text
        };
        assert_eq!(
            (text(&first[0]), text(&second[0])),
            (b"int a;\n".to_vec(), b"int b;\n".to_vec())
        );
        let empty = mirror
            .answer(&blocks, &closure(b""), true)
            .expect("written");
        assert_eq!(fs::read(path(&empty[0])).expect("there"), b"\x11\0\0");
        // /tmp, the folder, padding, then the name.
        assert_eq!(path(&first[0]).components().count(), 1 + 3 + 2);
        assert_eq!(fs::metadata(path(&first[1])).expect("there").len(), 0);
        let tops: Vec<_> = mirror.folders.iter().map(|root| root.top.clone()).collect();
        mirror.sweep();
        assert!(tops.iter().all(|top| top.exists()), "a living one stays");
        drop(mirror);
        assert!(tops.iter().all(|top| !top.exists()));
    }

    #[test]
    fn what_changes_its_kind_finds_a_place() {
        let mut mirror = Mirror::new(Some("/tmp".into())).expect("usable");
        let file = |name: &str, mirror: &mut Mirror| {
            let held = Held::File(digest(b"\x11\0\0"));
            mirror.hold(name.into(), held, b"\x11\0\0").expect("placed")
        };
        let below = file("d/x.h.lzo", &mut mirror);
        let link = mirror
            .hold("d".into(), Held::Link("/e".into()), &[])
            .expect("placed");
        assert!(below.exists() && fs::read_link(link).expect("a link") == Path::new("/e"));
        assert!(file("d/y.h.lzo", &mut mirror).exists());
    }

    #[test]
    fn places_have_one_or_two_components() {
        for bad in ["tmp", "/", "/tmp/a/b", "/nowhere"] {
            assert!(Mirror::new(Some(bad.into())).is_err(), "{bad}");
        }
    }
}
