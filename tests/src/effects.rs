//! What a command leaves: its exit code, its words, and every file that it made, changed or removed.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::bytes::Regex;

use crate::run::Ran;

/// One thing in a folder, with all that a build could notice about it.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    File { bytes: Vec<u8>, mode: u32 },
    Link { target: OsString },
    Folder { mode: u32 },
    Pipe { mode: u32 },
    Device { number: u64, mode: u32 },
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Entry::File { bytes, mode } => {
                write!(f, "file of {} bytes, mode {mode:o}", bytes.len())
            }
            Entry::Link { target } => write!(f, "link to {}", target.display()),
            Entry::Folder { mode } => write!(f, "folder, mode {mode:o}"),
            Entry::Pipe { mode } => write!(f, "pipe, mode {mode:o}"),
            Entry::Device { number, mode } => write!(f, "device {number:x}, mode {mode:o}"),
        }
    }
}

/// Everything below `folder`, by its path relative to it.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(&inside).expect("a folder of the test can be read") {
            let path = entry.expect("a folder of the test can be read").path();
            let what = look_at(&path);
            if let Entry::Folder { .. } = what {
                folders.push(path.clone());
            }
            let name = path
                .strip_prefix(folder)
                .expect("an entry is below its folder");
            found.insert(name.to_owned(), what);
        }
    }
    found
}

fn look_at(path: &Path) -> Entry {
    let meta = fs::symlink_metadata(path).expect("an entry just listed is there");
    let mode = meta.permissions().mode() & 0o7777;
    let kind = meta.file_type();
    if kind.is_symlink() {
        Entry::Link {
            target: fs::read_link(path).expect("a link can be read").into(),
        }
    } else if kind.is_dir() {
        Entry::Folder { mode }
    } else if kind.is_fifo() {
        Entry::Pipe { mode }
    } else if kind.is_char_device() || kind.is_block_device() {
        Entry::Device {
            number: meta.rdev(),
            mode,
        }
    } else {
        Entry::File {
            bytes: fs::read(path).expect("a file of the test can be read"),
            mode,
        }
    }
}

/// What one run of a command left.
#[derive(Debug, Clone)]
pub struct Effects {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// Made or changed.
    pub files: BTreeMap<PathBuf, Entry>,
    pub removed: Vec<PathBuf>,
}

impl Effects {
    pub fn new(
        ran: Ran,
        before: &BTreeMap<PathBuf, Entry>,
        mut after: BTreeMap<PathBuf, Entry>,
    ) -> Effects {
        let removed = before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .cloned()
            .collect();
        after.retain(|name, entry| before.get(name) != Some(entry));
        Effects {
            code: ran.code(),
            stdout: ran.stdout,
            stderr: without_chance(&ran.stderr),
            files: after,
            removed,
        }
    }

    /// The bytes of a file that was made or changed.
    pub fn bytes(&self, name: &str) -> &[u8] {
        match self.files.get(Path::new(name)) {
            Some(Entry::File { bytes, .. }) => bytes,
            other => panic!(
                "{name} should be a new file but is {other:?}; all: {:?}",
                self.files
            ),
        }
    }

    /// Each way in which `other` differs from this, in words.
    pub fn differences(&self, other: &Effects) -> Vec<String> {
        let mut found = self.differences_but_messages(other);
        for (name, mine, theirs) in [
            ("stdout", &self.stdout, &other.stdout),
            ("stderr", &self.stderr, &other.stderr),
        ] {
            if mine != theirs {
                found.push(format!(
                    "{name}:\n--- local\n{}\n--- launcher\n{}\n---",
                    text(mine),
                    text(theirs)
                ));
            }
        }
        found
    }

    /// As [`Effects::differences`], leaving stdout and stderr alone.
    pub fn differences_but_messages(&self, other: &Effects) -> Vec<String> {
        let mut found = Vec::new();
        if self.code != other.code {
            found.push(format!(
                "exit code: {} locally, {} through the launcher",
                self.code, other.code
            ));
        }
        for (name, mine) in &self.files {
            match other.files.get(name) {
                None => found.push(format!("lost: {} ({mine:?})", name.display())),
                Some(theirs) if theirs != mine => {
                    found.push(format!(
                        "{}: {mine:?} locally, {theirs:?} through the launcher",
                        name.display()
                    ));
                }
                Some(_) => {}
            }
        }
        for (name, theirs) in &other.files {
            if !self.files.contains_key(name) {
                found.push(format!("extra: {} ({theirs:?})", name.display()));
            }
        }
        if self.removed != other.removed {
            found.push(format!(
                "removed: {:?} locally, {:?} through the launcher",
                self.removed, other.removed
            ));
        }
        found
    }

    /// The messages without the excerpts of the source that gcc prints where it can read it.
    pub fn stderr_but_excerpts(&self) -> String {
        static EXCERPT: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"(?m)^ *[0-9]* \|.*\n?").expect("the pattern is good"));
        text(&EXCERPT.replace_all(&self.stderr, &b""[..]))
    }
}

/// The messages with one name for the temporary files that a compiler names by chance.
fn without_chance(messages: &[u8]) -> Vec<u8> {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"/cc[0-9A-Za-z]{6}\.").expect("the pattern is good"));
    NAME.replace_all(messages, &b"/ccCHANCE."[..]).into_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
