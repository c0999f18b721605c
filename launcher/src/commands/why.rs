//! `distcc-launch why`: why a unit ran where it ran, the last times, and what would become of it now.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use compiler::names;

use super::classify::{self, in_words, spelled};
use super::database::{Command, Database, Judge, Judged};
use super::json::{Object, string};
use super::reasons;
use super::records::{Journal, Place, Record, Text};
use crate::settings::Settings;

/// No command is known for the file.
const EXIT_UNKNOWN: i32 = 2;

#[derive(Args)]
#[command(after_help = "\
Examples:
  distcc-launch why src/main.c
  distcc-launch why main.o -n 10

Exit code: 0 when a command was found, 2 when none was.")]
pub(super) struct Why {
    /// A source, an object or another file that a command named: its path, or the end of its path
    file: PathBuf,
    /// How many commands to tell about, the newest first
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 3)]
    last: usize,
    /// One JSON object a line for each command
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, why: &Why) -> i32 {
    let mut out = BufWriter::new(io::stdout().lock());
    let found = match settings.journal_path() {
        Some(path) => last_times(&Journal::at(&path), &why.file, why.last.max(1)),
        None => Vec::new(),
    };
    if found.is_empty() {
        drop(out);
        return nothing(settings, why);
    }
    let mut judge = Judge::new(settings);
    let told = match why.json {
        true => found
            .iter()
            .try_for_each(|record| writeln!(out, "{}", as_json(record, &mut judge))),
        false => tell(&found, &mut judge, &mut out),
    };
    match told.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("distcc-launch: could not print: {error}");
            1
        }
        _ => 0,
    }
}

/// The newest commands about `file`: those that compile or make it, or else those that name it.
fn last_times(journal: &Journal, file: &Path, count: usize) -> Vec<Record> {
    let mut wanted = Wanted::new(file);
    wanted.exact = wanted.absolute.exists();
    let found = wanted.last_times(journal, count);
    if !found.is_empty() || !wanted.exact {
        return found;
    }
    wanted.exact = false;
    wanted.last_times(journal, count)
}

/// What the file is to a command.
#[derive(Debug, PartialEq, Eq)]
enum Role {
    /// Its source or its output.
    Unit,
    /// One of its words.
    Named,
}

/// The file that was asked about.
struct Wanted {
    /// As asked.
    name: PathBuf,
    /// As seen from the folder that we were called in.
    absolute: PathBuf,
    /// Is it that one and no other whose path ends so?
    exact: bool,
}

impl Wanted {
    fn new(file: &Path) -> Wanted {
        let here = std::env::current_dir().unwrap_or_default();
        Wanted {
            name: flat(file),
            absolute: flat(&here.join(file)),
            exact: false,
        }
    }

    /// Bytes that stand in each line about the file: its name without the suffix, since outputs are named after sources;
    /// none when the journal spells the name with escapes.
    fn needle(&self) -> Vec<u8> {
        let stem = self.name.file_stem().unwrap_or_default().as_bytes();
        let plain = stem
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(byte));
        if plain { stem.to_vec() } else { Vec::new() }
    }

    fn last_times(&self, journal: &Journal, count: usize) -> Vec<Record> {
        let mut named = Vec::new();
        let mut found = Vec::new();
        for record in journal.newest_first_with(&self.needle()) {
            match self.role_in(&record) {
                Some(Role::Unit) => found.push(record),
                Some(Role::Named) if named.len() < count => named.push(record),
                _ => {}
            }
            if found.len() == count {
                break;
            }
        }
        if found.is_empty() { named } else { found }
    }

    fn role_in(&self, record: &Record) -> Option<Role> {
        let mut role = None;
        let mut words = record.command.iter().skip(1).map(|word| word.0.as_bytes());
        let mut source = None;
        let mut output = false;
        while let Some(word) = words.next() {
            if word == b"-o" {
                output = true;
                if words.next().is_some_and(|name| self.is(name, record)) {
                    return Some(Role::Unit);
                }
            } else if let Some(name) = word.strip_prefix(b"-o").filter(|_| word.len() > 2) {
                output = true;
                if self.is(name, record) {
                    return Some(Role::Unit);
                }
            } else if names::looks_like_source(word) {
                source = Some(word);
                if self.is(word, record) {
                    return Some(Role::Unit);
                }
            } else if !word.starts_with(b"-") && self.is(word, record) {
                role = Some(Role::Named);
            }
        }
        let derived = source.filter(|_| !output).is_some_and(|source| {
            let suffix = self.name.extension();
            let stem = Path::new(OsStr::from_bytes(names::base(source))).with_extension("");
            suffix.is_some_and(|suffix| suffix == "o" || suffix == "s")
                && self.is(
                    stem.with_extension(suffix.unwrap_or_default())
                        .as_os_str()
                        .as_bytes(),
                    record,
                )
        });
        if derived { Some(Role::Unit) } else { role }
    }

    /// Does a command's word `name` mean the file?
    fn is(&self, name: &[u8], record: &Record) -> bool {
        let path = Path::new(OsStr::from_bytes(name));
        // Most words are told from the last of it.
        if path.file_name() != self.name.file_name() {
            return false;
        }
        let path = flat(&Path::new(&record.cwd.0).join(path));
        path == self.absolute || !self.exact && path.ends_with(&self.name)
    }
}

