//! Where the real compiler is, behind every launcher that goes by its name.
//!
//! A masquerade folder holds links named `gcc` that lead to a launcher: ours, stock's, ccache's, icecc's.  Whoever asks for `gcc`
//! means the compiler, so such links are passed over.  Ours are known by device and inode, others by the name they lead to.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, Access, Stat};

use crate::os;

/// A compiler on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// What to execute.
    pub path: PathBuf,
    /// Its first word: as the user wrote it, unless that name would lead the compiler itself to a launcher's link
    /// (gcc looks itself up in PATH to find its parts).
    pub argv0: OsString,
    pub stat: Stat,
}

/// What identifies a file whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode {
    pub device: u64,
    pub number: u64,
}

impl Inode {
    pub(crate) fn of(stat: &Stat) -> Inode {
        Inode {
            device: stat.st_dev,
            number: stat.st_ino,
        }
    }
    /// This very program.
    pub(crate) fn ours() -> Option<Inode> {
        let stat = fs::stat("/proc/self/exe")
            .ok()
            .or_else(|| fs::stat(os::started_as()?).ok());
        stat.map(|stat| Inode::of(&stat))
    }
}

/// The program that `word` means, with `path` for a PATH.
pub(crate) fn compiler(word: &OsStr, path: &OsStr, ours: Option<Inode>) -> Option<Program> {
    let name = word.as_bytes();
    if name.contains(&b'/') {
        let named = Path::new(word);
        let stat = executable(named)?;
        if ours != Some(Inode::of(&stat)) {
            return Some(Program {
                path: named.into(),
                argv0: word.into(),
                stat,
            });
        }
        // The path of a masquerade link: what it stands for is further down PATH.
        let base = named.file_name()?;
        let found = search(base, path, ours)?;
        return Some(Program {
            argv0: found.path.clone().into(),
            ..found
        });
    }
    search(word, path, ours)
}

fn search(name: &OsStr, path: &OsStr, ours: Option<Inode>) -> Option<Program> {
    let mut behind_a_link = false;
    for folder in path.as_bytes().split(|byte| *byte == b':') {
        let folder = if folder.is_empty() {
            OsStr::new(".")
        } else {
            OsStr::from_bytes(folder)
        };
        let candidate = Path::new(folder).join(name);
        let Some(stat) = executable(&candidate) else {
            continue;
        };
        if ours == Some(Inode::of(&stat)) || leads_to_launcher(&candidate) {
            behind_a_link = true;
            continue;
        }
        let argv0 = if behind_a_link {
            candidate.clone().into()
        } else {
            name.into()
        };
        return Some(Program {
            path: candidate,
            argv0,
            stat,
        });
    }
    None
}

/// The file that executing `path` would run, if it may be run.
fn executable(path: &Path) -> Option<Stat> {
    let stat = fs::stat(path).ok()?;
    let regular = fs::FileType::from_raw_mode(stat.st_mode).is_file();
    (regular && fs::access(path, Access::EXEC_OK).is_ok()).then_some(stat)
}

/// Is `path` a link to a launcher of another make?
fn leads_to_launcher(path: &Path) -> bool {
    let Ok(target) = fs::readlink(path, Vec::new()) else {
        return false;
    };
    let target = target.as_bytes();
    let base = target.rsplit(|byte| *byte == b'/').next().unwrap_or(target);
    [&b"distcc"[..], b"ccache", b"icecc", b"sccache"]
        .iter()
        .any(|name| base.starts_with(name))
}

/// The names that `path` goes by as one link leads to the next, the path itself not included; at most eight.
pub(crate) fn links(path: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut at = path.to_path_buf();
    while names.len() < 8 {
        let Ok(target) = fs::readlink(&at, Vec::new()) else {
            break;
        };
        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
        at = at.parent().unwrap_or(Path::new("/")).join(target);
        names.push(at.clone());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn script(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("folder");
        std::fs::write(path, "#!/bin/sh\n").expect("script");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("mode");
    }

    #[test]
    fn links_to_launchers_are_passed_over() {
        let root = tempfile::tempdir().expect("folder");
        let at = |name: &str| root.path().join(name);
        script(&at("bin/ours"));
        script(&at("bin/ccache"));
        script(&at("real/gcc"));
        for folder in ["masq", "ccache"] {
            std::fs::create_dir(at(folder)).expect("folder");
        }
        symlink("../bin/ours", at("masq/gcc")).expect("link");
        symlink("../bin/ccache", at("ccache/gcc")).expect("link");
        let ours = executable(&at("bin/ours")).map(|stat| Inode::of(&stat));
        let path = |folders: &[&str]| {
            OsString::from(
                folders
                    .iter()
                    .map(|folder| at(folder).display().to_string())
                    .collect::<Vec<_>>()
                    .join(":"),
            )
        };

        let found =
            compiler("gcc".as_ref(), &path(&["masq", "ccache", "real"]), ours).expect("found");
        assert_eq!(found.path, at("real/gcc"));
        assert_eq!(
            found.argv0,
            at("real/gcc"),
            "gcc must not find the link when it looks itself up"
        );

        let found = compiler("gcc".as_ref(), &path(&["real", "masq"]), ours).expect("found");
        assert_eq!(found.argv0, "gcc");

        let linked = at("masq/gcc");
        let found = compiler(linked.as_os_str(), &path(&["masq", "real"]), ours).expect("found");
        assert_eq!(found.path, at("real/gcc"));

        assert!(
            compiler("gcc".as_ref(), &path(&["masq"]), ours).is_none(),
            "never ourselves"
        );
        assert!(compiler("nosuch".as_ref(), &path(&["real"]), ours).is_none());
    }
}
