//! Changes of a tree between two questions.

use super::chance::Chance;
use super::layout::{FOLDERS, LINKS, files_below, put_header, set_time, walk, write};
use super::text::{Dialect, RANKS, header_name};
use std::fs;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// The rank of a header by its name; sources have none.
fn rank(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?;
    let digit = name.strip_prefix('h')?.strip_suffix(".h")?;
    digit.parse().ok().filter(|&rank| rank < RANKS)
}

/// Changes something below `root` and says what.
pub(crate) fn change(chance: &mut Chance, dialect: Dialect, root: &Path) -> String {
    let mut headers = files_below(root);
    headers.retain(|path| rank(path).is_some());
    let Some(path) = headers.get(chance.below(headers.len().max(1))).cloned() else {
        return "nothing".to_owned();
    };
    let of = rank(&path).unwrap_or(RANKS - 1);
    let what = match chance.below(18) {
        0..=1 => {
            fs::write(&path, write(chance, dialect, root, of)).expect("it can be written");
            "written anew in place"
        }
        2 => {
            let beside = path.with_extension("new");
            fs::write(&beside, write(chance, dialect, root, of)).expect("it can be written");
            fs::rename(&beside, &path).expect("it can be renamed");
            "replaced"
        }
        3..=4 => same_size(chance, &path),
        5..=6 => {
            let new = root
                .join(chance.of(FOLDERS))
                .join(path.file_name().expect("it has one"));
            if !new.parent().is_some_and(Path::is_dir) {
                return "nothing".to_owned();
            }
            put_header(chance, dialect, root, &new, of);
            return format!("{} is made", new.display());
        }
        7..=8 => {
            fs::remove_file(&path).expect("it can be removed");
            "deleted"
        }
        9 => return renamed(chance, &path, of),
        10 => return link(chance, root),
        11 => return folder_for_link(chance, root),
        12 => {
            let mode = chance.of(&[0o644, 0o600, 0o444]);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it can be set");
            "of another mode"
        }
        13 => {
            set_time(&path, chance.below(2) as u64);
            "of another time"
        }
        14 => return folder(chance, dialect, root),
        15 => {
            let mut file = fs::File::options()
                .append(true)
                .open(&path)
                .expect("it can be opened");
            let text = chance.of(&[
                "\n#define O2 5\n",
                "\n#include <h5.h>\n",
                "\n#pragma once\n",
            ]);
            file.write_all(text.as_bytes()).expect("it can be written");
            "longer"
        }
        16 => {
            let other = path.with_file_name(header_name(of + chance.below(RANKS - of)));
            if other == path || !other.is_file() {
                return "nothing".to_owned();
            }
            let _ = fs::remove_file(&path);
            let name = other.file_name().expect("it has one");
            symlink(name, &path).expect("it can be made");
            "a link"
        }
        _ => {
            let copy = root
                .join("inc0")
                .join(path.file_name().expect("it has one"));
            let bytes = fs::read(&path).expect("it can be read");
            let _ = fs::remove_file(&copy);
            fs::write(&copy, bytes).expect("it can be written");
            set_time(&path, 0);
            set_time(&copy, 0);
            return format!("{} is copied to {}", path.display(), copy.display());
        }
    };
    format!("{} is {what}", path.display())
}

/// Other bytes of the same number, and the time that it had.
fn same_size(chance: &mut Chance, path: &Path) -> &'static str {
    let mut bytes = fs::read(path).expect("it can be read");
    let digits: Vec<usize> = (1..bytes.len())
        .filter(|&at| {
            bytes[at].is_ascii_digit() && bytes[at - 1] == b'O'
                || bytes[at - 1..].starts_with(b"h0")
                || bytes[at - 1..].starts_with(b" 1")
        })
        .collect();
    let Some(&at) = digits.get(chance.below(digits.len().max(1))) else {
        return "as it was";
    };
    bytes[at] = b'0' + chance.below(5) as u8 + 1;
    let before = fs::metadata(path)
        .and_then(|data| data.modified())
        .expect("it has a time");
    let mut file = fs::File::options()
        .write(true)
        .open(path)
        .expect("it can be opened");
    file.seek(std::io::SeekFrom::Start(at as u64))
        .expect("it can be sought");
    file.write_all(&bytes[at..=at]).expect("it can be written");
    if chance.one_in(2) {
        file.set_modified(before).expect("its time can be set");
    }
    "different in one byte"
}

