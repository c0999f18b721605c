//! One directive to one step of the program; conditions to jumps.

use super::blank::{is_blank, is_word};
use super::{
    CLEANED, Definition, Inclusion, Last, Mode, Named, Op, Remark, Remarks, Site, Source, Span,
};
use crate::macros::OptionsPragma;
use crate::names::{Name, Names};
use std::sync::Arc;

/// A program in the making.
pub(super) struct Program {
    source: Source,
    mode: Mode,
    open: Vec<Group>,
}

/// An `#if` whose `#endif` has not come yet.
struct Group {
    /// The condition whose `otherwise` is where the next branch begins.
    pending: Option<usize>,
    /// Jumps that end branches.
    ends: Vec<usize>,
}

impl Program {
    pub(super) fn new(text: Arc<[u8]>, mode: Mode) -> Program {
        Program {
            source: Source {
                splices: Vec::new(),
                text,
                mode,
                cleaned: Vec::new(),
                ops: Vec::new(),
                definitions: Vec::new(),
                conditions: Vec::new(),
                sites: Vec::new(),
                remarks: Vec::new(),
                spans: Vec::new(),
                guard: None,
            },
            mode,
            open: Vec::new(),
        }
    }

    pub(super) fn plain(&self, start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            len: (end - start) as u32,
        }
    }

    pub(super) fn cleaned(&mut self, text: &[u8]) -> Span {
        let start = self.source.cleaned.len() as u32;
        self.source.cleaned.extend_from_slice(text);
        Span {
            start,
            len: text.len() as u32 | CLEANED,
        }
    }

    pub(super) fn remark(&mut self, remark: Remark) {
        let at = self.source.remarks.len() as u32;
        self.source.remarks.push(remark);
        self.source.ops.push(Op::Text(at));
    }

    pub(super) fn span(&mut self, start: usize, end: usize) {
        let at = self.source.spans.len() as u32;
        self.source.spans.push((start as u32, end as u32));
        self.source.ops.push(Op::Span(at));
    }

    pub(super) fn finish(mut self) -> Source {
        let end = self.source.ops.len() as u32;
        while let Some(group) = self.open.pop() {
            self.close(group, end);
        }
        self.source.ops.push(Op::End);
        self.source.guard = self.guard();
        self.source.ops.shrink_to_fit();
        self.source.definitions.shrink_to_fit();
        self.source.cleaned.shrink_to_fit();
        self.source
    }

    /// The macro whose definition makes the whole program do nothing.
    fn guard(&self) -> Option<Name> {
        let end = self.source.ops.len() as u32 - 1;
        match *self.source.ops.first()? {
            Op::Ifdef {
                name,
                negated: true,
                otherwise,
            } if otherwise == end => Some(name),
            _ => None,
        }
    }

    /// Adds the directive whose sign is at `sign` and whose text, behind the sign, is `span`.
    pub(super) fn directive(&mut self, sign: u32, span: Span, remarks: Remarks, names: &mut Names) {
        let text = self.source.get(span);
        let start = skip_blank(text, 0);
        let end = start + text[start..].iter().take_while(|&&b| is_word(b)).count();
        let rest = Span {
            start: span.start + end as u32,
            len: (span.len & CLEANED) | (text.len() - end) as u32,
        };
        match &text[start..end] {
            b"define" => self.define(rest, remarks, names),
            b"undef" => {
                if let Some((name, _)) = self.word(rest, names) {
                    self.source.ops.push(Op::Undef(name));
                }
            }
            b"if" => self.begin_if(sign, rest, names),
            b"ifdef" => self.begin_ifdef(rest, false, names),
            b"ifndef" => self.begin_ifdef(rest, true, names),
            b"elif" => self.branch(|program| program.condition(sign, rest, names)),
            b"elifdef" if self.mode.elifdef => {
                self.branch(|program| program.ifdef(rest, false, names));
            }
            b"elifndef" if self.mode.elifdef => {
                self.branch(|program| program.ifdef(rest, true, names));
            }
            b"else" => self.branch(|_| None),
            b"endif" => {
                if let Some(group) = self.open.pop() {
                    let end = self.source.ops.len() as u32;
                    self.close(group, end);
                }
            }
            b"include" => self.site(Inclusion::Include, sign, rest, names),
            b"include_next" => self.site(Inclusion::Next, sign, rest, names),
            b"import" => self.site(Inclusion::Import, sign, rest, names),
            b"embed" => self.site(Inclusion::Embed, sign, rest, names),
            b"pragma" => self.pragma(sign, rest, names),
            b"line" => self.text_site(sign, rest, Op::Line),
            b"assert" => self.text_site(sign, rest, Op::Assert),
            b"unassert" => self.text_site(sign, rest, Op::Unassert),
            b"error" if !self.mode.assembler => self.source.ops.push(Op::Fail),
            word if word.first().is_some_and(u8::is_ascii_digit) && !self.mode.assembler => {
                self.text_site(sign, span, Op::Line);
            }
            _ => {}
        }
    }

    fn define(&mut self, rest: Span, remarks: Remarks, names: &mut Names) {
        let Some((name, used)) = self.word(rest, names) else {
            return;
        };
        let at = self.source.definitions.len() as u32;
        self.source.definitions.push(Definition {
            name,
            text: after(rest, used),
            remarks,
        });
        self.source.ops.push(if remarks.is_empty() {
            Op::Define { name, number: at }
        } else {
            Op::DefineRemarked(at)
        });
    }

    /// The first word of `span`, and how many bytes there are up to its end.
    fn word(&self, span: Span, names: &mut Names) -> Option<(Name, usize)> {
        let text = self.source.get(span);
        let start = skip_blank(text, 0);
        let len = text[start..].iter().take_while(|&&b| is_word(b)).count();
        let first = *text.get(start)?;
        if len == 0 || first.is_ascii_digit() {
            return None;
        }
        Some((names.add(&text[start..start + len]), start + len))
    }

    fn begin_if(&mut self, sign: u32, rest: Span, names: &mut Names) {
        let pending = self.condition(sign, rest, names);
        self.open.push(Group {
            pending,
            ends: Vec::new(),
        });
    }

    fn begin_ifdef(&mut self, rest: Span, negated: bool, names: &mut Names) {
        let pending = self.ifdef(rest, negated, names);
        self.open.push(Group {
            pending,
            ends: Vec::new(),
        });
    }

    fn ifdef(&mut self, rest: Span, negated: bool, names: &mut Names) -> Option<usize> {
        let at = self.source.ops.len();
        let op = match self.word(rest, names) {
            Some((name, _)) => Op::Ifdef {
                name,
                negated,
                otherwise: 0,
            },
            // An error, and the group is skipped.
            None => Op::Jump(0),
        };
        self.source.ops.push(op);
        Some(at)
    }

    fn condition(&mut self, sign: u32, rest: Span, names: &mut Names) -> Option<usize> {
        let at = self.source.ops.len();
        let op = match self.defined(rest, names) {
            Some((name, negated)) => Op::Ifdef {
                name,
                negated,
                otherwise: 0,
            },
            None => {
                let condition = self.source.conditions.len() as u32;
                self.source.conditions.push((rest, sign));
                Op::If {
                    condition,
                    otherwise: 0,
                }
            }
        };
        self.source.ops.push(op);
        Some(at)
    }

    /// Is the condition `defined X` or its opposite?
    fn defined(&self, span: Span, names: &mut Names) -> Option<(Name, bool)> {
        let text = self.source.get(span).trim_ascii();
        let (negated, text) = match text.strip_prefix(b"!") {
            Some(rest) => (true, rest.trim_ascii_start()),
            None => (false, text),
        };
        let rest = text.strip_prefix(b"defined")?;
        let word = match rest.trim_ascii().strip_prefix(b"(") {
            Some(inner) => inner.strip_suffix(b")")?.trim_ascii(),
            None if rest.first().is_some_and(|&b| is_blank(b)) => rest.trim_ascii(),
            None => return None,
        };
        let whole =
            !word.is_empty() && word.iter().all(|&b| is_word(b)) && !word[0].is_ascii_digit();
        whole.then(|| (names.add(word), negated))
    }

    /// `#else` and its kin: ends the branch before, begins the next with the condition that `begin` adds.
    fn branch(&mut self, begin: impl FnOnce(&mut Program) -> Option<usize>) {
        let Some(mut group) = self.open.pop() else {
            return;
        };
        group.ends.push(self.source.ops.len());
        self.source.ops.push(Op::Jump(0));
        let here = self.source.ops.len() as u32;
        if let Some(pending) = group.pending.take() {
            self.aim(pending, here);
        }
        group.pending = begin(self);
        self.open.push(group);
    }

    fn close(&mut self, group: Group, end: u32) {
        for at in group.ends.into_iter().chain(group.pending) {
            self.aim(at, end);
        }
    }

    fn aim(&mut self, at: usize, target: u32) {
        match &mut self.source.ops[at] {
            Op::Jump(to) => *to = target,
            Op::Ifdef { otherwise, .. } | Op::If { otherwise, .. } => *otherwise = target,
            _ => {}
        }
    }

    fn site(&mut self, kind: Inclusion, sign: u32, rest: Span, names: &mut Names) {
        let at = self.source.sites.len() as u32;
        let file = self.named(rest, names);
        self.source.sites.push(Site {
            kind,
            file,
            at: sign,
            last: Last::default(),
        });
        self.source.ops.push(Op::Include(at));
    }

    fn named(&self, rest: Span, names: &mut Names) -> Named {
        let text = self.source.get(rest);
        let start = skip_blank(text, 0);
        let close = match text.get(start) {
            Some(b'"') => b'"',
            Some(b'<') => b'>',
            _ => return Named::Computed(rest),
        };
        let Some(len) = memchr::memchr(close, &text[start + 1..]) else {
            return Named::Computed(rest);
        };
        let name = names.add(&text[start + 1..start + 1 + len]);
        if close == b'"' {
            Named::Quote(name)
        } else {
            Named::Angle(name)
        }
    }

    fn text_site(&mut self, sign: u32, rest: Span, op: fn(u32) -> Op) {
        let at = self.source.sites.len() as u32;
        self.source.sites.push(Site {
            kind: Inclusion::Include,
            file: Named::Computed(rest),
            at: sign,
            last: Last::default(),
        });
        self.source.ops.push(op(at));
    }

    fn pragma(&mut self, sign: u32, rest: Span, names: &mut Names) {
        let text = self.source.get(rest).trim_ascii();
        let word_end = text.iter().position(|&b| !is_word(b)).unwrap_or(text.len());
        let (word, tail) = text.split_at(word_end);
        match word {
            b"once" => self.source.ops.push(Op::Once),
            b"push_macro" | b"pop_macro" => {
                if let Some(name) = quoted(tail) {
                    let name = names.add(name);
                    self.source.ops.push(if word == b"push_macro" {
                        Op::PushMacro(name)
                    } else {
                        Op::PopMacro(name)
                    });
                }
            }
            b"GCC" | b"clang" => {
                let inner = tail.trim_ascii_start();
                let text = self.source.get(rest);
                if let Some(found) = inner.strip_prefix(b"dependency") {
                    let used = text.len() - text.trim_ascii_start().len();
                    let from =
                        used + word_end + (tail.len() - inner.len()) + (inner.len() - found.len());
                    self.site(Inclusion::Dependency, sign, after(rest, from), names);
                } else if word == b"GCC"
                    && let Some(pragma) = OptionsPragma::read(inner)
                {
                    self.source.ops.push(Op::Options(pragma));
                }
            }
            _ => {}
        }
    }
}

