//! Bytes to programs: a file becomes the list of its directives, with everything that cannot matter left out.
//!
//! Lexing depends on the bytes and on the [`Mode`] alone. Bodies of macros and conditions are only found here; they become tokens when
//! they are first used.

mod blank;
mod directive;
mod line;
mod normal;
mod scan;
#[cfg(test)]
mod tests;
mod token;

pub(crate) use directive::{macro_pragma, pragma_text};
pub(crate) use line::clean_text;
pub(crate) use scan::{scan, scan_with_text};
pub(crate) use token::{DERIVED, Kind, Punct, Token, WHITE, header_tokens, tokens};

use crate::macros::OptionsPragma;
use crate::names::Name;
use line::Text;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What the compiler takes text for; what its probe said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Mode {
    /// Does clang read it?
    pub(crate) clang: bool,
    pub(crate) cxx: bool,
    pub(crate) assembler: bool,
    /// `R"(…)"`
    pub(crate) raw_strings: bool,
    pub(crate) trigraphs: bool,
    pub(crate) digraphs: bool,
    /// `//`
    pub(crate) line_comments: bool,
    /// `1'000`
    pub(crate) separators: bool,
    /// `#elifdef`
    pub(crate) elifdef: bool,
    /// `true` and `false` in conditions.
    pub(crate) booleans: bool,
    /// `__VA_OPT__`
    pub(crate) va_opt: bool,
    /// `'a'` has no sign.
    pub(crate) unsigned_chars: bool,
    /// `L'a'` has no sign.
    pub(crate) unsigned_wide: bool,
    /// `import` and `module` without an option.
    pub(crate) modules: bool,
}

/// A range of the text of a [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    /// The length, and in the highest bit whether the text is a cleaned one.
    len: u32,
}

const CLEANED: u32 = 1 << 31;

impl Span {
    pub(crate) const EMPTY: Span = Span { start: 0, len: 0 };
}

/// What a directive that names a file does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Inclusion {
    Include,
    Next,
    Import,
    Embed,
    /// `#pragma GCC dependency`
    Dependency,
}

/// Where a file is named.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) kind: Inclusion,
    pub(crate) file: Named,
    /// Offset of the directive in the bytes that were scanned.
    pub(crate) at: u32,
    /// What was found last, to be asked first.
    pub(crate) last: Last,
}

/// A number that was found for a key. Relaxed: whoever uses it has the state to itself.
#[derive(Debug, Default)]
pub(crate) struct Last {
    key: AtomicU64,
    found: AtomicU32,
}

impl Last {
    pub(crate) fn get(&self, key: u64) -> Option<u32> {
        (self.key.load(Relaxed) == key).then(|| self.found.load(Relaxed))
    }

    pub(crate) fn set(&self, key: u64, found: u32) {
        self.found.store(found, Relaxed);
        self.key.store(key, Relaxed);
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Named {
    Quote(Name),
    Angle(Name),
    /// By text that has to be expanded.
    Computed(Span),
}

/// One step of a program. Targets are indices of steps.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    /// Index of a definition of this source, and its name.
    Define {
        name: Name,
        number: u32,
    },
    /// The same of a macro whose body matters in text.
    DefineRemarked(u32),
    Undef(Name),
    /// Goes on when the name is defined (or, negated, is not); else to `otherwise`.
    Ifdef {
        name: Name,
        negated: bool,
        otherwise: u32,
    },
    /// Index of a condition of this source.
    If {
        condition: u32,
        otherwise: u32,
    },
    Jump(u32),
    /// Index of a site of this source.
    Include(u32),
    Once,
    PushMacro(Name),
    PopMacro(Name),
    /// `#pragma GCC target` and its kin.
    Options(OptionsPragma),
    /// `#line 7 "name"`; index of a site, whose text is not looked at.
    Line(u32),
    /// Live text that matters; index of a remark.
    Text(u32),
    /// Text between directives, in programs that have it; index of a range.
    Span(u32),
    /// `#assert`; index of a site.
    Assert(u32),
    /// `#unassert`; index of a site.
    Unassert(u32),
    /// A directive that makes the compiler fail.
    Fail,
    End,
}

/// `#define`
#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition {
    pub(crate) name: Name,
    /// From behind the name to the end of the directive.
    pub(crate) text: Span,
    /// What its body contains that matters in text.
    pub(crate) remarks: Remarks,
}

