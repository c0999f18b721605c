//! `distcc-launch run`: starts a build as wide as the hosts are, and says at its end what happened.
//!
//! The build keeps its terminal, its process group and its exit status; signals that come to us alone go on to it, and what
//! ends it by a signal ends us.  Which of the journal's lines are ours is known by a name that the launchers below find in their
//! environment, so that several runs at once are told apart; a run inside a run counts for both.

mod os;
mod summary;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use integration_ninja::jobserver::Server;
use integration_ninja::tool::{self, Plan, Surroundings};

use super::EXIT_BAD_ARGUMENTS;
use super::jobs::capacity;
use super::records::Journal;
use crate::settings::{self, BuildEnvironment, Settings};
use crate::tokens::Lender;
pub(super) use os::run_forwarding;
use summary::Summary;

/// Exit code when less went out than was wanted.
const EXIT_TOO_LITTLE: i32 = 3;

#[derive(Args)]
#[command(
    after_help = "Example: distcc-launch run --require-remote=90 ninja -C build\n\n\
                  ninja, make, cargo, meson compile and cmake --build are told their width in the way that their version \
                  understands: by a jobserver, or by -j. A -j of your own stays. Inside another jobserver (a make rule, a \
                  build script of cargo) that one is joined. docs/build-systems.md has the details."
)]
pub(super) struct Run {
    /// Exit with 3 when less than this share of the work that could go to hosts went there
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    require_remote: Option<f64>,
    /// No line at the end
    #[arg(long)]
    quiet: bool,
    /// Jobs at a time [default: all slots, there and here]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// The build
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
    number
        .ok()
        .filter(|share| (0.0..=100.0).contains(share))
        .ok_or_else(|| "a number from 0 to 100 is wanted".to_owned())
}

pub(super) fn run(settings: &Settings, run: &Run) -> i32 {
    let capacity = capacity(settings);
    let mut build = match Build::prepare(settings, run, capacity.total) {
        Ok(build) => build,
        Err(error) => {
            eprintln!(
                "distcc-launch: could not set up a jobserver: {error}; set TMPDIR to a folder that you can write"
            );
            return EXIT_BAD_ARGUMENTS;
        }
    };
    let mark = build.journal.mark();
    let begun = Instant::now();
    let ended = run_forwarding(&mut build.command);
    let wall = begun.elapsed();
    if let Some((jobserver, folder)) = settings.lendable() {
        // What launchers that were killed owe the jobserver that was joined.
        drop(Lender::open(jobserver, folder));
    }
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => return cannot_start(&run.command[0], &error),
    };
    let mut summary = Summary::default();
    for record in build.journal.since(&mark) {
        summary.add(&record, &build.name);
    }
    let saved = summary.saved(wall, crate::os::cpu_ms(), capacity.local);
    let lacking = run.require_remote.filter(|share| summary.share() < *share);
    if !run.quiet {
        eprintln!("distcc-launch: {}", summary.line(saved, lacking));
    }
    drop(build);
    if lacking.is_some() && ended.signal().is_none() {
        return EXIT_TOO_LITTLE;
    }
    end_as(ended)
}

/// What is started, and what it needs while it runs.
struct Build {
    command: Command,
    journal: Journal,
    /// Stands in the journal's lines.
    name: OsString,
    _server: Option<Server>,
    _folder: Option<tempfile::TempDir>,
}

impl Build {
    fn prepare(settings: &Settings, run: &Run, total: u32) -> std::io::Result<Build> {
        let (program, args) = run.command.split_first().expect("clap wants a command");
        let jobs = run.jobs.unwrap_or(total).max(1);
        let joined = settings.jobserver.as_ref().filter(|_| run.jobs.is_none());
        let machine = Machine {
            environment: BuildEnvironment::read(),
        };
        let plan = match joined {
            Some(_) => Plan::default(),
            None => tool::plan(&run.command, &machine).unwrap_or_default(),
        };
        let mut words = args.to_vec();
        if let Some(at) = plan.option_before {
            words.insert(at.min(run.command.len()) - 1, format!("-j{jobs}").into());
        }
        let mut command = Command::new(program);
        command.args(words);
        if plan.variable {
            command.env(tool::CMAKE_VARIABLE, jobs.to_string());
        }
        let server = match plan.jobserver {
            Some(style) => Some(Server::start(style, jobs)?),
            None => None,
        };
        if let Some(server) = &server {
            let before = machine.environment.get("MAKEFLAGS").unwrap_or_default();
            command.env("MAKEFLAGS", server.flags(before));
            // They would name others.
            command.env_remove("CARGO_MAKEFLAGS").env_remove("MFLAGS");
        }
        let wide = match (&server, joined) {
            (Some(server), _) => Some(server.found().identity()),
            (None, Some(joined)) if settings.jobserver_is_wide => Some(joined.identity()),
            _ => None,
        };
        let name = name_below(settings.run.as_deref());
        let mut told = name.clone();
        if let Some(wide) = wide {
            told.push(" ");
            told.push(wide);
        }
        command.env(settings::RUN, told);
        let (journal, folder) = journal(settings, &mut command)?;
        Ok(Build {
            command,
            journal,
            name,
            _server: server,
            _folder: folder,
        })
    }
}

/// A name that no other run has.
fn name_below(above: Option<&OsStr>) -> OsString {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let own = format!("{:x}-{}", time.as_micros(), std::process::id());
    match above {
        Some(above) => {
            let mut name = above.to_owned();
            name.push(".");
            name.push(own);
            name
        }
        None => own.into(),
    }
}

/// The journal that the launchers below will write: the user's, or, where there is none to be had, one that ends with us.
fn journal(
    settings: &Settings,
    command: &mut Command,
) -> std::io::Result<(Journal, Option<tempfile::TempDir>)> {
    let usual = settings
        .journal_path()
        .and_then(|path| std::path::absolute(path).ok())
        .filter(|path| crate::journal::is_writable(path));
    let (path, folder): (PathBuf, _) = match usual {
        Some(path) => (path, None),
        None => {
            let folder = tempfile::Builder::new()
                .prefix("distcc-launch-")
                .tempdir()?;
            (folder.path().join("journal.jsonl"), Some(folder))
        }
    };
    // Launchers run in folders of their own.
    command.env(settings::JOURNAL, &path);
    Ok((Journal::at(&path), folder))
}

/// This machine, for who plans a width.
struct Machine {
    environment: BuildEnvironment,
}

impl Surroundings for Machine {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.environment.get(name).map(OsStr::to_owned)
    }

    fn version(&self, program: &OsStr) -> Option<String> {
        let mut command = Command::new(program);
        command
            .arg("--version")
            // make 4.3 would end at the sight of a fifo.
            .env_remove("MAKEFLAGS")
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let said = crate::os::as_we_came(&mut command).output().ok()?;
        let line = said.stdout.split(|byte| *byte == b'\n').next()?;
        Some(String::from_utf8_lossy(line).into_owned())
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        std::fs::read(path).ok()
    }
}

/// Ends as the build ended.
pub(super) fn end_as(ended: ExitStatus) -> i32 {
    match (ended.code(), ended.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => crate::os::end_by(signal),
        (None, None) => 1,
    }
}

/// As a shell says and counts it.
pub(super) fn cannot_start(program: &OsStr, error: &std::io::Error) -> i32 {
    eprintln!("distcc-launch: {}: {error}", program.display());
    match error.kind() {
        std::io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}
