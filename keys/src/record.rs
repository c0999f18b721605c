//! Records: how bytes travel once both sides know each other.
//!
//! ```text
//! record = length (2 bytes, big endian) + that many bytes: the sealed text and its tag of 16
//! ```
//!
//! Records are numbered from 0 in each direction, and the number is sealed in (it is the nonce): none can be left out, repeated
//! or moved.  A record without text ends the direction, so that an end is told from a cut: whoever closes without it, or has
//! the line cut, leaves [`RecordError::Cut`].  Keys are not renewed on the way, since each connection has its own and carries one
//! job; a direction of more than [`MAX_RECORDS`] records is refused long before the numbers run out.

use std::fmt;
use std::sync::Arc;

use snow::{HandshakeState, StatelessTransportState};
use thiserror::Error;

/// Bytes of a tag.
pub const TAG_LEN: usize = 16;
/// Bytes that say how long a record is.
pub const LENGTH_LEN: usize = 2;
/// Text in each record that we send: small, so that a connection needs little memory; more would hardly be faster.
pub const MAX_TEXT: usize = 16 << 10;
/// Records in one direction: 64 TiB as we send them.  (Noise itself would allow 2^64 - 1.)
pub const MAX_RECORDS: u64 = 1 << 32;
/// Bytes that are read at least at a time.
const LEAST_SPACE: usize = 4 << 10;

/// What is wrong with what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Changed on the way, moved, or made by somebody else.
    #[error("a record is not what the other side sent")]
    Forged,
    /// The connection ended without the other side's saying so.
    #[error("the connection was cut")]
    Cut,
    #[error("more than {MAX_RECORDS} records came or were to go by one connection")]
    TooMany,
}

/// Both directions of one connection.
#[derive(Debug)]
pub struct Session {
    pub sealer: Sealer,
    pub opener: Opener,
}

impl Session {
    /// `None` if the handshake is not over.
    pub(crate) fn new(state: HandshakeState) -> Option<Session> {
        let state = Arc::new(state.into_stateless_transport_mode().ok()?);
        Some(Session {
            sealer: Sealer {
                state: Arc::clone(&state),
                next: 0,
                ended: false,
            },
            opener: Opener {
                state,
                next: 0,
                raw: Vec::new(),
                from: 0,
                to: 0,
                text: Vec::new(),
                taken: 0,
                ended: false,
            },
        })
    }
}

/// Makes records of what goes out.
pub struct Sealer {
    state: Arc<StatelessTransportState>,
    next: u64,
    ended: bool,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sealer({} records)", self.next)
    }
}

impl Sealer {
    /// Appends `text` to `out`, as records.
    ///
    /// # Errors
    /// [`RecordError::TooMany`]; also after the end.
    pub fn seal(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
        text.chunks(MAX_TEXT)
            .try_for_each(|part| self.record(part, out))
    }

    /// Appends the end of this direction, once.
    ///
    /// # Errors
    /// [`RecordError::TooMany`]
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        if self.ended {
            return Ok(());
        }
        self.record(&[], out)?;
        self.ended = true;
        Ok(())
    }

    fn record(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
        if self.next >= MAX_RECORDS || self.ended {
            return Err(RecordError::TooMany);
        }
        let length = text.len() + TAG_LEN;
        let at = out.len() + LENGTH_LEN;
        let head = u16::try_from(length).map_err(|_| RecordError::TooMany)?;
        out.extend_from_slice(&head.to_be_bytes());
        out.resize(at + length, 0);
        self.state
            .write_message(self.next, text, &mut out[at..])
            .map_err(|_| RecordError::TooMany)?;
        self.next += 1;
        Ok(())
    }
}

/// Opens the records that come in.
pub struct Opener {
    state: Arc<StatelessTransportState>,
    next: u64,
    /// What came and is not opened yet: `raw[from..to]`.
    raw: Vec<u8>,
    from: usize,
    to: usize,
    /// The last record's text, of which `taken` bytes were taken.
    text: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl fmt::Debug for Opener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Opener({} records)", self.next)
    }
}

impl Opener {
    /// Where the next bytes off the line go; never empty.  Grows with what came, not with what was announced.
    pub fn space(&mut self) -> &mut [u8] {
        if self.from > 0 {
            self.raw.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        if self.raw.len() < self.to + LEAST_SPACE {
            self.raw.resize(self.to + LEAST_SPACE.max(self.to), 0);
        }
        &mut self.raw[self.to..]
    }

    /// `count` bytes went into [`Opener::space`].
    pub fn filled(&mut self, count: usize) {
        self.to = (self.to + count).min(self.raw.len());
    }

    /// Puts opened text into `out`.  0: nothing is there; more has to come in, unless the other side has ended.
    ///
    /// # Errors
    /// [`RecordError::Forged`], [`RecordError::TooMany`]: nothing more will come of this connection.
    pub fn take(&mut self, out: &mut [u8]) -> Result<usize, RecordError> {
        if self.taken == self.text.len() && !self.open_next()? {
            return Ok(0);
        }
        let count = out.len().min(self.text.len() - self.taken);
        out[..count].copy_from_slice(&self.text[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }

    /// Has the other side said that nothing more comes?  What comes after that is left unread.
    pub fn ended(&self) -> bool {
        self.ended && self.taken == self.text.len()
    }

    /// Has a record been opened?  The first one proves who the other side is.
    pub fn proven(&self) -> bool {
        self.next > 0
    }

    /// The line has ended.
    ///
    /// # Errors
    /// [`RecordError::Cut`] if the other side had not said so.
    pub fn eof(&self) -> Result<(), RecordError> {
        if self.ended {
            Ok(())
        } else {
            Err(RecordError::Cut)
        }
    }

    /// Opens the next record if it is here and has text.
    fn open_next(&mut self) -> Result<bool, RecordError> {
        if self.ended {
            return Ok(false);
        }
        let rest = &self.raw[self.from..self.to];
        let Some((head, rest)) = rest.split_first_chunk::<LENGTH_LEN>() else {
            return Ok(false);
        };
        let length = usize::from(u16::from_be_bytes(*head));
        // A record that is too short to be one is not waited for.
        let size = length.checked_sub(TAG_LEN).ok_or(RecordError::Forged)?;
        let Some(sealed) = rest.get(..length) else {
            return Ok(false);
        };
        if self.next >= MAX_RECORDS {
            return Err(RecordError::TooMany);
        }
        self.text.resize(size, 0);
        self.taken = size;
        let opened = self.state.read_message(self.next, sealed, &mut self.text);
        if opened != Ok(size) {
            self.text.clear();
            self.taken = 0;
            return Err(RecordError::Forged);
        }
        self.from += LENGTH_LEN + length;
        self.next += 1;
        self.taken = 0;
        self.ended = size == 0;
        Ok(size > 0)
    }
}

#[cfg(test)]
mod tests;
