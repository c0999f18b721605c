//! A conversation with a daemon that has proved who it is, and that nobody else can follow or change.
//!
//! Wraps the stream of a host with `,key`: whoever sends and receives over [`Link`](crate::wire::Link) does not notice.  What is
//! in the bytes, and which host it is, is not known here.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use hosts::KeyFile;
use keys::{ANSWER_LEN, ClientKey, Initiator, KeyFileError, RecordError, Refused, Session};

/// The longest wait for a daemon to prove who it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sealed bytes that are handed over in one piece.
const PIECE: usize = 256 << 10;

/// Why a host with a key cannot be talked with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error(transparent)]
    File(#[from] KeyFileError),
    #[error("neither DISTCC_DIR nor HOME says where the key file is")]
    NoFolder,
    #[error(
        "it closed the connection: it knows no keys or not this one, or there were too many wrong ones"
    )]
    Closed,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("only TCP hosts have keys")]
    OnlyTcp,
}

impl KeyError {
    /// The stable code that the journal holds.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            KeyError::File(_) | KeyError::NoFolder | KeyError::OnlyTcp => "key-file",
            KeyError::Closed => "key-refused",
            KeyError::Refused(Refused::NoChance) => "key-failed",
            KeyError::Refused(_) => "key-other-daemon",
            KeyError::Io(error) if error.kind() == io::ErrorKind::TimedOut => "key-timeout",
            KeyError::Io(_) => "key-failed",
        }
    }
}

/// Reads the key for a host.  `folder` is `$DISTCC_DIR`.
///
/// # Errors
/// There is none, or others could read it, or it is none.
pub(crate) fn read(file: &KeyFile, folder: Option<&Path>) -> Result<ClientKey, KeyError> {
    let folder = folder.ok_or(KeyError::NoFolder)?;
    Ok(ClientKey::read(&file.path(folder))?)
}

/// Both directions of an open conversation.
#[derive(Debug)]
pub(crate) struct Keyed {
    session: Session,
    /// Sealed, not sent yet.  Empty between two writes.
    out: Vec<u8>,
}

impl Keyed {
    /// Shakes hands over a fresh connection.  Leaves its read timeout changed.
    ///
    /// # Errors
    /// The daemon does not answer, or is not the one that `key` names.
    pub(crate) fn open(
        stream: &mut TcpStream,
        key: &ClientKey,
        io_timeout: Duration,
    ) -> Result<Keyed, KeyError> {
        let deadline = Instant::now() + PATIENCE.min(io_timeout);
        let (initiator, opening) = Initiator::new(key)?;
        stream.write_all(&opening).map_err(closed)?;
        let mut answer = [0; ANSWER_LEN];
        let mut filled = 0;
        while filled < ANSWER_LEN {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(KeyError::Io(io::ErrorKind::TimedOut.into()));
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut answer[filled..]) {
                Ok(0) => return Err(KeyError::Closed),
                Ok(count) => filled += count,
                // The deadline tells.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(closed(error)),
            }
        }
        Ok(Keyed {
            session: initiator.finish(&answer)?,
            out: Vec::new(),
        })
    }

    /// Sends all of `parts`.  Gives their bytes.
    pub(crate) fn write(&mut self, stream: &mut impl Write, parts: &[&[u8]]) -> io::Result<u64> {
        let mut written = 0;
        for piece in parts.iter().flat_map(|part| part.chunks(PIECE)) {
            let sealed = self.session.sealer.seal(piece, &mut self.out);
            sealed.map_err(io::Error::other)?;
            written += piece.len() as u64;
            if self.out.len() >= PIECE {
                self.hand_over(stream)?;
            }
        }
        self.hand_over(stream)?;
        Ok(written)
    }

    fn hand_over(&mut self, stream: &mut impl Write) -> io::Result<()> {
        let sent = stream.write_all(&self.out);
        self.out.clear();
        sent
    }

    /// Reads as [`Read::read`] does.  0 is an end that the daemon has sealed.
    ///
    /// # Errors
    /// Also [`io::ErrorKind::InvalidData`] for what the daemon did not send, and [`io::ErrorKind::UnexpectedEof`] for a
    /// connection that was cut.
    pub(crate) fn read(&mut self, stream: &mut impl Read, space: &mut [u8]) -> io::Result<usize> {
        let opener = &mut self.session.opener;
        loop {
            let count = opener.take(space).map_err(broken)?;
            if count > 0 || opener.ended() {
                return Ok(count);
            }
            match stream.read(opener.space())? {
                0 => opener.eof().map_err(broken)?,
                count => opener.filled(count),
            }
        }
    }
}

fn broken(error: RecordError) -> io::Error {
    let kind = match error {
        RecordError::Cut => io::ErrorKind::UnexpectedEof,
        RecordError::Forged | RecordError::TooMany => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

/// A daemon that closes while our opening is on its way does not want it.
fn closed(error: io::Error) -> KeyError {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => KeyError::Closed,
        _ => KeyError::Io(error),
    }
}
