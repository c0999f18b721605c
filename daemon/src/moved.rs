//! Jobs that bring their files, on a machine without views: everything lies below a folder of the job's own, absolute names in the words
//! are moved there, and the folder's name is taken out of what comes back.
//!
//! As stock daemons do it, but for the names in objects: prefix maps keep the folder out of debug information and `__FILE__`, in every
//! format. What else keeps names (a linker's plugin, profiles) is not sent here by launchers that ask.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use compiler::table::{Effect, Tool};
use compiler::words;
use memchr::memmem;

use crate::closure::{ClosureJob, LayoutError, Wanted};

/// A closure below a folder.
#[derive(Debug)]
pub(crate) struct Moved {
    folder: PathBuf,
    /// Where the compiler runs.
    pub(crate) directory: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// The object, and the dependency file if there is one.
    pub(crate) outputs: Vec<PathBuf>,
}

impl Moved {
    /// Lays out `job` below `folder`, which is empty.
    ///
    /// # Errors
    /// A file cannot be unpacked or written.
    pub(crate) fn lay_out(
        job: &ClosureJob,
        folder: &Path,
        wanted: &Wanted,
    ) -> Result<Moved, LayoutError> {
        let below = |path: &Path| moved(folder, path);
        let write_error = |path: PathBuf| {
            move |source| LayoutError::Write {
                path: path.clone(),
                source,
            }
        };
        let outputs: Vec<PathBuf> = std::iter::once(&job.object)
            .chain(&job.depfile)
            .map(|path| below(path))
            .collect();
        let directory = below(&job.directory);
        let folders = outputs.iter().filter_map(|path| path.parent());
        for path in folders.chain([directory.as_path()]) {
            std::fs::create_dir_all(path).map_err(write_error(path.to_owned()))?;
        }
        job.place(wanted, &mut |name, thing| {
            let path = below(name);
            place(folder, &path, &thing).map_err(write_error(path))
        })?;
        Ok(Moved {
            args: args(job, folder)?,
            folder: folder.to_owned(),
            directory,
            outputs,
        })
    }

    /// What the compiler printed or listed, without the folder.
    pub(crate) fn told(&self, text: Vec<u8>) -> Vec<u8> {
        without(&text, self.folder.as_os_str().as_bytes())
    }
}

/// What stands at a name.
pub(crate) enum Thing<'a> {
    File(&'a [u8]),
    Link(&'a OsStr),
    /// This machine's own folder of that name.
    System,
    Folder,
}

fn place(folder: &Path, path: &Path, thing: &Thing<'_>) -> io::Result<()> {
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above)?;
    }
    match thing {
        Thing::Folder => std::fs::create_dir_all(path),
        Thing::File(bytes) => std::fs::write(path, bytes),
        Thing::Link(target) if Path::new(target).is_absolute() => {
            symlink(moved(folder, Path::new(target)), path)
        }
        Thing::Link(target) => symlink(target, path),
        Thing::System => {
            let own = path.strip_prefix(folder).unwrap_or(path);
            symlink(Path::new("/").join(own), path)
        }
    }
}

fn moved(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path.strip_prefix("/").unwrap_or(path))
}

