//! `DISTCC_CMDLIST`: a file of allowed compilers.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::{Compiler, CompilersError, describe};
use crate::log;

/// Reads a list of absolute paths, one a line; each is found by its last `parts` components.
///
/// # Errors
/// The file cannot be read, or names nothing.
pub(super) fn read_list(
    file: &Path,
    parts: usize,
) -> Result<HashMap<Vec<u8>, Compiler>, CompilersError> {
    let text = fs::read(file).map_err(|source| CompilersError::List {
        path: file.to_owned(),
        source,
    })?;
    let mut listed = HashMap::new();
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        let path = PathBuf::from(OsString::from_vec(line.to_vec()));
        if !path.is_absolute() {
            if !line.is_empty() && !line.starts_with(b"#") {
                log::warning!(
                    "DISTCC_CMDLIST: passed over {}: not an absolute path",
                    path.display()
                );
            }
            continue;
        }
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        listed
            .entry(last_parts(line, parts).to_vec())
            .or_insert_with(|| describe(path.clone(), &real));
    }
    if listed.is_empty() {
        return Err(CompilersError::EmptyList {
            path: file.to_owned(),
        });
    }
    Ok(listed)
}

/// The last `parts` components of a path; all of it when it has fewer.
pub(super) fn last_parts(path: &[u8], parts: usize) -> &[u8] {
    let slashes = path
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    match slashes.take(parts.max(1)).nth(parts.max(1) - 1) {
        Some(slash) => &path[slash + 1..],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_parts_counts_from_the_end() {
        assert_eq!(last_parts(b"/a/b/c", 1), b"c");
        assert_eq!(last_parts(b"/a/b/c", 2), b"b/c");
        assert_eq!(last_parts(b"/a/b/c", 3), b"a/b/c");
        assert_eq!(last_parts(b"/a/b/c", 9), b"/a/b/c");
        assert_eq!(last_parts(b"c", 1), b"c");
        assert_eq!(last_parts(b"c", 0), b"c");
    }
}
