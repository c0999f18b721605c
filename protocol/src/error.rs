//! What can be wrong with a conversation.

use crate::{Version, limits::Limit, lzo, status::WaitStatus};

/// Why bytes are no request, outcome or include-server talk, or why one could not be put into bytes.
///
/// Depends on the bytes alone, not on how they were cut into reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Another token than the ones that may stand here.
    #[error("expected {expected}, got \"{}\"", came.escape_ascii())]
    Unexpected {
        expected: &'static str,
        came: [u8; 4],
    },
    /// The eight characters after a tag are not `[0-9A-Fa-f]`.
    #[error("\"{}\" after {} is not a number of eight hex digits", digits.escape_ascii(), tag.escape_ascii())]
    NotHex { tag: [u8; 4], digits: [u8; 8] },
    /// `DIST` with a number that is no version.
    #[error("protocol version {0} is not known")]
    UnknownVersion(u32),
    /// `DONE` with another version than the one that was asked for.
    #[error("asked in protocol version {}, answered in {answered}", asked.number())]
    VersionMismatch { asked: Version, answered: u32 },
    /// A length or a count that goes past what we take.
    #[error("{came} is more than the {allowed} that are allowed: {limit}")]
    OverLimit {
        limit: Limit,
        allowed: u64,
        came: u64,
    },
    /// `ARGC` is 0, so there is no compiler to call.
    #[error("the command has no words")]
    NoCommand,
    /// A word, directory or file name with a NUL in it, which no system call could take.
    #[error("a NUL byte in {}", tag.escape_ascii())]
    NulByte { tag: [u8; 4] },
    /// `DOTO` holds something although `STAT` tells of a failure.
    #[error("an object of {len} bytes comes with the status {:#x} of a failed compile", status.0)]
    ObjectOfFailure { status: WaitStatus, len: u32 },
    #[error("a compressed body is damaged")]
    Lzo(#[from] lzo::Error),
    /// The peer stopped sending before the end.
    #[error("the peer stopped {during}")]
    Truncated { during: During },
    /// A body of 4 GiB or more, whose length does not fit its head.
    #[error("{len} bytes are too long for {}", tag.escape_ascii())]
    TooLong { tag: [u8; 4], len: usize },
    /// A value of ours that the version it names has no place for.
    #[error("cannot be sent: {0}")]
    Unsendable(&'static str),
}

/// Where in a conversation the bytes stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// `got` of the twelve bytes of a head had come.
    Head { expected: &'static str, got: usize },
    /// `got` of the `len` bytes of a body had come.
    Body {
        tag: [u8; 4],
        got: usize,
        len: usize,
    },
    /// Nothing was missing.
    End,
}

impl std::fmt::Display for During {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            During::Head { expected, got: 0 } => write!(f, "before {expected}"),
            During::Head { expected, got } => {
                write!(f, "after {got} of the 12 bytes of {expected}")
            }
            During::Body { tag, got, len } => {
                write!(
                    f,
                    "after {got} of the {len} bytes of {}",
                    tag.escape_ascii()
                )
            }
            During::End => write!(f, "after the end"),
        }
    }
}
