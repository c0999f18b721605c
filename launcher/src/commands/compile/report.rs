//! What a run tells: how far it is, what compilers said, and at the end who did it.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::plan::Plan;
use super::run::Finished;
use crate::journal;

/// A journal's line, as far as the summary wants it.
#[derive(Debug, Deserialize)]
struct Row {
    place: String,
    host: Option<String>,
    reason: Option<String>,
    fell_back: bool,
}

pub(super) struct Report<'p> {
    plan: &'p Plan,
    started: Instant,
    bar: Option<ProgressBar>,
    /// The user's own journal, which gets the lines of all commands.
    journal: Option<PathBuf>,
    done: usize,
    /// Tenths of the whole that were told.
    told: usize,
    failed: usize,
    refused: usize,
    fell_back: usize,
    worst: i32,
    remote: Counts,
    here: Counts,
}

impl<'p> Report<'p> {
    pub(super) fn begin(plan: &'p Plan, journal: Option<PathBuf>) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(plan.len() as u64);
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {eta} left");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        Report {
            plan,
            started: Instant::now(),
            bar,
            journal,
            done: 0,
            told: 0,
            failed: 0,
            refused: 0,
            fell_back: 0,
            worst: 0,
            remote: Counts::default(),
            here: Counts::default(),
        }
    }

    /// Names programs that are not run.
    pub(super) fn refuse(&mut self, unknown: &[(OsString, usize, OsString)]) {
        for (program, count, file) in unknown {
            self.refused += count;
            self.worst = self.worst.max(1);
            self.line(&format!(
                "distcc-launch: {} is no compiler that is known, so {count} {} {} not run (the first: {}); \
                 --skip-unknown leaves such commands out",
                program.display(),
                commands(*count),
                if *count == 1 { "is" } else { "are" },
                file.display()
            ));
        }
    }

    /// Tells the end of one command.
    pub(super) fn unit(&mut self, one: &Finished<'_>) {
        self.done += 1;
        self.note(&one.journal);
        let failure = match &one.status {
            Ok(status) if status.success() => None,
            Ok(status) => {
                let code = status.code();
                let code = code.unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
                Some((code, format!("exit code {code}")))
            }
            Err(error) => Some((126, format!("could not be started: {error}"))),
        };
        if let Some((code, how)) = failure {
            self.failed += 1;
            self.worst = self.worst.max(code);
            self.line(&format!(
                "distcc-launch: {} failed ({how})",
                one.unit.file.display()
            ));
        }
        self.aside(|| {
            // A reader who is gone misses messages, not objects.
            let _ = io::stderr().write_all(&one.stderr);
            let mut out = io::stdout().lock();
            let _ = out.write_all(&one.stdout).and_then(|()| out.flush());
        });
        self.progress();
    }

    fn progress(&mut self) {
        let all = self.plan.len();
        if let Some(bar) = &self.bar {
            bar.set_message(format!(
                "{} remote, {} here, {} failed",
                self.remote.sum(),
                self.here.sum(),
                self.failed
            ));
            bar.set_position(self.done as u64);
            return;
        }
        let tenths = self.done * 10 / all.max(1);
        if tenths > self.told {
            self.told = tenths;
            self.line(&format!("distcc-launch: {} of {all}", self.done));
        }
    }

    /// Reads a command's journal, and hands it on.
    fn note(&mut self, lines: &[u8]) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let Ok(row) = serde_json::from_slice::<Row>(line) else {
                continue;
            };
            self.fell_back += usize::from(row.fell_back);
            match row.place.as_str() {
                "remote" => self.remote.add(row.host.unwrap_or_default()),
                _ => self.here.add(row.reason.unwrap_or_default()),
            }
        }
        if let Some(path) = &self.journal
            && !lines.is_empty()
        {
            journal::append(path, lines);
        }
    }

    /// Prints the summary; gives the worst exit code.
    pub(super) fn end(mut self, skip_unknown: bool, stopped: bool) -> i32 {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let all = self.plan.len();
        let mut text = match stopped {
            false => format!("{all} {} in {seconds:.1} s", commands(all)),
            true => format!("stopped after {} of {all} {}", self.done, commands(all)),
        };
        let skipped = match skip_unknown {
            true => self.plan.unknown.iter().map(|(_, count, _)| count).sum(),
            false => 0,
        };
        for (count, what) in [
            (self.failed, "failed"),
            (self.refused, "refused"),
            (skipped, "skipped"),
            (self.plan.twice, "with an output that another one writes"),
            (self.fell_back, "fell back to this machine"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        text.push('\n');
        for (host, count) in self.remote.sorted() {
            text.push_str(&format!("{count:>7}  on {host}\n"));
        }
        for (reason, count) in self.here.sorted() {
            text.push_str(&format!("{count:>7}  here: {reason}\n"));
        }
        let mut out = io::stdout().lock();
        // As above: the objects are there.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.worst
    }

    fn line(&self, text: &str) {
        self.aside(|| {
            let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
        });
    }

    /// Prints while the bar is out of the way.
    fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

fn commands(count: usize) -> &'static str {
    if count == 1 { "command" } else { "commands" }
}

/// How often each name came.
#[derive(Default)]
struct Counts(Vec<(String, usize)>);

impl Counts {
    fn add(&mut self, name: String) {
        match self.0.iter_mut().find(|(seen, _)| *seen == name) {
            Some((_, count)) => *count += 1,
            None => self.0.push((name, 1)),
        }
    }

    fn sum(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }

    fn sorted(mut self) -> Vec<(String, usize)> {
        self.0
            .sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.0
    }
}
