//! Landlock: which files a program may open, run and write, decided by the kernel by path, beside the mounts.
//!
//! Bits and versions are those of linux/landlock.h.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::os::{self, RulesetAttributes};

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_BLOCK: u64 = 1 << 11;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// All of the first version.
const FIRST: u64 = (1 << 13) - 1;
/// What makes sense for something that is no folder.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

/// What may be done below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Run,
    Write,
    /// Files that are written to and never made, as /dev has them.
    Devices,
}

/// What this kernel can hold programs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Landlock {
    version: u32,
}

impl Landlock {
    /// # Errors
    /// The kernel does not have it, or it is switched off.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            version: os::landlock_version()?,
        })
    }

    fn files(self) -> u64 {
        let newer = [(2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)];
        let known = newer.iter().filter(|(version, _)| self.version >= *version);
        known.fold(FIRST, |all, (_, bit)| all | bit)
    }

    fn bits(self, access: Access) -> u64 {
        let bits = match access {
            Access::Read => READ_FILE | READ_DIR,
            Access::Run => READ_FILE | READ_DIR | EXECUTE,
            Access::Write => !(EXECUTE | MAKE_CHAR | MAKE_BLOCK | MAKE_SOCK | IOCTL_DEV),
            Access::Devices => READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV,
        };
        bits & self.files()
    }

    /// The rules that allow what `allowed` says and nothing else; paths that are not there are passed over.
    ///
    /// # Errors
    /// The system is out of descriptors or memory.
    pub(crate) fn rules<'p>(
        self,
        allowed: impl IntoIterator<Item = (&'p Path, Access)>,
    ) -> io::Result<OwnedFd> {
        let attributes = RulesetAttributes {
            files: self.files(),
            // Binding and connecting by TCP.
            network: if self.version >= 4 { 3 } else { 0 },
            // Abstract sockets and signals of processes outside.
            scoped: if self.version >= 6 { 3 } else { 0 },
        };
        let size = match self.version {
            ..4 => 8,
            4..6 => 16,
            6.. => 24,
        };
        let ruleset = os::landlock_ruleset(&attributes, size)?;
        for (path, access) in allowed {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let Ok(folder) = rustix::fs::open(path, flags, Mode::empty()) else {
                continue;
            };
            let mut bits = self.bits(access);
            let is_folder = || {
                rustix::fs::fstat(&folder)
                    .map(|about| about.st_mode & libc::S_IFMT == libc::S_IFDIR)
            };
            if access != Access::Devices && !is_folder()? {
                bits &= OF_FILES;
            }
            os::landlock_allow(ruleset.as_fd(), folder.as_fd(), bits)?;
        }
        Ok(ruleset)
    }
}
