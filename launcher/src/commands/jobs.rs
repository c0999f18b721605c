//! `distcc-launch jobs`: how wide to build, from the host list.
//!
//! Never fails a build: what cannot be found out is left out, and said on standard error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use hosts::{Capacity, HostList, Origin};
use serde::Serialize;

use super::{probe, room};
use crate::driver::host_list;
use crate::here::processors;
use crate::remember;
use crate::settings::Settings;

/// How long `--probe` may take in all.
const PROBE: Duration = Duration::from_millis(500);

#[derive(Args)]
#[command(
    after_help = "Examples: make -j $(distcc-launch jobs)\n          cmake --build build $(distcc-launch jobs --probe --format=cmake)"
)]
pub(super) struct Jobs {
    #[command(flatten)]
    which: Which,
    /// Print all numbers and hosts as one JSON object
    #[arg(long, conflicts_with_all = ["format", "remote", "local", "total", "link"])]
    json: bool,
    /// Print the words that tell this tool the number
    #[arg(long, value_name = "TOOL")]
    format: Option<Format>,
    /// Leave out hosts where nothing listens now (0.5 s at most)
    #[arg(long)]
    probe: bool,
}

#[derive(Args)]
#[group(multiple = false)]
struct Which {
    /// Slots of other machines
    #[arg(long)]
    remote: bool,
    /// Slots of this machine
    #[arg(long)]
    local: bool,
    /// Both together, for -j [default]
    #[arg(long)]
    total: bool,
    /// Links that this machine's free memory bears at a time
    #[arg(long)]
    link: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Ninja,
    Make,
    Cmake,
    Cargo,
}

impl Format {
    fn words(self, count: u32) -> String {
        match self {
            Format::Ninja | Format::Make => format!("-j{count}"),
            Format::Cmake => format!("--parallel {count}"),
            Format::Cargo => format!("--jobs {count}"),
        }
    }
}

pub(super) fn run(settings: &Settings, jobs: &Jobs) -> i32 {
    let (list, watch) = list(settings);
    let capacity = of_list(&list);
    note(settings, &capacity);
    let (list, answers) = if jobs.probe {
        without_the_silent(settings, list)
    } else {
        let nobody_asked = vec![None; list.hosts.len()];
        (list, nobody_asked)
    };
    let capacity = of_list(&list);
    if jobs.json {
        println!("{}", json(&capacity, &list, &answers, &watch));
        return 0;
    }
    let count = match jobs.which {
        Which { remote: true, .. } => capacity.remote,
        Which { local: true, .. } => capacity.local,
        Which { link: true, .. } => capacity.link,
        _ => capacity.total,
    };
    match jobs.format {
        Some(format) => println!("{}", format.words(count)),
        None => println!("{count}"),
    }
    0
}

/// What this machine and its hosts bear.  A list that cannot be used is told on stderr and counts as none.
pub(super) fn capacity(settings: &Settings) -> Capacity {
    let (list, _) = list(settings);
    let capacity = of_list(&list);
    note(settings, &capacity);
    capacity
}

fn of_list(list: &HostList) -> Capacity {
    Capacity::new(list, processors(), room::free_memory().unwrap_or(u64::MAX))
}

/// The list, and the files that tell when it is another one.
fn list(settings: &Settings) -> (HostList, Vec<PathBuf>) {
    let mut watch: Vec<PathBuf> = noted(settings).into_iter().collect();
    match host_list(settings) {
        Ok((list, origin)) => {
            if let Origin::File(path) = origin {
                watch.push(path);
            }
            (list, watch)
        }
        Err(error) => {
            eprintln!("distcc-launch: {error}; counting this machine only");
            (HostList::default(), watch)
        }
    }
}

/// Marks the hosts that do not answer as down; gives the list and what each one did.
fn without_the_silent(settings: &Settings, mut list: HostList) -> (HostList, Vec<Option<bool>>) {
    let answers = probe::reachable(&list.hosts, settings.folder.as_deref(), PROBE);
    let mut silent = Vec::new();
    for (host, answer) in list.hosts.iter_mut().zip(&answers) {
        if *answer == Some(false) {
            host.down = true;
            silent.push(host.name());
        }
    }
    if !silent.is_empty() {
        eprintln!("distcc-launch: nothing listens at {}", silent.join(", "));
    }
    (list, answers)
}

/// The file that holds the numbers of the list last used.
///
/// Build trees that CMake made depend on it, so that one asked for their `-j` after a change configures them again.
fn noted(settings: &Settings) -> Option<PathBuf> {
    Some(settings.folder.as_deref()?.join("slots"))
}

/// Writes the numbers down, if they are others than before.  Links are not among them: free memory changes by the minute.
fn note(settings: &Settings, capacity: &Capacity) {
    let Some(file) = noted(settings) else { return };
    let text = format!("{} {}\n", capacity.remote, capacity.local);
    if remember::read(&file).is_none_or(|(there, _)| there != text.as_bytes()) {
        remember::write(&file, text.as_bytes());
    }
}

fn json(
    capacity: &Capacity,
    list: &HostList,
    answers: &[Option<bool>],
    watch: &[PathBuf],
) -> String {
    #[derive(Serialize)]
    struct Line {
        host: String,
        slots: u32,
        /// Whether it answered, if it was asked.
        up: Option<bool>,
    }
    #[derive(Serialize)]
    struct Object<'a> {
        remote: u32,
        local: u32,
        total: u32,
        link: u32,
        cpp: u32,
        hosts: Vec<Line>,
        /// Files that change when the numbers do.
        watch: Vec<&'a str>,
    }
    let lines = list.hosts.iter().zip(answers).map(|(host, up)| Line {
        host: host.name(),
        slots: host.slots,
        up: up.or(host.down.then_some(false)),
    });
    let object = Object {
        remote: capacity.remote,
        local: capacity.local,
        total: capacity.total,
        link: capacity.link,
        cpp: capacity.cpp,
        hosts: lines.collect(),
        watch: watch
            .iter()
            .filter(|file| file.exists())
            .filter_map(|file| Path::to_str(file))
            .collect(),
    };
    serde_json::to_string(&object).expect("numbers and strings are always JSON")
}
