//! Requests: what a client asks of a daemon.
//!
//! ```text
//! 1, 2:    DIST      ARGC ARGV*  DOTI
//! 3:       DIST CDIR ARGC ARGV*  NFIL (NAME (FILE | LINK))*
//! launch:  DIST CDIR ARGC ARGV*  DOTI
//! tree:    DIST CDIR ARGC ARGV*  ENVI SYSD NFIL (NAME (FILE | LINK | FOLD))*
//! ```

mod decoder;

use std::borrow::Cow;

use crate::{
    Body, ProtocolError, Token, Version,
    intake::check_no_nul,
    token::{self, tag},
};

pub(crate) use decoder::Order;
pub use decoder::RequestDecoder;

/// One job, as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub version: Version,
    /// The client's working directory; always and only in version 3 and in jobs of ours.
    pub cwd: Option<Vec<u8>>,
    /// The compiler and its arguments; not empty.
    pub argv: Vec<Vec<u8>>,
    pub source: Source,
}

/// All of a request but its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    pub version: Version,
    pub cwd: Option<Vec<u8>>,
    pub argv: Vec<Vec<u8>>,
}

/// What is to be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Versions 1 and 2, and launch jobs, whose text keeps its directives.
    Preprocessed(Body),
    /// Version 3.
    Closure(Vec<Entry>),
    /// Tree jobs.
    Tree {
        /// `NAME=VALUE NUL` of each variable that the compile shall have.
        environment: Vec<u8>,
        /// What the client saw of headers that it did not send, as a [`SystemFiles`](crate::SystemFiles).
        system: Body,
        entries: Vec<Entry>,
    },
}

/// A file that the client's compiler would see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its absolute name at the client.  Checked for NUL only: `..` and the like are for the receiver to refuse.
    pub name: Vec<u8>,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    File(Body),
    /// A symbolic link's target.
    Link(Vec<u8>),
    /// A directory that must be there.  Only in tree jobs.
    Folder,
}

impl Entry {
    /// Appends the entry as it stands in a request of `version`.
    pub fn append_to(&self, bytes: &mut Vec<u8>, version: Version) -> Result<(), ProtocolError> {
        append_word(bytes, tag::NAME, &self.name)?;
        match &self.content {
            Content::File(body) => append_body(bytes, version, tag::FILE, body),
            Content::Link(target) => append_word(bytes, tag::LINK, target),
            Content::Folder if version == Version::Tree => {
                bytes.extend_from_slice(&token::head(&tag::FOLD, 0)?);
                Ok(())
            }
            Content::Folder => Err(ProtocolError::Unsendable("a directory in version 3")),
        }
    }
}

impl Request {
    /// The request's bytes.  Fails when a length does not fit, a word has a NUL, or parts do not belong to the version.
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        Ok(self.parts()?.concat())
    }

    /// The request's bytes in order, without copies of the bodies, for a vectored write.
    pub fn parts(&self) -> Result<Vec<Cow<'_, [u8]>>, ProtocolError> {
        let words = self.argv.iter().map(Vec::as_slice);
        let mut parts = vec![Cow::Owned(encode_head(
            self.version,
            self.cwd.as_deref(),
            words,
        )?)];
        match &self.source {
            Source::Preprocessed(body) if !self.version.has_closure() => {
                push_body(&mut parts, self.version, tag::DOTI, body)?;
            }
            Source::Closure(entries) if self.version == Version::Pump => {
                push_entries(&mut parts, self.version, entries)?;
            }
            Source::Tree {
                environment,
                system,
                entries,
            } if self.version == Version::Tree => {
                parts.push(Cow::Owned(encode_environment(environment)?));
                push_body(&mut parts, self.version, tag::SYSD, system)?;
                push_entries(&mut parts, self.version, entries)?;
            }
            _ => {
                return Err(ProtocolError::Unsendable(
                    "a source in another form than the version's",
                ));
            }
        }
        Ok(parts)
    }
}

