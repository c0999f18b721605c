//! Folders for jobs: a private one for each, gone when the job is.
//!
//! In memory where the system has a file system for that, since creating files is most of what a small job costs
//! (facts performance.md 4); under TMPDIR when the environment names one.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Free bytes that a file system in memory must have to be preferred.
const ENOUGH: u64 = 512 << 20;
const TMPFS_MAGIC: u64 = 0x0102_1994;
const SHM: &str = "/dev/shm";
/// How names of job folders begin: not as stock's, which are never locked, so that nobody could tell a live one.
const PREFIX: &str = "distcc-launchd_";
/// Folders that may not be locked yet.
const YOUNG: Duration = Duration::from_secs(1);

/// Where job folders are made: `tmpdir` if set, else memory, else `/tmp`.
pub(crate) fn place(tmpdir: Option<&OsStr>) -> PathBuf {
    match tmpdir {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ if is_roomy_memory(Path::new(SHM)) => PathBuf::from(SHM),
        _ => PathBuf::from("/tmp"),
    }
}

/// Bytes that are free in a folder's file system.
pub(crate) fn free(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statfs(folder).ok()?;
    let size = u64::try_from(about.f_bsize).unwrap_or(0);
    Some(about.f_bavail.saturating_mul(size))
}

fn is_roomy_memory(folder: &Path) -> bool {
    let Ok(about) = rustix::fs::statfs(folder) else {
        return false;
    };
    u64::try_from(about.f_type) == Ok(TMPFS_MAGIC)
        && free(folder).is_some_and(|free| free >= ENOUGH)
        && rustix::fs::access(
            folder,
            rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
        )
        .is_ok()
}

/// Between two tries to remove a folder in which somebody still writes, and how many there are.
const AGAIN: Duration = Duration::from_millis(50);
const TRIES: u32 = 40;

/// Where jobs have their folders. Empty while no job runs.
#[derive(Debug)]
pub(crate) struct Scratch {
    place: PathBuf,
    late: Arc<Late>,
}

/// Folders of jobs that nobody wanted any more, whose compilers wrote to them to the last.
#[derive(Debug, Default)]
struct Late(Mutex<Vec<PathBuf>>);

impl Late {
    fn folders(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what can be removed. Whether nothing is left.
    fn sweep(&self) -> bool {
        let mut folders = self.folders();
        folders.retain(|path| match std::fs::remove_dir_all(path) {
            Err(error) => error.kind() != io::ErrorKind::NotFound,
            Ok(()) => false,
        });
        folders.is_empty()
    }

    /// Removes `path` soon.
    fn add(self: &Arc<Self>, path: PathBuf) {
        self.folders().push(path);
        let late = Arc::clone(self);
        // Without a runtime the daemon is about to end, and sweeps.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                for _ in 0..TRIES {
                    tokio::time::sleep(AGAIN).await;
                    if late.sweep() {
                        return;
                    }
                }
            });
        }
    }
}

/// When the box, and with it every compiler, is gone.
impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.late.sweep() {
            crate::log::warning!("could not remove {:?}", self.late.folders());
        }
    }
}

impl Scratch {
    /// Looks whether folders can be made in `place`.
    ///
    /// # Errors
    /// `place` does not exist or cannot be written to.
    pub(crate) fn new(place: PathBuf) -> io::Result<Self> {
        let late = Arc::default();
        let scratch = Self { place, late };
        scratch.job()?;
        scratch.remove_leftovers();
        Ok(scratch)
    }

    /// Removes job folders that are provably of a daemon that was killed: this user's own, in our style, and not locked.
    fn remove_leftovers(&self) {
        let user = rustix::process::geteuid().as_raw();
        let entries = std::fs::read_dir(&self.place)
            .into_iter()
            .flatten()
            .flatten();
        for entry in
            entries.filter(|entry| entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()))
        {
            let path = entry.path();
            let ours = entry.metadata().is_ok_and(|about| {
                let old = about
                    .modified()
                    .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > YOUNG));
                about.is_dir() && about.uid() == user && about.mode() & 0o777 == 0o700 && old
            });
            let unlocked = || File::open(&path).is_ok_and(|folder| folder.try_lock().is_ok());
            if ours && unlocked() {
                match std::fs::remove_dir_all(&path) {
                    Ok(()) => crate::log::info!(
                        "removed {}, left by a daemon that was killed",
                        path.display()
                    ),
                    Err(error) => {
                        crate::log::warning!("could not remove {}: {error}", path.display())
                    }
                }
            }
        }
    }

    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// An empty folder for one job, under a name that nobody can guess and that only this user can enter.
    ///
    /// # Errors
    /// The file system is full, or somebody removed the place.
    pub(crate) fn job(&self) -> io::Result<JobFolder> {
        let private = std::fs::Permissions::from_mode(0o700);
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix(PREFIX).permissions(private);
        let folder = folder.tempdir_in(&self.place)?;
        let lock = File::open(folder.path())?;
        lock.try_lock()?;
        // From here on it is ours to remove, and to say so when that fails.
        let path = folder.keep();
        Ok(JobFolder {
            path,
            lock,
            late: Arc::clone(&self.late),
        })
    }
}

/// One job's folder. Removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct JobFolder {
    path: PathBuf,
    /// For as long as it is held, the folder is not a leftover.
    lock: File,
    late: Arc<Late>,
}

