//! The browser's folder: the lock by which there is one, what it writes for launchers, and what they write for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use hosts::Found;
use hosts::found::{self, Files};
use rustix::fs::FlockOperation;

/// How long the launcher that starts us may still hold the lock itself: where a lock is not inherited (NFS).
const HANDED_OVER: Duration = Duration::from_secs(1);
/// The longest sleep: a folder that was removed, or a clock that was set, is noticed then.
const LOOK: Duration = Duration::from_secs(5);

/// The folder, as long as it is ours.
pub(crate) struct Place {
    files: Files,
    lock: File,
}

impl Place {
    /// Takes the folder: with the lock that came as standard input, or one of our own.  `None` when another browser has it.
    pub(crate) fn take(folder: &Path) -> Result<Option<Place>> {
        let folder = std::path::absolute(folder)?;
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.with_context(|| format!("could not make {}", folder.display()))?;
        let files = Files::at(folder);
        let path = files.browser();
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("could not open {}", path.display()))?;
        let handed = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let lock = match same(&handed, &opened)? {
            true => handed,
            false => opened,
        };
        let begun = Instant::now();
        loop {
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Place { files, lock })),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error).context("could not lock the folder"),
            }
            if begun.elapsed() > HANDED_OVER {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// As if a launcher had just asked, which is why we are here.
    pub(crate) fn begin(&self) -> Result<()> {
        let path = self.files.asked();
        fs::write(&path, b"").with_context(|| format!("could not write {}", path.display()))
    }

    /// How long to sleep at most; `None` when it is time to end: nobody has asked for `idle`, or the folder is another one now.
    pub(crate) fn time_left(&self, idle: Duration) -> Option<Duration> {
        let there = File::open(self.files.browser()).ok()?;
        if !same(&there, &self.lock).ok()? {
            return None;
        }
        let asked = fs::metadata(self.files.asked()).ok()?.modified().ok()?;
        // A time in the future is a clock that was set: as good as now.
        let since = SystemTime::now().duration_since(asked).unwrap_or_default();
        let left = idle.checked_sub(since).filter(|left| !left.is_zero())?;
        Some(left.min(LOOK))
    }

    /// Writes what launchers read, all of it at once.
    pub(crate) fn write(&self, found: &[Found]) -> Result<()> {
        let path = self.files.found();
        let partial = self.files.folder().join("found~");
        let write = || {
            let _ = fs::remove_file(&partial);
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&partial)?;
            file.write_all(found::write(found).as_bytes())?;
            fs::rename(&partial, &path)
        };
        write().with_context(|| format!("could not write {}", path.display()))
    }

    /// Takes away what was written: nobody looks after it any more.
    pub(crate) fn clear(&self) {
        for path in [self.files.found(), self.files.asked()] {
            // One that somebody removed is gone.
            let _ = fs::remove_file(path);
        }
    }

    /// Lets launchers know why there is no browser.
    pub(crate) fn note_failure(&self, why: &str) {
        // Without the note they try again.
        let _ = fs::write(self.files.failed(), why);
    }
}

fn same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::take(&folder.path().join("zeroconf")).unwrap();
        (folder, place.expect("nobody else is there"))
    }

    #[test]
    fn there_is_one() {
        let (folder, place) = place();
        assert!(Place::take(place.files.folder()).unwrap().is_none());
        drop(place);
        assert!(
            Place::take(&folder.path().join("zeroconf"))
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn it_ends_when_nobody_asks() {
        let (_folder, place) = place();
        assert_eq!(place.time_left(Duration::MAX), None, "nobody has begun");
        place.begin().unwrap();
        assert_eq!(place.time_left(Duration::MAX), Some(LOOK));
        assert_eq!(place.time_left(Duration::ZERO), None);
        let asked = File::open(place.files.asked()).unwrap();
        let old = SystemTime::now() - Duration::from_secs(100);
        asked.set_modified(old).unwrap();
        assert_eq!(place.time_left(Duration::from_secs(99)), None);
        assert!(place.time_left(Duration::from_secs(1000)).is_some());
    }

    #[test]
    fn it_ends_when_the_folder_is_another() {
        let (_folder, place) = place();
        place.begin().unwrap();
        fs::remove_file(place.files.browser()).unwrap();
        assert_eq!(place.time_left(Duration::MAX), None);
        fs::write(place.files.browser(), "").unwrap();
        assert_eq!(place.time_left(Duration::MAX), None);
    }

    #[test]
    fn what_is_written_is_whole_and_goes() {
        let (_folder, place) = place();
        place.begin().unwrap();
        for _ in 0..2 {
            place.write(&[]).unwrap();
        }
        assert_eq!(found::read(&fs::read(place.files.found()).unwrap()), []);
        place.clear();
        let names = fs::read_dir(place.files.folder()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["browser"]);
    }
}
