//! A jobserver of the test's own, whose tokens it can count, take and give.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

/// A fifo with tokens in it.
#[derive(Debug)]
pub struct Jobserver {
    folder: TempDir,
    fifo: File,
    slots: usize,
}

impl Jobserver {
    /// For `slots` jobs, one of which needs no token.
    pub fn with(slots: usize) -> Jobserver {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a fifo can be made");
        let fifo = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(&path)
            .expect("a fifo can be opened");
        let jobserver = Jobserver {
            folder,
            fifo,
            slots,
        };
        jobserver.give(slots - 1);
        jobserver
    }

    /// The value for `MAKEFLAGS`.
    pub fn flags(&self) -> OsString {
        let path = self.folder.path().join("fifo");
        format!(" -j{} --jobserver-auth=fifo:{}", self.slots, path.display()).into()
    }

    /// How many tokens lie there.
    pub fn lying(&self) -> usize {
        let count = rustix::io::ioctl_fionread(&self.fifo).expect("a pipe says what lies in it");
        usize::try_from(count).expect("not many")
    }

    /// Takes tokens that lie there.
    pub fn take(&self, count: usize) {
        let mut tokens = vec![0; count];
        (&self.fifo)
            .read_exact(&mut tokens)
            .expect("so many lie there");
    }

    pub fn give(&self, count: usize) {
        (&self.fifo)
            .write_all(&vec![b'+'; count])
            .expect("a pipe takes so few");
    }
}
