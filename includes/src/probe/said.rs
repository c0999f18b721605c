//! Reads what a compiler answered.

use super::QUESTIONS;
use crate::Family;
use crate::lex::Mode;
use crate::names::Name;

/// What a compiler said of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) clang: bool,
    /// `#define` and `#undef` lines.
    pub(crate) macros: Vec<u8>,
    /// Built-in macros that it has.
    pub(crate) builtins: Vec<Name>,
    pub(crate) mode: Mode,
    /// Its own folders for headers, in the order of search.
    pub(crate) folders: Vec<Vec<u8>>,
    /// Folders that it would search if they were there.
    pub(crate) absent: Vec<Vec<u8>>,
    /// The header that it includes on its own.
    pub(crate) preinclude: Option<Vec<u8>>,
    /// Answers, by the number of the question.
    pub(crate) answers: Vec<(usize, i64)>,
}

impl Said {
    pub(crate) fn family(&self) -> Family {
        if self.clang {
            Family::Clang
        } else {
            Family::Gcc
        }
    }
}

/// What the two streams of a probe say; `None` when they are not a compiler's.
pub(crate) fn said(out: &[u8], err: &[u8]) -> Option<Said> {
    let mut said = Said::default();
    read_messages(err, &mut said)?;
    let mut place = Place::Source;
    for line in out.split(|&b| b == b'\n') {
        if let Some(file) = marker(line) {
            place = match file {
                b"<built-in>" | b"<command-line>" | b"<command line>" => Place::Builtin,
                b"<stdin>" => Place::Source,
                file => {
                    if file.ends_with(b"stdc-predef.h") {
                        said.preinclude = Some(b"stdc-predef.h".to_vec());
                    }
                    Place::Header
                }
            };
        } else if place == Place::Builtin
            && (line.starts_with(b"#define ") || line.starts_with(b"#undef "))
        {
            said.macros.extend_from_slice(line);
            said.macros.push(b'\n');
        } else if let Some(word) = line.strip_prefix(b"DLIS ") {
            said.is(word.trim_ascii());
        } else if let Some(rest) = line.strip_prefix(b"DLANSWER ") {
            said.answers.extend(answer(rest));
        }
    }
    let numeric = |name: &str| {
        let start = [b"#define ", name.as_bytes(), b" "].concat();
        let at = memchr::memmem::find(&said.macros, &start)?;
        let digits = &said.macros[at + start.len()..];
        let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        std::str::from_utf8(&digits[..len])
            .ok()?
            .parse::<u32>()
            .ok()
    };
    let cxx = numeric("__cplusplus");
    let c = numeric("__STDC_VERSION__");
    said.mode.clang = said.clang;
    said.mode.cxx = cxx.is_some();
    said.mode.separators = cxx.is_some_and(|version| version >= 201_402)
        || (cxx.is_none() && c.is_some_and(|version| version > 201_710));
    said.mode.modules = numeric("__cpp_modules").is_some();
    said.mode.assembler = memchr::memmem::find(&said.macros, b"#define __ASSEMBLER__").is_some();
    Some(said)
}

#[derive(PartialEq, Eq)]
enum Place {
    Builtin,
    Header,
    Source,
}

impl Said {
    fn is(&mut self, word: &[u8]) {
        match word {
            b"line_comments" => self.mode.line_comments = true,
            b"elifdef" => self.mode.elifdef = true,
            b"booleans" => self.mode.booleans = true,
            b"unsigned_chars" => self.mode.unsigned_chars = true,
            b"unsigned_wide" => self.mode.unsigned_wide = true,
            b"digraphs" => self.mode.digraphs = true,
            b"trigraphs" => self.mode.trigraphs = true,
            b"va_opt" => self.mode.va_opt = true,
            b"raw_strings" => self.mode.raw_strings = true,
            _ => {
                let name = word.strip_suffix(b"_").unwrap_or(word);
                let known = QUESTIONS.iter().find(|(text, _)| text.as_bytes() == name);
                self.builtins.extend(known.map(|&(_, name)| name));
            }
        }
    }
}

/// The file that a line marker (`# 1 "file" 2`) names.
fn marker(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"# ")?;
    let start = memchr::memchr(b'"', rest)?;
    rest[..start]
        .trim_ascii()
        .iter()
        .all(u8::is_ascii_digit)
        .then_some(())?;
    let end = memchr::memrchr(b'"', rest)?;
    rest.get(start + 1..end)
}

/// `3 201907L`: which question, and its answer. A text that the compiler left as it was is an answer of 0.
fn answer(text: &[u8]) -> Option<(usize, i64)> {
    let text = std::str::from_utf8(text).ok()?;
    let (number, value) = text.split_once(' ')?;
    let digits = value.trim().trim_end_matches(['L', 'l', 'U', 'u']);
    Some((number.parse().ok()?, digits.parse().unwrap_or(0)))
}

/// Standard error: version and folders.
fn read_messages(err: &[u8], said: &mut Said) -> Option<()> {
    let mut known = false;
    let mut within = false;
    for line in err.split(|&b| b == b'\n') {
        if memchr::memmem::find(line, b"clang version").is_some() {
            said.clang = true;
            known = true;
        } else if line.starts_with(b"gcc version") {
            known = true;
        } else if line.starts_with(b"#include <...>") {
            within = true;
        } else if line.starts_with(b"End of search list") {
            within = false;
        } else if let Some(name) = line.strip_prefix(b"ignoring nonexistent directory \"") {
            let end = memchr::memrchr(b'"', name).unwrap_or(name.len());
            said.absent.push(name[..end].to_vec());
        } else if within
            && let Some(name) = line.strip_prefix(b" ")
            && !name.ends_with(b" (framework directory)")
        {
            said.folders.push(name.to_vec());
        }
    }
    known.then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let out =
            b"# 1 \"<stdin>\"\n# 0 \"<built-in>\"\n#define __cplusplus 201703L\n#define X(a) a\n\
            # 1 \"/usr/include/stdc-predef.h\" 1 3 4\n#define Y 1\n# 1 \"<stdin>\" 2\n#define Z 1\n\
            DLIS __has_include_\nDLIS raw_strings\nDLANSWER 0 201907L\nDLANSWER 1 __has_x(y)\n";
        let err = b"gcc version 12.2.0 (Debian)\nignoring nonexistent directory \"/a b\"\n\
            #include \"...\" search starts here:\n#include <...> search starts here:\n /usr/x y\n /usr/include\nEnd of search list.\n";
        let said = said(out, err).unwrap();
        assert_eq!(said.family(), Family::Gcc);
        assert_eq!(
            said.macros,
            b"#define __cplusplus 201703L\n#define X(a) a\n"
        );
        assert_eq!(said.builtins, [crate::names::HAS_INCLUDE]);
        assert!(said.mode.cxx && said.mode.separators && said.mode.raw_strings);
        assert_eq!(said.folders, [&b"/usr/x y"[..], b"/usr/include"]);
        assert_eq!(said.absent, [&b"/a b"[..]]);
        assert_eq!(said.preinclude, Some(b"stdc-predef.h".to_vec()));
        assert_eq!(said.answers, [(0, 201_907), (1, 0)]);
    }

    #[test]
    fn what_is_no_compiler_says_nothing() {
        assert!(said(b"", b"usage: cat\n").is_none());
    }
}
