//! The daemon's box from outside: what compilers reach, what ends them, what is left.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Daemon, PROGRAM, bytes, folder, request, script, stand_in, text, wait_for};
use protocol::{Outcome, Version};
use rustix::process::Signal;

const OBJECT: [&str; 5] = ["gcc", "-c", "a.c", "-o", "a.o"];

/// A daemon whose gcc is this script.
fn with_gcc(words: &[&str], text: &str) -> (Daemon, tempfile::TempDir) {
    let bin = folder();
    stand_in(&bin.path().join("gcc"), text);
    let mut path = bin.path().as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    (Daemon::with(words, &[("DISTCCD_PATH", &path)]), bin)
}

fn compile(daemon: &Daemon, source: &str) -> Outcome {
    daemon.compile(&request(Version::Plain, &OBJECT, source))
}

#[test]
fn a_source_cannot_read_the_machines_files() {
    let secrets = folder();
    let secret = secrets.path().join("secret");
    fs::write(&secret, "root:x:SECRET:0\n").unwrap();
    let sources = [
        format!("__asm__(\".incbin \\\"{}\\\"\");\n", secret.display()),
        format!("# 1 \"{}\"\nint x = y;\n", secret.display()),
    ];
    for (words, shielded) in [
        (&[][..], true),
        (&["--sandbox=landlock"], true),
        (&["--sandbox=mount"], true),
        (&["--sandbox=off"], false),
    ] {
        let daemon = Daemon::with(words, &[]);
        for source in &sources {
            let outcome = compile(&daemon, source);
            let said = [text(outcome.stderr).into_bytes(), bytes(outcome.object)].concat();
            let leaked = said.windows(6).any(|window| window == b"SECRET");
            assert_eq!(leaked, !shielded, "{words:?} {source}");
        }
        daemon.end();
    }
}

#[test]
fn limits_are_named_to_the_client() {
    let words = [
        "--job-memory=64",
        "--job-processes=8",
        "--job-cpu=1",
        "--job-disk=4",
    ];
    let (daemon, _bin) = with_gcc(
        &words,
        "case $(cat a.i) in\n\
        memory) exec awk 'BEGIN { s = \"x\"; while (1) s = s s }' ;;\n\
        processes) for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait ;;\n\
        cpu) while :; do :; done ;;\n\
        disk) cat /dev/full > a.o ;;\n\
        none) exit 1 ;;\nesac\n",
    );
    for (source, option) in [
        ("memory", "--job-memory"),
        ("processes", "--job-processes"),
        ("cpu", "--job-cpu"),
        ("disk", "--job-disk"),
    ] {
        let outcome = compile(&daemon, source);
        assert!(!outcome.status.success());
        let said = text(outcome.stderr);
        assert!(
            said.contains("distcc-launchd: this job came to its limit of ")
                && said.contains(option),
            "{source}: {said}"
        );
    }
    let outcome = compile(&daemon, "none");
    assert_eq!(
        (outcome.status.exit_code(), text(outcome.stderr)),
        (Some(1), String::new())
    );
    daemon.end();
}

/// Processes that have this word among theirs.
fn with_word(word: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            line.split(|byte| *byte == 0)
                .any(|part| part == word.as_bytes())
        })
        .count()
}

#[test]
fn nothing_is_left_when_the_daemon_is_killed() {
    for (at, words) in [&[][..], &["--sandbox=off"], &["--sandbox=seccomp,landlock"]]
        .iter()
        .enumerate()
    {
        let seconds = format!("{}.{at}", 100_000 + std::process::id());
        // One that leaves the group and loses its parent.
        let gcc = format!("setsid sleep {seconds} & (setsid sleep {seconds} &)\nsleep {seconds}\n");
        let (mut daemon, _bin) = with_gcc(words, &gcc);
        let mut stream = daemon.connect();
        stream
            .write_all(&request(Version::Plain, &OBJECT, "").encode().unwrap())
            .unwrap();
        wait_for("three sleepers", || {
            (with_word(&seconds) >= 3).then_some(())
        });
        let start = Instant::now();
        daemon.signal(Signal::KILL);
        daemon.wait();
        wait_for("their end", || (with_word(&seconds) == 0).then_some(()));
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{words:?}: {:?}",
            start.elapsed()
        );
        wait_for("the port", || {
            std::net::TcpStream::connect(("127.0.0.1", daemon.port))
                .is_err()
                .then_some(())
        });
    }
}

