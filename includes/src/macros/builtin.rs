//! Macros whose value is not in any text: where we are, which files there are, what the compiler knows.

use super::Builtin;
use super::expand::Expansion;
use crate::Family;
use crate::lex::{DERIVED, Kind, Punct, Token, WHITE};
use crate::names;

impl Expansion<'_> {
    /// Puts the value of a built-in macro in front.
    pub(super) fn builtin(&mut self, word: Token, builtin: Builtin) -> bool {
        let (kind, text) = match builtin {
            Builtin::Pragma => return false,
            Builtin::Asked => {
                let value = self.asked(word);
                (Kind::Number, value.to_string().into_bytes())
            }
            Builtin::HasInclude { next } => {
                self.repeatable = false;
                let header = self.header_in_parentheses();
                // gcc does not look for what cannot count.
                let looked_for = header.filter(|_| !self.idle || self.family == Family::Clang);
                let found = looked_for.is_some_and(|(quote, name)| {
                    self.facts
                        .has_include(next, quote, &name, &mut self.library.names)
                });
                (Kind::Number, vec![b'0' + u8::from(found)])
            }
            Builtin::HasEmbed => {
                self.repeatable = false;
                let found = self.header_in_parentheses().map_or(0, |(quote, name)| {
                    self.facts.has_embed(quote, &name, &mut self.library.names)
                });
                (Kind::Number, found.to_string().into_bytes())
            }
            _ => {
                self.repeatable = false;
                self.plain_builtin(word, builtin)
            }
        };
        let token = Token {
            kind,
            flags: word.flags & WHITE,
            place: word.place,
            name: self.library.names.add(&text),
        };
        self.push_tokens(&[token], None, None);
        true
    }

    fn plain_builtin(&mut self, word: Token, builtin: Builtin) -> (Kind, Vec<u8>) {
        let quoted = |name: &[u8]| {
            let mut text = vec![b'"'];
            for &byte in name {
                if matches!(byte, b'"' | b'\\') {
                    text.push(b'\\');
                }
                text.push(byte);
            }
            text.push(b'"');
            text
        };
        match builtin {
            Builtin::Line => {
                let number = self.facts.line(word.place, word.flags & DERIVED != 0);
                self.unknown |= number.is_none();
                (Kind::Number, number.unwrap_or(0).to_string().into_bytes())
            }
            Builtin::Level => (Kind::Number, self.facts.level().to_string().into_bytes()),
            Builtin::Counter => {
                let number = self.facts.counter();
                self.unknown |= number.is_none();
                (Kind::Number, number.unwrap_or(0).to_string().into_bytes())
            }
            Builtin::File => (Kind::String, quoted(&self.facts.file(&self.library.names))),
            Builtin::BaseFile => (
                Kind::String,
                quoted(&self.facts.base_file(&self.library.names)),
            ),
            Builtin::FileName => {
                let file = self.facts.file(&self.library.names);
                let base = file.rsplit(|&b| b == b'/').next().unwrap_or_default();
                (Kind::String, quoted(base))
            }
            _ => {
                self.unknown = true;
                (Kind::String, b"\"\"".to_vec())
            }
        }
    }

    /// `__has_builtin(x)` and its kin: the compiler is shown what stands there.
    fn asked(&mut self, word: Token) -> i64 {
        // The answer is this compiler's; `EMPTY` stands for it among what is read.
        self.macro_of(names::EMPTY);
        let mut text = self.library.names.get(word.name).to_vec();
        let open = self.next_raw();
        if open.kind != Kind::Punct(Punct::Open) {
            self.failed = true;
            return 0;
        }
        text.push(b'(');
        let mut depth = 1;
        while depth > 0 {
            // gcc expands macros in it, clang does not.
            let token = match self.family {
                Family::Gcc => self.next(),
                Family::Clang => self.next_raw(),
            };
            match token.kind {
                Kind::End => {
                    self.failed = true;
                    return 0;
                }
                Kind::Punct(Punct::Open) => depth += 1,
                Kind::Punct(Punct::Close) => depth -= 1,
                _ => {}
            }
            if token.flags & WHITE != 0 {
                text.push(b' ');
            }
            text.extend_from_slice(self.library.names.get(token.name));
        }
        match self.facts.ask(&text) {
            Some(value) => value,
            None => {
                self.repeatable = false;
                0
            }
        }
    }

    /// The header in `("name")` or `(<name>)`: is it quoted, and its name. What follows it within the parentheses is left out.
    fn header_in_parentheses(&mut self) -> Option<(bool, Vec<u8>)> {
        let open = self.next();
        if open.kind != Kind::Punct(Punct::Open) {
            self.failed = true;
            return None;
        }
        let pads = std::mem::replace(&mut self.pads, self.family == Family::Gcc);
        let first = self.next();
        let header = self.header(first);
        self.pads = pads;
        let mut depth = 1;
        while depth > 0 {
            match self.next_raw().kind {
                Kind::End => {
                    self.failed = true;
                    break;
                }
                Kind::Punct(Punct::Open) => depth += 1,
                Kind::Punct(Punct::Close) => depth -= 1,
                _ => {}
            }
        }
        header
    }

    /// The header that begins with `first`: is it quoted, and its name.
    pub(crate) fn header(&mut self, first: Token) -> Option<(bool, Vec<u8>)> {
        let text = self.library.names.get(first.name);
        match first.kind {
            Kind::String if text.first() == Some(&b'"') && text.len() >= 2 => {
                Some((true, text[1..text.len() - 1].to_vec()))
            }
            Kind::Header => Some((false, text[1..text.len() - 1].to_vec())),
            Kind::Punct(Punct::Less) => self.glue().map(|name| (false, name)),
            _ => {
                self.failed = true;
                None
            }
        }
    }

    /// What stands between `<` and `>`, put together.
    fn glue(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        loop {
            let token = self.next();
            if token.kind == Kind::End {
                self.failed = true;
                return None;
            }
            let ends = token.kind == Kind::Punct(Punct::Greater);
            if token.flags & WHITE != 0 && (!ends || self.family == Family::Clang) {
                name.push(b' ');
            }
            if ends {
                return Some(name);
            }
            name.extend_from_slice(self.library.names.get(token.name));
        }
    }
}
