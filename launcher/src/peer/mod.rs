//! Whose daemon a host runs, and what it can do: asked once by a *hello*, then remembered for an hour.
//!
//! A daemon is stock's until it has answered our question (docs/protocol.md, "Hello").  What it said is kept in
//! `$DISTCC_DIR/peers/`, a file for each host, in a form that costs next to nothing to read again.  Knows nothing of
//! jobs, and of which host is next.

mod question;

use std::fmt::Write as _;
use std::fs;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use hosts::list::{Host, Transport};
use protocol::Version;
use protocol::hello::Hello;

use crate::remember;
use crate::wire::WireError;

pub(crate) use question::{Greeting, Question};

/// How long an answer holds.
const FRESH: u64 = 3600;
/// How long no answer by way of a program holds: that its other end was not reached looks the same.
const FRESH_UNREACHED: u64 = 60;
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
    /// What is remembered of `host` in `folder` (`$DISTCC_DIR`), if it holds still.
    pub(crate) fn recall(host: &Host, folder: Option<&Path>) -> Option<Peer> {
        let (peer, holds) = Memory::new(folder?, host).recall(now())?;
        holds.then_some(peer)
    }

    /// What the greeting of `host` makes known, which is remembered if it is anything.
    ///
    /// # Errors
    /// Nobody was reached, or nothing came, or the answer broke off.  None of these is remembered.  Everything else that is no
    /// answer counts as stock's.  Who is silent may be a stock daemon that is busy: what was known of it before is believed still.
    pub(crate) fn learn(
        host: &Host,
        folder: Option<&Path>,
        greeting: Greeting,
    ) -> Result<Peer, WireError> {
        let memory = folder.map(|folder| Memory::new(folder, host));
        let peer = match greeting {
            Greeting::Alive(hello) => hello.as_ref().map_or_else(Peer::stock, Peer::new),
            Greeting::Dead(error) => return Err(error),
            Greeting::Silent => {
                let before = memory.as_ref().and_then(|memory| memory.recall(now()));
                let silent = || WireError::Silent { host: host.name() };
                return before.map(|(peer, _)| peer).ok_or_else(silent);
            }
        };
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
        let (peer, holds) = memory.recall(now())?;
        holds.then_some((peer, memory.file))
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

    /// A daemon that does not know the question.
    pub(crate) fn stock() -> Peer {
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

/// Where the first line ends. No `memchr` crate here: it would ask the processor what it can do, which costs a launcher on a virtual
/// machine more than the search. The C library has asked already.
fn end_of_line(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    // Reading from memory does not fail.
    let end = rest.skip_until(b'\n').ok()?.checked_sub(1)?;
    (text[end] == b'\n').then_some(end)
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

    /// What it holds, and whether that is fresh enough to be believed.
    fn recall(&self, now: u64) -> Option<(Peer, bool)> {
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
        let peer = Peer {
            ours,
            launch_jobs,
            tree_jobs,
            pump_jobs,
            jobs: u32::try_from(jobs).ok().filter(|jobs| *jobs > 0),
            all_compilers,
            text,
            from,
        };
        whole.then_some((peer, holds))
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
