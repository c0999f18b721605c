//! Machines, clients and launchers, and the queue of what happens when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hosts::pace::{InMemory, Paces};

use crate::check::Checks;
use crate::client::{Build, Client};
use crate::launcher::{Launcher, Place};
use crate::leg::Leg;
use crate::machine::{Fault, Life, Machine, Nature};
use crate::random::Random;
use crate::{LauncherNumber, LegNumber, Micros, SECOND};

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// The client's build tool may start one more launcher.
    Launch(usize),
    /// The launcher's waiting is over, if nothing happened since (its version).
    Step(LauncherNumber, u64),
    /// The first in the client's queue looks.
    Look(usize),
    Connected(LegNumber),
    Refused(LegNumber),
    ConnectTimeout(LegNumber),
    Sent(LegNumber),
    IoTimeout(LegNumber),
    /// The job is at the daemon, or the client's end of the connection.
    Arrives(LegNumber),
    Closed(LegNumber),
    /// A compile of the machine ends, if nothing happened since.
    Compiled(usize, u64),
    Reply(LegNumber, Reply),
    Answers(LegNumber),
    /// Nobody answered what was asked at this moment.
    Unanswered(LegNumber, u64),
    LocalDone(LauncherNumber, usize),
    Ends(LauncherNumber),
    Fault(usize, Fault),
}

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Good,
    Corrupt,
    Reset,
}

pub struct World {
    pub seed: u64,
    pub now: Micros,
    pub random: Random,
    pub machines: Vec<Machine>,
    pub clients: Vec<Client>,
    pub launchers: Vec<Launcher>,
    pub legs: Vec<Leg>,
    pub checks: Checks,
    /// How often each machine did a job, and when last.
    pub did: Vec<(usize, Micros)>,
    /// When so many compiles ran on a machine for the first time from a moment on.
    pub full: Option<Micros>,
    watched: Option<(usize, usize, Micros)>,
    /// When jobs ended.
    pub ends: Vec<Micros>,
    events: BinaryHeap<Reverse<(Micros, u64, Numbered)>>,
    count: u64,
    /// What the network holds back.
    held: Vec<(usize, Event)>,
    trace: bool,
}

/// Events are in the order in which they were foreseen.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Numbered(Event);

impl Eq for Numbered {}

impl PartialOrd for Numbered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numbered {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// Nothing that is simulated takes longer.
const LONGEST: Micros = 24 * 3600 * SECOND;

impl World {
    pub fn new(seed: u64, natures: impl IntoIterator<Item = Nature>) -> World {
        let machines: Vec<_> = natures.into_iter().map(Machine::new).collect();
        World {
            seed,
            now: 0,
            random: Random::new(seed),
            did: vec![(0, 0); machines.len()],
            machines,
            full: None,
            watched: None,
            ends: Vec::new(),
            clients: Vec::new(),
            launchers: Vec::new(),
            legs: Vec::new(),
            checks: Checks::default(),
            events: BinaryHeap::new(),
            count: 0,
            held: Vec::new(),
            trace: std::env::var_os("SIM_TRACE").is_some(),
        }
    }

    /// A build by a user who knows nothing of the hosts yet; its number.
    pub fn build(&mut self, build: Build) -> usize {
        self.build_again(build, Paces::new(InMemory::default()))
    }

    /// A build by a user who has built before.
    pub fn build_again(&mut self, build: Build, paces: Paces<InMemory>) -> usize {
        let number = self.clients.len();
        self.at(build.start, Event::Launch(number));
        self.clients.push(Client::new(build, paces));
        number
    }

    pub fn fault(&mut self, time: Micros, machine: usize, fault: Fault) {
        self.at(time, Event::Fault(machine, fault));
    }

    /// Notes when `compiles` run on the machine from `time` on.
    pub fn watch(&mut self, machine: usize, compiles: usize, time: Micros) {
        self.watched = Some((machine, compiles, time));
    }

    pub(crate) fn at(&mut self, time: Micros, event: Event) {
        self.count += 1;
        self.events
            .push(Reverse((time, self.count, Numbered(event))));
    }

