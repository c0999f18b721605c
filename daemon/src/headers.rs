//! What headers this machine has, by their digests: learned when a client names them, and held for as long as the file is the same.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use protocol::{ABSENT, Digest, PRESENT, SystemFiles, digest};

/// A header is never longer; what is, differs.
const LONGEST: u64 = 16 << 20;
/// Of names, which are remembered.
const LONGEST_NAME: usize = 1 << 10;
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

    /// Is the file at `name` one of this content, or is none there if none is to be?
    pub(crate) fn has(&self, name: &Path, wanted: &Digest) -> bool {
        if *wanted == ABSENT {
            return self.lacks(name.as_os_str().as_bytes());
        }
        let mut parts = name.as_os_str().as_bytes().split(|byte| *byte == b'/');
        let plain = parts.all(|part| part != b"..");
        if !plain || !self.folders.iter().any(|folder| name.starts_with(folder)) {
            return false;
        }
        let Ok(about) = std::fs::metadata(name) else {
            return false;
        };
        if *wanted == PRESENT && name.as_os_str().len() <= LONGEST_NAME {
            return self.is_shown(name, &about);
        }
        let identity = identity(&about);
        if !about.is_file() || about.len() > LONGEST || name.as_os_str().len() > LONGEST_NAME {
            return false;
        }
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((same, own)) = lock().get(name.as_os_str())
            && *same == identity
        {
            return own == wanted;
        }
        // Others may look things up meanwhile, and the same may be read twice.
        let shown = self.is_shown(name, &about);
        let Some(own) = shown.then(|| read(name)).flatten() else {
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

impl Headers {
    /// Whether jobs see what is at `name` too: a link may lead to what they do not.
    fn is_shown(&self, name: &Path, about: &Metadata) -> bool {
        let Ok(real) = name.canonicalize() else {
            return false;
        };
        let shown = self.folders.iter().any(|folder| real.starts_with(folder));
        shown && (about.is_file() || about.is_dir())
    }

    /// Is nothing of what `said` names among what the box shows? A folder is no file, and what lies elsewhere no job finds.
    fn lacks(&self, said: &[u8]) -> bool {
        let (folder, names) = SystemFiles::absent(said);
        let folder = Path::new(OsStr::from_bytes(folder));
        if !self.folders.iter().any(|shown| folder.starts_with(shown)) {
            return true;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = rustix::fs::open(folder, flags, Mode::empty()) else {
            // Something else at its name is no folder to find anything in.
            return true;
        };
        let mut names = names.peekable();
        // What would lead out of the folder is as good as a file.
        let leads_out = |name: &[u8]| name.split(|byte| *byte == b'/').any(|part| part == b"..");
        let is_file = |name: &[u8]| {
            let about = rustix::fs::statat(&folder, name, AtFlags::empty());
            about.is_ok_and(|about| !FileType::from_raw_mode(about.st_mode).is_dir())
        };
        names.peek().is_some() && !names.any(|name| leads_out(name) || is_file(name))
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
    fn what_is_to_be_absent_is_not_here() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("inc/sys")).unwrap();
        std::fs::write(folder.path().join("inc/here.h"), "").unwrap();
        let headers = Headers::below(vec![folder.path().to_owned()]);
        let lacks = |said: &str| {
            let mut name = folder.path().as_os_str().to_owned();
            name.push(said);
            headers.has(Path::new(&name), &ABSENT)
        };
        assert!(lacks("/inc//gone.h//sys/gone.h//sys//no/gone.h"));
        assert!(!lacks("/inc//gone.h//here.h"));
        assert!(lacks("/none//here.h") && lacks("/none") && lacks("/inc/here.h//x"));
        assert!(!lacks("/inc"));
    }

    #[test]
    fn links_tell_nothing_of_what_jobs_do_not_see() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("include")).unwrap();
        std::fs::write(at("secret"), "x").unwrap();
        std::fs::write(at("include/y.h"), "y").unwrap();
        std::os::unix::fs::symlink(at("secret"), at("include/out.h")).unwrap();
        std::os::unix::fs::symlink("y.h", at("include/in.h")).unwrap();
        let headers = Headers::below(vec![at("include").canonicalize().unwrap()]);
        let has = |name: &str, wanted: &Digest| {
            let include = at("include").canonicalize().unwrap();
            headers.has(&include.join(name), wanted)
        };
        assert!(has("in.h", &digest(b"y")) && has("in.h", &PRESENT));
        assert!(!has("out.h", &digest(b"x")) && !has("out.h", &PRESENT));
        let long = format!("{}y.h", "./".repeat(1000));
        assert!(has("y.h", &digest(b"y")) && !has(&long, &digest(b"y")) && !has(&long, &PRESENT));
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
        let list = |folder: &Path, names: &str| {
            let mut list = folder.as_os_str().as_bytes().to_vec();
            list.extend_from_slice(names.as_bytes());
            PathBuf::from(OsStr::from_bytes(&list))
        };
        assert!(headers.has(&list(folder.path(), "//secret"), &ABSENT));
        let round = list(&folder.path().join("include"), "//../none");
        assert!(!headers.has(&round, &ABSENT));
        let shown = Headers::below(vec!["/etc".into(), "/dev".into(), "/usr".into()]);
        assert!(shown.has(Path::new("/usr"), &PRESENT));
        assert!(!shown.has(Path::new("/etc/passwd"), &PRESENT));
        assert!(!shown.has(Path::new("/dev/null"), &PRESENT));
    }
}
