//! Names of hosts that nobody knows the addresses of, or only after long.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tests::{Make, Puppet, Row, Space, is_alive, script, until};

use super::Scene;

const NAME: &str = "slow.example";

/// A name server that does not answer, and the file in which those who ask it note themselves.
fn silent(space: Space) -> Space {
    let home = space.root().join("home");
    let note = asked(&space);
    let text = format!("echo $$ >> {}; exec sleep 1000", note.display());
    script(&home.join("getent"), &text);
    let path = format!("{}:/usr/bin:/bin", home.display());
    space
        .client_env("DISTCC_LAUNCH_LOCAL", "0")
        .client_env("PATH", path)
}

fn asked(space: &Space) -> PathBuf {
    space.root().join("home/asked")
}

fn tries(row: &Row) -> Vec<(&str, Option<&str>, bool)> {
    let tries = row.attempts.iter();
    tries
        .map(|one| (one.host.as_str(), one.error.as_deref(), one.hedge))
        .collect()
}

/// Whoever was asked has ended too.
fn assert_nobody_asks(scene: &Scene<'_>) {
    let pids = fs::read_to_string(asked(&scene.space)).unwrap();
    assert!(!pids.is_empty());
    until("who was asked ends", || !pids.lines().any(is_alive));
}

#[test]
fn another_host_takes_the_job_meanwhile() {
    let lives = Puppet::start(Make::Ours, &[], "");
    let (slow, good) = (format!("{NAME}:1"), lives.host());
    let scene = Scene::with(&[slow.clone() + "/1", good.clone() + "/1"], silent);
    let row = scene.job();
    assert_eq!(
        tries(&row),
        [
            (&*slow, Some("connect-timeout"), false),
            (&*good, None, true)
        ],
        "{row:?}"
    );
    assert_nobody_asks(&scene);
}

#[test]
fn alone_it_has_its_time() {
    let slow = format!("{NAME}:1");
    let scene = Scene::with(&[slow.clone() + "/1"], silent);
    let row = scene.job();
    assert_eq!(row.place, "local", "{row:?}");
    assert_eq!(tries(&row), [(&*slow, Some("no-address"), false)]);
    assert_nobody_asks(&scene);
}

#[test]
fn what_was_known_before_is_used() {
    let lives = Puppet::start(Make::Ours, &[], "");
    let host = lives.host();
    let (address, port) = host.split_once(':').unwrap();
    let name = format!("{NAME}:{port}");
    for age in [600, 100_000] {
        let scene = Scene::with(&[name.clone() + "/1"], silent);
        let known = scene.space.dir().join("addresses").join(NAME);
        fs::create_dir_all(known.parent().unwrap()).unwrap();
        fs::write(&known, format!("{address}\n")).unwrap();
        let then = SystemTime::now() - Duration::from_secs(age);
        let file = fs::File::options().append(true).open(&known).unwrap();
        file.set_modified(then).unwrap();
        let row = scene.job();
        assert_eq!(tries(&row), [(&*name, None, false)], "{age}: {row:?}");
        assert_nobody_asks(&scene);
    }
}

/// The launcher is told to end while it waits.
#[test]
fn who_is_asked_ends_with_the_launcher() {
    let scene = Scene::with(&[format!("{NAME}:1/1")], silent);
    let mut job = scene.start();
    let note = asked(&scene.space);
    until("somebody is asked", || note.exists());
    job.running.signal(rustix::process::Signal::TERM);
    until("the launcher ends", || job.running.has_ended());
    assert_nobody_asks(&scene);
}

/// With a period of zero nobody is avoided; even so a host is tried once.
#[test]
fn a_host_that_stands_in_the_list_twice_is_tried_once() {
    let host = "127.0.0.1:1".to_owned();
    let list = [host.clone() + "/1", host.clone() + "/1,lzo"];
    let scene = Scene::with(&list, |space| {
        space.client_env("DISTCC_BACKOFF_PERIOD", "0")
    });
    let row = scene.job();
    assert_eq!(
        tries(&row),
        [(&*host, Some("connect-refused"), false)],
        "{row:?}"
    );
}
