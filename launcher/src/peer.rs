//! Whose daemon a host runs, and what it can do: asked once by a *hello*, then remembered for an hour.
//!
//! A daemon is stock's until it has answered our question (docs/protocol.md, "Hello").  What it said is kept in
//! `$DISTCC_DIR/peers/`, a file for each host, in a form that costs next to nothing to read again.  Knows nothing of
//! jobs, and of which host is next.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hosts::list::{Host, Transport};
use protocol::hello::{Hello, Question};
use protocol::{HelloDecoder, Limits, Progress, ProtocolError, Version};

use crate::remember;
use crate::wire::{Link, WireError};

/// How long an answer holds.
const FRESH: u64 = 3600;
/// How long no answer by way of a program holds: that its other end was not reached looks the same.
const FRESH_UNREACHED: u64 = 60;
/// The longest wait for the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Layout of the remembered file; another number is as good as no file.
const LAYOUT: &str = "distcc-launch peer 2";

/// What is known of a host's daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Has it answered?  If not, all else says what stock's can do.
    pub ours: bool,
    /// Does it take jobs in [`Version::Launch`]?
    pub launch_jobs: bool,
    /// Does it take jobs in [`Version::Tree`]?
    pub tree_jobs: bool,
    /// Does it take jobs in [`Version::Pump`]?
    pub pump_jobs: bool,
    /// Compiles that it runs at a time.
    pub jobs: Option<u32>,
    /// Are these all compilers that it runs?
    all_compilers: bool,
    /// Lines `NAME TAB IDENT TAB TRIPLE`, perhaps with `TAB PREINCLUDED`, each ended, after something else.
    text: Vec<u8>,
    /// Where in `text` they begin.
    from: usize,
}

/// A compiler that a daemon named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed<'p> {
    name: &'p [u8],
    ident: &'p [u8],
    triple: &'p [u8],
    preincluded: Option<&'p [u8]>,
}

impl Peer {
    /// What is known of `host`: from `folder` (`$DISTCC_DIR`), or asked by a connection of its own, which `open` makes.
    ///
    /// `io_timeout` is the longest silence that the user bears; the question takes 5 s at most anyhow.
    ///
    /// # Errors
    /// Nobody was reached, or nothing came, or the answer broke off.  None of these is remembered.  Everything else that is no
    /// answer counts as stock's.
    pub(crate) fn of(
        host: &Host,
        folder: Option<&Path>,
        io_timeout: Duration,
        open: &mut dyn FnMut() -> Result<Link, WireError>,
    ) -> Result<Peer, WireError> {
        let memory = folder.map(|folder| Memory::new(folder, host));
        if let Some(peer) = memory.as_ref().and_then(|memory| memory.recall(now())) {
            return Ok(peer);
        }
        let hello = ask(host, &mut open()?, PATIENCE.min(io_timeout))?;
        let peer = hello.as_ref().map_or_else(Peer::stock, Peer::new);
        if let Some(memory) = &memory {
            memory.keep(&peer, now());
        }
        Ok(peer)
    }

    /// Lets go of what is known of `host`, since it turned out to be otherwise.
    pub(crate) fn forget(host: &Host, folder: &Path) {
        // What is not there is forgotten.
        let _ = fs::remove_file(Memory::new(folder, host).file);
    }

    /// What is remembered of `host` and holds still, and the file that does.
    pub(crate) fn remembered(host: &Host, folder: &Path) -> Option<(Peer, PathBuf)> {
        let memory = Memory::new(folder, host);
        let peer = memory.recall(now())?;
        Some((peer, memory.file))
    }

    /// Has the daemon a compiler of this name that makes what the one here makes?  `None` when that is not known: the
    /// daemon is stock's, or has compilers that it did not name.
    pub(crate) fn has(&self, name: &[u8], ident: &[u8], triple: &[u8]) -> Option<bool> {
        if !self.ours {
            return None;
        }
        match self.named(name) {
            Some(there) => Some(there.ident == ident && there.triple == triple),
            None if self.all_compilers => Some(false),
            None => None,
        }
    }

