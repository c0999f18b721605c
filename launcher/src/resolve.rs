//! Names of hosts to addresses, without the C library's own resolver: a static one cannot load what `nsswitch.conf` names.
//!
//! Numbers need nothing.  Other names are asked from a child (`getent ahosts`, which does what every other program of
//! this machine does) and remembered in `$DISTCC_DIR/addresses/` for a minute.  A [`Lookup`] never waits: name servers may take long, or
//! be away.

use std::io::{self, Read as _};
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::PollFlags;

use crate::os::{self, Ending, Group};
use crate::remember;
use crate::wire;

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(60);
/// As long as an older one is still to be relied on, nobody waits longer than this for a newer one.
const RELIABLE: Duration = Duration::from_secs(3600);
const SHORTLY: Duration = Duration::from_millis(200);
/// Nobody who waits for an answer alone waits longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// No answer is longer.
const MOST: usize = 64 << 10;

/// The address that `name` spells out; IPv6 without brackets.
pub(crate) fn numeric(name: &str) -> Option<IpAddr> {
    name.parse().ok()
}

/// The addresses of `name`, best first; never empty.  Waits for them.
pub(crate) fn addresses(name: &str, folder: Option<&Path>) -> io::Result<Vec<IpAddr>> {
    let mut lookup = Lookup::begin(name, folder, PATIENCE);
    loop {
        if let Some(addresses) = lookup.advance(Instant::now())? {
            return Ok(addresses);
        }
        let mut wanted = Vec::new();
        let due = lookup.wants(&mut wanted);
        wire::wait(&wanted, Some(due));
    }
}

/// The question for the addresses of a name, under way.
pub(crate) struct Lookup {
    name: String,
    memory: Option<PathBuf>,
    /// What was known before.
    remembered: Option<Vec<IpAddr>>,
    until: Instant,
    stage: Stage,
}

enum Stage {
    Asked(Asked),
    /// Told by the next look.
    Settled(io::Result<Vec<IpAddr>>),
    Over,
}

/// The child that was asked; it ends with this value.
struct Asked {
    child: Child,
    _ending: Ending,
    answer: ChildStdout,
    text: Vec<u8>,
}

impl Lookup {
    /// Sets out to look for the addresses of `name`, for as long as `limit`.
    pub(crate) fn begin(name: &str, folder: Option<&Path>, limit: Duration) -> Lookup {
        let memory = folder.and_then(|folder| file_for(folder, name));
        let remembered = memory.as_deref().and_then(recall);
        let stage = match &remembered {
            Some((addresses, age)) if *age < FRESH => Stage::Settled(Ok(addresses.clone())),
            _ => Stage::ask(name),
        };
        let reliable = remembered.as_ref().is_some_and(|(_, age)| *age < RELIABLE);
        let limit = if reliable { limit.min(SHORTLY) } else { limit };
        Lookup {
            name: name.to_owned(),
            memory,
            remembered: remembered.map(|(addresses, _)| addresses),
            until: Instant::now() + limit,
            stage,
        }
    }

    /// The addresses, best first and never none, once they are known.
    pub(crate) fn advance(&mut self, now: Instant) -> io::Result<Option<Vec<IpAddr>>> {
        let found = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Settled(found) => found,
            Stage::Asked(mut asked) => match asked.read() {
                Ok(true) => {
                    let found = some(&self.name, read_ahosts(&asked.text));
                    if let (Some(file), Ok(addresses)) = (&self.memory, &found) {
                        keep(file, addresses);
                    }
                    found
                }
                Ok(false) if now < self.until => {
                    self.stage = Stage::Asked(asked);
                    return Ok(None);
                }
                Ok(false) => Err(io::ErrorKind::TimedOut.into()),
                Err(error) => Err(error),
            },
            Stage::Over => return Ok(None),
        };
        // A name server that is away does not make a host that was there a minute ago vanish.
        let found = found.or_else(|error| self.remembered.take().ok_or(error));
        found.map(Some)
    }

    /// What [`Lookup::advance`] waits for, with the moment that it is due at the latest.
    pub(crate) fn wants<'s>(&'s self, fds: &mut Vec<(BorrowedFd<'s>, PollFlags)>) -> Instant {
        match &self.stage {
            Stage::Asked(asked) => {
                fds.push((asked.answer.as_fd(), PollFlags::IN));
                self.until
            }
            Stage::Settled(_) | Stage::Over => Instant::now(),
        }
    }
}

impl Stage {
    fn ask(name: &str) -> Stage {
        match Asked::begin(name) {
            Ok(asked) => Stage::Asked(asked),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Stage::Settled(ask_library(name))
            }
            Err(error) => Stage::Settled(Err(error)),
        }
    }
}

