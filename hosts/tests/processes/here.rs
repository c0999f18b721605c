//! Slots of this machine beside those of hosts, and slots whose files cannot be opened.

use std::cell::RefCell;

use crate::common::{Helper, hosts, take};
use hosts::{Folder, Host, LocalPool, NoSlot, Outlook, Patience, Slots, Wish};

/// The list names this machine, so the search has the same lock file open: it must not take the lock away when it closes that.
#[test]
fn who_helps_himself_here_keeps_his_slot() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().to_str().unwrap();
    let folder = Folder::at(temp.path());
    let mut before = Helper::start(&["local", path, "job", "1"]);
    assert_eq!(before.hear(), "has 0");
    let before = RefCell::new(Some(before));
    let list = hosts("localhost/1");
    let here = |_| {
        // It comes free at this moment.
        before.borrow_mut().take().expect("asked once").kill();
        let slot = Slots::new(&folder).take_local(LocalPool::Job, 1, &Patience::NONE);
        Some(slot.expect("it is free"))
    };
    let only: Vec<&Host> = list.hosts.iter().collect();
    let wish = Wish {
        here: Some(&here),
        ..Wish::of(&only, &Outlook::blank)
    };
    let slot = Slots::new(&folder).take_remote(&wish, &Patience::FOREVER);
    let slot = slot.expect("there is one");
    assert!(slot.is_here());
    let in_use = || Helper::start(&["in-use", path, "localhost/1"]).hear();
    assert_eq!(in_use(), "1");
    drop(slot);
    assert_eq!(in_use(), "0");
}

/// Such as those that root left in the folder.
#[test]
fn a_slot_whose_file_cannot_be_opened_is_one_less() {
    let temp = tempfile::tempdir().unwrap();
    let lock = temp.path().join("lock");
    for number in [0, 2] {
        let name = format!("cpu_tcp_farm_3632_{number}");
        std::fs::create_dir_all(lock.join(name)).unwrap();
    }
    let slots: Vec<_> = (0..2)
        .map(|_| take(temp.path(), "farm/4", &Patience::NONE).unwrap())
        .collect();
    let numbers: Vec<u32> = slots.iter().map(hosts::Slot::number).collect();
    assert_eq!(numbers, [1, 3]);
    let none = take(temp.path(), "farm/1", &Patience::NONE);
    assert!(matches!(none, Err(NoSlot::Folder(_))), "{none:?}");
}