    /// What its compiler of this name includes by itself before every source, as [`preincluded::spelled`] spells it; `None` when
    /// the daemon does not say.
    ///
    /// [`preincluded::spelled`]: compiler::manner::preincluded::spelled
    pub(crate) fn preincluded(&self, name: &[u8]) -> Option<&[u8]> {
        self.named(name)?.preincluded
    }

    fn named(&self, name: &[u8]) -> Option<Listed<'_>> {
        // Daemons take these for the bare name.
        let bare = [&b"/usr/bin/"[..], b"/bin/"]
            .iter()
            .find_map(|folder| name.strip_prefix(*folder));
        let named = |wanted: &[u8]| self.compilers().find(|listed| listed.name == wanted);
        named(name).or_else(|| named(bare?))
    }

    /// Each compiler that the daemon named.
    fn compilers(&self) -> impl Iterator<Item = Listed<'_>> {
        let mut rest = self.text.get(self.from..).unwrap_or_default();
        std::iter::from_fn(move || {
            let end = end_of_line(rest)?;
            let (line, behind) = (&rest[..end], &rest[end + 1..]);
            rest = behind;
            let mut fields = line.split(|byte| *byte == b'\t');
            let [name, ident, triple] = [fields.next()?, fields.next()?, fields.next()?];
            Some(Listed {
                name,
                ident,
                triple,
                preincluded: fields.next(),
            })
        })
    }

    fn stock() -> Peer {
        Peer {
            ours: false,
            launch_jobs: false,
            tree_jobs: false,
            pump_jobs: true,
            jobs: None,
            all_compilers: false,
            text: Vec::new(),
            from: 0,
        }
    }

    fn new(hello: &Hello) -> Peer {
        let mut text = Vec::new();
        for compiler in &hello.compilers {
            let mut fields = vec![&compiler.name[..], &compiler.ident, &compiler.triple];
            fields.extend(compiler.preincluded.as_deref());
            text.extend_from_slice(&fields.join(&b'\t'));
            text.push(b'\n');
        }
        Peer {
            ours: true,
            launch_jobs: hello.takes(Version::Launch),
            tree_jobs: hello.takes(Version::Tree),
            pump_jobs: hello.takes(Version::Pump),
            jobs: hello.jobs,
            all_compilers: hello.all_compilers,
            text,
            from: 0,
        }
    }
}

/// The note that a host's system headers are others than the ones here, for as long as what a host answers holds.
pub(crate) struct OtherHeaders(PathBuf);

impl OtherHeaders {
    pub(crate) fn of(host: &Host, folder: &Path) -> OtherHeaders {
        let name = format!("{}.headers", host.lock_name());
        OtherHeaders(folder.join("peers").join(name))
    }

    pub(crate) fn note(&self) {
        remember::write(&self.0, format!("{}\n", now()).as_bytes());
    }

    pub(crate) fn noted(&self) -> bool {
        let then = remember::read(&self.0)
            .and_then(|(text, _)| str::from_utf8(&text).ok()?.trim().parse::<u64>().ok());
        then.is_some_and(|then| then <= now() && now() - then < FRESH)
    }
}

