//! Which programs are distcc clients, under whatever name.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The programs that would send a job away again: a distcc client under whatever name.
#[derive(Debug)]
pub(super) struct Itself {
    /// Device and inode, so that hard links and copies of links are known too.
    files: Vec<(u64, u64)>,
}

impl Itself {
    pub(super) fn new(path: &OsStr) -> Self {
        let mut files = Vec::new();
        let beside = std::env::current_exe()
            .ok()
            .and_then(|exe| exe.parent().map(Path::to_owned));
        for folder in std::env::split_paths(path).chain(beside) {
            for name in ["distcc", "distcc-launch", "distcc-launchd", "distccd"] {
                if let Ok(about) = fs::metadata(folder.join(name)) {
                    files.push((about.dev(), about.ino()));
                }
            }
        }
        files.sort_unstable();
        files.dedup();
        Self { files }
    }

    /// The executable file that `path` leads to, unless it leads back to a distcc client.
    pub(super) fn program_behind(&self, path: &Path) -> Option<PathBuf> {
        let about = fs::metadata(path).ok()?;
        let executable = about.is_file() && about.mode() & 0o111 != 0;
        if !executable
            || self
                .files
                .binary_search(&(about.dev(), about.ino()))
                .is_ok()
        {
            return None;
        }
        let real = path.canonicalize().ok()?;
        let name = real.file_name()?.as_bytes();
        (!name.starts_with(b"distcc")).then_some(real)
    }
}
