//! Text in which directives are kept: what is cut from it before it goes out, and what forbids sending it.
//!
//! The traps are measured: each is a case where a compiler there would silently make something else of the text.

use crate::Job;
use crate::comments;
use crate::manner::Manner;
use memchr::{memchr_iter, memmem};
use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;

/// Why a text cannot go in the manner asked for: take [`Manner::Plain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trap {
    /// The preprocessor prints another form than those that are known (gcc before 11).
    Form,
    /// `__DATE__`, `__TIME__`, `__TIMESTAMP__` would be those of the other machine.
    Clock,
    /// `__COUNTER__` may have been counted by the preprocessor already.
    Counter,
    /// A pragma that the preprocessor swallows.
    Pragma,
    /// A name that needs quoting in ways that are not retold here.
    Name,
}

/// The text as it goes out in a manner, from what the preprocessor wrote for [`Job::preprocess_args_in`].
///
/// # Errors
/// [`Trap`]: this text has to go in [`Manner::Plain`]. What the source files themselves tell, [`trap_in_file`] finds.
pub fn carry<'t>(manner: Manner, job: &Job<'_>, text: &'t [u8]) -> Result<Cow<'t, [u8]>, Trap> {
    if manner == Manner::Plain {
        return Ok(Cow::Borrowed(text));
    }
    if names_clock(text) {
        return Err(Trap::Clock);
    }
    match manner {
        Manner::Plain | Manner::Includes if memmem::find(text, b"__COUNTER__").is_some() => {
            Err(Trap::Counter)
        }
        Manner::Plain | Manner::Includes => Ok(Cow::Borrowed(text)),
        Manner::Directives => Ok(Cow::Owned(comments::blank(&without_head(job, text)?))),
        Manner::Macros => Ok(Cow::Owned(comments::blank(&without_whole_head(job, text)?))),
    }
}

fn names_clock(text: &[u8]) -> bool {
    memmem::find_iter(text, b"__TIME")
        .any(|at| text[at..].starts_with(b"__TIME__") || text[at..].starts_with(b"__TIMESTAMP__"))
        || memmem::find(text, b"__DATE__").is_some()
}

const COMMAND_LINE: &[u8] = b"# 0 \"<command-line>\"";

/// Without the predefined macros and those of the command line; the markers of the command line become the source's.
fn without_head(job: &Job<'_>, text: &[u8]) -> Result<Vec<u8>, Trap> {
    let label = label(job)?;
    let start = line_starting(text, COMMAND_LINE).ok_or(Trap::Form)?;
    let mut rest = after_line(&text[start..]);
    while rest.starts_with(b"#define ") || rest.starts_with(b"#undef ") {
        rest = after_line(rest);
    }
    let mut out = Vec::with_capacity(rest.len());
    while let Some(at) = line_starting(rest, COMMAND_LINE) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"# 1 \"");
        out.extend_from_slice(&label);
        out.push(b'"');
        rest = &rest[at + COMMAND_LINE.len()..];
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// Without anything before the source's own first line; every marker of the source names the label.
fn without_whole_head(job: &Job<'_>, text: &[u8]) -> Result<Vec<u8>, Trap> {
    let label = label(job)?;
    let source = job.source().as_bytes();
    if !is_plain_name(source) {
        return Err(Trap::Name);
    }
    let quoted = [b"\"", source, b"\""].concat();
    let own = [b"# 1 ", &quoted[..], b"\n"].concat();
    let start = line_starting(text, COMMAND_LINE).ok_or(Trap::Form)?;
    let head = line_starting(&text[start..], &own).ok_or(Trap::Form)?;
    let rest = &text[start + head + own.len()..];
    let mut out = Vec::with_capacity(rest.len());
    for line in rest.split_inclusive(|&b| b == b'\n') {
        let named = marker(line).filter(|(_, name)| *name == source);
        match named {
            Some((number, name)) => {
                let tail = &line[b"# ".len() + number.len() + b" \"".len() + name.len()..];
                out.extend_from_slice(&[b"# ", number, b" \"", &label, tail].concat());
            }
            None => out.extend_from_slice(line),
        }
    }
    Ok(out)
}

