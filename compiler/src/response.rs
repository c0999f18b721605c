//! Response files: `@file` in a command stands for the words that the file holds.
//!
//! Reads nothing itself: the caller gives the bytes of a file.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

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
    if !words.iter().any(|word| names_file(word).is_some()) {
        return Ok(words);
    }
    let mut expansion = Expansion {
        read,
        bytes: 0,
        out: Vec::with_capacity(words.len() * 2),
    };
    for word in words {
        expansion.add(word, 0)?;
    }
    Ok(expansion.out)
}

/// The file that `@file` names.
fn names_file(word: &OsStr) -> Option<&OsStr> {
    match word.as_bytes() {
        [b'@', name @ ..] if !name.is_empty() => Some(OsStr::from_bytes(name)),
        _ => None,
    }
}

struct Expansion<'r> {
    read: &'r mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
    bytes: usize,
    out: Vec<OsString>,
}

impl Expansion<'_> {
    fn add(&mut self, word: OsString, depth: usize) -> Result<(), ResponseError> {
        let Some(text) = names_file(&word).and_then(|name| (self.read)(name)) else {
            if self.out.len() >= MAX_WORDS {
                return Err(ResponseError::TooManyWords { at: word });
            }
            self.out.push(word);
            return Ok(());
        };
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > MAX_BYTES {
            return Err(ResponseError::TooLong { at: word });
        }
        if depth >= MAX_DEPTH {
            return Err(ResponseError::TooDeep { at: word });
        }
        for inner in split(&text) {
            self.add(inner, depth + 1)?;
        }
        Ok(())
    }
}

/// The words of a response file in GNU quoting: blanks divide, `'…'` and `"…"` hold blanks together, a backslash takes the next byte as it
/// is, everywhere.
pub fn split(text: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => word.get_or_insert_default().extend(bytes.next()),
            (_, Some(open)) if byte == open => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(byte),
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, None) => {
                words.extend(word.take().map(OsString::from_vec))
            }
            (_, None) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word.map(OsString::from_vec));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(words: &[&str], files: &[(&str, &str)]) -> Result<Vec<String>, ResponseError> {
        let words = words.iter().map(OsString::from).collect();
        let mut read = |name: &OsStr| {
            files
                .iter()
                .find(|(n, _)| name == *n)
                .map(|(_, text)| text.as_bytes().to_vec())
        };
        Ok(expand(words, &mut read)?
            .into_iter()
            .map(|w| w.into_string().expect("tests use UTF-8"))
            .collect())
    }

    #[test]
    fn words_come_out_in_place() {
        let files = [
            ("a", "-O2 '-DX=a b' \"-DY=\\\"q\\\"\"\n@b\r\n"),
            ("b", "-g\t-c\\ d"),
        ];
        let words = expanded(&["x", "@a", "y"], &files);
        assert_eq!(
            words.as_deref(),
            Ok(&["x", "-O2", "-DX=a b", "-DY=\"q\"", "-g", "-c d", "y"].map(String::from)[..])
        );
    }

    #[test]
    fn missing_files_stay_as_they_are() {
        assert_eq!(
            expanded(&["@none", "@"], &[]).as_deref(),
            Ok(&["@none", "@"].map(String::from)[..])
        );
    }

    #[test]
    fn a_file_that_names_itself_is_an_error() {
        assert!(matches!(
            expanded(&["@a"], &[("a", "@a")]),
            Err(ResponseError::TooDeep { .. })
        ));
        assert!(matches!(
            expanded(&["@a"], &[("a", "@a @a")]),
            Err(ResponseError::TooDeep { .. })
        ));
    }

    #[test]
    fn empty_quotes_are_a_word() {
        assert_eq!(split(b" '' \"\" "), ["", ""]);
        assert_eq!(split(b"   "), [] as [&str; 0]);
        assert_eq!(split(b"a\\"), ["a"]);
    }
}
