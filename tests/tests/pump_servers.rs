//! Who answers for pump mode's files, and what becomes of a build when nobody does: the resident server and its life, servers of
//! stock's manner, hosts that fail.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, kill_process};
use tests::{
    Farm, IncludeServer, LyingServer, Make, Space, distcc, launcher, run, side_by_side, until,
};

const PUMP: &str = "/4,lzo,cpp";

fn space(hosts: &str) -> Space {
    let files = [
        ("a.c", "#include \"a.h\"\nint a = A;\n"),
        ("a.h", "#define A 1\n"),
    ];
    Space::new(files).hosts(hosts)
}

/// Processes that are resident servers of `folder`.
fn servers(folder: &Path) -> usize {
    let mark = folder.join("pump").display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let words = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let mine = words.filter(|words| {
        let mut words = words.split(|byte| *byte == 0);
        let name = words.next().unwrap_or_default();
        name.ends_with(b"include-server") && words.any(|word| word == mark.as_bytes())
    });
    mine.count()
}

#[test]
fn many_launchers_start_one_server() {
    let farm = Farm::ours(1);
    let space = space(&farm.hosts("/9,lzo,cpp"));
    space.renew();
    side_by_side(0..8, |at| {
        let ran = run(&mut space.command(&format!("gcc -g -c a.c -o {at}.o")));
        assert_eq!(ran.code(), 0, "{}", ran.err());
    });
    let rows = space.rows();
    assert_eq!(rows.len(), 8);
    for row in rows {
        assert_eq!(row.mode.as_deref(), Some("pump"), "{row:?}");
    }
    // Those that found the place taken are gone, or going.
    until("one server is left", || servers(&space.dir()) == 1);
}

