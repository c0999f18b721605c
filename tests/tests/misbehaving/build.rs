//! A whole build on a farm where everything goes wrong all the time.

use std::{
    fs,
    process::Command,
    sync::mpsc::{RecvTimeoutError, channel},
    time::Duration,
};

use tests::{
    Daemon, Damage, Make, NoisyLine, Row, Space, launcher_daemon, long, many_side_by_side, run,
};

use super::LOST;

const KILLED_EVERY: Duration = Duration::from_secs(3);

fn name(number: usize) -> String {
    format!("f{number}.c")
}

/// A space with so many sources, and what a local compile makes of each.
fn project(jobs: usize) -> (Space, Vec<Vec<u8>>) {
    let sources = (0..jobs).map(|number| {
        let text =
            format!("int f{number}(int n) {{ return n * {number} + sizeof \"f{number}\"; }}\n");
        (name(number), text)
    });
    let space = Space::new(sources);
    let all: Vec<String> = (0..jobs).map(name).collect();
    let local = space.local(&format!("gcc -O1 -c {}", all.join(" ")));
    let objects = (0..jobs).map(|number| local.bytes(&format!("f{number}.o")).to_vec());
    (space, objects.collect())
}

/// Kills the daemon and starts it again, over and over, while `build` goes on.  Gives how often.
fn while_dying(daemon: &mut Daemon, build: impl FnOnce()) -> usize {
    let (over, build_is_over) = channel::<()>();
    std::thread::scope(|scope| {
        let killer = scope.spawn(move || {
            let mut kills = 0;
            while build_is_over.recv_timeout(KILLED_EVERY) == Err(RecvTimeoutError::Timeout) {
                daemon.kill();
                let pause = build_is_over.recv_timeout(KILLED_EVERY / 6);
                daemon.revive();
                kills += 1;
                if pause != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            kills
        });
        build();
        drop(over);
        killer.join().unwrap()
    })
}

/// A host whose daemon knows a key: on its line a change of any byte is noticed.  What is no secret may be changed anywhere.
fn with_key(space: &Space, folder: &str) -> Daemon {
    let keys = format!("{folder}/daemon");
    let made = run(Command::new(launcher_daemon()).args([
        "keygen",
        "--keys",
        &keys,
        "--output",
        &format!("{}/key", space.dir().display()),
        "tests",
    ]));
    assert_eq!(made.code(), 0, "{made:?}");
    Daemon::start(Make::Ours, "127.0.0.1", &["--keys", &keys])
}

#[test]
fn every_object_is_right() {
    let (jobs, seldom) = if long() { (1000, 100) } else { (200, 50) };
    let (space, objects) = project(jobs);
    let folder = tempfile::tempdir().unwrap();
    let keyed = with_key(&space, &folder.path().display().to_string());
    let stock = Daemon::start(Make::Stock, "127.0.0.1", &[]);
    let mut dies = Daemon::start(Make::Ours, "127.0.0.1", &[]);
    // The first is asked whose it is before it gets a job.
    let is_spoiled = move |number: usize| number % seldom == seldom / 2;
    let changed = NoisyLine::to(keyed.host(), move |number| {
        is_spoiled(number).then_some(Damage::Changed(60 + number * 7 % 900))
    });
    // Without a key there is no sum over the object, so what is spoiled here is the frame around it.
    let cut = NoisyLine::to(stock.host(), move |number| {
        is_spoiled(number).then_some(match number / seldom % 2 {
            0 => Damage::Cut(number * 7 % 600),
            _ => Damage::Changed(number % 12),
        })
    });
    let list = format!(
        "{}/4,key {}/4 {}/4",
        changed.host(),
        cut.host(),
        dies.host()
    );
    let space = space.hosts(&list).client_env("DISTCC_LAUNCH_LOCAL", "0");
    space.renew();
    let kills = while_dying(&mut dies, || {
        many_side_by_side(16, 0..jobs, |number| {
            let ran = space.run(&format!("gcc -O1 -c {}", name(number)));
            let said = (ran.code(), ran.out(), ran.err());
            assert_eq!(said, (0, String::new(), String::new()), "{number}");
            let object = fs::read(space.work().join(format!("f{number}.o"))).unwrap();
            assert!(object == objects[number], "{number}");
        });
    });
    assert_explained(
        &space.rows(),
        jobs,
        changed.spoiled() + cut.spoiled() + kills,
    );
}

/// Each job has its row, and each try of it that failed its cause.
fn assert_explained(rows: &[Row], jobs: usize, faults: usize) {
    assert_eq!(rows.len(), jobs);
    let elsewhere = rows.iter().filter(|row| row.place == "remote").count();
    assert!(elsewhere > jobs / 2, "{elsewhere} of {jobs} went out");
    let causes = rows.iter().flat_map(|row| &row.attempts);
    let causes: Vec<&str> = causes
        .filter_map(|attempt| attempt.error.as_deref())
        .collect();
    assert!(
        faults == 0 || !causes.is_empty(),
        "{faults} faults and no cause"
    );
    let known = [
        "outrun",
        "protocol",
        "connect-timeout",
        "connect-failed",
        "hello-timeout",
        "receive-timeout",
        "key-forged",
        "key-refused",
        "key-timeout",
        "key-failed",
        "killed-there",
        "failed-there",
    ];
    let strange: Vec<_> = causes
        .iter()
        .filter(|cause| !known.contains(cause) && !LOST.contains(cause))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    for row in rows.iter().filter(|row| row.place == "local") {
        assert!(row.reason.is_some(), "{row:?}");
    }
}
