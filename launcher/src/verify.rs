//! Trust, looked at now and then: of a sample of jobs the object that came back is compared with that of a local compile.
//!
//! A host can put anything into the code of an object, and no check of its form sees that. `DISTCC_LAUNCH_VERIFY=N` compiles
//! N of a hundred jobs here as well; what a build gets of those is the local result.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use compiler::Job;
use hosts::LocalPool;

use crate::driver::{self, Command};
use crate::here::{self, Why};
use crate::journal::{End, Entry};
use crate::os;

/// The error of an attempt whose object is another one.
pub(crate) const DIFFERS: &str = "object-differs";

/// Is this job one of the `percent` that are compiled here as well?
pub(crate) fn is_sample(percent: u64) -> bool {
    if percent == 0 {
        return false;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = now.map_or(0, |now| u64::from(now.subsec_nanos()));
    // Spread by a multiplication, since clocks and process numbers go in steps.
    let mixed = (nanos ^ u64::from(process::id()) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) % 100 < percent
}

/// Compiles here, and compares the object with the one that came from the host of the last attempt. Tells whether it is
/// the same, and the compiler's exit code.
pub(crate) fn compare(
    command: &Command<'_>,
    job: &Job<'_>,
    mut entry: Entry,
    object: &[u8],
) -> (bool, i32) {
    let here = command.here();
    let list = driver::host_list(here.settings).ok().map(|(list, _)| list);
    let slot = here::take_local(here.settings, here.say, LocalPool::Job, list.as_ref());
    let mut compiler = process::Command::new(&here.program.path);
    compiler.arg0(&here.program.argv0).args(here.args);
    let ended = os::start_as_started(&mut compiler).and_then(|(mut child, _ending)| child.wait());
    drop(slot);
    let code = match ended {
        Ok(status) => status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
        Err(error) => here::cannot_run(here.say, here.program.path.as_os_str(), &error),
    };
    let same = code == 0 && std::fs::read(job.output()).is_ok_and(|local| local == object);
    if let (false, Some(attempt)) = (same, entry.attempts.last_mut()) {
        attempt.error = Some(DIFFERS);
        // Whoever asks for this wants to see it, whatever we are called.
        eprintln!(
            "distcc-launch: {} was compiled differently by {}: its object is not the local one; the local one was taken. Do not trust that \
             host until you know why (DISTCC_LAUNCH_VERIFY)",
            job.source().display(),
            attempt.host
        );
    }
    entry.reason = Some(Why::Sample.code());
    entry.host = Some("localhost".to_owned());
    if let Some(path) = here.settings.journal_path() {
        entry.write(&path, End::Status(code));
    }
    (same, code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_and_all() {
        assert!((0..1000).all(|_| !is_sample(0) && is_sample(100)));
    }

    #[test]
    fn about_as_many_as_were_asked_for() {
        let taken = (0..4000).filter(|_| is_sample(50)).count();
        assert!((1000..3000).contains(&taken), "{taken}");
    }
}
