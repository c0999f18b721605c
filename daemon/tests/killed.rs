//! A daemon that is killed without a chance to clean up, and the next one.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;

use common::{Daemon, folder, is_running, request, script, wait_for};
use protocol::Version;
use rustix::process::Signal;

/// A process whose command line has this word, and is no zombie.
fn runs(word: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|entry| is_running(&entry.file_name().to_string_lossy()))
        .any(|entry| {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            words
                .split(|byte| *byte == 0)
                .any(|found| found == word.as_bytes())
        })
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_outlives_a_killed_daemon_for_long() {
    nothing_outlives(&[]);
}

#[test]
fn nor_without_the_box() {
    nothing_outlives(&["--sandbox", "off"]);
}

fn nothing_outlives(how: &[&str]) {
    let place = folder();
    let bin = folder();
    // Its number of seconds tells it from all others; its child has left the group.
    let seconds = format!("{}", 10 * (100_000 + std::process::id()) + how.len() as u32);
    script(
        &bin.path().join("gcc"),
        &format!("setsid sleep {seconds} &\nsleep {seconds}\n"),
    );
    let mut path = bin.path().as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    let variables: [(&str, &OsStr); 2] = [
        ("DISTCCD_PATH", &path),
        ("TMPDIR", place.path().as_os_str()),
    ];
    let mut daemon = Daemon::with(how, &variables);
    let mut stream = daemon.connect();
    let words = ["gcc", "-c", "a.c", "-o", "a.o"];
    let job = request(Version::Plain, &words, "int x;\n");
    stream.write_all(&job.encode().unwrap()).unwrap();
    wait_for("the compiler", || runs(&seconds).then_some(()));
    daemon.signal(Signal::KILL);
    daemon.wait();
    wait_for("the compilers' end", || (!runs(&seconds)).then_some(()));
    // What is not provably the daemon's own stays where it is.
    fs::create_dir(place.path().join("distcc-launchd_of_somebody")).unwrap();
    fs::write(place.path().join("distcc-launchd_file"), "").unwrap();
    // A folder is left alone for its first second: it might not be locked yet.
    wait_for("the next daemon to clear up", || {
        let next = Daemon::with(how, &[("TMPDIR", place.path().as_os_str())]);
        next.assert_serves();
        drop(next);
        (names(place.path()) == ["distcc-launchd_file", "distcc-launchd_of_somebody"]).then_some(())
    });
}
