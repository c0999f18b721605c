//! Key files: text that a person can read, cut and paste.
//!
//! ```text
//! distcc-launch key 1                  distcc-launchd keys 1
//! daemon HEX                           private HEX
//! client LABEL HEX                     client LABEL HEX
//!                                      client LABEL HEX
//!
//! a client's                           the daemon's
//! ```
//!
//! Each HEX is 64 digits.  `#` begins a line of comment.  A client's line is the same in both files.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::{ClientKey, DaemonKeys, KEY_LEN, Label, MAX_LABEL, PublicKey, Secret};

/// The first line of a client's file.
const CLIENT_HEAD: &str = "distcc-launch key 1";
/// The first line of a daemon's file.
const DAEMON_HEAD: &str = "distcc-launchd keys 1";
/// The largest file that is read.
pub const MAX_FILE: u64 = 1 << 20;

/// Why a file gives no key.
#[derive(Debug, Error)]
pub enum KeyFileError {
    #[error("could not read key file {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("key file {} is not a regular file", path.display())]
    NotRegular { path: PathBuf },
    #[error("key file {} can be read or written by others (mode {mode:o}); run chmod 600 on it", path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("key file {} is larger than {MAX_FILE} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("key file {}: {problem}", path.display())]
    Content { path: PathBuf, problem: Problem },
}

/// What is wrong with a file's text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    #[error("it does not begin with \"{0}\"; make it with distcc-launchd keygen")]
    Head(&'static str),
    #[error(
        "it is the daemon's own file, which no client should have; give clients the output of distcc-launchd keygen"
    )]
    IsDaemons,
    #[error("it is a client's file; a daemon's is made by distcc-launchd keygen")]
    IsClients,
    #[error("line {0} is not one that belongs here")]
    Line(usize),
    #[error("line {0}: a key is 64 hexadecimal digits")]
    Key(usize),
    #[error("line {0}: a label is 1 to {MAX_LABEL} letters, digits and ._@-")]
    Label(usize),
    #[error("line {0} says again what stands further up")]
    Twice(usize),
    #[error("it has no line \"{0}\"")]
    Missing(&'static str),
}

/// The text of the key file at `path`, if nobody but its owner can read it.
///
/// # Errors
/// Not there, not a regular file, open to others, or too large.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let path = || path.to_owned();
    let cannot = |source| KeyFileError::Read {
        path: path(),
        source,
    };
    // Before it is opened, since opening a pipe would wait.
    if !std::fs::metadata(path()).map_err(cannot)?.is_file() {
        return Err(KeyFileError::NotRegular { path: path() });
    }
    let file = File::open(path()).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    let mode = about.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Open { path: path(), mode });
    }
    if about.len() > MAX_FILE {
        return Err(KeyFileError::TooLarge { path: path() });
    }
    // With all its room from the start: text that moves while it grows leaves copies.
    let room = usize::try_from(about.len()).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    file.take(room as u64)
        .read_to_end(&mut text)
        .map_err(cannot)?;
    Ok(text)
}

impl ClientKey {
    /// Reads a client's file.
    ///
    /// # Errors
    /// It cannot be read, is open to others, or says something else.
    pub fn read(path: &Path) -> Result<ClientKey, KeyFileError> {
        let text = read_secret(path)?;
        ClientKey::parse(&text).map_err(|problem| content(path, problem))
    }

    /// Reads the text of a client's file.  Total.
    ///
    /// # Errors
    /// What is wrong, and in which line.
    pub fn parse(text: &[u8]) -> Result<ClientKey, Problem> {
        let (mut daemon, mut client) = (None, None);
        for (line, words) in lines(text, CLIENT_HEAD, DAEMON_HEAD, Problem::IsDaemons)? {
            match words[..] {
                ["daemon", _] if daemon.is_some() => return Err(Problem::Twice(line)),
                ["client", _, _] if client.is_some() => return Err(Problem::Twice(line)),
                ["daemon", key] => daemon = Some(PublicKey(**hex(key, line)?)),
                ["client", label, key] => client = Some(client_line(label, key, line)?),
                _ => return Err(Problem::Line(line)),
            }
        }
        let daemon = daemon.ok_or(Problem::Missing("daemon KEY"))?;
        let (label, secret) = client.ok_or(Problem::Missing("client LABEL KEY"))?;
        Ok(ClientKey {
            label,
            daemon,
            secret,
        })
    }

