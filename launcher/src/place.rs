//! Puts finished files where the local compiler would have put them, all of a file or nothing.
//!
//! Onto nothing or a regular file by way of a nameless file, so that a launcher that is killed leaves the previous file or none;
//! into devices, pipes and what links lead to as the compiler itself writes there.  Never makes a folder.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags};

use crate::os;

/// How a compiler writes a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// GNU as: takes a file (or link) away unless it leads to nothing or to an empty file, then makes a new one.
    Unlink,
    /// cc1 for assembler text and dependency files: opens the file and empties it.
    Truncate,
    /// clang: a new file takes the place of a regular one, even behind a link, if that may be written.
    Rename,
}

/// What has to be done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A new file of this mode, or of the mode that new files have, appears under the name.
    New { mode: Option<u32>, old: Old },
    /// The bytes go into what is there, by opening it as any program would.
    Into,
}

/// What becomes of what has the name of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Old {
    /// Nothing has it.
    Missing,
    /// Goes before the new file comes, as with the compiler itself: some file systems (ext4) write a file to the disk at once
    /// when it is renamed over another, which takes longer than all else here.
    Unlinked,
    /// There until the new file is.
    Replaced,
}

/// Writes `bytes` to `path` as a compiler with this habit would leave them.
///
/// Errors are the file system's; whoever meets one lets the compiler itself try, which then says it in its own words.
pub(crate) fn place(path: &OsStr, bytes: &[u8], habit: Habit) -> io::Result<()> {
    match way(Path::new(path), habit)? {
        Way::New { mode, old } => appear(Path::new(path), bytes, mode, old),
        Way::Into => OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?
            .write_all(bytes),
    }
}

/// Would a file come to `path`? As far as can be told before.
pub(crate) fn check(path: &OsStr, habit: Habit) -> io::Result<()> {
    let path = Path::new(path);
    match way(path, habit)? {
        Way::New { .. } => Ok(fs::access(folder_of(path), fs::Access::WRITE_OK)?),
        Way::Into if path.is_dir() => Err(rustix::io::Errno::ISDIR.into()),
        Way::Into => Ok(()),
    }
}

/// Adds `bytes` to the end of the file at `path`, which `DEPENDENCIES_OUTPUT` names.
pub(crate) fn append(path: &OsStr, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)?
        .write_all(bytes)
}

fn way(path: &Path, habit: Habit) -> io::Result<Way> {
    let fresh = |old| Way::New { mode: None, old };
    let there = match fs::lstat(path) {
        Ok(there) => there,
        Err(rustix::io::Errno::NOENT) => return Ok(fresh(Old::Missing)),
        Err(error) => return Err(error.into()),
    };
    let linked = FileType::from_raw_mode(there.st_mode).is_symlink();
    let target = if linked {
        fs::stat(path).ok()
    } else {
        Some(there)
    };
    let Some(target) = target else {
        // A link to nothing: clang puts its file in the link's place, the others make the file that it names.
        return Ok(if habit == Habit::Rename {
            fresh(Old::Replaced)
        } else {
            Way::Into
        });
    };
    let kind = FileType::from_raw_mode(target.st_mode);
    if kind.is_fifo() && habit == Habit::Unlink {
        // GNU as seeks, and fails in its own words.
        return Err(rustix::io::Errno::SPIPE.into());
    }
    if !kind.is_file() {
        return Ok(Way::Into);
    }
    let alone = !linked && target.st_nlink == 1;
    let keeping = Way::New {
        mode: Some(target.st_mode & 0o7777),
        old: Old::Replaced,
    };
    Ok(match habit {
        Habit::Unlink if target.st_size > 0 => fresh(Old::Unlinked),
        Habit::Rename => {
            fs::access(path, fs::Access::WRITE_OK)?;
            fresh(Old::Replaced)
        }
        // In place, so mode, owner and other names stay; a file with one name may as well be a new one of its mode.
        Habit::Unlink | Habit::Truncate => {
            fs::access(path, fs::Access::WRITE_OK)?;
            let ours = target.st_uid == rustix::process::geteuid().as_raw()
                && target.st_gid == rustix::process::getegid().as_raw();
            if alone && ours { keeping } else { Way::Into }
        }
    })
}

