//! The browser: looks for daemons that announce themselves by multicast DNS, and writes what it finds into a small file.
//!
//! A launcher that finds `+zeroconf` in its list starts one and reads the file.  It is a program of its own, since launchers shall not
//! carry what talks with a whole network: threads, a library for multicast DNS, memory that others fill.  Which hosts are used is
//! the launcher's to decide; nothing here opens a connection to one.
//!
//! One for a user's `$DISTCC_DIR`, detached from everything that a build tool waits for; it ends by itself when no launcher has asked for
//! a while.

mod compiler;
mod files;
mod os;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use hosts::found;
use mdns_sd::{ServiceDaemon, ServiceEvent};
use protocol::zeroconf::SERVICE;
use rustix::process::{Resource, Rlimit};

use crate::compiler::Mine;
use crate::files::Place;
use crate::table::Table;

/// After the first host was found, others of the same network have so long to answer before launchers hear of them.
const GATHER: Duration = Duration::from_millis(150);
/// So long launchers are kept waiting where nobody answers; less than they are willing to.
const NOBODY: Duration = Duration::from_millis(400);
/// Memory for what others announce, in bytes.  Beyond it the process ends, and a launcher starts another.
const MEMORY: u64 = 64 << 20;

/// Looks for compile daemons that announce themselves (distcc-launchd --zeroconf, stock distccd --zeroconf).
///
/// Started by distcc-launch for host lists with +zeroconf.
#[derive(Parser)]
#[command(name = "zeroconf-browser", version)]
struct Options {
    /// Where to write what was found: $DISTCC_DIR/zeroconf
    folder: PathBuf,
    /// End when no launcher has asked for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0)]
    idle: f64,
    /// Stay in the foreground
    #[arg(long)]
    stay: bool,
}

fn main() -> ExitCode {
    os::close_inherited();
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            // If even the complaint cannot be printed there is the exit code.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zeroconf-browser: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let Some(place) = Place::take(&options.folder)? else {
        // Another one is there already.
        return Ok(());
    };
    if !options.stay {
        // Whoever started us waits for this process, not for the one that stays.
        if !os::fork().context("could not go to the background")? {
            return Ok(());
        }
        // Fails only for one that leads a session already.
        let _ = rustix::process::setsid();
    }
    std::env::set_current_dir("/")?;
    let limit = Some(MEMORY);
    let limit = Rlimit {
        current: limit,
        maximum: limit,
    };
    rustix::process::setrlimit(Resource::Data, limit)?;
    let idle = Duration::try_from_secs_f64(options.idle).unwrap_or(Duration::MAX);
    let done = browse(&place, idle);
    place.clear();
    if let Err(error) = &done {
        place.note_failure(&format!("{error:#}"));
    }
    done
}

/// Writes what is found until nobody asks any more.
fn browse(place: &Place, idle: Duration) -> Result<()> {
    place.begin()?;
    let mine = Mine::ask();
    let service = format!("{SERVICE}.local.");
    let multicast = ServiceDaemon::new().context("could not prepare multicast DNS")?;
    let events = multicast
        .browse(&service)
        .context("could not look for daemons")?;
    let mut table = Table::new(&service, mine);
    let begun = Instant::now();
    // When to write next; something is always due, since launchers believe no old file.
    let mut due = begun + NOBODY;
    let mut gathering = false;
    while let Some(left) = place.time_left(idle) {
        let now = Instant::now();
        if now >= due {
            place.write(&table.found())?;
            gathering = false;
            due = now + found::HEARTBEAT;
        }
        let pause = due.saturating_duration_since(now).min(left);
        let changed = match events.recv_timeout(pause) {
            Ok(ServiceEvent::ServiceResolved(service)) => table.add(&service),
            Ok(ServiceEvent::ServiceRemoved(_, name)) => table.remove(&name),
            Ok(_) => false,
            Err(_) if events.is_disconnected() => anyhow::bail!("multicast DNS ended"),
            Err(_) => false,
        };
        if changed && !gathering {
            gathering = true;
            due = due.min(Instant::now() + GATHER);
        }
    }
    // Nobody hears of it; the process ends anyway.
    let _ = multicast.shutdown();
    Ok(())
}
