//! What the compiler there printed, as a local compile prints it.

use crate::{Job, Manner};
use std::ffi::OsStr;

/// What to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Exactly this, as a local compile prints it (but for gcc's source excerpts).
    Text(Vec<u8>),
    /// What a local compile prints is not certain: compile here, and print what that prints.
    CompileHere,
}

/// Where gcc's messages are printed, as far as it changes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// `C` or `POSIX`: quotes are ASCII.
    Ascii,
    /// `C.UTF-8`.
    Utf8,
    /// Any other locale, which may translate messages.
    Other,
}

impl Charset {
    /// By the values of `LANGUAGE`, `LC_ALL`, `LC_CTYPE`, `LC_MESSAGES` and `LANG`.
    pub fn of(get: impl Fn(&str) -> Option<Vec<u8>>) -> Charset {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let chosen = |name: &str| {
            set("LC_ALL")
                .or_else(|| set(name))
                .or_else(|| set("LANG"))
                .map_or(Charset::Ascii, |value| match &value[..] {
                    b"C" | b"POSIX" => Charset::Ascii,
                    b"C.UTF-8" | b"C.utf8" => Charset::Utf8,
                    _ => Charset::Other,
                })
        };
        match (chosen("LC_CTYPE"), chosen("LC_MESSAGES")) {
            (_, Charset::Other) => Charset::Other,
            (kind, _) => kind,
        }
    }
}

/// What a local compile would have printed on standard error, from what the preprocessor printed `here` and the compiler `there` (whose
/// daemon runs it with `LC_ALL` as `charset` says). `read` gives the bytes of a file of this machine, its name as messages spell it.
pub fn as_local(
    job: &Job<'_>,
    manner: Manner,
    charset: Charset,
    here: &[u8],
    there: &[u8],
    read: &mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
) -> Said {
    let _ = (job, manner, charset, read);
    if there.is_empty() {
        Said::Text(here.to_vec())
    } else {
        Said::CompileHere
    }
}
