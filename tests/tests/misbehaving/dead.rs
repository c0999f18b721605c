//! Hosts that die, freeze or fall silent while they have a job.

use tests::{BlackHole, LyingServer, Make, Puppet, Reply, until};

use super::{LOST, Scene, assert_moved, names};

const BOTH: [Make; 2] = [Make::Ours, Make::Stock];

fn two(make: Make) -> [Puppet; 2] {
    [(); 2].map(|()| Puppet::start(make, &[], "sleep 0.2"))
}

#[test]
fn killed_while_it_compiles() {
    for make in BOTH {
        let hosts = two(make);
        let scene = Scene::new(&names(&hosts, "/1"));
        let (mut dies, lives, job) = scene.start_held(hosts);
        dies.daemon.kill();
        let row = scene.done(job);
        assert_moved(&row, &dies, &lives, &LOST);
        assert_eq!(row.attempts.len(), 2, "{row:?}");
        dies.release();
        dies.daemon.revive();
        scene.until_jobs_go_to(&dies);
    }
}

#[test]
fn killed_and_back_at_once() {
    for make in BOTH {
        let mut only = Puppet::start(make, &[], "");
        let scene = Scene::new(&names([&only], "/1"));
        only.hold();
        let job = scene.start();
        until("the host has the job", || !only.at_work().is_empty());
        only.daemon.kill();
        only.release();
        only.daemon.revive();
        let row = scene.done(job);
        let error = row.attempts[0].error.as_deref();
        assert!(error.is_some_and(|error| LOST.contains(&error)), "{row:?}");
        scene.until_jobs_go_to(&only);
    }
}

#[test]
fn frozen_while_it_compiles() {
    let hosts = two(Make::Ours);
    let scene = Scene::new(&names(&hosts, "/1"));
    let (freezes, lives, job) = scene.start_held(hosts);
    freezes.daemon.freeze();
    let row = scene.done(job);
    assert_moved(&row, &freezes, &lives, &["no-sign-of-life", "outrun"]);
    freezes.daemon.thaw();
    until("the compile that nobody waits for has been ended", || {
        freezes.at_work().is_empty()
    });
    freezes.release();
    scene.until_jobs_go_to(&freezes);
}

/// Stock's cannot be asked for a sign of life; how long such jobs take is known.
#[test]
fn frozen_as_stock_freezes() {
    let hosts = two(Make::Stock);
    let scene = Scene::new(&names(&hosts, "/1"));
    scene.learn();
    let (freezes, lives, job) = scene.start_held(hosts);
    freezes.daemon.freeze();
    let row = scene.done(job);
    assert_moved(&row, &freezes, &lives, &["outrun"]);
    assert!(row.attempts.iter().any(|attempt| attempt.hedge), "{row:?}");
    freezes.release();
    freezes.daemon.thaw();
    scene.until_jobs_go_to(&freezes);
}

/// All hosts freeze with the job, and cannot be asked: how long such jobs take is the deadline, and this machine is left.
#[test]
fn all_freeze_as_stock_freezes() {
    for hedge in ["1", "0"] {
        let hosts = two(Make::Stock);
        let scene = Scene::with(&names(&hosts, "/1"), |space| {
            space
                .client_env("DISTCC_LAUNCH_LOCAL", "0")
                .client_env("DISTCC_LAUNCH_HEDGE", hedge)
        });
        scene.learn();
        hosts.iter().for_each(Puppet::hold);
        let job = scene.start();
        until("one has it", || {
            hosts.iter().any(|host| !host.at_work().is_empty())
        });
        hosts.iter().for_each(|host| host.daemon.freeze());
        let row = scene.done(job);
        assert_eq!(
            (row.place.as_str(), row.reason.as_deref(), row.fell_back),
            ("local", Some("hosts-failed"), true),
            "{row:?}"
        );
        let errors = row.attempts.iter().map(|attempt| attempt.error.as_deref());
        let errors: Vec<_> = errors.flatten().collect();
        // The copy may have been refused a word already, where nothing was known of that host.
        let known = ["receive-timeout", "hello-timeout"];
        assert_eq!(errors.len(), 2, "{row:?}");
        assert!(errors.iter().all(|error| known.contains(error)), "{row:?}");
        assert!(errors.contains(&"receive-timeout"), "{row:?}");
        for host in &hosts {
            host.release();
            host.daemon.thaw();
        }
        scene.until_jobs_go_to(&hosts[0]);
    }
}

#[test]
fn half_of_the_reply_and_then_silence() {
    let object = Scene::new(&[]).expected;
    let reply = Reply {
        version: 1,
        object,
        ..Reply::default()
    }
    .encode();
    for cut in [1, 12, 30, reply.len() / 2, reply.len() - 1] {
        let part = reply[..cut].to_vec();
        let stalls = LyingServer::start(move |talk| {
            if talk.request().is_some() {
                talk.send(&part);
                talk.stall();
            }
        });
        let lives = Puppet::start(Make::Ours, &[], "");
        let scene = Scene::new(&[stalls.host() + "/1", lives.host() + "/1"]);
        let row = scene.job();
        let tries = row.attempts.iter();
        let tries: Vec<_> = tries
            .map(|attempt| (attempt.host.clone(), attempt.error.as_deref()))
            .collect();
        let stalled = (stalls.host(), Some("receive-stalled"));
        assert_eq!(
            tries,
            [stalled, (lives.host(), None)],
            "after {cut} bytes: {row:?}"
        );
        until("the connection is closed", || stalls.open() == 0);
    }
}

/// Another host takes the job while the first still does not answer the connection.
#[test]
fn a_connection_that_is_never_answered() {
    let nobody = BlackHole::here();
    let address = nobody.address;
    let lives = Puppet::start(Make::Ours, &[], "");
    let scene = Scene::new(&[format!("{address}/1"), lives.host() + "/1"]);
    let row = scene.job();
    assert_eq!(row.host, Some(lives.host()), "{row:?}");
    let name = address.to_string();
    let first = row.attempts.iter().find(|attempt| attempt.host == name);
    let error = first.and_then(|attempt| attempt.error.as_deref());
    assert!(
        error.is_some_and(|error| ["outrun", "connect-timeout"].contains(&error)),
        "{row:?}"
    );
    let noted = format!("lock/backoff_tcp_{}_{}_0", address.ip(), address.port());
    assert!(scene.space.dir().join(noted).exists(), "it is not avoided");
}

/// Two hosts have died with the job; it is compiled here.
#[test]
fn nobody_is_left() {
    let hosts = two(Make::Ours);
    let scene = Scene::new(&names(&hosts, "/1"));
    scene.learn();
    let (mut first, mut second, job) = scene.start_held(hosts);
    second.hold();
    first.daemon.kill();
    until("the other host has it", || second.begun() > 0);
    second.daemon.kill();
    let row = scene.done(job);
    assert_eq!(
        (row.place.as_str(), row.reason.as_deref(), row.fell_back),
        ("local", Some("hosts-failed"), true),
        "{row:?}"
    );
    assert_eq!(row.attempts.len(), 2, "{row:?}");
    let mut errors = row.attempts.iter().map(|attempt| attempt.error.as_deref());
    assert!(
        errors.all(|error| error.is_some_and(|error| LOST.contains(&error))),
        "{row:?}"
    );
}
