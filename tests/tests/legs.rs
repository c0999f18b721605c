//! A host that freezes, stalls, does not answer or is cut off in the middle of a job: another does the job.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::{
    Attempt, BlackHole, Farm, LyingServer, Make, Network, Reply, Running, Space, address, run,
    start, until,
};

const SOURCE: [(&str, &str); 1] = [("a.c", "int answer(void) { return 42; }\n")];
const COMMAND: &str = "gcc -c a.c";

/// Host, error and whether it was a second try beside another, of each attempt.
fn attempts(attempts: &[Attempt]) -> Vec<(&str, Option<&str>, bool)> {
    attempts
        .iter()
        .map(|one| (one.host.as_str(), one.error.as_deref(), one.hedge))
        .collect()
}

#[test]
fn who_takes_the_job_and_says_nothing_is_left_in_time() {
    let frozen = LyingServer::start(|talk| {
        talk.request();
        talk.stall();
    });
    let farm = Farm::ours(1);
    let (bad, good) = (frozen.host(), farm.hosts(""));
    let space = Space::new(SOURCE)
        .hosts(&format!("{bad} {good}"))
        .client_env("DISTCC_IO_TIMEOUT", "1");
    let compared = space.compile(COMMAND);
    compared.assert_same_as_local().assert_remote();
    assert_eq!(
        attempts(&compared.row().attempts),
        [
            (&*bad, Some("receive-timeout"), false),
            (&*good, None, false)
        ]
    );
    until("the connection is closed", || frozen.open() == 0);
}

#[test]
fn a_reply_that_stops_half_way_is_given_up() {
    let object = Space::new(SOURCE).local(COMMAND).bytes("a.o").to_vec();
    let reply = Reply {
        version: 1,
        object,
        ..Reply::default()
    };
    let bytes = reply.encode();
    for cut in [1, 30, bytes.len() - 1] {
        let part = bytes[..cut].to_vec();
        let stalled = LyingServer::start(move |talk| {
            talk.request();
            talk.send(&part);
            talk.stall();
        });
        let farm = Farm::ours(1);
        let (bad, good) = (stalled.host(), farm.hosts(""));
        let space = Space::new(SOURCE).hosts(&format!("{bad} {good}"));
        let compared = space.compile(COMMAND);
        compared.assert_same_as_local().assert_remote();
        assert_eq!(
            attempts(&compared.row().attempts),
            [
                (&*bad, Some("receive-stalled"), false),
                (&*good, None, false)
            ],
            "after {cut} bytes"
        );
    }
}

#[test]
fn a_host_that_is_not_reached_gets_another_beside_it() {
    let hole = BlackHole::here();
    let farm = Farm::ours(1);
    let (bad, good) = (hole.address.to_string(), farm.hosts(""));
    for list in [format!("{bad} {good}"), format!("{bad} localhost {good}")] {
        let compared = Space::new(SOURCE).hosts(&list).compile(COMMAND);
        compared.assert_same_as_local().assert_remote();
        assert_eq!(
            attempts(&compared.row().attempts),
            [
                (&*bad, Some("connect-timeout"), false),
                (&*good, None, true)
            ]
        );
    }
    // Alone it has its time, and then it is this machine's turn.
    let compared = Space::new(SOURCE).hosts(&bad).compile(COMMAND);
    compared.assert_same_as_local().assert_fell_back();
    assert_eq!(
        attempts(&compared.row().attempts),
        [(&*bad, Some("connect-timeout"), false)]
    );
}

#[test]
fn who_does_not_say_whose_daemon_it_is_is_left() {
    let silent = LyingServer::greeting(tests::Greeting::Stalls, |talk| {
        talk.stall();
    });
    let farm = Farm::ours(1);
    let (bad, good) = (silent.host(), farm.hosts(""));
    let space = Space::new(SOURCE).hosts(&format!("{bad} {good}"));
    let compared = space.compile(COMMAND);
    compared.assert_same_as_local().assert_remote();
    let mut attempts = attempts(&compared.row().attempts);
    // Either may be over first.
    attempts.sort_by_key(|(host, ..)| *host != good);
    assert_eq!(attempts[0].0, good, "{attempts:?}");
    assert!(
        matches!(attempts[1].1, Some("hello-timeout" | "outrun")),
        "{attempts:?}"
    );
    assert_eq!(silent.accepted(), 0, "it was sent no job");
}

#[test]
fn one_dead_address_of_a_name_does_not_matter() {
    let farm = Farm::ours(1);
    let port = farm.daemons[0].port();
    // The same port of another address of this machine.
    let hole = BlackHole::at((Ipv4Addr::new(127, 9, 9, 9), port));
    let dead = hole.address.ip();
    for addresses in [
        format!("{dead}\n127.0.0.1\n"),
        format!("127.0.0.1\n{dead}\n"),
        format!("{dead}\n127.9.9.8\n127.0.0.1\n"),
    ] {
        let name = format!("two-addresses.example:{port}");
        let space = Space::new(SOURCE).hosts(&name);
        let folder = space.dir().join("addresses");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("two-addresses.example"), &addresses).unwrap();
        let compared = space.compile(COMMAND);
        compared.assert_same_as_local().assert_remote();
        assert_eq!(
            attempts(&compared.row().attempts),
            [(&*name, None, false)],
            "{addresses}"
        );
    }
}

/// From now on no packet comes through, and nobody is told.
fn cut(network: &Network) {
    network.cable(0, false);
}

/// From now on the launchers' machine has no such network.
fn pull(network: &Network) {
    network.interface(0, false);
}

/// One of two machines.
#[derive(Debug, Clone, Copy)]
enum Side {
    Near,
    Far,
}

