//! A request that goes out and the reply that comes back, over one open conversation.
//!
//! Never waits: [`Exchange::advance`] does what can be done, and [`Exchange::wants`] says what it waits for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use protocol::{Limits, Outcome, OutcomeDecoder, Progress, ProtocolError, Version};
use rustix::event::PollFlags;

use super::error::is_lost;
use super::os::{self, Delivery};
use super::stream::Stream;
use super::{Link, WireError};
use crate::settings::Settings;

/// The longest pause of who is at it.
const STALL: Duration = Duration::from_secs(2);
/// A network that does not answer for so long is gone.
const GONE: Duration = Duration::from_secs(2);
/// How often what is on its way is looked after then.
const LOOK: Duration = Duration::from_millis(500);

/// How long a host may take, each for one silence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until it begins to answer.
    pub answer: Duration,
    /// Until it takes more of the request.
    pub send: Duration,
    /// Within its answer.
    pub receive: Duration,
    /// Until the network brings a sign of life that is due.
    pub network: Duration,
}

impl Patience {
    /// For a daemon that reads requests as they come, or, like stock's, lets them wait while all its children are busy.
    pub(crate) fn new(settings: &Settings, reads_at_once: bool) -> Patience {
        let limit = settings.io_timeout;
        let short = match settings.io_timeout_is_set {
            true => limit,
            false => STALL,
        };
        Patience {
            answer: limit,
            send: if reads_at_once { short } else { limit },
            receive: short,
            network: GONE.min(limit),
        }
    }
}

/// A request under way.
pub(crate) struct Exchange {
    link: Link,
    decoder: OutcomeDecoder,
    patience: Patience,
    /// Has all of the request been handed to the kernel?
    sent: bool,
    /// When the last bytes came, or the request was sent.
    heard: Instant,
    /// When it is looked whether the other end gets what we send; `None` once it has all.
    look: Option<Instant>,
}

impl Exchange {
    /// Goes on with what is pushed into `link`, and takes in an answer of `version`.
    pub(crate) fn new(link: Link, version: Version, patience: Patience) -> Exchange {
        let now = Instant::now();
        // The preprocessor's time is not the host's.
        let link = Link { moved: now, ..link };
        Exchange {
            decoder: OutcomeDecoder::new(version, Limits::for_launcher()),
            patience,
            sent: false,
            heard: now,
            look: matches!(link.stream, Stream::Tcp(_)).then_some(now + patience.network),
            link,
        }
    }

    /// Is all of the request on its way?
    pub(crate) fn is_sent(&self) -> bool {
        self.sent
    }

    /// Sends and reads what goes without waiting; the outcome, once it is whole.
    pub(crate) fn advance(&mut self, now: Instant) -> Result<Option<Outcome>, WireError> {
        if !self.sent {
            self.sent = self.link.flush()?;
            if !self.sent {
                if now.saturating_duration_since(self.link.moved) >= self.patience.send {
                    return Err(self.link.unsent(io::ErrorKind::TimedOut.into()));
                }
                return self.look_after(now).map(|()| None);
            }
            self.heard = Instant::now();
        }
        if self.read()? {
            let decoder = OutcomeDecoder::new(Version::Plain, Limits::for_launcher());
            let decoder = std::mem::replace(&mut self.decoder, decoder);
            return decoder
                .finish()
                .map(Some)
                .map_err(|error| self.broken(error));
        }
        let host = || self.link.host.clone();
        if now >= self.silent_until() {
            return Err(match self.decoder.started() {
                true => WireError::Stalled { host: host() },
                false => WireError::Receive {
                    host: host(),
                    source: io::ErrorKind::TimedOut.into(),
                },
            });
        }
        self.look_after(now).map(|()| None)
    }

    /// Waits for the outcome, where nothing else is to be looked after.
    pub(crate) fn wait(mut self) -> Result<Outcome, WireError> {
        loop {
            if let Some(outcome) = self.advance(Instant::now())? {
                return Ok(outcome);
            }
            let mut wanted = Vec::new();
            let due = self.wants(&mut wanted);
            super::wait(&wanted, Some(due));
        }
    }

    /// What [`Exchange::advance`] waits for, with the moment that it is due at the latest.
    pub(crate) fn wants<'s>(&'s self, fds: &mut Vec<(BorrowedFd<'s>, PollFlags)>) -> Instant {
        let (flags, due) = match self.sent {
            true => (PollFlags::IN, self.silent_until()),
            false => (PollFlags::OUT, self.link.moved + self.patience.send),
        };
        fds.push((self.link.as_fd(), flags));
        self.look.map_or(due, |look| look.min(due))
    }

    fn silent_until(&self) -> Instant {
        let most = match self.decoder.started() {
            true => self.patience.receive,
            false => self.patience.answer,
        };
        self.heard + most
    }

    /// Reads until nothing more is there; true once the reply is whole.
    fn read(&mut self) -> Result<bool, WireError> {
        loop {
            let count = match self.link.read(self.decoder.space()) {
                Ok(0) if self.decoder.started() => return Err(self.broken(self.decoder.eof())),
                Ok(0) => return Err(self.closed()),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => return Ok(false),
                    io::ErrorKind::ConnectionReset if !self.decoder.started() => {
                        return Err(self.closed());
                    }
                    _ => return Err(self.unheard(error)),
                },
            };
            self.heard = Instant::now();
            match self.decoder.filled(count) {
                Ok(Progress::Done) => return Ok(true),
                Ok(Progress::More) => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// While the other end has not all, the kernel does not ask whether it is there (keepalive), and tries for a quarter of an
    /// hour.  What it has heard meanwhile tells.
    fn look_after(&mut self, now: Instant) -> Result<(), WireError> {
        if self.look.is_none_or(|look| now < look) {
            return Ok(());
        }
        let Stream::Tcp(stream) = &self.link.stream else {
            self.look = None;
            return Ok(());
        };
        match os::delivery(stream) {
            Delivery::Done if self.sent => self.look = None,
            Delivery::Unanswered { silence } if silence >= self.patience.network => {
                return Err(WireError::Lost {
                    host: self.link.host.clone(),
                    source: io::ErrorKind::TimedOut.into(),
                });
            }
            _ => self.look = Some(now + LOOK),
        }
        Ok(())
    }

    fn unheard(&self, source: io::Error) -> WireError {
        let host = self.link.host.clone();
        match is_lost(&source) {
            true => WireError::Lost { host, source },
            false => WireError::Receive { host, source },
        }
    }

    fn closed(&self) -> WireError {
        WireError::Closed {
            host: self.link.host.clone(),
        }
    }

    fn broken(&self, source: ProtocolError) -> WireError {
        WireError::Protocol {
            host: self.link.host.clone(),
            source,
        }
    }
}
