//! A job on its way from host to host, until one of them or this machine has done it.
//!
//! What to do next is decided by [`Race`], which host by [`Outlook`](hosts::Outlook); here it is done.

mod life;
mod settle;
mod slots;

use std::time::{Duration, Instant, SystemTime};

use compiler::Job;
use hosts::pace::{self, Moment, Paces, Table, Work};
use hosts::race::{Copies, LegId, Race, Step};
use hosts::{Dislikes, Folder, Host, HostList, NoHosts, Outlook, Period, Slot, Transport};
use protocol::WaitStatus;

use crate::about::About;
use crate::accept::Printed;
use crate::dispatch::{Dispatch, Event, Leg, Progress};
use crate::driver::{Command, host_list};
use crate::fallback::{fall_back, fall_back_from_pump, refuse, run_idle};
use crate::here::Why;
use crate::journal::Entry;
use crate::os;
use crate::say::chain;
use crate::verify;
use crate::work::{self, Clock};
use life::Greetings;
use slots::{Place, Taken};

/// Exit code for a variable that means nothing: stock's.
const EXIT_BAD_ARGUMENTS: i32 = 101;
/// So many second copies there may always be, or as many as the widest host has slots.
const COPIES: u32 = 8;

/// How a trip ended.
enum Arrival {
    /// The launcher's exit code.
    Done(i32),
    Here(Why, Option<Slot>),
}

/// Sends `job` to the hosts of the list, or becomes the local compiler.  Gives the exit code.
pub(crate) fn run(command: &Command<'_>, about: &About, job: &Job<'_>, mut entry: Entry) -> i32 {
    // A pipe can be read once; a compile that starts over needs a file.  One that is missing is the compiler's to complain of.
    let regular = rustix::fs::stat(job.source())
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
    if !regular {
        return fall_back(command, job, entry, Why::NoFile, None);
    }
    let (list, folder) = match places(command) {
        Ok(places) => places,
        Err(why) if command.settings.fallback => {
            return fall_back(command, job, entry, why, None);
        }
        Err(why) => return refuse(command, job, &mut entry, why),
    };
    os::undo_on_signals();
    let mut trip = Trip::new(command, about, job, (&list, &folder), &mut entry);
    let arrival = trip.run();
    // Whoever waits for the token below must hold no slot.
    trip.leave_all();
    trip.take_token_back();
    match arrival {
        Arrival::Done(code) => code,
        Arrival::Here(Why::Sample, _) => {
            let (host, object) = trip.sample.take().unwrap_or_default();
            drop(trip);
            let (same, ended) = verify::compare(command, job, entry, &object);
            if !same && ended.code == 0 {
                distrust(command, about, &list.hosts[host], &folder);
            }
            ended.pass_on()
        }
        Arrival::Here(why, slot) if why.is_verdict() || command.settings.fallback => {
            // Ends a preprocessor that is still at work: after `exec` nobody would.
            let pumped = trip.pumped;
            let (paces, work) = (Paces::in_folder(&folder), trip.work);
            drop(trip);
            match why {
                Why::Idle => run_idle(command, job, entry, slot, &paces, &work),
                Why::FailedThere | Why::KilledThere if pumped => {
                    fall_back_from_pump(command, job, entry, why, slot)
                }
                _ => fall_back(command, job, entry, why, slot),
            }
        }
        Arrival::Here(why, _) => trip.give_up(why),
    }
}

/// The list and the folder for its locks.
fn places(command: &Command<'_>) -> Result<(HostList, Folder), Why> {
    let settings = command.settings;
    let list = host_list(settings).map_err(|error| {
        command.say.warn(format_args!(
            "{error} ($DISTCC_HOSTS or a hosts file); can't distribute work"
        ));
        if matches!(error, NoHosts::Bad { .. }) {
            Why::BadHostList
        } else {
            Why::NoHosts
        }
    })?;
    let folder = settings.folder.clone().ok_or_else(|| {
        command.say.warn(format_args!(
            "neither DISTCC_DIR nor HOME is set: no folder for locks; can't distribute work"
        ));
        Why::NoFolder
    })?;
    Ok((list.0, Folder::at(folder)))
}

struct Trip<'a> {
    dispatch: Dispatch<'a>,
    dislikes: Dislikes,
    paces: Paces<Table>,
    work: Work,
    clock: Clock,
    race: Race,
    folder: &'a Folder,
    entry: &'a mut Entry,
    /// A host is tried once for a job: has each of the list's been?
    tried: Vec<bool>,
    /// What a compile that failed elsewhere left, for when it may not be repeated here.
    failure: Option<(WaitStatus, Printed)>,
    /// Why a host did not take the job that another might have taken.
    refused: Option<Why>,
    /// The object that came from a host, by its place in the list, when it is to be compared with a local one.
    sample: Option<(usize, Vec<u8>)>,
    /// Did what was turned down come of files that were sent?
    pumped: bool,
    /// Was there a second copy, which has been counted?
    copied: bool,
    /// The hosts that have the job now.
    legs: Vec<Leg>,
    greetings: Greetings,
}

