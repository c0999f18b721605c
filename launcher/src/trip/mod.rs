//! A job on its way from host to host, until one of them or this machine has done it.

mod settle;

use std::time::{Duration, Instant, SystemTime};

use compiler::Job;
use hosts::{Dislikes, Folder, Host, HostList, NoHosts, NoSlot, Patience, Period};
use hosts::{ProbeGuard, Slot, Slots, Transport, Try};
use protocol::WaitStatus;

use crate::about::About;
use crate::accept::Printed;
use crate::dispatch::{Dispatch, Event, Leg};
use crate::driver::{Command, host_list};
use crate::fallback::{fall_back, fall_back_from_pump, refuse};
use crate::here::Why;
use crate::journal::Entry;
use crate::os;
use crate::say::chain;
use crate::verify;

/// Exit code for a variable that means nothing: stock's.
const EXIT_BAD_ARGUMENTS: i32 = 101;
/// How long a host is waited for alone that takes its time to be reached.
const ALONE: Duration = Duration::from_secs(1);

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
    let dispatch = Dispatch::new(command, about, job, &list, &folder);
    let period = match command.settings.backoff {
        Some(seconds) => Period::Fixed(Duration::from_secs(seconds)),
        None => Period::Growing,
    };
    let mut trip = Trip {
        dispatch,
        dislikes: Dislikes::new(&folder, period),
        folder: &folder,
        entry: &mut entry,
        tried: vec![false; list.hosts.len()],
        failure: None,
        refused: None,
        sample: None,
        pumped: false,
        legs: Vec::new(),
    };
    let arrival = trip.run();
    // Whoever waits for the token below must hold no slot.
    trip.leave_all();
    trip.take_token_back();
    match arrival {
        Arrival::Done(code) => code,
        Arrival::Here(Why::Sample, _) => {
            let (host, object) = trip.sample.take().unwrap_or_default();
            drop(trip);
            let (same, code) = verify::compare(command, job, entry, &object);
            if !same && code == 0 {
                distrust(command, about, &list.hosts[host], &folder);
            }
            code
        }
        Arrival::Here(why, slot) if why.is_verdict() || command.settings.fallback => {
            // Ends a preprocessor that is still at work: after `exec` nobody would.
            let pumped = trip.pumped;
            drop(trip);
            match why {
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
    folder: &'a Folder,
    entry: &'a mut Entry,
    /// A host is tried once for a job.
    tried: Vec<bool>,
    /// What a compile that failed elsewhere left, for when it may not be repeated here.
    failure: Option<(WaitStatus, Printed)>,
    /// Why a host did not take the job that another might have taken.
    refused: Option<Why>,
    /// The object that came from a host, by its place in the list, when it is to be compared with a local one.
    sample: Option<(usize, Vec<u8>)>,
    /// Did what was turned down come of files that were sent?
    pumped: bool,
    /// The hosts that have the job now.
    legs: Vec<Leg>,
}

/// The host gets no jobs of this compiler for a while.
fn distrust(command: &Command<'_>, about: &About, host: &Host, folder: &Folder) {
    let dislikes = Dislikes::new(folder, Period::Growing);
    if let Err(error) = dislikes.unfit(host, &about.id(), SystemTime::now()) {
        command.say.info(format_args!("{}", chain(&error)));
    }
}

impl Trip<'_> {
    fn run(&mut self) -> Arrival {
        let list = self.dispatch.list;
        let Command { say, settings, .. } = self.dispatch.command;
        loop {
            // Without it nobody may wait for a slot: those who have slots might wait for tokens.
            self.take_token_back();
            let (slot, index, probe) = match self.take_slot(false) {
                Ok(taken) => taken,
                Err(why) => return Arrival::Here(self.refused.unwrap_or(why), None),
            };
            if list.hosts[index].transport == Transport::Local {
                return Arrival::Here(Why::LocalhostListed, Some(slot));
            }
            if let (true, Some(bad)) = (say.is_stock(), &settings.bad_io_timeout) {
                say.error(format_args!("{bad}"));
                return Arrival::Done(EXIT_BAD_ARGUMENTS);
            }
            let leg = self.dispatch.start(index, slot, probe);
            self.legs.push(leg);
            if let Some(arrival) = self.wait() {
                return arrival;
            }
            self.dispatch.rest();
        }
    }

    /// Waits until the job is settled, or no host has it any more.  One that takes its time to be reached gets another beside it.
    fn wait(&mut self) -> Option<Arrival> {
        let mut patience = Instant::now() + ALONE;
        while !self.legs.is_empty() {
            let reached = self.legs.iter().any(Leg::is_connected);
            let until = (!reached).then_some(patience);
            let (number, ended) = match self.dispatch.watch(&mut self.legs, &mut [], until) {
                Event::Outcome(number, outcome) => (number, Ok(outcome)),
                Event::Failed(number, stop) => (number, Err(stop)),
                Event::Answer(..) => continue,
                Event::Time => {
                    patience = Instant::now() + ALONE;
                    self.send_beside();
                    continue;
                }
            };
            let leg = self.legs.swap_remove(number);
            if let Some(arrival) = self.settle(leg, ended) {
                return Some(arrival);
            }
        }
        None
    }

    /// Sends the job to another host too, if one has a slot free just now.
    fn send_beside(&mut self) {
        if self.legs.iter().any(Leg::is_connected) {
            return;
        }
        if let Ok((slot, index, probe)) = self.take_slot(true) {
            let mut leg = self.dispatch.start(index, slot, probe);
            leg.beside = true;
            self.legs.push(leg);
        }
    }

    fn take_token_back(&mut self) {
        if let Some(lender) = &mut self.dispatch.lender {
            lender.take_back();
        }
    }

    /// Waits for a slot of a host worth a try, or, `beside` another host, takes one that is free; else why there is none.
    fn take_slot(&mut self, beside: bool) -> Result<(Slot, usize, Option<ProbeGuard>), Why> {
        let list = self.dispatch.list;
        let asked = Instant::now();
        let taken = loop {
            let mut candidates = self.candidates();
            if beside {
                // This machine is for when no host is left.
                candidates.retain(|(index, _)| list.hosts[*index].transport != Transport::Local);
            }
            let hosts: Vec<&Host> = candidates
                .iter()
                .map(|(index, _)| &list.hosts[*index])
                .collect();
            // While this job waits, its hosts may go away.
            let all_gone = || hosts.iter().all(|host| self.avoided(host));
            let waiting = match beside {
                true => Patience::NONE,
                false => Patience {
                    until: None,
                    give_up: &all_gone,
                },
            };
            let slot = match Slots::new(self.folder).take_remote(&hosts, &waiting) {
                Ok(slot) => slot,
                Err(NoSlot::Busy) if beside => break Err(Why::HostsFailed),
                Err(NoSlot::Busy) => continue,
                Err(NoSlot::NoHost) if self.entry.attempts.is_empty() => {
                    break Err(Why::HostsAvoided);
                }
                Err(NoSlot::NoHost) => break Err(Why::HostsFailed),
                Err(NoSlot::Folder(error)) => {
                    self.dispatch
                        .command
                        .say
                        .warn(format_args!("{}; can't distribute work", chain(&error)));
                    break Err(Why::NoFolder);
                }
            };
            let (index, probe) = candidates.swap_remove(slot.host_index());
            let waited = asked.elapsed() > Duration::from_millis(50);
            if waited && probe.is_none() && self.avoided(&list.hosts[index]) {
                continue;
            }
            self.tried[index] = true;
            break Ok((slot, index, probe));
        };
        self.entry.queue_ms += asked.elapsed().as_secs_f64() * 1e3;
        taken
    }

    /// The hosts that may be tried now, by their place in the list.
    fn candidates(&self) -> Vec<(usize, Option<ProbeGuard>)> {
        let (now, id) = (SystemTime::now(), self.dispatch.about.id());
        let untried = self
            .dispatch
            .list
            .hosts
            .iter()
            .enumerate()
            .filter(|(index, host)| !host.down && !self.tried[*index]);
        untried
            .filter(|(_, host)| !self.dislikes.is_unfit(host, &id, now))
            .filter_map(|(index, host)| match self.dislikes.may_try(host, now) {
                Try::Yes => Some((index, None)),
                Try::YesAsProbe(guard) => Some((index, Some(guard))),
                Try::No { .. } => None,
            })
            .collect()
    }

    fn avoided(&self, host: &Host) -> bool {
        matches!(
            self.dislikes.may_try(host, SystemTime::now()),
            Try::No { .. }
        )
    }
}