/// Makes the file whole before it has a name.
fn appear(path: &Path, bytes: &[u8], mode: Option<u32>, old: Old) -> io::Result<()> {
    let folder = folder_of(path);
    let made = Mode::from_raw_mode(0o666);
    let nameless = match fs::openat(
        CWD,
        folder,
        OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
        made,
    ) {
        Ok(fd) => File::from(fd),
        // This file system has no nameless files, or the folder is not one to write in.
        Err(_) => return appear_named(path, folder, bytes, mode),
    };
    fill(&nameless, bytes, mode)?;
    let source = format!("/proc/self/fd/{}", nameless.as_raw_fd());
    let name = |to: &Path| fs::linkat(CWD, &source, CWD, to, AtFlags::SYMLINK_FOLLOW);
    // What cannot be taken away is left to a rename, whose error counts.
    if old == Old::Missing || old == Old::Unlinked && fs::unlink(path).is_ok() {
        match name(path) {
            Ok(()) => return Ok(()),
            // Another has come to be meanwhile.
            Err(rustix::io::Errno::EXIST) => {}
            // No /proc, or a file system that gives nameless files no names.
            Err(_) => return appear_named(path, folder, bytes, mode),
        }
    }
    replace(path, folder, |partial| Ok(name(partial)?))
        .or_else(|_| appear_named(path, folder, bytes, mode))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn appear_named(path: &Path, folder: &Path, bytes: &[u8], mode: Option<u32>) -> io::Result<()> {
    replace(path, folder, |partial| {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).open(partial)?;
        fill(&file, bytes, mode)
    })
}

/// Has `make` make a file under a name of its own, which then becomes `path`.
fn replace(
    path: &Path,
    folder: &Path,
    make: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let partial = partial_name(path, folder);
    let _leftover = os::remove_on_signal(&partial)?;
    make(&partial)
        .and_then(|()| Ok(fs::rename(&partial, path)?))
        .inspect_err(|error| {
            // What was there before us is somebody else's.
            if error.kind() != io::ErrorKind::AlreadyExists {
                let _ = fs::unlink(&partial);
            }
        })
}

fn fill(mut file: &File, bytes: &[u8], mode: Option<u32>) -> io::Result<()> {
    if let Some(mode) = mode {
        fs::fchmod(file, Mode::from_raw_mode(mode))?;
    }
    file.write_all(bytes)
}

