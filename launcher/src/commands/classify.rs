//! `distcc-launch classify`: what would be sent, before a build finds out.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use compiler::Reason;
use compiler::compdb::Entry;

use super::database::{Database, Judge, Judged, Unusable};
use crate::journal;
use crate::settings::Settings;

/// A file that cannot be used, or no entry for what `--why` names.
const EXIT_UNUSABLE: i32 = 2;

#[derive(Args)]
#[command(after_help = "\
Examples:
  distcc-launch classify                        how much of this build can be sent, and what keeps the rest here
  distcc-launch classify --why src/main.c       about one source, in words
  distcc-launch classify --json build/compile_commands.json | grep '\"local\"'

The file is written by cmake -DCMAKE_EXPORT_COMPILE_COMMANDS=ON, always by Meson, and for make by bear.
Nothing is compiled.  Unreadable or malformed files end it with exit code 2.")]
pub(super) struct Classify {
    /// Compilation databases [default: compile_commands.json, else build/compile_commands.json]
    files: Vec<PathBuf>,
    /// One JSON object a line for each command: file, directory, place ("remote", "local"), reason (null when remote)
    #[arg(long, conflicts_with = "why")]
    json: bool,
    /// Tell about the commands of one source: its path, or the end of its path
    #[arg(long, value_name = "SOURCE")]
    why: Option<PathBuf>,
}

