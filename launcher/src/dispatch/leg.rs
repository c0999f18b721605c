//! A job on its way at one host.
//!
//! A leg knows what was gathered for it and how far it has come; what comes next, [`Dispatch`](super::Dispatch) knows.  Dropping it
//! closes its connection, which ends the compile there, and gives back its slot.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Instant;

use hosts::race::LegId;
use hosts::{ProbeGuard, Slot};
use protocol::closure_talk::Form;
use rustix::event::PollFlags;

use super::Stop;
use super::text::Text;
use crate::peer::{Peer, Question};
use crate::pump::Files;
use crate::wire::{Connecting, Exchange};

/// What a job is sent as; shared by all legs that take the same.
#[derive(Debug, Clone)]
pub(crate) enum Gathered {
    Text(Rc<RefCell<Text>>),
    Files(Rc<Files>),
}

/// A job on its way at one host.
pub(crate) struct Leg {
    /// The host's place in the list.
    pub index: usize,
    pub slot: Slot,
    /// Held until it is known what the host, which failed before, makes of this job.
    pub probe: Option<ProbeGuard>,
    pub begun: Instant,
    /// When what is under way now set out for the host: what is gathered first takes its time.
    pub set_out: Instant,
    /// Has it been noted that the host does not answer the connection?
    pub unreached: bool,
    /// Its name in the race.
    pub id: LegId,
    /// When all of the job was sent to the host.
    pub sent: Option<Instant>,
    /// Was it started while another was under way?
    pub beside: bool,
    /// How far it was when [`Event`](super::Event) told of it last.
    pub(super) told: Progress,
    /// Whose daemon it is; stock's until that is known.
    pub(super) peer: Peer,
    /// Has it said that its machine's own headers are others?
    pub(super) whole_tree: bool,
    pub(super) gathered: Option<Gathered>,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// Whose daemon is it?
    Asking(Box<Question>),
    Connecting(Connecting),
    Underway(Box<Exchange>),
    /// Told by the next look.
    Stopped(Option<Stop>),
}

/// How far a leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// The host is being asked or connected with.
    Begun,
    /// The host has been reached, and takes the job.
    Connected,
    /// All of the job is on its way.
    Sent,
}

impl Leg {
    /// How far is it?
    pub(crate) fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Underway(exchange) if exchange.is_sent() => Progress::Sent,
            Stage::Underway(_) => Progress::Connected,
            _ => Progress::Begun,
        }
    }

    /// Does nobody there answer the connection yet?
    pub(crate) fn is_connecting(&self) -> bool {
        match &self.stage {
            Stage::Asking(question) => question.is_connecting(),
            Stage::Connecting(_) => true,
            Stage::Underway(_) | Stage::Stopped(_) => false,
        }
    }

    /// Does its host run a daemon of ours?
    pub(crate) fn is_ours(&self) -> bool {
        self.peer.ours
    }

    /// Bytes of what is sent, once that is known, as far as the time of the compile depends on it.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self.gathered.as_ref()? {
            Gathered::Files(files) => Some(files.size),
            Gathered::Text(text) => text.borrow().bytes,
        }
    }

    /// The form that its files went in, if it was given these instead of preprocessed text.
    pub(crate) fn pumped(&self) -> Option<Form> {
        match &self.gathered {
            Some(Gathered::Files(files)) => Some(files.form),
            _ => None,
        }
    }

    /// The text that it was given.
    pub(crate) fn text(&self) -> Option<&RefCell<Text>> {
        match &self.gathered {
            Some(Gathered::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Does what it was given need a daemon of ours?
    pub(super) fn wants_ours(&self) -> bool {
        match &self.gathered {
            Some(Gathered::Files(files)) => files.form != Form::Stock,
            Some(Gathered::Text(text)) => text.borrow().manner.needs_ours(),
            None => false,
        }
    }

    /// What it waits for, with the moment that it is due at the latest.
    pub(super) fn wants<'s>(&'s self, fds: &mut Vec<(BorrowedFd<'s>, PollFlags)>) -> Instant {
        match &self.stage {
            Stage::Asking(question) => question.wants(fds).unwrap_or_else(Instant::now),
            Stage::Connecting(connecting) => connecting.wants(fds),
            Stage::Underway(exchange) => exchange.wants(fds),
            Stage::Stopped(_) => Instant::now(),
        }
    }
}
