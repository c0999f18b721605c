//! The include server: tells clients which files a source includes, so that hosts can preprocess.
//!
//! `includes` does the analysis; here are the options and manners of stock's server, the mirror that its clients read, the talk with our
//! launcher, and the life of a process that is started by many and must outlive them.

mod answer;
mod blocks;
mod bundle;
mod mirror;
mod options;
mod os;
mod plan;
mod report;
mod serve;
mod start;
mod verify;

use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use includes::{Config, Includes};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::answer::Answers;
use crate::mirror::Mirror;
use crate::options::Options;
use crate::report::Report;
use crate::serve::{Doors, serve};
use crate::start::{Folder, Waiting};

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(code) => return ExitCode::from(u8::try_from(code).unwrap_or(1)),
    };
    let done = match start::stays() {
        true => stay(&options).map(|()| ExitCode::SUCCESS),
        false => start::start(&options),
    };
    done.unwrap_or_else(|error| {
        start::complain(&error);
        ExitCode::FAILURE
    })
}

/// The life of the process that stays.
fn stay(options: &Options) -> Result<()> {
    let waiting = Waiting::new();
    let folder = match &options.resident {
        None => None,
        Some(path) => match Folder::take(path)? {
            Some(folder) => Some(folder),
            None => return Ok(waiting.taken()?),
        },
    };
    let signals = signals()?;
    let answers = Arc::new(answers(options)?);
    let doors = match (&folder, &options.port) {
        (Some(folder), _) => folder.open()?,
        (None, Some(port)) => start::open_port(port)?,
        (None, None) => unreachable!("an option that is required"),
    };
    for (name, why) in options.needless() {
        answers.report.warn(&format!("{name} is not needed: {why}"));
    }
    if let Some(folder) = &folder {
        folder.detach()?;
    }
    waiting.ready().context("nobody waits for this server")?;
    let ended = live(&doors, &answers, &signals, options);
    doors.close();
    // Threads may still hold the answers: the mirror goes now, whoever looks.
    if let Ok(mirror) = Mirror::new(None) {
        let mut place = answers
            .mirror
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *place = mirror;
    }
    if options.time {
        answers.report.print_time();
    }
    ended
}

fn live(
    doors: &Doors,
    answers: &Arc<Answers>,
    signals: &UnixStream,
    options: &Options,
) -> Result<()> {
    answers
        .mirror
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .sweep();
    serve(doors, answers, signals, options.idle())?;
    Ok(())
}

fn answers(options: &Options) -> Result<Answers> {
    let report = Report::new(options, variable("DISTCC_EMAILLOG_WHOM_TO_BLAME"))
        .context("--path_observation_re")?;
    let config = Config {
        path: std::env::var_os("PATH").unwrap_or(Config::default().path),
        ..Config::default()
    };
    Ok(Answers {
        includes: Includes::new(config),
        blocks: Default::default(),
        bundles: Default::default(),
        mirror: Mutex::new(Mirror::new(std::env::var_os("DISTCC_CLIENT_TMP"))?),
        report,
        force_folders: !options.no_force_dirs,
        verify: options.verify,
    })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Can be read once a signal asks us to end.
fn signals() -> Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
        signal_hook::low_level::pipe::register(signal, theirs.try_clone()?)
            .context("could not wait for signals")?;
    }
    Ok(ours)
}
