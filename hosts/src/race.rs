//! One job at one host or two: when it is late, whose host is dead, and when a second copy starts elsewhere.
//!
//! A state machine that is told what happened and says what to do next. It knows nothing of sockets, slots and lock files, and no
//! clock, so that launchers and the simulation run the same decisions.
//!
//! A job that takes far longer than its like gets a second copy on a slot that stands idle; whichever ends first counts. A host
//! that gives no sign of life loses the job, which then waits its turn like a new one.  One that cannot be asked for a sign loses it
//! when the job is as good as lost there and no copy can be had.

use crate::pace::{Expected, Moment};

/// A host that has a job has to show that it lives each time so much has passed, in ms.
pub const SIGN_EVERY: Moment = 1000;
/// The first time is sooner: all who wait for a host that had failed learn from it.
pub const SIGN_FIRST: Moment = 500;
/// How long it has to show it.
pub const SIGN_WITHIN: Moment = 1000;
/// A host that is not connected to after so long is not waited for alone.
pub const CONNECT_ALONE: Moment = 250;
/// So many hosts are tried at once as long as none of them is reached.
const TRIED_AT_ONCE: usize = 8;
/// How long one who tries a host that had failed waits for the connection: until then, and for the pause after it, nobody else
/// tries the host.
pub const CONNECT_PROBE: Moment = 1000;
/// How often somebody who may start a second copy looks for an idle slot, and how often he has to see the same one:
/// between two jobs of a busy build a slot is free for a moment too.
const LOOK_EVERY: Moment = 60;
const LOOKS: u32 = 3;
/// Somebody who is not late, but on a slow host, looks so seldom.
const LOOK_CALMLY: Moment = 200;
/// A second copy of a job that is not late has to need so little of the time that the first one still needs.
const WORTH_COPYING: f32 = 0.5;
/// When what is expected is asked for again: after so long, and then each time that the job has taken so much longer.
const EXPECT_AFTER: f32 = 500.0;
const EXPECT_AGAIN: f32 = 1.5;
/// How often a slot is tried for where one is needed.
const TRY_EVERY: Moment = 5;
/// Where nothing is known of such jobs, they are late after this time.
const LATE_UNKNOWN: Moment = 10_000;
/// No job is late before so much has passed beyond what was expected.
const GRACE: f32 = 250.0;
/// How much longer than expected is late: by the usual error, within these limits.
const SPREADS: f32 = 2.5;
const LATE_LEAST: f32 = 1.5;
const LATE_MOST: f32 = 8.0;
/// A job that takes so many times as long as its like is as good as lost: it does not wait for an idle slot.
const LOST: f32 = 12.0;
const LOST_GRACE: f32 = 2000.0;
/// Who may have no second copy asks again after this time.
const ASK_AGAIN: Moment = 1000;

/// Names a leg of the race; each is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegId(u32);

/// A slot that stands idle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Idle {
    pub host: usize,
    pub number: u32,
    /// What the job would take there, in ms.
    pub ms: Option<f32>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Nothing is under way: wait for a slot like everybody, or compile here where no host is left.
    Queue,
    /// Wait for the legs, until this moment at most.
    Watch(Moment),
    /// Which slot of an untried host stands idle?  Answer with [`Race::looked`].
    Look,
    /// Start a second copy in a slot of `host` if there is one free, and if there may be one: [`Race::started`] or
    /// [`Race::refused`].  `counts`: only so many jobs may have one.
    Copy { host: Option<usize>, counts: bool },
    /// Has the leg's host shown a sign of life of late? If nobody asked it, ask. [`Race::sign`] when that is known.
    Sign(LegId),
    /// End the leg: another was reached first, and two were only tried since nobody knew which would be. [`Race::ended`] then.
    Leave(LegId),
    /// Note that the leg's host takes longer than this for the job, in ms.
    Note(LegId, f32),
    /// What is expected of the leg's job by now?  Answer with [`Race::expect`].
    Expect(LegId),
    /// The job is as good as lost where it is, and copies are not made: end the legs of [`Race::lost`] whose hosts do not live.
    /// [`Race::refused`] in any case.
    GiveUp,
}

/// Whether second copies are made at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    Yes,
    /// Hosts that do not answer the connection or are dead are left for others all the same.
    No,
}

/// A job on its way.
#[derive(Debug)]
pub struct Race {
    copies: Copies,
    legs: Vec<Leg>,
    next: u32,
    /// The idle slot that was seen, and how often in a row.
    seen: Option<((usize, u32), u32)>,
    /// Neither looks nor tries before this moment.
    rest: Moment,
}

#[derive(Debug)]
struct Leg {
    id: LegId,
    begun: Moment,
    connected: bool,
    /// Another was reached first.
    outrun: bool,
    /// When all of the job was sent.
    sent: Option<Moment>,
    /// What its host takes for the job, as far as that is known by now, and what the best one takes.
    ms: Option<f32>,
    best: Option<f32>,
    /// When that is asked for again, in ms after it was sent.
    ask: f32,
    /// When it is late, and when it is as good as lost, in ms after it was sent.
    late: f32,
    lost: f32,
    /// The next time that its slowness is noted, in ms after it was sent.
    note: f32,
    /// Can the host be asked for a sign of life, and when next?
    sign: Option<Moment>,
}

