//! `distcc-launch setup`: what a build tool needs to compile through the launcher.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::jobs::capacity;
use crate::settings::Settings;

#[derive(Args)]
#[command(after_help = "Example: distcc-launch setup cmake --write cmake/DistccLaunch.cmake")]
pub(super) struct Setup {
    /// The build tool
    tool: Tool,
    /// Write the file there instead of printing it
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tool {
    /// DistccLaunch.cmake, a module to include
    Cmake,
    /// A file of pools to include
    Ninja,
    /// The [env] part of .cargo/config.toml
    Cargo,
}

pub(super) fn run(settings: &Settings, setup: &Setup) -> i32 {
    let text = match setup.tool {
        Tool::Cmake => integration_cmake::MODULE.to_owned(),
        Tool::Ninja => integration_ninja::pool_file(&capacity(settings)),
        Tool::Cargo => integration_cargo_cc::env_fragment("distcc-launch"),
    };
    let Some(path) = &setup.write else {
        print!("{text}");
        return 0;
    };
    match std::fs::write(path, text) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("distcc-launch: could not write {}: {error}", path.display());
            1
        }
    }
}
