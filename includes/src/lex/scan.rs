//! Finds the directives of a file, and the few places in its text that matter.

use super::blank::{after_end, find_end, is_end, is_word, splice};
use super::directive::Program;
use super::line::{Text, end_of_block, end_of_logical_line, logical_line, past_splices};
use super::normal::normalise;
use super::{Mode, Remark, Remarks, Source};
use crate::names::Names;
use memchr::memmem::Finder;
use std::sync::{Arc, LazyLock};

/// The program of a file.
pub(crate) fn scan(bytes: &Arc<[u8]>, mode: Mode, names: &mut Names) -> Source {
    scan_for(bytes, mode, names, false)
}

/// The program of a file, with the text between its directives.
pub(crate) fn scan_with_text(bytes: &Arc<[u8]>, mode: Mode, names: &mut Names) -> Source {
    scan_for(bytes, mode, names, true)
}

fn scan_for(bytes: &Arc<[u8]>, mode: Mode, names: &mut Names, with_text: bool) -> Source {
    let odd_trigraphs = mode.trigraphs && memchr::memmem::find(bytes, b"??").is_some();
    if !odd_trigraphs && let Some(source) = Scanner::new(bytes, mode, names, with_text).run() {
        return source;
    }
    let (text, splices) = normalise(bytes, mode.trigraphs);
    let text: Arc<[u8]> = text.into();
    let mut source = Scanner::new(&text, mode, names, with_text)
        .run()
        .unwrap_or_else(|| Program::new(text, mode).finish());
    source.splices = splices;
    source
}

/// The mark of the byte order, in UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

struct Scanner<'t, 'n> {
    text: &'t [u8],
    mode: Mode,
    names: &'n mut Names,
    program: Program,
    with_text: bool,
    /// Where the text behind the last directive begins.
    text_from: usize,
    /// Where something may stand that matters, ascending, with those behind the cursor still to come.
    remarks: std::iter::Peekable<std::vec::IntoIter<Remark>>,
}

/// Where a scan of one stretch of text ended.
struct Odd;

impl<'t, 'n> Scanner<'t, 'n> {
    fn new(
        text: &'t Arc<[u8]>,
        mode: Mode,
        names: &'n mut Names,
        with_text: bool,
    ) -> Scanner<'t, 'n> {
        let remarks = find_remarks(text, mode).into_iter().peekable();
        Scanner {
            program: Program::new(text.clone(), mode),
            with_text,
            text_from: 0,
            text,
            mode,
            names,
            remarks,
        }
    }

    /// `None` when splices stand where only a normalised text can be scanned.
    fn run(mut self) -> Option<Source> {
        let text = self.text;
        let mut at = if text.starts_with(BOM) { BOM.len() } else { 0 };
        let mut begins = true;
        while let Some(&byte) = text.get(at) {
            match CLASS[byte as usize] {
                Class::Plain => {
                    begins = false;
                    at += 1;
                    // Within a line nothing else can begin.
                    let rest = &text[at..];
                    at += rest
                        .iter()
                        .position(|&b| STOPS[b as usize])
                        .unwrap_or(rest.len());
                }
                Class::Blank => at += 1,
                Class::End => {
                    at = after_end(text, at);
                    begins = true;
                }
                Class::Hash if begins => at = self.directive(at, at + 1),
                Class::Percent
                    if begins && self.mode.digraphs && text.get(at + 1) == Some(&b':') =>
                {
                    at = self.directive(at, at + 2);
                }
                Class::Slash => match self.slash(at) {
                    Ok(Some(next)) => at = next,
                    Ok(None) => {
                        begins = false;
                        at += 1;
                    }
                    Err(Odd) => return None,
                },
                Class::Quote => {
                    begins = false;
                    at = self.quote(at);
                }
                Class::Backslash => match splice(text, at) {
                    // What begins a line may begin behind a splice, and words may hold one.
                    Some(next) => at = next,
                    None => {
                        begins = false;
                        at += 1;
                    }
                },
                Class::Hash | Class::Percent => {
                    begins = false;
                    at += 1;
                }
            }
        }
        self.pass(text.len());
        self.end_text(text.len());
        Some(self.program.finish())
    }

    /// Reads the directive whose sign is at `sign`, with its text from `from`. Gives where the next line begins.
    fn directive(&mut self, sign: usize, from: usize) -> usize {
        self.pass(sign);
        self.end_text(sign);
        let text = self.text;
        let (line, next) = logical_line(text, from, self.mode);
        let mut remarks = Remarks::default();
        while let Some(remark) = self.remarks.next_if(|remark| (remark.at as usize) < next) {
            if is_meant(text, remark, self.mode) {
                remarks.add(remark.kind);
            }
        }
        let span = match line {
            Text::Plain { start, end } => self.program.plain(start, end),
            Text::Cleaned(line, _) => self.program.cleaned(&line),
        };
        self.program
            .directive(sign as u32, span, remarks, self.names);
        self.text_from = next;
        next
    }

