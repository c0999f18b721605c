//! `distcc-launch why`: why a unit ran where it ran, the last times, what would become of it now, and where it would go.

mod candidates;
mod forecast;
mod times;
mod wanted;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::classify;
use super::database::{Command, Database, Judge, Judged};
use super::records::{Journal, Record};
use crate::settings::Settings;

/// No command is known for the file.
const EXIT_UNKNOWN: i32 = 2;

#[derive(Args)]
#[command(after_help = "\
Examples:
  distcc-launch why src/main.c
  distcc-launch why main.o -n 10
  distcc-launch why --hosts src/main.c      where it would go now, and how long it would take there

Exit code: 0 when a command was found, 2 when none was.")]
pub(super) struct Why {
    /// A source, an object or another file that a command named: its path, or the end of its path
    file: PathBuf,
    /// How many commands to tell about, the newest first
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 3)]
    last: usize,
    /// The hosts that the last of its commands could go to, in the order in which they would be tried now, with the time
    /// that is expected of each
    #[arg(long, conflicts_with = "last")]
    hosts: bool,
    /// One JSON object a line for each command, or with --hosts for each host
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, why: &Why) -> i32 {
    if why.hosts {
        return forecast::run(settings, why);
    }
    let found = match settings.journal_path() {
        Some(path) => wanted::last_times(&Journal::at(&path), &why.file, why.last.max(1)),
        None => Vec::new(),
    };
    if found.is_empty() {
        return nothing(settings, why);
    }
    let mut judge = Judge::new(settings);
    print(|out| match why.json {
        true => found
            .iter()
            .try_for_each(|record| writeln!(out, "{}", times::as_json(record, &mut judge))),
        false => times::tell(&found, &mut judge, out),
    })
}

/// Prints what `told` says; gives the exit code.
fn print(told: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> i32 {
    let mut out = BufWriter::new(io::stdout().lock());
    match told(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("distcc-launch: could not print: {error}");
            1
        }
        _ => 0,
    }
}

/// No record: says what to do, and what would become of the file's command in a compilation database.
fn nothing(settings: &Settings, why: &Why) -> i32 {
    let file = why.file.display();
    match settings.journal_path() {
        None => eprintln!(
            "distcc-launch: there is no journal, since neither DISTCC_DIR nor HOME is set; set one of them"
        ),
        Some(path) if !path.exists() => eprintln!(
            "distcc-launch: there is no journal {} yet, so no command has come through distcc-launch; \
             distcc-launch doctor says whether it is set up",
            path.display()
        ),
        Some(path) => eprintln!(
            "distcc-launch: no command for {file} in {}: it was not compiled through distcc-launch as of late. \
             Was it compiled at all, by what? distcc-launch doctor says whether the build tool is told to use distcc-launch",
            path.display()
        ),
    }
    match Database::usual() {
        Ok(database) if !why.json => classify::why(settings, &[database], &why.file),
        _ => EXIT_UNKNOWN,
    }
}

fn command_of(record: &Record) -> Command {
    let mut words = record.command.iter().map(|word| word.0.clone());
    Command {
        compiler: words.next().unwrap_or_default(),
        args: words.collect(),
    }
}

/// What the classifier says of the command now.
fn now(record: &Record, judge: &mut Judge<'_>) -> Judged {
    judge.judge(command_of(record), Path::new(&record.cwd.0))
}
