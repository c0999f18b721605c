//! Numbers and characters as conditions take them.

use super::Value;
use crate::lex::Mode;

/// An integer constant; `None` for anything else.
pub(super) fn integer(text: &[u8]) -> Option<Value> {
    let (base, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', b'b' | b'B', rest @ ..] => (2, rest),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let mut bits = 0u64;
    let mut used = 0;
    let mut large = false;
    for &byte in digits {
        let digit = match byte {
            b'\'' => {
                used += 1;
                continue;
            }
            b'0'..=b'9' => u64::from(byte - b'0'),
            b'a'..=b'f' if base == 16 => u64::from(byte - b'a') + 10,
            b'A'..=b'F' if base == 16 => u64::from(byte - b'A') + 10,
            _ => break,
        };
        if digit >= base {
            return None;
        }
        large |= bits
            .checked_mul(base)
            .and_then(|b| b.checked_add(digit))
            .is_none();
        bits = bits.wrapping_mul(base).wrapping_add(digit);
        used += 1;
    }
    if used == 0 {
        return None;
    }
    let suffix = digits[used..].to_ascii_lowercase();
    let unsigned = match &suffix[..] {
        b"" | b"l" | b"ll" | b"i" | b"z" | b"wb" => false,
        b"u" | b"ul" | b"ull" | b"lu" | b"llu" | b"uz" | b"zu" | b"uwb" | b"wbu" => true,
        _ => return None,
    };
    Some(Value {
        bits,
        unsigned: unsigned || large || (bits > i64::MAX as u64),
    })
}

/// A character constant with its quotes and prefix.
pub(super) fn character(text: &[u8], mode: Mode) -> Option<Value> {
    let quote = text.iter().position(|&b| b == b'\'')?;
    let prefix = &text[..quote];
    let inner = text[quote + 1..].strip_suffix(b"'")?;
    if inner.is_empty() {
        return None;
    }
    match prefix {
        b"" => narrow(inner, mode.unsigned_chars),
        b"u8" => narrow(inner, mode.unsigned_chars || !mode.cxx),
        b"L" => wide(inner, u32::MAX, mode.unsigned_wide),
        b"u" => wide(inner, u32::from(u16::MAX), true),
        _ => wide(inner, u32::MAX, true),
    }
}

fn narrow(inner: &[u8], no_sign: bool) -> Option<Value> {
    let mut bits = 0u32;
    let mut count = 0u32;
    let mut at = 0;
    while at < inner.len() {
        let (unit, len) = unit(&inner[at..])?;
        // A universal character name stands for its bytes.
        for byte in unit.bytes() {
            bits = bits << 8 | u32::from(byte);
            count += 1;
        }
        at += len;
    }
    let value = if count == 1 && !no_sign {
        i64::from(bits as u8 as i8)
    } else {
        i64::from(bits as i32)
    };
    Some(Value {
        bits: value as u64,
        unsigned: count == 1 && no_sign,
    })
}

/// What one character of a literal stands for.
enum Unit {
    Byte(u32),
    Char(u32),
}

impl Unit {
    fn bytes(&self) -> Vec<u8> {
        match *self {
            Unit::Byte(byte) => vec![byte as u8],
            Unit::Char(code) => {
                let mut buffer = [0; 4];
                let char = char::from_u32(code).unwrap_or('\u{fffd}');
                char.encode_utf8(&mut buffer).as_bytes().to_vec()
            }
        }
    }
}

/// The character at the beginning of `text`, and how many bytes it takes.
fn unit(text: &[u8]) -> Option<(Unit, usize)> {
    let [b'\\', escape, rest @ ..] = text else {
        return Some((Unit::Byte(u32::from(*text.first()?)), 1));
    };
    let simple = |byte: u8| Some((Unit::Byte(u32::from(byte)), 2));
    match escape {
        b'n' => simple(b'\n'),
        b't' => simple(b'\t'),
        b'r' => simple(b'\r'),
        b'a' => simple(7),
        b'b' => simple(8),
        b'f' => simple(12),
        b'v' => simple(11),
        b'e' | b'E' => simple(27),
        b'0'..=b'7' => {
            let len = text[1..]
                .iter()
                .take(3)
                .take_while(|b| (b'0'..=b'7').contains(b))
                .count();
            let value = text[1..1 + len]
                .iter()
                .fold(0, |value, b| value * 8 + u32::from(b - b'0'));
            Some((Unit::Byte(value), 1 + len))
        }
        b'x' => {
            let len = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
            (len > 0).then(|| (Unit::Byte(hex(&rest[..len])), 2 + len))
        }
        b'u' | b'U' => {
            let len = if *escape == b'u' { 4 } else { 8 };
            let digits = rest.get(..len)?;
            digits
                .iter()
                .all(u8::is_ascii_hexdigit)
                .then(|| (Unit::Char(hex(digits)), 2 + len))
        }
        other => simple(*other),
    }
}

fn hex(digits: &[u8]) -> u32 {
    digits.iter().fold(0u32, |value, &b| {
        value.wrapping_shl(4) | char::from(b).to_digit(16).unwrap_or(0)
    })
}

/// Of several characters the last one counts.
fn wide(inner: &[u8], mask: u32, no_sign: bool) -> Option<Value> {
    let mut rest = inner;
    let mut code = 0;
    while !rest.is_empty() {
        let len;
        (code, len) = if rest[0] == b'\\' {
            let (unit, len) = unit(rest)?;
            match unit {
                Unit::Byte(value) | Unit::Char(value) => (value, len),
            }
        } else {
            let char = rest.utf8_chunks().next()?.valid().chars().next()?;
            (u32::from(char), char.len_utf8())
        };
        rest = &rest[len..];
    }
    let code = code & mask;
    let bits = if no_sign {
        u64::from(code)
    } else {
        i64::from(code as i32) as u64
    };
    Some(Value {
        bits,
        unsigned: no_sign,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<(i64, bool)> {
        let value = if text.contains('\'') && !text.starts_with(|c: char| c.is_ascii_digit()) {
            character(text.as_bytes(), Mode::default())
        } else {
            integer(text.as_bytes())
        };
        value.map(|value| (value.bits as i64, value.unsigned))
    }

    #[test]
    fn constants_have_their_values() {
        assert_eq!(value("0"), Some((0, false)));
        assert_eq!(value("201703L"), Some((201_703, false)));
        assert_eq!(value("0x7fffffffffffffff"), Some((i64::MAX, false)));
        assert_eq!(value("0xffffffffffffffff"), Some((-1, true)));
        assert_eq!(value("1ULL"), Some((1, true)));
        assert_eq!(value("0b101"), Some((5, false)));
        assert_eq!(value("017"), Some((15, false)));
        assert_eq!(value("1'000'000"), Some((1_000_000, false)));
        assert_eq!(value("1.0"), None);
        assert_eq!(value("09"), None);
        assert_eq!(value("'a'"), Some((97, false)));
        assert_eq!(value("'\\377'"), Some((-1, false)));
        assert_eq!(value("'\\xff'"), Some((-1, false)));
        assert_eq!(value("'ab'"), Some((0x6162, false)));
        assert_eq!(value("L'\\xffffffff'"), Some((-1, false)));
        assert_eq!(value("u'a'"), Some((97, true)));
        assert_eq!(value("u8'\\xff'"), Some((255, true)));
        assert_eq!(value("''"), None);
    }
}
