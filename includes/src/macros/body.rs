//! A macro's text to its parameters and tokens.

use crate::lex::{Kind, Mode, Punct, Token, WHITE, tokens};
use crate::names::{self, Name, Names};

/// The next token is pasted to this one (`##`).
pub(crate) const PASTE: u8 = 2;
/// The argument is made a string (`#`).
pub(crate) const STRING: u8 = 4;

/// What a macro becomes.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// How many parameters; `None` for a macro without parentheses.
    pub(crate) parameters: Option<u32>,
    /// The last parameter takes all that is left.
    pub(crate) variadic: bool,
    /// Can the tokens go out as they are?
    pub(crate) plain: bool,
    pub(crate) tokens: Box<[Token]>,
}

impl Body {
    /// Reads what stands behind the name in a definition. Text that is no definition gives one that is harmless.
    pub(crate) fn read(text: &[u8], mode: Mode, names: &mut Names) -> Body {
        let mut all = Vec::new();
        tokens(text, mode, names, &mut all);
        let mut parameters: Vec<Name> = Vec::new();
        let mut variadic = false;
        let mut start = 0;
        let with_parentheses = text.first() == Some(&b'(');
        if with_parentheses {
            (start, variadic) = read_parameters(&all, &mut parameters);
        }
        let mut out: Vec<Token> = Vec::with_capacity(all.len() - start);
        let takes_optional = variadic && mode.va_opt;
        let mut rest = all[start..].iter().copied().peekable();
        let mut hash: Option<Token> = None;
        while let Some(mut token) = rest.next() {
            if token.kind == Kind::Punct(Punct::Paste) {
                if let Some(last) = out.last_mut()
                    && rest.peek().is_some()
                {
                    last.flags |= PASTE;
                }
                continue;
            }
            if token.kind == Kind::Word && with_parentheses {
                if let Some(at) = parameters.iter().position(|&name| name == token.name) {
                    token.kind = Kind::Parameter;
                    token.name = Name(at as u32);
                } else if takes_optional && token.name == names::VA_OPT {
                    token.kind = Kind::Optional;
                }
            }
            if let Some(sign) = hash.take() {
                if matches!(token.kind, Kind::Parameter | Kind::Optional) {
                    token.flags = (sign.flags & WHITE) | STRING;
                } else {
                    out.push(sign);
                }
            }
            if token.kind == Kind::Punct(Punct::Hash) && with_parentheses {
                hash = Some(token);
                continue;
            }
            out.push(token);
        }
        out.extend(hash);
        close_optionals(&mut out);
        if let Some(first) = out.first_mut() {
            first.flags &= !WHITE;
        }
        Body {
            plain: !with_parentheses && out.iter().all(|token| token.flags & PASTE == 0),
            parameters: with_parentheses.then_some(parameters.len() as u32),
            variadic,
            tokens: out.into(),
        }
    }

    pub(crate) fn memory(&self) -> usize {
        size_of::<Body>() + size_of_val(&self.tokens[..])
    }
}

/// Reads `(a, b, ...)`; gives where the body begins and whether the last one is variadic.
fn read_parameters(all: &[Token], parameters: &mut Vec<Name>) -> (usize, bool) {
    let mut variadic = false;
    for (at, token) in all.iter().enumerate().skip(1) {
        match token.kind {
            Kind::Punct(Punct::Close) => return (at + 1, variadic),
            Kind::Punct(Punct::Ellipsis) => {
                variadic = true;
                let named = matches!(all[at - 1].kind, Kind::Word | Kind::Punct(_))
                    && all[at - 1].kind == Kind::Word;
                if !named {
                    parameters.push(names::VA_ARGS);
                }
            }
            Kind::Word => parameters.push(token.name),
            // `and` is no parameter, and no compiler takes it for one.
            _ => {}
        }
    }
    (all.len(), variadic)
}

/// Puts into each `__VA_OPT__` how many tokens follow it in parentheses, and takes the parentheses out.
fn close_optionals(out: &mut Vec<Token>) {
    let mut at = 0;
    while at < out.len() {
        if out[at].kind != Kind::Optional {
            at += 1;
            continue;
        }
        let mut depth = 0usize;
        let end = out[at + 1..].iter().position(|token| {
            match token.kind {
                Kind::Punct(Punct::Open) => depth += 1,
                Kind::Punct(Punct::Close) => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        match end {
            Some(len) if len > 0 => {
                let close = at + 1 + len;
                let pasted = out[close].flags & PASTE;
                out.remove(close);
                out.remove(at + 1);
                out[at].flags = (out[at].flags & !PASTE) | pasted;
                out[at].name = Name(len as u32 - 1);
            }
            _ => out[at].kind = Kind::Word,
        }
        at += 1;
    }
}
