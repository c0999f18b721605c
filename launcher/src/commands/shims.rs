//! `distcc-launch shims DIR`: a folder of links that stand before the compilers in `PATH`.
//!
//! The launcher finds the real compiler behind its own links (`find`); here they are only made.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::Args;

use super::setup::{SetupError, ended, our_path};
use crate::find::{self, Inode};
use crate::settings::Settings;

#[derive(Args)]
#[command(
    after_help = "Example: eval \"$(distcc-launch shims ~/.distcc/shims)\"; make -j $(distcc-launch jobs)\n\nPrints the line that puts the folder first in PATH."
)]
pub(super) struct Shims {
    /// The folder, made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// For scripts that know stock's name and no other; cc-rs is one.
const STOCK: &str = "distcc";

pub(super) fn run(settings: &Settings, shims: &Shims) -> i32 {
    ended(make(settings, &shims.folder))
}

fn make(settings: &Settings, folder: &Path) -> Result<(), SetupError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| SetupError::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let folder = fs::canonicalize(folder).map_err(failed(folder))?;
    let launcher = our_path()?;
    let mut names = compilers(&settings.path, &folder);
    names.insert(STOCK.into());
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    // Before the first one is made, so that it is all or nothing.
    if let Some(path) = paths.iter().find(|path| is_foreign(path)) {
        return Err(SetupError::Refused {
            path: path.clone(),
            why: "it is no link to a launcher; choose another folder".to_owned(),
        });
    }
    for path in &paths {
        place(&launcher, path).map_err(failed(path))?;
    }
    println!("export PATH={}:\"$PATH\"", quoted(&folder));
    Ok(())
}

/// Names of compilers in `path` that are more than links to launchers.
fn compilers(path: &OsStr, shims: &Path) -> BTreeSet<OsString> {
    let mut names = BTreeSet::new();
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        if fs::canonicalize(&folder).is_ok_and(|folder| folder == shims) {
            continue;
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let names_here = entries.map(|entry| entry.file_name());
        names.extend(names_here.filter(|name| compiler::names::guess(name.as_bytes()).is_some()));
    }
    names.retain(|name| find::compiler(name, path, Inode::ours()).is_some());
    names
}

/// Is something there that is neither ours nor a link to a launcher of that name?
fn is_foreign(path: &Path) -> bool {
    match fs::read_link(path) {
        Ok(target) => !target
            .file_name()
            .is_some_and(|name| name.as_bytes().starts_with(b"distcc-launch")),
        Err(_) => fs::symlink_metadata(path).is_ok(),
    }
}

/// A link at `path`, by rename: a build that runs never misses it.
fn place(launcher: &Path, path: &Path) -> io::Result<()> {
    if fs::read_link(path).is_ok_and(|target| target == launcher) {
        return Ok(());
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}~", std::process::id()));
    symlink(launcher, &partial)?;
    fs::rename(&partial, path)
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
