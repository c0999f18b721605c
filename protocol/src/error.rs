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
    #[error("{came} {limit}, where {allowed} are allowed")]
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
    /// The list of a tree job's system headers stops within a record, or has a nameless one.
    #[error("a list of system headers that is none")]
    SystemFiles,
    /// A hello without the line in which its sender names itself.
    #[error("a hello that does not say whose it is")]
    Nameless,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_was_wrong_and_where() {
        let head = During::Head {
            expected: "DOTI",
            got: 0,
        };
        let body = During::Body {
            tag: *b"DOTO",
            got: 7,
            len: 90,
        };
        let cases = [
            (
                ProtocolError::Unexpected {
                    expected: "FILE or LINK",
                    came: *b"\x16\x03GE",
                },
                "expected FILE or LINK, got \"\\x16\\x03GE\"",
            ),
            (
                ProtocolError::OverLimit {
                    limit: Limit::Args,
                    allowed: 65536,
                    came: 65537,
                },
                "65537 words of a command, where 65536 are allowed",
            ),
            (
                ProtocolError::Truncated { during: head },
                "the peer stopped before DOTI",
            ),
            (
                ProtocolError::Truncated { during: body },
                "the peer stopped after 7 of the 90 bytes of DOTO",
            ),
            (
                ProtocolError::ObjectOfFailure {
                    status: WaitStatus::exited(1),
                    len: 3,
                },
                "an object of 3 bytes comes with the status 0x100 of a failed compile",
            ),
        ];
        for (error, message) in cases {
            assert_eq!(error.to_string(), message);
        }
    }
}
