//! A macro's tokens with the arguments put in: `#`, `##`, `__VA_OPT__`.

use super::body::{PASTE, STRING};
use super::expand::{Argument, Expansion, From, SOURCE};
use super::{MacroId, paste};
use crate::Family;
use crate::lex::{DERIVED, Kind, Punct, Token, WHITE};
use crate::names;

impl Expansion<'_> {
    /// What the tokens of a macro become with these arguments.
    pub(super) fn substitute(
        &mut self,
        id: MacroId,
        range: (u32, u32),
        arguments: &mut [Argument],
        place: u8,
    ) -> Vec<Token> {
        let mut out = self.spare();
        let mut pasting = false;
        // Was what stands left of `##` nothing?
        let mut nothing = false;
        let mut at = range.0;
        while at < range.1 {
            let body = self.library.body(id);
            let token = body.tokens[at as usize];
            let last = body.parameters.unwrap_or(0).wrapping_sub(1);
            let variadic = body.variadic;
            let first = at == range.0;
            at += 1;
            let pasted = token.flags & PASTE != 0;
            match token.kind {
                Kind::Parameter if token.flags & STRING != 0 => {
                    let text = self.argument(arguments, token.name.0);
                    let made = paste::string(&text, token.flags, &mut self.library.names);
                    self.scratch.spare.push(text);
                    self.operand(&[made], place, &mut pasting, &mut nothing, &mut out);
                }
                Kind::Parameter if pasting || pasted => {
                    let text = self.argument(arguments, token.name.0);
                    let takes_comma = pasting
                        && variadic
                        && token.name.0 == last
                        && out
                            .last()
                            .is_some_and(|t| t.kind == Kind::Punct(Punct::Comma));
                    if takes_comma {
                        pasting = false;
                        if text.is_empty() {
                            out.pop();
                        }
                    }
                    let head = if pasting { usize::MAX } else { out.len() };
                    self.operand(&text, place, &mut pasting, &mut nothing, &mut out);
                    self.take_blank(&mut out, head, token);
                    self.scratch.spare.push(text);
                }
                Kind::Parameter => {
                    self.expand(arguments, token.name.0);
                    if self.pads && !first {
                        out.push(Token {
                            kind: Kind::Padding,
                            flags: SOURCE | token.flags & WHITE,
                            place,
                            name: names::EMPTY,
                        });
                    }
                    let head = out.len();
                    if let Some(expanded) = arguments
                        .get(token.name.0 as usize)
                        .and_then(|argument| argument.expanded.as_ref())
                    {
                        out.extend_from_slice(expanded);
                    }
                    self.take_blank(&mut out, head, token);
                }
                Kind::Optional => {
                    let len = token.name.0;
                    self.expand(arguments, last);
                    let given = arguments
                        .get(last as usize)
                        .and_then(|argument| argument.expanded.as_ref())
                        .is_some_and(|expanded| {
                            expanded.iter().any(|token| token.kind != Kind::Padding)
                        });
                    let inner = if given {
                        self.substitute(id, (at, at + len), arguments, place)
                    } else {
                        self.spare()
                    };
                    at += len;
                    if token.flags & STRING != 0 {
                        let made = paste::string(&inner, token.flags, &mut self.library.names);
                        self.operand(&[made], place, &mut pasting, &mut nothing, &mut out);
                    } else {
                        self.operand(&inner, place, &mut pasting, &mut nothing, &mut out);
                    }
                    self.scratch.spare.push(inner);
                }
                _ => {
                    let mut token = token;
                    token.flags = token.flags & WHITE | DERIVED;
                    token.place = place;
                    self.operand(&[token], place, &mut pasting, &mut nothing, &mut out);
                }
            }
            if pasted {
                pasting = true;
            }
            self.budget = self.budget.saturating_sub(out.len() as u64 / 64);
        }
        out
    }

    /// Appends what stands between two `##`, pasting its first token to what came before if that is asked for.
    fn operand(
        &mut self,
        tokens: &[Token],
        place: u8,
        pasting: &mut bool,
        nothing: &mut bool,
        out: &mut Vec<Token>,
    ) {
        let pastes = std::mem::replace(pasting, false);
        let Some((&first, rest)) = tokens.split_first() else {
            *nothing = if pastes { *nothing } else { true };
            return;
        };
        match out.pop() {
            Some(left) if pastes && !*nothing => {
                self.failed |= !paste::paste(left, first, self.mode, &mut self.library.names, out);
                if let Some(made) = out.last_mut() {
                    (made.flags, made.place) = (made.flags | DERIVED, place);
                }
            }
            other => {
                out.extend(other);
                out.push(first);
            }
        }
        out.extend_from_slice(rest);
        *nothing = false;
    }

    /// A copy of the argument as written.
    fn argument(&mut self, arguments: &[Argument], number: u32) -> Vec<Token> {
        let mut out = self.spare();
        if let Some(argument) = arguments.get(number as usize) {
            let range = argument.start as usize..argument.end as usize;
            out.extend_from_slice(&self.scratch.tokens[range]);
        }
        out
    }

    /// Sees to it that the argument is there in expanded form.
    fn expand(&mut self, arguments: &mut [Argument], number: u32) {
        let Some(argument) = arguments.get_mut(number as usize) else {
            return;
        };
        if argument.expanded.is_some() {
            return;
        }
        let range = (argument.start, argument.end);
        let mut out = self.spare();
        let floor = std::mem::replace(&mut self.floor, self.scratch.contexts.len() + 1);
        let raw = std::mem::replace(&mut self.raw, 0);
        self.push(From::Scratch, range, None, None);
        loop {
            let token = self.next_padded();
            if token.kind == Kind::End {
                break;
            }
            out.push(token);
        }
        while self.scratch.contexts.len() >= self.floor {
            self.leave();
        }
        self.floor = floor;
        self.raw = raw;
        argument.expanded = Some(out);
    }

    /// clang gives the blank of a parameter to the first token that it becomes.
    fn take_blank(&self, out: &mut [Token], head: usize, parameter: Token) {
        if self.family == Family::Clang
            && let Some(head) = out.get_mut(head)
        {
            head.flags = head.flags & !WHITE | parameter.flags & WHITE;
        }
    }
}
