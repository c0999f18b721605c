//! What a person types: demo, test, tools, bench, dist, install.

mod bench;
mod clean_up;
mod demo;
mod dist;
mod farm;
mod packages;
mod test;
mod venv;
mod workspace;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "Builds, shows, tests and measures distcc-launch"
)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build a real C project through two daemons on this machine, and compare it with a local build
    Demo(demo::Options),
    /// Format, lints and every test; installs what the tests need
    Test(test::Options),
    /// Install the build tools from PyPI that the tests use, below target/, and print their folder
    Tools,
    /// Measure beside stock distcc and print the performance table (as root)
    Bench(bench::Options),
    /// Build the release binaries into target/dist/bin
    Dist,
    /// Build the release binaries and put them, the integrations and the documents under PREFIX
    Install {
        /// Where to: PREFIX/bin and PREFIX/share
        prefix: PathBuf,
    },
}

fn main() -> ExitCode {
    let task = Options::parse().task;
    let result = match task {
        Task::Demo(options) => demo::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Tools => test::tools(),
        Task::Bench(options) => bench::run(&options),
        Task::Dist => dist::build().map(|_| ExitCode::SUCCESS),
        Task::Install { prefix } => dist::install(&prefix).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        clean_up::wait_if_interrupted();
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
