//! The compilers that clients may name: found once at start, nothing else is ever run.
//!
//! A client's word is only a key. It is looked up as a bare name, as `/usr/bin/NAME` or `/bin/NAME`, or as the exact
//! path of a compiler that was found. Links that lead back to a distcc client are passed over: the compiler behind
//! them is meant. `DISTCC_CMDLIST` replaces the list, `--enable-tcp-insecure` widens it to every program.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use compiler::Family;
use compiler::names;

mod itself;
mod list;

use itself::Itself;
use list::{last_parts, read_list};

/// A program that compiles, and how its words are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// Absolute, and by the name that was asked for: a driver looks at its own name.
    pub(crate) path: PathBuf,
    pub(crate) family: Family,
    pub(crate) cxx: bool,
}

/// Why there is nothing to compile with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompilersError {
    #[error("no compiler found in {}; install one or set DISTCCD_PATH", path.display())]
    None { path: OsString },
    #[error("could not read DISTCC_CMDLIST {}; nothing would be allowed", path.display())]
    List {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("DISTCC_CMDLIST {} names no absolute path; nothing would be allowed", path.display())]
    EmptyList { path: PathBuf },
}

/// Where compilers are looked for, from options and environment.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    /// `DISTCCD_PATH`, else `PATH`.
    pub(crate) path: OsString,
    /// `DISTCC_CMDLIST`, and how many trailing parts of a path its lines are compared by.
    pub(crate) list: Option<(PathBuf, usize)>,
    /// `--enable-tcp-insecure`.
    pub(crate) any_program: bool,
}

/// The list of allowed compilers.
#[derive(Debug)]
pub(crate) struct Compilers {
    by_name: HashMap<OsString, Compiler>,
    by_path: HashMap<PathBuf, Compiler>,
    /// With a command list: its lines by their last parts.
    listed: Option<(HashMap<Vec<u8>, Compiler>, usize)>,
    /// With `--enable-tcp-insecure`: where any other word is looked for.
    anything_on: Option<OsString>,
    itself: Itself,
}

impl Compilers {
    /// Looks through the folders of `search`.
    ///
    /// # Errors
    /// Nothing was found, or the command list is unreadable: such a daemon could only refuse.
    pub(crate) fn find(search: &Search) -> Result<Self, CompilersError> {
        let mut found = Self {
            by_name: HashMap::new(),
            by_path: HashMap::new(),
            listed: None,
            anything_on: None,
            itself: Itself::new(&search.path),
        };
        if let Some((file, parts)) = &search.list {
            found.listed = Some((read_list(file, *parts)?, *parts));
            return Ok(found);
        }
        for folder in std::env::split_paths(&search.path).filter(|folder| folder.is_absolute()) {
            found.add_folder(&folder);
        }
        if search.any_program {
            found.anything_on = Some(search.path.clone());
        } else if found.by_name.is_empty() {
            return Err(CompilersError::None {
                path: search.path.clone(),
            });
        }
        Ok(found)
    }

    fn add_folder(&mut self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for name in entries.flatten().map(|entry| entry.file_name()) {
            if names::guess(name.as_bytes()).is_none() {
                continue;
            }
            let path = folder.join(&name);
            if let Some(real) = self.itself.program_behind(&path) {
                let compiler = describe(path.clone(), &real);
                self.by_name.entry(name).or_insert_with(|| compiler.clone());
                self.by_path.entry(path).or_insert(compiler);
            }
        }
    }

    /// The compiler that a client's word names; `None` when it is not on the list.
    pub(crate) fn named(&self, word: &OsStr) -> Option<Compiler> {
        if let Some((listed, parts)) = &self.listed {
            return listed.get(last_parts(word.as_bytes(), *parts)).cloned();
        }
        let path = Path::new(word);
        if let Some(known) = self.by_path.get(path) {
            return Some(known.clone());
        }
        let name = ["/usr/bin/", "/bin/"]
            .iter()
            .find_map(|folder| word.as_bytes().strip_prefix(folder.as_bytes()))
            .unwrap_or(word.as_bytes());
        if let Some(known) = self.by_name.get(OsStr::from_bytes(name)) {
            return Some(known.clone());
        }
        self.any_program(word)
    }