/// What text can contain that matters beside directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Remarks(pub(crate) u8);

impl Remarks {
    pub(crate) const NOW: Remarks = Remarks(1);
    pub(crate) const STAMP: Remarks = Remarks(2);
    pub(crate) const COUNTER: Remarks = Remarks(4);
    pub(crate) const PRAGMA: Remarks = Remarks(8);
    /// `.incbin` or `.include` in a string or in assembler text.
    pub(crate) const DATA: Remarks = Remarks(16);
    /// `import` or `module` at the beginning of a line.
    pub(crate) const MODULE: Remarks = Remarks(32);

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn has(self, other: Remarks) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn add(&mut self, other: Remarks) {
        self.0 |= other.0;
    }
}

/// A place in text that matters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remark {
    pub(crate) kind: Remarks,
    /// Offset in the bytes that were scanned.
    pub(crate) at: u32,
}

/// A file, lexed.
#[derive(Debug)]
pub(crate) struct Source {
    /// What was scanned: the bytes of the file, or those without splices and trigraphs where these stand at odd places.
    pub(crate) text: Arc<[u8]>,
    /// Before which bytes of the text splices were that it has not any more.
    pub(crate) splices: Vec<u32>,
    pub(crate) mode: Mode,
    /// Text of directives that had comments or splices in them, without these.
    pub(crate) cleaned: Vec<u8>,
    pub(crate) ops: Vec<Op>,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) conditions: Vec<(Span, u32)>,
    pub(crate) sites: Vec<Site>,
    pub(crate) remarks: Vec<Remark>,
    /// Ranges of text between directives.
    pub(crate) spans: Vec<(u32, u32)>,
    /// The macro around everything that the file does.
    pub(crate) guard: Option<Name>,
}

impl Source {
    pub(crate) fn get(&self, span: Span) -> &[u8] {
        let (from, len) = if span.len & CLEANED != 0 {
            (&self.cleaned[..], span.len & !CLEANED)
        } else {
            (&self.text[..], span.len)
        };
        &from[span.start as usize..][..len as usize]
    }

    /// The number of the line that this offset is in.
    pub(crate) fn line(&self, at: u32) -> u32 {
        let spliced = self.splices.partition_point(|&splice| splice <= at);
        memchr::memchr_iter(b'\n', &self.text[..at as usize]).count() as u32 + spliced as u32 + 1
    }

    /// Where the line behind the directive at this offset begins.
    pub(crate) fn behind(&self, at: u32) -> u32 {
        line::logical_line(&self.text, at as usize, self.mode).1 as u32
    }

    /// How many lines below its beginning the directive at this offset has its token number `place`, the first word not counted; if it is
    /// known. `before`: where the splices begin that stand directly before the token.
    pub(crate) fn lines_down(&self, at: u32, place: u8, before: bool) -> Option<u32> {
        let (line, next) = line::logical_line(&self.text, at as usize, self.mode);
        let within = |splice: &&u32| **splice > at && (**splice as usize) < next;
        let spliced = self.splices.iter().filter(within);
        let (line, breaks) = match line {
            Text::Plain { start, end } => {
                let breaks: Vec<usize> = spliced.map(|&splice| (splice - at) as usize).collect();
                if breaks.is_empty() {
                    return Some(0);
                }
                (self.text[start..end].to_vec(), breaks)
            }
            Text::Cleaned(..) if spliced.count() > 0 => return None,
            Text::Cleaned(line, breaks) => (line, breaks),
        };
        let sign = if line.starts_with(b"%:") { 2 } else { 1 };
        let starts = token::starts(&line[sign..], self.mode);
        let start = sign + starts.get(usize::from(place) + 1)?;
        let passed = |&&at: &&usize| at < start || (at == start && !before);
        let count = breaks.iter().filter(passed).count();
        (place < u8::MAX).then_some(count as u32)
    }

    /// About how much memory it takes, its text left out, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.cleaned.len()
            + self.ops.len() * size_of::<Op>()
            + self.definitions.len() * size_of::<Definition>()
            + self.conditions.len() * size_of::<(Span, u32)>()
            + self.sites.len() * size_of::<Site>()
            + 256
    }
}
