//! LZO1X, the compression of protocol versions 2 and 3: one raw block, without header, length or checksum.
//!
//! A block is a row of instructions.  Each copies bytes that were written before (a *match*: `length` bytes from
//! `distance` bytes back, which may overlap what it writes) or takes bytes out of the block itself (*literals*).
//! The first byte tells which, by its high bits; what a byte below 16 means depends on what came before it:
//!
//! | first byte | bytes | meaning |
//! |---|---|---|
//! | `0000llll` | 1 + … | after a match without literals, or first: `3 + l` literals; `l` = 0: `18 + more` |
//! | `0000ddss` | 2, `h` | after 1 to 3 literals: match of 2, distance `1 + (h << 2) + d` |
//! | `0000ddss` | 2, `h` | after 4 literals or more: match of 3, distance `2049 + (h << 2) + d` |
//! | `0001dlll` | 3 + … | match of `2 + l` (0: `9 + more`), distance `16384 + (d << 14) + w`; 16384 itself: the end |
//! | `001lllll` | 3 + … | match of `2 + l` (0: `33 + more`), distance `1 + w` |
//! | `LLLdddss` | 2, `h` | match of `L + 1` (`L` is 2 to 7), distance `1 + (h << 3) + d` |
//!
//! `more` is written in bytes of its own right after the first: each `00` counts 255, the first other byte counts
//! itself and ends it.  `w` stands in the upper 14 bits of a little-endian pair of bytes, whose lower two bits are `ss`.
//! `ss` literals follow the match at once, without an instruction.
//!
//! A block may open with one literal run in another form: a first byte `17 + n`, from 18 to 255, then `n` literals.
//! A block ends with `11 00 00`, a match of the fourth kind with distance 16384.  It must be there, and the last.
//!
//! Source: published descriptions of the bit stream, and experiments with liblzo2 as a program.  Shares no code with any
//! other implementation.

mod decode;
mod encode;

pub use decode::decompress;
pub use encode::{Compressor, compress};

/// What every block ends with.
const END: [u8; 3] = [0x11, 0, 0];

/// Why a block cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the block ends before its end mark")]
    Truncated,
    #[error("a match reaches back before the start")]
    BadDistance,
    #[error("the content is longer than the {max} bytes that are allowed")]
    TooLarge { max: usize },
    #[error("bytes follow the end mark")]
    TrailingData,
}
