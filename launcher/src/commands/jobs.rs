//! `distcc-launch jobs`: how wide to build, from the host list.

use clap::Args;
use hosts::{Capacity, HostList};

use crate::driver::host_list;
use crate::here::processors;
use crate::settings::Settings;

#[derive(Args)]
#[command(after_help = "Example: make -j $(distcc-launch jobs)")]
pub(super) struct Jobs {
    #[command(flatten)]
    which: Which,
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

pub(super) fn run(settings: &Settings, jobs: &Jobs) -> i32 {
    let capacity = capacity(settings);
    let count = match jobs.which {
        Which { remote: true, .. } => capacity.remote,
        Which { local: true, .. } => capacity.local,
        Which { link: true, .. } => capacity.link,
        _ => capacity.total,
    };
    println!("{count}");
    0
}

/// What this machine and its hosts bear.  A list that cannot be used is told on stderr and counts as none.
pub(super) fn capacity(settings: &Settings) -> Capacity {
    let list = host_list(settings)
        .map(|(list, _)| list)
        .unwrap_or_else(|error| {
            eprintln!("distcc-launch: {error}; counting this machine only");
            HostList::default()
        });
    Capacity::new(&list, processors(), free_memory().unwrap_or(u64::MAX))
}

/// Memory that could be had without swapping, in bytes.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}
