//! The journal as other programs read it.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// One line: one command.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    pub cwd: Text,
    pub command: Vec<Text>,
    /// "remote" or "local".
    pub place: String,
    pub host: Option<String>,
    pub mode: Option<String>,
    /// A kebab-case code when local.
    pub reason: Option<String>,
    pub fell_back: bool,
    /// Why a job that might have gone in pump mode did not.
    pub not_pumped: Option<String>,
    pub attempts: Vec<Attempt>,
    pub status: Option<i32>,
    pub wall_ms: Option<f64>,
    pub cpu_ms: Option<f64>,
    pub queue_ms: Option<f64>,
    pub sent: Option<u64>,
    pub received: Option<u64>,
}

/// One try on one host.
#[derive(Debug, Clone, Deserialize)]
pub struct Attempt {
    pub host: String,
    pub ms: f64,
    pub error: Option<String>,
    /// Was it made beside another that was still under way?
    pub hedge: bool,
}

/// A string of any bytes.  Those that are no UTF-8 come as the escapes U+DC80 to U+DCFF, which a reader has to ask for as
/// bytes: as strings they are no valid JSON to serde.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub OsString);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(OsStr::new(text).to_owned()))
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
    let mut found = Vec::new();
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

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The rows of the journal at `path`; none when there is no file.
pub fn read_journal(path: &Path) -> Vec<Row> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Vec::new();
    };
    text.lines()
        .map(|line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("a journal line is broken ({error}): {line}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        for byte in 0x80..=0xff_u8 {
            let line = format!("\"a\\udc{byte:02x}z\"");
            let text: Text = serde_json::from_str(&line).unwrap();
            assert_eq!(text.as_ref(), [b'a', byte, b'z']);
        }
        let text: Text = serde_json::from_str("\"gr\u{fc}n\\n\"").unwrap();
        assert_eq!(text.as_ref(), "gr\u{fc}n\n".as_bytes());
    }
}
