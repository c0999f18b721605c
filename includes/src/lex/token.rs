//! The text of one directive to tokens.

use super::Mode;
use super::blank::{is_blank, is_word};
use super::scan;
use crate::names::{self, Name, Names};

/// One token: what it is, how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    /// The number of the token of the directive's own text that it is or came out of; the last number stands for all from there on.
    pub(crate) place: u8,
    pub(crate) name: Name,
}

/// There is blank before it.
pub(crate) const WHITE: u8 = 1;
/// It came out of a macro.
pub(crate) const DERIVED: u8 = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Number,
    Character,
    String,
    /// `<name>` where only the name of a header can be.
    Header,
    Punct(Punct),
    Other,
    /// In a macro's body: a parameter, by its number.
    Parameter,
    /// In a macro's body: `__VA_OPT__`; how many tokens its parentheses hold.
    Optional,
    /// Nothing: where an argument was put in.
    Padding,
    End,
}

macro_rules! puncts {
    ($($name:ident $text:literal,)*) => {
        /// Operators and punctuation, longest first where one begins with another.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Punct { $($name,)* }
        const PUNCTS: &[(&[u8], Punct)] = &[$(($text, Punct::$name),)*];
    };
}

puncts! {
    PasteDigraph b"%:%:",
    Ellipsis b"...",
    ShiftLeftAssign b"<<=",
    ShiftRightAssign b">>=",
    ArrowStar b"->*",
    Spaceship b"<=>",
    Paste b"##",
    HashDigraph b"%:",
    ShiftLeft b"<<",
    ShiftRight b">>",
    LessEqual b"<=",
    GreaterEqual b">=",
    Equal b"==",
    NotEqual b"!=",
    And b"&&",
    Or b"||",
    Arrow b"->",
    Increment b"++",
    Decrement b"--",
    AddAssign b"+=",
    SubtractAssign b"-=",
    MultiplyAssign b"*=",
    DivideAssign b"/=",
    RemainderAssign b"%=",
    AndAssign b"&=",
    OrAssign b"|=",
    XorAssign b"^=",
    Scope b"::",
    DotStar b".*",
    BracketDigraph b"<:",
    BracketEndDigraph b":>",
    BraceDigraph b"<%",
    BraceEndDigraph b"%>",
    Hash b"#",
    Less b"<",
    Greater b">",
    Not b"!",
    BitAnd b"&",
    BitOr b"|",
    Plus b"+",
    Minus b"-",
    Star b"*",
    Slash b"/",
    Percent b"%",
    Caret b"^",
    Tilde b"~",
    Open b"(",
    Close b")",
    Comma b",",
    Question b"?",
    Colon b":",
    Semicolon b";",
    Assign b"=",
    Dot b".",
    BracketOpen b"[",
    BracketClose b"]",
    BraceOpen b"{",
    BraceClose b"}",
}

/// The tokens of `text`, in which no comments and splices are left, after those in `out`.
pub(crate) fn tokens(text: &[u8], mode: Mode, names: &mut Names, out: &mut Vec<Token>) {
    read(text, mode, names, out, false, &mut |_| {});
}

/// The tokens of what stands behind `#include`, where to clang each `<` begins the name of a header; to gcc none behind a macro does.
pub(crate) fn header_tokens(text: &[u8], mode: Mode, names: &mut Names, out: &mut Vec<Token>) {
    read(text, mode, names, out, mode.clang, &mut |_| {});
}

/// Where the tokens of a directive begin in its text, from the `#` on.
pub(super) fn starts(text: &[u8], mode: Mode) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut each = |at| starts.push(at);
    read(
        text,
        mode,
        &mut Names::new(),
        &mut Vec::new(),
        false,
        &mut each,
    );
    starts
}

fn read(
    text: &[u8],
    mode: Mode,
    names: &mut Names,
    out: &mut Vec<Token>,
    headers: bool,
    begins: &mut dyn FnMut(usize),
) {
    let mut at = 0;
    let mut flags = 0;
    let start = out.len();
    // Parentheses that are open since that of the last `__has_include`.
    let mut open = 0u32;
    while let Some(&byte) = text.get(at) {
        if is_blank(byte) || super::blank::is_end(byte) {
            flags = WHITE;
            at += 1;
            continue;
        }
        let opens = open > 0 && (mode.clang || has_just_opened(&out[start..]));
        let (kind, len) = if byte == b'<' && (headers || opens) {
            header(&text[at..])
        } else {
            one(text, at, mode)
        };
        let name = names.add(&text[at..at + len]);
        let kind = match kind {
            Kind::Word if mode.cxx => named_operator(name).map_or(kind, Kind::Punct),
            _ => kind,
        };
        match kind {
            Kind::Punct(Punct::Open) if open > 0 || asks_for_header(&out[start..]) => open += 1,
            Kind::Punct(Punct::Close) => open = open.saturating_sub(1),
            _ => {}
        }
        begins(at);
        out.push(Token {
            kind,
            flags,
            place: u8::try_from(out.len() - start).unwrap_or(u8::MAX),
            name,
        });
        flags = 0;
        at += len;
    }
}

fn has_just_opened(before: &[Token]) -> bool {
    matches!(before, [rest @ .., open] if open.kind == Kind::Punct(Punct::Open) && asks_for_header(rest))
}

/// Is the last of these `__has_include` or one of its kin?
fn asks_for_header(before: &[Token]) -> bool {
    before.last().is_some_and(|word| {
        matches!(
            word.name,
            names::HAS_INCLUDE | names::HAS_INCLUDE_NEXT | names::HAS_EMBED
        )
    })
}

fn header(text: &[u8]) -> (Kind, usize) {
    match memchr::memchr(b'>', text) {
        Some(end) => (Kind::Header, end + 1),
        None => (Kind::Punct(Punct::Less), 1),
    }
}

