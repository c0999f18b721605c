//! Tokens: four letters that name a field, then eight hex digits.

use crate::ProtocolError;

/// The four letters of each token.
pub mod tag {
    pub const DIST: [u8; 4] = *b"DIST";
    pub const HELO: [u8; 4] = *b"HELO";
    pub const CDIR: [u8; 4] = *b"CDIR";
    pub const ARGC: [u8; 4] = *b"ARGC";
    pub const ARGV: [u8; 4] = *b"ARGV";
    pub const DOTI: [u8; 4] = *b"DOTI";
    pub const NFIL: [u8; 4] = *b"NFIL";
    pub const NAME: [u8; 4] = *b"NAME";
    pub const FILE: [u8; 4] = *b"FILE";
    pub const LINK: [u8; 4] = *b"LINK";
    pub const FOLD: [u8; 4] = *b"FOLD";
    pub const ENVI: [u8; 4] = *b"ENVI";
    pub const SYSD: [u8; 4] = *b"SYSD";
    pub const LNCH: [u8; 4] = *b"LNCH";
    pub const FORM: [u8; 4] = *b"FORM";
    pub const FLAG: [u8; 4] = *b"FLAG";
    pub const SIZE: [u8; 4] = *b"SIZE";
    pub const REFU: [u8; 4] = *b"REFU";
    pub const DONE: [u8; 4] = *b"DONE";
    pub const STAT: [u8; 4] = *b"STAT";
    pub const SERR: [u8; 4] = *b"SERR";
    pub const SOUT: [u8; 4] = *b"SOUT";
    pub const DOTO: [u8; 4] = *b"DOTO";
    pub const DOTD: [u8; 4] = *b"DOTD";
}

/// What decoding made of the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<T> {
    /// The bytes stop short of a whole value; read some more and ask again.
    More,
    /// A value, and how many bytes it took.
    Done { value: T, used: usize },
}

/// A field's name and its number: a version, a status, a count, or the length of the body that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub tag: [u8; 4],
    pub value: u32,
}

impl Token {
    /// Bytes on the wire.
    pub const LEN: usize = 12;

    /// With lowercase digits, as every stock program writes them.
    pub fn encode(self) -> [u8; Token::LEN] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; Token::LEN];
        bytes[..4].copy_from_slice(&self.tag);
        for (place, byte) in bytes[4..].iter_mut().enumerate() {
            *byte = DIGITS[(self.value >> (28 - 4 * place)) as usize & 15];
        }
        bytes
    }

    /// Reads the token at the start of `input`, of whatever tag.  Takes digits of both cases, and nothing else: the
    /// blanks, signs and `0x` that stock's `strtoul` lets pass are errors.
    pub fn decode(input: &[u8]) -> Result<Decoded<Token>, ProtocolError> {
        let Some((tag, rest)) = input.split_first_chunk::<4>() else {
            return Ok(Decoded::More);
        };
        let Some(digits) = rest.first_chunk::<8>() else {
            return Ok(Decoded::More);
        };
        let Some(value) = parse_hex(digits) else {
            return Err(ProtocolError::NotHex {
                tag: *tag,
                digits: *digits,
            });
        };
        Ok(Decoded::Done {
            value: Token { tag: *tag, value },
            used: Token::LEN,
        })
    }
}

/// The head of a body of `len` bytes.  Fails for 4 GiB and more.
pub fn head(tag: &[u8; 4], len: usize) -> Result<[u8; Token::LEN], ProtocolError> {
    let value = u32::try_from(len).map_err(|_| ProtocolError::TooLong { tag: *tag, len })?;
    Ok(Token { tag: *tag, value }.encode())
}

fn parse_hex(digits: &[u8; 8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, digit| {
        Some(value << 4 | char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_short_read_asks_for_more() {
        for len in 0..Token::LEN {
            assert_eq!(Token::decode(&b"ARGC00000003"[..len]), Ok(Decoded::More));
        }
    }

    #[test]
    fn digits_of_both_cases_are_read_and_lowercase_is_written() {
        let token = Token {
            tag: tag::DOTO,
            value: 0x00ab_cdef,
        };
        for bytes in [b"DOTO00abcdef", b"DOTO00ABCDEF"] {
            assert_eq!(
                Token::decode(bytes),
                Ok(Decoded::Done {
                    value: token,
                    used: 12
                })
            );
        }
        assert_eq!(&token.encode(), b"DOTO00abcdef");
    }

    #[test]
    fn what_strtoul_lets_pass_is_refused() {
        for digits in [
            b"0x000001",
            b" 0000001",
            b"+0000001",
            b"-0000001",
            b"0000001 ",
            b"0000000g",
            b"\t\n\x0b\x0c\r 01",
        ] {
            let bytes = [tag::DIST.as_slice(), digits].concat();
            assert_eq!(
                Token::decode(&bytes),
                Err(ProtocolError::NotHex {
                    tag: tag::DIST,
                    digits: *digits
                })
            );
        }
    }

    #[test]
    fn only_a_length_that_fits_has_a_head() {
        assert_eq!(head(&tag::DOTI, 0xffff_ffff).as_ref(), Ok(b"DOTIffffffff"));
        assert_eq!(
            head(&tag::DOTI, 1 << 32),
            Err(ProtocolError::TooLong {
                tag: tag::DOTI,
                len: 1 << 32
            })
        );
    }

    #[test]
    fn every_byte_in_every_place_is_a_digit_or_an_error() {
        for place in 4..12 {
            for byte in 0..=255u8 {
                let mut bytes = *b"STAT00000000";
                bytes[place] = byte;
                assert_eq!(
                    Token::decode(&bytes).is_ok(),
                    byte.is_ascii_hexdigit(),
                    "{place} {byte}"
                );
            }
        }
    }
}
