//! A conversation with a daemon that has proved who it is, and that nobody else can follow or change.
//!
//! Wraps the stream of a host with `,key`: whoever sends and receives over [`Link`](crate::wire::Link) does not notice.  What is
//! in the bytes, and which host it is, is not known here.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use hosts::KeyFile;
use keys::{ANSWER_LEN, ClientKey, Initiator, KeyFileError, RecordError, Refused, Session};

/// The longest wait for a daemon to prove who it is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

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

/// A handshake that waits for the daemon's answer.
pub(crate) struct Handshake {
    /// There until the answer is.
    initiator: Option<Initiator>,
    answer: [u8; ANSWER_LEN],
    filled: usize,
}

impl Handshake {
    /// Opens the conversation over a fresh connection.
    ///
    /// # Errors
    /// The opening cannot be sent.
    pub(crate) fn begin(stream: &mut impl Write, key: &ClientKey) -> Result<Handshake, KeyError> {
        let (initiator, opening) = Initiator::new(key)?;
        // Less than any fresh connection takes.
        stream.write_all(&opening).map_err(closed)?;
        Ok(Handshake {
            initiator: Some(initiator),
            answer: [0; ANSWER_LEN],
            filled: 0,
        })
    }

    /// Reads what is there; the conversation, once the answer is whole.
    ///
    /// # Errors
    /// The daemon does not answer, or is not the one that the key names.
    pub(crate) fn advance(&mut self, stream: &mut impl Read) -> Result<Option<Keyed>, KeyError> {
        while self.filled < ANSWER_LEN {
            match stream.read(&mut self.answer[self.filled..]) {
                Ok(0) => return Err(KeyError::Closed),
                Ok(count) => self.filled += count,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(closed(error)),
                },
            }
        }
        let Some(initiator) = self.initiator.take() else {
            return Ok(None);
        };
        Ok(Some(Keyed {
            session: initiator.finish(&self.answer)?,
            out: Vec::new(),
            gone: 0,
        }))
    }
}

/// Both directions of an open conversation.
#[derive(Debug)]
pub(crate) struct Keyed {
    session: Session,
    /// Sealed, and as much of it sent as `gone` says.
    out: Vec<u8>,
    gone: usize,
}

impl Keyed {
    /// Seals `piece`, to be sent by [`Keyed::write`].
    pub(crate) fn seal(&mut self, piece: &[u8]) -> io::Result<()> {
        let sealed = self.session.sealer.seal(piece, &mut self.out);
        sealed.map_err(io::Error::other)
    }

    /// Sealed bytes that are not sent yet.
    pub(crate) fn unsent(&self) -> usize {
        self.out.len() - self.gone
    }

    /// One write of what is sealed.
    pub(crate) fn write(&mut self, stream: &mut impl Write) -> io::Result<()> {
        self.gone += stream.write(&self.out[self.gone..])?;
        if self.gone == self.out.len() {
            self.out.clear();
            self.gone = 0;
        }
        Ok(())
    }

    /// Reads as [`Read::read`] does.  0 is an end that the daemon has sealed.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] once all that has come is read; also [`io::ErrorKind::InvalidData`] for what the daemon did not send, and [`io::ErrorKind::UnexpectedEof`] for a
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
