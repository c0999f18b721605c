//! The handshake: Noise_NKpsk2_25519_ChaChaPoly_BLAKE2s, one message each way.
//!
//! The opening names the client's secret, encrypted for the daemon's static key, because the secret is mixed in only with the
//! answer and a daemon has many.  An opening can be recorded and sent again: the answer to it is of use only to who made it, and
//! a daemon takes nothing for the client's before a first record has come that opens.

use snow::{Builder, HandshakeState};
use thiserror::Error;

use crate::record::Session;
use crate::secret::{ClientKey, DaemonKeys, ID_LEN, Label};

/// What every opening begins with.  No request does: those begin with `DIST`.
pub const MAGIC: [u8; 4] = *b"KEY1";
/// Magic, ephemeral key, encrypted key id, tag.
pub const OPENING_LEN: usize = MAGIC.len() + 32 + ID_LEN + 16;
/// Ephemeral key, tag of the empty payload.
pub const ANSWER_LEN: usize = 32 + 16;

const PATTERN: &str = "Noise_NKpsk2_25519_ChaChaPoly_BLAKE2s";
/// Mixed into the handshake: both mean this protocol in this version.
const PROLOGUE: &[u8] = b"distcc-launch KEY1";
/// Where NKpsk2 mixes the secret in: after the second message's tokens.
const PSK_PLACE: usize = 2;

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// To a daemon: somebody without keys.
    #[error("the first bytes are no opening with a key")]
    Plain,
    /// To a daemon: made for another daemon's key, or damaged.
    #[error("the opening was made for another daemon's key")]
    OtherDaemon,
    /// To a daemon.
    #[error("the opening names a key that is not in the list")]
    UnknownKey,
    /// To a client: not from a daemon that has both the pinned key and this client's secret.
    #[error("the answer does not come from the daemon that the key file names")]
    Impostor,
    #[error("the system gives no random bytes")]
    NoChance,
}

fn builder() -> Builder<'static> {
    let params = PATTERN.parse().expect("the pattern is Noise's");
    Builder::new(params)
        .prologue(PROLOGUE)
        .expect("a prologue is set once")
}

/// A client that has sent its opening.
pub struct Initiator(HandshakeState);

impl Initiator {
    /// Begins a conversation: the opening is to be sent as it is.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(key: &ClientKey) -> Result<(Initiator, [u8; OPENING_LEN]), Refused> {
        let mut state = builder()
            .remote_public_key(&key.daemon.0)
            .and_then(|builder| builder.psk(PSK_PLACE as u8, &key.secret.0))
            .and_then(Builder::build_initiator)
            .map_err(|_| Refused::NoChance)?;
        let mut opening = [0; OPENING_LEN];
        opening[..MAGIC.len()].copy_from_slice(&MAGIC);
        let id = key.secret.id();
        let written = state
            .write_message(&id, &mut opening[MAGIC.len()..])
            .map_err(|_| Refused::NoChance)?;
        debug_assert_eq!(written, OPENING_LEN - MAGIC.len());
        Ok((Initiator(state), opening))
    }

    /// Takes the daemon's answer.
    ///
    /// # Errors
    /// [`Refused::Impostor`]: it has not the pinned key, or not this client's secret, or somebody changed a byte on the way.
    pub fn finish(mut self, answer: &[u8; ANSWER_LEN]) -> Result<Session, Refused> {
        let mut nothing = [0; 16];
        match self.0.read_message(answer, &mut nothing) {
            Ok(0) => Session::new(self.0).ok_or(Refused::Impostor),
            _ => Err(Refused::Impostor),
        }
    }
}

impl DaemonKeys {
    /// Answers an opening.  The session and the answer, to be sent as it is, and whose key it was: who he says he is, until the
    /// first record of his has been opened.
    ///
    /// # Errors
    /// Whoever it is gets no word.
    pub fn answer(
        &self,
        opening: &[u8; OPENING_LEN],
    ) -> Result<(Session, [u8; ANSWER_LEN], &Label), Refused> {
        let Some(message) = opening.strip_prefix(&MAGIC) else {
            return Err(Refused::Plain);
        };
        let mut state = builder()
            .local_private_key(&self.private.0[..])
            .and_then(Builder::build_responder)
            .map_err(|_| Refused::NoChance)?;
        let mut id = [0; ID_LEN + 16];
        let length = state
            .read_message(message, &mut id)
            .map_err(|_| Refused::OtherDaemon)?;
        let client = self
            .client(id.get(..length).unwrap_or_default())
            .ok_or(Refused::UnknownKey)?;
        let mut answer = [0; ANSWER_LEN];
        state
            .set_psk(PSK_PLACE, &client.secret.0[..])
            .and_then(|()| state.write_message(&[], &mut answer))
            .map_err(|_| Refused::NoChance)?;
        let session = Session::new(state).ok_or(Refused::NoChance)?;
        Ok((session, answer, &client.label))
    }
}

/// Takes in an opening as it comes, and no byte more.
#[derive(Debug)]
pub struct OpeningReader {
    bytes: [u8; OPENING_LEN],
    filled: usize,
}

impl Default for OpeningReader {
    fn default() -> OpeningReader {
        OpeningReader {
            bytes: [0; OPENING_LEN],
            filled: 0,
        }
    }
}

impl OpeningReader {
    /// Where the next bytes go.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// Has anything come?
    pub fn started(&self) -> bool {
        self.filled > 0
    }

    /// `count` bytes went into [`OpeningReader::space`].  Gives the opening when it is whole.
    ///
    /// # Errors
    /// [`Refused::Plain`] with the first byte that says so.
    pub fn filled(&mut self, count: usize) -> Result<Option<&[u8; OPENING_LEN]>, Refused> {
        self.filled = (self.filled + count).min(OPENING_LEN);
        let begun = self.filled.min(MAGIC.len());
        if self.bytes[..begun] != MAGIC[..begun] {
            return Err(Refused::Plain);
        }
        Ok((self.filled == OPENING_LEN).then_some(&self.bytes))
    }
}

#[cfg(test)]
mod tests;
