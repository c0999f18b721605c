//! Strings of any bytes, as the journal spells them.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStringExt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// A string of any bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) OsString);

impl Text {
    /// As it is shown to people.
    pub(crate) fn shown(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }

    /// The code that it is, if it is one.
    pub(crate) fn code(&self) -> &str {
        self.0.to_str().unwrap_or("unknown")
    }
}

impl AsRef<OsStr> for Text {
    fn as_ref(&self) -> &OsStr {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    /// As bytes: the escapes U+DC80 to U+DCFF are no characters to serde.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.into()))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(OsString::from_vec(unescaped(bytes))))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

/// Surrogates, which arrive spelled as if they were characters, as the bytes that they stand for.
fn unescaped(mut bytes: &[u8]) -> Vec<u8> {
    let mut found = Vec::with_capacity(bytes.len());
    while let Some((first, rest)) = bytes.split_first() {
        if let [0xed, high @ 0xb2..=0xb3, low @ 0x80..=0xbf, rest @ ..] = bytes {
            found.push(((high & 3) << 6) | (low & 0x3f));
            bytes = rest;
        } else {
            found.push(*first);
            bytes = rest;
        }
    }
    found
}
