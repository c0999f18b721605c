//! Slots between processes of ours.

use std::cell::Cell;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::common::{
    Helper, hosts, order, queue_is_held, say, take, wait_for_end, wait_until, within_limit,
};
use hosts::{
    Dislikes, Folder, Host, LocalPool, NoSlot, Outlook, Patience, Period, Slots, Try, Wish,
};
use rustix::process::{Pid, Signal, kill_process};

/// Not a test of its own: what other processes of these tests do.
#[test]
fn helper() {
    let Some(order) = order() else { return };
    let words: Vec<&str> = order.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hold", folder, list] => {
            say("comes");
            let slot = take(Path::new(folder), list, &within_limit()).unwrap();
            say(&format!("has {} {}", slot.host_index(), slot.number()));
            wait_for_end();
        }
        ["timed", folder, list] => {
            let folder = Folder::at(folder);
            let list = hosts(list);
            let refs: Vec<&Host> = list.hosts.iter().collect();
            let outlook = || crate::choice::outlook(&folder, &refs);
            let slots = Slots::new(&folder);
            let slot = slots.take_remote(&Wish::of(&refs, &outlook), &within_limit());
            let slot = slot.unwrap();
            say(&format!("has {}", slot.number()));
            wait_for_end();
        }
        ["exec", folder, list] => {
            let slot = take(Path::new(folder), list, &within_limit()).unwrap();
            slot.keep_across_exec().unwrap();
            say("execs");
            panic!("{}", Command::new("cat").exec());
        }
        ["local", folder, pool, size] => {
            let pool = if *pool == "job" {
                LocalPool::Job
            } else {
                LocalPool::Cpp
            };
            let slots = Slots::new(&Folder::at(folder));
            let slot = slots
                .take_local(pool, size.parse().unwrap(), &within_limit())
                .unwrap();
            say(&format!("has {}", slot.number()));
            wait_for_end();
        }
        ["in-use", folder, list] => {
            let slots = Slots::new(&Folder::at(folder));
            say(&slots.in_use(&hosts(list).hosts[0]).to_string());
        }
        ["probe", folder, list] => {
            let dislikes = Dislikes::new(&Folder::at(folder), Period::Growing);
            let answer = dislikes.may_try(&hosts(list).hosts[0], later());
            say(match &answer {
                Try::YesAsProbe(_) => "probes",
                Try::Yes => "tries",
                Try::No { .. } => "avoids",
            });
            wait_for_end();
        }
        other => panic!("no such order: {other:?}"),
    }
}

/// After the pause of one failure, on every clock of these tests.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(2)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("lock")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| !name.starts_with("queue_"));
    names.sort();
    names
}

#[test]
fn slots_are_taken_breadth_first_under_stocks_names() {
    let temp = tempfile::tempdir().unwrap();
    let list = "10.0.0.1/3 off/9,down bob@farm/1 localhost/2";
    let mut taken = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..6 {
        let slot = take(temp.path(), list, &Patience::NONE).unwrap();
        seen.push((slot.host_index(), slot.number()));
        taken.push(slot);
    }
    assert_eq!(seen, [(0, 0), (2, 0), (3, 0), (0, 1), (3, 1), (0, 2)]);
    assert!(matches!(
        take(temp.path(), list, &Patience::NONE),
        Err(NoSlot::Busy)
    ));
    assert_eq!(
        files(temp.path()),
        [
            "cpu_localhost_0",
            "cpu_localhost_1",
            "cpu_ssh_farm_0",
            "cpu_tcp_10.0.0.1_3632_0",
            "cpu_tcp_10.0.0.1_3632_1",
            "cpu_tcp_10.0.0.1_3632_2"
        ]
    );
    drop(taken.remove(3));
    let again = take(temp.path(), list, &Patience::NONE).unwrap();
    assert_eq!((again.host_index(), again.number()), (0, 1));
}

#[test]
fn two_processes_have_two_slots_and_death_gives_one_back() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().to_str().unwrap();
    let mut other = Helper::start(&["hold", folder, "farm/2"]);
    assert_eq!(other.hear(), "comes");
    assert_eq!(other.hear(), "has 0 0");
    let second = take(temp.path(), "farm/2", &Patience::NONE).unwrap();
    assert_eq!(second.number(), 1);
    assert!(matches!(
        take(temp.path(), "farm/2", &Patience::NONE),
        Err(NoSlot::Busy)
    ));
    other.kill();
    let first = take(temp.path(), "farm/2", &within_limit()).unwrap();
    assert_eq!(first.number(), 0);
}

