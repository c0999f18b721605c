//! A real C project, built through two daemons on this machine and again without, and the two compared.
//!
//! The build runs twice at the same paths, since an object may contain them.  Everything told at the end is looked up in
//! what the runs left: the objects, the launcher's journal, the daemons' logs and the kernel's account of processor time.

mod project;
mod records;
mod report;
mod usage;

use crate::farm::Farm;
use crate::{clean_up, dist, packages, workspace};
use anyhow::{Context as _, Result, bail};
use project::{Project, Tree, Unit};
use records::Places;
use report::Report;
use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};
use usage::children_cpu;

/// Under this share of units that went out and came back, the demo has failed.
const WANTED_REMOTE_PERCENT: usize = 95;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    /// Another launcher than ours, such as stock distcc, to compare with
    #[arg(long, hide = true)]
    launcher: Option<PathBuf>,
    /// Another daemon than ours, such as stock distccd, to compare with
    #[arg(long, hide = true)]
    daemon: Option<PathBuf>,
}

/// One run of the build.
struct Built {
    wall: Duration,
    /// Processor time of ninja and all it started: on the launcher's run, what distribution costs the client.
    cpu: Duration,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    clean_up::on_interrupt()?;
    packages::ensure(packages::DEMO)?;
    let (launcher, daemon) = programs(options)?;
    let folder = workspace::target_dir()?.join("demo");
    fs::create_dir_all(&folder)
        .with_context(|| format!("could not create {}", folder.display()))?;
    let lock =
        File::create(folder.join("lock")).context("could not create the demo's lock file")?;
    if lock.try_lock().is_err() {
        say("another demo is running in this clone; waiting for it");
        lock.lock().context("could not wait for the other demo")?;
    }

    say("taking libgit2's source out of its crate");
    let project = Project::fetch(&folder)?;
    let processors = thread::available_parallelism().map_or(2, NonZero::get);
    let state = clean_up::Folder::new("distcc-launch-demo-")?;
    let farm = Farm::start(&daemon, state.path(), processors)?;
    say(&format!(
        "two daemons listen on {}",
        farm.addresses().join(" and ")
    ));

    let tree = project.configure(Some(&launcher), &farm.hosts())?;
    let units = tree.units()?;
    say(&format!(
        "building {} C units through {}",
        units.len(),
        launcher.display()
    ));
    let journal = folder.join("journal.jsonl");
    remove_if_there(&journal)?;
    let mut ninja = tree.ninja(2 * processors);
    farm.prepare(&mut ninja, &state.path().join("state"), &journal)?;
    let through = build(&mut ninja).with_context(|| farm.last_words())?;
    let places = Places::read(&journal, &farm, &units)?;
    let distributed = tree.keep_as("build-distributed")?;

    say("building again without");
    let tree = project.configure(None, "")?;
    let alone = build(&mut tree.ninja(processors))?;
    let differing = differing(&distributed, &tree, &units)?;

    say("preprocessing every unit with gcc -E, for comparison");
    let preprocessing = usage::preprocess_all(&units, state.path(), processors)?;

    let report = Report {
        project: project.name(),
        launcher: &launcher,
        farm: &farm,
        units: &units,
        places: &places,
        differing: &differing,
        through,
        alone,
        preprocessing,
    };
    report.print(options.json);
    Ok(if report.failures().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The launcher and the daemon to show: ours, built now, unless others were named.
fn programs(options: &Options) -> Result<(PathBuf, PathBuf)> {
    let found = |name: &Path| {
        which::which(name).with_context(|| format!("there is no program {}", name.display()))
    };
    let named = (
        options.launcher.as_deref().map(found).transpose()?,
        options.daemon.as_deref().map(found).transpose()?,
    );
    if let (Some(launcher), Some(daemon)) = named {
        return Ok((launcher, daemon));
    }
    say("building the launcher and the daemon");
    let bin = dist::build()?;
    Ok((
        named.0.unwrap_or_else(|| bin.join("distcc-launch")),
        named.1.unwrap_or_else(|| bin.join("distcc-launchd")),
    ))
}

fn build(ninja: &mut Command) -> Result<Built> {
    let (start, before) = (Instant::now(), children_cpu()?);
    let status = clean_up::run(ninja).context("could not start ninja")?;
    let built = Built {
        wall: start.elapsed(),
        cpu: children_cpu()?.saturating_sub(before),
    };
    if !status.success() {
        bail!("ninja failed: {status}");
    }
    Ok(built)
}

/// The units whose objects are not the same bytes in both trees.
fn differing<'u>(distributed: &Path, alone: &Tree, units: &'u [Unit]) -> Result<Vec<&'u Unit>> {
    let mut differing = Vec::new();
    for unit in units {
        let read = |tree: &Path| {
            let path = tree.join(&unit.object);
            fs::read(&path).with_context(|| format!("could not read the object {}", path.display()))
        };
        if read(distributed)? != read(alone.path())? {
            differing.push(unit);
        }
    }
    Ok(differing)
}

fn remove_if_there(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Progress goes to standard error, so that the table or the JSON is all that standard output holds.
fn say(what: &str) {
    eprintln!("demo: {what}");
}
