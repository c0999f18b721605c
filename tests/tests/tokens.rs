//! Token lending, one launcher at a time: when a token goes, when it comes back, and that none is too many at last.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tests::{
    Client, Jobserver, Running, Sleepers, Space, fake_cc, newest, start, until,
    with_default_signals,
};

const SOURCE: &str = "int answer(void) { return 42; }\n";

/// A space whose launchers are started under a jobserver of two slots and meet a host of `slots`, which sleeps.
fn sleeping(slots: usize) -> (Jobserver, Sleepers, Space) {
    let farm = Sleepers::until(usize::MAX, SOURCE);
    let jobserver = Jobserver::with(2);
    let space = Space::new([("a.c", SOURCE)])
        .hosts(&format!("--localslots=1 {}/{slots}", farm.host()))
        .client_env("DISTCC_LAUNCH_LOCAL", "0")
        .client_env("MAKEFLAGS", jobserver.flags());
    space.renew();
    (jobserver, farm, space)
}

fn launched(space: &Space, object: &str) -> Running {
    start(&mut space.command(&format!("gcc -c a.c -o {object}")))
}

fn lies(jobserver: &Jobserver, count: usize) {
    until(&format!("{count} tokens lie there"), || {
        jobserver.lying() == count
    });
}

fn records(space: &Space) -> usize {
    let folder = space.dir().join("tokens");
    folder.read_dir().map_or(0, |entries| entries.count())
}

#[test]
fn a_token_is_lent_while_the_host_works() {
    let (jobserver, farm, space) = sleeping(3);
    let running = launched(&space, "a.o");
    lies(&jobserver, 2);
    until("it is out", || farm.asleep() == 1);
    assert_eq!(records(&space), 1);
    farm.wake();
    assert_eq!(running.finish().code(), 0);
    assert_eq!((jobserver.lying(), records(&space)), (1, 0));
    assert_eq!(space.rows()[0].place, "remote");
}

#[test]
fn cargo_s_variable_is_known_too() {
    let (jobserver, farm, space) = sleeping(3);
    let space = space
        .client_env("CARGO_MAKEFLAGS", jobserver.flags())
        .client_env("MAKEFLAGS", " -j2 --jobserver-auth=fifo:/no/such");
    let running = launched(&space, "a.o");
    lies(&jobserver, 2);
    farm.wake();
    assert_eq!(running.finish().code(), 0);
    assert_eq!(jobserver.lying(), 1);
}

#[test]
fn a_launcher_ends_when_it_has_its_token_back() {
    let (jobserver, farm, space) = sleeping(3);
    let mut running = launched(&space, "a.o");
    lies(&jobserver, 2);
    jobserver.take(2);
    farm.wake();
    // All is done, its slot is free, and it waits.
    until("it is noted", || space.rows().len() == 1);
    assert!(space.work().join("a.o").exists());
    let slot = space.dir().join("lock");
    until("the slot is free", || free(&slot));
    assert!(!running.has_ended());
    jobserver.give(1);
    assert_eq!(running.finish().code(), 0);
    assert_eq!((jobserver.lying(), records(&space)), (0, 0));
}

/// Does nobody hold slot 0 of the one host?
fn free(lock: &Path) -> bool {
    let names = lock.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut slots = names.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("cpu_tcp_") && name.ends_with("_0")
    });
    let file = std::fs::File::open(slots.next().unwrap()).unwrap();
    let wanted = rustix::process::Flock::from(rustix::process::FlockType::WriteLock);
    rustix::process::fcntl_getlk(&file, &wanted)
        .unwrap()
        .is_none()
}

#[test]
fn no_token_without_a_free_slot() {
    let (jobserver, farm, space) = sleeping(2);
    let mut first = launched(&space, "1.o");
    until("it is out", || farm.asleep() == 1);
    assert_eq!(jobserver.lying(), 1, "a token lies there for the free slot");
    // That one is for the second.
    jobserver.take(1);
    lies(&jobserver, 1);
    let second = launched(&space, "2.o");
    until("both are out", || farm.asleep() == 2);
    assert_eq!(jobserver.lying(), 1);
    // The first goes, and with it a slot becomes free: the second lends.
    first.signal(Signal::TERM);
    until("the first is gone", || first.has_ended());
    lies(&jobserver, 1);
    farm.wake();
    assert_eq!(second.finish().code(), 0);
    jobserver.give(1);
    assert_eq!((jobserver.lying(), records(&space)), (1, 0));

    let (jobserver, farm, space) = sleeping(1);
    let running = launched(&space, "a.o");
    until("it is out", || farm.asleep() == 1);
    farm.wake();
    assert_eq!(running.finish().code(), 0);
    assert!(!space.dir().join("tokens").exists(), "it never lent");
    assert_eq!(jobserver.lying(), 1);
}