/// A name beside `path` that nobody else uses.
fn partial_name(path: &Path, folder: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}~", std::process::id()));
    folder.join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn where_nothing_can_come_is_seen_before() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name).into_os_string();
        std::fs::create_dir(at("folder")).unwrap();
        symlink("folder", at("link")).unwrap();
        symlink("nothing", at("dangling")).unwrap();
        for habit in [Habit::Truncate, Habit::Rename] {
            for name in ["folder", "link", "nowhere/a.o"] {
                assert!(check(&at(name), habit).is_err(), "{name} {habit:?}");
            }
            for name in ["new.o", "dangling", "folder/a.o"] {
                assert!(check(&at(name), habit).is_ok(), "{name} {habit:?}");
            }
        }
        assert!(!Path::new(&at("new.o")).exists());
    }

    fn at(folder: &tempfile::TempDir, name: &str) -> OsString {
        folder.path().join(name).into()
    }
    fn read(path: &OsStr) -> Vec<u8> {
        std::fs::read(path).expect("placed")
    }
    fn count(folder: &tempfile::TempDir) -> usize {
        std::fs::read_dir(folder.path()).expect("folder").count()
    }

    #[test]
    fn onto_nothing_and_onto_a_file() {
        let folder = tempfile::tempdir().expect("folder");
        let path = at(&folder, "a.o");
        for (habit, text) in [
            (Habit::Unlink, "one"),
            (Habit::Unlink, "two"),
            (Habit::Truncate, "three"),
            (Habit::Rename, "four"),
        ] {
            place(&path, text.as_bytes(), habit).expect("placed");
            assert_eq!(read(&path), text.as_bytes());
            assert_eq!(count(&folder), 1, "no other file is left");
        }
    }

    #[test]
    fn other_names_of_a_file_follow_the_compilers_habit() {
        let folder = tempfile::tempdir().expect("folder");
        for (habit, other) in [
            (Habit::Unlink, "old"),
            (Habit::Rename, "old"),
            (Habit::Truncate, "new"),
        ] {
            let (path, second) = (at(&folder, "a.o"), at(&folder, "b.o"));
            std::fs::write(&path, "old").expect("file");
            std::fs::hard_link(&path, &second).expect("second name");
            place(&path, b"new", habit).expect("placed");
            assert_eq!(read(&path), b"new", "{habit:?}");
            assert_eq!(read(&second), other.as_bytes(), "{habit:?}");
            for name in [path, second] {
                std::fs::remove_file(name).expect("removed");
            }
        }
    }

    #[test]
    fn links_are_replaced_or_followed() {
        let folder = tempfile::tempdir().expect("folder");
        let (link, target) = (at(&folder, "link"), at(&folder, "target"));
        for (habit, before, stays) in [
            (Habit::Unlink, Some("full"), false),
            (Habit::Unlink, Some(""), true),
            (Habit::Unlink, None, true),
            (Habit::Truncate, Some("full"), true),
            (Habit::Rename, Some("full"), false),
            (Habit::Rename, None, false),
        ] {
            if let Some(text) = before {
                std::fs::write(&target, text).expect("target");
            }
            symlink(&target, &link).expect("link");
            place(&link, b"new", habit).expect("placed");
            assert_eq!(read(&link), b"new");
            let is_link = Path::new(&link)
                .symlink_metadata()
                .expect("there")
                .is_symlink();
            assert_eq!(is_link, stays, "{habit:?} with target {before:?}");
            std::fs::remove_file(&link).expect("removed");
            // A link that was replaced leaves a missing target missing.
            let removed = std::fs::remove_file(&target);
            assert_eq!(
                removed.is_ok(),
                stays || before.is_some(),
                "{habit:?} with target {before:?}"
            );
        }
    }

    #[test]
    fn modes_are_those_of_a_compiler() {
        let folder = tempfile::tempdir().expect("folder");
        let path = at(&folder, "a.s");
        std::fs::write(&path, "x").expect("file");
        let mode = |path: &OsStr| std::fs::metadata(path).expect("file").mode() & 0o777;
        for kept in [0o640, 0o666] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(kept)).expect("mode");
            place(&path, b"y", Habit::Truncate).expect("placed");
            assert_eq!(mode(&path), kept, "truncating keeps the mode");
        }
        place(&path, b"z", Habit::Unlink).expect("placed");
        let plain = at(&folder, "plain");
        std::fs::write(&plain, "").expect("file");
        assert_eq!(mode(&path), mode(&plain), "a new file has the umask's mode");
    }

    #[test]
    fn devices_and_pipes_are_written_into() {
        place(OsStr::new("/dev/null"), b"gone", Habit::Unlink).expect("written");
        assert!(!std::fs::metadata("/dev/null").expect("there").is_file());
    }

    #[test]
    fn a_missing_folder_is_an_error_and_is_not_made() {
        let folder = tempfile::tempdir().expect("folder");
        let path = at(&folder, "no/such/a.o");
        let error = place(&path, b"x", Habit::Unlink).expect_err("no folder");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(count(&folder), 0);
    }
}
