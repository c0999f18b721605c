//! The real disk: system calls, and inotify where it reports.

use super::{Change, Disk, Sort, Stat};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, FileType};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// No source is larger than this.
const MAX_FILE: u64 = 1 << 30;

#[derive(Debug)]
pub(crate) struct System {
    inotify: Option<OwnedFd>,
    /// Whether the file systems seen so far report changes, by device.
    reports: HashMap<u64, bool>,
}

impl System {
    pub(crate) fn new(watch: bool) -> System {
        let flags = CreateFlags::NONBLOCK | CreateFlags::CLOEXEC;
        System {
            inotify: watch.then(|| inotify::init(flags).ok()).flatten(),
            reports: HashMap::new(),
        }
    }
}

fn path(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

fn stat_of(stat: &rustix::fs::Stat) -> Stat {
    let sort = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Sort::File,
        FileType::Directory => Sort::Folder,
        FileType::Symlink => Sort::Link,
        FileType::CharacterDevice => Sort::Device,
        _ => Sort::Other,
    };
    Stat {
        sort,
        device: stat.st_dev,
        inode: stat.st_ino,
        size: stat.st_size as u64,
        links: stat.st_nlink,
        modified: (stat.st_mtime, stat.st_mtime_nsec as u32),
        changed: (stat.st_ctime, stat.st_ctime_nsec as u32),
    }
}

impl Disk for System {
    fn look(&mut self, name: &[u8]) -> Option<Stat> {
        let stat = rustix::fs::statat(CWD, path(name), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(stat_of(&stat))
    }

    fn read_link(&mut self, name: &[u8]) -> io::Result<Vec<u8>> {
        let target = rustix::fs::readlink(path(name), Vec::new())?;
        Ok(target.into_bytes())
    }

    fn read(&mut self, name: &[u8]) -> io::Result<(Arc<[u8]>, Stat)> {
        let mut file = File::open(path(name))?;
        let mut stat = stat_of(&rustix::fs::fstat(&file)?);
        if stat.sort != Sort::File || stat.size > MAX_FILE {
            return Err(io::Error::other("no ordinary file, or a huge one"));
        }
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, stat.size as usize).collect();
        let space = Arc::get_mut(&mut bytes).expect("nobody else has it yet");
        let read = file.read_exact(space);
        let mut more = [0];
        if read.is_err() || file.read(&mut more)? > 0 {
            // Somebody is writing: what can be read stands for no state of the file, so it will be read again.
            stat.changed = (i64::MAX, 0);
            let mut all = std::fs::read(path(name))?;
            all.truncate(MAX_FILE as usize);
            bytes = all.into();
        }
        Ok((bytes, stat))
    }

    fn now(&mut self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |since| since.as_secs() as i64)
    }

    fn watch(&mut self, name: &[u8]) -> Option<i32> {
        let inotify = self.inotify.as_ref()?;
        let device = rustix::fs::stat(path(name)).ok()?.st_dev;
        let reports = match self.reports.get(&device) {
            Some(&known) => known,
            None => {
                let kind = rustix::fs::statfs(path(name)).ok()?.f_type;
                let reports = REPORTING.contains(&(kind as u32));
                self.reports.insert(device, reports);
                reports
            }
        };
        if !reports {
            return None;
        }
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::MODIFY
            // What was written through a shared mapping is reported by nothing else.
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(inotify, path(name), flags).ok()
    }

    fn changes(&mut self, out: &mut Vec<Change>) {
        let Some(inotify) = &self.inotify else {
            return;
        };
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(inotify, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    out.push(Change::Everything);
                    return;
                }
            };
            let watch = event.wd();
            let flags = event.events();
            let name = event.file_name().map(|name| name.to_bytes().to_vec());
            let moved =
                ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
            out.push(if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                Change::Everything
            } else {
                match name {
                    Some(name) if flags.intersects(moved) => Change::Name { watch, name },
                    Some(name) => Change::Content { watch, name },
                    None if flags == ReadFlags::ATTRIB | ReadFlags::ISDIR => continue,
                    None => Change::Folder { watch },
                }
            });
        }
    }
}

/// File systems whose changes all go through this kernel: ext, XFS, Btrfs, tmpfs, ramfs, overlay, F2FS, ZFS, bcachefs, and those that
/// cannot change (squashfs, EROFS, ISO 9660).
const REPORTING: &[u32] = &[
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0x0102_1994,
    0x8584_58F6,
    0x794C_7630,
    0xF2F5_2010,
    0x2FC1_2FC1,
    0xCA45_1A4E,
    0x7371_7368,
    0xE0F5_E1E2,
    0x9660,
];