/// A daemon on one of them.
fn daemon(network: &Network, machine: Side, make: Make, folder: &Path) -> Running {
    let (program, more) = match make {
        Make::Ours => (tests::launcher_daemon(), &["--sandbox=off"][..]),
        Make::Stock => (tests::distccd(), &["--enable-tcp-insecure"][..]),
    };
    let address = match machine {
        Side::Near => "127.0.0.1".to_owned(),
        Side::Far => address(0),
    };
    let mut command = Command::new(program);
    command
        .args(["--daemon", "--no-detach", "--jobs", "4"])
        .args(["--allow", "10.77.0.0/24", "--allow", "127.0.0.1"])
        .args(["--listen", &address, "--log-file"])
        .arg(folder.join(format!("{machine:?}.log")))
        .args(more)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TMPDIR", folder);
    let mut running = start(&mut match machine {
        Side::Near => network.here(&command),
        Side::Far => network.there(0, &command),
    });
    let mut look = Command::new("bash");
    look.args(["-c", &format!("exec 3<>/dev/tcp/{address}/3632")]);
    until("the daemon listens", || {
        assert!(!running.has_ended(), "the daemon ended");
        run(&mut network.here(&look)).code() == 0
    });
    running
}

/// What the launcher of process `pid` is doing, as monitors see it.
fn phase(space: &Space, pid: u32) -> Option<u32> {
    let state = std::fs::read(space.dir().join(format!("state/binstate_{pid}"))).ok()?;
    let phase = state.get(284..288)?.try_into().ok()?;
    Some(u32::from_ne_bytes(phase))
}

const SEND: u32 = 4;
const COMPILE: u32 = 5;

/// A far host and a near one, the far one's daemon stopped in the middle of a job; then `happens`.
fn in_the_middle(
    make: Make,
    source: &str,
    phase_then: u32,
    happens: impl Fn(&Network, &mut Running),
) -> Vec<Attempt> {
    let network = Network::new(1);
    let folder = tempfile::tempdir().unwrap();
    // Daemons are no longer root once they listen.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut far = daemon(&network, Side::Far, make, folder.path());
    let _near = daemon(&network, Side::Near, Make::Ours, folder.path());
    // A second copy would hide what becomes of the first.
    let space = Space::new([("a.c", source)])
        .hosts(&format!("{} 127.0.0.1", address(0)))
        .client_env("DISTCC_LAUNCH_HEDGE", "0");
    let expected = space.local(COMMAND).bytes("a.o").to_vec();
    space.renew();
    let ran = run(&mut network.here(&space.command(COMMAND)));
    assert_eq!((ran.code(), ran.err()), (0, String::new()));
    let rows = space.rows();
    assert_eq!(rows[0].host.as_deref(), Some("10.77.0.2:3632"), "{rows:?}");

    far.signal(Signal::STOP);
    space.renew();
    let running = start(&mut network.here(&space.command(COMMAND)));
    until("the far host has the job", || {
        phase(&space, running.pid()) == Some(phase_then)
    });
    happens(&network, &mut far);
    let ran = running.finish();
    far.signal(Signal::CONT);
    assert_eq!((ran.code(), ran.err()), (0, String::new()));
    assert!(std::fs::read(space.work().join("a.o")).unwrap() == expected);
    let row = space.rows().pop().expect("a row");
    assert_eq!(row.place, "remote", "{row:?}");
    row.attempts
}

/// The far host was left for `error`, or, where it can be asked, for giving no sign of life before that showed; then the near one did
/// the job.
fn assert_left(make: Make, made: &[Attempt], error: &str) {
    let [(far, left, false), (near, None, false)] = attempts(made)[..] else {
        panic!("{made:?}");
    };
    assert_eq!((far, near), ("10.77.0.2:3632", "127.0.0.1:3632"));
    let asked = make == Make::Ours && left == Some("no-sign-of-life");
    assert!(asked || left == Some(error), "{made:?}");
}

/// More than the kernels of both ends take together, and nothing to compile.
fn large() -> String {
    let long = "x".repeat(60_000);
    (0..200)
        .map(|number| format!("enum {{ long{number} = sizeof \"{long}\" }};\n"))
        .collect()
}

#[test]
fn a_network_that_is_cut_in_the_middle_of_a_job() {
    for (make, how) in [
        (Make::Ours, cut as fn(&Network)),
        (Make::Ours, pull),
        (Make::Stock, cut),
    ] {
        let attempts_made = in_the_middle(make, SOURCE[0].1, COMPILE, |network, _| how(network));
        assert_left(make, &attempts_made, "network-lost");
    }
}

#[test]
fn a_network_that_is_cut_while_the_job_goes_out() {
    let attempts_made = in_the_middle(Make::Stock, &large(), SEND, |network, _| cut(network));
    assert_left(Make::Stock, &attempts_made, "network-lost");
}

#[test]
fn who_freezes_while_the_job_goes_out() {
    let attempts_made = in_the_middle(Make::Ours, &large(), SEND, |_, _| ());
    assert_left(Make::Ours, &attempts_made, "send-timeout");
}

/// Stock daemons let connections wait, unread, while all their children are busy: that is no reason to leave them.
#[test]
fn a_stock_daemon_may_take_its_time_to_read() {
    let attempts_made = in_the_middle(Make::Stock, &large(), SEND, |_, far| {
        let stopped = Instant::now();
        until("longer than any of our limits has passed", || {
            stopped.elapsed() > Duration::from_secs(5)
        });
        far.signal(Signal::CONT);
    });
    assert_eq!(attempts(&attempts_made), [("10.77.0.2:3632", None, false)]);
}
