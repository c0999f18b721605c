//! Names of files as clients may give them, and folders made for them.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Mode;

/// Longest path, its end included.
const PATH_MAX: usize = 4096;
/// Longest name of a file on every file system that we know.
const NAME_MAX: usize = 255;

/// Absolute and made of plain names: no empty one, no `.`, no `..`, none too long, no NUL. The root itself counts.
pub(crate) fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let Some(rest) = bytes.strip_prefix(b"/") else {
        return false;
    };
    let plain = |name: &[u8]| {
        !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_MAX && !name.contains(&0)
    };
    bytes.len() < PATH_MAX && (rest.is_empty() || rest.split(|byte| *byte == b'/').all(plain))
}

/// What of `path` lies below `folder`: nothing where it is the folder itself. For plain names, whose bytes tell.
pub(crate) fn rest<'p>(path: &'p Path, folder: &Path) -> Option<&'p Path> {
    let (path, folder) = (path.as_os_str().as_bytes(), folder.as_os_str().as_bytes());
    let rest = match path.strip_prefix(folder)? {
        rest if folder == b"/" => rest,
        [] => &[],
        rest => rest.strip_prefix(b"/")?,
    };
    Some(Path::new(OsStr::from_bytes(rest)))
}

/// `folder` and below it what `path`, which is absolute, names.
pub(crate) fn below(folder: &Path, path: &Path) -> std::path::PathBuf {
    folder.join(path.strip_prefix("/").unwrap_or(path))
}

/// # Errors
/// There is a NUL in it.
pub(crate) fn c_string(word: impl AsRef<OsStr>) -> io::Result<CString> {
    Ok(CString::new(word.as_ref().as_bytes())?)
}

/// Makes a folder and those above it, where they are missing.
pub(crate) fn make_folders(path: &Path) -> rustix::io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Err(Errno::NOENT) => {
            if let Some(above) = path.parent() {
                make_folders(above)?;
            }
            match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
                Err(Errno::EXIST) => Ok(()),
                made => made,
            }
        }
        Err(Errno::EXIST) => Ok(()),
        // What is there already may stand on something that cannot be written to.
        Err(_) if path.is_dir() => Ok(()),
        made => made,
    }
}

/// The same below `top`, which is never made: whoever made it may have removed it.
pub(crate) fn make_folders_below(top: &Path, path: &Path) -> rustix::io::Result<()> {
    use rustix::io::Errno;
    if path == top {
        return Ok(());
    }
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        Err(Errno::NOENT) if path.parent().is_some_and(|above| above != top) => {
            make_folders_below(top, path.parent().unwrap_or(top))?;
            make_folders_below(top, path)
        }
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_at_one_by_one() {
        for path in ["/", "/a", "/a/b c/...", "/..a/x"] {
            assert!(is_plain(Path::new(path)), "{path}");
        }
        for path in [
            "", "a", "a/b", "//", "/a/", "/a//b", "/a/./b", "/a/../b", "/..", "/.", "/a\0b",
        ] {
            assert!(!is_plain(Path::new(path)), "{path:?}");
        }
        let long = format!("/{}", "n".repeat(256));
        assert!(!is_plain(Path::new(&long)));
        assert!(!is_plain(Path::new(&"/n".repeat(3000))));
    }

    #[test]
    fn what_is_below_a_folder_is_told_by_bytes() {
        for (path, folder) in [
            ("/usr", "/usr"),
            ("/usr/lib/x", "/usr"),
            ("/usrlib", "/usr"),
            ("/us", "/usr"),
            ("/usr/lib", "/usr/lib/x"),
            ("/", "/"),
            ("/a/b", "/"),
        ] {
            let (path, folder) = (Path::new(path), Path::new(folder));
            assert_eq!(rest(path, folder), path.strip_prefix(folder).ok());
        }
    }

    #[test]
    fn folders_are_made_once() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("a/b/c");
        make_folders(&deep).unwrap();
        make_folders(&deep).unwrap();
        assert!(deep.is_dir());
        std::fs::write(place.path().join("file"), "").unwrap();
        assert!(make_folders(&place.path().join("file/below")).is_err());
    }

    #[test]
    fn the_top_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let gone = place.path().join("gone");
        make_folders_below(place.path(), &place.path().join("a/b")).unwrap();
        make_folders_below(place.path(), &place.path().join("a/b")).unwrap();
        assert!(place.path().join("a/b").is_dir());
        make_folders_below(&gone, &gone).unwrap();
        assert!(make_folders_below(&gone, &gone.join("a")).is_err());
        assert!(make_folders_below(&gone, &gone.join("a/b/c")).is_err());
        assert!(!gone.exists());
    }
}