    /// The text of the client's file.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str(CLIENT_HEAD);
        text.push_str(
            "\n# Keep this secret: chmod 600.  For hosts with \",key\" in ~/.distcc/key.\ndaemon ",
        );
        push_hex(&mut text, &self.daemon.0);
        push_client(&mut text, &self.label, &self.secret);
        text
    }
}

impl DaemonKeys {
    /// Reads a daemon's file.
    ///
    /// # Errors
    /// It cannot be read, is open to others, or says something else.
    pub fn read(path: &Path) -> Result<DaemonKeys, KeyFileError> {
        let text = read_secret(path)?;
        DaemonKeys::parse(&text).map_err(|problem| content(path, problem))
    }

    /// Reads the text of a daemon's file.  Total.
    ///
    /// # Errors
    /// What is wrong, and in which line.
    pub fn parse(text: &[u8]) -> Result<DaemonKeys, Problem> {
        let mut private = None;
        let mut clients = Vec::new();
        for (line, words) in lines(text, DAEMON_HEAD, CLIENT_HEAD, Problem::IsClients)? {
            match words[..] {
                ["private", _] if private.is_some() => return Err(Problem::Twice(line)),
                ["private", key] => private = Some(Secret(hex(key, line)?)),
                ["client", label, key] => clients.push((line, client_line(label, key, line)?)),
                _ => return Err(Problem::Line(line)),
            }
        }
        let mut keys = DaemonKeys {
            private: private.ok_or(Problem::Missing("private KEY"))?,
            clients: Vec::new(),
        };
        for (line, (label, secret)) in clients {
            if !keys.add(label, secret) {
                return Err(Problem::Twice(line));
            }
        }
        Ok(keys)
    }

    /// The text of a daemon's file that has no clients yet.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str(DAEMON_HEAD);
        text.push_str("\n# Keep this secret: chmod 600.  Clients are added by distcc-launchd keygen, removed by taking out their line.\nprivate ");
        push_hex(&mut text, &self.private.0[..]);
        text.push('\n');
        for client in &self.clients {
            text.push_str(client_line_of(&client.label, &client.secret).trim_start());
        }
        text
    }

    /// The line that lets `client` in, for the end of the daemon's file.
    pub fn line_for(client: &ClientKey) -> Zeroizing<String> {
        client_line_of(&client.label, &client.secret)
    }
}

fn content(path: &Path, problem: Problem) -> KeyFileError {
    KeyFileError::Content {
        path: path.to_owned(),
        problem,
    }
}

/// The words of each line that has any, with its number, after the head.
fn lines<'t>(
    text: &'t [u8],
    head: &'static str,
    other: &str,
    is_other: Problem,
) -> Result<Vec<(usize, Vec<&'t str>)>, Problem> {
    let text = str::from_utf8(text).map_err(|_| Problem::Head(head))?;
    let mut numbered = text.lines().zip(1..).map(|(line, at)| (at, line.trim()));
    match numbered.next() {
        Some((_, first)) if first == head => {}
        Some((_, first)) if first == other => return Err(is_other),
        _ => return Err(Problem::Head(head)),
    }
    Ok(numbered
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| (at, line.split_ascii_whitespace().collect()))
        .collect())
}

fn client_line(label: &str, key: &str, line: usize) -> Result<(Label, Secret), Problem> {
    let label = Label::new(label).ok_or(Problem::Label(line))?;
    Ok((label, Secret(hex(key, line)?)))
}

fn client_line_of(label: &Label, secret: &Secret) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_LABEL + 128));
    push_client(&mut text, label, secret);
    text
}

/// Begins with a line end, so that it stands alone whatever the file ended with.
fn push_client(text: &mut String, label: &Label, secret: &Secret) {
    // Writing to a string does not fail.
    let _ = write!(text, "\nclient {label} ");
    push_hex(text, &secret.0[..]);
    text.push('\n');
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}

fn hex(word: &str, line: usize) -> Result<Box<Zeroizing<[u8; KEY_LEN]>>, Problem> {
    let mut bytes = Box::new(Zeroizing::new([0; KEY_LEN]));
    if word.len() != 2 * KEY_LEN {
        return Err(Problem::Key(line));
    }
    for (byte, pair) in bytes.iter_mut().zip(word.as_bytes().as_chunks::<2>().0) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
            return Err(Problem::Key(line));
        };
        *byte = (high << 4 | low) as u8;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