/// The same path without `.` and, as far as the words tell, without `..`.
fn flat(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                flat.pop();
            }
            part => flat.push(part),
        }
    }
    flat
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

fn tell(found: &[Record], judge: &mut Judge<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut last: Option<(&Text, &[Text])> = None;
    for record in found {
        let command = (&record.cwd, &record.command[..]);
        if last != Some(command) {
            writeln!(out, "{}", spelled(&command_of(record)))?;
            writeln!(out, "  in {}", record.cwd.shown())?;
            writeln!(out, "  now: {}", in_words(&now(record, judge)))?;
            last = Some(command);
        }
        writeln!(out, "  {}: {}", ago(record.time), outcome(record))?;
        for attempt in &record.attempts {
            let Some(error) = &attempt.error else {
                continue;
            };
            let (host, error) = (attempt.host.shown(), reasons::spelled(error.code()));
            writeln!(
                out,
                "      tried {host} for {}: {error}",
                seconds(attempt.ms)
            )?;
        }
        if let Some(code) = &record.not_pumped {
            let code = reasons::spelled(code.code());
            writeln!(out, "      preprocessed here, not there: {code}")?;
        }
        let advice = record
            .reason
            .as_ref()
            .and_then(|reason| reasons::advice(reason.code()));
        if let Some(advice) = advice {
            writeln!(out, "      {advice}")?;
        }
    }
    Ok(())
}

