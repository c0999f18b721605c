//! Launchers and daemons that are killed, at every point of a job.

use std::{
    os::unix::process::ExitStatusExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use rustix::process::Signal;
use tests::{
    Entry, Farm, LyingServer, Reply, Running, Space, fake_cc, is_alive, side_by_side, snapshot,
    start, until, with_default_signals,
};

const SOURCES: [(&str, &str); 2] = [
    ("a.c", "int answer(void) { return 42; }\n"),
    ("a.h", "int unused;\n"),
];

/// What may lie in the project after a kill: the sources, and `a.o` as one of `objects`.
#[track_caller]
fn assert_clean(space: &Space, objects: &[&[u8]], when: &str) {
    let mut found = snapshot(&space.work());
    for (name, _) in SOURCES {
        assert!(
            found.remove(std::path::Path::new(name)).is_some(),
            "{when}: {name} is gone"
        );
    }
    match found.remove(std::path::Path::new("a.o")) {
        None => assert!(
            objects.contains(&&b""[..]),
            "{when}: the previous object is gone"
        ),
        Some(Entry::File { bytes, .. }) => {
            assert!(
                objects.contains(&bytes.as_slice()),
                "{when}: a.o holds {} bytes",
                bytes.len()
            );
        }
        Some(other) => panic!("{when}: a.o is a {other:?}"),
    }
    assert!(found.is_empty(), "{when}: left in the project: {found:?}");
    let left = snapshot(&space.root().join("tmp"));
    assert!(left.is_empty(), "{when}: left in TMPDIR: {left:?}");
}

/// A server that sends the first `count` bytes of a good reply and then says that it has, and holds on.
fn sends_part(object: &[u8], count: usize) -> (LyingServer, Arc<AtomicBool>) {
    let reached = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&reached);
    let bytes = Reply {
        version: 1,
        object: object.to_vec(),
        ..Reply::default()
    }
    .encode();
    let server = LyingServer::start(move |talk| {
        if talk.request().is_some() {
            talk.send(&bytes[..count]);
            tell.store(true, SeqCst);
            talk.stall();
        }
    });
    (server, reached)
}

/// A launcher stopped in the middle: at every cut of the reply, with and without a previous object.
fn interrupt(signal: Signal, check: impl Fn(Running, &LyingServer, &Space, &str) + Sync) {
    let plain = Space::new(SOURCES);
    let object = plain.local("gcc -c a.c").bytes("a.o").to_vec();
    let whole = 60 + object.len();
    let cuts = [
        0,
        1,
        12,
        24,
        48,
        59,
        60,
        61,
        60 + object.len() / 2,
        whole - 1,
    ];
    side_by_side(cuts, |cut| {
        for previous in [&b""[..], b"previous object"] {
            let (server, reached) = sends_part(&object, cut);
            let space = Space::new(SOURCES).hosts(&server.host());
            space.renew();
            if !previous.is_empty() {
                std::fs::write(space.work().join("a.o"), previous).unwrap();
            }
            let mut running = start(&mut with_default_signals(&space.command("gcc -c a.c")));
            until("the reply is under way", || reached.load(SeqCst));
            running.signal(signal);
            let when = format!("{signal:?} after {cut} bytes of the reply");
            check(running, &server, &space, &when);
            assert_clean(&space, &[previous], &when);
        }
    });
}

#[test]
fn killed_during_the_reply() {
    interrupt(Signal::KILL, |running, server, _, when| {
        assert_eq!(running.finish().code(), 137, "{when}");
        until("the connection is closed", || server.open() == 0);
    });
}

#[test]
fn terminated_or_interrupted_during_the_reply() {
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1)] {
        interrupt(signal, |running, server, _, when| {
            let ran = running.finish();
            assert_eq!(ran.status.signal(), Some(number), "{when}: {ran:?}");
            assert_eq!(
                (ran.out(), ran.err()),
                (String::new(), String::new()),
                "{when}"
            );
            until("the connection is closed", || server.open() == 0);
        });
    }
}

