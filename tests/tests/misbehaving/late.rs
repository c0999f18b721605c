//! Jobs that take far longer than their like: a second copy elsewhere, whose result counts.

use std::process::Command;

use tests::{Make, Puppet, Row, until};

use super::{Scene, names};

#[test]
fn a_late_job_is_done_elsewhere_and_the_first_compile_ends() {
    for make in [Make::Ours, Make::Stock] {
        let [slow, other] = [(); 2].map(|()| Puppet::start(make, &[], ""));
        let scene = Scene::new(&names(&[&slow, &other], "/2"));
        scene.learn();
        slow.hold();
        let running = scene.start_on(&slow);
        let row = scene.done(running);
        assert_eq!(row.host, Some(other.host()), "{row:?}");
        let tries: Vec<_> = row
            .attempts
            .iter()
            .map(|attempt| {
                let error = attempt.error.as_deref();
                (attempt.host.clone(), error, attempt.hedge)
            })
            .collect();
        let outrun = (slow.host(), Some("outrun"), false);
        assert_eq!(tries, [outrun, (other.host(), None, true)], "{row:?}");
        // Nothing but the closed connection tells that host; its compilers are still held.
        until("the compile that nobody waits for has ended", || {
            slow.at_work().is_empty()
        });
    }
}

#[test]
fn the_first_may_still_win() {
    let hosts = [(); 2].map(|()| Puppet::start(Make::Ours, &[], ""));
    let scene = Scene::new(&names(&[&hosts[0], &hosts[1]], "/1"));
    scene.learn();
    for host in &hosts {
        host.hold();
    }
    let begun = hosts[0].begun();
    let mut running = scene.start();
    until("one has the job", || {
        hosts.iter().any(|host| !host.at_work().is_empty())
    });
    assert!(!running.running.has_ended());
    let first = usize::from(hosts[0].begun() == begun);
    let (first, second) = (&hosts[first], &hosts[1 - first]);
    until("the other has it too", || !second.at_work().is_empty());
    first.release();
    let row = scene.done(running);
    assert_eq!(row.host, Some(first.host()), "{row:?}");
    let copy = row.attempts.iter().find(|attempt| attempt.hedge).unwrap();
    assert_eq!(
        (copy.host.clone(), copy.error.as_deref()),
        (second.host(), Some("outrun")),
        "{row:?}"
    );
    until("the copy has ended", || second.at_work().is_empty());
}

/// A launcher that may not is no better off when others, who came later, have long had second copies.
#[test]
fn no_copies_where_they_are_forbidden() {
    let [slow, other] = [(); 2].map(|()| Puppet::start(Make::Ours, &[], ""));
    let scene = Scene::new(&names(&[&slow, &other], "/2"));
    scene.learn();
    slow.hold();
    let forbid = |command: &mut Command| {
        command.env("DISTCC_LAUNCH_HEDGE", "0");
    };
    let mut patient = scene.start_with_on(&slow, forbid);
    for _ in 0..3 {
        let late = scene.start_on(&slow);
        let row = scene.done(late);
        assert!(row.attempts.iter().any(|attempt| attempt.hedge), "{row:?}");
    }
    assert!(!patient.running.has_ended());
    slow.release();
    let row = scene.done(patient);
    assert_eq!(row.host, Some(slow.host()), "{row:?}");
    assert_eq!(row.attempts.len(), 1, "{row:?}");
    assert!(!row.attempts[0].hedge, "{row:?}");
}

/// A host holds whatever it gets, and all that is done elsewhere a second time would be twice the work.
#[test]
fn second_copies_are_few() {
    const JOBS: usize = 40;
    let [slow, other] = [(); 2].map(|()| Puppet::start(Make::Ours, &[], ""));
    let scene = Scene::new(&names(&[&slow, &other], "/4"));
    scene.learn();
    slow.hold();
    let mut jobs: Vec<_> = (0..JOBS).map(|_| scene.start()).collect();
    until("all have ended but those that are held", || {
        let ended = jobs.iter_mut().filter_map(|job| job.running.has_ended().then_some(()));
        ended.count() + slow.at_work().len() >= JOBS
    });
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
