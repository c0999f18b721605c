//! GNU make's jobserver: finding the one that a build tool offers, being one, and its tokens.
//!
//! A jobserver is a pipe with a byte for each job that may start.  Whoever is started by a tool that speaks this protocol may run
//! one job for nothing (the tool took a token for it, or has its own); for each further one a byte is read, and written back
//! when the job ends.  `MAKEFLAGS` (cargo: `CARGO_MAKEFLAGS`) names the pipe: `--jobserver-auth=fifo:PATH` from make 4.4 on,
//! `--jobserver-auth=R,W` or, before make 4.2, `--jobserver-fds=R,W`, two inherited descriptors.  The last that is named counts.
//!
//! Descriptors may be closed or other files by the time that a command runs: make 4.3 keeps them from recipes that are not
//! marked with `+`.  So a jobserver counts only while its numbers are the two ends of one pipe, and whoever opens files of its
//! own asks before it does.  Nothing here reads the environment.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, StatxFlags};
use rustix::io::Errno;
use tempfile::TempDir;

/// The byte that make itself writes.
const TOKEN: u8 = b'+';

/// What a jobserver is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    Fifo(PathBuf),
    /// Numbers of inherited descriptors.
    Pipe {
        read: u32,
        write: u32,
    },
}

impl Auth {
    /// The jobserver that the value of `MAKEFLAGS` or `CARGO_MAKEFLAGS` names.
    pub fn named(flags: &OsStr) -> Option<Auth> {
        let mut named = None;
        for word in words(flags.as_bytes()) {
            if word == b"--" {
                break;
            }
            let value = word
                .strip_prefix(b"--jobserver-auth=")
                .or_else(|| word.strip_prefix(b"--jobserver-fds="));
            if let Some(value) = value {
                named = Auth::parse(value);
            }
        }
        named
    }

    fn parse(value: &[u8]) -> Option<Auth> {
        if let Some(path) = value.strip_prefix(b"fifo:") {
            return Some(Auth::Fifo(OsString::from_vec(path.to_vec()).into()));
        }
        let (read, write) = std::str::from_utf8(value).ok()?.split_once(',')?;
        // make writes negative numbers for a jobserver that is out of reach.
        Some(Auth::Pipe {
            read: read.parse().ok()?,
            write: write.parse().ok()?,
        })
    }

    /// As `--jobserver-auth=` takes it.
    pub fn spelled(&self) -> OsString {
        match self {
            Auth::Fifo(path) => {
                let mut spelled = OsString::from("fifo:");
                spelled.push(path);
                spelled
            }
            Auth::Pipe { read, write } => format!("{read},{write}").into(),
        }
    }

    /// The pipe, if it is there now.  To be asked before this process opens anything, whose numbers could be the ones named.
    pub fn find(self) -> Option<Found> {
        let pipe = |path: PathBuf| {
            let stat = rustix::fs::stat(&path).ok()?;
            let is_pipe = FileType::from_raw_mode(stat.st_mode).is_fifo();
            is_pipe.then(|| (path, inode(&stat)))
        };
        let (path, inode) = match &self {
            Auth::Fifo(path) => pipe(path.clone())?,
            Auth::Pipe { read, write } => {
                let ends = [*read, *write].map(|fd| pipe(format!("/proc/self/fd/{fd}").into()));
                let [Some((path, inode)), Some((_, other))] = ends else {
                    return None;
                };
                (inode == other).then_some((path, inode))?
            }
        };
        Some(Found {
            auth: self,
            path,
            inode,
        })
    }
}

fn inode(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// A jobserver that was there when it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub auth: Auth,
    path: PathBuf,
    inode: (u64, u64),
}

impl Found {
    /// The same for all who find it, by whatever numbers or path, as long as it is there.
    pub fn identity(&self) -> String {
        let (device, inode) = self.inode;
        format!("{device:x}-{inode:x}")
    }

    /// The first of `flags` whose jobserver is there.
    pub fn among<'f>(flags: impl IntoIterator<Item = &'f OsStr>) -> Option<Found> {
        flags
            .into_iter()
            .filter_map(Auth::named)
            .find_map(Auth::find)
    }

    /// Opens the pipe anew: waiting or not is a matter of a descriptor and all its copies, which others read too.
    ///
    /// # Errors
    /// When it is gone by now, another pipe, another user's, or there is no /proc to open it by.
    pub fn open(&self) -> io::Result<Tokens> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let pipe = File::from(rustix::fs::open(&self.path, flags, Mode::empty())?);
        let stat = rustix::fs::fstat(&pipe)?;
        if inode(&stat) != self.inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Tokens { pipe })
    }
}

/// An open jobserver.
#[derive(Debug)]
pub struct Tokens {
    pipe: File,
}