    /// Notes the text up to `to`, if that is asked for and there is any.
    fn end_text(&mut self, to: usize) {
        if self.with_text && !self.text[self.text_from..to].trim_ascii().is_empty() {
            self.program.span(self.text_from, to);
        }
    }

    /// Behind the comment that begins at `at`, if one does.
    fn slash(&mut self, at: usize) -> Result<Option<usize>, Odd> {
        let text = self.text;
        let next = match text.get(at + 1) {
            Some(b'*') => end_of_comment(text, at + 2)?,
            Some(b'/') if self.mode.line_comments => end_of_logical_line(text, at + 2),
            Some(b'\\') if matches!(text.get(past_splices(text, at + 1)), Some(b'*' | b'/')) => {
                return Err(Odd);
            }
            _ => return Ok(None),
        };
        self.pass(at);
        // What stands in a comment does not matter.
        while self
            .remarks
            .next_if(|remark| (remark.at as usize) < next)
            .is_some()
        {}
        Ok(Some(next))
    }

    /// Behind the literal whose quote is at `at`.
    fn quote(&mut self, at: usize) -> usize {
        let text = self.text;
        let close = text[at];
        if close == b'\'' && self.mode.separators && is_separator(text, at) {
            return at + 1;
        }
        let next = if close == b'"' && self.mode.raw_strings && is_raw(text, at) {
            end_of_raw(text, at)
        } else {
            end_of_literal(text, at)
        };
        self.pass(at);
        while let Some(remark) = self.remarks.next_if(|remark| (remark.at as usize) < next) {
            // Of what stands in a literal only the names of files for the assembler matter.
            if remark.kind == Remarks::DATA && is_meant(text, remark, self.mode) {
                self.program.remark(remark);
            }
        }
        next
    }

