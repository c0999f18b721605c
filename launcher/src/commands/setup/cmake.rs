//! `distcc-launch setup cmake`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{SetupError, our_path, put, replace};
use crate::commands::jobs::capacity;
use crate::settings::Settings;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    what: What,
    /// Write the file there instead of printing it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["module_dir", "print_args"])]
    write: Option<PathBuf>,
}

#[derive(Args)]
#[group(multiple = false)]
struct What {
    /// Hidden presets named distcc-launch, for the "include" of your CMakePresets.json
    #[arg(long)]
    preset: bool,
    /// Put the module and what find_package wants into a folder, and print that
    #[arg(long)]
    module_dir: bool,
    /// Print the arguments with which cmake uses the module
    #[arg(long)]
    print_args: bool,
}

const MODULE: &str = "DistccLaunch.cmake";

pub(super) fn run(settings: &Settings, options: &Options) -> Result<(), SetupError> {
    match options.what {
        What {
            module_dir: true, ..
        } => println!("{}", module_folder(settings)?.display()),
        What {
            print_args: true, ..
        } => {
            let module = module_folder(settings)?.join(MODULE);
            let args = integration_cmake::configure_args(&our_path()?, &module);
            if args.iter().any(|arg| arg.contains(char::is_whitespace)) {
                eprintln!(
                    "distcc-launch: a path has a blank in it, so a shell would split these; quote them by hand"
                );
            }
            println!("{}", args.join(" "));
        }
        What { preset: true, .. } => {
            let module = module_folder(settings)?.join(MODULE);
            let jobs = capacity(settings).total;
            let text = integration_cmake::presets(&our_path()?, &module, jobs);
            put(&text, options.write.as_deref())?;
        }
        _ => put(integration_cmake::MODULE, options.write.as_deref())?,
    }
    Ok(())
}

/// A folder with the files of this version: that of the installation, else one in `DISTCC_DIR`, filled now.
fn module_folder(settings: &Settings) -> Result<PathBuf, SetupError> {
    if let Some(folder) = our_path()?.parent().and_then(Path::parent) {
        let folder = folder.join("share/cmake/DistccLaunch");
        let is_ours = |(name, text): &(&str, &str)| {
            std::fs::read(folder.join(name)).is_ok_and(|there| there == text.as_bytes())
        };
        if integration_cmake::FILES.iter().all(is_ours) {
            return Ok(folder);
        }
    }
    let own = settings.folder.as_deref().ok_or(SetupError::NoFolder)?;
    let folder = std::path::absolute(own.join("cmake")).map_err(SetupError::NoName)?;
    for (name, text) in integration_cmake::FILES {
        replace(&folder.join(name), text)?;
    }
    Ok(folder)
}
