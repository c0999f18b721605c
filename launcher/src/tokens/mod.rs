//! Token lending: while a host has our job, the build tool's token for it goes to somebody who can use this machine.
//!
//! A tool that speaks make's jobserver protocol (`integration_ninja::jobserver`) holds a token for each command that it starts,
//! as long as that runs.  A launcher whose job is on a host uses no processor here; its token is written into the jobserver
//! meanwhile, and read back before the launcher does the compile itself, asks another host, or ends.  So `make -j2` and a
//! plain `cargo build` fill the hosts, while two processes at most do something *here*: whoever does holds a token.
//!
//! **How much.**  No more tokens lie in the jobserver than remote slots are free: whoever takes one shall find a slot.  A
//! launcher that may not lend at first looks again while it waits.  Within `distcc-launch run`, which counted the hosts' slots
//! into its jobserver, nobody lends.
//!
//! **No deadlock.**  Who waits for a token holds no slot: the remote slot is given back first, and a local slot taken after.  Who
//! waits for a slot may hold a token, but holders of remote slots never wait for one, and holders of local slots have theirs.
//! By then the outputs are placed and the journal is written: all that is left is to end.
//!
//! **No end of waiting.**  Who is killed with tokens in its hands (the tool, a build script) takes them along, perhaps those
//! that we lent.  So an orphan stops waiting, and so does who sees nothing at work on this machine for a minute: holders of tokens
//! would be.  A quarter of an hour is enough in any case.
//!
//! **What a launcher owes.**  Its debt stands in a record (`record`) before its token does in the jobserver, and is struck out after
//! the token is back.  A signal that ends the launcher takes the token back on its way, if one comes within a second.
//! One that was killed, or that stopped waiting, leaves its debt in the record, and a token too many in the jobserver: the
//! next launcher takes the debt over in place of lending itself, and each that ends swallows tokens for what else is owed.
//!
//! Nothing of this touches a launcher that was not told of a jobserver.

mod os;
mod record;

use std::path::Path;
use std::time::{Duration, Instant};

use hosts::{Folder, Host, HostList, Slots, Transport};
use integration_ninja::jobserver::{Found, Tokens};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::process::{Pid, getppid};

use crate::os::undisturbed;
use record::{Debt, Record};

pub(crate) use os::repay_on_signal;

/// How soon an orphan notices that it is one.
const LOOK: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
/// How long a token is waited for, on a machine that is at work, and on one that rests.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
const PATIENCE_AT_REST: Duration = Duration::from_secs(60);

/// A launcher's way to the jobserver that it was started under.
#[derive(Debug)]
pub(crate) struct Lender {
    tokens: Tokens,
    record: Record,
    folder: Folder,
    /// There while our token is lent.
    debt: Option<Debt>,
    parent: Option<Pid>,
}

impl Lender {
    /// The way to `jobserver`, with the record in `folder` (`DISTCC_DIR`); `None` where it cannot be used, which is no reason to
    /// fail.
    pub(crate) fn open(jobserver: &Found, folder: &Path) -> Option<Lender> {
        let tokens = jobserver.open().ok()?;
        let record = Record::of(&tokens, folder);
        Some(Lender {
            tokens,
            record,
            folder: Folder::at(folder),
            debt: None,
            parent: getppid(),
        })
    }

    /// Lends our token, if it is not lent yet and a remote slot of `list` is free for each token that will lie in the jobserver
    /// then.  True if it is lent now; else it may be asked again.
    pub(crate) fn lend_beside(&mut self, list: &HostList) -> bool {
        if self.debt.is_some() {
            return true;
        }
        let elsewhere = |host: &&Host| host.transport != Transport::Local;
        let hosts: Vec<&Host> = list.hosts.iter().filter(elsewhere).collect();
        let slots = Slots::new(&self.folder);
        self.lend(|enough| slots.free_remote(&hosts, enough))
    }

    /// Lends our token, where `free` counts free slots as far as its argument.
    fn lend(&mut self, free: impl FnOnce(u32) -> u32) -> bool {
        let lying = u32::try_from(self.tokens.lying()).unwrap_or(u32::MAX);
        let enough = lying.saturating_add(1);
        if free(enough) < enough {
            return false;
        }
        undisturbed(|| {
            let Some(debt) = self.record.enter() else {
                return;
            };
            // A debt that was taken over has its token in the jobserver already.
            if debt.is_new() && self.tokens.give().is_err() {
                debt.strike();
                return;
            }
            os::owe(&self.tokens, &debt);
            self.debt = Some(debt);
        });
        self.debt.is_some()
    }

