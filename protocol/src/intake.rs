//! Heads and bodies out of reads of any size: what the decoders of both roles share.
//!
//! Knows the shape *token, then perhaps a body*, and nothing of which token means what: that is a [`Script`].
//!
//! Each byte is met once.  While heads are read, the caller reads into a small scratch; while a body is read, straight
//! into that body's own buffer.  Such a buffer grows to at most twice what has come, so a peer that announces much
//! and sends little costs little.

use crate::{Decoded, During, ProtocolError, Token, limits::Limit};

/// Bytes of the buffer that heads are read into; most requests' words fit.
const SCRATCH: usize = 4 << 10;

/// What it grows to when more than twice its bytes have come and heads still follow: many small bodies, which then come several in one
/// read.
const LARGE_SCRATCH: usize = 32 << 10;

/// What a body's buffer has before any byte of it has come.  Also its smallest step.
const FIRST_STEP: usize = 64 << 10;

/// Whether a decoder wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    More,
    /// All is there: call `finish`.
    Done,
}

/// What follows a head.
pub(crate) enum Next {
    /// Another head, or the end.
    Head,
    /// A body of this many bytes.
    Body(u32),
}

/// The order of one role's tokens.
pub(crate) trait Script {
    /// The tags that may come next, and how to name them; `None` at the end.
    fn expected(&self) -> Option<Expected>;
    /// Takes a head with one of the expected tags.
    fn head(&mut self, token: Token) -> Result<Next, ProtocolError>;
    /// Takes the body that the last head announced.
    fn body(&mut self, tag: [u8; 4], bytes: Vec<u8>) -> Result<(), ProtocolError>;
}

/// Which tags may stand at a place.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) tags: &'static [[u8; 4]],
    pub(crate) name: &'static str,
}

/// A body that is being received.
struct Blob {
    tag: [u8; 4],
    /// All of these may be written; the first `got` have been.
    bytes: Vec<u8>,
    got: usize,
    len: usize,
    /// Bytes that came before these and were taken out.
    spilled: usize,
}

impl Blob {
    /// Makes room for bytes to come, at most as many as have come already (or the first step).
    fn grow(&mut self) {
        if self.got == self.bytes.len() {
            let target = (2 * self.got).max(FIRST_STEP).min(self.len);
            self.bytes.reserve_exact(target - self.got);
            self.bytes.resize(target, 0);
        }
    }

    fn missing(&self) -> usize {
        self.len - self.got
    }
}

pub(crate) struct Intake<S> {
    pub(crate) script: S,
    /// Empty until something is read.
    scratch: Box<[u8]>,
    /// `scratch[start..end]` has come and was not used yet.
    start: usize,
    end: usize,
    blob: Option<Blob>,
    received: u64,
    trailing: u64,
    broken: Option<ProtocolError>,
}

impl<S: Script> Intake<S> {
    pub(crate) fn new(script: S) -> Intake<S> {
        Intake {
            script,
            scratch: Box::default(),
            start: 0,
            end: 0,
            blob: None,
            received: 0,
            trailing: 0,
            broken: None,
        }
    }

