//! A job on its way from host to host, until one of them or this machine has done it.

use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use compiler::{Job, Work};
use hosts::{Dislikes, Folder, Host, HostList, Monitor, NoHosts, NoSlot, Patience, Period};
use hosts::{ProbeGuard, Slot, Slots, Transport, Try};
use protocol::WaitStatus;

use crate::about::About;
use crate::accept::{Printed, Rejection, accept};
use crate::dispatch::{Dispatch, Stop};
use crate::driver::{Command, host_list};
use crate::here::Why;
use crate::journal::{Attempt, End, Entry};
use crate::os;
use crate::say::chain;

/// Exit code when there was no host and this machine was not allowed: stock's.
const EXIT_NO_HOSTS: i32 = 116;
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
    let dispatch = Dispatch {
        command,
        about,
        job,
        list: &list,
        source: None,
        cpp_slot: None,
        sent: 0,
        received: 0,
    };
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
    };
    match trip.run() {
        Arrival::Done(code) => code,
        Arrival::Here(why, slot) if why == Why::LocalhostListed || command.settings.fallback => {
            // Ends a preprocessor that is still at work: after `exec` nobody would.
            drop(trip);
            fall_back(command, job, entry, why, slot)
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

/// Becomes the local compiler.
fn fall_back(
    command: &Command<'_>,
    job: &Job<'_>,
    mut entry: Entry,
    why: Why,
    slot: Option<Slot>,
) -> i32 {
    let (say, source) = (command.say, job.source().display());
    let host = entry
        .attempts
        .last()
        .map_or("a host", |attempt| &attempt.host);
    match why {
        Why::NoFile => say.info(format_args!("{source} is no regular file; compiling here")),
        Why::LocalhostListed => say.info(format_args!("compile {source} on localhost")),
        Why::FailedThere => say.info(format_args!(
            "compile {source} on {host} failed; compiling it here to be sure"
        )),
        _ => say.warn(format_args!(
            "failed to distribute {source} to {host}, running locally instead ({})",
            why.code()
        )),
    }
    entry.fell_back = why.fell_back();
    command.here().run(entry, why.code(), Work::Compile, slot)
}

/// The job may not run here, and there is nothing that came back: says so and gives the exit code.
fn refuse(command: &Command<'_>, job: &Job<'_>, entry: &mut Entry, why: Why) -> i32 {
    command.say.error(format_args!(
        "failed to distribute {} ({}), and DISTCC_FALLBACK=0 forbids running it here",
        job.source().display(),
        why.code()
    ));
    entry.reason = Some(why.code());
    entry.fell_back = false;
    if let Some(path) = command.settings.journal_path() {
        entry.write(&path, End::Status(EXIT_NO_HOSTS));
    }
    EXIT_NO_HOSTS
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
}

impl Trip<'_> {
    fn run(&mut self) -> Arrival {
        let list = self.dispatch.list;
        loop {
            let Some((slot, index, probe)) = self.take_slot() else {
                let untried = self.entry.attempts.is_empty();
                return Arrival::Here(
                    if untried {
                        Why::HostsAvoided
                    } else {
                        Why::HostsFailed
                    },
                    None,
                );
            };
            let host = &list.hosts[index];
            if host.transport == Transport::Local {
                return Arrival::Here(Why::LocalhostListed, Some(slot));
            }
            let arrived = self.compile_on(host, &slot);
            drop(probe);
            if let Some(arrival) = arrived {
                return arrival;
            }
        }
    }

    /// Waits for a slot of a host worth a try; `None` when none is left.
    fn take_slot(&mut self) -> Option<(Slot, usize, Option<ProbeGuard>)> {
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
            let slot = match Slots::new(self.folder).take_remote(&hosts, &waiting) {
                Ok(slot) => slot,
                Err(NoSlot::Busy) => continue,
                Err(NoSlot::NoHost) => break None,
                Err(NoSlot::Folder(error)) => {
                    self.dispatch
                        .command
                        .say
                        .warn(format_args!("{error}; can't distribute work"));
                    break None;
                }
            };
            let (index, probe) = candidates.swap_remove(slot.host_index());
            let waited = asked.elapsed() > Duration::from_millis(50);
            if waited && probe.is_none() && self.avoided(&list.hosts[index]) {
                continue;
            }
            self.tried[index] = true;
            break Some((slot, index, probe));
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
        (self.entry.sent, self.entry.received) = (self.dispatch.sent, self.dispatch.received);
        let arrival = match result {
            Err(Stop::Wire(error)) => return self.blame(host, error.code(), &error),
            Err(Stop::Here(why)) => Arrival::Here(why, None),
            Ok(outcome) => {
                let Dispatch {
                    job, about, source, ..
                } = &mut self.dispatch;
                match accept(job, about, source.as_mut(), outcome) {
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
                }
            }
        };
        if let (Arrival::Here(why, _), Some(attempt)) = (&arrival, self.entry.attempts.last_mut()) {
            attempt.error = Some(why.code());
        }
        Some(arrival)
    }

    /// The host did not do its part: it is avoided for a while, and the next one is asked.
    fn blame(
        &mut self,
        host: &Host,
        code: &'static str,
        error: &dyn std::error::Error,
    ) -> Option<Arrival> {
        if let Some(attempt) = self.entry.attempts.last_mut() {
            attempt.error = Some(code);
        }
        let say = self.dispatch.command.say;
        say.info(format_args!("{}", chain(error)));
        if let Err(error) = self.dislikes.failed(host, SystemTime::now()) {
            say.info(format_args!("{}", chain(&error)));
        }
        None
    }

    fn turn_down(&mut self, host: &Host, rejection: Rejection) -> Arrival {
        let say = self.dispatch.command.say;
        say.info(format_args!("{}: {}", host.name(), chain(&rejection)));
        let unfit = || {
            drop(
                self.dislikes
                    .unfit(host, &self.dispatch.about.id(), SystemTime::now()),
            )
        };
        let why = match rejection {
            Rejection::Misfit(misfit) => {
                say.warn(format_args!("{}: {misfit}", host.name()));
                unfit();
                Why::Misfit(misfit.code())
            }
            Rejection::Broken(_) => Why::HostsFailed,
            Rejection::Place(_) => Why::CannotPlace,
            Rejection::Failed { status, printed } => {
                if status.exit_code() == Some(EXIT_COMPILER_MISSING) {
                    unfit();
                }
                if self.dispatch.command.settings.skip_local_retry && status.exit_code().is_some() {
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
        self.print(printed);
        self.entry.host = Some(host.name());
        self.entry.mode = Some("plain");
        self.note(code);
        code
    }

    /// The job could not be done elsewhere and may not be done here.
    fn give_up(&mut self, why: Why) -> i32 {
        let source = self.dispatch.job.source().display();
        let say = self.dispatch.command.say;
        say.error(format_args!(
            "failed to distribute {source} ({}), and DISTCC_FALLBACK=0 forbids running it here",
            why.code()
        ));
        let code = match self.failure.take() {
            Some((status, printed)) => {
                self.print(&printed);
                exit_code(status)
            }
            None if why == Why::PreprocessorFailed => {
                self.print(&Printed::default());
                1
            }
            None => EXIT_NO_HOSTS,
        };
        self.entry.reason = Some(why.code());
        self.entry.fell_back = false;
        self.note(code);
        code
    }

    fn note(&self, code: i32) {
        if let Some(path) = self.dispatch.command.settings.journal_path() {
            self.entry.write(&path, End::Status(code));
        }
    }

    /// Prints the preprocessor's messages and then the compiler's.
    fn print(&mut self, printed: &Printed) {
        let said = self
            .dispatch
            .source
            .as_mut()
            .and_then(|source| source.said().ok())
            .unwrap_or_default();
        // A closed stdout or stderr is the reader's choice; the compile itself went as it went.
        let said = compiler::messages::without_repeats(&said, &printed.stderr).concat();
        let _ = io::stderr()
            .write_all(&said)
            .and_then(|()| io::stderr().write_all(&printed.stderr));
        let _ = io::stdout()
            .write_all(&printed.stdout)
            .and_then(|()| io::stdout().flush());
    }
}

/// A wait status as a shell would give it.
fn exit_code(status: WaitStatus) -> i32 {
    match (status.exit_code(), status.signal()) {
        (Some(code), _) => i32::from(code),
        (None, Some(signal)) => 128 + i32::from(signal),
        (None, None) => 100,
    }
}