/// The token at `at`, which is no blank: what it is and how long.
fn one(text: &[u8], at: usize, mode: Mode) -> (Kind, usize) {
    let rest = &text[at..];
    let byte = rest[0];
    if byte.is_ascii_digit() || (byte == b'.' && rest.get(1).is_some_and(u8::is_ascii_digit)) {
        return (Kind::Number, number(rest, mode));
    }
    if is_word(byte) {
        let len = rest.iter().position(|&b| !is_word(b)).unwrap_or(rest.len());
        return match rest.get(len) {
            Some(&quote @ (b'"' | b'\'')) if is_prefix(&rest[..len], quote, mode) => {
                literal(text, at + len, len, mode)
            }
            _ => (Kind::Word, len),
        };
    }
    match byte {
        b'"' | b'\'' => literal(text, at, 0, mode),
        _ => punct(rest, mode),
    }
}

fn number(rest: &[u8], mode: Mode) -> usize {
    let mut len = 1;
    while let Some(&byte) = rest.get(len) {
        let exponent =
            matches!(byte, b'+' | b'-') && matches!(rest[len - 1], b'e' | b'E' | b'p' | b'P');
        let separator =
            byte == b'\'' && mode.separators && rest.get(len + 1).is_some_and(|&b| is_word(b));
        if !(is_word(byte) || byte == b'.' || exponent || separator) {
            break;
        }
        len += 1;
    }
    len
}

fn is_prefix(word: &[u8], quote: u8, mode: Mode) -> bool {
    match word {
        b"L" | b"u" | b"U" | b"u8" => true,
        b"R" | b"LR" | b"uR" | b"UR" | b"u8R" => quote == b'"' && mode.raw_strings,
        _ => false,
    }
}

/// The literal whose quote is at `quote`, after a prefix of `prefix` bytes.
fn literal(text: &[u8], quote: usize, prefix: usize, mode: Mode) -> (Kind, usize) {
    let close = text[quote];
    if close == b'"' && mode.raw_strings && scan::is_raw(text, quote) {
        return (Kind::String, scan::end_of_raw(text, quote) - quote + prefix);
    }
    let mut at = quote + 1;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte == close {
            let kind = if close == b'"' {
                Kind::String
            } else {
                Kind::Character
            };
            return (kind, at - quote + prefix);
        }
        if super::blank::is_end(byte) {
            at -= 1;
            break;
        }
        if byte == b'\\' && at < text.len() {
            at += 1;
        }
    }
    // A lone quote takes the rest of the line.
    (Kind::Other, at - quote + prefix)
}

fn punct(rest: &[u8], mode: Mode) -> (Kind, usize) {
    for &(text, punct) in PUNCTS {
        if rest.starts_with(text) {
            let digraph = matches!(
                punct,
                Punct::PasteDigraph
                    | Punct::HashDigraph
                    | Punct::BracketDigraph
                    | Punct::BracketEndDigraph
                    | Punct::BraceDigraph
                    | Punct::BraceEndDigraph
            );
            let cxx_only = matches!(punct, Punct::ArrowStar | Punct::DotStar | Punct::Spaceship);
            if (digraph && !mode.digraphs) || (cxx_only && !mode.cxx) {
                continue;
            }
            let punct = match punct {
                Punct::PasteDigraph => Punct::Paste,
                Punct::HashDigraph => Punct::Hash,
                other => other,
            };
            return (Kind::Punct(punct), text.len());
        }
    }
    (Kind::Other, 1)
}

fn named_operator(name: Name) -> Option<Punct> {
    Some(match name {
        names::AND => Punct::And,
        names::OR => Punct::Or,
        names::NOT => Punct::Not,
        names::XOR => Punct::Caret,
        names::COMPL => Punct::Tilde,
        names::BITAND => Punct::BitAnd,
        names::BITOR => Punct::BitOr,
        names::NOT_EQ => Punct::NotEqual,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, cxx: bool) -> Vec<String> {
        let mode = Mode {
            cxx,
            raw_strings: true,
            digraphs: true,
            separators: cxx,
            ..Mode::default()
        };
        let mut names = Names::new();
        let mut out = Vec::new();
        tokens(text.as_bytes(), mode, &mut names, &mut out);
        out.iter()
            .map(|token| String::from_utf8_lossy(names.get(token.name)).into_owned())
            .collect()
    }

    #[test]
    fn text_comes_apart() {
        assert_eq!(split("a+++b", false), ["a", "++", "+", "b"]);
        assert_eq!(split("1.5e+3x'a' L'b'", false), ["1.5e+3x", "'a'", "L'b'"]);
        assert_eq!(split("1'000ull", true), ["1'000ull"]);
        assert_eq!(split("u8R\"x(\")\")x\" y", true), ["u8R\"x(\")\")x\"", "y"]);
        assert_eq!(split("\"a\\\"b\" c", false), ["\"a\\\"b\"", "c"]);
        assert_eq!(split("__has_include(<a/b.h>) < 1", false)[2], "<a/b.h>");
        assert_eq!(split("a<b.h>", false), ["a", "<", "b", ".", "h", ">"]);
        assert_eq!(split("don't", false), ["don", "'t"]);
    }

    #[test]
    fn operators_have_names_in_cxx() {
        let mut names = Names::new();
        let mut out = Vec::new();
        let mode = Mode {
            cxx: true,
            ..Mode::default()
        };
        tokens(b"not a and b", mode, &mut names, &mut out);
        assert_eq!(out[0].kind, Kind::Punct(Punct::Not));
        assert_eq!(out[2].kind, Kind::Punct(Punct::And));
    }
}