#[test]
fn a_fall_back_waits_for_a_token() {
    let (jobserver, farm, space) = sleeping(3);
    let cc = space.root().join("home/gcc");
    let here = space.root().join("home/here");
    let text = format!(
        "case \" $* \" in *' -E '*) ;; *) : > {} ;; esac\nexec /usr/bin/gcc \"$@\"",
        here.display()
    );
    fake_cc(&cc, &text);
    let mut running = start(&mut space.command(&format!("{} -c a.c", cc.display())));
    lies(&jobserver, 2);
    jobserver.take(2);
    let lock = space.dir().join("lock");
    assert!(!free(&lock));
    drop(farm);
    until("the slot is free", || free(&lock));
    assert!(!here.exists() && !running.has_ended());
    jobserver.give(1);
    assert_eq!(running.finish().code(), 0);
    assert!(here.exists() && space.work().join("a.o").exists());
    assert_eq!((jobserver.lying(), records(&space)), (0, 0));
    assert!(space.rows()[0].fell_back);
}

#[test]
fn a_failing_compile_gives_everything_back() {
    let farm = tests::LyingServer::answering(
        tests::Reply {
            version: 1,
            status: 1 << 8,
            ..tests::Reply::default()
        }
        .encode(),
    );
    let jobserver = Jobserver::with(2);
    let space = Space::new([("a.c", "int answer(void) { return }\n")])
        .hosts(&format!("{}/3", farm.host()))
        .client_env("MAKEFLAGS", jobserver.flags());
    space.renew();
    assert_eq!(space.run("gcc -c a.c").code(), 1);
    assert_eq!((jobserver.lying(), records(&space)), (1, 0));
    assert_eq!(farm.requests().len(), 1);
}

#[test]
fn a_signal_takes_the_token_back() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (jobserver, _farm, space) = sleeping(3);
        let command = space.command("gcc -c a.c");
        let mut running = start(&mut with_default_signals(&command));
        lies(&jobserver, 2);
        running.signal(signal);
        assert_eq!(running.finish().code(), 128 + signal.as_raw());
        assert_eq!(jobserver.lying(), 1, "{signal:?}");
        // Nothing is owed.
        assert_eq!(space.run("gcc -E a.c").code(), 0);
        assert_eq!(jobserver.lying(), 1, "{signal:?}");
    }
}

#[test]
fn a_signal_does_not_wait_long_and_what_is_owed_is_swallowed() {
    let (jobserver, _farm, space) = sleeping(3);
    let command = space.command("gcc -c a.c");
    let mut running = start(&mut with_default_signals(&command));
    lies(&jobserver, 2);
    jobserver.take(2);
    running.signal(Signal::TERM);
    assert_eq!(running.finish().code(), 128 + Signal::TERM.as_raw());
    jobserver.give(2);
    // A command that runs here pays for it.
    assert_eq!(space.run("gcc -E a.c").code(), 0);
    assert_eq!((jobserver.lying(), records(&space)), (1, 0));
}

#[test]
fn an_orphan_does_not_wait_for_ever() {
    let (jobserver, farm, space) = sleeping(3);
    let mut shell = space.command("gcc -c a.c");
    let launcher = shell.get_program().to_owned();
    let environment: Vec<_> = shell
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    shell = Command::new("sh");
    shell
        .args(["-c", "\"$0\" gcc -c a.c & wait"])
        .arg(launcher)
        .current_dir(space.work())
        .env_clear()
        .envs(environment);
    let mut tool = start(&mut shell);
    lies(&jobserver, 2);
    jobserver.take(2);
    tool.signal(Signal::KILL);
    until("the tool is gone", || tool.has_ended());
    farm.wake();
    until("it is noted", || space.rows().len() == 1);
    // It goes without its token, and owes it.
    let record = || space.dir().join("tokens").read_dir().unwrap().next();
    let record = std::fs::File::open(record().unwrap().unwrap().path()).unwrap();
    let wanted = rustix::process::Flock::from(rustix::process::FlockType::WriteLock);
    until("it is gone", || {
        rustix::process::fcntl_getlk(&record, &wanted)
            .unwrap()
            .is_none()
    });
    jobserver.give(2);
    assert_eq!(space.run("gcc -E a.c").code(), 0);
    assert_eq!((jobserver.lying(), records(&space)), (1, 0));
}

