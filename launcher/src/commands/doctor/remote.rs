//! The layer of the compile: a small unit through the launcher itself to one host, and what its journal says of it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use hosts::{Host, Transport};

use super::compiler::Tried;
use super::finding::{Finding, Layer};
use super::network::Daemon;
use super::pace::{COMPILED, Pace, SILENCE};
use super::run::run;
use super::verdict::{explained, looks_there, same_compiler};
use crate::commands::records::{Journal, Place};
use crate::settings::{self, Settings};

/// What came of a unit.
pub(super) struct Compiled {
    pub(super) findings: Vec<Finding>,
    /// The object, if the launcher took it.
    pub(super) object: Option<Vec<u8>>,
}

/// What is the same for all hosts.
pub(super) struct Trial<'a> {
    pub(super) settings: &'a Settings,
    pub(super) tried: &'a Tried,
    /// The unit's object as the compiler makes it on this machine.
    pub(super) here: Vec<u8>,
    pub(super) pace: &'a Pace,
}

/// Compiles the unit on `host` in `folder`, which is new.
pub(super) fn compile(trial: &Trial<'_>, host: &Host, daemon: &Daemon, folder: &Path) -> Compiled {
    let tried = trial.tried;
    let name = host.name();
    let failed = |fault, what: String, fix: &str| Compiled {
        findings: vec![Finding::failed(Layer::Compile, fault, what, fix).at(&name)],
        object: None,
    };
    let journal = folder.join("journal");
    let begun = Instant::now();
    let ran = tried
        .write_source(folder)
        .and_then(|()| lend_key(trial.settings, host, folder))
        .and_then(|()| run(&mut launcher(trial, host, folder), trial.pace.at(COMPILED)));
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) => {
            let what = format!("the launcher could not be started: {error}");
            return failed("cannot-start", what, "df -h");
        }
    };
    let record = Journal::at(&journal).newest_first().next();
    let Some(record) = record.filter(|_| ran.status.is_some()) else {
        let what =
            "the unit was not compiled in time: the host hangs, or has too much to do".to_owned();
        return failed("stalls", what, &looks_there(host));
    };
    if record.place == Place::Remote && ran.succeeded() {
        let object = fs::read(folder.join("probe.o")).unwrap_or_default();
        if trial.here != object && is_reproducible(trial, folder) {
            let what = "its object has other bytes than the one made here, though the compilers call themselves the same: \
                        a wrapper or another build of the compiler is at work there";
            return failed("other-object", what.to_owned(), &same_compiler(host, tried));
        }
        let ms = begun.elapsed().as_millis();
        return Compiled {
            findings: vec![Finding::ok(Layer::Compile, format!("compiled in {ms} ms")).at(&name)],
            object: Some(object),
        };
    }
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let finding = explained(trial, host, daemon, &record, &ran, &log);
    Compiled {
        findings: vec![finding.at(&name)],
        object: None,
    }
}

/// The host's key under its name in the folder that the child has for its `DISTCC_DIR`.
fn lend_key(settings: &Settings, host: &Host, folder: &Path) -> std::io::Result<()> {
    let (Some(key), Some(own)) = (&host.key, &settings.folder) else {
        return Ok(());
    };
    let (from, to) = (key.path(own), key.path(&folder.join("dir")));
    if from == to {
        return Ok(());
    }
    fs::create_dir_all(to.parent().unwrap_or(folder))?;
    std::os::unix::fs::symlink(std::path::absolute(from)?, to)
}

/// Does the compiler make the same object again?  With some words (`-flto`) it does not.
fn is_reproducible(trial: &Trial<'_>, folder: &Path) -> bool {
    let again = folder.join("again");
    fs::create_dir(&again).is_ok()
        && trial.tried.compile_here(&again, trial.pace).as_ref() == Ok(&trial.here)
}

/// `distcc-launch COMPILER -c probe.c -o probe.o` that knows of this host alone and has nothing to remember.
fn launcher(trial: &Trial<'_>, host: &Host, folder: &Path) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| {
        crate::os::started_as().map_or_else(|| "distcc-launch".into(), PathBuf::from)
    });
    let mut command = Command::new(program);
    command
        .arg0("distcc-launch")
        .args(trial.tried.compile_words())
        .current_dir(folder)
        .env("PWD", folder)
        // An include server that is started for this would outlive it.
        .env("DISTCC_HOSTS", host.token.replace(",cpp", ""))
        .env("DISTCC_DIR", folder.join("dir"))
        .env("DISTCC_LAUNCH_JOURNAL", folder.join("journal"))
        .env("DISTCC_LOG", folder.join("log"))
        .env(
            "DISTCC_IO_TIMEOUT",
            trial.pace.of(SILENCE).as_secs().max(1).to_string(),
        )
        .env("DISTCC_FALLBACK", "0");
    for name in [
        settings::LEVEL,
        "DISTCC_VERBOSE",
        "INCLUDE_SERVER_PORT",
        "DISTCC_SKIP_LOCAL_RETRY",
        "DISTCC_BACKOFF_PERIOD",
        "DEPENDENCIES_OUTPUT",
        "SUNPRO_DEPENDENCIES",
        // Tokens of a build are not ours to lend.
        "MAKEFLAGS",
        "CARGO_MAKEFLAGS",
    ] {
        command.env_remove(name);
    }
    if let (Transport::Ssh { .. }, None) = (&host.transport, &trial.settings.ssh) {
        // Nobody is asked for a password.
        command.env("DISTCC_SSH", "ssh -o BatchMode=yes");
    }
    command
}
