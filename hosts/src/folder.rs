//! DISTCC_DIR: where the lock files and the state files are, and how its folders come to be.
//!
//! Nothing is created before a file in it is wanted: a launch that finds its folders makes no call for them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The folder that all clients of one user share, `$DISTCC_DIR` or `$HOME/.distcc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    root: PathBuf,
    lock: PathBuf,
    state: PathBuf,
}

/// Why the folder or a file in it cannot be used. No reason to fail a build: run without it.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error(
        "no folder for lock files: neither DISTCC_DIR nor HOME is set; set DISTCC_DIR to a folder you can write"
    )]
    Nowhere,
    #[error("could not create folder {}; make it writable or set DISTCC_DIR to a folder that is", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("could not open {}; make its folder writable or set DISTCC_DIR to a folder that is", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("could not lock {}; DISTCC_DIR must be on a file system that has locks", path.display())]
    Lock { path: PathBuf, source: io::Error },
}

impl FolderError {
    /// Has this process, or the machine, too many files open?
    pub(crate) fn is_too_many(&self) -> bool {
        let FolderError::Open { source, .. } = self else {
            return false;
        };
        let too_many = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
        source
            .raw_os_error()
            .is_some_and(|error| too_many.contains(&error))
    }
}

impl Folder {
    /// The folder at `root`, whether or not it exists yet.
    pub fn at(root: impl Into<PathBuf>) -> Folder {
        let root = root.into();
        Folder {
            lock: root.join("lock"),
            state: root.join("state"),
            root,
        }
    }

    /// The folder that DISTCC_DIR names, else `.distcc` in HOME. Empty values count as not set.
    pub fn find(distcc_dir: Option<&OsStr>, home: Option<&OsStr>) -> Result<Folder, FolderError> {
        let set =
            |value: Option<&OsStr>| value.filter(|value| !value.is_empty()).map(PathBuf::from);
        match (set(distcc_dir), set(home)) {
            (Some(root), _) => Ok(Folder::at(root)),
            (None, Some(home)) => Ok(Folder::at(home.join(".distcc"))),
            (None, None) => Err(FolderError::Nowhere),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where lock files, backoff files and the queue's files are.
    pub fn lock(&self) -> &Path {
        &self.lock
    }

    /// Where the state files for monitors are.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Opens `path` in one of our folders for reading and writing, creating it; creates the folders first where they
    /// are missing. Mode 0666 less the umask, as stock's.
    pub(crate) fn open(&self, path: &Path) -> Result<File, FolderError> {
        self.open_as(path, OFlags::RDWR)
    }

    /// The same, for a file that is written: what another user planted, who may write to the folder too, is not followed to some
    /// other file of ours.
    pub(crate) fn open_plain(&self, path: &Path) -> Result<File, FolderError> {
        self.open_as(path, OFlags::RDWR | OFlags::NOFOLLOW)
    }

    /// The same for reading: when it is closed, nobody is told of a file that was written.
    pub(crate) fn open_read(&self, path: &Path) -> Result<File, FolderError> {
        self.open_as(path, OFlags::RDONLY)
    }

    fn open_as(&self, path: &Path, access: OFlags) -> Result<File, FolderError> {
        let flags = access | OFlags::CREATE | OFlags::CLOEXEC;
        let mut opened = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666));
        if matches!(opened, Err(Errno::NOENT)) {
            self.create(path.parent().unwrap_or(&self.root))?;
            opened = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666));
        }
        opened.map(File::from).map_err(|source| FolderError::Open {
            path: path.to_owned(),
            source: source.into(),
        })
    }

    /// Creates the root and `folder` in it, mode 0777 less the umask, as stock's.
    fn create(&self, folder: &Path) -> Result<(), FolderError> {
        for path in [self.root.as_path(), folder] {
            match std::fs::create_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => {
                    return Err(FolderError::Create {
                        path: path.to_owned(),
                        source,
                    });
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_created_when_a_file_is_wanted() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(temp.path().join("new"));
        assert!(!folder.root().exists());
        folder.open(&folder.lock().join("x")).unwrap();
        assert!(folder.lock().join("x").is_file());
        folder.open(&folder.state().join("y")).unwrap();
        assert!(folder.state().join("y").is_file());
    }

    #[test]
    fn what_is_written_is_no_link() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(temp.path());
        let (file, link) = (folder.lock().join("x"), folder.lock().join("y"));
        folder.open_plain(&file).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        folder.open(&link).unwrap();
        folder.open_plain(&link).unwrap_err();
    }

    #[test]
    fn errors_name_the_path() {
        let folder = Folder::at("/proc/no/such");
        let error = folder.open(&folder.lock().join("x")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not create folder /proc/no/such; make it writable or set DISTCC_DIR to a folder that is"
        );
    }

    #[test]
    fn distcc_dir_goes_before_home() {
        let dir = |dir: &str, home: &str| Folder::find(Some(dir.as_ref()), Some(home.as_ref()));
        assert_eq!(dir("/d", "/h").unwrap().root(), Path::new("/d"));
        assert_eq!(dir("", "/h").unwrap().root(), Path::new("/h/.distcc"));
        assert!(matches!(dir("", ""), Err(FolderError::Nowhere)));
    }
}