    /// The first in the client's queue looks at that time, or before.
    pub(crate) fn look_at(&mut self, client: usize, time: Micros) {
        let look = &mut self.clients[client].look;
        if look.is_none_or(|before| time < before || before < self.now) {
            *look = Some(time);
            self.at(time, Event::Look(client));
        }
    }

    /// Runs until all builds have ended; the longest makespan.
    pub fn run(&mut self) -> Micros {
        while self
            .clients
            .iter()
            .any(|client| client.ended < client.build.jobs.len())
        {
            let Some(Reverse((time, _, Numbered(event)))) = self.events.pop() else {
                panic!("nothing happens any more, and not all jobs have ended");
            };
            assert!(time < LONGEST, "a build that does not end");
            self.now = time;
            if self.trace {
                self.tell(event);
            }
            self.happens(event);
        }
        self.all_ended();
        let spans = self
            .clients
            .iter()
            .map(|client| client.last_end - client.build.start);
        spans.max().unwrap_or(0)
    }

    fn tell(&self, event: Event) {
        match event {
            Event::Look(_) | Event::Launch(_) | Event::ConnectTimeout(_) | Event::IoTimeout(_) => {}
            Event::Connected(leg)
            | Event::Refused(leg)
            | Event::Sent(leg)
            | Event::Arrives(leg)
            | Event::Closed(leg)
            | Event::Answers(leg)
            | Event::Reply(leg, _) => {
                let Leg {
                    machine,
                    number,
                    launcher,
                    ..
                } = self.legs[leg];
                let now = self.now as f64 / 1e3;
                eprintln!(
                    "{now:10.3} {event:?} launcher {launcher} machine {machine} slot {number}"
                );
            }
            _ => eprintln!("{:10.3} {event:?}", self.now as f64 / 1e3),
        }
    }

    fn all_ended(&self) {
        for launcher in &self.launchers {
            assert_eq!(launcher.place, Place::Ended, "a job has not ended");
        }
        let jobs: usize = self
            .clients
            .iter()
            .map(|client| client.build.jobs.len())
            .sum();
        assert_eq!(self.launchers.len(), jobs);
        for client in &self.clients {
            let held = client.slots.iter().flatten().flatten().count();
            assert_eq!(held, 0, "a slot is held by nobody");
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Launch(client) => self.launch(client),
            Event::Step(launcher, version) => {
                if self.launchers[launcher].version == version {
                    self.step(launcher);
                }
            }
            Event::Look(client) => {
                let time = self.clients[client].look;
                if time == Some(self.now) {
                    self.clients[client].look = None;
                    self.look(client);
                }
            }
            Event::Closed(leg) => self.forget(leg),
            Event::Compiled(machine, version) => self.compiled(machine, version),
            Event::LocalDone(launcher, slot) => self.local_done(launcher, slot),
            Event::Ends(launcher) => self.ends(launcher),
            Event::Fault(machine, fault) => self.befall(machine, fault),
            Event::Connected(leg)
            | Event::Refused(leg)
            | Event::ConnectTimeout(leg)
            | Event::Sent(leg)
            | Event::IoTimeout(leg)
            | Event::Arrives(leg)
            | Event::Reply(leg, _)
            | Event::Answers(leg)
            | Event::Unanswered(leg, _) => {
                if self.legs[leg].open {
                    self.of_leg(leg, event);
                }
            }
        }
    }

    fn of_leg(&mut self, leg: LegNumber, event: Event) {
        let machine = self.legs[leg].machine;
        if self.machines[machine].life == Life::Cut
            && matches!(
                event,
                Event::Connected(_)
                    | Event::Sent(_)
                    | Event::Arrives(_)
                    | Event::Reply(..)
                    | Event::Answers(_)
            )
        {
            self.held.push((machine, event));
            return;
        }
        match event {
            Event::Connected(_) => self.connected(leg),
            Event::Refused(_) => self.fail(leg),
            Event::ConnectTimeout(_) if !self.legs[leg].connected => self.fail(leg),
            Event::Sent(_) => self.sent(leg),
            Event::IoTimeout(_) => self.fail(leg),
            Event::Arrives(_) => self.arrives(leg),
            Event::Reply(_, Reply::Good) => self.done(leg),
            Event::Reply(_, Reply::Corrupt | Reply::Reset) => self.fail(leg),
            Event::Answers(_) => self.answers(leg),
            Event::Unanswered(_, asked) => self.unanswered(leg, asked),
            _ => {}
        }
    }

