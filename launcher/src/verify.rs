//! Trust, looked at now and then: of a sample of jobs the object that came back is compared with that of a local compile.
//!
//! A host can put anything into the code of an object, and no check of its form sees that. `DISTCC_LAUNCH_VERIFY=N` compiles
//! N of a hundred jobs here as well; what a build gets of those is the local result.

use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use compiler::Job;

use crate::driver::Command;
use crate::here::{Ended, Why};
use crate::journal::{End, Entry};

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

/// Compiles here, and compares the object with the one that came from a host. Tells whether it is the same, and how the
/// compiler ended.
pub(crate) fn compare(
    command: &Command<'_>,
    job: &Job<'_>,
    mut entry: Entry,
    object: &[u8],
) -> (bool, Ended) {
    let here = command.here();
    let ended = here.wait_for_compiler(None);
    let same = ended.code == 0 && std::fs::read(job.output()).is_ok_and(|local| local == object);
    // That of a second copy, which was outrun, may be the last.
    let done = entry.attempts.iter_mut().rfind(|one| one.error.is_none());
    // A compiler that somebody killed says nothing about the host.
    if let (false, false, Some(attempt)) = (same, ended.was_killed(), done) {
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
        entry.write(&path, End::Status(ended.code));
    }
    (same, ended)
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
