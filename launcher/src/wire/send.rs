//! What is still to go out over a conversation, as far as the other end takes it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use protocol::Body;

use super::stream::Stream;
use crate::keyed::Keyed;

/// Bytes that are sealed at a time, and bytes of a file that are sent at a time where they have to be copied.
const PIECE: usize = 256 << 10;
/// Parts that one write takes.
const PARTS: usize = 4;

/// A part of a request.
#[derive(Debug)]
pub(crate) enum Part {
    Bytes(Vec<u8>),
    Body(Body),
    /// The first so many bytes of a file, as they are.
    File(File, u64),
}

impl Part {
    /// The bytes, unless they are in a file.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Part::Bytes(bytes) => Some(bytes),
            Part::Body(body) => Some(body.wire()),
            Part::File(..) => None,
        }
    }

    /// How many bytes it is.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Part::File(_, length) => *length,
            other => other.bytes().map_or(0, |bytes| bytes.len() as u64),
        }
    }
}

/// Parts that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    parts: VecDeque<Part>,
    /// How much of the first has gone.
    gone: u64,
}

impl Outgoing {
    pub(super) fn push(&mut self, part: Part) {
        if part.length() > 0 {
            self.parts.push_back(part);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// One write of what comes first; gives how much went.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] too: nothing is taken just now.
    pub(super) fn write(&mut self, stream: &mut Stream) -> io::Result<u64> {
        let Some(first) = self.parts.front() else {
            return Ok(0);
        };
        let count = match first {
            Part::File(file, len) => {
                let left = usize::try_from(len - self.gone).unwrap_or(usize::MAX);
                let mut at = self.gone;
                match rustix::fs::sendfile(stream.as_fd(), file, Some(&mut at), left)? {
                    // It has become shorter.
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => count,
                }
            }
            _ => {
                let mut slices = [IoSlice::new(&[]); PARTS];
                let mut skip = self.gone as usize;
                let bytes = self.parts.iter().map_while(Part::bytes);
                for (slice, bytes) in slices.iter_mut().zip(bytes) {
                    *slice = IoSlice::new(&bytes[skip..]);
                    skip = 0;
                }
                stream.write_vectored(&slices)?
            }
        };
        self.advance(count as u64);
        Ok(count as u64)
    }

    /// Seals a piece of what comes first; gives how much that was.
    pub(super) fn seal(&mut self, keyed: &mut Keyed) -> io::Result<u64> {
        let Some(first) = self.parts.front() else {
            return Ok(0);
        };
        let gone = self.gone;
        let count = usize::try_from(first.length() - gone).map_or(PIECE, |left| left.min(PIECE));
        match first {
            Part::File(file, _) => {
                let mut piece = vec![0; count];
                file.read_exact_at(&mut piece, gone)?;
                keyed.seal(&piece)?;
            }
            other => {
                let bytes = other.bytes().unwrap_or_default();
                let from = gone as usize;
                keyed.seal(&bytes[from..from + count])?;
            }
        }
        self.advance(count as u64);
        Ok(count as u64)
    }

    fn advance(&mut self, count: u64) {
        self.gone += count;
        while let Some(first) = self.parts.front()
            && self.gone >= first.length()
        {
            self.gone -= first.length();
            self.parts.pop_front();
        }
    }
}
