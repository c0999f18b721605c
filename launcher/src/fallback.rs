//! A job that no host does: it is compiled here, or, where DISTCC_FALLBACK=0 forbids that, refused.

use std::time::Instant;

use compiler::{Job, Work};
use hosts::Slot;
use hosts::pace::{self, Paces, Table};

use crate::driver::Command;
use crate::here::Why;
use crate::journal::{End, Entry, OUTRUN};
use crate::pump;
use crate::work::Clock;

/// Exit code when there was no host and this machine was not allowed: stock's.
pub(crate) const EXIT_NO_HOSTS: i32 = 116;

/// Becomes the local compiler.
pub(crate) fn fall_back(
    command: &Command<'_>,
    job: &Job<'_>,
    mut entry: Entry,
    why: Why,
    slot: Option<Slot>,
) -> i32 {
    announce(command, job, &entry, why);
    entry.fell_back = why.fell_back();
    command.here().run(entry, why.code(), Work::Compile, slot)
}

/// Compiles here on a processor that stood idle, and notes what it took.
pub(crate) fn run_idle(
    command: &Command<'_>,
    job: &Job<'_>,
    entry: Entry,
    slot: Option<Slot>,
    paces: &Paces<Table>,
    work: &pace::Work,
) -> i32 {
    announce(command, job, &entry, Why::Idle);
    let begun = Instant::now();
    let here = command.here();
    let ended = here.run_and_wait(entry, Why::Idle.code(), slot);
    if ended.code == 0 {
        let ms = begun.elapsed().as_secs_f32() * 1e3;
        // It is no job of a host's, of which a share may have second copies.
        paces.finished(pace::here_key(), work, ms, 1, true, Clock::start().now());
    }
    ended.pass_on()
}

/// Compiles here what failed elsewhere with the files that were sent, and waits for it: if it succeeds, the files were to blame.
pub(crate) fn fall_back_from_pump(
    command: &Command<'_>,
    job: &Job<'_>,
    mut entry: Entry,
    why: Why,
    slot: Option<Slot>,
) -> i32 {
    announce(command, job, &entry, why);
    entry.fell_back = why.fell_back();
    let ended = command.here().run_and_wait(entry, why.code(), slot);
    if ended.code == 0 {
        command.say.warn(format_args!(
            "remote compilation of '{}' failed, retried locally and got a different result",
            job.source().display()
        ));
        pump::count_discrepancy(command.settings);
    }
    ended.pass_on()
}

/// Says why the job is compiled here.
fn announce(command: &Command<'_>, job: &Job<'_>, entry: &Entry, why: Why) {
    let (say, source) = (command.say, job.source().display());
    let mut decisive = entry.attempts.iter().rev();
    let host = decisive
        .find(|attempt| attempt.error != Some(OUTRUN))
        .map_or("a host", |attempt| &attempt.host);
    match why {
        Why::LocalhostListed => say.info(format_args!("compile {source} on localhost")),
        why if why.is_verdict() => {
            say.info(format_args!("compiling {source} here ({})", why.code()));
        }
        Why::FailedThere => say.info(format_args!(
            "compile {source} on {host} failed; compiling it here to be sure"
        )),
        _ => say.warn(format_args!(
            "failed to distribute {source} to {host}, running locally instead ({})",
            why.code()
        )),
    }
}

/// The job may not run here, and there is nothing that came back: says so and gives the exit code.
pub(crate) fn refuse(command: &Command<'_>, job: &Job<'_>, entry: &mut Entry, why: Why) -> i32 {
    forbidden(command, job, why);
    entry.reason = Some(why.code());
    entry.fell_back = false;
    if let Some(path) = command.settings.journal_path() {
        entry.write(&path, End::Status(EXIT_NO_HOSTS));
    }
    EXIT_NO_HOSTS
}

/// Says that the job ends for `why`.
pub(crate) fn forbidden(command: &Command<'_>, job: &Job<'_>, why: Why) {
    command.say.error(format_args!(
        "failed to distribute {} ({}), and DISTCC_FALLBACK=0 forbids running it here",
        job.source().display(),
        why.code()
    ));
}
