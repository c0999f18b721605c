//! make: how wide it runs, and whether it can read what it is told.

use std::path::Path;
use std::process::Command;

use hosts::{Capacity, HostList};

use super::finding::{Finding, Layer};
use super::pace::{MAKE, Pace};
use super::run::run;
use crate::here::processors;
use crate::settings::BuildEnvironment;

/// Does somebody ask for fewer jobs than the hosts have slots?
pub(super) fn width(environment: &BuildEnvironment, list: &HostList) -> Finding {
    let capacity = Capacity::new(list, processors(), u64::MAX);
    if capacity.remote == 0 {
        return Finding::skipped(Layer::Width, "there are no slots to fill");
    }
    let text = |name| {
        environment
            .get(name)
            .map(|value| value.to_string_lossy().into_owned())
    };
    let number = |name| text(name).and_then(|value| value.trim().parse::<u32>().ok());
    let asked = [
        (
            "MAKEFLAGS",
            text("MAKEFLAGS").and_then(|flags| make_jobs(&flags)),
        ),
        (
            "CMAKE_BUILD_PARALLEL_LEVEL",
            number("CMAKE_BUILD_PARALLEL_LEVEL"),
        ),
        ("CARGO_BUILD_JOBS", number("CARGO_BUILD_JOBS")),
    ];
    let narrow = asked.into_iter().find_map(|(name, jobs)| {
        jobs.filter(|jobs| *jobs < capacity.remote)
            .map(|jobs| (name, jobs))
    });
    let total = capacity.total;
    match narrow {
        None => Finding::ok(
            Layer::Width,
            format!(
                "no variable asks for fewer jobs than the {} slots; -j {total} fills all",
                capacity.remote
            ),
        ),
        Some((name, jobs)) => Finding::failed(
            Layer::Width,
            "jobs-below-slots",
            format!(
                "{name} asks for {jobs} jobs at a time, and the hosts have {} slots: most of them stay empty",
                capacity.remote
            ),
            match name {
                "MAKEFLAGS" => {
                    format!("export MAKEFLAGS=-j{total}      # or: make -j $(distcc-launch jobs)")
                }
                name => format!("export {name}=$(distcc-launch jobs)"),
            },
        ),
    }
}

/// The `-j` of make's flags: `-j4`, `-j 4`, `--jobs=4`, and `j4` as a first word; `None` for none or one without a number.
fn make_jobs(flags: &str) -> Option<u32> {
    let mut words = flags.split_whitespace().peekable();
    let mut jobs = None;
    let mut first = true;
    while let Some(word) = words.next() {
        let rest = if let Some(rest) = word.strip_prefix("--jobs=") {
            Some(rest)
        } else if word == "-j" || word == "--jobs" {
            words.peek().copied()
        } else if word.starts_with("--") || word.contains('=') {
            None
        } else if let Some(letters) = word.strip_prefix('-').or(first.then_some(word)) {
            letters.split_once('j').map(|(_, rest)| rest)
        } else {
            None
        };
        jobs = rest.and_then(|rest| rest.parse().ok()).or(jobs);
        first = false;
    }
    jobs
}

/// make before 4.4 dies of a jobserver that is a fifo.
pub(super) fn jobserver(environment: &BuildEnvironment, pace: &Pace) -> Finding {
    let flags = environment
        .get("MAKEFLAGS")
        .map(|value| value.to_string_lossy().into_owned());
    let fifo = flags.as_deref().and_then(|flags| {
        let words = flags.split_whitespace();
        words.rev().find_map(|word| {
            let (_, path) = word
                .strip_prefix("--jobserver-auth=")?
                .split_once("fifo:")?;
            Some(path.to_owned())
        })
    });
    let Some(fifo) = fifo else {
        return Finding::skipped(Layer::Jobserver, "MAKEFLAGS names no fifo");
    };
    if !Path::new(&fifo).exists() {
        return Finding::failed(
            Layer::Jobserver,
            "jobserver-gone",
            format!("MAKEFLAGS names the jobserver {fifo}, which is not there any more"),
            "unset MAKEFLAGS",
        );
    }
    let asked = run(
        Command::new("make")
            .arg("--version")
            .env_remove("MAKEFLAGS"),
        pace.end_of(MAKE),
    );
    let version = asked.ok().and_then(|ran| make_version(&ran.stdout));
    match version {
        None => Finding::skipped(
            Layer::Jobserver,
            "there is no GNU make that says its version",
        ),
        Some((major, minor)) if (major, minor) < (4, 4) => Finding::failed(
            Layer::Jobserver,
            "make-too-old-for-fifo",
            format!(
                "MAKEFLAGS names a jobserver that is a fifo ({fifo}), and make {major}.{minor} stops at that: it wants 4.4"
            ),
            "unset MAKEFLAGS      # then: make -j $(distcc-launch jobs), or: distcc-launch run make",
        ),
        Some((major, minor)) => Finding::ok(
            Layer::Jobserver,
            format!("make {major}.{minor} reads a fifo"),
        ),
    }
}

/// `GNU Make 4.3` → 4, 3.
fn make_version(text: &str) -> Option<(u32, u32)> {
    let rest = text.lines().next()?.strip_prefix("GNU Make ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_flags_are_read_as_make_writes_them() {
        for (flags, jobs) in [
            ("-j4", Some(4)),
            ("-j 4", Some(4)),
            ("j4", Some(4)),
            ("kj4 -- X=j9", Some(4)),
            ("--jobs=4", Some(4)),
            (" -j4 --jobserver-auth=3,4", Some(4)),
            (" --jobserver-auth=fifo:/tmp/j5", None),
            ("-j", None),
            ("-k", None),
            ("k", None),
            ("w -- CJ=j7", None),
        ] {
            assert_eq!(make_jobs(flags), jobs, "{flags}");
        }
        assert_eq!(make_version("GNU Make 4.4.1\nBuilt for x"), Some((4, 4)));
        assert_eq!(make_version("GNU Make 4.3\n"), Some((4, 3)));
        assert_eq!(make_version("bmake"), None);
    }
}
