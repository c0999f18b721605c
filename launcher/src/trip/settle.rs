//! What the end of a leg means: the job is done, this machine has to do it, or another host may.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, SystemTime};

use hosts::pace;
use hosts::race::CONNECT_ALONE;
use hosts::{Host, Slots};
use protocol::{Outcome, WaitStatus};

use super::life::{NoSign, Overdue};
use super::{Arrival, Trip};
use crate::accept::{self, Printed, Rejection, accept};
use crate::dispatch::{Leg, Stop};
use crate::fallback::{EXIT_NO_HOSTS, forbidden};
use crate::here::Why;
use crate::journal::{Attempt, End, OUTRUN};
use crate::say::chain;
use crate::verify;

/// Exit code of a daemon that has no such compiler: stock's.
const EXIT_COMPILER_MISSING: u8 = 110;

/// The error of a try that was given up before the host answered the connection.
const UNREACHED: &str = "connect-timeout";

/// A job that takes so many times as long as expected is slow.
const SLOW: f32 = 1.3;

impl Trip<'_> {
    /// Makes of a leg that is over what it is worth; `None` when another host may do better.
    pub(super) fn settle(&mut self, leg: Leg, ended: Result<Outcome, Stop>) -> Option<Arrival> {
        let host = &self.dispatch.list.hosts[leg.index];
        self.attempted(&leg, None);
        let arrival = match ended {
            // That is no host's fault.
            Err(Stop::Wire(error)) if error.is_fault_here() => {
                self.note_error(error.code());
                let say = self.dispatch.command.say;
                say.info(format_args!("{}", chain(&error)));
                return None;
            }
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
                let object = accept::unpacked(outcome.object);
                self.sample = object.ok().map(|object| (leg.index, object));
                return Some(Arrival::Here(Why::Sample, None));
            }
            Ok(outcome) => match accept(&self.dispatch, &leg, outcome) {
                Ok(printed) => {
                    self.dislikes.worked(host);
                    self.learn(&leg);
                    Arrival::Done(self.finish(&leg, &printed, 0))
                }
                Err(error @ Rejection::Broken(_)) => {
                    return self.blame(host, "protocol", &error);
                }
                Err(Rejection::Failed { status, printed }) if self.was_killed(status) => {
                    self.note_error(Why::KilledThere.code());
                    self.refused = Some(Why::KilledThere);
                    self.failure = Some((status, printed));
                    self.pumped = leg.pumped().is_some();
                    return None;
                }
                Err(rejection) => {
                    self.dislikes.worked(host);
                    self.turn_down(&leg, rejection)
                }
            },
        };
        if let Arrival::Here(why, _) = &arrival {
            self.note_error(why.code());
            self.pumped = leg.pumped().is_some();
        }
        Some(arrival)
    }

    /// Gives up what is under way still, since the job is settled.
    pub(super) fn leave_all(&mut self) {
        self.stop_asking();
        for leg in std::mem::take(&mut self.legs) {
            self.leave(&leg);
        }
    }

    /// Gives up a leg that another has outrun.
    pub(super) fn leave(&mut self, leg: &Leg) {
        let unreached = is_unreached(leg);
        self.attempted(leg, Some(if unreached { UNREACHED } else { OUTRUN }));
        if let Some(sent) = leg.sent {
            let ms = sent.elapsed().as_secs_f32() * 1e3;
            self.note_late(leg, ms, self.clock.now());
        }
    }

    /// Hosts that do not answer the connection of a job that therefore needs another get no others meanwhile.
    pub(super) fn avoid_unreached(&mut self) {
        // The race looks at whole milliseconds, and has found that they had their time.
        for leg in self.legs.iter_mut().filter(|leg| leg.is_connecting()) {
            let host = &self.dispatch.list.hosts[leg.index];
            leg.unreached = true;
            if let Err(error) = self.dislikes.failed(host, SystemTime::now()) {
                let say = self.dispatch.command.say;
                say.info(format_args!("{}", chain(&error)));
            }
        }
    }

    /// A host that was only slow to answer the connection, being far away, is not avoided any more.
    pub(super) fn was_reached(&mut self, number: usize) {
        let leg = &mut self.legs[number];
        if std::mem::take(&mut leg.unreached) && leg.probe.is_none() {
            self.dislikes.worked(&self.dispatch.list.hosts[leg.index]);
        }
    }

    /// The leg's host shows no sign of life: it is avoided for a while, and the job goes elsewhere.
    pub(super) fn lost(&mut self, leg: &Leg) {
        self.attempted(leg, None);
        self.no_sign(leg.index);
    }

    /// The leg's host has had the job for many times as long as its like took.
    pub(super) fn overdue(&mut self, leg: &Leg) {
        self.attempted(leg, None);
        let host = &self.dispatch.list.hosts[leg.index];
        self.blame(host, "receive-timeout", &Overdue(host.name()));
    }

    /// A host that failed before has not come back.
    pub(super) fn still_away(&mut self, index: usize, waited: Duration) {
        self.entry.attempts.push(Attempt {
            host: self.dispatch.list.hosts[index].name(),
            ms: waited.as_secs_f64() * 1e3,
            error: None,
            hedge: false,
        });
        self.no_sign(index);
    }

    fn no_sign(&mut self, index: usize) {
        let host = &self.dispatch.list.hosts[index];
        self.blame(host, "no-sign-of-life", &NoSign(host.name()));
    }

    /// Notes what the job took, for those that come.
    fn learn(&self, leg: &Leg) {
        let host = &self.dispatch.list.hosts[leg.index];
        let Some(sent) = leg.sent else { return };
        let ms = sent.elapsed().as_secs_f32() * 1e3;
        let (key, work) = (pace::host_key(host), self.work_of(leg));
        let outlook = self.outlook(&[host], &work);
        let taken = leg.slot.number() + 1;
        // Only who is slow has to be asked whether there are too many.
        let in_use = match outlook.ms(0, 0) {
            Some(expected) if ms > expected * SLOW => {
                Slots::new(self.folder).in_use(host).max(taken)
            }
            _ => taken,
        };
        let now = self.clock.now();
        self.paces
            .finished(key, &work, ms, in_use, self.copied, now);
    }

    fn attempted(&mut self, leg: &Leg, error: Option<&'static str>) {
        self.entry.attempts.push(Attempt {
            host: self.dispatch.list.hosts[leg.index].name(),
            ms: leg.begun.elapsed().as_secs_f64() * 1e3,
            error,
            hedge: leg.beside,
        });
        let traffic = &self.dispatch.traffic;
        (self.entry.sent, self.entry.received) = (traffic.sent.get(), traffic.received.get());
        if error.is_none() {
            self.entry.not_pumped = match leg.pumped() {
                Some(_) => None,
                None => self.dispatch.not_pumped,
            };
        }
    }

    /// Is this outcome to be compared with that of a local compile?
    fn is_sample(&self, outcome: &Outcome) -> bool {
        let settings = self.dispatch.command.settings;
        settings.fallback && outcome.status.success() && verify::is_sample(settings.verify)
    }

    /// What the preprocessor printed.
    fn said(&mut self) -> Vec<u8> {
        let text = self.dispatch.text.as_ref();
        let said = text.and_then(|text| text.borrow_mut().source.said().ok());
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

    /// Did somebody end the compiler there, for the first time?  A machine that goes down does so, or one that is short of memory.
    /// That is nothing of the job's own, but not to be tried on each host either.
    fn was_killed(&self, status: WaitStatus) -> bool {
        const ENDED_BY_OTHERS: [u8; 4] = [1, 2, 9, 15];
        let killed = status
            .signal()
            .is_some_and(|signal| ENDED_BY_OTHERS.contains(&signal));
        killed && self.refused != Some(Why::KilledThere)
    }

    /// The host is no good for jobs of this compiler for a while.
    fn unfit(&self, host: &Host) {
        let id = self.dispatch.about.id();
        if let Err(error) = self.dislikes.unfit(host, &id, SystemTime::now()) {
            let say = self.dispatch.command.say;
            say.info(format_args!("{}", chain(&error)));
        }
    }

    fn turn_down(&mut self, leg: &Leg, rejection: Rejection) -> Arrival {
        let host = &self.dispatch.list.hosts[leg.index];
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
                    return Arrival::Done(self.finish(leg, &printed, exit_code(status)));
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
    fn finish(&mut self, leg: &Leg, printed: &Printed, code: i32) -> i32 {
        let host = &self.dispatch.list.hosts[leg.index];
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
        self.entry.mode = Some(match leg.pumped() {
            Some(_) => "pump",
            None => "plain",
        });
        self.note(code);
        code
    }

    /// The job could not be done elsewhere and may not be done here.
    pub(super) fn give_up(&mut self, why: Why) -> i32 {
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
        let text = self.dispatch.text.as_ref();
        let failure = text.and_then(|text| text.borrow().source.failure());
        failure.map_or(1, |status| {
            status
                .code()
                .unwrap_or(128 + status.signal().unwrap_or_default())
        })
    }

    fn note(&mut self, code: i32) {
        self.leave_all();
        if let Some(path) = self.dispatch.command.settings.journal_path() {
            self.entry.write(&path, End::Status(code));
        }
    }
}

/// Has its host not answered the connection, for longer than is usual?
fn is_unreached(leg: &Leg) -> bool {
    let late = || leg.set_out.elapsed() >= Duration::from_millis(CONNECT_ALONE);
    leg.is_connecting() && (leg.unreached || late())
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
