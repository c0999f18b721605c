//! Keys: who may talk to a daemon, and how nobody else can listen or change a byte.
//!
//! ```text
//! client                                    daemon
//!   opening  "KEY1" e, es, key id      ──▶    whose key? strangers are closed without a word
//!   session  ◀──────────  answer       e, ee, psk       knows the daemon's key and the client's
//!   records  ◀─────────────────────────────▶ records    the unchanged protocol inside
//! ```
//!
//! The handshake is Noise_NKpsk2_25519_ChaChaPoly_BLAKE2s.  The client pins the daemon's static key (NK); both know the
//! client's secret (psk).  Nothing of the client's goes out before the daemon has proved that it knows both; nothing that came
//! counts before the client has, by its first record.  `docs/protocol.md`, section "Keys", gives every byte.
//!
//! Knows nothing of sockets, clocks, jobs or requests: bytes come in, bytes go out.  Only [`file::read_secret`] opens a file,
//! since its mode is part of what makes it a key, and only [`ClientKey::generate`] and the handshake ask the system for chance.

pub mod file;
pub mod handshake;
pub mod record;
mod secret;

pub use file::{KeyFileError, read_secret};
pub use handshake::{ANSWER_LEN, Initiator, MAGIC, OPENING_LEN, OpeningReader, Refused};
pub use record::{Opener, RecordError, Sealer, Session};
pub use secret::{ClientKey, DaemonKeys, Label, PublicKey};
