//! Which slot next: the one where the job is expected to end first.
//!
//! A slot's number stands for the jobs that its host has already, since slots are taken in the order of their numbers. What is
//! about equal is equal: then the lower number wins, and then the order of the list. Knows nothing of lock files and no clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use crate::pace::{Expected, HostRow, Moment, Paces, Store, Work};

/// Times that differ by less than this factor (a logarithm) are equal.
const EQUAL: f32 = 0.25;
/// Waiting for a faster slot has to save so much of the time.
const WORTH_WAITING: f32 = 0.8;
/// A free slot is taken at once if the job ends there in less than the build has taken so far: while there are
/// more jobs, waiting for a faster one leaves it unused. Who knows how long the build takes? About as long again.
const SHORT: f32 = 0.8;

/// So much of a build's time is little.
const LITTLE: f32 = 0.05;

/// What is expected of the hosts that a job may go to.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    hosts: Vec<Prospect>,
    work: Option<Expected>,
    /// For how many ms the build has been running.
    running: f32,
}

/// What is expected of one host.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Prospect {
    /// ln of its pace for the job, and what its jobs so far say of that alone, however few they were.
    pace: f32,
    seen: f32,
    /// Jobs that it does at once without each taking longer.
    capacity: Option<f32>,
    /// Jobs of others that wait there for each of its slots.
    waiting: f32,
}

impl Prospect {
    fn of(row: &HostRow, work: &Work, spread: f32, now: Moment) -> Prospect {
        Prospect {
            pace: row.pace(work.kind, spread, now),
            seen: row.pace(work.kind, 0.0, now),
            capacity: row.capacity(now),
            waiting: row.waiting(now),
        }
    }

    /// How many times as long as on a host of pace 1 the job takes in slot `number`.
    fn factor(&self, number: u32) -> f32 {
        let jobs = number as f32 + 1.0;
        let crowded = self
            .capacity
            .map_or(1.0, |capacity| (jobs / capacity.max(1.0)).max(1.0));
        self.pace.exp() * (crowded + self.waiting)
    }
}

impl Outlook {
    /// Of `work` on the hosts with these numbers in the table.
    pub fn new<S: Store>(
        paces: &Paces<S>,
        hosts: impl IntoIterator<Item = u64>,
        work: &Work,
        now: Moment,
    ) -> Outlook {
        let expected = paces.expect(work);
        let spread = expected.map_or(1.0, |expected| expected.spread);
        let mut new = Vec::new();
        let prospect = |(place, key)| {
            let row = paces.host(key, now);
            if row.count == 0 {
                new.push(place);
            }
            Prospect::of(&row, work, spread, now)
        };
        let mut hosts: Vec<Prospect> = hosts.into_iter().enumerate().map(prospect).collect();
        // A new host is taken for one as good as the best, so that it gets tried.
        let known = hosts.iter().enumerate();
        let known = known.filter(|(place, _)| new.binary_search(place).is_err());
        let best = known.map(|(_, host)| host.pace).min_by(f32::total_cmp);
        for place in new {
            hosts[place].pace = best.unwrap_or(0.0);
        }
        Outlook {
            hosts,
            work: expected,
            running: paces.running(now) as f32,
        }
    }

    /// Of another job of the same kind, of which this is expected on a host of pace 1.
    #[must_use]
    pub fn of(&self, work: Option<Expected>) -> Outlook {
        Outlook {
            work,
            ..self.clone()
        }
    }

    /// Where nothing is known and all hosts are equal.
    pub fn blank() -> Outlook {
        Outlook::default()
    }

    fn factor(&self, host: usize, number: u32) -> f32 {
        self.hosts.get(host).map_or(1.0, |host| host.factor(number))
    }

    /// What the job is expected to take in that slot, in ms; `None` where nothing like it was ever done.
    pub fn ms(&self, host: usize, number: u32) -> Option<f32> {
        Some(self.work?.ms * self.factor(host, number))
    }

    /// The same, with how sure that is.
    pub fn expected(&self, host: usize, number: u32) -> Option<Expected> {
        let work = self.work?;
        Some(Expected {
            ms: work.ms * self.factor(host, number),
            ..work
        })
    }

