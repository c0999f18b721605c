//! Files and streams as they stand on the wire.

use std::borrow::Cow;

use crate::{ProtocolError, Version, lzo};

/// How a version writes its bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As they are.
    Plain,
    /// One LZO1X block, without header or length; nothing at all for an empty body.
    Lzo,
}

/// The bytes of a file or stream in the form that goes over the wire, so that who only passes them on need not
/// unpack them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Plain(Vec<u8>),
    /// One LZO1X block, or nothing.
    Lzo(Vec<u8>),
}

impl Body {
    /// Puts `content` into the form of `version`.  Plain bytes are moved; empty content stays empty, which stock
    /// demands for a status of success without an object.
    pub fn pack(version: Version, content: Vec<u8>) -> Body {
        match version.coding() {
            Coding::Plain => Body::Plain(content),
            Coding::Lzo => Body::pack_slice(version, &content),
        }
    }

    /// The same for content that somebody else keeps.
    pub fn pack_slice(version: Version, content: &[u8]) -> Body {
        match version.coding() {
            Coding::Plain => Body::Plain(content.to_vec()),
            Coding::Lzo if content.is_empty() => Body::Lzo(Vec::new()),
            Coding::Lzo => {
                let mut block = Vec::new();
                lzo::compress(content, &mut block);
                Body::Lzo(block)
            }
        }
    }

    /// Nothing, in the form of `version`.
    pub fn empty(version: Version) -> Body {
        Body::received(version.coding(), Vec::new())
    }

    /// Bytes that came over the wire.
    pub fn received(coding: Coding, wire: Vec<u8>) -> Body {
        match coding {
            Coding::Plain => Body::Plain(wire),
            Coding::Lzo => Body::Lzo(wire),
        }
    }

    pub fn coding(&self) -> Coding {
        match self {
            Body::Plain(_) => Coding::Plain,
            Body::Lzo(_) => Coding::Lzo,
        }
    }

    /// What goes over the wire.
    pub fn wire(&self) -> &[u8] {
        match self {
            Body::Plain(bytes) | Body::Lzo(bytes) => bytes,
        }
    }

    /// Length of the content: exact when plain; a guess when compressed, since a block does not tell.
    pub fn len_unpacked_hint(&self) -> usize {
        match self {
            Body::Plain(bytes) => bytes.len(),
            Body::Lzo(block) => block.len().saturating_mul(4),
        }
    }

    /// The content, without taking the body apart.
    ///
    /// Fails as [`unpack`](Body::unpack) does.
    pub fn content(&self, max: usize) -> Result<Cow<'_, [u8]>, ProtocolError> {
        match self {
            Body::Plain(bytes) if bytes.len() > max => Err(lzo::Error::TooLarge { max }.into()),
            Body::Plain(bytes) => Ok(Cow::Borrowed(bytes)),
            Body::Lzo(block) if block.is_empty() => Ok(Cow::Borrowed(block)),
            Body::Lzo(block) => {
                let mut content = Vec::new();
                lzo::decompress(block, &mut content, max)?;
                Ok(Cow::Owned(content))
            }
        }
    }

    /// The content.  Plain bytes are moved.  A compressed body may have no bytes or be the block `11 00 00`; both mean
    /// an empty file.
    ///
    /// Fails when the block is damaged or holds more than `max` bytes.
    pub fn unpack(self, max: usize) -> Result<Vec<u8>, ProtocolError> {
        match self {
            Body::Plain(bytes) if bytes.len() <= max => Ok(bytes),
            body => body.content(max).map(Cow::into_owned),
        }
    }
}
