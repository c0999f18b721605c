//! Trees of files: how a case begins.

use super::chance::Chance;
use super::include::PROLOGUE;
use super::text::{Author, Dialect, ODD, RANKS, header_name};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(crate) const FOLDERS: &[&str] = &[
    "inc0",
    "inc0/d",
    "inc0/linux",
    "inc0/1",
    "inc1",
    "inc1/d",
    "inc2",
    "sys",
    "quo",
    "aft",
    "sub",
    "sub/d",
    "pre-x",
    "root/inc",
    "root/usr/include",
    "sp ace",
    "é",
];

/// Links and where they lead; `$ROOT` is the folder of all.
pub(crate) const LINKS: &[(&str, &str)] = &[
    ("ln", "inc1"),
    ("inc2/up", "../sub"),
    ("inc1/lnk", "d"),
    ("inc0/lnk", "../inc1/d"),
    ("lnq", "quo/../inc2"),
    ("abs", "$ROOT/sys"),
    ("loop", "loop"),
    ("dang", "nowhere"),
    ("ln2", "ln"),
    ("sub/ln", "../ln/lnk/.."),
    ("inc0/loop", "../inc0/loop"),
];

/// The sources of each case, by their ends.
pub(crate) const UNITS: &[&str] = &["t", "sub/u", "inc1/v"];

/// Lays out a case below `root`.
pub(crate) fn lay_out(chance: &mut Chance, dialect: Dialect, root: &Path) {
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder)).expect("it can be made");
    }
    for (name, target) in LINKS {
        if !chance.one_in(4) {
            let target = target.replace("$ROOT", root.to_str().expect("it is UTF-8"));
            symlink(target, root.join(name)).expect("it can be made");
        }
    }
    fs::write(root.join("pro.h"), PROLOGUE).expect("it can be written");
    for folder in FOLDERS.iter().copied().chain([""]) {
        for rank in 0..RANKS {
            let always = folder == "inc0" || folder == "inc0/d";
            if always || chance.one_in(3) {
                let path = root.join(folder).join(header_name(rank));
                put_header(chance, dialect, root, &path, rank);
            }
        }
    }
    for name in ODD.iter().copied().chain([
        " h3.h", "h3.h ", " h3.h ", "h 3.h", "h3 .h", " h4.h", "h4.h ", " h4.h ", "h2 .h",
        " h2.h ", "d/ h3.h", "d/h3 .h", "h4. h", "h5 .h",
    ]) {
        let folder = chance.of(&["inc0", "inc0", "inc0", "sub", "inc1"]);
        let text = write(chance, dialect, root, RANKS - 1);
        let _ = fs::write(root.join(folder).join(name), text);
    }
    let suffix = if dialect.cxx { "cc" } else { "c" };
    for unit in UNITS {
        let prologue = format!("#include \"{}/pro.h\"\n", root.display());
        let mut author = Author {
            chance,
            dialect,
            root,
            rank: 0,
        };
        let text = author.unit(&prologue);
        fs::write(root.join(format!("{unit}.{suffix}")), text).expect("it can be written");
    }
    age(chance, root);
}

/// A header of this rank: a file of its own, a copy, or a link to one that may stand for it.
pub(crate) fn put_header(
    chance: &mut Chance,
    dialect: Dialect,
    root: &Path,
    path: &Path,
    rank: usize,
) {
    let other = root
        .join(chance.of(FOLDERS))
        .join(header_name(rank + chance.below(RANKS - rank)));
    let _ = fs::remove_file(path);
    match chance.below(10) {
        0 if other.is_file()
            && other != path
            && other.canonicalize().is_ok_and(|real| real != path) =>
        {
            symlink(&other, path).expect("it can be made");
        }
        1 if other.is_file() && other != path => {
            fs::copy(&other, path).expect("it can be copied");
        }
        2 if other.is_file() && other != path && fs::hard_link(&other, path).is_ok() => {}
        _ => {
            let text = write(chance, dialect, root, rank);
            fs::write(path, text).expect("it can be written");
        }
    }
}

/// The text of a header of this rank, or of a higher one.
pub(crate) fn write(chance: &mut Chance, dialect: Dialect, root: &Path, rank: usize) -> Vec<u8> {
    let mut author = Author {
        chance,
        dialect,
        root,
        rank: rank.max(1),
    };
    author.header()
}

/// Gives every file one of two times: gcc takes files with equal bytes and second for one.
fn age(chance: &mut Chance, root: &Path) {
    for path in files_below(root) {
        set_time(&path, chance.below(2) as u64);
    }
}

pub(crate) fn set_time(path: &Path, which: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000 + which);
    if let Ok(file) = fs::File::options().append(true).open(path) {
        file.set_modified(time).expect("its time can be set");
    }
}

/// Every ordinary file below `folder`, by names without links.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    walk(folder, &mut |path, kind| {
        if kind.is_file() {
            out.push(path.to_owned());
        }
    });
    out
}

/// Everything below `folder`, in the order of names.
pub(crate) fn walk(folder: &Path, seen: &mut impl FnMut(&Path, fs::FileType)) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.filter_map(Result::ok).collect();
    paths.sort_by_key(fs::DirEntry::file_name);
    for entry in paths {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        seen(&entry.path(), kind);
        if kind.is_dir() {
            walk(&entry.path(), seen);
        }
    }
}