/// The text of the pragma that `_Pragma("…")` at the beginning of `text` holds.
pub(crate) fn pragma_text(text: &[u8]) -> Option<Vec<u8>> {
    let rest = text.strip_prefix(b"_Pragma")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"(")?.trim_ascii_start();
    let mut rest = rest.strip_prefix(b"\"")?.iter();
    let mut out = Vec::new();
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' => return Some(out),
            b'\n' => return None,
            b'\\' => out.push(*rest.next()?),
            _ => out.push(byte),
        }
    }
    None
}

/// Does a pragma push (or pop) a macro, and which?
pub(crate) fn macro_pragma(text: &[u8]) -> Option<(bool, Vec<u8>)> {
    let (push, rest) = match text.strip_prefix(b"push_macro") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix(b"pop_macro")?),
    };
    Some((push, quoted(rest)?.to_vec()))
}

/// The name in `("NAME")`.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let inner = text.trim_ascii().strip_prefix(b"(")?.trim_ascii_start();
    let inner = inner.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', inner)?;
    Some(inner[..end].trim_ascii())
}

fn skip_blank(text: &[u8], from: usize) -> usize {
    from + text[from..].iter().take_while(|&&b| is_blank(b)).count()
}

fn after(span: Span, used: usize) -> Span {
    Span {
        start: span.start + used as u32,
        len: span.len - used as u32,
    }
}