fn label(job: &Job<'_>) -> Result<Vec<u8>, Trap> {
    let label = job.label_in(Manner::Directives);
    if is_plain_name(label.as_bytes()) {
        Ok(label.as_bytes().to_vec())
    } else {
        Err(Trap::Name)
    }
}

/// Does a name stand in a marker as it is?
fn is_plain_name(name: &[u8]) -> bool {
    name.iter()
        .all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\'))
}

/// Where the first line starts that begins so.
fn line_starting(text: &[u8], start: &[u8]) -> Option<usize> {
    memmem::find_iter(text, start).find(|&at| at == 0 || text[at - 1] == b'\n')
}

fn after_line(text: &[u8]) -> &[u8] {
    memchr_iter(b'\n', text)
        .next()
        .map_or(&[], |end| &text[end + 1..])
}

/// The number and the name of a line marker.
fn marker(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(b"# ")?;
    let digits = rest.iter().position(|b| !b.is_ascii_digit())?;
    let name = rest[digits..].strip_prefix(b" \"")?;
    let end = name.iter().position(|&b| b == b'"')?;
    (digits > 0).then_some((&rest[..digits], &name[..end]))
}

/// The files that a text was made of: those that its markers name. A name that cannot be read comes from a `#line`. Names with a backslash are
/// left out, since they are quoted.
pub fn files(text: &[u8]) -> Vec<&[u8]> {
    let mut found: Vec<&[u8]> = memmem::find_iter(text, b"\n# ")
        .filter_map(|at| marker(&text[at + 1..]))
        .map(|(_, name)| name)
        .filter(|name| !name.starts_with(b"<") && !name.ends_with(b"//") && !name.contains(&b'\\'))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// What a source file holds that gcc swallows when it keeps directives: each of the files of a text is to be asked.
pub fn trap_in_file(bytes: &[u8]) -> Option<Trap> {
    memmem::find_iter(bytes, b"ragma")
        .any(|at| swallowed(&bytes[at + b"ragma".len()..]))
        .then_some(Trap::Pragma)
}

/// Is the pragma that this follows one of those? `#pragma NAME` or `_Pragma("NAME …")`.
fn swallowed(rest: &[u8]) -> bool {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'(' | b'"');
    let skip = |bytes: &'_ [u8]| bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
    let rest = &rest[skip(rest)..];
    let rest = rest
        .strip_prefix(b"GCC")
        .map_or(rest, |rest| &rest[skip(rest)..]);
    const NAMES: &[&[u8]] = &[
        b"message",
        b"redefine_extname",
        b"push_macro",
        b"pop_macro",
        b"poison",
        b"dependency",
        b"pch_preprocess",
    ];
    let name = rest
        .iter()
        .position(|b| !b.is_ascii_alphanumeric() && *b != b'_')
        .unwrap_or(rest.len());
    NAMES.contains(&&rest[..name])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swallowed_pragmas_are_found() {
        for text in [
            "#pragma message \"x\"",
            "# pragma\tredefine_extname a b",
            "#pragma push_macro(\"X\")",
            "_Pragma(\"pop_macro(\\\"X\\\")\")",
            "#pragma GCC poison zork",
            "#pragma GCC dependency \"a.h\"",
        ] {
            assert_eq!(trap_in_file(text.as_bytes()), Some(Trap::Pragma), "{text}");
        }
        for text in [
            "#pragma once",
            "#pragma GCC diagnostic push",
            "pragmatic message",
            "#pragma omp parallel",
            "#pragma",
            "_Pragma(\"",
        ] {
            assert_eq!(trap_in_file(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn files_are_those_that_markers_name() {
        let text = b"# 0 \"a.c\"\n# 1 \"/w//\"\n# 0 \"<built-in>\"\n# 1 \"a.h\" 1\nint x;\n# 2 \"a.c\" 2\n# 1 \"a.h\" 1\n";
        assert_eq!(files(text), [&b"a.c"[..], b"a.h"]);
    }

    #[test]
    fn clocks_are_found() {
        assert!(names_clock(b"x = __TIME__;"));
        assert!(names_clock(b"__DATE__"));
        assert!(names_clock(b"__TIMESTAMP__"));
        assert!(!names_clock(b"__TIMESIZE __TIME_T_TYPE __DATES"));
    }
}
