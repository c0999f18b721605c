//! A job on its way from host to host, until one of them or this machine has done it.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant, SystemTime};

use compiler::Job;
use hosts::{Dislikes, Folder, Host, HostList, Monitor, NoHosts, NoSlot, Patience, Period};
use hosts::{ProbeGuard, Slot, Slots, Transport, Try};
use protocol::{Outcome, WaitStatus};

use crate::about::About;
use crate::accept::{self, Printed, Rejection, accept};
use crate::dispatch::{Dispatch, Stop};
use crate::driver::{Command, host_list};
use crate::fallback::{EXIT_NO_HOSTS, fall_back, fall_back_from_pump, forbidden, refuse};
use crate::here::Why;
use crate::journal::{Attempt, End, Entry};
use crate::os;
use crate::say::chain;
use crate::source::Source;
use crate::verify;

/// Exit code for a variable that means nothing: stock's.
const EXIT_BAD_ARGUMENTS: i32 = 101;
/// Exit code of a daemon that has no such compiler: stock's.
const EXIT_COMPILER_MISSING: u8 = 110;

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
    let dispatch = Dispatch::new(command, about, job, &list);
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
    };
    let arrival = trip.run();
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
            let pumped = trip.dispatch.pumped.is_some();
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
            let (slot, index, probe) = match self.take_slot() {
                Ok(taken) => taken,
                Err(why) => return Arrival::Here(self.refused.unwrap_or(why), None),
            };
            let host = &list.hosts[index];
            if host.transport == Transport::Local {
                return Arrival::Here(Why::LocalhostListed, Some(slot));
            }
            if let (true, Some(bad)) = (say.is_stock(), &settings.bad_io_timeout) {
                say.error(format_args!("{bad}"));
                return Arrival::Done(EXIT_BAD_ARGUMENTS);
            }
            let arrived = self.compile_on(host, &slot);
            drop(probe);
            if let Some(arrival) = arrived {
                return arrival;
            }
        }
    }

    fn take_token_back(&mut self) {
        if let Some(lender) = &mut self.dispatch.lender {
            lender.take_back();
        }
    }

    /// Waits for a slot of a host worth a try; else why there is none.
    fn take_slot(&mut self) -> Result<(Slot, usize, Option<ProbeGuard>), Why> {
        let list = self.dispatch.list;
        let asked = Instant::now();
        let taken = loop {
            let mut candidates = self.candidates();
            let hosts: Vec<&Host> = candidates
                .iter()
                .map(|(index, _)| &list.hosts[*index])
                .collect();
            // While this job waits, its hosts may go away.
            let all_gone = || hosts.iter().all(|host| self.avoided(host));
            let waiting = Patience {
                until: None,
                give_up: &all_gone,
            };
            let wish = hosts::Wish::of(&hosts, &hosts::Outlook::blank);
            let slot = match Slots::new(self.folder).take_remote(&wish, &waiting) {
                Ok(slot) => slot,
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

    /// One try at one host; `None` when another host may do better.
    fn compile_on(&mut self, host: &Host, slot: &Slot) -> Option<Arrival> {
        let begun = Instant::now();
        let result = self.dispatch.to(host, slot, &mut Monitor::new(self.folder));
        self.entry.attempts.push(Attempt {
            host: host.name(),
            ms: begun.elapsed().as_secs_f64() * 1e3,
            error: None,
        });
        self.entry.not_pumped = self.dispatch.not_pumped;
        (self.entry.sent, self.entry.received) = (self.dispatch.sent, self.dispatch.received);
        let arrival = match result {
            Err(Stop::Wire(error)) => return self.blame(host, error.code(), &error),
            Err(Stop::Here(why @ Why::PreprocessorFailed)) if self.is_final(self.cpp_code()) => {
                print(&Printed {
                    stdout: Vec::new(),
                    stderr: self.said(),
                });
                self.entry.reason = Some(why.code());
                self.note(self.cpp_code());
                Arrival::Done(self.cpp_code())
            }
            Err(Stop::Here(why)) => Arrival::Here(why, None),
            Err(Stop::Unfit) => {
                self.unfit(host);
                self.note_error("other-compiler-there");
                return None;
            }
            Err(Stop::NotThere(why)) => {
                self.note_error(why.code());
                self.refused = Some(why);
                return None;
            }
            Ok(outcome) if self.is_sample(&outcome) => {
                self.dislikes.worked(host);
                let mut hosts = self.dispatch.list.hosts.iter();
                let place = hosts.position(|other| std::ptr::eq(other, host));
                let object = accept::unpacked(outcome.object);
                self.sample = place.zip(object.ok());
                return Some(Arrival::Here(Why::Sample, None));
            }
            Ok(outcome) => match accept(&mut self.dispatch, outcome) {
                Ok(printed) => {
                    self.dislikes.worked(host);
                    Arrival::Done(self.finish(host, &printed, 0))
                }
                Err(error @ Rejection::Broken(_)) => {
                    return self.blame(host, "protocol", &error);
                }
                Err(rejection) => {
                    self.dislikes.worked(host);
                    self.turn_down(host, rejection)
                }
            },
        };
        if let Arrival::Here(why, _) = &arrival {
            self.note_error(why.code());
        }
        Some(arrival)
    }

    /// Is this outcome to be compared with that of a local compile?
    fn is_sample(&self, outcome: &Outcome) -> bool {
        let settings = self.dispatch.command.settings;
        settings.fallback && outcome.status.success() && verify::is_sample(settings.verify)
    }

    /// What the preprocessor printed.
    fn said(&mut self) -> Vec<u8> {
        let source = self.dispatch.source.as_mut();
        let said = source.and_then(|source| source.said().ok());
        said.unwrap_or_default()
    }

    /// Why the try that was just made gave no result.
    fn note_error(&mut self, code: &'static str) {
        if let Some(attempt) = self.entry.attempts.last_mut() {
            attempt.error = Some(code);
        }
    }

    /// The host did not do its part: it is avoided for a while, and the next one is asked.
    fn blame(
        &mut self,
        host: &Host,
        code: &'static str,
        error: &dyn std::error::Error,
    ) -> Option<Arrival> {
        self.note_error(code);
        let say = self.dispatch.command.say;
        say.info(format_args!("{}", chain(error)));
        if let Err(error) = self.dislikes.failed(host, SystemTime::now()) {
            say.info(format_args!("{}", chain(&error)));
        }
        None
    }

    /// The host is no good for jobs of this compiler for a while.
    fn unfit(&self, host: &Host) {
        let id = self.dispatch.about.id();
        if let Err(error) = self.dislikes.unfit(host, &id, SystemTime::now()) {
            let say = self.dispatch.command.say;
            say.info(format_args!("{}", chain(&error)));
        }
    }

    fn turn_down(&mut self, host: &Host, rejection: Rejection) -> Arrival {
        let say = self.dispatch.command.say;
        say.info(format_args!("{}: {}", host.name(), chain(&rejection)));
        let why = match rejection {
            Rejection::Misfit(misfit) => {
                say.warn(format_args!("{}: {misfit}", host.name()));
                self.unfit(host);
                Why::Misfit(misfit.code())
            }
            Rejection::Broken(_) => Why::HostsFailed,
            Rejection::Printed => Why::Printed,
            Rejection::Place(_) => Why::CannotPlace,
            Rejection::Failed { status, printed } => {
                if status.exit_code() == Some(EXIT_COMPILER_MISSING) {
                    self.unfit(host);
                }
                if status.exit_code().is_some() && self.is_final(exit_code(status)) {
                    return Arrival::Done(self.finish(host, &printed, exit_code(status)));
                }
                let why = if status.exit_code().is_some() {
                    Why::FailedThere
                } else {
                    Why::KilledThere
                };
                self.failure = Some((status, printed));
                why
            }
        };
        Arrival::Here(why, None)
    }

    /// The job is done: prints, notes, gives the exit code.
    fn finish(&mut self, host: &Host, printed: &Printed, code: i32) -> i32 {
        let command = self.dispatch.command;
        let source = self.dispatch.job.source().display();
        if code == 0 {
            command.say.info(format_args!(
                "compile {source} on {} completed ok",
                host.name()
            ));
        }
        print(printed);
        self.entry.host = Some(host.name());
        self.entry.mode = Some(match self.dispatch.pumped {
            Some(_) => "pump",
            None => "plain",
        });
        self.note(code);
        code
    }

    /// The job could not be done elsewhere and may not be done here.
    fn give_up(&mut self, why: Why) -> i32 {
        forbidden(self.dispatch.command, self.dispatch.job, why);
        let code = match self.failure.take() {
            Some((status, printed)) => {
                print(&printed);
                exit_code(status)
            }
            None if why == Why::PreprocessorFailed => {
                print(&Printed {
                    stdout: Vec::new(),
                    stderr: self.said(),
                });
                self.cpp_code()
            }
            None => EXIT_NO_HOSTS,
        };
        self.entry.reason = Some(why.code());
        self.entry.fell_back = false;
        self.note(code);
        code
    }

    /// Is a compile that failed with `code` not to be repeated here?
    fn is_final(&self, code: i32) -> bool {
        self.dispatch.command.settings.skip_local_retry && code < 128
    }

    /// The exit code of a preprocessor that failed, as a shell would give it.
    fn cpp_code(&self) -> i32 {
        let source = self.dispatch.source.as_ref();
        source.and_then(Source::failure).map_or(1, |status| {
            status
                .code()
                .unwrap_or(128 + status.signal().unwrap_or_default())
        })
    }

    fn note(&self, code: i32) {
        if let Some(path) = self.dispatch.command.settings.journal_path() {
            self.entry.write(&path, End::Status(code));
        }
    }
}

fn print(printed: &Printed) {
    // A closed stdout or stderr is the reader's choice; the compile itself went as it went.
    let _ = io::stderr().write_all(&printed.stderr);
    let _ = io::stdout()
        .write_all(&printed.stdout)
        .and_then(|()| io::stdout().flush());
}

/// A wait status as a shell would give it.
fn exit_code(status: WaitStatus) -> i32 {
    match (status.exit_code(), status.signal()) {
        (Some(code), _) => i32::from(code),
        (None, Some(signal)) => 128 + i32::from(signal),
        (None, None) => 100,
    }
}
