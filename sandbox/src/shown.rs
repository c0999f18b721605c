//! What of a toolchain's folders a client's own file may cover: headers and sources, since the client's compile would
//! read the client's; never programs, libraries and what tells a driver how to run them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Suffixes of what is read as source, and of nothing that is run or loaded.
const SOURCES: &[&str] = &[
    "C",
    "H",
    "M",
    "S",
    "S",
    "c",
    "c++",
    "cc",
    "cp",
    "cpp",
    "cppm",
    "cu",
    "cuh",
    "cxx",
    "def",
    "gen",
    "h",
    "h++",
    "hh",
    "hp",
    "hpp",
    "hxx",
    "i",
    "ii",
    "inc",
    "inl",
    "ipp",
    "ixx",
    "m",
    "mi",
    "mii",
    "mm",
    "modulemap",
    "s",
    "sx",
    "tcc",
    "td",
    "tpp",
    "txx",
];

/// Looks at the machine's own files.
#[derive(Debug)]
pub(crate) struct Shown;

impl Shown {
    /// The name is free on this machine, or a folder, and so are those above it.
    pub(crate) fn is_folder_or_free(&self, path: &Path) -> bool {
        // A link or a file on the way would be replaced by the client's folder. Below the first that is free so is all.
        let mut at = PathBuf::new();
        for name in path.iter() {
            at.push(name);
            match at.symlink_metadata() {
                Ok(about) if about.is_dir() => {}
                Ok(_) => return false,
                Err(_) => return true,
            }
        }
        true
    }

    /// A client's file or link may stand at this name.
    pub(crate) fn may_be_covered(&self, path: &Path) -> bool {
        let source = path
            .extension()
            .and_then(OsStr::to_str)
            .is_some_and(|suffix| SOURCES.contains(&suffix));
        let among_headers = path
            .parent()
            .is_some_and(|above| above.iter().any(is_for_headers));
        let machines = path.symlink_metadata();
        (source || among_headers)
            && machines.map_or(true, |about| !about.is_dir())
            && path
                .parent()
                .is_none_or(|above| self.is_folder_or_free(above))
            && !path.starts_with("/dev")
    }
}

fn is_for_headers(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"include") || name == "src"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_may_be_covered_and_programs_may_not() {
        for path in [
            "/usr/include/stdio.h",
            "/usr/include/c++/12/vector",
            "/usr/include/new/dir/x",
            "/usr/src/linux/Kconfig",
            "/usr/local/lib/caml/mlvalues.h",
            "/etc/x/config.h",
        ] {
            assert!(Shown.may_be_covered(Path::new(path)), "{path}");
        }
        for path in [
            "/usr/bin/as",
            "/usr/bin/nothing",
            "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
            "/usr/lib/gcc/x86_64-linux-gnu/12/specs",
            "/usr/lib/gcc/x86_64-linux-gnu/12/as",
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/etc/ld.so.preload",
            "/etc/ld.so.cache",
            "/dev/null.h",
            "/usr/include",
            "/usr/bin/as/x.h",
        ] {
            assert!(!Shown.may_be_covered(Path::new(path)), "{path}");
        }
    }
}