/// The job's words with absolute names moved below the folder, and the maps that hide it.
fn args(job: &ClosureJob, folder: &Path) -> Result<Vec<OsString>, LayoutError> {
    let family = job.compiler.family;
    let mut args = Vec::with_capacity(job.args.len() + 2);
    for word in words::read(family, &job.args) {
        let written = &job.args[word.at..word.at + word.span];
        if matches!(word.effect(), Some(Effect::Pass(Tool::Preprocessor)))
            && may_name_file(word.value)
        {
            return Err(LayoutError::Unmovable(
                OsStr::from_bytes(word.value).to_owned(),
            ));
        }
        let moves = match word.effect() {
            // The source.
            None => true,
            Some(Effect::Output | Effect::Search | Effect::Deps(_)) => true,
            Some(Effect::Cpp) => names_file(&word),
            _ => false,
        };
        let name = Path::new(OsStr::from_bytes(word.value));
        let value = if !moves {
            None
        } else if name.is_absolute() {
            Some(moved(folder, name))
        } else {
            beyond_the_root(&job.directory, name).map(|name| moved(folder, &name))
        };
        let Some(value) = value else {
            args.extend_from_slice(written);
            continue;
        };
        match written {
            [option, _] => args.extend([option.clone(), value.into_os_string()]),
            _ => {
                let whole = written.first().map_or(&b""[..], |word| word.as_bytes());
                let front = &whole[..whole.len() - word.value.len()];
                let joined = [front, value.as_os_str().as_bytes()].concat();
                args.push(OsString::from_vec(joined));
            }
        }
    }
    // Last, since the last map that fits is the one that counts.
    let map = |option: &str| {
        let words = [option.as_bytes(), folder.as_os_str().as_bytes(), b"="];
        OsString::from_vec(words.concat())
    };
    args.extend([map("-fdebug-prefix-map="), map("-fmacro-prefix-map=")]);
    Ok(args)
}

/// What is passed to the preprocessor and is no macro.
fn may_name_file(passed: &[u8]) -> bool {
    let macros = |word: &[u8]| word.starts_with(b"-D") || word.starts_with(b"-U");
    !passed.split(|byte| *byte == b',').all(macros)
}

/// What a relative name in `directory` means that goes up further than there are folders: the root is its own parent, but what it
/// stands for here is not.
fn beyond_the_root(directory: &Path, name: &Path) -> Option<PathBuf> {
    let mut at = directory.to_owned();
    let mut beyond = false;
    for part in name.components() {
        match part {
            Component::ParentDir => beyond |= !at.pop(),
            Component::Normal(name) => at.push(name),
            _ => {}
        }
    }
    beyond.then_some(at)
}

/// Targets of dependency rules are no files; what `-include` and its like name are.
fn names_file(word: &words::Word<'_>) -> bool {
    let words::Meaning::Option(option) = word.meaning else {
        return false;
    };
    let name = option.name.trim_start_matches('-').trim_end_matches('=');
    matches!(name, "include" | "imacros")
}

/// `text` without each mention of `folder`.
fn without(text: &[u8], folder: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memmem::find(rest, folder) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + folder.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_s_name_goes_away() {
        let text = b"a.o: /dev/shm/distcc-launchd_x/w/a.c \\\n /dev/shm/distcc-launchd_x/w/a.h\n";
        let told = without(text, b"/dev/shm/distcc-launchd_x");
        assert_eq!(told, b"a.o: /w/a.c \\\n /w/a.h\n");
        assert_eq!(without(b"none", b"/x"), b"none");
    }

    #[test]
    fn the_root_is_its_own_parent() {
        let beyond =
            |directory: &str, name: &str| beyond_the_root(Path::new(directory), Path::new(name));
        for name in ["a.o", "../a.o", "../../a.o", "x/../../../a.o", "./a.o"] {
            assert_eq!(beyond("/w/b", name), None, "{name}");
        }
        for name in [
            "../../../etc/a.o",
            "../../../../../etc/a.o",
            "x/../../../../etc/a.o",
        ] {
            assert_eq!(beyond("/w/b", name), Some("/etc/a.o".into()), "{name}");
        }
        assert_eq!(beyond("/", "../a.o"), Some("/a.o".into()));
        assert_eq!(beyond("/", "a.o"), None);
    }

    #[test]
    fn things_come_to_stand_below_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let at = |name: &str| moved(folder, Path::new(name));
        place(folder, &at("/w/a.c"), &Thing::File(b"int x;\n")).unwrap();
        place(folder, &at("/l"), &Thing::Link(OsStr::new("/w"))).unwrap();
        place(folder, &at("/w/k"), &Thing::Link(OsStr::new("a.c"))).unwrap();
        place(folder, &at("/usr/include"), &Thing::System).unwrap();
        place(folder, &at("/e/f"), &Thing::Folder).unwrap();
        assert_eq!(std::fs::read(at("/l/k")).unwrap(), b"int x;\n");
        assert!(at("/usr/include/stdio.h").exists() && at("/e/f").is_dir());
    }
}