impl Leg {
    fn elapsed(&self, now: Moment) -> f32 {
        now.saturating_sub(self.sent.unwrap_or(self.begun)) as f32
    }

    fn is_late(&self, now: Moment) -> bool {
        self.sent.is_some() && self.elapsed(now) >= self.late
    }

    /// Was all of it sent, so long ago that it is as good as lost?
    fn is_overdue(&self, now: Moment) -> bool {
        self.sent.is_some() && self.elapsed(now) >= self.lost
    }

    /// Had its host its time to answer the connection?
    fn is_unreached(&self, now: Moment) -> bool {
        self.sent.is_none() && !self.connected && now >= self.begun + CONNECT_ALONE
    }

    /// The time in ms that it still needs, as far as that is known.  What is late may take as long again.
    fn left(&self, now: Moment) -> f32 {
        let elapsed = self.elapsed(now);
        match self.ms {
            _ if self.is_late(now) => elapsed,
            Some(ms) => WORTH_COPYING * (ms - elapsed),
            None => 0.0,
        }
    }

    /// What is expected was learnt.  Lateness is by the least that was ever expected: what this very job has taken so far is
    /// known of its host too.
    fn expect(&mut self, expected: Option<Expected>) {
        let Some(Expected { ms, spread }) = expected else {
            return;
        };
        let longer = (SPREADS * spread).exp().clamp(LATE_LEAST, LATE_MOST);
        self.ms = Some(ms);
        self.late = self.late.min(ms * longer + GRACE);
        self.lost = self.lost.min(ms * longer.max(LOST) + LOST_GRACE);
        if self.note == f32::INFINITY {
            self.note = self.late;
        }
    }

    /// When something about it changes by itself.
    fn until(&self, now: Moment) -> Moment {
        let Some(sent) = self.sent else {
            let alone = Some(self.begun + CONNECT_ALONE).filter(|_| !self.connected);
            let times = alone.into_iter().chain(self.sign);
            return times
                .filter(|time| *time > now)
                .min()
                .unwrap_or(Moment::MAX);
        };
        let after = |ms: f32| sent.saturating_add(ms.ceil() as Moment);
        let times = [self.late, self.lost, self.note, self.ask].map(after);
        let soonest = times
            .into_iter()
            .chain(self.sign)
            .filter(|time| *time > now);
        soonest.min().unwrap_or(Moment::MAX)
    }
}

impl Race {
    pub fn new(copies: Copies) -> Race {
        Race {
            copies,
            legs: Vec::new(),
            next: 0,
            seen: None,
            rest: 0,
        }
    }

    /// A leg begins to connect.
    pub fn started(&mut self, now: Moment) -> LegId {
        let id = LegId(self.next);
        self.next += 1;
        self.seen = None;
        self.legs.push(Leg {
            id,
            begun: now,
            connected: false,
            outrun: false,
            sent: None,
            ms: None,
            best: None,
            ask: f32::INFINITY,
            late: f32::INFINITY,
            lost: f32::INFINITY,
            note: f32::INFINITY,
            sign: None,
        });
        id
    }

    /// What was to be had before the leg could set out took until now: that is not the host's time.
    pub fn set_out(&mut self, id: LegId, now: Moment) {
        let mut legs = self.legs.iter_mut();
        if let Some(leg) = legs.find(|leg| leg.id == id && !leg.connected) {
            leg.begun = leg.begun.max(now);
        }
    }

