//! What launchers would note cannot be noted: `$DISTCC_DIR` is full, or somebody else's.

use std::{
    fs,
    time::{Duration, Instant},
};

use tests::{Make, Puppet, until};

use super::{Scene, assert_moved, names};

/// As on a full disk: hosts are asked for signs of life no oftener than else.
#[test]
fn signs_of_life_that_cannot_be_noted() {
    let host = Puppet::start(Make::Ours, &[], "");
    let scene = Scene::new(&names([&host], "/1"));
    fs::create_dir_all(scene.space.dir().join("lock/paces")).unwrap();
    host.hold();
    let job = scene.start();
    until("the host has the job", || !host.at_work().is_empty());
    let begun = Instant::now();
    let before = asked(&host);
    // Not a wait for something: the time in which it could ask too often.
    std::thread::sleep(Duration::from_millis(2500));
    let since = asked(&host) - before;
    let seconds = begun.elapsed().as_secs_f64();
    host.release();
    let row = scene.done(job);
    assert_eq!(row.attempts.len(), 1, "{row:?}");
    assert!(
        since > 0 && (since as f64) < 4.0 * seconds,
        "asked {since} times in {seconds} s"
    );
}

/// How often its daemon was asked whether it is there.
fn asked(host: &Puppet) -> usize {
    host.daemon.log().matches(" says hello").count()
}

#[test]
fn a_frozen_host_is_noticed_where_that_cannot_be_noted() {
    let hosts = [(); 2].map(|()| Puppet::start(Make::Ours, &[], ""));
    let scene = Scene::new(&names(&hosts, "/1"));
    fs::create_dir_all(scene.space.dir().join("lock/paces")).unwrap();
    let (freezes, lives, job) = scene.start_held(hosts);
    freezes.daemon.freeze();
    let row = scene.done(job);
    assert_moved(&row, &freezes, &lives, &["no-sign-of-life"]);
    freezes.daemon.thaw();
    freezes.release();
}

/// No host may be tried, and no slot of this machine can be had: the job runs without one.
#[test]
fn no_slot_of_this_machine_can_be_had() {
    let scene = Scene::with(&["127.0.0.1:1/1".to_owned()], |space| {
        space.client_env("DISTCC_BACKOFF_PERIOD", "100000")
    });
    let lock = scene.space.dir().join("lock");
    fs::create_dir_all(&lock).unwrap();
    fs::write(lock.join("backoff_tcp_127.0.0.1_1_0"), "x").unwrap();
    for number in 0..1024 {
        fs::create_dir(lock.join(format!("cpu_localhost_{number}"))).unwrap();
    }
    let row = scene.job();
    assert_eq!(
        (row.place.as_str(), row.reason.as_deref()),
        ("local", Some("hosts-avoided")),
        "{row:?}"
    );
}
