//! `distcc-launch run` and `distcc-launch local` around commands: status, signals, what is told at the end, and what is left.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tests::{
    LyingServer, Ran, Sleepers, Space, launcher, run, script, start, until, with_default_signals,
};

const SOURCE: &str = "int answer(void) { return 42; }\n";
const DEAD: &str = "127.0.0.1:1";

fn space(hosts: &str) -> Space {
    let space = Space::new([("a.c", SOURCE)])
        .hosts(hosts)
        .client_env("DISTCC_LAUNCH_LOCAL", "0")
        .env("L", launcher());
    space.renew();
    space
}

/// Runs `sh -c text` within `distcc-launch run options`.
fn run_sh(space: &Space, options: &str, text: &str) -> Ran {
    run(&mut run_sh_command(space, options, text))
}

fn run_sh_command(space: &Space, options: &str, text: &str) -> Command {
    let mut command = space.command(&format!("run {options} --"));
    command.args(["sh", "-c", text]);
    command
}

/// The one line that it says.
fn line(ran: &Ran) -> String {
    let text = ran.err();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("distcc-launch: "));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 1, "{text}");
    lines[0].to_owned()
}

fn left_over(space: &Space) -> usize {
    space.root().join("tmp").read_dir().unwrap().count()
}

#[test]
fn the_status_is_the_command_s() {
    let space = space(DEAD);
    for code in [0, 1, 3, 77, 255] {
        let ran = run_sh(&space, "", &format!("exit {code}"));
        assert_eq!(ran.status.code(), Some(code));
        assert_eq!(
            line(&ran),
            "distcc-launch: no compile came through the launcher"
        );
    }
    for signal in [Signal::KILL, Signal::TERM, Signal::SEGV] {
        let ran = run_sh(&space, "", &format!("kill -{} $$", signal.as_raw()));
        assert_eq!(ran.status.signal(), Some(signal.as_raw()), "{}", ran.err());
    }
    assert_eq!(space.run("run /no/such").code(), 127);
    assert_eq!(space.run("run ./a.c").code(), 126);
    assert_eq!(space.run("run").code(), 101, "bad arguments, as stock's");
    assert_eq!(space.run("run --require-remote=101 true").code(), 101);
    assert_eq!(left_over(&space), 0);
}

#[test]
fn streams_and_words_pass_through() {
    let space = space(DEAD);
    let mut command = space.command("run --quiet printf %s. -- -j --quiet");
    let ran = run(&mut command);
    assert_eq!(
        (ran.out().as_str(), ran.err().as_str()),
        ("--.-j.--quiet.", "")
    );
    let mut child = space
        .command("run --quiet -- cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"through");
}

#[test]
fn signals_go_on_to_the_command() {
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
        (Signal::USR1, "USR1"),
    ] {
        let space = space(DEAD);
        let waits = |before: &str| {
            let text = format!("{before} : > ready; while :; do sleep 0.02; done");
            let command = run_sh_command(&space, "", &text);
            let mut running = start(&mut with_default_signals(&command));
            until("it is ready", || space.work().join("ready").exists());
            std::fs::remove_file(space.work().join("ready")).unwrap();
            running.signal(signal);
            running.finish()
        };
        assert_eq!(waits(&format!("trap 'exit 42' {name};")).code(), 42);
        let ran = waits("");
        assert_eq!(ran.status.signal(), Some(signal.as_raw()), "{name}");
        assert!(line(&ran).contains("no compile"));
        assert_eq!(left_over(&space), 0, "{name}");
    }
}

#[test]
fn it_says_where_units_went_and_why_not() {
    let farm = Sleepers::until(0, SOURCE);
    let space = space(&format!("--localslots=2 {DEAD}/1 {}/4", farm.host()));
    let text = "$L gcc -c a.c -o 1.o && $L gcc -c a.c -o 2.o && $L gcc -c -march=native -g a.c -o 3.o && \
                $L gcc -E a.c > /dev/null && $L gcc --version > /dev/null && $L gcc -shared 1.o -o a.so";
    let ran = run_sh(&space, "", text);
    assert_eq!(ran.code(), 0, "{}", ran.err());
    let expected = format!(
        "distcc-launch: 3 units: 2 remote ({} 2), 1 local (native-cpu 1), none fell back; about ",
        farm.host()
    );
    assert!(line(&ran).starts_with(&expected), "{}", ran.err());
    assert_eq!(run_sh(&space, "--quiet", text).err(), "");
}

