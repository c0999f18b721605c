//! `##` and `#`: two tokens to one, and many to a string.

use super::expand::SOURCE;
use crate::lex::{Kind, Mode, Token, WHITE, tokens};
use crate::names::Names;

/// The tokens that `left ## right` becomes: one, or both when together they are none.
pub(super) fn paste(
    left: Token,
    right: Token,
    mode: Mode,
    names: &mut Names,
    out: &mut Vec<Token>,
) -> bool {
    let mut text = names.get(left.name).to_vec();
    text.extend_from_slice(names.get(right.name));
    let start = out.len();
    tokens(&text, mode, names, out);
    if out.len() == start + 1 {
        out[start].flags = left.flags & WHITE;
        return true;
    }
    out.truncate(start);
    out.push(left);
    out.push(right);
    false
}

/// `#argument`
pub(super) fn string(argument: &[Token], flags: u8, names: &mut Names) -> Token {
    let mut text = vec![b'"'];
    let mut source: Option<bool> = None;
    for token in argument {
        if token.kind == Kind::Padding {
            let its = (token.flags & SOURCE != 0).then_some(token.flags & WHITE != 0);
            if source.is_none() || (source == Some(false) && its.is_none()) {
                source = its;
            }
            continue;
        }
        if text.len() > 1 && source.unwrap_or(token.flags & WHITE != 0) {
            text.push(b' ');
        }
        source = None;
        let spelling = names.get(token.name);
        if matches!(token.kind, Kind::String | Kind::Character | Kind::Header) {
            for &byte in spelling {
                if matches!(byte, b'"' | b'\\') {
                    text.push(b'\\');
                }
                text.push(byte);
            }
        } else {
            text.extend_from_slice(spelling);
        }
    }
    // An odd backslash at the end would take the closing quote away.
    let backslashes = text.iter().rev().take_while(|&&b| b == b'\\').count();
    if backslashes % 2 == 1 {
        text.pop();
    }
    text.push(b'"');
    Token {
        kind: Kind::String,
        flags: flags & WHITE,
        place: 0,
        name: names.add(&text),
    }
}
