//! Which folders of this machine a toolchain needs: what the system's own compilers need, and what lies around
//! compilers found elsewhere.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What programs of the system are made of. Links among them are kept as links.
pub(crate) const SYSTEM: &[&str] = &[
    "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin",
];
/// Files and folders of /etc that a compiler's outcome rests on; nothing else of /etc is shown.
pub(crate) const ETC: &[&str] = &[
    "alternatives",
    "debian_version",
    "ld.so.cache",
    "localtime",
    "lsb-release",
    "os-release",
    "timezone",
];
/// Stores whose programs use each other's libraries.
const STORES: &[&str] = &["/nix/store", "/gnu/store"];
/// Beside a folder of programs: what belongs to them.
const COMPANIONS: &[&str] = &[
    "bin", "lib", "lib32", "lib64", "libx32", "libexec", "include", "share", "sysroot",
];

/// The folders around `programs` (absolute paths) that the system's own do not have: their own folder and, where that is called
/// `bin`, its usual companions; for links those of what they lead to as well.
#[must_use]
pub fn folders_of<'p>(programs: impl IntoIterator<Item = &'p Path>) -> Vec<PathBuf> {
    let mut folders = BTreeSet::new();
    for program in programs {
        add(program, &mut folders);
        if let Ok(real) = program.canonicalize() {
            add(&real, &mut folders);
        }
    }
    folders.into_iter().collect()
}

fn add(program: &Path, folders: &mut BTreeSet<PathBuf>) {
    let Some(folder) = program.parent() else {
        return;
    };
    if SYSTEM.iter().any(|system| folder.starts_with(system)) {
        return;
    }
    if let Some(store) = STORES.iter().find(|store| folder.starts_with(store)) {
        folders.insert(PathBuf::from(store));
        return;
    }
    folders.insert(folder.to_owned());
    let Some(prefix) = folder
        .parent()
        .filter(|_| folder.file_name() == Some(OsStr::new("bin")))
    else {
        return;
    };
    let usual = COMPANIONS.iter().map(|name| prefix.join(name));
    folders.extend(usual.filter(|folder| folder.is_dir()));
    let Ok(entries) = std::fs::read_dir(prefix) else {
        return;
    };
    // Cross compilers have a folder named for their target, with the target's own `bin` or `lib`.
    let targets = entries.flatten().map(|entry| entry.path()).filter(|path| {
        let dashes = path.file_name().map_or(0, |name| {
            name.as_encoded_bytes()
                .iter()
                .filter(|byte| **byte == b'-')
                .count()
        });
        dashes >= 1 && (path.join("bin").is_dir() || path.join("lib").is_dir())
    });
    folders.extend(targets);
}

/// Those of `folders` that are not below another of them or of the system's, parents first.
pub(crate) fn topmost(folders: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let sorted: BTreeSet<PathBuf> = folders.into_iter().collect();
    let mut top: Vec<PathBuf> = Vec::new();
    for folder in sorted {
        let known = SYSTEM.iter().any(|system| folder.starts_with(system))
            || top.iter().any(|above| folder.starts_with(above));
        if !known && folder != Path::new("/") {
            top.push(folder);
        }
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_own_need_nothing_more() {
        assert!(folders_of([Path::new("/usr/bin/gcc"), Path::new("/bin/cc")]).is_empty());
    }

    #[test]
    fn compilers_elsewhere_bring_their_companions_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for folder in ["bin", "lib", "private", "arm-none-eabi/bin", "links"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        std::fs::write(at("bin/gcc"), "").unwrap();
        std::os::unix::fs::symlink(at("bin/gcc"), at("links/cc")).unwrap();
        let folders = folders_of([at("links/cc").as_path()]);
        let expected = [at("arm-none-eabi"), at("bin"), at("lib"), at("links")];
        assert_eq!(folders, expected);
        let top = topmost([
            at("bin"),
            at("bin/sub"),
            "/usr/local/bin".into(),
            "/".into(),
        ]);
        assert_eq!(top, [at("bin")]);
    }
}