    /// Does the job end in that slot in a small part of the time that the build has taken so far?
    pub fn is_short(&self, host: usize, number: u32) -> bool {
        // A host that was slow a few times is believed: what is taken in vain holds up the build's end.
        let slower = self
            .hosts
            .get(host)
            .map_or(0.0, |host| (host.seen - host.pace).max(0.0));
        self.ms(host, number)
            .is_some_and(|ms| ms * slower.exp() < SHORT * self.running)
    }

    /// What the job is expected to take on the best of the hosts, in ms, were its first slot free; and at least a small part of
    /// the build so far, since there may be only few second copies, and jobs that hold up a build need them most.
    pub fn best(&self) -> Option<f32> {
        let all = (0..self.hosts.len()).filter_map(|host| self.ms(host, 0));
        let best = all.min_by(f32::total_cmp)?;
        Some(best.max(LITTLE * self.running))
    }

    /// All slots, the best first, where `ranges` says which numbers each host has.
    pub fn order(&self, ranges: Vec<Range<u32>>) -> impl Iterator<Item = (usize, u32)> {
        let rank = |host, number| (self.factor(host, number).ln() / EQUAL).round() as i32;
        let firsts = ranges.iter().enumerate();
        let mut next: BinaryHeap<Reverse<(i32, u32, usize)>> = firsts
            .filter(|(_, range)| !range.is_empty())
            .map(|(host, range)| Reverse((rank(host, range.start), range.start, host)))
            .collect();
        std::iter::from_fn(move || {
            let Reverse((_, number, host)) = next.pop()?;
            if number + 1 < ranges[host].end {
                next.push(Reverse((rank(host, number + 1), number + 1, host)));
            }
            Some((host, number))
        })
    }
}

/// A slot that somebody has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Busy {
    /// How long the job in it has run, and what it was expected to take, in ms.
    pub elapsed: f32,
    pub expected: f32,
    /// What the job at hand would take in it.
    pub ms: f32,
}

impl Busy {
    /// When the job at hand would have ended, in ms from now, were it to wait for this slot.
    pub fn would_end(&self) -> f32 {
        let over = self.elapsed - self.expected;
        // Who is late is likely to be as late again.
        let left = if over < 0.0 {
            -over
        } else {
            over + 0.05 * self.expected
        };
        left + self.ms
    }
}

/// Slots in the order in which they are wanted, as somebody sees them who looks for one.
pub trait Hold {
    type Error;

    /// Takes slot `index` of the order if nobody has it; `None` when there are no more.
    fn try_take(&mut self, index: usize) -> Result<Option<bool>, Self::Error>;

    /// Gives it back.
    fn give_back(&mut self, index: usize);

    /// What the job at hand takes in it, in ms.
    fn ms(&self, index: usize) -> Option<f32>;

    /// Does the job at hand take little of the whole build's time in it?
    fn is_short(&self, index: usize) -> bool;

    /// What is known of the job that is in it.
    fn busy(&self, index: usize) -> Option<Busy>;
}

/// What came of a look at all slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// This one of the order has been taken.
    Take(usize),
    /// One is free, but it is better to wait for another.
    Wait,
    /// Somebody has each.
    None,
}

/// Takes the best slot that is free, unless it is better to wait.
///
/// # Errors
/// Those of `slots`.
pub fn pick<S: Hold>(slots: &mut S) -> Result<Pick, S::Error> {
    let mut index = 0;
    while let Some(taken) = slots.try_take(index)? {
        if taken {
            let before = (0..index).filter_map(|before| slots.busy(before));
            let waits = |free: f32| {
                let faster = before.filter(|busy| busy.ms * EQUAL.exp() < free);
                better_to_wait(free, faster)
            };
            if index > 0 && !slots.is_short(index) && slots.ms(index).is_some_and(waits) {
                slots.give_back(index);
                return Ok(Pick::Wait);
            }
            return Ok(Pick::Take(index));
        }
        index += 1;
    }
    Ok(Pick::None)
}

