//! Signs of life: whether the hosts that have the job, or failed before, are there at all.
//!
//! A daemon of ours answers a greeting at any time, so one that does not is dead or cut off, and its jobs are lost.  Stock's
//! answers only while one of its children is free: nothing is made of its silence.  One launcher asks for all, once in a second.

use std::time::{Duration, Instant, SystemTime};

use hosts::Transport;
use hosts::pace::{self, Moment, Sign};
use hosts::race::{LegId, SIGN_EVERY};

use super::Trip;
use crate::dispatch::{Event, Leg};
use crate::peer::{Greeting, Peer, Question};

/// How long a host that failed before may take to answer, before it gets a job again.
const GREETS_WITHIN: Duration = Duration::from_millis(500);

/// The host gave no sign of life.
#[derive(Debug, thiserror::Error)]
#[error("{0} has the job and does not answer a greeting")]
pub(super) struct NoSign(pub String);

/// The host has the job for far too long.
#[derive(Debug, thiserror::Error)]
#[error("{0} takes many times as long as it did for such jobs, and has done no other since")]
pub(super) struct Overdue(pub String);

/// Greetings under way, each with the host's number in the table and when it went out.
#[derive(Default)]
pub(super) struct Greetings {
    pub questions: Vec<Question>,
    asked: Vec<(u64, Moment)>,
}

impl Trip<'_> {
    /// Can the leg's host be asked for a sign of life?
    pub(super) fn answers(&self, leg: &Leg) -> bool {
        let host = &self.dispatch.list.hosts[leg.index];
        leg.is_ours() && matches!(host.transport, Transport::Tcp { .. })
    }

    /// Has the leg's host done anything since it had the job?  Of one that can be asked, [`Trip::is_dead`] knows more.
    pub(super) fn lives(&self, leg: &Leg) -> bool {
        let host = &self.dispatch.list.hosts[leg.index];
        let since = leg
            .sent
            .and_then(|sent| SystemTime::now().checked_sub(sent.elapsed()));
        let row = self.paces.host(pace::host_key(host), self.clock.now());
        self.answers(leg) || since.is_some_and(|since| row.lives_since(since))
    }

    /// Has the leg's host shown a sign of life?  Asks where nobody does.  True when it is dead.
    pub(super) fn is_dead(&mut self, id: LegId, now: Moment) -> bool {
        let Some(leg) = self.legs.iter().find(|leg| leg.id == id) else {
            return false;
        };
        let host = &self.dispatch.list.hosts[leg.index];
        let key = pace::host_key(host);
        let since = self.clock.at(leg.sent.unwrap_or(leg.begun));
        match self.paces.sign(key, since, now) {
            Sign::Silent => return true,
            Sign::Alive { again } | Sign::Asked { again } => self.race.sign(id, again),
            Sign::Ask { within } => {
                let limit = Duration::from_millis(within);
                let settings = self.dispatch.command.settings;
                let question = Question::within(host, settings, limit);
                self.greetings.questions.push(question);
                self.greetings.asked.push((key, now));
                // By then it has answered, or is silent.
                self.race.sign(id, now + within + 1);
            }
        }
        false
    }

    /// The greeting of this number is settled.
    pub(super) fn greeted(&mut self, number: usize, greeting: Greeting) {
        self.greetings.questions.swap_remove(number);
        let (key, asked) = self.greetings.asked.swap_remove(number);
        let now = self.clock.now();
        let dead = match greeting {
            Greeting::Alive(hello) => {
                let hello = hello.unwrap_or_default();
                let load = hello.load.map(|load| (load.free, load.queue));
                self.paces.answered(key, hello.jobs, load, now);
                false
            }
            // Nobody listens: it may be draining, with our job still at work.  A network that is gone cuts the job's own connection.
            Greeting::Dead(error) if error.is_refusal() || error.is_fault_here() => false,
            Greeting::Silent | Greeting::Dead(_) => self.paces.was_silent(key, asked, now),
        };
        // Who asked knows it, also where the table cannot be written.
        let hosts = &self.dispatch.list.hosts;
        let its = |leg: &&Leg| pace::host_key(&hosts[leg.index]) == key;
        let ids: Vec<LegId> = self.legs.iter().filter(its).map(|leg| leg.id).collect();
        for id in ids {
            match dead {
                true => self.lose(id),
                false => self.race.sign(id, now + SIGN_EVERY),
            }
        }
    }

    /// Leaves the greetings that are under way to others.
    pub(super) fn stop_asking(&mut self) {
        self.greetings.questions.clear();
        let now = self.clock.now();
        for (key, asked) in self.greetings.asked.drain(..) {
            self.paces.stopped_asking(key, asked, now);
        }
    }

    /// Does a host that failed before answer a greeting?  One of stock's is believed to.
    pub(super) fn greets(&mut self, index: usize) -> bool {
        let host = &self.dispatch.list.hosts[index];
        let settings = self.dispatch.command.settings;
        let tcp = matches!(host.transport, Transport::Tcp { .. });
        let ours = Peer::recall(host, settings.folder.as_deref()).is_some_and(|peer| peer.ours);
        if !tcp || !ours {
            return true;
        }
        let mut question = [Question::within(host, settings, GREETS_WITHIN)];
        let until = Instant::now() + GREETS_WITHIN;
        match self.dispatch.watch(&mut [], &mut question, Some(until)) {
            Event::Answer(_, greeting) => matches!(greeting, Greeting::Alive(_)),
            _ => false,
        }
    }
}
