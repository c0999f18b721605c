//! `distcc-launch compile`: the commands of a compile_commands.json, run on the hosts without any build tool.
//!
//! Each command is run by starting this program as its prefix, so that a unit is compiled exactly as in a build.

mod os;
mod plan;
mod report;
mod run;

use std::path::PathBuf;

use clap::Args;
use regex::bytes::{Regex, RegexBuilder};

use super::database::{Database, Unusable};
use super::jobs::capacity;
use crate::settings::Settings;
use plan::Plan;

/// A file that cannot be used, or nothing in it to do.
const EXIT_UNUSABLE: i32 = 2;

#[derive(Args)]
#[command(after_help = "\
Examples:
  distcc-launch compile                         every command of ./ or build/compile_commands.json
  distcc-launch compile -p build --filter 'src/util/.*\\.c$' -j 40

Writes what a build would write for these commands, folders for the outputs included; what a build generates first (headers,
sources) must be there already.  Commands with the same output run once, precompiled headers are made first.  Only gcc's and
clang's drivers are run.  The exit code is that of the worst command; Ctrl-C ends them all.")]
pub(super) struct Compile {
    /// The folder with compile_commands.json, or the file [default: compile_commands.json, else build/compile_commands.json]
    #[arg(short = 'p', value_name = "DIR")]
    place: Option<PathBuf>,
    /// Only sources whose absolute path this expression finds
    #[arg(long, value_name = "REGEX", value_parser = filter)]
    filter: Option<Regex>,
    /// Commands at a time [default: all slots, as distcc-launch jobs prints them]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Leave out, without failing, commands whose program is no compiler that is known
    #[arg(long)]
    skip_unknown: bool,
}

/// Paths are bytes, so the expression is about bytes.
fn filter(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).unicode(false).build()
}

pub(super) fn run(settings: &Settings, compile: &Compile) -> i32 {
    let plan = match plan(settings, compile) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("distcc-launch: {error}");
            return EXIT_UNUSABLE;
        }
    };
    if plan.is_empty() {
        let all = if plan.filtered > 0 {
            "no source matches --filter"
        } else {
            "there is no command in it"
        };
        eprintln!(
            "distcc-launch: {}: {all}; distcc-launch classify --json lists the sources",
            plan.path.display()
        );
        return EXIT_UNUSABLE;
    }
    let jobs = compile.jobs.unwrap_or_else(|| capacity(settings).total);
    run::run(settings, &plan, jobs, compile.skip_unknown)
}

fn plan(settings: &Settings, compile: &Compile) -> Result<Plan, Unusable> {
    let database = match &compile.place {
        Some(place) => Database::open(place)?,
        None => Database::usual()?,
    };
    Plan::of(settings, &database, compile.filter.as_ref())
}
