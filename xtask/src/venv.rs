//! Build tools newer than the system's, from PyPI, in a folder of their own below cargo's target folder.
//!
//! `cargo xtask tools` prints where their programs are; tests ask for it when nobody told them (`DISTCC_LAUNCH_TOOLS`).

use crate::workspace;
use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the tests build with, beside the system's own: each in its newest release.
pub(crate) const TEST: &[&str] = &["cmake", "meson", "ninja>=1.13"];

/// Installs `wanted`, unless just that is there already; gives the folder of the programs.
pub(crate) fn ensure(wanted: &[&str]) -> Result<PathBuf> {
    let tools = workspace::target_dir()?.join("tools");
    fs::create_dir_all(&tools).with_context(|| format!("could not create {}", tools.display()))?;
    // Several test programs may find it missing at once.
    let lock = File::create(tools.join("lock")).context("could not create a lock file")?;
    lock.lock().context("could not lock the tools' folder")?;
    let venv = tools.join("venv");
    let stamp = venv.join("installed");
    let list = wanted.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == list) {
        return Ok(venv.join("bin"));
    }
    eprintln!(
        "Installing {} from PyPI into {}.",
        wanted.join(", "),
        venv.display()
    );
    install(&venv, wanted)?;
    fs::write(&stamp, list).with_context(|| format!("could not write {}", stamp.display()))?;
    Ok(venv.join("bin"))
}

fn install(venv: &Path, wanted: &[&str]) -> Result<()> {
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(venv);
    workspace::run(make.stdout(std::io::stderr())).context(
        "python3 could not make a virtual environment; Debian has that part of it in python3-venv",
    )?;
    let mut pip = Command::new(venv.join("bin/python3"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .args(wanted);
    workspace::run(pip.stdout(std::io::stderr()))
        .context("could not install them from PyPI; is there a network?")
}
