//! All that is under way, looked after at once: one poll(2) over every connection.

use std::time::{Duration, Instant};

use protocol::Outcome;

use super::{Dispatch, Leg, Progress, Stop};
use crate::peer::{Greeting, Question};
use crate::wire;

/// How often a job that may not lend its token tries again.
const LEND_AGAIN: Duration = Duration::from_millis(50);
/// How often monitors are shown that we are alive.
const SHOW: Duration = Duration::from_secs(30);

/// What came first.
#[derive(Debug)]
pub(crate) enum Event {
    /// The leg of this number has its outcome, and is over.
    Outcome(usize, Outcome),
    /// The leg of this number is over without one.
    Failed(usize, Stop),
    /// The leg of this number is further than it was ([`Leg::progress`]).
    Moved(usize),
    /// The question of this number is settled.
    Answer(usize, Greeting),
    /// The time is over.
    Time,
}

impl Dispatch<'_> {
    /// Goes on with all of `legs` and `questions` until one of them is over, or it is `until`.  Lends the build tool's token while a
    /// host has the job.
    pub(crate) fn watch(
        &mut self,
        legs: &mut [Leg],
        questions: &mut [Question],
        until: Option<Instant>,
    ) -> Event {
        loop {
            let now = Instant::now();
            for (number, leg) in legs.iter_mut().enumerate() {
                match self.advance(leg, now) {
                    Ok(None) if leg.progress() > leg.told => {
                        leg.told = leg.progress();
                        return Event::Moved(number);
                    }
                    Ok(None) => {}
                    Ok(Some(outcome)) => return Event::Outcome(number, outcome),
                    Err(stop) => return Event::Failed(number, stop),
                }
            }
            for (number, question) in questions.iter_mut().enumerate() {
                if let Some(greeting) = question.advance(now) {
                    return Event::Answer(number, greeting);
                }
            }
            if until.is_some_and(|until| until <= now) {
                return Event::Time;
            }
            let due = self.keep_up(legs, now);
            let mut wanted = Vec::with_capacity(4);
            let legs = legs.iter().map(|leg| leg.wants(&mut wanted));
            let due = legs.chain(until).fold(due, Instant::min);
            let questions = questions.iter();
            let due = questions
                .filter_map(|question| question.wants(&mut wanted))
                .fold(due, Instant::min);
            wire::wait(&wanted, Some(due));
        }
    }

    /// Does what is due from time to time; gives the time when it is due again.
    fn keep_up(&mut self, legs: &[Leg], now: Instant) -> Instant {
        if now >= self.shown + SHOW {
            self.show_again();
        }
        let due = self.shown + SHOW;
        match legs.iter().any(|leg| leg.progress() == Progress::Sent) && !self.lend() {
            true => due.min(now + LEND_AGAIN),
            false => due,
        }
    }

    /// True once there is nothing to lend.
    fn lend(&mut self) -> bool {
        let lender = self.lender.as_mut();
        lender.is_none_or(|lender| lender.lend_beside(self.list))
    }
}