    /// The host took the connection. `answers`: it can be asked for a sign of life.
    pub fn connected(&mut self, id: LegId, answers: bool, now: Moment) {
        self.reached(id);
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.id == id) {
            leg.sign = answers.then_some(now + SIGN_FIRST);
        }
    }

    /// The first that is reached of those of which none was gets the job; a copy of a job that a host has is another matter.
    fn reached(&mut self, id: LegId) {
        let first = self.legs.iter().all(|leg| !leg.connected);
        for leg in &mut self.legs {
            leg.connected |= leg.id == id;
            leg.outrun |= first && leg.id != id;
        }
    }

    /// All of the job was sent.  `expected` is what the host takes for it; `answers`: it can be asked for a sign of life.
    pub fn sent(&mut self, id: LegId, expected: Option<Expected>, answers: bool, now: Moment) {
        self.reached(id);
        let Some(leg) = self.legs.iter_mut().find(|leg| leg.id == id) else {
            return;
        };
        leg.sent = Some(now);
        leg.sign = answers.then_some(leg.sign.unwrap_or(now + SIGN_FIRST));
        (leg.late, leg.lost) = (LATE_UNKNOWN as f32, LATE_UNKNOWN as f32 * LOST);
        leg.ask = EXPECT_AFTER;
        leg.expect(expected);
    }

    /// What [`Step::Expect`] asked for: what the leg's host takes for the job, and what the best of all takes, in ms.
    pub fn expect(&mut self, id: LegId, expected: Option<Expected>, best: Option<f32>) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.id == id) {
            leg.expect(expected);
            leg.best = best;
        }
    }

    /// The leg is over, in whatever way.
    pub fn ended(&mut self, id: LegId) {
        self.legs.retain(|leg| leg.id != id);
        self.seen = None;
    }

    /// The leg's host lives, or somebody is just asking it: `next` is when to see again.
    pub fn sign(&mut self, id: LegId, next: Moment) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.id == id) {
            leg.sign = leg.sign.map(|_| next);
        }
    }

    /// What [`Step::Look`] found.
    pub fn looked(&mut self, idle: Option<Idle>, now: Moment) {
        let left = self.legs.first().map_or(0.0, |leg| leg.left(now));
        let late = self.legs.first().is_some_and(|leg| leg.is_late(now));
        // Beginning anew has to be better than to go on.
        let useful = idle.filter(|idle| idle.ms.map_or(late, |ms| ms < left));
        self.seen = useful.map(|idle| {
            let slot = (idle.host, idle.number);
            let before = self.seen.filter(|(seen, _)| *seen == slot);
            (slot, before.map_or(0, |(_, times)| times) + 1)
        });
        let calm = !late && self.seen.is_none();
        self.rest = now + if calm { LOOK_CALMLY } else { LOOK_EVERY };
    }

    /// No second copy was started: `over` when there may be none now, else only no slot was free.
    pub fn refused(&mut self, over: bool, now: Moment) {
        self.seen = None;
        self.rest = now + if over { ASK_AGAIN } else { TRY_EVERY };
    }

    /// The legs whose hosts have all of the job for many times as long as such jobs are known to take.
    pub fn lost(&self, now: Moment) -> Vec<LegId> {
        let known = self.legs.iter().filter(|leg| leg.ms.is_some());
        let legs = known.filter(|leg| leg.is_overdue(now));
        legs.map(|leg| leg.id).collect()
    }

    /// What to do at `now`.
    pub fn step(&mut self, now: Moment) -> Step {
        if self.legs.is_empty() {
            return Step::Queue;
        }
        if let Some(leg) = self.legs.iter().find(|leg| leg.outrun) {
            return Step::Leave(leg.id);
        }
        for leg in &mut self.legs {
            if leg.sign.is_some_and(|time| time <= now) {
                return Step::Sign(leg.id);
            }
            let elapsed = leg.elapsed(now);
            if leg.sent.is_some() && elapsed >= leg.note {
                leg.note = elapsed * 2.0;
                return Step::Note(leg.id, elapsed);
            }
            if leg.sent.is_some() && elapsed >= leg.ask {
                leg.ask = elapsed * EXPECT_AGAIN;
                return Step::Expect(leg.id);
            }
        }
        if let Some(step) = self.second(now) {
            return step;
        }
        let rest = Some(self.rest).filter(|_| self.wants_another(now));
        let legs = self.legs.iter().map(|leg| leg.until(now));
        Step::Watch(legs.chain(rest).min().unwrap_or(Moment::MAX))
    }

    /// Is something to be done about a second leg, once it has rested?
    fn wants_another(&self, now: Moment) -> bool {
        let late =
            |leg: &Leg| leg.is_late(now) || leg.best.is_some_and(|best| best < leg.left(now));
        let alone = || match &self.legs[..] {
            [leg] if leg.sent.is_some() => self.copies == Copies::Yes && late(leg),
            _ => false,
        };
        self.is_unreached(now) || self.is_overdue(now) || alone()
    }

    /// Is no host reached, though each had its time, and may there be one more?
    fn is_unreached(&self, now: Moment) -> bool {
        self.may_grow() && self.legs.iter().all(|leg| leg.is_unreached(now))
    }

    /// Is the job as good as lost wherever it is?
    fn is_overdue(&self, now: Moment) -> bool {
        self.may_grow() && self.legs.iter().all(|leg| leg.is_overdue(now))
    }

    fn may_grow(&self) -> bool {
        self.legs.len() < TRIED_AT_ONCE
    }

    /// Is it time for a second leg, or one more where none is reached or all are lost?
    fn second(&self, now: Moment) -> Option<Step> {
        if now < self.rest || !self.wants_another(now) {
            return None;
        }
        let any = |counts| Step::Copy { host: None, counts };
        Some(match self.seen {
            _ if self.is_unreached(now) => any(false),
            _ if self.is_overdue(now) && self.copies == Copies::No => Step::GiveUp,
            _ if self.is_overdue(now) => any(true),
            Some(((host, _), times)) if times >= LOOKS => Step::Copy {
                host: Some(host),
                counts: true,
            },
            _ => Step::Look,
        })
    }
}

#[cfg(test)]
mod tests;