/// Both entries mean the same lock files, and closing one of two descriptors of a file would drop its lock.
#[test]
fn a_host_that_is_named_twice_has_its_slots_once() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().to_str().unwrap();
    let list = "bob@farm/1 alice@farm/2 bob@farm/1";
    let slots = [0, 1].map(|_| take(temp.path(), list, &Patience::NONE).unwrap());
    let seen = slots
        .each_ref()
        .map(|slot| (slot.host_index(), slot.number()));
    assert_eq!(seen, [(0, 0), (1, 1)]);
    let mut second = Helper::start(&["hold", folder, list]);
    assert_eq!(second.hear(), "comes");
    wait_until("it watches", || queue_is_held(temp.path()));
    let [first, _other] = slots;
    drop(first);
    assert_eq!(second.hear(), "has 0 0");
    assert!(matches!(
        take(temp.path(), list, &Patience::NONE),
        Err(NoSlot::Busy)
    ));
}

#[test]
fn who_waits_gets_what_is_freed_in_turn() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().to_str().unwrap();
    let mut freed: Box<dyn FnOnce()> = {
        let slot = take(temp.path(), "farm/1", &Patience::NONE).unwrap();
        Box::new(|| drop(slot))
    };
    let waiters: Vec<Helper> = (0..20)
        .map(|number| {
            let mut helper = Helper::start(&["hold", folder, "farm/1"]);
            assert_eq!(helper.hear(), "comes");
            wait_until("it queues", || match number {
                0 => queue_is_held(temp.path()),
                _ => sleeps_in_the_queue(&helper),
            });
            helper
        })
        .collect();
    let (sender, events) = std::sync::mpsc::channel();
    let mut threads = Vec::new();
    for (number, mut helper) in waiters.into_iter().enumerate() {
        let sender = sender.clone();
        threads.push(std::thread::spawn(move || {
            let heard = helper.hear();
            sender.send((number, heard, helper)).unwrap();
        }));
    }
    assert!(
        events.try_recv().is_err(),
        "nobody gets a slot that is taken"
    );
    for expected in 0..threads.len() {
        freed();
        let (number, heard, helper) = events
            .recv_timeout(crate::common::LIMIT)
            .expect("nobody starves");
        assert_eq!((number, heard.as_str()), (expected, "has 0 0"));
        freed = Box::new(|| helper.kill());
    }
    freed();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Is the helper's third thread, besides the two of a test program, asleep?
fn sleeps_in_the_queue(helper: &Helper) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", helper.child.id())).unwrap();
    let stats: Vec<String> = tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).ok())
        .collect();
    stats.len() >= 3 && stats.iter().all(|stat| stat.contains(") S "))
}

#[test]
fn a_stopped_first_one_does_not_stop_the_queue() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().to_str().unwrap();
    let slot = take(temp.path(), "farm/1", &Patience::NONE).unwrap();
    let mut first = Helper::start(&["hold", folder, "farm/1"]);
    assert_eq!(first.hear(), "comes");
    wait_until("it watches", || queue_is_held(temp.path()));
    kill_process(Pid::from_child(&first.child), Signal::STOP).unwrap();
    // Its threads stop one after the other; on a busy machine the watching one may go on for long enough to take the slot.
    let tasks = format!("/proc/{}/task", first.child.id());
    wait_until("all of it is stopped", || {
        std::fs::read_dir(&tasks).unwrap().all(|task| {
            std::fs::read_to_string(task.unwrap().path().join("stat"))
                .is_ok_and(|stat| stat.contains(") T "))
        })
    });
    let mut second = Helper::start(&["hold", folder, "farm/1"]);
    assert_eq!(second.hear(), "comes");
    drop(slot);
    assert_eq!(second.hear(), "has 0 0");
    second.kill();
    kill_process(Pid::from_child(&first.child), Signal::CONT).unwrap();
    assert_eq!(first.hear(), "has 0 0");
}

#[test]
fn a_compiler_that_is_execed_holds_the_slot_until_it_ends() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().to_str().unwrap();
    let mut compiler = Helper::start(&["exec", folder, "farm/1"]);
    assert_eq!(compiler.hear(), "execs");
    let program = format!("/proc/{}/comm", compiler.child.id());
    wait_until("exec", || {
        std::fs::read_to_string(&program).unwrap() == "cat\n"
    });
    assert!(matches!(
        take(temp.path(), "farm/1", &Patience::NONE),
        Err(NoSlot::Busy)
    ));
    drop(compiler.stdin.take());
    assert!(take(temp.path(), "farm/1", &within_limit()).is_ok());
}

#[test]
fn local_pools_count_on_the_same_slots() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().to_str().unwrap();
    let mut job = Helper::start(&["local", folder, "job", "2"]);
    assert_eq!(job.hear(), "has 0");
    let mut cpp = Helper::start(&["local", folder, "cpp", "3"]);
    assert_eq!(cpp.hear(), "has 1");
    let slots = Slots::new(&Folder::at(temp.path()));
    assert!(matches!(
        slots.take_local(LocalPool::Job, 2, &Patience::NONE),
        Err(NoSlot::Busy)
    ));
    assert_eq!(
        slots
            .take_local(LocalPool::Cpp, 3, &Patience::NONE)
            .unwrap()
            .number(),
        2
    );
    assert_eq!(
        files(temp.path()),
        ["cpu_localhost_0", "cpu_localhost_1", "cpu_localhost_2"]
    );
    job.kill();
    assert_eq!(
        slots
            .take_local(LocalPool::Job, 2, &within_limit())
            .unwrap()
            .number(),
        0
    );
}

