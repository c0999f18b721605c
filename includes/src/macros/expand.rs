//! Expansion, in the order in which gcc does it: a stack of contexts, each macro disabled while its own tokens are read, and a name that
//! was met while disabled never expanded again.

use super::{Library, MacroId, Table};
use crate::Family;
use crate::lex::{DERIVED, Kind, Mode, Punct, Token, WHITE};
use crate::names::{self, Name, Names};

/// The name was met while its macro was disabled.
const STAYS: u8 = 8;
/// Of a padding: it takes the place of a token, whose blank it has.
pub(super) const SOURCE: u8 = 16;

/// How deep arguments are expanded within arguments.
const MAX_DEPTH: u32 = 250;

/// What an expansion has to ask for.
pub(crate) trait Facts {
    /// The number of the line of a token, by its place in the directive; `None` where that is not known.
    fn line(&mut self, place: u8, derived: bool) -> Option<u32>;
    /// The name of the file, as the compiler opened it.
    fn file(&mut self, names: &Names) -> Vec<u8>;
    fn base_file(&mut self, names: &Names) -> Vec<u8>;
    fn level(&mut self) -> u32;
    /// The next number; `None` when text may have taken some before.
    fn counter(&mut self) -> Option<u32>;
    fn has_include(&mut self, next: bool, quote: bool, name: &[u8], names: &mut Names) -> bool;
    fn has_embed(&mut self, quote: bool, name: &[u8], names: &mut Names) -> u32;
    /// Does `#predicate(answer)` hold?
    fn asserted(&mut self, text: &[u8]) -> Option<bool>;
    /// What the compiler makes of this text; `None` when it has still to be asked.
    fn ask(&mut self, text: &[u8]) -> Option<i64>;
}

/// Where tokens come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    Body(MacroId),
    Scratch,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    from: From,
    at: u32,
    end: u32,
    /// The macro that is disabled meanwhile.
    disables: Option<Name>,
    /// What the first token's blank is to be, when not its own.
    white: Option<bool>,
    /// The place of the tokens of a body.
    place: u8,
}

/// Memory that expansions use one after another.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) tokens: Vec<Token>,
    pub(super) contexts: Vec<Context>,
    disabled: Vec<bool>,
    pub(super) spare: Vec<Vec<Token>>,
    pub(crate) reads: Vec<(Name, MacroId)>,
}

impl Scratch {
    /// Forgets an expansion that was broken off.
    pub(crate) fn reset(&mut self) {
        self.contexts.clear();
        self.disabled.fill(false);
    }
}

/// The expansion of one directive's text.
pub(crate) struct Expansion<'s> {
    pub(crate) library: &'s mut Library,
    table: &'s Table,
    pub(super) scratch: &'s mut Scratch,
    pub(crate) facts: &'s mut dyn Facts,
    pub(super) mode: Mode,
    pub(super) family: Family,
    /// Is it the name of a file that is made, where blanks count?
    pub(super) pads: bool,
    /// Does what is read not count, since the condition is decided without it?
    pub(crate) idle: bool,
    /// Contexts below this one are not read.
    pub(super) floor: usize,
    /// Greater than 0: nothing is expanded.
    pub(super) raw: u32,
    depth: u32,
    /// Steps that may still be taken.
    pub(crate) budget: u64,
    /// Does the result depend on nothing but the macros that were read?
    pub(crate) repeatable: bool,
    /// The compiler would call it an error.
    pub(crate) failed: bool,
    /// The value of something is not known.
    pub(crate) unknown: bool,
}

/// The parts of the machine that an expansion works with.
pub(crate) struct Parts<'s> {
    pub(crate) library: &'s mut Library,
    pub(crate) table: &'s Table,
    pub(crate) scratch: &'s mut Scratch,
    pub(crate) facts: &'s mut dyn Facts,
}

/// One argument: its tokens as written, and expanded once that was needed.
pub(super) struct Argument {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) expanded: Option<Vec<Token>>,
}

