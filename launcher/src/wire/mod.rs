//! The conversation with one daemon: connect, send the words, send the source, take in the reply.
//!
//! Owns the sockets and nothing else: what is in a request or a reply is `protocol`'s business, and how it is encrypted for a
//! host with a key `keyed`'s.  Nothing here waits but where it says so: who has several conversations waits for all of them at
//! once (`legs`).

mod connect;
mod error;
mod exchange;
mod os;
mod send;
mod stream;

use std::cell::Cell;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hosts::list::Host;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;

use crate::keyed::Keyed;
use crate::settings::Settings;
use send::Outgoing;
use stream::Stream;

pub(crate) use connect::Connecting;
pub(crate) use error::WireError;
pub(crate) use exchange::{Exchange, Patience};
pub(crate) use send::Part;

/// Sealed bytes that go out by one write.
const PIECE: usize = 256 << 10;

/// Bytes that conversations have cost.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub sent: Cell<u64>,
    pub received: Cell<u64>,
}

/// An open conversation.
#[derive(Debug)]
pub(crate) struct Link {
    stream: Stream,
    /// What everything goes through, if the host has a key.
    keyed: Option<Box<Keyed>>,
    host: String,
    outgoing: Outgoing,
    /// When the last bytes went out.
    moved: Instant,
    traffic: Rc<Traffic>,
}

impl Link {
    fn new(stream: Stream, keyed: Option<Box<Keyed>>, host: String, traffic: Rc<Traffic>) -> Link {
        Link {
            stream,
            keyed,
            host,
            outgoing: Outgoing::default(),
            moved: Instant::now(),
            traffic,
        }
    }

    /// Connects to `host` and waits for it, for conversations that are no job.
    pub(crate) fn open(host: &Host, settings: &Settings) -> Result<Link, WireError> {
        let mut connecting = Connecting::begin(host, settings, Rc::default())?;
        loop {
            if let Some(link) = connecting.advance(Instant::now())? {
                return Ok(link);
            }
            let mut wanted = Vec::new();
            let due = connecting.wants(&mut wanted);
            wait(&wanted, Some(due));
        }
    }

    /// Adds a part to what is to go out.
    pub(crate) fn push(&mut self, part: Part) {
        self.outgoing.push(part);
    }

    /// Sends what the other end takes just now; true once all has gone.
    pub(crate) fn flush(&mut self) -> Result<bool, WireError> {
        let mut moved = false;
        let done = loop {
            let wrote = match &mut self.keyed {
                None if self.outgoing.is_empty() => break true,
                None => self.outgoing.write(&mut self.stream),
                Some(keyed) => match keyed.unsent() {
                    0 if self.outgoing.is_empty() => break true,
                    unsent if unsent < PIECE && !self.outgoing.is_empty() => {
                        self.outgoing.seal(keyed)
                    }
                    _ => keyed.write(&mut self.stream).map(|()| 0),
                },
            };
            match wrote {
                Ok(count) => {
                    self.traffic.sent.set(self.traffic.sent.get() + count);
                    moved = true;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => break false,
                    _ => return Err(self.unsent(error)),
                },
            }
        };
        if moved {
            self.moved = Instant::now();
        }
        Ok(done)
    }

    /// One read of what has come.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] once all of it is read, and what `Keyed::read` says.
    pub(crate) fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let count = match (&mut self.keyed, &mut self.stream) {
            (Some(keyed), stream) => keyed.read(stream, space),
            (None, stream) => stream.read(space),
        }?;
        let received = &self.traffic.received;
        received.set(received.get() + count as u64);
        Ok(count)
    }

    /// One read that waits for `patience` at most, for conversations that are no job.
    pub(crate) fn read_within(
        &mut self,
        space: &mut [u8],
        patience: Duration,
    ) -> io::Result<usize> {
        let until = Instant::now() + patience;
        loop {
            match self.read(space) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            wait(&[(self.as_fd(), PollFlags::IN)], Some(until));
        }
    }

    fn unsent(&self, source: io::Error) -> WireError {
        let host = self.host.clone();
        match error::is_lost(&source) {
            true => WireError::Lost { host, source },
            false => WireError::Send { host, source },
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Waits until one of `wanted` is ready, or it is `until`, or a signal came.
pub(crate) fn wait(wanted: &[(BorrowedFd<'_>, PollFlags)], until: Option<Instant>) {
    let mut fds: Vec<PollFd<'_>> = wanted
        .iter()
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let left = left.map(|left| Timespec {
        tv_sec: left.as_secs().cast_signed(),
        tv_nsec: left.subsec_nanos().into(),
    });
    // Cut short by a signal, it has waited as well.
    let _ = poll(&mut fds, left.as_ref());
}