/// The host gets no jobs of this compiler for a while.
fn distrust(command: &Command<'_>, about: &About, host: &Host, folder: &Folder) {
    let dislikes = Dislikes::new(folder, Period::Growing);
    if let Err(error) = dislikes.unfit(host, &about.id(), SystemTime::now()) {
        command.say.info(format_args!("{}", chain(&error)));
    }
}

impl<'a> Trip<'a> {
    fn new(
        command: &'a Command<'a>,
        about: &'a About,
        job: &'a Job<'a>,
        (list, folder): (&'a HostList, &'a Folder),
        entry: &'a mut Entry,
    ) -> Trip<'a> {
        let settings = command.settings;
        let period = match settings.backoff {
            Some(seconds) => Period::Fixed(Duration::from_secs(seconds)),
            None => Period::Growing,
        };
        Trip {
            dispatch: Dispatch::new(command, about, job, list, folder),
            dislikes: Dislikes::new(folder, period),
            paces: Paces::in_folder(folder),
            work: work::of(job),
            clock: Clock::start(),
            race: Race::new(match settings.hedge {
                true => Copies::Yes,
                false => Copies::No,
            }),
            folder,
            entry,
            tried: vec![false; list.hosts.len()],
            failure: None,
            refused: None,
            sample: None,
            pumped: false,
            copied: false,
            legs: Vec::new(),
            greetings: Greetings::default(),
        }
    }

    fn run(&mut self) -> Arrival {
        loop {
            for leg in &self.legs {
                self.race.set_out(leg.id, self.clock.at(leg.set_out));
            }
            let now = self.clock.now();
            let arrival = match self.race.step(now) {
                Step::Queue => self.queue(),
                Step::Watch(until) => self.watch(until),
                Step::Look => {
                    match &self.elsewhere()[..] {
                        // That changes seldom.
                        [] => self.race.refused(true, now),
                        candidates => self.race.looked(self.idle(candidates), now),
                    }
                    None
                }
                Step::Copy { host, counts } => {
                    self.copy(host, counts);
                    None
                }
                Step::Sign(id) => {
                    self.look_for_life(id, now);
                    None
                }
                Step::Leave(id) => {
                    if let Some(leg) = self.take_leg(id) {
                        self.leave(&leg);
                    }
                    None
                }
                Step::Expect(id) => {
                    self.expect(id);
                    None
                }
                Step::GiveUp => {
                    self.no_copy(now);
                    None
                }
                Step::Note(id, ms) => {
                    let leg = self.legs.iter().find(|leg| leg.id == id);
                    leg.inspect(|leg| self.note_late(leg, ms, now));
                    None
                }
            };
            if let Some(arrival) = arrival {
                return arrival;
            }
        }
    }

    /// Sets out to the next host, when it is this job's turn.
    fn queue(&mut self) -> Option<Arrival> {
        let Command { say, settings, .. } = self.dispatch.command;
        self.dispatch.rest();
        // Without it nobody may wait for a slot: those who have slots might wait for tokens.
        self.take_token_back();
        let (slot, index, probe) = match self.take_slot() {
            Ok(Place::Host(taken)) => taken,
            Ok(Place::Here(why, slot)) => {
                let why = self.refused.filter(|_| why != Why::Idle).unwrap_or(why);
                return Some(Arrival::Here(why, Some(slot)));
            }
            Err(why) => return Some(Arrival::Here(self.refused.unwrap_or(why), None)),
        };
        self.tried[index] = true;
        let host = &self.dispatch.list.hosts[index];
        if host.transport == Transport::Local {
            return Some(Arrival::Here(Why::LocalhostListed, Some(slot)));
        }
        if let (true, Some(bad)) = (say.is_stock(), &settings.bad_io_timeout) {
            say.error(format_args!("{bad}"));
            return Some(Arrival::Done(EXIT_BAD_ARGUMENTS));
        }
        let asked = Instant::now();
        if probe.is_some() && !self.greets(index) {
            self.still_away(index, asked.elapsed());
            return None;
        }
        self.start((slot, index, probe), false);
        None
    }

    fn start(&mut self, (slot, index, probe): Taken, beside: bool) {
        // A host that stands in the list twice is one.
        let hosts = &self.dispatch.list.hosts;
        for (tried, host) in self.tried.iter_mut().zip(hosts) {
            *tried |= host.transport == hosts[index].transport;
        }
        let id = self.race.started(self.clock.now());
        let mut leg = self.dispatch.start(id, index, slot, probe);
        leg.beside = beside;
        self.legs.push(leg);
    }

    /// Goes on with what is under way.
    fn watch(&mut self, until: Moment) -> Option<Arrival> {
        let until = self.clock.instant(until);
        let questions = &mut self.greetings.questions;
        let (number, ended) = match self.dispatch.watch(&mut self.legs, questions, until) {
            Event::Outcome(number, outcome) => (number, Ok(outcome)),
            Event::Failed(number, stop) => (number, Err(stop)),
            Event::Moved(number) => {
                self.moved(number);
                return None;
            }
            Event::Answer(number, greeting) => {
                self.greeted(number, greeting);
                return None;
            }
            Event::Time => return None,
        };
        let leg = self.legs.swap_remove(number);
        self.race.ended(leg.id);
        self.settle(leg, ended)
    }

    /// A leg is further than it was.
    fn moved(&mut self, number: usize) {
        self.was_reached(number);
        let leg = &self.legs[number];
        let (id, answers, now) = (leg.id, self.answers(leg), self.clock.now());
        if leg.progress() < Progress::Sent {
            return self.race.connected(id, answers, now);
        }
        let expected = self.outlook_of(leg).expected(leg.index, leg.slot.number());
        let sent = leg.sent.map_or(now, |sent| self.clock.at(sent));
        self.race.sent(id, expected, answers, sent);
    }

    /// What is expected of each host of the list for what the leg takes.
    fn outlook_of(&self, leg: &Leg) -> Outlook {
        let hosts: Vec<&Host> = self.dispatch.list.hosts.iter().collect();
        self.outlook(&hosts, &self.work_of(leg))
    }

    /// Others have learnt meanwhile what hosts take.
    fn expect(&mut self, id: LegId) {
        let Some(leg) = self.legs.iter().find(|leg| leg.id == id) else {
            return;
        };
        let outlook = self.outlook_of(leg);
        let expected = outlook.expected(leg.index, leg.slot.number());
        self.race.expect(id, expected, outlook.best());
    }

    /// Starts a second copy, if there is a slot for it and it may be.
    fn copy(&mut self, only: Option<usize>, counts: bool) {
        self.avoid_unreached();
        let now = self.clock.now();
        // One that was copied in vain may simply be long.
        let long = || self.legs.len() > 1 && self.legs.iter().any(|leg| self.lives(leg));
        let candidates = self.elsewhere();
        if candidates.is_empty() || counts && long() {
            return self.no_copy(now);
        }
        let Some(taken) = self.take_beside(candidates, only) else {
            return self.race.refused(false, now);
        };
        let hosts = &self.dispatch.list.hosts;
        let widest = hosts.iter().map(|host| host.slots).max().unwrap_or(0);
        if counts && !self.paces.begin_copy(widest.max(COPIES)) {
            return self.no_copy(now);
        }
        self.copied |= counts;
        self.start(taken, true);
    }

    /// There may be no second copy.  What is as good as lost goes on elsewhere then, or here, if its host has done nothing since: a
    /// deadline by what such jobs take, where none was set and something is left that can be done.
    fn no_copy(&mut self, now: Moment) {
        self.race.refused(true, now);
        let settings = self.dispatch.command.settings;
        if settings.io_timeout_is_set || !settings.fallback {
            return;
        }
        for id in self.race.lost(now) {
            let leg = self.legs.iter().find(|leg| leg.id == id);
            if leg.is_some_and(|leg| !self.lives(leg)) {
                self.take_leg(id).inspect(|leg| self.overdue(leg));
            }
        }
    }

    /// Gives up the leg if its host is dead.
    fn look_for_life(&mut self, id: LegId, now: Moment) {
        if self.is_dead(id, now) {
            self.lose(id);
        }
    }

    /// The leg's host is dead.
    fn lose(&mut self, id: LegId) {
        if let Some(leg) = self.take_leg(id) {
            self.lost(&leg);
        }
    }

    /// The leg is over.
    fn take_leg(&mut self, id: LegId) -> Option<Leg> {
        self.race.ended(id);
        let number = self.legs.iter().position(|leg| leg.id == id)?;
        Some(self.legs.swap_remove(number))
    }

    /// The leg's host takes longer than this, and others need not wait for it to end to know that.
    fn note_late(&self, leg: &Leg, ms: f32, now: Moment) {
        let key = pace::host_key(&self.dispatch.list.hosts[leg.index]);
        self.paces
            .took_longer_than(key, &self.work_of(leg), ms, now);
    }

    /// The work that was sent.
    fn work_of(&self, leg: &Leg) -> Work {
        Work {
            bytes: leg.bytes(),
            ..self.work
        }
    }

    fn take_token_back(&mut self) {
        if let Some(lender) = &mut self.dispatch.lender {
            lender.take_back();
        }
    }
}
