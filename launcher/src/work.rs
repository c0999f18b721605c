//! What a job's time depends on, in the words of the table of paces.
//!
//! Knows nothing of what the table makes of it.

use std::os::unix::ffi::OsStrExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use compiler::Job;
use compiler::language::Language;
use hosts::pace::{Kind, Moment, Unit, Work};

/// The work that `job` is, as far as its words tell.
pub(crate) fn of(job: &Job<'_>) -> Work {
    let language = match job.language() {
        Language::C => 0,
        Language::Cxx | Language::CxxModule => 1,
        Language::ObjC | Language::ObjCxx => 2,
        // Preprocessed sources, and assembler.
        _ => 3,
    };
    let names = [job.cwd(), job.source(), job.output()];
    Work {
        kind: Kind::new(language, job.is_optimised(), job.writes_debug()),
        unit: Unit::of(names.map(|name| name.as_bytes())),
        bytes: None,
    }
}

/// The time now, as the table counts it.
pub(crate) fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as Moment)
}