impl Tokens {
    /// Gives a token.
    ///
    /// # Errors
    /// When the pipe is full, which no jobserver's is.
    pub fn give(&self) -> io::Result<()> {
        retry(|| rustix::io::write(&self.pipe, &[TOKEN])).map(|_| ())
    }

    /// Takes a token, if one lies there.
    ///
    /// # Errors
    /// None that a pipe has.
    pub fn take(&self) -> io::Result<bool> {
        let mut token = [0];
        match retry(|| rustix::io::read(&self.pipe, &mut token)) {
            Ok(count) => Ok(count == 1),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How many lie there for whoever comes.
    pub fn lying(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0)
    }

    /// A name for this jobserver that no other has, as long as the machine runs: device, inode and, where the file system
    /// keeps it, the time of its birth.  The second value says whether that was to be had; without it the name may come
    /// again after the machine was started again.
    pub fn name(&self) -> (String, bool) {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let Ok(found) = rustix::fs::statx(&self.pipe, "", AtFlags::EMPTY_PATH, wanted) else {
            let (dev, ino) = rustix::fs::fstat(&self.pipe).map_or((0, 0), |stat| inode(&stat));
            return (format!("{dev:x}-{ino:x}"), false);
        };
        let born = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
        let birth = match born {
            true => format!(
                "-{:x}{:08x}",
                found.stx_btime.tv_sec, found.stx_btime.tv_nsec
            ),
            false => String::new(),
        };
        let device = u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor);
        (format!("{device:x}-{:x}{birth}", found.stx_ino), born)
    }
}

impl AsFd for Tokens {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// How a jobserver is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// ninja 1.13, make 4.4, cargo.  make 4.3 ends at the sight of it.
    Fifo,
    /// All makes and cargo; inherited descriptors.
    Pipe,
}

/// A jobserver of our own; gone when the value is dropped.
#[derive(Debug)]
pub struct Server {
    found: Found,
    slots: u32,
    tokens: Tokens,
    _ends: Vec<OwnedFd>,
    _folder: Option<TempDir>,
}

/// More tokens than this fit into no pipe that is worth being called one.
const MOST_SLOTS: u32 = 4096;

impl Server {
    /// A jobserver for `slots` jobs at a time, one of which is whoever is told of it first.  A pipe is inherited by every
    /// process that is started from now on.
    ///
    /// # Errors
    /// When there is no temporary directory to write in, or no descriptor left.
    pub fn start(style: Style, slots: u32) -> io::Result<Server> {
        let slots = slots.clamp(1, MOST_SLOTS);
        let (auth, ends, folder) = match style {
            Style::Fifo => {
                let folder = tempfile::Builder::new()
                    .prefix("distcc-launch-")
                    .tempdir()?;
                let path = folder.path().join("jobserver");
                rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
                (Auth::Fifo(path), Vec::new(), Some(folder))
            }
            Style::Pipe => {
                let (read, write) = rustix::pipe::pipe()?;
                let number = |end: &OwnedFd| end.as_raw_fd().unsigned_abs();
                let auth = Auth::Pipe {
                    read: number(&read),
                    write: number(&write),
                };
                (auth, vec![read, write], None)
            }
        };
        let found = auth.find().ok_or(io::ErrorKind::NotFound)?;
        let tokens = found.open()?;
        for _ in 1..slots {
            tokens.give()?;
        }
        Ok(Server {
            found,
            slots,
            tokens,
            _ends: ends,
            _folder: folder,
        })
    }

    pub fn found(&self) -> &Found {
        &self.found
    }

    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The value of `MAKEFLAGS` that offers this jobserver: `before` with another in its place.
    pub fn flags(&self, before: &OsStr) -> OsString {
        let mut flags = Vec::new();
        let mut rest = Vec::new();
        for (index, word) in words(before.as_bytes()).enumerate() {
            let is_width = word.starts_with(b"--job") || word.starts_with(b"-j");
            if word == b"--" || !rest.is_empty() {
                rest.push(b' ');
                rest.extend_from_slice(word);
            } else if !is_width {
                // Single letters, if any, are the first word, without a dash and without a blank before them.
                if index > 0 || word.starts_with(b"-") {
                    flags.push(b' ');
                }
                flags.extend_from_slice(word);
            }
        }
        flags.extend_from_slice(format!(" -j{} --jobserver-auth=", self.slots).as_bytes());
        flags.extend_from_slice(self.found.auth.spelled().as_bytes());
        flags.extend_from_slice(&rest);
        OsString::from_vec(flags)
    }
}

/// The words of a value of `MAKEFLAGS`.  A blank that belongs to a word stands behind a backslash.
fn words(flags: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut escaped = false;
    flags
        .split(move |byte| {
            let ends = !escaped && byte.is_ascii_whitespace();
            escaped = !escaped && *byte == b'\\';
            ends
        })
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests;