#[test]
fn launchers_that_were_killed_leave_one_token_too_many_at_most() {
    let (jobserver, farm, space) = sleeping(12);
    let mut running = vec![launched(&space, "0.o")];
    for unit in 1..5 {
        lies(&jobserver, 2);
        jobserver.take(1);
        running.push(launched(&space, &format!("{unit}.o")));
    }
    lies(&jobserver, 2);
    for one in &mut running {
        one.signal(Signal::KILL);
    }
    until("all are gone", || {
        running.iter_mut().all(Running::has_ended)
    });
    jobserver.give(4);
    assert_eq!(jobserver.lying(), 6, "five too many");
    // The next takes over what one of them owes, and pays for the others when it ends.
    let mut next = launched(&space, "next.o");
    until("it is out", || farm.asleep() == 6);
    assert_eq!(jobserver.lying(), 6);
    farm.wake();
    until("it has ended", || next.has_ended());
    assert_eq!((jobserver.lying(), records(&space)), (1, 0));
}

#[test]
fn each_that_is_killed_takes_over_from_the_one_before() {
    let (jobserver, farm, space) = sleeping(8);
    for unit in 0..4 {
        let mut one = launched(&space, &format!("{unit}.o"));
        until("it is out", || farm.asleep() == unit + 1);
        lies(&jobserver, 2);
        one.signal(Signal::KILL);
        until("it is gone", || one.has_ended());
    }
    assert_eq!(jobserver.lying(), 2);
    farm.wake();
    assert_eq!(launched(&space, "last.o").finish().code(), 0);
    assert_eq!((jobserver.lying(), records(&space)), (1, 0));
}

#[test]
fn a_jobserver_that_is_not_there_is_none() {
    for flags in [
        " -j2 --jobserver-auth=fifo:/no/such",
        " -j2 --jobserver-auth=7,8",
        " -j2 --jobserver-auth=0,1",
        " -j2 --jobserver-auth=-2,-2",
        " -j2",
    ] {
        let (jobserver, farm, space) = sleeping(3);
        farm.wake();
        let space = space.client_env("MAKEFLAGS", flags);
        assert_eq!(space.run("gcc -c a.c").code(), 0);
        assert_eq!(space.rows()[0].place, "remote", "{flags}");
        assert_eq!(jobserver.lying(), 1);
        assert!(!space.dir().join("tokens").exists());
    }
}

#[test]
fn launchers_in_other_dress_lend_too() {
    for client in [
        Client::ours().called("distcc"),
        Client::ours().masquerading(),
    ] {
        let (jobserver, farm, space) = sleeping(3);
        let space = space.client(client);
        let mut command: Command = space.command("gcc -c a.c");
        let running = start(&mut command);
        lies(&jobserver, 2);
        farm.wake();
        assert_eq!(running.finish().code(), 0);
        assert_eq!(jobserver.lying(), 1);
    }
}

#[test]
fn an_interrupted_build_leaves_the_jobserver_whole() {
    // ninja looks for tokens when a job has ended.
    let farm = Sleepers::napping(Duration::from_millis(300), usize::MAX, SOURCE);
    let jobserver = Jobserver::with(2);
    let mut rules = format!(
        "rule cc\n  command = {} gcc -c a.c -o $out\n",
        tests::launcher().display()
    );
    for unit in 0..200 {
        rules += &format!("build {unit}.o: cc\n");
    }
    let space = Space::new([("a.c", SOURCE), ("build.ninja", &rules)])
        .hosts(&format!("{}/12", farm.host()))
        .client_env("MAKEFLAGS", jobserver.flags());
    space.renew();
    let plain = space.command("gcc -c a.c");
    let mut ninja = Command::new(newest("ninja"));
    ninja.current_dir(space.work()).env_clear();
    for (name, value) in plain.get_envs() {
        ninja.env(name, value.unwrap());
    }
    let mut ninja = start(&mut with_default_signals(&ninja));
    until("it is wide", || farm.asleep() >= 5);
    ninja.signal(Signal::INT);
    until("it has ended", || ninja.has_ended());
    // On a busy machine one that waited too long may leave that to the next.
    until("all is paid", || {
        jobserver.lying() == 1 || {
            assert_eq!(space.run("gcc -E a.c").code(), 0);
            false
        }
    });
}
