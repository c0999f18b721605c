//! Never more jobs than slots, and a slot given back is taken.

use std::sync::{Arc, Condvar, Mutex};

use tests::{Client, LyingServer, Reply, Running, Space, fake_cc, start, until};

const SOURCE: [(&str, &str); 1] = [("a.c", "int answer(void) { return 42; }\n")];

/// Answers a job whenever the test hands out a permit.
struct Permits {
    left: Mutex<usize>,
    changed: Condvar,
}

impl Permits {
    fn give(&self, count: usize) {
        *self.left.lock().unwrap() += count;
        self.changed.notify_all();
    }

    fn take(&self) {
        let mut left = self.left.lock().unwrap();
        while *left == 0 {
            left = self.changed.wait(left).unwrap();
        }
        *left -= 1;
    }
}

fn answering_on_permit(object: Vec<u8>) -> (LyingServer, Arc<Permits>) {
    let permits = Arc::new(Permits {
        left: Mutex::new(0),
        changed: Condvar::new(),
    });
    let mine = Arc::clone(&permits);
    let bytes = Reply {
        version: 1,
        object,
        ..Reply::default()
    }
    .encode();
    let server = LyingServer::start(move |talk| {
        if talk.request().is_some() {
            mine.take();
            talk.send(&bytes);
        }
    });
    (server, permits)
}

fn launchers(space: &Space, client: &Client, count: usize) -> Vec<Running> {
    (0..count)
        .map(|number| start(&mut space.command_as(client, &format!("gcc -c a.c -o {number}.o"))))
        .collect()
}

#[test]
fn two_slots_mean_two_connections() {
    for client in [Client::ours(), Client::stock()] {
        let object = Space::new(SOURCE).local("gcc -c a.c").bytes("a.o").to_vec();
        let (server, permits) = answering_on_permit(object.clone());
        let space = Space::new(SOURCE)
            .hosts(&format!("{}/2", server.host()))
            .client_env("DISTCC_PAUSE_TIME_MSEC", "10")
            .client_env("DISTCC_LAUNCH_LOCAL", "0");
        space.renew();
        let mut running = launchers(&space, &client, 12);
        for done in 0..12 {
            // Two hold the slots (one at the very end); each permit lets exactly one go and the next one in.
            until("the slots are taken", || {
                server.requests().len() == (done + 2).min(12)
            });
            assert!(server.most_waiting() <= 2);
            permits.give(1);
            until("one has ended", || {
                running
                    .iter_mut()
                    .filter_map(|one| one.has_ended().then_some(()))
                    .count()
                    > done
            });
        }
        assert_eq!((server.accepted(), server.most_waiting()), (12, 2));
        for (number, one) in running.into_iter().enumerate() {
            assert_eq!(one.finish().code(), 0);
            assert!(std::fs::read(space.work().join(format!("{number}.o"))).unwrap() == object);
        }
    }
}

#[test]
fn a_killed_launcher_gives_its_slot_back() {
    let object = Space::new(SOURCE).local("gcc -c a.c").bytes("a.o").to_vec();
    let (server, permits) = answering_on_permit(object);
    let space = Space::new(SOURCE)
        .hosts(&format!("{}/1", server.host()))
        .client_env("DISTCC_LAUNCH_LOCAL", "0");
    space.renew();
    let mut running = Vec::new();
    for turn in 1..=5 {
        running.push(start(
            &mut space.command(&format!("gcc -c a.c -o {turn}.o")),
        ));
        until("the slot is taken", || server.requests().len() == turn);
        running[turn - 1].signal(rustix::process::Signal::KILL);
        until("it is gone", || running[turn - 1].has_ended());
    }
    let last = start(&mut space.command("gcc -c a.c -o last.o"));
    until("the slot is taken", || server.requests().len() == 6);
    permits.give(6);
    assert_eq!(last.finish().code(), 0);
}

