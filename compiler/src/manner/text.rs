//! The text as it travels: the head with the predefined macros cut, markers renamed, comments blanked.

use super::trap::{self, Trap};
use super::{Manner, blank};
use crate::Job;
use memchr::{memchr, memmem};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The text as it goes out in a manner, from what the preprocessor wrote for [`Job::preprocess_args_for`].
///
/// # Errors
/// [`Trap`]: this text cannot go in this manner. What only the source files themselves tell, [`super::trap_in_file`] finds.
pub fn prepare<'t>(job: &Job<'_>, manner: Manner, text: &'t [u8]) -> Result<Cow<'t, [u8]>, Trap> {
    if job.is_preprocessed() {
        return Ok(Cow::Borrowed(text));
    }
    let prepared = match manner {
        Manner::Expanded | Manner::Rewritten => Cow::Borrowed(text),
        Manner::Directives if job.is_taken_for_preprocessed(manner) => Cow::Owned(blank(text)),
        Manner::Directives => Cow::Owned(blank(&without_head(job, text)?)),
        Manner::Whole => Cow::Owned(blank(&without_whole_head(job, text)?)),
    };
    match trap::in_text(job, manner, &prepared) {
        Some(trap) => Err(trap),
        None => Ok(prepared),
    }
}

const COMMAND_LINE: &[u8] = b"# 0 \"<command-line>\"";

/// Without the predefined macros and those of the command line; the markers of the command line become the source's.
fn without_head(job: &Job<'_>, text: &[u8]) -> Result<Vec<u8>, Trap> {
    let label = quoted(job.label().as_bytes());
    let start = line_starting(text, COMMAND_LINE).ok_or(Trap::Form)?;
    let mut rest = after_line(&text[start..]);
    while rest.starts_with(b"#define ")
        || rest.starts_with(b"#undef ")
        || rest
            .strip_prefix(COMMAND_LINE)
            .is_some_and(|rest| rest.starts_with(b"\n"))
    {
        rest = after_line(rest);
    }
    let mut out = Vec::with_capacity(rest.len());
    while let Some(at) = line_starting(rest, COMMAND_LINE) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"# 1 ");
        out.extend_from_slice(&label);
        rest = &rest[at + COMMAND_LINE.len()..];
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// Without anything before the source's own first line; every marker of the source names the label.
fn without_whole_head(job: &Job<'_>, text: &[u8]) -> Result<Vec<u8>, Trap> {
    let label = quoted(job.label().as_bytes());
    let source = quoted(job.source().as_bytes());
    let own = [b"# 1 ", &source[..], b"\n"].concat();
    let start = line_starting(text, COMMAND_LINE).ok_or(Trap::Form)?;
    let head = line_starting(&text[start..], &own).ok_or(Trap::Form)?;
    let rest = &text[start + head + own.len()..];
    let mut out = Vec::with_capacity(rest.len());
    for line in rest.split_inclusive(|&b| b == b'\n') {
        match marker(line).filter(|(_, name)| *name == source) {
            Some((number, name)) => {
                let tail = &line[b"# ".len() + number.len() + b" ".len() + name.len()..];
                out.extend_from_slice(&[b"# ", number, b" ", &label, tail].concat());
            }
            None => out.extend_from_slice(line),
        }
    }
    Ok(out)
}

/// A name as markers spell it.
fn quoted(name: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for &byte in name {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', byte]),
            b'\n' => quoted.extend(b"\\n"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'"');
    quoted
}

/// Where the first line starts that begins so.
fn line_starting(text: &[u8], start: &[u8]) -> Option<usize> {
    memmem::find_iter(text, start).find(|&at| at == 0 || text[at - 1] == b'\n')
}

fn after_line(text: &[u8]) -> &[u8] {
    memchr(b'\n', text).map_or(&[], |end| &text[end + 1..])
}

/// The number and the name, in its quotes, of a line marker.
pub(super) fn marker(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(b"# ")?;
    let digits = rest.iter().position(|b| !b.is_ascii_digit())?;
    let name = rest[digits..].strip_prefix(b" ")?;
    let inner = name.strip_prefix(b"\"")?;
    let mut bytes = inner.iter().enumerate();
    let end = loop {
        match bytes.next()? {
            (_, b'\\') => _ = bytes.next()?,
            (at, b'"') => break at + 2,
            _ => {}
        }
    };
    (digits > 0).then_some((&rest[..digits], &name[..end]))
}

/// The files that a text was made of: those that its markers name, sorted, each once. Some come from `#line` and may not be there.
pub fn files(text: &[u8]) -> Vec<Cow<'_, OsStr>> {
    let starts = memmem::find_iter(text, b"\n# ").map(|at| at + 1);
    let first = text.starts_with(b"# ").then_some(0);
    let mut names: Vec<&[u8]> = first
        .into_iter()
        .chain(starts)
        .filter_map(|at| marker(&text[at..]))
        .map(|(_, name)| &name[1..name.len() - 1])
        .filter(|name| !name.starts_with(b"<") && !name.ends_with(b"//"))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(unquoted).collect()
}

pub(super) fn unquoted(name: &[u8]) -> Cow<'_, OsStr> {
    if memchr(b'\\', name).is_none() {
        return Cow::Borrowed(OsStr::from_bytes(name));
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        match (byte, byte == b'\\') {
            (_, true) => plain.extend(bytes.next().map(|&b| if b == b'n' { b'\n' } else { b })),
            _ => plain.push(byte),
        }
    }
    Cow::Owned(OsStr::from_bytes(&plain).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_that_markers_name() {
        let text = b"# 0 \"a.c\"\n# 1 \"/w//\"\n# 0 \"<built-in>\"\n# 1 \"a.h\" 1\nint x;\n# 2 \"a.c\" 2\n# 1 \"a.h\" 1\n# 1 \"q\\\"\\\\u.h\" 1\n";
        assert_eq!(files(text), ["a.c", "a.h", "q\"\\u.h"].map(OsStr::new));
        assert_eq!(files(b"# 1 \"open\n# x\n# 1\n# "), Vec::<&OsStr>::new());
    }

    #[test]
    fn names_are_quoted_as_markers_quote_them() {
        for name in ["a.c", "\u{fc}.c", "a\"b\\c.c", "new\nline.c", ""] {
            let line = [b"# 1 ", &quoted(name.as_bytes())[..], b" 1\n"].concat();
            let (number, name_there) = marker(&line).expect("a marker");
            assert_eq!(
                (number, name_there),
                (&b"1"[..], &quoted(name.as_bytes())[..])
            );
            assert_eq!(
                unquoted(&name_there[1..name_there.len() - 1]),
                OsStr::new(name)
            );
        }
    }
}