    /// Notes what matters before `to`.
    fn pass(&mut self, to: usize) {
        while let Some(remark) = self.remarks.next_if(|remark| (remark.at as usize) < to) {
            let elsewhere = remark.kind == Remarks::DATA && !self.mode.assembler;
            if !elsewhere && is_meant(self.text, remark, self.mode) {
                self.program.remark(remark);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Blank,
    End,
    Hash,
    Percent,
    Slash,
    Quote,
    Backslash,
}

static CLASS: [Class; 256] = {
    let mut table = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b' ' | b'\t' | 0x0b | 0x0c | 0 => Class::Blank,
            b'\n' | b'\r' => Class::End,
            b'#' => Class::Hash,
            b'%' => Class::Percent,
            b'/' => Class::Slash,
            b'"' | b'\'' => Class::Quote,
            b'\\' => Class::Backslash,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
};

/// Behind the `*/` of a comment whose text begins at `from`.
fn end_of_comment(text: &[u8], from: usize) -> Result<usize, Odd> {
    let mut at = from;
    while let Some(found) = memchr::memchr(b'/', &text[at..]) {
        let slash = at + found;
        at = slash + 1;
        match text[..slash].last() {
            Some(b'*') if slash > from => return Ok(at),
            Some(b'\n' | b'\r') if end_of_block(text, from) == at => return Err(Odd),
            _ => {}
        }
    }
    Ok(text.len())
}

/// What may end a stretch of plain text.
static STOPS: [bool; 256] = {
    let mut table = [false; 256];
    let stops = b"\n\r/\"'\\";
    let mut at = 0;
    while at < stops.len() {
        table[stops[at] as usize] = true;
        at += 1;
    }
    table
};

/// Behind the literal that begins at `from`: behind its closing quote, or at the end of the line when it has none.
fn end_of_literal(text: &[u8], from: usize) -> usize {
    let close = text[from];
    let mut at = from + 1;
    while let Some(found) = memchr::memchr3(close, b'\\', b'\n', &text[at.min(text.len())..]) {
        let end = at + found;
        if let Some(lone) = memchr::memchr(b'\r', &text[at..end])
            && text.get(at + lone + 1) != Some(&b'\n')
        {
            return at + lone;
        }
        match text[end] {
            b'\n' => return end,
            b'\\' => {
                at = splice(text, end).unwrap_or_else(|| match text.get(end + 1) {
                    // A splice may stand between a backslash and what it takes the meaning from.
                    Some(b'\\') if splice(text, end + 1).is_some() => {
                        past_splices(text, end + 1) + 1
                    }
                    _ => end + 2,
                });
            }
            _ => return end + 1,
        }
    }
    find_end(text, at.min(text.len()))
}

/// Does the quote at `at` begin a raw string?
pub(super) fn is_raw(text: &[u8], at: usize) -> bool {
    if at == 0 || text[at - 1] != b'R' {
        return false;
    }
    let start = text[..at]
        .iter()
        .rposition(|&b| !is_word(b))
        .map_or(0, |found| found + 1);
    matches!(&text[start..at], b"R" | b"LR" | b"uR" | b"UR" | b"u8R")
        && raw_delimiter(text, at).is_some()
}

fn raw_delimiter(text: &[u8], at: usize) -> Option<&[u8]> {
    let rest = &text[at + 1..];
    let open = rest.iter().take(17).position(|&b| b == b'(')?;
    let delimiter = &rest[..open];
    let bad = |b: &u8| {
        matches!(
            b,
            b' ' | b')' | b'\\' | b'\t' | 0x0b | 0x0c | b'\n' | b'\r' | b'"'
        )
    };
    (!delimiter.iter().any(bad)).then_some(delimiter)
}

/// Behind the raw string whose opening quote is at `at`.
pub(super) fn end_of_raw(text: &[u8], at: usize) -> usize {
    let delimiter = raw_delimiter(text, at).unwrap_or_default();
    let mut close = Vec::with_capacity(delimiter.len() + 2);
    close.push(b')');
    close.extend_from_slice(delimiter);
    close.push(b'"');
    let from = (at + 2 + delimiter.len()).min(text.len());
    memchr::memmem::find(&text[from..], &close).map_or(text.len(), |end| from + end + close.len())
}

/// Does the apostrophe at `at` stand within a number?
pub(super) fn is_separator(text: &[u8], at: usize) -> bool {
    if !text.get(at + 1).is_some_and(|&b| is_word(b)) {
        return false;
    }
    let start = text[..at]
        .iter()
        .rposition(|&b| !(is_word(b) || b == b'.' || b == b'\''))
        .map_or(0, |found| found + 1);
    let number = &text[start..at];
    match number {
        [b'.', digit, ..] => digit.is_ascii_digit(),
        [digit, ..] => digit.is_ascii_digit(),
        [] => false,
    }
}

/// Words that may matter in text.
static FINDERS: LazyLock<Vec<(Finder<'static>, Remarks)>> = LazyLock::new(|| {
    [
        ("__DATE__", Remarks::NOW),
        ("__TIME", Remarks::NOW),
        ("__COUNTER__", Remarks::COUNTER),
        ("_Pragma", Remarks::PRAGMA),
        (".inc", Remarks::DATA),
    ]
    .into_iter()
    .map(|(word, kind)| (Finder::new(word), kind))
    .collect()
});

/// Where words stand that may matter in text, ascending.
fn find_remarks(text: &[u8], mode: Mode) -> Vec<Remark> {
    let mut found = Vec::new();
    for (finder, kind) in FINDERS.iter() {
        for at in finder.find_iter(text) {
            let kind = if text[at..].starts_with(b"__TIMESTAMP__") {
                Remarks::STAMP
            } else {
                *kind
            };
            found.push(Remark {
                kind,
                at: at as u32,
            });
        }
    }
    if mode.modules {
        for word in [&b"import"[..], b"module"] {
            found.extend(
                memchr::memmem::find_iter(text, word)
                    .filter(|&at| begins_module(text, at, word.len()))
                    .map(|at| Remark {
                        kind: Remarks::MODULE,
                        at: at as u32,
                    }),
            );
        }
    }
    found.sort_unstable_by_key(|remark| remark.at);
    found
}

/// Does the line at `at` begin with `import` or `module`, perhaps after `export`, as a declaration does?
fn begins_module(text: &[u8], at: usize, len: usize) -> bool {
    let start = text[..at]
        .iter()
        .rposition(|&b| is_end(b) || b == b';')
        .map_or(0, |found| found + 1);
    let before = text[start..at].trim_ascii();
    let after = text[at + len..].trim_ascii_start().first();
    (before.is_empty() || before == b"export")
        && after.is_some_and(|&b| is_word(b) || matches!(b, b'<' | b'"' | b';' | b':'))
        && !text.get(at + len).is_some_and(|&b| is_word(b))
}

/// Is what stands there a word of its own, or for the assembler?
fn is_meant(text: &[u8], remark: Remark, mode: Mode) -> bool {
    let at = remark.at as usize;
    if remark.kind == Remarks::DATA {
        let len = text[at + 1..].iter().take_while(|&&b| is_word(b)).count();
        return matches!(&text[at + 1..at + 1 + len], b"incbin" | b"include")
            && (mode.assembler
                || memchr::memmem::find(&text[at.saturating_sub(4096)..at], b"asm").is_some());
    }
    let len = text[at..]
        .iter()
        .position(|&b| !is_word(b))
        .unwrap_or(text.len() - at);
    let whole: &[&[u8]] = &[
        b"__DATE__",
        b"__TIME__",
        b"__TIMESTAMP__",
        b"__COUNTER__",
        b"_Pragma",
        b"import",
        b"module",
    ];
    // A mark of the byte order is no part of a word.
    let before = text[..at].strip_prefix(BOM).unwrap_or(&text[..at]);
    whole.contains(&&text[at..at + len]) && !before.last().is_some_and(|&byte| is_word(byte))
}
