//! The unit files for systemd say what the daemon understands.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("systemd")
        .join(name)
}

fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("{key} is not in {text}"))
}

#[test]
fn the_service_starts_the_daemon_in_words_that_it_knows() {
    let text = fs::read_to_string(unit("distcc-launchd.service")).unwrap();
    let start = value(&text, "ExecStart");
    let help = Command::new(common::PROGRAM)
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut words = start.split(' ');
    assert!(words.next().unwrap().ends_with("/distcc-launchd"));
    for word in words.filter(|word| word.starts_with("--")) {
        assert!(help.contains(word), "{word}");
    }
    // A drain is over before systemd loses its patience.
    let drain = help.split("--drain").nth(1).unwrap();
    let drain = drain.split("[default: ").nth(1).unwrap();
    let drain: u64 = drain.split(']').next().unwrap().parse().unwrap();
    let patience: u64 = value(&text, "TimeoutStopSec").parse().unwrap();
    assert!(patience > drain + 5, "{patience} {drain}");
    assert_eq!(value(&text, "Type"), "notify");
}

#[test]
fn systemd_has_nothing_to_grumble_about() {
    let folder = common::folder();
    for name in ["distcc-launchd.service", "distcc-launchd.socket"] {
        let text = fs::read_to_string(unit(name)).unwrap();
        let here = text.replace("/usr/local/bin/distcc-launchd", common::PROGRAM);
        assert!(
            text.lines()
                .all(|line| line.is_empty() || line.starts_with(['#', '[']) || line.contains('='))
        );
        fs::write(folder.path().join(name), here).unwrap();
    }
    // Not every machine that builds us has it.
    let verify = Command::new("systemd-analyze")
        .arg("verify")
        .arg(folder.path().join("distcc-launchd.service"))
        .arg(folder.path().join("distcc-launchd.socket"))
        .output();
    if let Ok(verify) = verify {
        let said = String::from_utf8_lossy(&verify.stderr).into_owned();
        let ours: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("distcc-launchd"))
            .collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
}