/// The whole reply is there and the launcher is killed while it places the object, or before, or after.
#[test]
fn killed_while_placing() {
    let object = Space::new(SOURCES)
        .local("gcc -c a.c")
        .bytes("a.o")
        .to_vec();
    side_by_side(0..40, |round| {
        let (server, reached) = sends_part(&object, 60 + object.len());
        let space = Space::new(SOURCES).hosts(&server.host());
        space.renew();
        std::fs::write(space.work().join("a.o"), b"previous object").unwrap();
        let mut running = start(&mut with_default_signals(&space.command("gcc -c a.c")));
        until("the reply was sent", || reached.load(SeqCst));
        // A different number of moments each round; what the test states holds at any of them.
        for _ in 0..round * 50 {
            std::hint::spin_loop();
        }
        if !running.has_ended() {
            running.signal(Signal::KILL);
        }
        running.finish();
        assert_clean(
            &space,
            &[b"previous object", &object],
            "killed while placing",
        );
    });
}

/// A compiler that, asked to preprocess, starts a grandchild and waits for it.  It notes the ids of both.
fn slow_preprocessor(space: &Space) -> String {
    let cc = space.root().join("home/gcc");
    let text = format!(
        "case \" $* \" in *' -E '*) sleep 1000 & echo $$ $! > {0}.tmp; mv {0}.tmp {0}; wait ;; esac\nexec /usr/bin/gcc \"$@\"",
        space.root().join("home/pids").display()
    );
    fake_cc(&cc, &text);
    cc.display().to_string()
}

#[test]
fn a_signal_ends_the_preprocessor_and_its_children() {
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2)] {
        let server = LyingServer::start(|talk| {
            talk.stall();
        });
        let space = Space::new(SOURCES).hosts(&server.host());
        let cc = slow_preprocessor(&space);
        space.renew();
        let mut running = start(&mut with_default_signals(
            &space.command(&format!("{cc} -c a.c")),
        ));
        let pids = space.root().join("home/pids");
        until("the preprocessor runs", || pids.exists());
        running.signal(signal);
        // Looked at before the harness clears the group away.
        let noted = std::fs::read_to_string(&pids).unwrap();
        until("launcher and children are gone", || {
            running.has_ended() && !noted.split_whitespace().any(is_alive)
        });
        assert_eq!(running.finish().status.signal(), Some(number));
        until("the connection is closed", || server.open() == 0);
        assert_clean(&space, &[b""], "ended while preprocessing");
        assert!(snapshot(&space.dir().join("state")).is_empty());
    }
}

#[test]
fn a_signal_reaches_a_compiler_that_runs_here() {
    let space = Space::new(SOURCES).hosts("localhost");
    let cc = space.root().join("home/gcc");
    let pid = space.root().join("home/pid");
    fake_cc(
        &cc,
        &format!(
            "echo $$ > {0}.tmp; mv {0}.tmp {0}; exec sleep 1000",
            pid.display()
        ),
    );
    space.renew();
    for command in ["-c a.c", "-E a.c", "a.c -o a"] {
        let _ = std::fs::remove_file(&pid);
        let mut running = start(&mut with_default_signals(
            &space.command(&format!("{} {command}", cc.display())),
        ));
        until("the compiler runs", || pid.exists());
        let noted = std::fs::read_to_string(&pid).unwrap();
        running.signal(Signal::TERM);
        until("launcher and compiler are gone", || {
            running.has_ended() && !is_alive(noted.trim())
        });
        assert_eq!(running.finish().status.signal(), Some(15), "{command}");
    }
}

