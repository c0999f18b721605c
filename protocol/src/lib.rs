//! The wire: what distcc's clients, daemons and include servers say to each other, as values and as bytes.
//!
//! Knows nothing of sockets, files, clocks or settings.  Every function is total: any bytes give a value or a
//! [`ProtocolError`], and no announced length makes memory grow ahead of the bytes that came.  The protocol is
//! described in `docs/protocol.md`.
//!
//! A caller owns the reads and hands over what came:
//!
//! ```
//! use protocol::{Limits, Outcome, OutcomeDecoder, Progress, Version};
//!
//! fn receive(peer: &mut impl std::io::Read) -> Result<Outcome, Box<dyn std::error::Error>> {
//!     let mut decoder = OutcomeDecoder::new(Version::Plain, Limits::for_launcher());
//!     loop {
//!         match peer.read(decoder.space())? {
//!             0 => return Err(decoder.eof().into()),
//!             n if decoder.filled(n)? == Progress::Done => return Ok(decoder.finish()?),
//!             _ => {}
//!         }
//!     }
//! }
//!
//! let mut peer = b"DONE00000001STAT00000100SERR00000002noSOUT00000000DOTO00000000".as_slice();
//! let outcome = receive(&mut peer).unwrap();
//! assert_eq!(outcome.status.exit_code(), Some(1));
//! assert_eq!(outcome.stderr.unpack(100).unwrap(), b"no");
//! ```

#![forbid(unsafe_code)]

pub mod body;
pub mod closure_talk;
mod error;
pub mod hello;
pub mod include_talk;
mod intake;
pub mod limits;
pub mod lzo;
pub mod outcome;
pub mod request;
mod status;
mod system_files;
pub mod token;
mod version;
mod words;
pub mod zeroconf;

pub use body::{Body, Coding};
pub use error::{During, ProtocolError};
pub use hello::{Hello, HelloDecoder, Opening, OpeningDecoder};
pub use intake::Progress;
pub use limits::{Limit, Limits};
pub use outcome::{Outcome, OutcomeDecoder};
pub use request::{Content, Entry, Request, RequestDecoder, RequestHead, Source};
pub use status::WaitStatus;
pub use system_files::{ABSENT, Digest, PRESENT, SystemFiles, digest};
pub use token::{Decoded, Token};
pub use version::Version;