pub(super) fn run(settings: &Settings, classify: &Classify) -> i32 {
    let databases = if classify.files.is_empty() {
        Database::usual().map(|database| vec![database])
    } else {
        let opened = classify.files.iter().map(|path| Database::open(path));
        opened.collect()
    };
    let told = databases.map_err(Stop::Unusable).and_then(|databases| {
        let mut out = BufWriter::new(io::stdout().lock());
        let told = match &classify.why {
            Some(source) => tell_why(settings, &databases, source, &mut out),
            None => all(settings, &databases, classify.json, &mut out).map(|()| 0),
        };
        out.flush()?;
        told
    });
    match told {
        Ok(code) => code,
        // Whoever reads has seen enough.
        Err(Stop::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(Stop::Print(error)) => {
            eprintln!("distcc-launch: could not print: {error}");
            1
        }
        Err(Stop::Unusable(error)) => {
            eprintln!("distcc-launch: {error}");
            EXIT_UNUSABLE
        }
    }
}

/// What ends it early.
enum Stop {
    Unusable(Unusable),
    Print(io::Error),
}

impl From<Unusable> for Stop {
    fn from(error: Unusable) -> Stop {
        Stop::Unusable(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Print(error)
    }
}

/// A line for each entry, or the table of them all.
fn all(
    settings: &Settings,
    databases: &[Database],
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Stop> {
    let mut judge = Judge::new(settings);
    let mut tally = Tally::default();
    for database in databases {
        for mut entry in database.entries()? {
            let command = judge.command(&mut entry);
            let here = judge.judge(command, &database.folder_of(&entry)).here;
            if json {
                out.write_all(json_line(&entry, here).as_bytes())?;
            }
            tally.add(here);
        }
    }
    if !json {
        let paths: Vec<_> = databases
            .iter()
            .map(|database| database.path.display().to_string())
            .collect();
        tally.print(&paths.join(", "), out)?;
    }
    Ok(())
}

fn json_line(entry: &Entry<'_>, here: Option<Reason>) -> String {
    let mut line = String::from("{\"file\":");
    journal::text(&mut line, OsStr::from_bytes(&entry.file));
    line.push_str(",\"directory\":");
    journal::text(&mut line, OsStr::from_bytes(&entry.directory));
    match here {
        None => line.push_str(",\"place\":\"remote\",\"reason\":null}\n"),
        Some(reason) => {
            line.push_str(",\"place\":\"local\",\"reason\":\"");
            line.push_str(reason.code());
            line.push_str("\"}\n");
        }
    }
    line
}

/// How many go where.
#[derive(Default)]
struct Tally {
    remote: usize,
    here: Vec<(Reason, usize)>,
}

impl Tally {
    fn add(&mut self, here: Option<Reason>) {
        let Some(reason) = here else {
            self.remote += 1;
            return;
        };
        match self.here.iter_mut().find(|(seen, _)| *seen == reason) {
            Some((_, count)) => *count += 1,
            None => self.here.push((reason, 1)),
        }
    }

    fn print(mut self, paths: &str, out: &mut dyn Write) -> io::Result<()> {
        let all = self.remote + self.here.iter().map(|(_, count)| count).sum::<usize>();
        if all == 0 {
            return writeln!(out, "no commands in {paths}");
        }
        self.here
            .sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
        let code = self.here.iter().map(|(reason, _)| reason.code().len());
        let width = code.max().unwrap_or(0);
        writeln!(out, "commands   share")?;
        let mut row = |count: usize, rest: String| {
            let share = 100.0 * count as f64 / all as f64;
            writeln!(out, "{count:>8}  {share:>5.1}%  {rest}")
        };
        row(self.remote, "remote".to_owned())?;
        for (reason, count) in &self.here {
            let (code, sentence) = (reason.code(), reason.sentence());
            row(*count, format!("local: {code:width$}  {sentence}"))?;
        }
        writeln!(
            out,
            "{} of {all} {} in {paths} would be sent to hosts",
            self.remote,
            if all == 1 { "command" } else { "commands" }
        )
    }
}

/// Tells about each command that compiles `source`; gives the exit code.
pub(super) fn why(settings: &Settings, databases: &[Database], source: &Path) -> i32 {
    tell_why(settings, databases, source, &mut io::stdout().lock()).unwrap_or(EXIT_UNUSABLE)
}

fn tell_why(
    settings: &Settings,
    databases: &[Database],
    source: &Path,
    out: &mut dyn Write,
) -> Result<i32, Stop> {
    let mut judge = Judge::new(settings);
    let mut found = 0;
    for database in databases {
        for (number, path, mut entry) in database.entries_for(source)? {
            found += 1;
            let folder = database.folder_of(&entry);
            let command = judge.command(&mut entry);
            let words = spelled(&command);
            let judged = judge.judge(command, &folder);
            writeln!(
                out,
                "{}: command {} of {}",
                path.display(),
                number + 1,
                database.path.display()
            )?;
            writeln!(out, "  in {}: {words}", folder.display())?;
            writeln!(out, "  {}", in_words(&judged))?;
        }
    }
    if found > 0 {
        return Ok(0);
    }
    let paths: Vec<_> = databases
        .iter()
        .map(|database| database.path.display().to_string())
        .collect();
    eprintln!(
        "distcc-launch: no command for {} in {}; distcc-launch classify --json lists them all",
        source.display(),
        paths.join(", ")
    );
    Ok(EXIT_UNUSABLE)
}

/// The verdict as a sentence.
pub(super) fn in_words(judged: &Judged) -> String {
    let Some(reason) = judged.here else {
        return "would be sent to a host".to_owned();
    };
    let mut text = format!("runs here: {} ({})", reason.sentence(), reason.code());
    if let Some(file) = &judged.lacks {
        text.push_str(&format!(
            "; {} is not there, some build tools write such files during the build",
            file.display()
        ));
    }
    text
}

/// The command for a person to read and a shell to run.
pub(super) fn spelled(command: &super::database::Command) -> String {
    let words = std::iter::once(&command.compiler).chain(&command.args);
    let words: Vec<_> = words.map(|word| quoted(word.as_bytes())).collect();
    OsStr::from_bytes(&words.join(&b' ')).display().to_string()
}

/// A word as a shell takes it, in quotes only where it needs them.
fn quoted(word: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(byte);
    if !word.is_empty() && word.iter().all(plain) {
        return word.to_vec();
    }
    let mut out = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => out.extend(b"'\\''"),
            byte => out.push(*byte),
        }
    }
    out.push(b'\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_back() {
        for word in ["-DX=1", "", "a b", "-DX=\"'\\$\"", "'", "é", "#x", "~"] {
            let spelled = quoted(word.as_bytes());
            assert_eq!(shlex::bytes::split(&spelled), Some(vec![word.into()]));
        }
        assert_eq!(quoted(b"/usr/bin/c++"), b"/usr/bin/c++");
    }
}
