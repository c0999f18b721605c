//! Which slot a job takes where hosts are known to differ, and when it waits.

use std::cell::Cell;
use std::path::Path;

use crate::common::{Helper, hosts, wait_until, within_limit};
use hosts::pace::{Kind, Paces, Unit, Work, host_key};
use hosts::{Folder, Host, LocalPool, NoSlot, Outlook, Patience, Slots, Wish};

fn work(unit: u8) -> Work {
    Work {
        kind: Kind::new(0, false, false),
        unit: Unit::of([&[unit][..]]),
        bytes: None,
    }
}

/// Another process that has a slot.
fn holder(order: &str, folder: &Path, list: &str) -> Helper {
    let mut helper = Helper::start(&[order, folder.to_str().unwrap(), list]);
    while !helper.hear().starts_with("has") {}
    helper
}

/// Hosts `slow/2 fast/2` whose paces differ by ten, and a job of 1 s on the fast one.
fn slow_and_fast(folder: &Folder) {
    let paces = Paces::in_folder(folder);
    let list = hosts("slow/2 fast/2");
    let [slow, fast] = [0, 1].map(|host| host_key(&list.hosts[host]));
    for unit in 0..20 {
        paces.finished(fast, &work(unit), 1000.0, 1, false, 1_000);
        paces.finished(slow, &work(unit), 10_000.0, 1, false, 1_000);
    }
}

/// Of a job that was not there before.
pub(crate) fn outlook(folder: &Folder, hosts: &[&Host]) -> Outlook {
    let keys = hosts.iter().map(|host| host_key(host));
    Outlook::new(&Paces::in_folder(folder), keys, &work(99), 1_000)
}

#[test]
fn a_faster_host_is_preferred_and_waited_for() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::at(temp.path());
    slow_and_fast(&folder);
    let list = hosts("slow/2 fast/2");
    let refs: Vec<&Host> = list.hosts.iter().collect();
    let outlook = || outlook(&folder, &refs);
    let wish = Wish::of(&refs, &outlook);
    let slots = Slots::new(&folder);
    assert_eq!(slots.idle(&wish), Some((1, 0)));
    let found = slots.look(&wish);
    assert_eq!(found.order, [(1, Some(0)), (0, Some(0))]);
    assert!(!found.waits);
    let first = slots.take_remote(&wish, &Patience::NONE).unwrap();
    let second = slots.take_remote(&wish, &Patience::NONE).unwrap();
    assert_eq!((first.host_index(), first.number()), (1, 0));
    assert_eq!((second.host_index(), second.number()), (1, 1));
    assert_eq!(slots.in_use(refs[1]), 2);
    // What another thread starts just now may have inherited the turn, until it is execed.
    wait_until("it is free, if slow", || slots.idle(&wish) == Some((0, 0)));
    drop((first, second));

    // Another process has the fast ones and began just now: waiting for it is better than the slow host.
    let helpers = ["timed"; 2].map(|order| holder(order, temp.path(), "fast/2"));
    assert!(matches!(
        slots.take_remote(&wish, &Patience::NONE),
        Err(NoSlot::Busy)
    ));
    let found = slots.look(&wish);
    assert_eq!(found.order, [(0, Some(0)), (1, None)]);
    assert!(found.waits, "who looks sees what who takes does");
    assert_eq!(slots.in_use(refs[0]), 0);
    drop(helpers);
    let taken = slots.take_remote(&wish, &within_limit()).unwrap();
    assert_eq!(taken.host_index(), 1);
}

#[test]
fn a_slot_of_unknown_end_is_not_waited_for() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::at(temp.path());
    slow_and_fast(&folder);
    // As stock does: the lock and no note.
    let _helpers = ["hold"; 2].map(|order| holder(order, temp.path(), "fast/2"));
    let list = hosts("slow/2 fast/2");
    let refs: Vec<&Host> = list.hosts.iter().collect();
    let outlook = || outlook(&folder, &refs);
    assert!(!Slots::new(&folder).look(&Wish::of(&refs, &outlook)).waits);
    let taken = Slots::new(&folder).take_remote(&Wish::of(&refs, &outlook), &Patience::NONE);
    assert_eq!(taken.unwrap().host_index(), 0);
}

#[test]
fn a_job_that_ends_sooner_here_stays_here() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::at(temp.path());
    slow_and_fast(&folder);
    let list = hosts("slow/2 fast/2");
    let refs: Vec<&Host> = list.hosts.iter().collect();
    let outlook = || outlook(&folder, &refs);
    let slots = Slots::new(&folder);
    let _helpers =
        ["fast/2", "fast/2", "slow/2", "slow/2"].map(|list| holder("timed", temp.path(), list));
    let soonest = Cell::new(None);
    let here = |ms: Option<f32>| {
        soonest.set(ms);
        let local = Slots::new(&folder).take_local(LocalPool::Job, 1, &Patience::NONE);
        local.ok()
    };
    let wish = Wish {
        here: Some(&here),
        ..Wish::of(&refs, &outlook)
    };
    let slot = slots.take_remote(&wish, &within_limit()).unwrap();
    assert!(slot.is_here());
    let soonest = soonest.get().expect("it is known when others end");
    assert!((1000.0..2100.0).contains(&soonest), "{soonest}");
}