#[test]
fn a_killed_server_is_followed_by_another() {
    let farm = Farm::ours(1);
    let space = space(&farm.hosts(PUMP));
    space
        .compile("gcc -g -c a.c")
        .assert_same_as_local()
        .assert_pumped();
    let first = space.include_server().unwrap();
    kill_process(first, Signal::KILL).unwrap();
    until("it is gone", || space.include_server().is_none());
    space
        .compile("gcc -g -c a.c")
        .assert_same_as_local()
        .assert_pumped();
    let second = space.include_server().unwrap();
    assert_ne!(first, second);
    // Its folder may go too.
    fs::remove_dir_all(space.dir().join("pump")).unwrap();
    space
        .compile("gcc -g -c a.c")
        .assert_same_as_local()
        .assert_pumped();
    kill_process(second, Signal::TERM).unwrap();
    assert_ne!(space.include_server(), Some(second));
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_again_and_again() {
    let farm = Farm::ours(1);
    let space = space(&farm.hosts(PUMP));
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_pumped();
    kill_process(space.include_server().unwrap(), Signal::STOP).unwrap();
    for _ in 0..2 {
        let compared = space.compile("gcc -c a.c");
        compared
            .assert_same_as_local()
            .assert_not_pumped("include-server-slow");
    }
    assert!(space.dir().join("pump/slow").exists());
    let mut shutdown = Command::new(launcher());
    shutdown
        .args(["pump", "--shutdown"])
        .env("DISTCC_DIR", space.dir());
    assert_eq!(run(&mut shutdown).code(), 0);
    assert!(space.include_server().is_none());
}

/// The host has not been connected with before the server has answered, or not.
#[test]
fn a_server_that_is_slow_is_no_fault_of_the_host() {
    let farm = Farm::ours(2);
    let space = space(&farm.hosts(PUMP));
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_pumped();
    let server = space.include_server().unwrap();
    kill_process(server, Signal::STOP).unwrap();
    let compared = space.compile("gcc -c a.c");
    kill_process(server, Signal::CONT).unwrap();
    compared
        .assert_same_as_local()
        .assert_not_pumped("include-server-slow");
    assert_eq!(compared.row().attempts.len(), 1, "{compared}");
}

#[test]
fn a_build_tool_does_not_wait_for_the_server() {
    let farm = Farm::ours(1);
    let space = space(&farm.hosts(PUMP));
    // A pipe ends when the last holder of its other end is gone: a server that held it would keep `cat`.
    let compared = space.shell("$L gcc -c a.c 2>&1 | cat");
    compared.assert_same_as_local().assert_pumped();
    assert!(space.include_server().is_some());
}

#[test]
fn failures_there_that_succeed_here_end_pump_mode_for_a_while() {
    // Says of each compile that it failed.
    let failing = || {
        LyingServer::start(|talk| {
            talk.read(12);
            let mut reply = b"DONE00000003STAT00000100".to_vec();
            for tag in ["SERR", "SOUT", "DOTO", "DOTD"] {
                reply.extend(tests::token(tag, 0));
            }
            talk.send(&reply);
            talk.stall();
        })
    };
    for most in [1, 3] {
        let host = failing();
        let space = space(&format!("{}{PUMP}", host.host()))
            .client_env("DISTCC_MAX_DISCREPANCY", most.to_string())
            .client_env("DISTCC_VERBOSE", "1");
        let counter = space.dir().join("pump/discrepancy_counter");
        for failures in 1..=most {
            let compared = space.compile("gcc -c a.c");
            compared.assert_same_files();
            assert_eq!(compared.row().place, "local");
            assert_eq!(compared.row().not_pumped, None, "{failures}");
            assert_eq!(fs::metadata(&counter).unwrap().len(), failures);
            let said = String::from_utf8_lossy(&compared.via.stderr).into_owned();
            assert!(
                said.contains("failed, retried locally and got a different result"),
                "{said}"
            );
        }
        let compared = space.compile("gcc -c a.c");
        assert_eq!(compared.row().not_pumped.as_deref(), Some("demoted"));
    }
}

#[test]
fn without_fall_back_a_failure_there_is_one_here() {
    let host = LyingServer::start(|talk| {
        talk.read(12);
        let mut reply = b"DONE00000003STAT00000100".to_vec();
        for tag in ["SERR", "SOUT", "DOTO", "DOTD"] {
            reply.extend(tests::token(tag, 0));
        }
        talk.send(&reply);
        talk.stall();
    });
    let space = space(&format!("{}{PUMP}", host.host())).client_env("DISTCC_FALLBACK", "0");
    let compared = space.compile("gcc -c a.c");
    assert_eq!(compared.via.code, 1);
    assert!(!space.work().join("a.o").exists());
    let row = compared.row();
    assert_eq!(row.reason.as_deref(), Some("failed-there"));
    assert_eq!(row.not_pumped, None, "it was not tried in plain mode");
}

#[test]
fn a_server_of_stocks_manner_serves_for_stock_daemons() {
    let server = IncludeServer::start(&[]);
    // What is left is what stock's server has.
    fs::remove_file(server.folder().join("launch")).unwrap();
    let stock = Farm::stock(1);
    let with_stock = space(&stock.hosts(PUMP)).client_env("INCLUDE_SERVER_PORT", server.socket());
    with_stock
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_pumped();
    let ours = Farm::ours(1);
    let with_ours = space(&ours.hosts(PUMP)).client_env("INCLUDE_SERVER_PORT", server.socket());
    let compared = with_ours.compile("gcc -c a.c");
    compared
        .assert_same_as_local()
        .assert_not_pumped("stock-include-server");
    let gone = space(&ours.hosts(PUMP)).client_env("INCLUDE_SERVER_PORT", "/no/such/socket");
    let compared = gone.compile("gcc -c a.c");
    compared
        .assert_same_as_local()
        .assert_not_pumped("no-include-server");
    assert_eq!(servers(&gone.dir()), 0, "one was named, so none is started");
}

/// `distcc-launch pump` with these words, in a space's surroundings.
fn pump(space: &Space, script: &str) -> tests::Ran {
    let hosts = tests::Daemon::start(Make::Ours, "127.0.0.1", &[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .current_dir(space.root())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", space.root().join("home"))
        .env("TMPDIR", space.root().join("tmp"))
        .env("DISTCC_DIR", space.dir())
        .env("DISTCC_LAUNCH_JOURNAL", space.journal())
        .env("DISTCC_HOSTS", hosts.host() + PUMP)
        .env("L", launcher())
        .env("STOCK", distcc());
    run(&mut command)
}

#[test]
fn a_build_with_a_server_of_its_own() {
    let space = space("");
    space.renew();
    let ran = pump(
        &space,
        "cd work && $L pump sh -c '$L gcc -c a.c; test -S $INCLUDE_SERVER_PORT; exit 7'",
    );
    assert_eq!(ran.code(), 7, "{}", ran.err());
    assert!(
        ran.out().lines().all(|line| line.starts_with("__________")),
        "{}",
        ran.out()
    );
    let rows = space.rows();
    assert_eq!(rows[0].mode.as_deref(), Some("pump"), "{rows:?}");
    assert!(
        space.include_server().is_none(),
        "no other server was started"
    );
    assert_eq!(fs::read_dir(space.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_shell_starts_and_ends_a_server() {
    let space = space("");
    space.renew();
    let script = "set -e; cd work; eval \"$($L pump --startup)\"; $L gcc -g -c a.c; $STOCK gcc -c a.c -o b.o; \
                  $L pump --shutdown; test ! -e $INCLUDE_SERVER_DIR; \
                  gone() { ! kill -0 $INCLUDE_SERVER_PID 2>/dev/null || grep -q ') Z ' /proc/$INCLUDE_SERVER_PID/stat; }; \
                  for try in $(seq 100); do gone && exit 0; sleep 0.05; done; exit 9";
    let ran = pump(&space, script);
    assert_eq!(ran.code(), 0, "{}{}", ran.out(), ran.err());
    let rows = space.rows();
    assert_eq!(rows[0].mode.as_deref(), Some("pump"), "{rows:?}");
    let nothing = pump(
        &space,
        "unset INCLUDE_SERVER_PID INCLUDE_SERVER_DIR; $L pump --shutdown",
    );
    assert_eq!(nothing.code(), 0);
    assert!(
        nothing.err().contains("no include server runs"),
        "{}",
        nothing.err()
    );
    let no_host = pump(&space, "DISTCC_HOSTS=localhost $L pump true");
    assert_eq!(no_host.code(), 1);
    assert!(no_host.err().contains(",cpp"), "{}", no_host.err());
}