/// The bytes of `DIST [CDIR] ARGC ARGV*`, which a client can send while its preprocessor is at work.
///
/// `cwd` must be there for version 3 and jobs of ours, and must not for 1 and 2.
pub fn encode_head<'a>(
    version: Version,
    cwd: Option<&[u8]>,
    argv: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, ProtocolError> {
    let mut bytes = Token {
        tag: tag::DIST,
        value: version.number(),
    }
    .encode()
    .to_vec();
    match cwd {
        Some(cwd) if version.has_cwd() => append_word(&mut bytes, tag::CDIR, cwd)?,
        None if !version.has_cwd() => {}
        _ => {
            return Err(ProtocolError::Unsendable(
                "a working directory belongs to version 3 and jobs of ours, and to no other",
            ));
        }
    }
    append_words(&mut bytes, argv, 1)?;
    Ok(bytes)
}

/// The bytes of `ENVI`, which in a tree job come behind the words and before what the include server made.
pub fn encode_environment(variables: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    Ok([&token::head(&tag::ENVI, variables.len())?[..], variables].concat())
}

/// Appends `ARGC ARGV*`, which must be `least` words or more.
pub(crate) fn append_words<'a>(
    bytes: &mut Vec<u8>,
    words: impl Iterator<Item = &'a [u8]>,
    least: usize,
) -> Result<(), ProtocolError> {
    let at = bytes.len();
    bytes.extend_from_slice(&[0; Token::LEN]);
    let mut count = 0;
    for word in words {
        append_word(bytes, tag::ARGV, word)?;
        count += 1;
    }
    if count < least {
        return Err(ProtocolError::NoCommand);
    }
    bytes[at..at + Token::LEN].copy_from_slice(&token::head(&tag::ARGC, count)?);
    Ok(())
}

/// Appends a head and the word after it.
pub(crate) fn append_word(
    bytes: &mut Vec<u8>,
    tag: [u8; 4],
    word: &[u8],
) -> Result<(), ProtocolError> {
    check_no_nul(tag, word)?;
    bytes.extend_from_slice(&token::head(&tag, word.len())?);
    bytes.extend_from_slice(word);
    Ok(())
}

/// Adds `NFIL (NAME (FILE | LINK | FOLD))*`, without copies of the files.
fn push_entries<'a>(
    parts: &mut Vec<Cow<'a, [u8]>>,
    version: Version,
    entries: &'a [Entry],
) -> Result<(), ProtocolError> {
    let mut bytes = token::head(&tag::NFIL, entries.len())?.to_vec();
    for entry in entries {
        let Content::File(body) = &entry.content else {
            entry.append_to(&mut bytes, version)?;
            continue;
        };
        append_word(&mut bytes, tag::NAME, &entry.name)?;
        parts.push(Cow::Owned(std::mem::take(&mut bytes)));
        push_body(parts, version, tag::FILE, body)?;
    }
    parts.push(Cow::Owned(bytes));
    Ok(())
}

/// Appends a head and the body after it, if the body is in the form of `version`.
pub(crate) fn append_body(
    bytes: &mut Vec<u8>,
    version: Version,
    tag: [u8; 4],
    body: &Body,
) -> Result<(), ProtocolError> {
    check_coding(version, body)?;
    bytes.extend_from_slice(&token::head(&tag, body.wire().len())?);
    bytes.extend_from_slice(body.wire());
    Ok(())
}

fn check_coding(version: Version, body: &Body) -> Result<(), ProtocolError> {
    if body.coding() == version.coding() {
        return Ok(());
    }
    Err(ProtocolError::Unsendable(
        "a body in another form than the version's",
    ))
}

/// Adds a head and the body after it, if the body is in the form of `version`.
pub(crate) fn push_body<'a>(
    parts: &mut Vec<Cow<'a, [u8]>>,
    version: Version,
    tag: [u8; 4],
    body: &'a Body,
) -> Result<(), ProtocolError> {
    check_coding(version, body)?;
    parts.push(Cow::Owned(token::head(&tag, body.wire().len())?.to_vec()));
    if !body.wire().is_empty() {
        parts.push(Cow::Borrowed(body.wire()));
    }
    Ok(())
}
