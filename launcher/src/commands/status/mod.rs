//! `distcc-launch status`: hosts and their slots, who is avoided, what runs now, and what the last build came to.
//!
//! Only looks: takes no lock, opens no connection (for a list with `+zeroconf` the browser is started, as by every launcher).  What runs is read from state files, ours and stock's alike, and from the
//! locks of this machine's slots.

mod build;
mod show;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use clap::Args;
use compiler::names;
use hosts::pace::Copies;
use hosts::view::Held;
use hosts::{Folder, state};

use self::build::Build;
use super::farm::{Farm, HostNow, Pace, Relative};
use super::records::Journal;
use crate::settings::Settings;
use crate::zeroconf::Search;

#[derive(Args)]
#[command(after_help = "\
Examples:
  distcc-launch status
  distcc-launch status --watch          once a second until Ctrl-C
  distcc-launch status --json | jq .jobs

The last build is made of the journal's last commands, up to a pause of two minutes.")]
pub(super) struct Status {
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Again and again, each SECONDS
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", require_equals = true)]
    watch: Option<f64>,
}

pub(super) fn run(settings: &Settings, status: &Status) -> i32 {
    let journal = settings.journal_path().map(|path| Journal::at(&path));
    let mut build = Build::default();
    if let Some(journal) = &journal {
        build.begin(journal);
    }
    let clears = status.watch.is_some() && !status.json && io::stdout().is_terminal();
    loop {
        let now = Now::look(settings);
        let text = match status.json {
            true => show::as_json(&now, &build),
            false => show::as_text(&now, &build),
        };
        let clear = if clears { "\x1b[H\x1b[2J" } else { "" };
        let gap = if clears || status.watch.is_none() || status.json {
            ""
        } else {
            "\n"
        };
        let mut out = io::stdout().lock();
        let printed = write!(out, "{clear}{text}{gap}").and_then(|()| out.flush());
        match printed {
            Ok(()) => {}
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return 0,
            Err(error) => {
                eprintln!("distcc-launch: could not print: {error}");
                return 1;
            }
        }
        let Some(pause) = status.watch else { return 0 };
        std::thread::sleep(Duration::try_from_secs_f64(pause.max(0.1)).unwrap_or(Duration::MAX));
        if let Some(journal) = &journal {
            build.follow(journal);
        }
    }
}

/// What is so at one moment.
struct Now {
    farm: Farm,
    /// What `+zeroconf` found.
    zeroconf: Option<Search>,
    jobs: Vec<JobNow>,
}

/// A command that runs.
struct JobNow {
    pid: u32,
    phase: &'static str,
    file: Vec<u8>,
    host: Vec<u8>,
    slot: u32,
}

impl Now {
    fn look(settings: &Settings) -> Now {
        let farm = Farm::look(settings);
        let jobs = match &farm.shared {
            Some((folder, _)) => jobs(folder, farm.time, &farm.local.held),
            None => Vec::new(),
        };
        Now {
            farm,
            zeroconf: Search::of(settings),
            jobs,
        }
    }

    /// The hosts that are other machines, with what is known of their paces.
    fn hosts(&self, paces: &Relative) -> Vec<(&HostNow, Option<Pace>)> {
        let hosts = self.farm.hosts.iter().zip(paces.hosts.iter().copied());
        hosts.filter(|(host, _)| host.is_remote()).collect()
    }

    /// Second copies of late; `None` where no job was counted.
    fn copies(&self) -> Option<Copies> {
        let (_, paces) = self.farm.shared.as_ref()?;
        Some(paces.copies()).filter(|copies| copies.of > 0)
    }
}

/// What the state files tell, and the compilers that the launcher has become: they have no state file, but the lock of their
/// slot.
fn jobs(folder: &Folder, now: SystemTime, local: &[Held]) -> Vec<JobNow> {
    let states = state::read_all(folder, now);
    let mut jobs: Vec<JobNow> = states
        .into_iter()
        .map(|state| JobNow {
            pid: state.pid,
            phase: state.phase.name(),
            file: state.file,
            host: state.host,
            slot: state.slot,
        })
        .collect();
    let seen: BTreeSet<u32> = jobs.iter().map(|job| job.pid).collect();
    let compilers = local.iter().filter_map(|held| {
        let pid = held.pid.filter(|pid| !seen.contains(pid))?;
        Some(JobNow {
            pid,
            phase: "Compile",
            file: what_it_does(pid),
            host: b"localhost".to_vec(),
            slot: held.slot,
        })
    });
    jobs.extend(compilers.collect::<Vec<_>>());
    jobs
}

/// The file that a process is at work on: the source that its words name, or the output, or the program itself.
fn what_it_does(pid: u32) -> Vec<u8> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let source = words
        .iter()
        .skip(1)
        .find(|word| names::looks_like_source(word));
    let output = words
        .iter()
        .position(|word| *word == b"-o")
        .and_then(|at| words.get(at + 1));
    let name = source.or(output).or(words.first()).copied();
    names::base(name.unwrap_or_default()).to_vec()
}

/// Bytes for a person to read.
fn shown(bytes: &[u8]) -> String {
    OsStr::from_bytes(bytes).display().to_string()
}
