//! Text, expanded: only where something hangs on it (`__COUNTER__` in a condition, the name of a file for the assembler, pragmas out of macros).

use super::machine::Machine;
use crate::closure::Refusal;
use crate::lex::{self, Kind, Named, Punct, Source, Token, clean_text, tokens};
use crate::macros::Expansion;
use crate::names;
use std::sync::Arc;

/// What expanded text does.
enum Effect {
    Pragma(Vec<u8>),
    /// Text for the assembler.
    Assembler(Vec<u8>),
}

impl Machine<'_> {
    /// Expands a stretch of text, and does what it says.
    pub(super) fn expand_text(
        &mut self,
        source: &Arc<Source>,
        span: (u32, u32),
    ) -> Result<(), Refusal> {
        let cleaned = clean_text(&source.text, span.0 as usize, span.1 as usize, source.mode);
        let mode = source.mode;
        let (effects, failed) = self.expand(
            span.0,
            mode,
            |library, out| tokens(&cleaned, mode, &mut library.names, out),
            |expansion| (effects(expansion, mode.assembler), expansion.failed),
        );
        // Arguments that go on behind a directive, perhaps: their numbers are not known.
        self.counting.uncertain |= failed;
        for effect in effects {
            match effect {
                Effect::Pragma(text) => self.pragma_text(&text),
                Effect::Assembler(text) => self.assembler_text(&text)?,
            }
        }
        Ok(())
    }

    /// `#assert predicate(answer)` or its opposite.
    pub(super) fn assert(&mut self, source: &Arc<Source>, site: u32, holds: bool) {
        let Named::Computed(span) = source.sites[site as usize].file else {
            return;
        };
        let mut text = vec![b'#'];
        let said = source.get(span).iter().filter(|b| !b.is_ascii_whitespace());
        text.extend(said);
        self.outcome.asserted.push((text, holds));
    }
}

fn effects(expansion: &mut Expansion<'_>, assembler: bool) -> Vec<Effect> {
    let mut found = Vec::new();
    let mut line = Vec::new();
    loop {
        let token = expansion.next();
        match token.kind {
            Kind::End => break,
            Kind::Word if token.name == names::PRAGMA => {
                let (open, text) = (expansion.next(), expansion.next());
                if open.kind == Kind::Punct(Punct::Open) && text.kind == Kind::String {
                    found.push(Effect::Pragma(unquoted(expansion, text)));
                }
            }
            Kind::Word if is_asm(expansion, token) => {
                let text = asm_statement(expansion);
                found.push(Effect::Assembler(text));
            }
            _ if assembler => {
                // A blank where one was: `.incbin "name"`.
                if token.flags & lex::WHITE != 0 {
                    line.push(b' ');
                }
                line.extend_from_slice(expansion.library.names.get(token.name));
            }
            _ => {}
        }
    }
    if !line.is_empty() {
        found.push(Effect::Assembler(line));
    }
    found
}

fn is_asm(expansion: &Expansion<'_>, token: Token) -> bool {
    matches!(
        expansion.library.names.get(token.name),
        b"asm" | b"__asm" | b"__asm__"
    )
}

/// The text of an assembler statement: its strings up to the first colon, put together.
fn asm_statement(expansion: &mut Expansion<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    let mut depth = 0u32;
    let mut collecting = true;
    loop {
        let token = expansion.next();
        match token.kind {
            Kind::End => return text,
            Kind::Punct(Punct::Open) => depth += 1,
            Kind::Punct(Punct::Close) => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text;
                }
            }
            Kind::Punct(Punct::Semicolon | Punct::BraceOpen) if depth == 0 => return text,
            Kind::Punct(Punct::Colon | Punct::Scope) => collecting = false,
            Kind::String if collecting => text.extend(unquoted(expansion, token)),
            _ => {}
        }
    }
}

/// What a string literal stands for, as far as names of files need it.
fn unquoted(expansion: &Expansion<'_>, token: Token) -> Vec<u8> {
    let text = expansion.library.names.get(token.name);
    let start = memchr::memchr(b'"', text).map_or(0, |quote| quote + 1);
    let inner = text[start..].strip_suffix(b"\"").unwrap_or(&text[start..]);
    if text[..start].ends_with(b"R\"") {
        let open = memchr::memchr(b'(', inner).map_or(0, |open| open + 1);
        let close = memchr::memrchr(b')', inner).unwrap_or(inner.len());
        return inner[open.min(close)..close].to_vec();
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match (byte, bytes.as_slice().first()) {
            (b'\\', Some(&escaped)) => {
                bytes.next();
                match escaped {
                    b'n' => b'\n',
                    b't' => b'\t',
                    other => other,
                }
            }
            _ => byte,
        });
    }
    out
}