#[test]
fn patience_ends_by_the_clock_and_by_the_caller() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().to_str().unwrap();
    let _slot = take(temp.path(), "farm/1", &Patience::NONE).unwrap();
    let asked = Cell::new(0);
    let give_up = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let first = take(
        temp.path(),
        "farm/1",
        &Patience {
            until: None,
            give_up: &give_up,
        },
    );
    assert!(matches!(first, Err(NoSlot::Busy)));
    let soon = || Patience {
        until: Some(Instant::now() + Duration::from_millis(50)),
        give_up: &|| false,
    };
    assert!(
        matches!(take(temp.path(), "farm/1", &soon()), Err(NoSlot::Busy)),
        "first in the queue"
    );
    let mut head = Helper::start(&["hold", folder, "farm/1"]);
    assert_eq!(head.hear(), "comes");
    assert!(
        matches!(take(temp.path(), "farm/1", &soon()), Err(NoSlot::Busy)),
        "behind another"
    );
}

#[test]
fn a_list_without_a_host_to_use_is_no_reason_to_wait() {
    let temp = tempfile::tempdir().unwrap();
    let all = take(temp.path(), "farm,down bob@farm,down", &Patience::FOREVER);
    assert!(matches!(all, Err(NoSlot::NoHost)));
    let slots = Slots::new(&Folder::at(temp.path()));
    assert!(matches!(
        slots.take_remote(&Wish::of(&[], &Outlook::blank), &Patience::FOREVER),
        Err(NoSlot::NoHost)
    ));
    assert!(matches!(
        slots.take_local(LocalPool::Job, 0, &Patience::FOREVER),
        Err(NoSlot::NoHost)
    ));
}

#[test]
fn an_unusable_folder_is_an_error_that_names_it() {
    let error = take(Path::new("/proc/no/such"), "farm", &Patience::FOREVER).unwrap_err();
    let NoSlot::Folder(error) = error else {
        panic!("{error}")
    };
    assert!(error.to_string().contains("/proc/no/such"), "{error}");
}

#[test]
fn children_do_not_get_the_lock_files() {
    let temp = tempfile::tempdir().unwrap();
    let host = hosts("farm/2");
    let refs: Vec<&Host> = host.hosts.iter().collect();
    let _slot = Slots::new(&Folder::at(temp.path()))
        .take_remote(&Wish::of(&refs, &Outlook::blank), &Patience::NONE)
        .unwrap();
    let listing = Command::new("ls")
        .args(["-l", "/proc/self/fd"])
        .output()
        .unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(
        !listing.contains(temp.path().to_str().unwrap()),
        "{listing}"
    );
}

#[test]
fn one_process_at_a_time_probes_a_disliked_host() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().to_str().unwrap();
    let host = hosts("farm").hosts.remove(0);
    let dislikes = Dislikes::new(&Folder::at(temp.path()), Period::Growing);
    dislikes.failed(&host, SystemTime::now()).unwrap();
    let mut other = Helper::start(&["probe", folder, "farm"]);
    assert_eq!(other.hear(), "probes");
    assert!(matches!(dislikes.may_try(&host, later()), Try::No { .. }));
    let mut third = Helper::start(&["probe", folder, "farm"]);
    assert_eq!(third.hear(), "avoids");
    other.kill();
    assert!(matches!(
        dislikes.may_try(&host, later()),
        Try::YesAsProbe(_)
    ));
    dislikes.worked(&host);
    let mut fourth = Helper::start(&["probe", folder, "farm"]);
    assert_eq!(fourth.hear(), "tries");
}

#[test]
fn free_slots_are_counted_and_stay_as_they_are() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().to_str().unwrap();
    let list = "bob@farm/1 10.0.0.1/3 off/9,down alice@farm/2";
    let entries = hosts(list).hosts;
    let entries: Vec<&Host> = entries.iter().collect();
    let slots = Slots::new(&Folder::at(temp.path()));
    assert_eq!(slots.free_remote(&entries, 100), 5, "no file is there yet");
    assert_eq!(slots.free_remote(&entries, 2), 2);
    let mine = take(temp.path(), list, &Patience::NONE).unwrap();
    let mut other = Helper::start(&["hold", folder, list]);
    assert_eq!(other.hear(), "comes");
    assert_eq!(other.hear(), "has 1 0");
    assert_eq!(slots.free_remote(&entries, 100), 3);
    // Looking has let go of none.
    assert_eq!(
        take(temp.path(), list, &Patience::NONE).unwrap().number(),
        1
    );
    other.kill();
    drop(mine);
    assert_eq!(slots.free_remote(&entries, 100), 5);
}