impl Asked {
    fn begin(name: &str) -> io::Result<Asked> {
        let mut getent = Command::new("getent");
        getent.args(["ahosts", "--", name]);
        getent.stdin(Stdio::null()).stdout(Stdio::piped());
        getent.stderr(Stdio::null());
        let (mut child, ending) = os::start(&mut getent, Group::Ours)?;
        let answer = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        rustix::io::ioctl_fionbio(&answer, true)?;
        Ok(Asked {
            child,
            _ending: ending,
            answer,
            text: Vec::new(),
        })
    }

    /// Reads what is there; true once that is all.
    fn read(&mut self) -> io::Result<bool> {
        let mut space = [0; 4096];
        loop {
            match self.answer.read(&mut space) {
                Ok(0) => return Ok(true),
                Ok(count) => self.text.extend_from_slice(&space[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if self.text.len() > MOST {
                return Ok(true);
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // It has said all, or nobody waits for it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The file that remembers `name`; none for names that are no file names.
fn file_for(folder: &Path, name: &str) -> Option<PathBuf> {
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (plain && !name.starts_with('.')).then(|| folder.join("addresses").join(name))
}

/// What was remembered, and how old it is.
fn recall(file: &Path) -> Option<(Vec<IpAddr>, Duration)> {
    let (text, found) = remember::read(file)?;
    let age = SystemTime::now().duration_since(found.modified().ok()?);
    let addresses: Vec<IpAddr> = String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    // A change time in the future is a clock that was set: ask again.
    let age = age.unwrap_or(Duration::MAX);
    (!addresses.is_empty()).then_some((addresses, age))
}

fn keep(file: &Path, addresses: &[IpAddr]) {
    let text: String = addresses
        .iter()
        .map(|address| format!("{address}\n"))
        .collect();
    remember::write(file, text.as_bytes());
}

fn some(name: &str, addresses: Vec<IpAddr>) -> io::Result<Vec<IpAddr>> {
    match addresses.is_empty() {
        true => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("no address is known for {name}"),
        )),
        false => Ok(addresses),
    }
}

/// Where there is no `getent` the library is asked after all.
fn ask_library(name: &str) -> io::Result<Vec<IpAddr>> {
    let addresses = (name, 0).to_socket_addrs()?;
    some(name, addresses.map(|address| address.ip()).collect())
}

/// The stream addresses of `getent ahosts`, each once, in order: `127.0.0.1       STREAM localhost`.
fn read_ahosts(text: &[u8]) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in String::from_utf8_lossy(text).lines() {
        let mut words = line.split_whitespace();
        if let (Some(address), Some("STREAM")) = (words.next(), words.next())
            && let Ok(address) = address.parse()
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn answers_are_read_in_order_and_once() {
        let text = b"::1             STREAM ip6-localhost\n::1             DGRAM  \n127.0.0.1       STREAM localhost\n127.0.0.1 STREAM\n\
                     fe80::1%eth0 STREAM x\n";
        assert_eq!(
            read_ahosts(text),
            [
                "::1".parse::<IpAddr>().expect("v6"),
                "127.0.0.1".parse().expect("v4")
            ]
        );
        assert!(read_ahosts(b"\xff\xfe\n").is_empty());
    }

    #[test]
    fn answers_are_remembered_while_they_hold() {
        let folder = tempfile::tempdir().expect("folder");
        let first = addresses("localhost", Some(folder.path())).expect("localhost has an address");
        let file = folder.path().join("addresses/localhost");
        let (kept, age) = recall(&file).expect("kept");
        assert!(kept == first && age < FRESH);

        fs::write(&file, "192.0.2.7\n").expect("changed");
        assert_eq!(
            addresses("localhost", Some(folder.path())).expect("remembered"),
            [IpAddr::from([192, 0, 2, 7])]
        );

        let old = SystemTime::now() - FRESH * 2;
        fs::File::options()
            .append(true)
            .open(&file)
            .and_then(|file| file.set_modified(old))
            .expect("aged");
        assert_ne!(
            addresses("localhost", Some(folder.path())).expect("asked"),
            [IpAddr::from([192, 0, 2, 7])]
        );
    }

    #[test]
    fn only_plain_names_become_file_names() {
        for bad in ["", "..", ".hidden", "a/b", "../../x", "a b"] {
            assert_eq!(file_for(Path::new("/d"), bad), None, "{bad}");
        }
        assert_eq!(
            file_for(Path::new("/d"), "build-3.lan"),
            Some("/d/addresses/build-3.lan".into())
        );
    }
}
