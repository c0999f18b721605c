//! A job that no host does: it is compiled here, or, where DISTCC_FALLBACK=0 forbids that, refused.

use compiler::{Job, Work};
use hosts::Slot;

use crate::driver::Command;
use crate::here::Why;
use crate::journal::{End, Entry};

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
    let (say, source) = (command.say, job.source().display());
    let host = entry
        .attempts
        .last()
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
    entry.fell_back = why.fell_back();
    command.here().run(entry, why.code(), Work::Compile, slot)
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
