//! The question whose daemon a host runs, over a connection of its own.
//!
//! Never waits: it is looked after beside the jobs that are under way (`legs`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hosts::list::{Host, Transport};
use protocol::hello::{self, Hello};
use protocol::{HelloDecoder, Limits, Progress, ProtocolError};
use rustix::event::PollFlags;

use crate::settings::Settings;
use crate::wire::{Connecting, Link, Part, WireError};

/// The longest wait for the answer of a host that is connected with, and of one that a program has to reach first.
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_PROGRAM: Duration = Duration::from_secs(5);

/// What came of a question.
#[derive(Debug)]
pub(crate) enum Greeting {
    /// Somebody is there: a daemon of ours that says this, or one that does not know the question.
    Alive(Option<Hello>),
    /// It was connected with, and nothing came in time: it is frozen, or a stock daemon all of whose children are busy.
    Silent,
    /// Nobody was reached, or the answer broke off.
    Dead(WireError),
}

/// A question under way.
pub(crate) struct Question {
    host: String,
    /// Has the daemon to prove who it is?  Then it says when it closes.
    keyed: bool,
    patience: Duration,
    stage: Stage,
}

enum Stage {
    Connecting(Connecting),
    Asked {
        link: Link,
        decoder: Box<HelloDecoder>,
        until: Instant,
    },
    /// Settled already, and told by the next look.
    Settled(Option<Greeting>),
}

impl Question {
    /// Sets out to ask `host`, as a job does that has to know it.
    pub(crate) fn put(host: &Host, settings: &Settings) -> Question {
        let patience = match host.transport {
            Transport::Ssh { .. } => PATIENCE_PROGRAM,
            _ => PATIENCE,
        };
        Question::within(host, settings, patience)
    }

    /// Sets out to ask `host`, and waits for its answer so long, once it is connected with.
    pub(crate) fn within(host: &Host, settings: &Settings, patience: Duration) -> Question {
        let stage = match Connecting::begin(host, settings, Rc::default()) {
            Ok(connecting) => Stage::Connecting(connecting),
            Err(error) => Stage::Settled(Some(Greeting::Dead(error))),
        };
        Question {
            host: host.name(),
            keyed: host.key.is_some(),
            patience: patience.min(settings.io_timeout),
            stage,
        }
    }

    /// The same, with so long for the host to answer the connection.
    pub(crate) fn connecting_within(mut self, limit: Duration) -> Question {
        self.stage = match self.stage {
            Stage::Connecting(connecting) => Stage::Connecting(connecting.within(limit)),
            other => other,
        };
        self
    }

    /// Does nobody there answer the connection yet?
    pub(crate) fn is_connecting(&self) -> bool {
        matches!(self.stage, Stage::Connecting(_))
    }

    /// Goes on as far as it gets without waiting; what came of it, once that is known.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Greeting> {
        let step = self.step(now);
        let greeting = step.unwrap_or_else(|error| Some(Greeting::Dead(error)));
        if greeting.is_some() {
            self.stage = Stage::Settled(None);
        }
        greeting
    }

    /// What [`Question::advance`] waits for, with the moment that it is due at the latest; `None` when all is said.
    pub(crate) fn wants<'s>(
        &'s self,
        fds: &mut Vec<(BorrowedFd<'s>, PollFlags)>,
    ) -> Option<Instant> {
        match &self.stage {
            Stage::Connecting(connecting) => Some(connecting.wants(fds)),
            Stage::Asked { link, until, .. } => {
                fds.push((link.as_fd(), PollFlags::IN));
                Some(*until)
            }
            Stage::Settled(Some(_)) => Some(Instant::now()),
            Stage::Settled(None) => None,
        }
    }

    fn step(&mut self, now: Instant) -> Result<Option<Greeting>, WireError> {
        if let Stage::Connecting(connecting) = &mut self.stage {
            let Some(mut link) = connecting.advance(now)? else {
                return Ok(None);
            };
            let question = hello::Question {
                client: concat!("distcc-launch ", env!("CARGO_PKG_VERSION")).into(),
            };
            link.push(Part::Bytes(question.encode()?));
            match link.flush() {
                Err(WireError::Send { source, .. }) if !self.keyed && is_end(&source) => {
                    return Ok(Some(Greeting::Alive(None)));
                }
                // It is shorter than what any fresh connection takes.
                sent => sent?,
            };
            self.stage = Stage::Asked {
                link,
                decoder: Box::new(HelloDecoder::new(Limits::for_launcher())),
                until: now + self.patience,
            };
        }
        match &mut self.stage {
            Stage::Asked { until, .. } => {
                let late = now >= *until;
                Ok(self.read()?.or(late.then_some(Greeting::Silent)))
            }
            Stage::Settled(greeting) => Ok(greeting.take()),
            Stage::Connecting(_) => Ok(None),
        }
    }

    fn read(&mut self) -> Result<Option<Greeting>, WireError> {
        let Stage::Asked { link, decoder, .. } = &mut self.stage else {
            return Ok(None);
        };
        loop {
            let count = match link.read(decoder.space()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // A daemon that has proved who it is says when it closes.
                Err(error) if !self.keyed && is_end(&error) => 0,
                read => read.map_err(|source| WireError::Receive {
                    host: self.host.clone(),
                    source,
                })?,
            };
            let progress = match count {
                0 if !decoder.started() => return Ok(Some(Greeting::Alive(None))),
                0 => Err(decoder.eof()),
                count => decoder.filled(count),
            };
            match progress {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => {
                    let empty = HelloDecoder::new(Limits::for_launcher());
                    let hello = std::mem::replace(&mut **decoder, empty).finish();
                    return Ok(Some(Greeting::Alive(hello.ok())));
                }
                Err(source @ ProtocolError::Truncated { .. }) => {
                    let host = self.host.clone();
                    return Err(WireError::Protocol { host, source });
                }
                // Some other daemon that answers everything.  What its jobs are worth will be seen.
                Err(_) => return Ok(Some(Greeting::Alive(None))),
            }
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
