//! LZO1X, the compression of protocol versions 2 and 3: one raw block, without header, length or checksum.
//!
//! Written from the description of the format in `docs/protocol.md`; shares no code with any other implementation.

mod decode;
mod encode;

pub use decode::decompress;
pub use encode::{Compressor, compress};

/// Why a block cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the block ends before its end mark")]
    Truncated,
    #[error("a copy reaches back before the start")]
    BadDistance,
    #[error("the content is longer than the {max} bytes that are allowed")]
    TooLarge { max: usize },
    #[error("bytes follow the end mark")]
    TrailingData,
}