    fn arrives(&mut self, leg: LegNumber) {
        let (machine, launcher) = (
            self.legs[leg].machine,
            &self.launchers[self.legs[leg].launcher],
        );
        let work = self.clients[launcher.client].build.jobs[launcher.job].work;
        let there = &mut self.machines[machine];
        match there.life {
            Life::Down => {}
            // The kernel has it, the daemon will.
            Life::Frozen => self.held.push((machine, Event::Arrives(leg))),
            Life::Up | Life::Cut => {
                there.arrive(leg, work, self.now);
                let full = |(watched, compiles, time)| {
                    watched == machine && self.now >= time && there.running() >= compiles
                };
                if self.full.is_none() && self.watched.is_some_and(full) {
                    self.full = Some(self.now);
                }
                self.foresee(machine);
            }
        }
    }

    fn forget(&mut self, leg: LegNumber) {
        let machine = self.legs[leg].machine;
        match self.machines[machine].life {
            Life::Frozen | Life::Cut => self.held.push((machine, Event::Closed(leg))),
            Life::Up | Life::Down => {
                self.machines[machine].forget(leg, self.now);
                self.foresee(machine);
            }
        }
    }

    /// When its next compile ends.
    fn foresee(&mut self, machine: usize) {
        let there = &self.machines[machine];
        if let Some(end) = there.next_end() {
            self.at(end.max(self.now), Event::Compiled(machine, there.version));
        }
    }

    fn compiled(&mut self, machine: usize, version: u64) {
        if self.machines[machine].version != version {
            return;
        }
        let arrives = self.now + self.machines[machine].nature.round_trip / 2;
        let Nature { corrupt, half, .. } = self.machines[machine].nature;
        for leg in self.machines[machine].ended(self.now) {
            let dice = self.random.unit();
            if dice < half {
                continue;
            }
            let reply = if dice < half + corrupt {
                Reply::Corrupt
            } else {
                Reply::Good
            };
            self.did[machine] = (self.did[machine].0 + 1, self.now);
            self.at(arrives, Event::Reply(leg, reply));
        }
        self.foresee(machine);
    }

    fn befall(&mut self, machine: usize, fault: Fault) {
        self.machines[machine].befall(fault, self.now);
        let soon = self.now + self.machines[machine].nature.round_trip / 2;
        match fault {
            Fault::Kill => {
                let connected = |leg: &&Leg| leg.machine == machine && leg.open && leg.connected;
                let count = self.legs.iter().filter(connected).count();
                let mut reset = Vec::with_capacity(count);
                for (number, leg) in self.legs.iter().enumerate() {
                    if connected(&leg) {
                        reset.push(number);
                    }
                }
                for leg in reset {
                    self.at(soon, Event::Reply(leg, Reply::Reset));
                }
                self.held.retain(|(held, _)| *held != machine);
            }
            Fault::Return => {
                let (mine, others) = std::mem::take(&mut self.held)
                    .into_iter()
                    .partition(|(held, _)| *held == machine);
                self.held = others;
                let mine: Vec<(usize, Event)> = mine;
                for (_, event) in mine {
                    self.at(soon, event);
                }
            }
            _ => {}
        }
        self.foresee(machine);
    }

    fn ends(&mut self, number: LauncherNumber) {
        let launcher = &mut self.launchers[number];
        assert_eq!(launcher.place, Place::Ending, "a job ends twice");
        launcher.place = Place::Ended;
        let index = launcher.client;
        let client = &mut self.clients[index];
        client.running -= 1;
        client.ended += 1;
        self.ends.push(self.now);
        client.last_end = self.now;
        self.at(self.now, Event::Launch(index));
    }
}
