//! One user's build: the jobs, the list of hosts, and what the launchers share in the folder for locks.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hosts::choice::{Busy, Hold};
use hosts::pace::{InMemory, Kind, Moment, Paces, Unit, Work};
use hosts::{Backoff, Outlook, Period};

use crate::launcher::Launcher;
use crate::random::Random;
use crate::{LauncherNumber, LegNumber, Micros, moment};

/// One compile.
#[derive(Debug, Clone)]
pub struct Job {
    /// Microseconds on a host of pace 1.
    pub work: f64,
    pub kind: Kind,
    pub unit: Unit,
    pub bytes: u64,
}

impl Job {
    pub fn new(number: usize, milliseconds: f64, kind: Kind, bytes: u64) -> Job {
        Job {
            work: milliseconds * 1e3,
            kind,
            unit: Unit::of([&number.to_le_bytes()[..]]),
            bytes,
        }
    }

    /// What is known of it before or after it was preprocessed.
    pub fn work(&self, prepared: bool) -> Work {
        Work {
            kind: self.kind,
            unit: self.unit,
            bytes: prepared.then_some(self.bytes),
        }
    }
}

/// A build, and how it is done.
#[derive(Debug, Clone)]
pub struct Build {
    pub jobs: Vec<Job>,
    /// Launchers at once.
    pub width: usize,
    /// Machines, and slots that the list gives them.
    pub hosts: Vec<(usize, u32)>,
    pub local_slots: usize,
    /// How many times as long as on the fastest host a job takes here.
    pub local_pace: f64,
    /// Is this machine used while it has nothing else to do?
    pub use_local: bool,
    pub copies: bool,
    pub start: Micros,
    /// From one start of a launcher to the next, and what a launcher needs before, while and after it has a slot.
    pub spawn: Micros,
    pub before: Micros,
    pub prepare: Micros,
    pub after: Micros,
}

impl Build {
    pub fn new(jobs: Vec<Job>, width: usize, hosts: Vec<(usize, u32)>) -> Build {
        Build {
            jobs,
            width,
            hosts,
            local_slots: 2,
            local_pace: 1.0,
            use_local: false,
            copies: true,
            start: 0,
            spawn: 300,
            before: 4_000,
            prepare: 15_000,
            after: 5_000,
        }
    }
}

/// What is known of a slot's holder.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub leg: LegNumber,
    pub since: Micros,
    pub expected: Option<f32>,
}

pub struct Client {
    pub build: Build,
    pub paces: Paces<InMemory>,
    pub keys: Vec<u64>,
    pub slots: Vec<Vec<Option<Held>>>,
    pub free: usize,
    pub backoff: Vec<Option<Backoff>>,
    pub probing: Vec<Option<LegNumber>>,
    pub queue: VecDeque<LauncherNumber>,
    /// When the first in the queue looks next.
    pub look: Option<Micros>,
    pub local: Vec<Option<LauncherNumber>>,
    pub local_queue: VecDeque<LauncherNumber>,
    pub started: usize,
    pub running: usize,
    pub ended: usize,
    pub last_end: Micros,
    known: RefCell<Vec<Option<(Outlook, Micros)>>>,
}

/// On a farm of so many hosts what was read of them is good for a moment: a simulation of thousands of launchers would do nothing
/// but read.
const MANY: usize = 50;
const REMEMBERED: Micros = 200_000;

/// May a host be tried by a job?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    Yes,
    Probe,
    No,
}

/// The moment as a file's time.
pub fn system_time(now: Micros) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(moment(now))
}

impl Client {
    pub fn new(build: Build, paces: Paces<InMemory>) -> Client {
        let slots: Vec<_> = build
            .hosts
            .iter()
            .map(|(_, n)| vec![None; *n as usize])
            .collect();
        let free = slots.iter().map(Vec::len).sum();
        let key = |machine: usize| Random::new(machine as u64 + 77).number().max(1);
        Client {
            keys: build
                .hosts
                .iter()
                .map(|(machine, _)| key(*machine))
                .collect(),
            backoff: vec![None; slots.len()],
            probing: vec![None; slots.len()],
            free,
            slots,
            paces,
            queue: VecDeque::new(),
            look: None,
            local: vec![None; build.local_slots],
            local_queue: VecDeque::new(),
            started: 0,
            running: 0,
            ended: 0,
            last_end: 0,
            known: RefCell::new(vec![None; Kind::COUNT]),
            build,
        }
    }