    /// What `--enable-tcp-insecure` adds: any word that the shell would find.
    fn any_program(&self, word: &OsStr) -> Option<Compiler> {
        let folders = self.anything_on.as_ref()?;
        let path = Path::new(word);
        if word.is_empty() || word.as_bytes().contains(&0) {
            return None;
        }
        if path.is_absolute()
            && let Some(real) = self.itself.program_behind(path)
        {
            return Some(describe(path.to_owned(), &real));
        }
        // As stock: a path that is not there is tried by its last part.
        let name = path.file_name()?;
        std::env::split_paths(folders)
            .filter(|folder| folder.is_absolute())
            .find_map(|folder| {
                let path = folder.join(name);
                let real = self.itself.program_behind(&path)?;
                Some(describe(path, &real))
            })
    }

    /// Every word that a client can use, with the program behind it, names before paths. `/usr/bin/NAME` and `/bin/NAME` are left
    /// out where they are the same as `NAME`.
    pub(crate) fn all(&self) -> Vec<(Vec<u8>, PathBuf)> {
        let mut all: Vec<_> = match &self.listed {
            Some((listed, _)) => listed
                .iter()
                .map(|(name, compiler)| (name.clone(), compiler.path.clone()))
                .collect(),
            None => {
                let same = |path: &Path| {
                    let usual = ["/usr/bin", "/bin"]
                        .iter()
                        .any(|usual| path.parent() == Some(Path::new(usual)));
                    let name = path.file_name().filter(|_| usual)?;
                    let bare = self.by_name.get(name)?.path.canonicalize().ok()?;
                    Some(bare == path.canonicalize().ok()?)
                };
                let names = self
                    .by_name
                    .iter()
                    .map(|(name, compiler)| (name.as_bytes().to_vec(), compiler.path.clone()));
                let paths = self.by_path.keys().filter(|path| same(path) != Some(true));
                names
                    .chain(paths.map(|path| (path.as_os_str().as_bytes().to_vec(), path.clone())))
                    .filter(|(name, _)| !name.iter().any(u8::is_ascii_control))
                    .collect()
            }
        };
        all.sort_unstable_by_key(|(name, _)| (name.starts_with(b"/"), name.clone()));
        all
    }

    /// Whether clients can name programs that are not on the list.
    pub(crate) fn runs_anything(&self) -> bool {
        self.anything_on.is_some()
    }

    /// The programs that clients can name.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let listed = self.listed.iter().flat_map(|(listed, _)| listed.values());
        let all = listed
            .chain(self.by_name.values())
            .chain(self.by_path.values());
        all.map(|compiler| compiler.path.clone()).collect()
    }

    /// How many names clients can use, for the log.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.listed {
            Some((listed, _)) => listed
                .values()
                .map(|compiler| compiler.path.display().to_string())
                .collect(),
            None => self
                .by_name
                .values()
                .map(|compiler| compiler.path.display().to_string())
                .collect(),
        };
        names.sort();
        names
    }
}

/// Reads what a name says; `cc` says only through the program behind it which family it is.
fn describe(path: PathBuf, real: &Path) -> Compiler {
    let guess = |path: &Path| {
        path.file_name()
            .and_then(|name| names::guess(name.as_bytes()).map(|g| (g.family, g.cxx)))
    };
    let own = guess(&path);
    let family = own
        .and_then(|(family, _)| family)
        .or_else(|| guess(real).and_then(|(family, _)| family));
    Compiler {
        family: family.unwrap_or(Family::Gcc),
        cxx: own.is_some_and(|(_, cxx)| cxx),
        path,
    }
}

#[cfg(test)]
mod tests;
