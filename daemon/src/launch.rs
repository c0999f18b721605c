//! Launch jobs: the text is stored under the client's own name for it, and compiled as if in the client's directory.
//!
//! The client decides the words; what is the daemon's own is the product's name. With a view of its own the job is in the client's directory; else it
//! is in a folder, and a map keeps that folder's name out of debug information.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use compiler::Family;
use compiler::launch;
use compiler::remote::DaemonJob;

use crate::check::{Named, Refused, name_compiler, refuse_hidden_assembler};
use crate::compilers::{Compiler, Compilers};

/// Longest path of a file.
const PATH_MAX: usize = 4096;
/// Longest name of a file on every file system that we know.
const NAME_MAX: usize = 255;

/// A launch job that is run here.
#[derive(Debug)]
pub(crate) struct LaunchJob {
    pub(crate) compiler: Compiler,
    job: DaemonJob,
    /// The client's words after the compiler's name, but for `specs`.
    args: Vec<OsString>,
    specs: Vec<OsString>,
    /// The directory that debug information shall name.
    directory: Vec<u8>,
}

/// Reads a command with the compiler's name first.
///
/// # Errors
/// As for other jobs; and when the source's name leads out of the job's folder, or `place`, where folders are made when there
/// are no views, cannot be hidden.
pub(crate) fn check(
    compilers: &Compilers,
    sysroot: Option<&Path>,
    place: Option<&Path>,
    argv: Vec<OsString>,
    directory: Vec<u8>,
) -> Result<LaunchJob, Refused> {
    let Named {
        compiler,
        args,
        specs,
    } = name_compiler(compilers, sysroot, argv)?;
    let job = launch::check(compiler.family, compiler.cxx, &args)?;
    let source = args
        .get(job.source)
        .map_or(OsStr::new(""), OsString::as_os_str);
    if !stays_below(source.as_bytes()) {
        let word = source.to_owned();
        return Err(Refused::Name { word });
    }
    refuse_hidden_assembler(&job, source)?;
    // The map that hides the folder is divided at an equals sign.
    let divided = |place: &Path| place.as_os_str().as_bytes().contains(&b'=');
    if compiler.family == Family::Gcc && place.is_some_and(divided) {
        return Err(Refused::Unmappable);
    }
    Ok(LaunchJob {
        compiler,
        job,
        args,
        specs,
        directory,
    })
}

/// An absolute path of plain names, as a job in a view of its own can have for its directory.
fn is_plain_directory(path: &[u8]) -> bool {
    path == b"/"
        || path
            .strip_prefix(b"/")
            .is_some_and(|rest| path.len() < PATH_MAX / 2 && stays_below(rest))
}

/// A relative path of plain names, which no link in an empty folder can lead astray.
fn stays_below(path: &[u8]) -> bool {
    let plain = |name: &[u8]| {
        !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_MAX && !name.contains(&0)
    };
    path.len() < PATH_MAX && path.split(|byte| *byte == b'/').all(plain)
}

impl LaunchJob {
    /// Where the text must be, below the job's folder.
    pub(crate) fn source(&self) -> PathBuf {
        self.args
            .get(self.job.source)
            .map_or_else(PathBuf::new, PathBuf::from)
    }

    /// The client's directory, where one can be made by that name.
    pub(crate) fn true_directory(&self) -> Option<&Path> {
        let usable = is_plain_directory(&self.directory);
        usable.then(|| Path::new(OsStr::from_bytes(&self.directory)))
    }

    /// Where the product shall be in the folder: not where the source or a folder above it is.
    pub(crate) fn product(&self) -> OsString {
        let source = self.source();
        let name = ["out.o", "product.o"]
            .into_iter()
            .find(|name| !source.starts_with(name));
        name.unwrap_or_default().into()
    }

    /// The words to run the compiler with, after its name, in `folder`.
    pub(crate) fn args(&self, folder: &Path, product: &OsStr) -> Vec<OsString> {
        let mut words = self.specs.clone();
        words.extend(launch::args_for(&self.job, &self.args, product));
        if self.compiler.family == Family::Gcc && folder.as_os_str().as_bytes() != self.directory {
            // Last, since the last map that fits is the one that counts.
            let map = [
                b"-fdebug-prefix-map=",
                folder.as_os_str().as_bytes(),
                b"=",
                &self.directory,
            ];
            words.push(OsString::from_vec(map.concat()));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_plain() {
        for directory in ["/", "/w", "/home/ann/a b", "/a=b"] {
            assert!(is_plain_directory(directory.as_bytes()), "{directory}");
        }
        for directory in ["", "w", "//w", "/w/", "/w/../x", "/w/.", "/w//x"] {
            assert!(!is_plain_directory(directory.as_bytes()), "{directory}");
        }
    }

    #[test]
    fn a_source_stays_in_its_folder() {
        for name in [
            "a.c", "_d/a.c", "a/b/c.cc", "...c", "..a/x.c", "a b.c", "\u{e4}.c",
        ] {
            assert!(stays_below(name.as_bytes()), "{name}");
        }
        for name in [
            "", "/a.c", "/", "a//b.c", "a/", "../a.c", "a/../b.c", "a/..", "..", ".", "./a.c",
            "a/./b.c",
        ] {
            assert!(!stays_below(name.as_bytes()), "{name}");
        }
        assert!(!stays_below(&[b'a'; 256]));
        assert!(!stays_below(&b"a/".repeat(3000)));
        assert!(!stays_below(b"a\0.c"));
    }
}