    /// Waits for our token, if it is lent.  The caller holds no slot.
    pub(crate) fn take_back(&mut self) {
        let begun = Instant::now();
        let mut worked = begun;
        while self.debt.is_some() && !self.try_take_back() {
            let hopeless = begun.elapsed() > PATIENCE || worked.elapsed() > PATIENCE_AT_REST;
            if getppid() != self.parent || hopeless {
                // The debt stays in the record, as if we had been killed.
                os::owe_nothing();
                self.debt = None;
                return;
            }
            // Cut short by a signal: its handler ends us, or nothing happened.
            let token = PollFd::new(&self.tokens, PollFlags::IN);
            let in_vain = poll(&mut [token], Some(&LOOK)) == Ok(0);
            if !in_vain || !machine_rests() {
                worked = Instant::now();
            }
        }
    }

    fn try_take_back(&mut self) -> bool {
        undisturbed(|| {
            if !self.tokens.take().unwrap_or(false) {
                return false;
            }
            os::owe_nothing();
            if let Some(debt) = self.debt.take() {
                debt.strike();
            }
            true
        })
    }

    /// Takes tokens out of the jobserver for debts of launchers that are no more, as far as tokens lie there.
    pub(crate) fn swallow(&mut self) {
        if self.debt.is_some() {
            return;
        }
        undisturbed(|| {
            while let Some(debt) = self.record.abandoned() {
                if !self.tokens.take().unwrap_or(false) {
                    return;
                }
                debt.strike();
            }
        });
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        self.take_back();
        self.swallow();
    }
}

/// Does nothing run on this machine but who asks?
fn machine_rests() -> bool {
    std::fs::read("/proc/stat").is_ok_and(|stat| rests(&stat))
}

/// By the content of `/proc/stat`, in which whoever reads it runs.
fn rests(stat: &[u8]) -> bool {
    let count = |name: &[u8]| {
        let mut lines = stat.split(|byte| *byte == b'\n');
        let number = lines.find_map(|line| line.strip_prefix(name))?;
        std::str::from_utf8(number).ok()?.trim().parse::<u32>().ok()
    };
    count(b"procs_running ").is_some_and(|count| count <= 1)
        && count(b"procs_blocked ").is_some_and(|count| count == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use integration_ninja::jobserver::{Server, Style};

    fn lender(server: &Server, folder: &tempfile::TempDir) -> Lender {
        Lender::open(server.found(), folder.path()).expect("opened")
    }

    #[test]
    fn a_token_is_lent_and_comes_back() {
        let folder = tempfile::tempdir().expect("folder");
        for style in [Style::Fifo, Style::Pipe] {
            let server = Server::start(style, 2).expect("a jobserver");
            let mut lender = lender(&server, &folder);
            assert!(lender.lend(|enough| enough));
            assert!(lender.lend_beside(&HostList::default()), "once is enough");
            assert_eq!(server.tokens().lying(), 2);
            lender.take_back();
            assert_eq!(server.tokens().lying(), 1);
            drop(lender);
            assert_eq!(server.tokens().lying(), 1);
        }
        let left = folder.path().join("tokens").read_dir().expect("there");
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn no_more_tokens_lie_there_than_slots_are_free() {
        let folder = tempfile::tempdir().expect("folder");
        let server = Server::start(Style::Fifo, 3).expect("a jobserver");
        let mut lender = lender(&server, &folder);
        for free in 0..3 {
            assert!(!lender.lend(|_| free), "two lie there, {free} are free");
        }
        assert_eq!(server.tokens().lying(), 2);
        assert!(lender.lend(|_| 3));
        assert_eq!(server.tokens().lying(), 3);
    }

    #[test]
    fn what_the_killed_owed_is_swallowed() {
        let folder = tempfile::tempdir().expect("folder");
        let server = Server::start(Style::Fifo, 2).expect("a jobserver");
        let kill = |mut lender: Lender| {
            assert!(lender.lend(|enough| enough));
            os::owe_nothing();
            lender.debt = None;
            std::mem::forget(lender);
        };
        kill(lender(&server, &folder));
        assert_eq!(server.tokens().lying(), 2);
        // Who comes next takes the debt over; killed too, it leaves no more than the first did.
        kill(lender(&server, &folder));
        assert_eq!(server.tokens().lying(), 2);
        drop(lender(&server, &folder));
        assert_eq!(server.tokens().lying(), 1);
    }

    #[test]
    fn a_machine_rests_when_only_the_reader_runs() {
        let stat = |running, blocked| {
            format!(
                "cpu 1 2\nprocesses 9\nprocs_running {running}\nprocs_blocked {blocked}\nsoftirq 1\n"
            )
        };
        assert!(rests(stat(1, 0).as_bytes()));
        assert!(!rests(stat(2, 0).as_bytes()) && !rests(stat(1, 1).as_bytes()));
        assert!(!rests(b"") && !rests(&std::fs::read("/proc/self/stat").expect("proc")));
    }

    #[test]
    fn without_a_record_nothing_is_lent() {
        let server = Server::start(Style::Fifo, 2).expect("a jobserver");
        let mut lender = Lender::open(server.found(), Path::new("/proc/no")).expect("opened");
        assert!(!lender.lend(|enough| enough));
        assert_eq!(server.tokens().lying(), 1);
    }
}