#[test]
fn require_remote_fails_a_build_that_stayed_here() {
    let farm = Sleepers::until(0, SOURCE);
    let mixed = format!("{}/1", farm.host());
    let dead = space(DEAD);
    let text = "$L gcc -c a.c -o 1.o && $L gcc -c a.c -o 2.o";
    let ran = run_sh(&dead, "--require-remote=1%", text);
    assert_eq!(ran.code(), 3);
    let told = line(&ran);
    assert!(
        told.contains("2 units: 0 remote, 2 local (hosts-"),
        "{told}"
    );
    assert!(
        told.ends_with("; 0 % of what could have gone to hosts went, 1 % were required"),
        "{told}"
    );
    let ran = run_sh(&dead, "--require-remote=1 --quiet", text);
    assert_eq!((ran.code(), ran.err().as_str()), (3, ""));
    assert_eq!(run_sh(&dead, "--require-remote=0", text).code(), 0);
    assert_eq!(run_sh(&dead, "", text).code(), 0);

    // Half of it goes; and what cannot go does not count.
    let half = format!(
        "$L gcc -c a.c && DISTCC_HOSTS={DEAD} $L gcc -c a.c && $L gcc -S -march=native -g a.c"
    );
    let space = space(&mixed);
    assert_eq!(run_sh(&space, "--require-remote=50", &half).code(), 0);
    assert_eq!(run_sh(&space, "--require-remote=50.1", &half).code(), 3);
    assert_eq!(
        run_sh(&space, "--require-remote=100", "$L gcc -c a.c; exit 5").code(),
        5
    );
    let ran = run_sh(&space, "--require-remote=100", "exit 5");
    assert_eq!(ran.code(), 5, "nothing could have gone");
}

#[test]
fn runs_at_the_same_time_are_told_apart() {
    let farm = Sleepers::until(3, SOURCE);
    let space = space(&format!("{}/8", farm.host()));
    let one = start(&mut run_sh_command(&space, "", "$L gcc -c a.c -o 1.o"));
    let outer = "$L gcc -c a.c -o 2.o & $L run -- $L gcc -c a.c -o 3.o; wait";
    let two = run_sh(&space, "", outer);
    assert!(line(&one.finish()).contains(" 1 unit: 1 remote"));
    let text = two.err();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains(" 1 unit: 1 remote"), "{text}");
    assert!(lines[1].contains(" 2 units: 2 remote"), "{text}");
}

#[test]
fn a_journal_that_cannot_be_written_or_moves_aside_is_no_loss() {
    let farm = Sleepers::until(0, SOURCE);
    let host = format!("{}/8", farm.host());
    for journal in ["/proc/no/journal", "/dev/null", "journal"] {
        let space = space(&host).client_env("DISTCC_LAUNCH_JOURNAL", journal);
        std::fs::create_dir(space.work().join("sub")).unwrap();
        let ran = run_sh(&space, "", "cd sub && $L gcc -c ../a.c");
        assert!(line(&ran).contains(" 1 unit: 1 remote"), "{journal}");
        assert_eq!(left_over(&space), 0);
        assert_eq!(space.work().join("journal").exists(), journal == "journal");
    }
    let space = space(&host);
    let moves = format!("mv {0} {0}.1", space.journal().display());
    let text = format!("$L gcc -c a.c && {moves} && $L gcc -c a.c");
    assert!(line(&run_sh(&space, "", &text)).contains(" 2 units: 2 remote"));
}

