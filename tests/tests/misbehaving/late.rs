//! Jobs that take far longer than their like: a second copy elsewhere, whose result counts.

use tests::{BlackHole, LyingServer, Make, Puppet, Reply, Row, Space, until};

use super::{Scene, names};

fn two(make: Make) -> [Puppet; 2] {
    [(); 2].map(|()| Puppet::start(make, &[], "sleep 0.2"))
}

#[test]
fn a_late_job_is_done_elsewhere_and_the_first_compile_ends() {
    for make in [Make::Ours, Make::Stock] {
        let hosts = two(make);
        let scene = Scene::new(&names(&hosts, "/2"));
        scene.learn();
        let (slow, other, job) = scene.start_held(hosts);
        let row = scene.done(job);
        assert_eq!(row.host, Some(other.host()), "{row:?}");
        let tries: Vec<_> = row
            .attempts
            .iter()
            .map(|attempt| {
                let error = attempt.error.as_deref();
                (attempt.host.clone(), error, attempt.hedge)
            })
            .collect();
        // In the order of their ends.
        let outrun = (slow.host(), Some("outrun"), false);
        assert_eq!(tries, [(other.host(), None, true), outrun], "{row:?}");
        // Nothing but the closed connection tells that host; its compilers are still held.
        until("the compile that nobody waits for has ended", || {
            slow.at_work().is_empty()
        });
    }
}

#[test]
fn the_first_may_still_win() {
    let hosts = two(Make::Ours);
    let scene = Scene::new(&names(&hosts, "/1"));
    scene.learn();
    let (first, second, job) = scene.start_held(hosts);
    second.hold();
    until("the other has it too", || !second.at_work().is_empty());
    first.release();
    let row = scene.done(job);
    assert_eq!(row.host, Some(first.host()), "{row:?}");
    let copy = row.attempts.iter().find(|attempt| attempt.hedge).unwrap();
    assert_eq!(
        (copy.host.clone(), copy.error.as_deref()),
        (second.host(), Some("outrun")),
        "{row:?}"
    );
    until("the copy has ended", || second.at_work().is_empty());
}

/// The copy's host does not take the connection, and the first is done before that is a fault.
#[test]
fn who_had_no_time_to_connect_has_not_failed() {
    let nobody = BlackHole::here();
    let address = nobody.address;
    let first = Puppet::start(Make::Ours, &[], "sleep 0.2");
    let scene = Scene::new(&[first.host() + "/2", format!("{address}/1")]);
    scene.learn();
    first.hold();
    let job = scene.start();
    let slot = format!("lock/cpu_tcp_{}_{}_0", address.ip(), address.port());
    let slot = scene.space.dir().join(slot);
    let before = slot.metadata().map_or(0, |data| data.len());
    until("the copy is on its way", || {
        slot.metadata().is_ok_and(|data| data.len() > before)
    });
    first.release();
    let row = scene.done(job);
    let copy = row.attempts.iter().find(|attempt| attempt.hedge).unwrap();
    let (ms, error) = (copy.ms, copy.error.as_deref());
    assert_eq!(error == Some("outrun"), ms < 250.0, "{row:?}");
    assert_eq!(error == Some("connect-timeout"), ms >= 250.0, "{row:?}");
}

/// The copy's host answers first, with another object, and is the one that is named.
#[test]
fn of_two_hosts_the_one_that_lied_is_named() {
    let slow = Puppet::start(Make::Ours, &[], "sleep 0.2");
    let other = Space::new([("a.c", "int answer(void) { return 43; }\n")]);
    let object = other.local("gcc -O1 -c a.c").bytes("a.o").to_vec();
    let reply = Reply {
        version: 1,
        object,
        ..Reply::default()
    };
    let lies = LyingServer::answering(reply.encode());
    let scene = Scene::new(&[slow.host() + "/2", lies.host() + "/1"]);
    scene.learn();
    slow.hold();
    let job = scene.start_with(|command| {
        command.env("DISTCC_LAUNCH_VERIFY", "100");
    });
    let ran = job.running.finish();
    slow.release();
    assert_eq!(ran.code(), 0);
    assert!(ran.err().contains(&lies.host()), "{}", ran.err());
    assert!(!ran.err().contains(&slow.host()), "{}", ran.err());
    let rows = scene.space.rows();
    let row = rows.last().unwrap();
    let error = |host: String| {
        let mut attempts = row.attempts.iter();
        let its = attempts.find(|attempt| attempt.host == host);
        its.and_then(|attempt| attempt.error.as_deref())
    };
    assert_eq!(error(lies.host()), Some("object-differs"), "{row:?}");
    assert_eq!(error(slow.host()), Some("outrun"), "{row:?}");
}

/// Two launchers have a late job each, one of them for longer; the other alone may have a second copy.
#[test]
fn no_copies_where_they_are_forbidden() {
    // Both have to be on the same host, which is a matter of chance.
    for _ in 0..20 {
        let hosts = two(Make::Ours);
        let patient = Scene::with(&names(&hosts, "/1"), |space| {
            space
                .client_env("DISTCC_LAUNCH_LOCAL", "0")
                .client_env("DISTCC_LAUNCH_HEDGE", "0")
        });
        let scene = Scene::new(&names(&hosts, "/1"));
        patient.learn();
        scene.learn();
        let (slow, other, mut waits) = patient.start_held(hosts);
        slow.hold();
        let late = scene.start();
        let row = scene.done(late);
        if !row.attempts.iter().any(|attempt| attempt.hedge) {
            continue;
        }
        assert_eq!(row.host, Some(other.host()), "{row:?}");
        assert!(!waits.running.has_ended());
        slow.release();
        let row = patient.done(waits);
        assert_eq!(row.host, Some(slow.host()), "{row:?}");
        assert_eq!(row.attempts.len(), 1, "{row:?}");
        assert!(!row.attempts[0].hedge, "{row:?}");
        return;
    }
    panic!("no two jobs have ever met");
}

/// A host holds whatever it gets, and all that is done elsewhere a second time would be twice the work.
#[test]
fn second_copies_are_few() {
    const JOBS: usize = 40;
    let [slow, other] = two(Make::Ours);
    let scene = Scene::new(&names([&slow, &other], "/4"));
    scene.learn();
    slow.hold();
    let mut jobs: Vec<_> = (0..JOBS).map(|_| scene.start()).collect();
    until(
        "all have ended, those that are held by their copies",
        || jobs.iter_mut().all(|job| job.running.has_ended()),
    );
    slow.release();
    for job in jobs {
        scene.done(job);
    }
    let rows = scene.space.rows();
    let copied = |row: &&Row| row.attempts.iter().any(|attempt| attempt.hedge);
    let copies = rows.iter().filter(copied).count();
    // Of so few jobs 5 % are less than what is always allowed: 8, or one host's slots.
    assert!((1..=8).contains(&copies), "{copies}: {rows:?}");
}