/// What only asks for the local compiler becomes it: same process, no launcher left behind.
#[test]
fn a_local_command_takes_the_launchers_place() {
    let space = Space::new(SOURCES).hosts("127.0.0.1:1");
    let cc = space.root().join("home/gcc");
    fake_cc(&cc, "echo $$");
    space.renew();
    for command in ["-E a.c", "-S a.c -march=native", "a.c -o a"] {
        let running = start(&mut with_default_signals(
            &space.command(&format!("{} {command}", cc.display())),
        ));
        let pid = running.pid();
        assert_eq!(running.finish().out().trim(), pid.to_string(), "{command}");
    }
}

#[test]
fn signals_that_were_ignored_stay_ignored() {
    // nohup and build tools rely on it.
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    space
        .shell("trap '' HUP; $L gcc -c a.c")
        .assert_same_as_local()
        .assert_remote();
    let cc = space.root().join("home/gcc");
    fake_cc(&cc, "grep -E 'SigBlk|SigIgn' /proc/self/status");
    for command in ["-E a.c", "-c a.c"] {
        space
            .shell(&format!("trap '' HUP; $L {} {command}", cc.display()))
            .assert_same_as_local();
        space
            .compile(&format!("{} {command}", cc.display()))
            .assert_same_as_local();
    }
}

/// 200 launchers at once, and their only daemon is killed among them.
#[test]
fn two_hundred_launchers_while_the_daemon_is_killed() {
    let mut farm = Farm::ours(1);
    let space = farm.space(SOURCES).hosts(&farm.hosts("/20"));
    let expected = space.local("gcc -c a.c").bytes("a.o").to_vec();
    space.renew();
    let mut running: Vec<Running> = (0..200)
        .map(|number| {
            start(&mut with_default_signals(
                &space.command(&format!("gcc -c a.c -o {number}.o")),
            ))
        })
        .collect();
    until("some jobs came back", || {
        space
            .rows()
            .iter()
            .filter(|row| row.place == "remote")
            .count()
            >= 10
    });
    farm.daemons[0].signal(Signal::KILL);
    until("all have ended", || {
        running.iter_mut().all(Running::has_ended)
    });
    for (number, one) in running.into_iter().enumerate() {
        let ran = one.finish();
        assert_eq!(
            (ran.code(), ran.out(), ran.err()),
            (0, String::new(), String::new()),
            "launcher {number}"
        );
        let object = std::fs::read(space.work().join(format!("{number}.o"))).unwrap();
        assert!(
            object == expected,
            "the object of launcher {number} differs"
        );
    }
    let rows = space.rows();
    let remote = rows.iter().filter(|row| row.place == "remote").count();
    assert!(
        rows.len() >= 200 && remote < 200,
        "{} rows, {remote} of them remote",
        rows.len()
    );
    let left = snapshot(&space.root().join("tmp"));
    assert!(left.is_empty(), "left in TMPDIR: {left:?}");
    let names = snapshot(&space.work());
    assert_eq!(names.len(), 200 + SOURCES.len(), "{names:?}");
}

/// The daemon is killed while it compiles: the job ends here.
#[test]
fn the_daemon_is_killed_while_it_compiles() {
    let mut farm = Farm::ours(2);
    let lines: String = (0..3000)
        .map(|number| {
            format!("int f{number}(int a) {{ return a * {number} + (a << 3) / (a | 1); }}\n")
        })
        .collect();
    let space = Space::new([("a.c", lines)]).hosts(&farm.hosts(""));
    let expected = space.local("gcc -O2 -c a.c").bytes("a.o").to_vec();
    space.renew();
    let running = start(&mut with_default_signals(&space.command("gcc -O2 -c a.c")));
    let tmp = [farm.daemons[0].tmp(), farm.daemons[1].tmp()];
    until("a daemon holds the job", || {
        tmp.iter().any(|folder| !snapshot(folder).is_empty()) || space.journal().exists()
    });
    for daemon in &mut farm.daemons {
        daemon.signal(Signal::KILL);
    }
    let ran = running.finish();
    assert_eq!(
        (ran.code(), ran.out(), ran.err()),
        (0, String::new(), String::new())
    );
    assert!(std::fs::read(space.work().join("a.o")).unwrap() == expected);
}
