//! What the hosts of a build get: by what they do, not by what they say.

use tests::{Make, Puppet, many_side_by_side};

use super::{Scene, names};

/// The hosts of the jobs of a build, in the order of their ends.
fn build(scene: &Scene<'_>, width: usize, jobs: usize) -> Vec<String> {
    many_side_by_side(width, 0..jobs, |_| {
        scene.job();
    });
    let rows = scene.space.rows();
    assert_eq!(rows.len(), jobs);
    let hosts = rows.into_iter().map(|row| row.host.unwrap_or(row.place));
    hosts.collect()
}

fn share(of: &Puppet, jobs: &[String]) -> usize {
    jobs.iter().filter(|host| **host == of.host()).count()
}

#[test]
fn a_slow_host_gets_few_jobs() {
    // In the order of the list each would get half.
    let slow = Puppet::start(Make::Ours, &["--jobs", "8"], "sleep 2");
    let fast = Puppet::start(Make::Ours, &["--jobs", "8"], "");
    let scene = Scene::new(&names([&slow, &fast], "/8"));
    let jobs = build(&scene, 4, 60);
    let slow = share(&slow, &jobs);
    assert!(slow <= 12, "{slow} of 60");
}

#[test]
fn overstated_slots_are_not_filled() {
    let options = |jobs| ["--jobs", jobs];
    let small = Puppet::start(Make::Ours, &options("1"), "sleep 0.3");
    let large = Puppet::start(Make::Ours, &options("12"), "sleep 0.3");
    let scene = Scene::new(&names([&small, &large], "/12"));
    let jobs = build(&scene, 12, 120);
    // Both say that they take twelve.
    let later = share(&small, &jobs[48..]);
    assert!(later <= 72 / 4, "{later} of 72");
}

#[test]
fn stock_hosts_are_measured_too() {
    let small = Puppet::start(Make::Stock, &["--jobs", "1"], "sleep 0.3");
    let large = Puppet::start(Make::Stock, &["--jobs", "12"], "sleep 0.3");
    let scene = Scene::new(&names([&small, &large], "/12"));
    let jobs = build(&scene, 12, 120);
    let later = share(&small, &jobs[48..]);
    assert!(later <= 72 / 4, "{later} of 72");
}
