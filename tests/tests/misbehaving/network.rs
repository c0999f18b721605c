//! The network to a host goes while the host has a job, and comes back.

use tests::{Make, Network};

use super::{Scene, assert_moved, names};

/// Nothing of the host is heard any more, whoever notices first.
const UNHEARD: [&str; 3] = ["network-lost", "no-sign-of-life", "outrun"];

/// `lose` is done to the network while the first of two hosts has a job; `find` undoes it.
fn goes(make: Make, lose: impl Fn(&Network), find: impl Fn(&Network)) {
    let network = Network::new(2);
    let [goes, stays] = [0, 1].map(|number| network.puppet(number, make));
    let scene = Scene::new(&names(&[&goes, &stays], "/1")).within(&network);
    scene.learn();
    goes.hold();
    let running = scene.start_on(&goes);
    lose(&network);
    let row = scene.done(running);
    assert_moved(&row, &goes, &stays, &UNHEARD);
    goes.release();
    find(&network);
    scene.until_jobs_go_to(&goes);
}

#[test]
fn an_interface_goes_down() {
    for make in [Make::Ours, Make::Stock] {
        goes(
            make,
            |network| network.interface(0, false),
            |network| network.interface(0, true),
        );
    }
}

#[test]
fn a_cable_is_pulled() {
    for make in [Make::Ours, Make::Stock] {
        goes(
            make,
            |network| network.cable(0, false),
            |network| network.cable(0, true),
        );
    }
}

#[test]
fn packets_vanish_without_a_word() {
    for make in [Make::Ours, Make::Stock] {
        goes(
            make,
            |network| network.swallow(0),
            |network| network.let_through(0),
        );
    }
}