impl<'s> Expansion<'s> {
    /// Expands the tokens that `fill` puts in.
    pub(crate) fn new(
        parts: Parts<'s>,
        mode: Mode,
        family: Family,
        budget: u64,
        fill: impl FnOnce(&mut Library, &mut Vec<Token>),
    ) -> Expansion<'s> {
        let scratch = parts.scratch;
        scratch.tokens.clear();
        scratch.reads.clear();
        scratch.contexts.clear();
        fill(parts.library, &mut scratch.tokens);
        scratch.contexts.push(Context {
            from: From::Scratch,
            at: 0,
            end: scratch.tokens.len() as u32,
            disables: None,
            white: None,
            place: 0,
        });
        Expansion {
            library: parts.library,
            table: parts.table,
            scratch,
            facts: parts.facts,
            mode,
            family,
            pads: false,
            idle: false,
            floor: 1,
            raw: 0,
            depth: 0,
            budget,
            repeatable: true,
            failed: false,
            unknown: false,
        }
    }

    /// For the name of a file.
    pub(crate) fn pad(&mut self) {
        self.pads = self.family == Family::Gcc;
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn family(&self) -> Family {
        self.family
    }

    pub(crate) fn macro_of(&mut self, name: Name) -> MacroId {
        let id = self.table.get(name);
        self.note(name, id);
        if self.table.doubt.is_any() {
            self.repeatable = false;
            let text = self.library.names.get(name);
            self.unknown |= self.table.doubt.is_about(text);
        }
        id
    }

    fn note(&mut self, name: Name, id: MacroId) {
        if self.repeatable && !self.scratch.reads.contains(&(name, id)) {
            if id.is_own() || self.scratch.reads.len() >= 48 {
                self.repeatable = false;
            } else {
                self.scratch.reads.push((name, id));
            }
        }
    }

    /// The next token, with macros expanded.
    pub(crate) fn next(&mut self) -> Token {
        loop {
            let token = self.next_padded();
            if token.kind != Kind::Padding {
                return token;
            }
        }
    }

    /// The next token as it stands.
    pub(crate) fn next_raw(&mut self) -> Token {
        self.raw += 1;
        let token = self.next();
        self.raw -= 1;
        token
    }

    pub(crate) fn next_padded(&mut self) -> Token {
        loop {
            let Some(mut token) = self.read() else {
                return END;
            };
            if token.kind != Kind::Word || token.flags & STAYS != 0 {
                return token;
            }
            let id = self.macro_of(token.name);
            if id == MacroId::NONE {
                return token;
            }
            if self.is_disabled(token.name) {
                token.flags |= STAYS;
                return token;
            }
            if self.raw > 0 || !self.enter(token, id) {
                return token;
            }
        }
    }

    fn is_disabled(&self, name: Name) -> bool {
        self.scratch
            .disabled
            .get(name.index())
            .copied()
            .unwrap_or(false)
    }

    /// The next token of the contexts; those that have come to their end are left.
    fn read(&mut self) -> Option<Token> {
        self.budget = self.budget.saturating_sub(1);
        if self.budget == 0 {
            self.failed = true;
            return None;
        }
        loop {
            let depth = self.scratch.contexts.len();
            let context = self.scratch.contexts.last_mut()?;
            if context.at < context.end {
                let at = context.at as usize;
                context.at += 1;
                let (white, place) = (context.white.take(), context.place);
                let mut token = match context.from {
                    From::Scratch => self.scratch.tokens[at],
                    From::Body(id) => {
                        let token = self.library.read_body(id)?.tokens[at];
                        let flags = token.flags | DERIVED;
                        Token {
                            flags,
                            place,
                            ..token
                        }
                    }
                };
                if let Some(white) = white {
                    token.flags = token.flags & !WHITE | u8::from(white);
                }
                return Some(token);
            }
            if depth <= self.floor {
                return None;
            }
            self.leave();
        }
    }

    pub(super) fn leave(&mut self) {
        let context = self.scratch.contexts.pop();
        if let Some(name) = context.and_then(|context| context.disables) {
            self.scratch.disabled[name.index()] = false;
        }
    }

    pub(super) fn push(
        &mut self,
        from: From,
        range: (u32, u32),
        disables: Option<Name>,
        white: Option<bool>,
    ) {
        if let Some(name) = disables {
            if name.index() >= self.scratch.disabled.len() {
                let len = self.library.names.len().max(name.index() + 1);
                self.scratch.disabled.resize(len.next_power_of_two(), false);
            }
            self.scratch.disabled[name.index()] = true;
        }
        self.scratch.contexts.push(Context {
            from,
            at: range.0,
            end: range.1,
            disables,
            white,
            place: 0,
        });
    }

    /// Puts tokens in front of what comes.
    pub(super) fn push_tokens(
        &mut self,
        tokens: &[Token],
        disables: Option<Name>,
        white: Option<bool>,
    ) {
        let start = self.scratch.tokens.len() as u32;
        self.scratch.tokens.extend_from_slice(tokens);
        let end = self.scratch.tokens.len() as u32;
        self.push(From::Scratch, (start, end), disables, white);
    }

    /// Begins to expand the macro that `word` names. `false` when the word stays what it is.
    fn enter(&mut self, word: Token, id: MacroId) -> bool {
        if let Some(builtin) = self.library.definition(id).builtin {
            return self.builtin(word, builtin);
        }
        // clang gives the blank of the name to what it becomes.
        let white = (self.family == Family::Clang).then_some(word.flags & WHITE != 0);
        let body = self.library.body(id);
        let len = body.tokens.len() as u32;
        let Some(parameters) = body.parameters else {
            if body.plain {
                self.push(From::Body(id), (0, len), Some(word.name), white);
                if let Some(context) = self.scratch.contexts.last_mut() {
                    context.place = word.place;
                }
            } else {
                let tokens = self.substitute(id, (0, len), &mut [], word.place);
                self.push_tokens(&tokens, Some(word.name), white);
                self.scratch.spare.push(tokens);
            }
            return true;
        };
        let variadic = body.variadic;
        let next = self.next_raw();
        if next.kind != Kind::Punct(Punct::Open) {
            if next.kind != Kind::End {
                self.push_tokens(&[next], None, None);
            }
            return false;
        }
        let Some((mut arguments, end)) = self.collect(parameters, variadic) else {
            self.failed = true;
            return false;
        };
        if self.depth >= MAX_DEPTH {
            self.budget = 1;
            self.failed = true;
            return false;
        }
        self.depth += 1;
        // To clang a macro is where its arguments end.
        let place = match self.family {
            Family::Gcc => word.place,
            Family::Clang => end,
        };
        let tokens = self.substitute(id, (0, len), &mut arguments, place);
        self.depth -= 1;
        self.push_tokens(&tokens, Some(word.name), white);
        self.scratch.spare.push(tokens);
        for argument in arguments {
            self.scratch.spare.extend(argument.expanded);
        }
        true
    }

    /// Reads arguments up to the closing parenthesis, whose place is given too; `None` when they do not fit the parameters.
    fn collect(&mut self, parameters: u32, variadic: bool) -> Option<(Vec<Argument>, u8)> {
        let mut arguments: Vec<Argument> = Vec::with_capacity(parameters as usize);
        let mut depth = 0u32;
        let mut tokens = self.spare();
        let mut bounds = Vec::with_capacity(parameters as usize);
        let mut start = 0;
        self.raw += 1;
        let closed = loop {
            let token = self.next_padded();
            match token.kind {
                Kind::End => break None,
                Kind::Padding if tokens.len() == start => continue,
                Kind::Punct(Punct::Open) => depth += 1,
                Kind::Punct(Punct::Close) if depth == 0 => {
                    bounds.push((start, tokens.len()));
                    break Some(token.place);
                }
                Kind::Punct(Punct::Close) => depth -= 1,
                Kind::Punct(Punct::Comma)
                    if depth == 0 && !(variadic && bounds.len() as u32 + 1 == parameters) =>
                {
                    bounds.push((start, tokens.len()));
                    start = tokens.len();
                    continue;
                }
                _ => {}
            }
            tokens.push(token);
        };
        self.raw -= 1;
        let base = self.scratch.tokens.len();
        self.scratch.tokens.extend_from_slice(&tokens);
        for (from, mut to) in bounds {
            while to > from && tokens[to - 1].kind == Kind::Padding {
                to -= 1;
            }
            arguments.push(Argument {
                start: (base + from) as u32,
                end: (base + to) as u32,
                expanded: None,
            });
        }
        self.scratch.spare.push(tokens);
        let given = arguments.len() as u32;
        let one_empty = given == 1 && arguments[0].start == arguments[0].end;
        if given == parameters || (parameters == 0 && one_empty) {
            return closed.map(|end| (arguments, end));
        }
        if variadic && given + 1 == parameters {
            arguments.push(Argument {
                start: base as u32,
                end: base as u32,
                expanded: None,
            });
            return closed.map(|end| (arguments, end));
        }
        None
    }

    pub(super) fn spare(&mut self) -> Vec<Token> {
        let mut tokens = self.scratch.spare.pop().unwrap_or_default();
        tokens.clear();
        tokens
    }
}

const END: Token = Token {
    kind: Kind::End,
    flags: 0,
    place: 0,
    name: names::EMPTY,
};

impl Drop for Expansion<'_> {
    fn drop(&mut self) {
        while !self.scratch.contexts.is_empty() {
            self.leave();
        }
    }
}