    /// The most second copies among a thousand jobs, where 5 % are fewer.
    pub fn allowance(&self) -> u32 {
        let largest = self.slots.iter().map(Vec::len).max().unwrap_or(0);
        largest.max(8) as u32
    }

    pub fn may_try(&self, host: usize, now: Micros) -> May {
        let Some(backoff) = self.backoff[host] else {
            return May::Yes;
        };
        let time = system_time(now);
        if backoff.until(Period::Growing, time) > time {
            return May::No;
        }
        match self.probing[host] {
            None => May::Probe,
            // Its job is not done yet, but the host lives.
            Some(_) => {
                let row = self.paces.host(self.keys[host], moment(now));
                match row.lives_since(backoff.noted) {
                    true => May::Yes,
                    false => May::No,
                }
            }
        }
    }

    /// Is there a host that may be tried?
    pub fn has_candidate(&self, tried: &[usize], now: Micros) -> bool {
        let mut all = 0..self.slots.len();
        all.any(|host| !tried.contains(&host) && self.may_try(host, now) != May::No)
    }

    /// Of a job on all hosts of the list.
    pub fn outlook(&self, work: &Work, now: Micros) -> Outlook {
        let read = || {
            let keys = self.keys.iter().copied();
            Outlook::new(&self.paces, keys, work, moment(now))
        };
        if self.keys.len() < MANY {
            return read();
        }
        let mut known = self.known.borrow_mut();
        let known = &mut known[work.kind.number()];
        match known {
            Some((outlook, until)) if now < *until => outlook.of(self.paces.expect(work)),
            _ => {
                let outlook = read();
                *known = Some((outlook.clone(), now + REMEMBERED));
                outlook
            }
        }
    }

    /// The slots of each host, none of those that may not be tried.
    pub fn ranges(&self, tried: &[usize], now: Micros) -> Vec<Range<u32>> {
        let slots = self.slots.iter().enumerate().map(|(host, slots)| {
            let may = !tried.contains(&host) && self.may_try(host, now) != May::No;
            if may { slots.len() as u32 } else { 0 }
        });
        slots.map(|slots| 0..slots).collect()
    }

    /// The launcher's job, as far as the launcher knows it.
    pub fn work(&self, launcher: &Launcher) -> Work {
        self.build.jobs[launcher.job].work(launcher.prepared.is_some())
    }

    pub fn in_use(&self, host: usize) -> u32 {
        self.slots[host].iter().flatten().count() as u32
    }

    pub fn free_local(&self) -> Option<usize> {
        self.local.iter().position(Option::is_none)
    }

    pub fn time(&self, now: Micros) -> Moment {
        moment(now)
    }
}

/// The slots of some hosts as one who looks for one sees them.
pub struct View<'c, I> {
    pub client: &'c Client,
    pub outlook: &'c Outlook,
    pub rest: I,
    /// Those that were looked at.
    pub seen: Vec<(usize, u32)>,
    pub now: Micros,
}

impl<I: Iterator<Item = (usize, u32)>> View<'_, I> {
    fn held(&self, index: usize) -> Option<Held> {
        let (host, number) = self.seen[index];
        self.client.slots[host][number as usize]
    }
}

impl<I: Iterator<Item = (usize, u32)>> Hold for View<'_, I> {
    type Error = std::convert::Infallible;

    fn try_take(&mut self, index: usize) -> Result<Option<bool>, Self::Error> {
        if index == self.seen.len() {
            match self.rest.next() {
                Some(next) => self.seen.push(next),
                None => return Ok(None),
            }
        }
        Ok(Some(self.held(index).is_none()))
    }

    fn give_back(&mut self, _index: usize) {}

    fn ms(&self, index: usize) -> Option<f32> {
        let (row, number) = self.seen[index];
        self.outlook.ms(row, number)
    }

    fn is_short(&self, index: usize) -> bool {
        let (row, number) = self.seen[index];
        self.outlook.is_short(row, number)
    }

    fn busy(&self, index: usize) -> Option<Busy> {
        let held = self.held(index)?;
        Some(Busy {
            elapsed: (self.now - held.since) as f32 / 1e3,
            expected: held.expected?,
            ms: self.ms(index)?,
        })
    }
}
