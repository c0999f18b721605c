//! Answers the questions of a file of commands (lines of JSON with `cwd` and `argv`, or compile_commands.json) and says what it took.
//!
//! `closures FILE [--repeat N] [--only TEXT] [--list] [--differ]`: `--differ` holds each closure against what `CC -M` says.

use includes::{Config, Includes, Question, Role};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

struct Entry {
    directory: PathBuf,
    words: Vec<OsString>,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| args.iter().any(|arg| arg == name);
    let value = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)
    };
    let mut entries = read(&args[1]);
    if let Some(only) = value("--only") {
        entries.retain(|entry| {
            entry.directory.to_string_lossy().contains(only)
                || entry
                    .words
                    .iter()
                    .any(|word| word.to_string_lossy().contains(only))
        });
    }
    if let Some(count) = value("-n").and_then(|count| count.parse::<usize>().ok()) {
        let step = (entries.len() / count.max(1)).max(1);
        entries = entries.into_iter().step_by(step).take(count).collect();
    }
    let repeat: usize = value("--repeat").and_then(|n| n.parse().ok()).unwrap_or(1);
    let includes = Includes::new(Config {
        watch: !flag("--no-watch"),
        ..Config::default()
    });
    let mut different = 0;
    for round in 0..repeat {
        let mut times: Vec<(Duration, usize, &Entry)> = Vec::new();
        let cpu = cpu_time();
        for entry in &entries {
            let mut words = entry.words.clone();
            if flag("--fresh") {
                words.push(format!("-DFRESH_{round}").into());
            }
            let question = Question {
                directory: &entry.directory,
                words: &words,
                environment: &[],
            };
            let start = cpu_time();
            let answer = includes.closure(&question);
            times.push((
                Duration::from_secs_f64(cpu_time() - start),
                answer.as_ref().map_or(0, |c| c.files.len()),
                entry,
            ));
            match answer {
                Ok(closure) => {
                    if closure.unsure > 0 || closure.missing.is_some() {
                        println!(
                            "unsure {} missing {:?}: {:?}",
                            closure.unsure,
                            closure.missing,
                            entry.words.last()
                        );
                    }
                    if flag("--list") {
                        for file in &closure.files {
                            println!("{:?} {} {}", file.role, file.system, file.name.display());
                        }
                    }
                    if flag("--differ") && round == 0 {
                        different += usize::from(differ(entry, &closure));
                    }
                }
                Err(refusal) => println!("refused: {refusal} {:?}", entry.words),
            }
        }
        let total: Duration = times.iter().map(|(time, ..)| *time).sum();
        times.sort_by_key(|(time, ..)| *time);
        let median = times
            .get(times.len() / 2)
            .map_or(Duration::ZERO, |(time, ..)| *time);
        println!(
            "round {round}: {} units, {:.3} ms in all, {:.1} us median, {:.1} us mean, cpu {:.3} ms",
            times.len(),
            total.as_secs_f64() * 1e3,
            median.as_secs_f64() * 1e6,
            total.as_secs_f64() * 1e6 / times.len().max(1) as f64,
            (cpu_time() - cpu) * 1e3,
        );
        for (time, files, entry) in times.iter().rev().take(3) {
            println!(
                "   slowest {:.1} us, {files} files, {:?}",
                time.as_secs_f64() * 1e6,
                entry.words.last()
            );
        }
    }
    println!("{:?}", includes.statistics());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
    {
        println!("{line}");
    }
    if flag("--differ") {
        println!("{different} of {} differ from the compiler", entries.len());
    }
}

/// Seconds of processor time of this thread.
fn cpu_time() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn read(path: &str) -> Vec<Entry> {
    let text = std::fs::read_to_string(path).expect("the file of commands can be read");
    let entry = |value: &serde_json::Value| {
        let words = value["argv"].as_array().or(value["arguments"].as_array());
        let words: Vec<OsString> = match words {
            Some(words) => words
                .iter()
                .filter_map(|w| w.as_str())
                .map(OsString::from)
                .collect(),
            None => value["command"]
                .as_str()
                .unwrap_or_default()
                .split_whitespace()
                .map(OsString::from)
                .collect(),
        };
        let directory = value["cwd"]
            .as_str()
            .or(value["directory"].as_str())
            .unwrap_or("/");
        Entry {
            directory: directory.into(),
            words,
        }
    };
    if text.trim_start().starts_with('[') {
        let all: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        return all.as_array().into_iter().flatten().map(entry).collect();
    }
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .map(|value: serde_json::Value| entry(&value))
        .collect()
}

fn differ(entry: &Entry, closure: &includes::Closure) -> bool {
    let mut words = entry.words.iter().skip(1);
    let mut command = Command::new(&entry.words[0]);
    command.current_dir(&entry.directory);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("-c" | "-MD" | "-MMD") => {}
            Some("-o" | "-MF" | "-MT") => {
                words.next();
            }
            _ => {
                command.arg(word);
            }
        }
    }
    let output = command.arg("-M").output().expect("the compiler starts");
    let text = String::from_utf8_lossy(&output.stdout).replace("\\\n", " ");
    let real = |name: &str| std::fs::canonicalize(entry.directory.join(name)).ok();
    let theirs: BTreeSet<PathBuf> = text
        .split_once(": ")
        .map(|(_, names)| names)
        .unwrap_or_default()
        .replace("\\ ", "\u{1}")
        .split_whitespace()
        .filter_map(|name| real(&name.replace('\u{1}', " ")))
        .collect();
    let ours: BTreeSet<PathBuf> = closure
        .files
        .iter()
        .filter(|file| matches!(file.role, Role::Source | Role::Header))
        .map(|file| file.real.clone())
        .collect();
    let show = |name: &Path| name.display().to_string();
    let missing: Vec<String> = theirs.difference(&ours).map(|n| show(n)).collect();
    let extra: Vec<String> = ours.difference(&theirs).map(|n| show(n)).collect();
    let bad = !missing.is_empty() || !extra.is_empty();
    if bad {
        println!(
            "{:?} (status {}): missing {missing:?} extra {extra:?}",
            entry.words.last(),
            output.status
        );
    }
    bad
}