/// Is it better to wait for one of the `busy` slots than to take a free one, where the job takes `free` ms?
pub fn better_to_wait(free: f32, busy: impl IntoIterator<Item = Busy>) -> bool {
    soonest(busy).is_some_and(|soonest| soonest < free * WORTH_WAITING)
}

/// When the job at hand would have ended, in ms from now, in the best of the `busy` slots.
pub fn soonest(busy: impl IntoIterator<Item = Busy>) -> Option<f32> {
    let ends = busy.into_iter().map(|busy| busy.would_end());
    ends.min_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::{InMemory, Kind, Unit};

    fn work(unit: &[u8]) -> Work {
        Work {
            kind: Kind::new(0, true, false),
            unit: Unit::of([unit]),
            bytes: Some(1000),
        }
    }

    /// Hosts 1, 2, …, each with these ms for jobs.
    fn outlook(ms: &[f32]) -> Outlook {
        let paces = Paces::new(InMemory::default());
        for round in 0..10u8 {
            for (host, ms) in (1..).zip(ms) {
                if *ms > 0.0 {
                    paces.finished(host, &work(&[round]), *ms, 1, false, 1000);
                }
            }
        }
        let keys = (1..).take(ms.len());
        Outlook::new(&paces, keys, &work(b"new"), 1000)
    }

    fn order(outlook: &Outlook, slots: &[u32]) -> String {
        let ranges = slots.iter().map(|slots| 0..*slots).collect();
        let names = outlook
            .order(ranges)
            .map(|(host, number)| format!("{}{number}", (b'a' + host as u8) as char));
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn equal_hosts_are_filled_side_by_side_in_the_order_of_the_list() {
        let wanted = "a0 b0 c0 a1 c1 c2";
        assert_eq!(order(&Outlook::blank(), &[2, 1, 3]), wanted);
        assert_eq!(
            order(&outlook(&[1000.0, 1050.0, 960.0]), &[2, 1, 3]),
            wanted
        );
        let list = order(&outlook(&[1000.0, 0.0, 1000.0]), &[1, 2, 1]);
        assert_eq!(list, "a0 b0 c0 b1", "a new host gets tried");
        let list = order(&outlook(&[0.0, 400.0, 1000.0]), &[1, 2, 1]);
        assert_eq!(
            list, "a0 b0 b1 c0",
            "and before those that are slower than the best"
        );
    }

    #[test]
    fn a_faster_host_is_filled_first() {
        let outlook = outlook(&[1000.0, 250.0, 4000.0]);
        assert_eq!(order(&outlook, &[2, 2, 2]), "b0 b1 a0 a1 c0 c1");
    }

    #[test]
    fn in_a_long_build_a_slow_slot_is_short() {
        let paces = Paces::new(InMemory::default());
        let outlook = |now| Outlook::new(&paces, [1, 2], &work(b"new"), now);
        assert!(!outlook(1_000_000).is_short(0, 0));
        for second in 1..=100u8 {
            let now = 1_000_000 + u64::from(second) * 1000;
            paces.finished(1, &work(&[second]), 1000.0, 1, false, now);
            paces.finished(2, &work(&[second]), 10_000.0, 1, false, now);
        }
        let late = outlook(1_100_000);
        assert!(late.is_short(1, 0));
        let best = late.best().expect("known");
        assert!(best > 4000.0, "a copy would save too little: {best}");
        assert!(!outlook(2_000_000).is_short(0, 0), "that build is over");
    }

    #[test]
    fn it_is_worth_waiting_for_a_slot_that_ends_sooner() {
        let busy = |elapsed| Busy {
            elapsed,
            expected: 1000.0,
            ms: 1000.0,
        };
        assert!(better_to_wait(10_000.0, [busy(500.0)]));
        assert!(!better_to_wait(1500.0, [busy(100.0)]));
        assert!(!better_to_wait(10_000.0, [busy(30_000.0)]), "it hangs");
        assert!(!better_to_wait(10_000.0, []));
        assert_eq!(soonest([busy(100.0), busy(400.0)]), Some(1600.0));
    }
}
