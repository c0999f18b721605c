//! `distcc-launch setup`: what a build tool needs to compile through the launcher.

mod cargo;
mod cmake;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::jobs::capacity;
use crate::find::{self, Inode};
use crate::settings::Settings;

#[derive(Args)]
#[command(
    after_help = "Examples: cmake $(distcc-launch setup cmake --print-args) -S . -B build\n          distcc-launch setup ninja --write distcc.ninja\n          distcc-launch setup cargo --write"
)]
pub(super) struct Setup {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// DistccLaunch.cmake, a module to include; presets; arguments for cmake
    Cmake(cmake::Options),
    /// A file of pools for Ninja files of your own to include
    Ninja(Ninja),
    /// The [env] part of .cargo/config.toml, for crates with C or C++ in them
    Cargo(cargo::Options),
}

#[derive(Args)]
struct Ninja {
    /// Write the file there instead of printing it
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "distcc.ninja")]
    write: Option<PathBuf>,
}

/// What stops a set-up; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("could not write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("could not read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} stays as it is: {why}", path.display())]
    Refused { path: PathBuf, why: String },
    #[error(
        "neither DISTCC_DIR nor HOME is set, so there is no folder for the module; use --write FILE"
    )]
    NoFolder,
    #[error("it is not known which file this program is: {0}")]
    NoName(io::Error),
    #[error("{0}")]
    Other(String),
}

pub(super) fn run(settings: &Settings, setup: &Setup) -> i32 {
    let done = match &setup.tool {
        Tool::Cmake(options) => cmake::run(settings, options),
        Tool::Ninja(options) => put(
            &integration_ninja::pool_file(&capacity(settings)),
            options.write.as_deref(),
        ),
        Tool::Cargo(options) => cargo::run(settings, options),
    };
    ended(done)
}

/// Tells what went wrong; gives the exit code.
pub(super) fn ended(done: Result<(), SetupError>) -> i32 {
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("distcc-launch: {error}");
            1
        }
    }
}

/// Writes `text` into `file`, or prints it.
fn put(text: &str, file: Option<&Path>) -> Result<(), SetupError> {
    match file {
        Some(file) => replace(file, text),
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

/// Makes `file` say `text`, all of it or nothing; a file that says it already keeps its time.
fn replace(file: &Path, text: &str) -> Result<(), SetupError> {
    if fs::read(file).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let write = || -> io::Result<()> {
        // A link stays one.
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut partial = file.clone().into_os_string();
        partial.push(format!(".{}~", std::process::id()));
        let written = fs::write(&partial, text)
            .and_then(|()| match fs::metadata(&file) {
                Ok(there) => fs::set_permissions(&partial, there.permissions()),
                Err(_) => Ok(()),
            })
            .and_then(|()| fs::rename(&partial, &file));
        if written.is_err() {
            // What failed is told; this would only be tidier.
            let _ = fs::remove_file(&partial);
        }
        written
    };
    write().map_err(|source| SetupError::Write {
        path: file.to_owned(),
        source,
    })
}

/// This program's file.
pub(super) fn our_path() -> Result<PathBuf, SetupError> {
    std::env::current_exe().map_err(SetupError::NoName)
}

/// What this program is best called in a file that others read: its bare name, where `PATH` leads to it.
fn our_name(settings: &Settings) -> Result<String, SetupError> {
    const NAME: &str = "distcc-launch";
    // Our own file is passed over in a search, and so is not found again where it is the only one.
    let found = |ours| find::compiler(NAME.as_ref(), &settings.path, ours);
    let by_name = found(None).map(|program| Inode::of(&program.stat));
    if by_name.is_some() && by_name == Inode::ours() {
        return Ok(NAME.to_owned());
    }
    Ok(our_path()?.display().to_string())
}