#[test]
fn a_client_that_goes_ends_what_has_left_its_group() {
    let seconds = format!("{}.7", 100_000 + std::process::id());
    let gcc = format!("setsid sleep {seconds} & (setsid sleep {seconds} &)\nsleep {seconds}\n");
    for words in [&[][..], &["--sandbox=off"]] {
        let (daemon, _bin) = with_gcc(words, &gcc);
        let mut stream = daemon.connect();
        stream
            .write_all(&request(Version::Plain, &OBJECT, "").encode().unwrap())
            .unwrap();
        wait_for("three sleepers", || {
            (with_word(&seconds) >= 3).then_some(())
        });
        drop(stream);
        let start = Instant::now();
        wait_for("their end", || (with_word(&seconds) == 0).then_some(()));
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{words:?}: {:?}",
            start.elapsed()
        );
        daemon.end();
    }
}

#[test]
fn layers_are_told_and_can_be_demanded() {
    let daemon = Daemon::start();
    assert_says(&daemon, "box: mount,pid,net,seccomp,landlock\n");
    daemon.end();
    let daemon = Daemon::with(&["--sandbox=seccomp", "--require-sandbox"], &[]);
    assert_says(&daemon, "box: seccomp\n");
    daemon.end();
    let daemon = Daemon::with(&["--sandbox=off"], &[]);
    assert_says(&daemon, "no box: ");
    daemon.end();
    let run = |words: &[&str]| {
        let all = [
            &[
                "--no-detach",
                "--port=0",
                "--port-file=/dev/null",
                "--log-stderr",
            ],
            words,
        ]
        .concat();
        let output = Command::new(PROGRAM).args(all).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    // Nobody gave these tests a cgroup.
    let (code, said) = run(&[
        "--sandbox=seccomp,cgroup",
        "--require-sandbox",
        "--cgroup=/nonexistent",
    ]);
    assert_eq!(code, Some(100), "{said}");
    assert!(said.contains("--require-sandbox: no cgroup"), "{said}");
    let (code, said) = run(&["--sandbox=chroot"]);
    assert_eq!(code, Some(101), "{said}");
}

#[test]
fn the_folder_for_jobs_may_be_called_by_any_name() {
    let place = folder();
    for name in ["/.", "/", "/../"] {
        let mut tmpdir = place.path().as_os_str().to_owned();
        if name == "/../" {
            tmpdir.push(name);
            tmpdir.push(place.path().file_name().unwrap());
        } else {
            tmpdir.push(name);
        }
        for words in [&["--sandbox=off"][..], &["--sandbox=landlock"]] {
            let daemon = Daemon::with(words, &[("TMPDIR", &tmpdir)]);
            daemon.assert_serves();
            daemon.end();
        }
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

/// Without user namespaces, as in many containers, what needs none is still there.
#[test]
fn fewer_layers_where_namespaces_are_forbidden() {
    if !rustix::process::geteuid().is_root() {
        // Only root can forbid them; that they are used is said elsewhere.
        let daemon = Daemon::with(&["--sandbox=seccomp,landlock"], &[]);
        assert_says(&daemon, "box: seccomp,landlock\n");
        return daemon.end();
    }
    // Who has another root than his namespace may make none.
    let root = folder();
    let mut command = Command::new("unshare");
    let enter = "mount --rbind / \"$0\" && exec chroot \"$0\" \"$@\"";
    command
        .args(["--mount", "sh", "-c", enter])
        .arg(root.path())
        .arg(PROGRAM);
    let daemon = Daemon::by(command, &[], &[]);
    assert_says(&daemon, "box: seccomp,landlock\n");
    for layer in ["mount", "pid", "net"] {
        assert_says(
            &daemon,
            &format!("the box lacks {layer}: Operation not permitted"),
        );
    }
    daemon.assert_serves();
    let outcome = compile(&daemon, "__asm__(\".incbin \\\"/etc/passwd\\\"\");\n");
    assert!(!outcome.status.success());
    daemon.end();
}

#[track_caller]
fn assert_says(daemon: &Daemon, words: &str) {
    wait_for(words, || daemon.log().contains(words).then_some(()));
}

#[test]
fn insecure_widens_the_list_and_not_the_box() {
    let secrets = folder();
    let secret = secrets.path().join("secret");
    fs::write(&secret, "SECRET").unwrap();
    let (daemon, bin) = with_gcc(&["--enable-tcp-insecure"], "exit 1\n");
    script(
        &bin.path().join("tool"),
        &format!("cat {}\n", secret.display()),
    );
    let words = ["tool", "-c", "a.c", "-o", "a.o"];
    let outcome = daemon.compile(&request(Version::Plain, &words, ""));
    assert_eq!(text(outcome.stdout), "");
    assert!(text(outcome.stderr).contains("No such file"));
    daemon.end();
}
