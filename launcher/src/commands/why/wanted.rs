//! Which commands of the journal are about a file: those that compile or make it, or else those that name it.
//!
//! Knows nothing of what became of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use compiler::names;

use crate::commands::records::{Journal, Record};

/// The newest commands about `file`: those that compile or make it, or else those that name it.
pub(super) fn last_times(journal: &Journal, file: &Path, count: usize) -> Vec<Record> {
    let mut wanted = Wanted::new(file);
    wanted.exact = wanted.absolute.exists();
    let found = wanted.last_times(journal, count);
    if !found.is_empty() || !wanted.exact {
        return found;
    }
    wanted.exact = false;
    wanted.last_times(journal, count)
}

/// What the file is to a command.
#[derive(Debug, PartialEq, Eq)]
enum Role {
    /// Its source or its output.
    Unit,
    /// One of its words.
    Named,
}

/// The file that was asked about.
struct Wanted {
    /// As asked.
    name: PathBuf,
    /// As seen from the folder that we were called in.
    absolute: PathBuf,
    /// Is it that one and no other whose path ends so?
    exact: bool,
}

impl Wanted {
    fn new(file: &Path) -> Wanted {
        let here = std::env::current_dir().unwrap_or_default();
        Wanted {
            name: flat(file),
            absolute: flat(&here.join(file)),
            exact: false,
        }
    }

    /// Bytes that stand in each line about the file: its name without the suffix, since outputs are named after sources;
    /// none when the journal spells the name with escapes.
    fn needle(&self) -> Vec<u8> {
        let stem = self.name.file_stem().unwrap_or_default().as_bytes();
        let plain = stem
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(byte));
        if plain { stem.to_vec() } else { Vec::new() }
    }

    fn last_times(&self, journal: &Journal, count: usize) -> Vec<Record> {
        let mut named = Vec::new();
        let mut found = Vec::new();
        for record in journal.newest_first_with(&self.needle()) {
            match self.role_in(&record) {
                Some(Role::Unit) => found.push(record),
                Some(Role::Named) if named.len() < count => named.push(record),
                _ => {}
            }
            if found.len() == count {
                break;
            }
        }
        if found.is_empty() { named } else { found }
    }

    fn role_in(&self, record: &Record) -> Option<Role> {
        let mut role = None;
        let mut words = record.command.iter().skip(1).map(|word| word.0.as_bytes());
        let mut source = None;
        let mut output = false;
        while let Some(word) = words.next() {
            if word == b"-o" {
                output = true;
                if words.next().is_some_and(|name| self.is(name, record)) {
                    return Some(Role::Unit);
                }
            } else if let Some(name) = word.strip_prefix(b"-o").filter(|_| word.len() > 2) {
                output = true;
                if self.is(name, record) {
                    return Some(Role::Unit);
                }
            } else if names::looks_like_source(word) {
                source = Some(word);
                if self.is(word, record) {
                    return Some(Role::Unit);
                }
            } else if !word.starts_with(b"-") && self.is(word, record) {
                role = Some(Role::Named);
            }
        }
        let derived = source.filter(|_| !output).is_some_and(|source| {
            let suffix = self.name.extension();
            let stem = Path::new(OsStr::from_bytes(names::base(source))).with_extension("");
            suffix.is_some_and(|suffix| suffix == "o" || suffix == "s")
                && self.is(
                    stem.with_extension(suffix.unwrap_or_default())
                        .as_os_str()
                        .as_bytes(),
                    record,
                )
        });
        if derived { Some(Role::Unit) } else { role }
    }

    /// Does a command's word `name` mean the file?
    fn is(&self, name: &[u8], record: &Record) -> bool {
        let path = Path::new(OsStr::from_bytes(name));
        // Most words are told from the last of it.
        if path.file_name() != self.name.file_name() {
            return false;
        }
        let path = flat(&Path::new(&record.cwd.0).join(path));
        path == self.absolute || !self.exact && path.ends_with(&self.name)
    }
}

/// The same path without `.` and, as far as the words tell, without `..`.
fn flat(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                flat.pop();
            }
            part => flat.push(part),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::json::{Object, string};

    fn role(file: &str, cwd: &str, command: &str) -> Option<Role> {
        let line = Object::new()
            .text("place", "local")
            .text("cwd", cwd)
            .list(
                "command",
                command.split(' ').map(|word| string(word.as_ref())),
            )
            .end();
        let record = serde_json::from_str(&line).expect("a record");
        Wanted::new(Path::new(file)).role_in(&record)
    }

    #[test]
    fn a_file_is_known_by_its_path_or_the_end_of_it() {
        let compile = "gcc -c ../src/a.c -o out/a.o -MF out/a.d";
        for file in [
            "a.c",
            "src/a.c",
            "/b/src/a.c",
            "./src/a.c",
            "a.o",
            "out/a.o",
            "/b/build/out/a.o",
        ] {
            assert_eq!(role(file, "/b/build", compile), Some(Role::Unit), "{file}");
        }
        for file in ["b.c", "rc/a.c", "/src/a.c", "c/a.c", "a", "/b/build/a.o"] {
            assert_eq!(role(file, "/b/build", compile), None, "{file}");
        }
        assert_eq!(role("a.d", "/b/build", compile), Some(Role::Named));
        assert_eq!(role("x.o", "/b", "gcc -c x.c"), Some(Role::Unit));
        assert_eq!(role("/b/x.o", "/b", "gcc -c sub/x.c"), Some(Role::Unit));
        assert_eq!(role("x.o", "/b", "gcc -c x.c -oy.o"), None);
        assert_eq!(role("y.o", "/b", "gcc -c x.c -oy.o"), Some(Role::Unit));
        assert_eq!(role("a.o", "/b", "gcc a.o b.o -o app"), Some(Role::Named));
        assert_eq!(role("app", "/b", "gcc a.o b.o -o app"), Some(Role::Unit));
    }
}
