//! What headers this machine has, by their digests: learned when a client names them, and held for as long as the file is the same.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use protocol::{Digest, digest};

/// Stands for a file of which it counts only that it is there.
const PRESENT: Digest = [0; 16];
/// A header is never longer; what is, differs.
const LONGEST: u64 = 16 << 20;
/// Headers that are remembered; beyond, all are learned anew.
const MOST: usize = 100_000;

/// What tells that a file is the same: device, inode, size, and time of change.
type Identity = (u64, u64, u64, i64, i64);

/// The headers that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    /// Only below these may clients learn whether a file has a content.
    folders: Vec<PathBuf>,
    known: Mutex<HashMap<OsString, (Identity, Digest)>>,
}

impl Headers {
    /// Of what the box shows, in `folders`: settings and devices are no headers.
    pub(crate) fn below(mut folders: Vec<PathBuf>) -> Headers {
        let other = |folder: &Path| folder.starts_with("/etc") || folder.starts_with("/dev");
        folders.retain(|folder| !other(folder));
        Headers {
            folders,
            known: Mutex::default(),
        }
    }

    /// Is the file at `name` one of this content?
    pub(crate) fn has(&self, name: &Path, wanted: &Digest) -> bool {
        let mut parts = name.as_os_str().as_bytes().split(|byte| *byte == b'/');
        let plain = parts.all(|part| part != b"..");
        if !plain || !self.folders.iter().any(|folder| name.starts_with(folder)) {
            return false;
        }
        let Ok(about) = std::fs::metadata(name) else {
            return false;
        };
        if *wanted == PRESENT {
            return true;
        }
        let identity = identity(&about);
        if !about.is_file() || about.len() > LONGEST {
            return false;
        }
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((same, own)) = lock().get(name.as_os_str())
            && *same == identity
        {
            return own == wanted;
        }
        // Others may look things up meanwhile, and the same may be read twice.
        let Some(own) = read(name) else {
            return false;
        };
        let mut known = lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(name.into(), (identity, own));
        own == *wanted
    }
}

fn identity(about: &Metadata) -> Identity {
    (
        about.dev(),
        about.ino(),
        about.len(),
        about.ctime(),
        about.ctime_nsec(),
    )
}

fn read(name: &Path) -> Option<Digest> {
    let mut options = File::options();
    // A pipe in its place must not make us wait.
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(name);
    let mut bytes = Vec::new();
    file.ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(digest(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.h");
        std::fs::write(&path, "#define X 1\n").unwrap();
        let headers = Headers::below(vec![folder.path().to_owned()]);
        let (one, two) = (digest(b"#define X 1\n"), digest(b"#define X 2\n"));
        assert!(headers.has(&path, &one) && headers.has(&path, &one));
        assert!(!headers.has(&path, &two));
        std::fs::write(folder.path().join("new"), "#define X 2\n").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(headers.has(&path, &two) && !headers.has(&path, &one));
        assert!(headers.has(&path, &PRESENT));
        assert!(!headers.has(&folder.path().join("gone.h"), &PRESENT));
        assert!(!headers.has(folder.path(), &two));
    }

    #[test]
    fn nothing_is_told_of_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "x").unwrap();
        let headers = Headers::below(vec![folder.path().join("include")]);
        std::fs::create_dir(folder.path().join("include")).unwrap();
        assert!(!headers.has(&secret, &digest(b"x")));
        let round = folder.path().join("include/../secret");
        assert!(!headers.has(&round, &digest(b"x")));
        let shown = Headers::below(vec!["/etc".into(), "/dev".into(), "/usr".into()]);
        assert!(shown.has(Path::new("/usr"), &PRESENT));
        assert!(!shown.has(Path::new("/etc/passwd"), &PRESENT));
        assert!(!shown.has(Path::new("/dev/null"), &PRESENT));
    }
}