/// Another name in the folder or elsewhere, which no header of a higher rank may have.
fn renamed(chance: &mut Chance, path: &Path, of: usize) -> String {
    let new = match chance.below(2) {
        0 => path.with_file_name(header_name(chance.below(of + 1))),
        _ => path
            .parent()
            .expect("it has a folder")
            .join("d")
            .join(path.file_name().expect("it has one")),
    };
    match fs::rename(path, &new) {
        Ok(()) => format!("{} is renamed {}", path.display(), new.display()),
        Err(_) => "nothing".to_owned(),
    }
}

/// A link leads elsewhere.
fn link(chance: &mut Chance, root: &Path) -> String {
    let (name, _) = chance.of(LINKS);
    let path = root.join(name);
    if path.symlink_metadata().is_ok_and(|data| data.is_dir())
        || !path.parent().is_some_and(Path::is_dir)
    {
        return "nothing".to_owned();
    }
    let _ = fs::remove_file(&path);
    let target = root.join(chance.of(FOLDERS));
    if target.is_dir() && !chance.one_in(5) {
        symlink(&target, &path).expect("it can be made");
    }
    format!("{} leads to {}", path.display(), target.display())
}

/// A folder becomes a link to where it is now, or to another; a link becomes a folder.
fn folder_for_link(chance: &mut Chance, root: &Path) -> String {
    let names = ["inc1", "sub/d", "inc1/d", "sys", "quo"];
    let path = root.join(chance.of(&names));
    let aside = root.join("moved");
    let is_link = path.symlink_metadata().is_ok_and(|data| data.is_symlink());
    if is_link {
        let real = path.canonicalize();
        fs::remove_file(&path).expect("it can be removed");
        match real {
            Ok(real) if real == aside => fs::rename(&aside, &path).expect("it can be renamed"),
            _ => fs::create_dir(&path).expect("it can be made"),
        }
        return format!("{} is a folder again", path.display());
    }
    if !path.is_dir() || aside.exists() {
        return "nothing".to_owned();
    }
    fs::rename(&path, &aside).expect("it can be renamed");
    let target = if chance.one_in(3) {
        root.join("inc2")
    } else {
        aside
    };
    symlink(&target, &path).expect("it can be made");
    format!("{} is a link to {}", path.display(), target.display())
}

/// A folder goes, comes or moves with all that is in it.
fn folder(chance: &mut Chance, dialect: Dialect, root: &Path) -> String {
    let path: PathBuf = root.join(chance.of(&[
        "inc2", "sys", "inc1/d", "aft", "nothere", "inc0/d", "quo", "sub/d",
    ]));
    let aside = root.join("elsewhere");
    if !path.exists() {
        if path.symlink_metadata().is_ok() || !path.parent().is_some_and(Path::is_dir) {
            return "nothing".to_owned();
        }
        if fs::rename(&aside, &path).is_err() {
            fs::create_dir(&path).expect("it can be made");
            for rank in 3..RANKS {
                put_header(chance, dialect, root, &path.join(header_name(rank)), rank);
            }
        }
        return format!("{} is there", path.display());
    }
    if path.symlink_metadata().is_ok_and(|data| data.is_symlink()) {
        return "nothing".to_owned();
    }
    if chance.one_in(2) && !aside.exists() {
        fs::rename(&path, &aside).expect("it can be renamed");
        return format!("{} is elsewhere", path.display());
    }
    fs::remove_dir_all(&path).expect("it can be removed");
    format!("{} is gone", path.display())
}

/// Everything below the root, for who looks at a difference.
pub(crate) fn listing(root: &Path, shown: impl Fn(&Path) -> bool) -> String {
    let mut out = String::new();
    walk(root, &mut |path, kind| {
        let name = path.strip_prefix(root).expect("it is below").display();
        if kind.is_symlink() {
            let target = fs::read_link(path).expect("it is a link");
            out.push_str(&format!("{name} -> {}\n", target.display()));
        } else if kind.is_file() && shown(path) {
            let text = fs::read(path).expect("it can be read");
            out.push_str(&format!("--- {name}\n{}\n", String::from_utf8_lossy(&text)));
        }
    });
    out
}