/// Puts the question; `None` when whoever is there does not know it.
fn ask(host: &Host, link: &mut Link, patience: Duration) -> Result<Option<Hello>, WireError> {
    let deadline = Instant::now() + patience;
    let question = Question {
        client: concat!("distcc-launch ", env!("CARGO_PKG_VERSION")).into(),
    };
    match link.send(&question.encode()?) {
        Err(WireError::Send { source, .. }) if host.key.is_none() && is_end(&source) => {
            return Ok(None);
        }
        sent => sent?,
    }
    let mut decoder = HelloDecoder::new(Limits::for_launcher());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let count = match link.read_within(decoder.space(), left) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A daemon that has proved who it is says when it closes.
            Err(error) if host.key.is_none() && is_end(&error) => 0,
            read => read.map_err(|source| WireError::Receive {
                host: host.name(),
                source,
            })?,
        };
        let progress = match count {
            0 if !decoder.started() => return Ok(None),
            0 => Err(decoder.eof()),
            count => decoder.filled(count),
        };
        match progress {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => return Ok(decoder.finish().ok()),
            Err(source @ ProtocolError::Truncated { .. }) => {
                let host = host.name();
                return Err(WireError::Protocol { host, source });
            }
            // Some other daemon that answers everything.  What its jobs are worth will be seen.
            Err(_) => return Ok(None),
        }
    }
}

/// A peer that closes while something of ours is on its way.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// Where the first line ends. No `memchr` here: it would ask the processor what it can do, which costs a launcher on a virtual
/// machine more than the search.
fn end_of_line(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| *byte == b'\n')
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The file that holds what a host once answered.
struct Memory {
    file: PathBuf,
    /// How the host is called and reached: the second line of the file must be this.
    key: String,
    /// Without an answer.
    fresh_stock: u64,
}

impl Memory {
    fn new(folder: &Path, host: &Host) -> Memory {
        let mut key = host.name();
        let mut fresh_stock = FRESH;
        if let Transport::Ssh { command, .. } = &host.transport {
            key.push(' ');
            key.push_str(command.as_deref().unwrap_or_default());
            fresh_stock = FRESH_UNREACHED;
        }
        // What somebody said without proving who he was is nothing to hold against who has a key.
        if let Some(file) = &host.key {
            // Writing to a string does not fail.
            let _ = write!(key, " by {file:?}");
        }
        Memory {
            file: folder.join("peers").join(host.lock_name()),
            key,
            fresh_stock,
        }
    }

    fn recall(&self, now: u64) -> Option<Peer> {
        let (text, _) = remember::read(&self.file)?;
        let rest = text.strip_prefix(LAYOUT.as_bytes())?.strip_prefix(b"\n")?;
        let rest = rest
            .strip_prefix(self.key.as_bytes())?
            .strip_prefix(b"\n")?;
        let end = end_of_line(rest)?;
        let mut numbers = str::from_utf8(&rest[..end]).ok()?.split(' ');
        let mut number = || numbers.next()?.parse::<u64>().ok();
        let (asked, length) = (number()?, number()?);
        let mut flag = || Some(number()? == 1);
        let (ours, all_compilers) = (flag()?, flag()?);
        let (launch_jobs, tree_jobs, pump_jobs) = (flag()?, flag()?, flag()?);
        let jobs = number()?;
        let from = text.len() - rest.len() + end + 1;
        let fresh = if ours { FRESH } else { self.fresh_stock };
        // A time in the future is a clock that was set: ask again.
        let holds = asked <= now && now - asked < fresh;
        let whole = usize::try_from(length) == Ok(text.len() - from);
        (holds && whole).then_some(Peer {
            ours,
            launch_jobs,
            tree_jobs,
            pump_jobs,
            jobs: u32::try_from(jobs).ok().filter(|jobs| *jobs > 0),
            all_compilers,
            text,
            from,
        })
    }

    fn keep(&self, peer: &Peer, now: u64) {
        let mut text = format!("{LAYOUT}\n{}\n", self.key);
        let compilers = peer.text.get(peer.from..).unwrap_or_default();
        let flags = [
            peer.ours,
            peer.all_compilers,
            peer.launch_jobs,
            peer.tree_jobs,
            peer.pump_jobs,
        ];
        let flags = flags.map(|flag| if flag { "1" } else { "0" }).join(" ");
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{now} {} {flags} {}",
            compilers.len(),
            peer.jobs.unwrap_or(0)
        );
        let text = [text.as_bytes(), compilers].concat();
        remember::write(&self.file, &text);
    }
}

#[cfg(test)]
mod tests;