/// Where it ran, why, and how it ended.
fn outcome(record: &Record) -> String {
    let mut text = match record.place {
        Place::Remote => {
            let host = record.host.as_ref().map(Text::shown).unwrap_or_default();
            let mode = record.mode.as_ref().map(Text::shown).unwrap_or_default();
            format!("compiled on {host} ({mode})")
        }
        Place::Local => {
            let reason = record.reason.as_ref().map_or("unknown", Text::code);
            let fell = if record.fell_back {
                ", after it had been on its way"
            } else {
                ""
            };
            format!("ran here{fell}: {}", reasons::spelled(reason))
        }
    };
    if let Some(ms) = record.wall_ms {
        text.push_str(&format!(", in {}", seconds(ms)));
    }
    if record.queue_ms >= 100.0 {
        text.push_str(&format!(
            ", of which {} in wait of a slot",
            seconds(record.queue_ms)
        ));
    }
    if let Some(status) = record.status.filter(|status| *status != 0) {
        text.push_str(&format!(", exit code {status}"));
    }
    text
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

/// `1.25 s`.
pub(super) fn seconds(ms: f64) -> String {
    format!("{:.2} s", ms / 1e3)
}

/// How long ago `time`, in seconds since 1970, was.
pub(super) fn ago(time: f64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let passed = now.as_secs_f64() - time;
    match passed {
        ..-2.0 => "in the future, by this machine's clock".to_owned(),
        ..120.0 => format!("{:.0} s ago", passed.max(0.0)),
        ..7200.0 => format!("{:.0} min ago", passed / 60.0),
        ..172_800.0 => format!("{:.0} h ago", passed / 3600.0),
        _ => format!("{:.0} days ago", passed / 86400.0),
    }
}

fn as_json(record: &Record, judge: &mut Judge<'_>) -> String {
    let code = |text: &Option<Text>| text.as_ref().map(|text| text.0.clone());
    let explained = |text: &Option<Text>| {
        text.as_ref()
            .and_then(|text| reasons::sentence(text.code()))
    };
    let attempts = record.attempts.iter().map(|attempt| {
        Object::new()
            .text("host", &attempt.host)
            .plain("ms", attempt.ms)
            .maybe("error", code(&attempt.error))
            .maybe("sentence", explained(&attempt.error))
            .end()
    });
    let judged = now(record, judge);
    let verdict = Object::new()
        .text("place", judged.here.map_or("remote", |_| "local"))
        .maybe("reason", judged.here.map(|reason| reason.code()))
        .maybe("sentence", judged.here.map(|reason| reason.sentence()))
        .end();
    let place = match record.place {
        Place::Remote => "remote",
        Place::Local => "local",
    };
    let advice = record
        .reason
        .as_ref()
        .and_then(|reason| reasons::advice(reason.code()));
    Object::new()
        .plain("time", record.time)
        .text("cwd", &record.cwd)
        .list("command", record.command.iter().map(|word| string(&word.0)))
        .text("place", place)
        .maybe("host", code(&record.host))
        .maybe("mode", code(&record.mode))
        .maybe("reason", code(&record.reason))
        .maybe("sentence", explained(&record.reason))
        .maybe("advice", advice.map(OsString::from))
        .maybe("not_pumped", code(&record.not_pumped))
        .plain("fell_back", record.fell_back)
        .list("attempts", attempts)
        .number("status", record.status)
        .number("wall_ms", record.wall_ms)
        .number("cpu_ms", record.cpu_ms)
        .plain("queue_ms", record.queue_ms)
        .plain("sent", record.sent)
        .plain("received", record.received)
        .plain("now", verdict)
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(file: &str, cwd: &str, command: &str) -> Option<Role> {
        let line = Object::new()
            .text("place", "local")
            .text("cwd", cwd)
            .list(
                "command",
                command.split(' ').map(|word| string(word.as_ref())),
            )
            .end();
        let record = serde_json::from_str(&line).expect("a record");
        Wanted::new(Path::new(file)).role_in(&record)
    }

    #[test]
    fn a_file_is_known_by_its_path_or_the_end_of_it() {
        let compile = "gcc -c ../src/a.c -o out/a.o -MF out/a.d";
        for file in [
            "a.c",
            "src/a.c",
            "/b/src/a.c",
            "./src/a.c",
            "a.o",
            "out/a.o",
            "/b/build/out/a.o",
        ] {
            assert_eq!(role(file, "/b/build", compile), Some(Role::Unit), "{file}");
        }
        for file in ["b.c", "rc/a.c", "/src/a.c", "c/a.c", "a", "/b/build/a.o"] {
            assert_eq!(role(file, "/b/build", compile), None, "{file}");
        }
        assert_eq!(role("a.d", "/b/build", compile), Some(Role::Named));
        assert_eq!(role("x.o", "/b", "gcc -c x.c"), Some(Role::Unit));
        assert_eq!(role("/b/x.o", "/b", "gcc -c sub/x.c"), Some(Role::Unit));
        assert_eq!(role("x.o", "/b", "gcc -c x.c -oy.o"), None);
        assert_eq!(role("y.o", "/b", "gcc -c x.c -oy.o"), Some(Role::Unit));
        assert_eq!(role("a.o", "/b", "gcc a.o b.o -o app"), Some(Role::Named));
        assert_eq!(role("app", "/b", "gcc a.o b.o -o app"), Some(Role::Unit));
    }

    #[test]
    fn times_are_told_in_words() {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs_f64();
        for (passed, words) in [
            (0.2, "0 s ago"),
            (600.0, "10 min ago"),
            (7300.0, "2 h ago"),
            (864_000.0, "10 days ago"),
            (-100.0, "in the future, by this machine's clock"),
        ] {
            assert_eq!(ago(now - passed), words);
        }
    }
}
