//! `distcc-launch jobs`: the numbers that build tools are given.

use std::{fs, process::Command};

use tests::{Example, Farm, Ran, run, succeeds};

fn jobs(example: &Example, words: &[&str]) -> Ran {
    run(example.command("distcc-launch").arg("jobs").args(words))
}

#[test]
fn jobs_come_from_the_host_list() {
    let list = "203.0.113.1/16,lzo 203.0.113.2/8 203.0.113.3/4,down 203.0.113.1/16,lzo localhost/2";
    let example = Example::of("ninja", list);
    let number = |which: &[&str]| -> u32 { jobs(&example, which).out().trim().parse().unwrap() };
    assert_eq!(
        [
            number(&["--remote"]),
            number(&["--local"]),
            number(&["--total"]),
            number(&[])
        ],
        [24, 2, 26, 26]
    );
    assert!((1..=2).contains(&number(&["--link"])));
    for (tool, words) in [
        ("ninja", "-j26\n"),
        ("make", "-j26\n"),
        ("cmake", "--parallel 26\n"),
        ("cargo", "--jobs 26\n"),
    ] {
        let ran = jobs(&example, &["--format", tool]);
        assert_eq!((ran.code(), ran.out().as_str()), (0, words), "{tool}");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&jobs(&example, &["--json"]).stdout).unwrap();
    assert_eq!(json["remote"], 24);
    assert_eq!(json["total"], 26);
    assert_eq!(json["hosts"][0]["host"], "203.0.113.1:3632");
    assert_eq!(json["hosts"][0]["up"], serde_json::Value::Null);
    assert_eq!(json["hosts"][2]["up"], false);
}

#[test]
fn local_slots_of_the_list_count() {
    let example = Example::of("ninja", "--localslots=5 203.0.113.1/3");
    assert_eq!(jobs(&example, &["--local"]).out(), "5\n");
    assert_eq!(jobs(&example, &[]).out(), "8\n");
}

#[test]
fn no_usable_hosts_means_this_machine_and_a_note() {
    let processors = succeeds(&mut Command::new("nproc"));
    for list in ["", "one/x", "farm,nosuch"] {
        let ran = jobs(&Example::of("ninja", list), &[]);
        assert_eq!((ran.code(), ran.out()), (0, processors.clone()), "{list:?}");
        assert!(
            ran.err().contains("counting this machine only"),
            "{list:?}: {}",
            ran.err()
        );
    }
    // This machine may have a list in /etc; the person's own, which names nobody, goes before.
    let example = Example::of("ninja", "");
    fs::write(example.folder().join("state/hosts"), "# nobody yet\n").unwrap();
    let ran = run(example
        .command("distcc-launch")
        .env_remove("DISTCC_HOSTS")
        .args(["jobs", "--probe", "--format=make"]));
    assert_eq!(ran.out(), format!("-j{processors}"));
    assert!(ran.err().contains("names no host"), "{}", ran.err());
}

#[test]
fn a_probe_leaves_out_who_is_down() {
    let farm = Farm::ours(1);
    // A port on which nobody listens, and a name that nobody knows.
    let list = format!(
        "{} 127.0.0.9:1/7 nosuch.invalid/9 localhost/2",
        farm.hosts("/4")
    );
    let example = Example::of("ninja", &list);
    assert_eq!(jobs(&example, &["--remote"]).out(), "20\n");
    let ran = jobs(&example, &["--remote", "--probe"]);
    assert_eq!((ran.code(), ran.out().as_str()), (0, "4\n"));
    let said = ran.err();
    for down in ["127.0.0.9:1", "nosuch.invalid:3632"] {
        assert!(said.contains(down), "{said}");
    }
    let json = jobs(&example, &["--json", "--probe"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["hosts"][0]["up"], true);
    assert_eq!(json["hosts"][1]["up"], false);
    assert_eq!(json["hosts"][3]["up"], serde_json::Value::Null);
    assert_eq!(json["total"], 6);
}

/// CMake's trees depend on that file, so it must not look newer when nothing is new.
#[test]
fn the_numbers_are_noted_when_they_are_new() {
    let example = Example::of("ninja", "203.0.113.1/3 localhost/2");
    let json: serde_json::Value =
        serde_json::from_slice(&jobs(&example, &["--json"]).stdout).unwrap();
    let file = json["watch"][0].as_str().unwrap();
    assert_eq!(fs::read_to_string(file).unwrap(), "3 2\n");
    let time = || fs::metadata(file).unwrap().modified().unwrap();
    let first = time();
    jobs(&example, &[]);
    jobs(&example, &["--probe"]);
    assert_eq!(time(), first);
    let more = |list: &str| {
        let mut command = example.command("distcc-launch");
        run(command.arg("jobs").env("DISTCC_HOSTS", list))
    };
    more("203.0.113.1/4 localhost/2");
    assert_eq!(fs::read_to_string(file).unwrap(), "4 2\n");
}