impl JobFolder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl JobFolder {
    /// Removes it when there is nothing in it but files, which is a third of the system calls that it takes in general.
    fn remove_files(&self) -> rustix::io::Result<()> {
        let mut space = [std::mem::MaybeUninit::uninit(); 1024];
        let mut entries = rustix::fs::RawDir::new(&self.lock, &mut space);
        while let Some(entry) = entries.next() {
            let name = entry?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                rustix::fs::unlinkat(&self.lock, name, rustix::fs::AtFlags::empty())?;
            }
        }
        rustix::fs::rmdir(&self.path)
    }
}

impl Drop for JobFolder {
    fn drop(&mut self) {
        if self.remove_files().is_err()
            && let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            self.late.add(self.path.clone());
        }
    }
}

/// Longest name of a file on every file system that we know.
const MAX_NAME: usize = 255;

/// The name that a client's source has in its job's folder: its own, as it can stand in names that the compiler makes
/// from it, with the suffix that says what the text is now. `dir/x.c` becomes `x.i`.
pub(crate) fn source_name(client: &OsStr, suffix: &str) -> OsString {
    let stem = Path::new(client)
        .file_stem()
        .filter(|stem| usable(stem, suffix))
        .unwrap_or(OsStr::new("source"));
    let mut name = stem.to_owned();
    name.push(".");
    name.push(suffix);
    name
}

/// A leading dash would be an option; a name must fit together with the longest suffix.
fn usable(stem: &OsStr, suffix: &str) -> bool {
    let bytes = stem.as_encoded_bytes();
    bytes.len() + 2 + suffix.len() <= MAX_NAME
        && !bytes.starts_with(b"-")
        && !bytes.starts_with(b"@")
}

/// The name of the product beside that source, never the source's own.
pub(crate) fn product_name(source: &OsStr, suffix: &str) -> OsString {
    let mut name = Path::new(source).with_extension(suffix).into_os_string();
    if name == source {
        name = OsString::from(format!("out.{suffix}"));
        if name == source {
            name = OsString::from(format!("product.{suffix}"));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_private_and_go_away() {
        let place = tempfile::tempdir().unwrap();
        let count = || std::fs::read_dir(place.path()).unwrap().count();
        let scratch = Scratch::new(place.path().to_owned()).unwrap();
        assert_eq!(count(), 0);
        let (one, two) = (scratch.job().unwrap(), scratch.job().unwrap());
        assert_ne!(one.path(), two.path());
        let about = std::fs::metadata(one.path()).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o700);
        std::fs::create_dir(one.path().join("sub")).unwrap();
        std::fs::write(one.path().join("sub/file"), "x").unwrap();
        drop(one);
        assert!(count() == 1 && two.path().exists());
        drop(two);
        assert_eq!(count(), 0);
        assert!(Scratch::new(place.path().join("none")).is_err());
    }

    #[test]
    fn what_cannot_be_removed_at_once_is_later() {
        let place = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(place.path().to_owned()).unwrap();
        let gone = scratch.job().unwrap();
        std::fs::remove_dir(gone.path()).unwrap();
        drop(gone);
        assert!(scratch.late.folders().is_empty());
        let late = scratch.job().unwrap();
        let path = late.path().to_owned();
        scratch.late.add(path.clone());
        std::fs::write(path.join("file"), "x").unwrap();
        assert!(scratch.late.sweep() && !path.exists());
        let path = scratch.job().unwrap().path().to_owned();
        std::fs::create_dir_all(path.join("by/a/compiler")).unwrap();
        scratch.late.add(path.clone());
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn only_what_is_provably_left_over_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let running = Scratch::new(place.path().to_owned()).unwrap();
        let held = running.job().unwrap();
        let old = std::time::SystemTime::now() - Duration::from_secs(60);
        let make = |name: &str, mode: u32| {
            let path = place.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("file"), "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            File::open(&path).unwrap().set_modified(old).unwrap();
            path
        };
        File::open(held.path()).unwrap().set_modified(old).unwrap();
        let left = make("distcc-launchd_left", 0o700);
        let others = [
            make("distcc-launchd_open", 0o755),
            make("other", 0o700),
            make("distccd_of_stock", 0o700),
        ];
        let young = place.path().join("distcc-launchd_young");
        std::fs::create_dir(&young).unwrap();
        let _next = Scratch::new(place.path().to_owned()).unwrap();
        assert!(!left.exists() && held.path().exists() && young.exists());
        assert!(others.iter().all(|path| path.exists()));
    }

    #[test]
    fn a_source_keeps_its_base_name() {
        let name = |client: &str| source_name(OsStr::new(client), "i").into_string().unwrap();
        assert_eq!(name("hello.c"), "hello.i");
        assert_eq!(name("/a/b/x.tar.c"), "x.tar.i");
        assert_eq!(name("x.i"), "x.i");
        assert_eq!(name(".."), "source.i");
        assert_eq!(name("/"), "source.i");
        assert_eq!(name(""), "source.i");
        assert_eq!(name("-evil.c"), "source.i");
        assert_eq!(name(&format!("{}.c", "n".repeat(300))), "source.i");
        assert_eq!(name(&format!("{}.c", "n".repeat(252))).len(), 254);
    }

    #[test]
    fn a_product_is_never_the_source() {
        assert_eq!(product_name(OsStr::new("a.i"), "o"), "a.o");
        assert_eq!(product_name(OsStr::new("a.s"), "s"), "out.s");
        assert_eq!(product_name(OsStr::new("out.s"), "s"), "product.s");
    }

    #[test]
    fn a_named_place_is_taken() {
        assert_eq!(place(Some(OsStr::new("/var/tmp"))), Path::new("/var/tmp"));
        assert_ne!(place(Some(OsStr::new(""))), Path::new(""));
    }
}
