//! The wire: what distcc's clients, daemons and include servers say to each other, as values and as bytes.
//!
//! Knows nothing of sockets, files, clocks or settings.  Every function is total: any bytes give a value or a
//! [`ProtocolError`], and no announced length makes memory grow ahead of the bytes that came.  The protocol is
//! described in `docs/protocol.md`.

#![forbid(unsafe_code)]

pub mod body;
mod error;
pub mod include_talk;
mod intake;
pub mod limits;
pub mod lzo;
pub mod outcome;
pub mod request;
mod status;
pub mod token;
mod version;
mod words;

pub use body::{Body, Coding};
pub use error::{During, ProtocolError};
pub use intake::Progress;
pub use limits::{Limit, Limits};
pub use outcome::{Outcome, OutcomeDecoder};
pub use request::{Content, Entry, Request, RequestDecoder, RequestHead, Source};
pub use status::WaitStatus;
pub use token::{Decoded, Token};
pub use version::Version;