#[test]
fn slots_of_several_hosts_are_taken_in_the_order_of_stock() {
    // Slot 0 of each host in turn, then slot 1 of each that has one.
    for client in [Client::ours(), Client::stock()] {
        let object = Space::new(SOURCE).local("gcc -c a.c").bytes("a.o").to_vec();
        let hosts: Vec<_> = (0..3)
            .map(|_| answering_on_permit(object.clone()))
            .collect();
        let list = format!(
            "{}/1 {}/3 {}/2",
            hosts[0].0.host(),
            hosts[1].0.host(),
            hosts[2].0.host()
        );
        let space = Space::new(SOURCE)
            .hosts(&list)
            .client_env("DISTCC_LAUNCH_LOCAL", "0");
        space.renew();
        let mut order = Vec::new();
        let mut running = Vec::new();
        let mut counts = [0; 3];
        for number in 0..6 {
            running.push(start(
                &mut space.command_as(&client, &format!("gcc -c a.c -o {number}.o")),
            ));
            until("the next job is out", || {
                hosts
                    .iter()
                    .map(|(server, _)| server.requests().len())
                    .sum::<usize>()
                    == number + 1
            });
            for (at, (server, _)) in hosts.iter().enumerate() {
                if server.requests().len() > counts[at] {
                    counts[at] += 1;
                    order.push(at);
                }
            }
        }
        assert_eq!(order, [0, 1, 2, 1, 2, 1], "{client:?}");
        for (_, permits) in &hosts {
            permits.give(9);
        }
        for one in running {
            assert_eq!(one.finish().code(), 0);
        }
    }
}

#[test]
fn a_host_marked_down_gets_nothing() {
    let down = LyingServer::start(|_| {});
    let object = Space::new(SOURCE).local("gcc -c a.c").bytes("a.o").to_vec();
    let (up, permits) = answering_on_permit(object);
    permits.give(10);
    let space = Space::new(SOURCE).hosts(&format!("{},down {}", down.host(), up.host()));
    for _ in 0..3 {
        space
            .compile("gcc -c a.c")
            .assert_same_as_local()
            .assert_remote();
    }
    assert_eq!((down.accepted(), up.requests().len()), (0, 3));
}

/// A compiler that says how many of its kind run, and waits until it may end.  Preprocessing is another matter.
fn counting_compiler(space: &Space) -> String {
    let home = space.root().join("home");
    let cc = home.join("gcc");
    let text = format!(
        "case \" $* \" in *' -E '*) exec /usr/bin/gcc \"$@\" ;; esac\ncd {0} && : > running.$$ && ls running.* | wc -l >> counts\nwhile [ ! -e go ]; do sleep 0.01; done\nrm running.$$",
        home.display()
    );
    fake_cc(&cc, &text);
    cc.display().to_string()
}

fn most_at_once(list: &str, command: &str, launchers: usize, expected: usize) {
    let space = Space::new(SOURCE).hosts(list);
    let cc = counting_compiler(&space);
    space.renew();
    let counts = space.root().join("home/counts");
    let noted = || std::fs::read_to_string(&counts).unwrap_or_default();
    let running: Vec<_> = (0..launchers)
        .map(|number| start(&mut space.command(&format!("{cc} {command} -o {number}.o"))))
        .collect();
    until("the slots are taken", || {
        noted().lines().count() >= expected
    });
    std::fs::write(space.root().join("home/go"), "").unwrap();
    for one in running {
        assert_eq!(one.finish().code(), 0);
    }
    let most: usize = noted()
        .lines()
        .map(|line| line.trim().parse::<usize>().unwrap())
        .max()
        .unwrap();
    assert_eq!(most, expected, "{list}: {}", noted());
    assert_eq!(noted().lines().count(), launchers);
}

#[test]
fn localhost_in_the_list_has_its_slots() {
    most_at_once("localhost/3", "-c a.c", 9, 3);
}

#[test]
fn a_fall_back_keeps_to_the_local_slots() {
    // Nothing else is there: all run here, and a compile that was meant to go takes a local slot.
    most_at_once(
        "127.0.0.1:1 --localslots=2 --localslots_cpp=2",
        "-c a.c",
        8,
        2,
    );
}

#[test]
fn every_lock_file_has_stocks_name() {
    let object = Space::new(SOURCE).local("gcc -c a.c").bytes("a.o").to_vec();
    for client in [Client::ours(), Client::stock()] {
        let (server, permits) = answering_on_permit(object.clone());
        permits.give(2);
        let space = Space::new(SOURCE)
            .client(client)
            .hosts(&format!("{}/3", server.host()));
        space
            .compile("gcc -c a.c")
            .assert_same_as_local()
            .assert_remote();
        let names: Vec<String> = std::fs::read_dir(space.dir().join("lock"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(
            names.contains(&format!("cpu_tcp_127.0.0.1_{}_0", server.port())),
            "{names:?}"
        );
        assert!(
            names.iter().any(|name| name == "cpu_localhost_0"),
            "{names:?}"
        );
    }
}