#[test]
fn a_width_of_the_user_s_own_stays() {
    let space = space("--localslots=2 203.0.113.1/10");
    let tools = space.root().join("home");
    for (name, version) in [("ninja", "1.11.1"), ("make", "GNU Make 4.3")] {
        let text = format!(
            "case $1 in --version) echo '{version}' ;; *) echo \"$@,$MAKEFLAGS,$CMAKE_BUILD_PARALLEL_LEVEL\" ;; esac"
        );
        script(&tools.join(name), &text);
    }
    let mut path = tools.clone().into_os_string();
    path.push(":/usr/bin:/bin");
    let space = space.client_env("PATH", path);
    let told = |command: &str| space.run(&format!("run {command}")).out();
    assert_eq!(told("ninja all"), "-j12 all,,\n");
    assert_eq!(told("ninja -j3 all"), "-j3 all,,\n");
    assert_eq!(told("-j 5 ninja all"), "-j5 all,,\n");
    assert_eq!(told("-j 5 ninja -j3"), "-j3,,\n");
    assert!(told("make all").starts_with("all, -j12 --jobserver-auth="));
    assert_eq!(told("make -j3 all"), "-j3 all,,\n");
    // A script may start either; this ninja sees no jobserver.
    let out = told("sh -c 'make all'");
    assert!(out.starts_with("all, -j12 --jobserver-auth="), "{out}");
    assert!(out.ends_with(",12\n"), "{out}");
    let stale = space.client_env("MAKEFLAGS", "ks -j --jobserver-auth=7,8 -- X=1");
    let out = stale.run("run make all").out();
    assert!(out.starts_with("all,ks -j12 --jobserver-auth="), "{out}");
    assert!(out.ends_with(" -- X=1,\n"), "{out}");
}

#[test]
fn a_run_swallows_what_the_killed_owed() {
    let farm = Sleepers::until(usize::MAX, SOURCE);
    let jobserver = tests::Jobserver::with(2);
    let space = space(&format!("{}/8", farm.host())).client_env("MAKEFLAGS", jobserver.flags());
    let mut running = start(&mut space.command("gcc -c a.c"));
    until("it has lent", || jobserver.lying() == 2);
    running.signal(Signal::KILL);
    until("it is gone", || running.has_ended());
    assert_eq!(space.run("run true").code(), 0);
    assert_eq!(jobserver.lying(), 1);
}

#[test]
fn local_commands_keep_to_the_slots() {
    let space = space("--localslots=1 203.0.113.1");
    let first = start(&mut local(
        &space,
        ": > first; until [ -e go ]; do sleep 0.01; done; exit 7",
    ));
    until("it runs", || space.work().join("first").exists());
    let mut second = start(&mut local(&space, ": > second"));
    let queue = space.dir().join("lock");
    until("the second one waits", || is_locked(&queue));
    assert!(!space.work().join("second").exists() && !second.has_ended());
    std::fs::write(space.work().join("go"), "").unwrap();
    assert_eq!(first.finish().code(), 7);
    assert_eq!(second.finish().code(), 0);
    assert!(space.work().join("second").exists());
    assert_eq!(space.run("local /no/such").code(), 127);
    assert_eq!(space.run("local").code(), 101);
    // In the one slot there is, what wants one runs without.
    let nested = "$L local -- $L local -- $L gcc -c -march=native -g a.c";
    assert_eq!(run(&mut local(&space, nested)).code(), 0);
}

fn local(space: &Space, text: &str) -> Command {
    let mut command = space.command("local --");
    command.args(["sh", "-c", text]);
    command
}

/// Does somebody wait for local slots?
fn is_locked(folder: &std::path::Path) -> bool {
    let entries = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let queue = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("queue_local_job")
    };
    let mut queues = entries.filter(queue);
    queues.any(|path| std::fs::File::open(path).unwrap().try_lock().is_err())
}

#[test]
fn a_server_that_hangs_up_is_told_as_a_fall_back() {
    let farm = LyingServer::start(|talk| {
        talk.request();
    });
    let space = space(&format!("{}/2", farm.host()));
    let ran = run_sh(&space, "", "$L gcc -c a.c");
    assert!(
        line(&ran).starts_with(
            "distcc-launch: 1 unit: 0 remote, 1 local (hosts-failed 1), 1 fell back; about "
        ),
        "{}",
        ran.err()
    );
}
