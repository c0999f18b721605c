//! The whole gate: format, lints and every test.

use crate::{dist, packages, venv, workspace};
use anyhow::{Context as _, Result, bail};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run the tests that take minutes too
    #[arg(long)]
    long: bool,
}

/// What became of one step.
struct Step {
    name: &'static str,
    took: Duration,
    result: Result<String>,
}

/// Sums over the result lines of all test programs.
#[derive(Default, Debug, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    packages::ensure(packages::TEST)?;
    ensure_components()?;
    let tools = venv::ensure(venv::TEST)?;
    let mut steps = Vec::new();
    step(&mut steps, "format", || cargo(&["fmt", "--all", "--check"]));
    step(&mut steps, "clippy", lints);
    let mut bin = None;
    step(&mut steps, "dist", || {
        bin = Some(dist::build()?);
        Ok(String::new())
    });
    if let Some(bin) = &bin {
        step(&mut steps, "test", || all_tests(bin, &tools, options.long));
    }
    Ok(summarise(&steps))
}

/// Prints the folder of the build tools from PyPI, after making sure that they are there.
pub(crate) fn tools() -> Result<ExitCode> {
    println!("{}", venv::ensure(venv::TEST)?.display());
    Ok(ExitCode::SUCCESS)
}

fn step(steps: &mut Vec<Step>, name: &'static str, body: impl FnOnce() -> Result<String>) {
    eprintln!("\n== {name}");
    let start = Instant::now();
    let result = body();
    steps.push(Step {
        name,
        took: start.elapsed(),
        result,
    });
}

fn cargo(words: &[&str]) -> Result<String> {
    workspace::run(workspace::cargo().args(words)).map(|()| String::new())
}

/// Releases of Rust whose lints the code was cleaned for. Newer ones have new opinions, which are told and are no failure.
const LINTED: [&str; 2] = ["1.95", "1.99"];

fn lints() -> Result<String> {
    let mut words = vec!["clippy", "--workspace", "--all-targets"];
    let version = workspace::output(Command::new("rustc").arg("--version"))?;
    let release = version.split_whitespace().nth(1).unwrap_or_default();
    let known = LINTED
        .iter()
        .any(|linted| release.starts_with(&format!("{linted}.")));
    if known {
        words.extend(["--", "--deny", "warnings"]);
    }
    cargo(&words)?;
    Ok(match known {
        true => String::new(),
        false => format!("warnings of Rust {release} count for nothing"),
    })
}

/// Parts of Rust that a minimal installation lacks.
fn ensure_components() -> Result<()> {
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let found = workspace::output(workspace::cargo().args([command, "--version"]));
        found.with_context(|| {
            format!("cargo {command} is missing; run: rustup component add {component}")
        })?;
    }
    Ok(())
}

/// Runs every test of the workspace against the release binaries in `bin`.
fn all_tests(bin: &Path, tools: &Path, long: bool) -> Result<String> {
    let mut command = workspace::cargo();
    workspace::without_distcc_settings(&mut command);
    command.args(["test", "--workspace", "--no-fail-fast"]);
    command.env("DISTCC_LAUNCH_BIN_DIR", bin);
    command.env("DISTCC_LAUNCH_TOOLS", tools);
    if long {
        command.env("LONG", "1");
    }
    if io::stdout().is_terminal() {
        command
            .env("CARGO_TERM_COLOR", "always")
            .args(["--", "--color=always"]);
    }
    let counts = counted(&mut command)?;
    if counts.ignored > 0 {
        bail!(
            "{} tests were ignored; a test that cannot run has to fail",
            counts.ignored
        );
    }
    if counts.failed > 0 {
        bail!("{} tests failed, {} passed", counts.failed, counts.passed);
    }
    Ok(format!("{} tests passed", counts.passed))
}

/// Runs `command`, passing its standard output on as it comes, and adds up the results in it.
fn counted(command: &mut Command) -> Result<Counts> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start cargo test")?;
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let mut counts = Counts::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let mut line = line.context("could not read what the tests print")?;
        counts.add(&String::from_utf8_lossy(&line));
        line.push(b'\n');
        io::stdout()
            .write_all(&line)
            .context("could not write to standard output")?;
    }
    let status = child.wait().context("could not wait for cargo test")?;
    if !status.success() && counts.failed == 0 {
        bail!(
            "cargo test failed: {status}, with {} tests passed until then",
            counts.passed
        );
    }
    Ok(counts)
}

impl Counts {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; …`; others count nothing.
    fn add(&mut self, line: &str) {
        let Some((_, figures)) = line.split_once("test result: ") else {
            return;
        };
        // Colours may stand between the verdict and the figures; the figure is the word before its name.
        let words: Vec<&str> = figures
            .split([' ', ';'])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else {
                continue;
            };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

fn summarise(steps: &[Step]) -> ExitCode {
    eprintln!();
    for Step { name, took, result } in steps {
        let (word, detail) = match result {
            Ok(detail) => ("ok", detail.clone()),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        eprintln!("{word:6}  {name:8} {:5.0} s  {detail}", took.as_secs_f64());
    }
    let good = steps.iter().all(|step| step.result.is_ok());
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_add_up() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s",
            "test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 2 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out",
            "test result: FAILED. 1 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            counts.add(line);
        }
        assert_eq!(
            counts,
            Counts {
                passed: 6,
                failed: 4,
                ignored: 1
            }
        );
    }

    #[test]
    fn output_is_counted_and_a_failure_without_results_is_told() {
        let mut good = Command::new("sh");
        good.args([
            "-c",
            "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'",
        ]);
        assert_eq!(counted(&mut good).unwrap().passed, 2);
        let error = counted(Command::new("sh").args(["-c", "exit 101"])).unwrap_err();
        assert!(error.to_string().contains("101"), "{error}");
    }
}
