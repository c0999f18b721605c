//! Processor time, as the kernel accounts it.

use super::project::{self, Unit};
use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Processor time (user and system) of every child that has ended and was waited for, with their own such children.
///
/// In ticks of a hundredth of a second, but of a sum that the kernel keeps in nanoseconds: exact enough for builds.
pub(super) fn children_cpu() -> Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat").context("could not read /proc/self/stat")?;
    let ticks = child_ticks(&text).context("/proc/self/stat has an unknown form")?;
    Ok(Duration::from_secs(ticks)
        / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100))
}

/// Fields 16 and 17 of proc(5)'s stat; the second one, a name in brackets, may hold anything.
fn child_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(13);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// What `gcc -E` of all units costs: the part of a compile that plain mode cannot send away.
pub(super) fn preprocess_all(units: &[Unit], folder: &Path, width: usize) -> Result<Duration> {
    let before = children_cpu()?;
    let next = AtomicUsize::new(0);
    let worker = |number: usize| -> Result<()> {
        let output = folder.join(format!("{number}.i"));
        while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
            let words = preprocessor_words(&unit.command);
            let (program, arguments) = words
                .split_first()
                .context("an empty command in compile_commands.json")?;
            let mut gcc = Command::new(program);
            project::clear(&mut gcc);
            gcc.args(arguments)
                .arg("-E")
                .arg("-o")
                .arg(&output)
                .current_dir(&unit.directory);
            let status = gcc
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .context("could not start gcc")?;
            if !status.success() {
                bail!("gcc -E of {} failed: {status}", unit.source.display());
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..width)
            .map(|number| scope.spawn(move || worker(number)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|handle| handle.join().expect("a worker does not panic"))
    })?;
    Ok(children_cpu()?.saturating_sub(before))
}

/// A compile command without what makes it one: `-c` and `-o FILE`.
fn preprocessor_words(command: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::with_capacity(command.len());
    let mut words = command.iter();
    while let Some(word) = words.next() {
        if word == "-o" {
            words.next();
        } else if word != "-c" {
            kept.push(word.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_children_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 200 0 0 5 6 40 2 20 0 1 0 12345 0 0";
        assert_eq!(child_ticks(stat), Some(42));
        assert_eq!(child_ticks("7 (x) S 1"), None);
    }

    #[test]
    fn a_child_s_time_is_counted_when_it_was_waited_for() {
        let before = children_cpu().unwrap();
        let mut busy = Command::new("sh");
        assert!(
            busy.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"])
                .status()
                .unwrap()
                .success()
        );
        assert!(children_cpu().unwrap() > before);
    }

    #[test]
    fn a_compile_becomes_a_preprocessor_command() {
        let words = ["gcc", "-O2", "-o", "x.o", "-c", "x.c"].map(OsString::from);
        assert_eq!(preprocessor_words(&words), ["gcc", "-O2", "x.c"]);
    }
}