    /// Where the next bytes belong; never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        match &mut self.blob {
            Some(blob) => {
                blob.grow();
                &mut blob.bytes[blob.got..]
            }
            None => {
                if self.scratch.is_empty() {
                    self.scratch = vec![0; SCRATCH].into_boxed_slice();
                }
                if self.received > 2 * SCRATCH as u64 && self.scratch.len() < LARGE_SCRATCH {
                    let mut larger = vec![0; LARGE_SCRATCH].into_boxed_slice();
                    larger[..self.end].copy_from_slice(&self.scratch[..self.end]);
                    self.scratch = larger;
                }
                &mut self.scratch[self.end..]
            }
        }
    }

    /// Goes on with the `n` bytes that the caller has written at the start of `space`.
    pub(crate) fn filled(&mut self, n: usize) -> Result<Progress, ProtocolError> {
        assert!(
            n <= self.space().len(),
            "more bytes than there was space for"
        );
        self.received += n as u64;
        match &mut self.blob {
            Some(blob) => blob.got += n,
            None => self.end += n,
        }
        if let Some(error) = &self.broken {
            (self.start, self.end) = (0, 0);
            return Err(error.clone());
        }
        self.advance().inspect_err(|error| {
            self.broken = Some(error.clone());
            self.blob = None;
            (self.start, self.end) = (0, 0);
        })
    }

    fn advance(&mut self) -> Result<Progress, ProtocolError> {
        loop {
            if let Some(mut blob) = self.blob.take() {
                self.move_from_scratch(&mut blob);
                if blob.missing() > 0 {
                    self.blob = Some(blob);
                    return Ok(Progress::More);
                }
                self.script.body(blob.tag, blob.bytes)?;
            }
            let Some(expected) = self.script.expected() else {
                self.trailing += (self.end - self.start) as u64;
                (self.start, self.end) = (0, 0);
                return Ok(Progress::Done);
            };
            let Some(token) = self.next_token(expected)? else {
                return Ok(Progress::More);
            };
            if let Next::Body(len) = self.script.head(token)? {
                self.blob = Some(Blob {
                    tag: token.tag,
                    bytes: Vec::new(),
                    got: 0,
                    len: len as usize,
                    spilled: 0,
                });
            }
        }
    }

    /// The head at the start of the scratch, once it is whole.  A wrong tag is seen with its fourth byte.
    fn next_token(&mut self, expected: Expected) -> Result<Option<Token>, ProtocolError> {
        let unread = &self.scratch[self.start..self.end];
        if let Some(tag) = unread.first_chunk::<4>()
            && !expected.tags.contains(tag)
        {
            return Err(ProtocolError::Unexpected {
                expected: expected.name,
                came: *tag,
            });
        }
        match Token::decode(unread)? {
            Decoded::Done { value, used } => {
                self.start += used;
                Ok(Some(value))
            }
            Decoded::More => {
                self.scratch.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
                Ok(None)
            }
        }
    }

    /// Bytes that came in one read with a head and belong to the body after it.
    fn move_from_scratch(&mut self, blob: &mut Blob) {
        let n = blob.missing().min(self.end - self.start);
        if n > 0 {
            debug_assert_eq!(
                blob.got,
                blob.bytes.len(),
                "bytes are in the scratch only when the body is new"
            );
            blob.bytes
                .extend_from_slice(&self.scratch[self.start..self.start + n]);
            blob.got += n;
            self.start += n;
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// What it means that the peer stops here.
    pub(crate) fn eof(&self) -> ProtocolError {
        if let Some(error) = &self.broken {
            return error.clone();
        }
        let during = match (&self.blob, self.script.expected()) {
            (Some(blob), _) => During::Body {
                tag: blob.tag,
                got: blob.spilled + blob.got,
                len: blob.spilled + blob.len,
            },
            (None, Some(expected)) => During::Head {
                expected: expected.name,
                got: self.end - self.start,
            },
            (None, None) => During::End,
        };
        ProtocolError::Truncated { during }
    }

    /// The script, if it came to its end.
    pub(crate) fn finish(self) -> Result<S, ProtocolError> {
        match self.is_done() {
            true => Ok(self.script),
            false => Err(self.eof()),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.broken.is_none() && self.blob.is_none() && self.script.expected().is_none()
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that came after the end.
    pub(crate) fn trailing(&self) -> u64 {
        self.trailing
    }

    /// Puts all of `bytes` in and ends there.
    pub(crate) fn read_all(mut self, mut bytes: &[u8]) -> Result<S, ProtocolError> {
        loop {
            let space = self.space();
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            self.filled(n)?;
            if bytes.is_empty() {
                return self.finish();
            }
        }
    }

    /// Takes out what has come of the body of `tag`, if one is coming. It goes on as if it began with its next byte.
    pub(crate) fn spill(&mut self, tag: [u8; 4]) -> Option<Vec<u8>> {
        let blob = self.blob.as_mut().filter(|blob| blob.tag == tag)?;
        let mut bytes = std::mem::take(&mut blob.bytes);
        bytes.truncate(blob.got);
        blob.spilled += blob.got;
        blob.len -= blob.got;
        blob.got = 0;
        Some(bytes)
    }

    /// Bytes of memory held for the body that is coming.
    pub(crate) fn held(&self) -> usize {
        self.blob.as_ref().map_or(0, |blob| blob.bytes.capacity())
    }
}

/// Fails when `came` is more than `allowed`.
pub(crate) fn check(
    limit: Limit,
    allowed: impl Into<u64>,
    came: impl Into<u64>,
) -> Result<(), ProtocolError> {
    let (allowed, came) = (allowed.into(), came.into());
    if came > allowed {
        Err(ProtocolError::OverLimit {
            limit,
            allowed,
            came,
        })
    } else {
        Ok(())
    }
}

/// Fails when a word or name could not be handed to the system.
pub(crate) fn check_no_nul(tag: [u8; 4], bytes: &[u8]) -> Result<(), ProtocolError> {
    if bytes.contains(&0) {
        Err(ProtocolError::NulByte { tag })
    } else {
        Ok(())
    }
}

/// Adds `space`, `filled`, `eof` and what else both decoders offer in the same words.
macro_rules! decoder_methods {
    ($value:ty) => {
        /// Where to read the peer's next bytes into.  Never empty: a small scratch between bodies, within a body at
        /// most what is still missing of it.
        pub fn space(&mut self) -> &mut [u8] {
            self.intake.space()
        }

        /// Goes on with the `n` bytes that were read into the start of `space`; 0 changes nothing.  After an error every
        /// call gives the same error.
        ///
        /// Panics when `n` is more than `space` had.
        pub fn filled(&mut self, n: usize) -> Result<Progress, ProtocolError> {
            self.intake.filled(n)
        }

        /// What it means that the peer stops sending now; to be asked only before `Done`.
        pub fn eof(&self) -> ProtocolError {
            self.intake.eof()
        }

        /// Whether any byte has come.
        pub fn started(&self) -> bool {
            self.intake.received() > 0
        }

        /// Bytes that have come, trailing ones included.
        pub fn received(&self) -> u64 {
            self.intake.received()
        }

        /// Bytes of memory held for the body that is coming: at most twice what has come of it, or 64 KiB.
        pub fn held(&self) -> usize {
            self.intake.held()
        }

        /// Bytes that came after the end.  They are not kept.  A peer that sends them is broken, yet what came before
        /// them is whole.
        pub fn trailing(&self) -> u64 {
            self.intake.trailing()
        }

        /// The value, if `filled` has answered `Done`; else what is wrong or missing.
        pub fn finish(self) -> Result<$value, ProtocolError> {
            Ok(self.intake.finish()?.into_value())
        }

        /// Decodes what is all there already.  Bytes after the end are ignored.
        pub fn decode_all(self, bytes: &[u8]) -> Result<$value, ProtocolError> {
            Ok(self.intake.read_all(bytes)?.into_value())
        }
    };
}
pub(crate) use decoder_methods;
