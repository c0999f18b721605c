//! The network to a host goes while the host has a job, and comes back.

use tests::{Make, Network};

use super::{Scene, assert_moved, names};

/// Nothing of the host is heard any more, whoever notices first.
const UNHEARD: [&str; 3] = ["network-lost", "no-sign-of-life", "outrun"];

/// `lose` is done to the network while the first of two hosts has a job; `find` undoes it.
fn goes(make: Make, lose: impl Fn(&Network, usize), find: impl Fn(&Network, usize)) {
    let network = Network::new(2);
    let hosts = [0, 1].map(|number| network.puppet(number, make));
    let first = hosts[0].host();
    let scene = Scene::new(&names(&hosts, "/1")).within(&network);
    scene.learn();
    let (goes, stays, job) = scene.start_held(hosts);
    let number = usize::from(goes.host() != first);
    lose(&network, number);
    let row = scene.done(job);
    assert_moved(&row, &goes, &stays, &UNHEARD);
    goes.release();
    find(&network, number);
    scene.until_jobs_go_to(&goes);
}

#[test]
fn an_interface_goes_down() {
    for make in [Make::Ours, Make::Stock] {
        goes(
            make,
            |network, number| network.interface(number, false),
            |network, number| network.interface(number, true),
        );
    }
}

#[test]
fn a_cable_is_pulled() {
    for make in [Make::Ours, Make::Stock] {
        goes(
            make,
            |network, number| network.cable(number, false),
            |network, number| network.cable(number, true),
        );
    }
}

#[test]
fn packets_vanish_without_a_word() {
    for make in [Make::Ours, Make::Stock] {
        goes(
            make,
            |network, number| network.swallow(number),
            |network, number| network.let_through(number),
        );
    }
}
