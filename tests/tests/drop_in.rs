//! Either half of this project in an existing distcc farm, and the other way round.

use std::fs::File;

use rustix::fs::{FlockOperation, fcntl_lock};
use tests::{Client, Farm, LyingServer, Make, Space, side_by_side, start, until};

const SOURCES: [(&str, &str); 6] = [
    (
        "hello.c",
        "#include <stdio.h>\n#include \"hello.h\"\nint main(void) { return puts(HELLO) < 0; }\n",
    ),
    ("hello.h", "#define HELLO \"hello\"\n"),
    ("warn.c", "int f(void) { int unused; return 1; }\n"),
    ("broken.c", "int main( {\n"),
    (
        "hello.cc",
        "#include <string>\nstd::string hello() { return \"hello\"; }\n",
    ),
    ("empty.c", ""),
];

/// The command, and whether it compiles.
const COMMANDS: [(&str, bool); 10] = [
    ("gcc -O2 -c hello.c", true),
    ("gcc -c hello.c -o out.o", true),
    ("gcc -S hello.c", true),
    ("gcc -c empty.c", true),
    ("gcc -Wall -c warn.c", true),
    ("gcc -c broken.c", false),
    ("gcc -Wall -Werror -c warn.c", false),
    ("g++ -O1 -c hello.cc -o hello.o", true),
    ("clang -c hello.c -o hello.o", true),
    ("gcc -c missing.c", false),
];

/// Every command through `client`, with each kind of transport.
fn every_command(make: Make, client: &Client) {
    let farm = Farm::with(make, 1, &[]);
    side_by_side(["", ",lzo"], |suffix| {
        for (command, compiles) in COMMANDS {
            let space = Space::new(SOURCES)
                .client(client.clone())
                .hosts(&farm.hosts(suffix));
            let compared = space.compile(command);
            let ours_doubts =
                make == Make::Stock && !client.is_stock() && command.contains("-Wall");
            if compiles && ours_doubts {
                compared
                    .assert_same_as_local()
                    .assert_local("messages-may-differ");
            } else if compiles {
                compared.assert_same_but_excerpts().assert_remote();
            } else {
                compared.assert_same_files();
                assert_ne!(compared.via.code, 0, "{command}");
            }
        }
    });
}

#[test]
fn our_launcher_with_our_daemon() {
    every_command(Make::Ours, &Client::ours());
}

#[test]
fn our_launcher_with_stock_daemon() {
    every_command(Make::Stock, &Client::ours());
}

#[test]
fn stock_client_with_our_daemon() {
    every_command(Make::Ours, &Client::stock());
}

#[test]
fn our_failing_compile_reads_as_if_compiled_here() {
    for make in [Make::Ours, Make::Stock] {
        let farm = Farm::with(make, 1, &[]);
        for command in [
            "gcc -c broken.c",
            "gcc -c missing.c",
            "gcc -Wall -Werror -c warn.c",
            "clang -c broken.c",
        ] {
            let space = Space::new(SOURCES).hosts(&farm.hosts(""));
            space.compile(command).assert_same_as_local();
        }
    }
}

#[test]
fn clang_warnings_from_our_daemon_are_the_local_ones() {
    let farm = Farm::ours(1);
    let space = Space::new(SOURCES).hosts(&farm.hosts(""));
    space
        .compile("clang -Wall -c warn.c")
        .assert_same_as_local()
        .assert_remote();
}

/// Holds a slot as a client does: a POSIX write lock on the file that stock names so.
fn hold_slot(space: &Space, name: &str) -> File {
    let folder = space.dir().join("lock");
    std::fs::create_dir_all(&folder).unwrap();
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(name))
        .unwrap();
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

/// A client of each kind meets a full slot directory of the other: it goes to the host that is free.
#[test]
fn a_slot_held_by_anyone_is_left_alone() {
    for client in [Client::ours(), Client::stock()] {
        let farm = Farm::stock(2);
        let space = Space::new(SOURCES).client(client).hosts(&farm.hosts("/1"));
        let first = &farm.daemons[0];
        let held = hold_slot(&space, &format!("cpu_tcp_127.0.0.1_{}_0", first.port()));
        for _ in 0..3 {
            space
                .compile("gcc -c hello.c")
                .assert_same_as_local()
                .assert_remote();
        }
        assert!(!first.log().contains("COMPILE_OK"), "{}", first.log());
        drop(held);
        space
            .compile("gcc -c hello.c")
            .assert_same_as_local()
            .assert_remote();
        until("the first host compiles", || {
            first.log().contains("COMPILE_OK")
        });
    }
}

/// One client holds the only slot of the only host; one of the other kind waits for it, and never goes around it.
fn waits_for(holder: Client, waiter: Client) {
    let server = LyingServer::start(|talk| {
        talk.request();
        talk.stall();
    });
    let space = Space::new(SOURCES)
        .hosts(&format!("{}/1", server.host()))
        .client_env("DISTCC_PAUSE_TIME_MSEC", "20")
        .client_env("DISTCC_LAUNCH_LOCAL", "0");
    space.renew();
    let space = space.client(holder);
    let first = start(&mut space.command("gcc -c hello.c -o first.o"));
    until("the first is being served", || server.requests().len() == 1);
    let space = space.client(waiter);
    let second = start(&mut space.command("gcc -c hello.c -o second.o"));
    // It would connect at once if it took no notice of the lock: its preprocessor is over in this time.
    let local = space_of_its_own().compile("gcc -E hello.c");
    assert_eq!(local.via.code, 0);
    assert_eq!((server.accepted(), server.open()), (1, 1));
    server.release();
    assert_eq!(first.finish().code(), 0);
    assert_eq!(second.finish().code(), 0);
    assert_eq!(server.most_waiting(), 1);
}

fn space_of_its_own() -> Space {
    Space::new(SOURCES)
}

#[test]
fn ours_waits_for_a_slot_of_stock() {
    waits_for(Client::stock(), Client::ours());
}

#[test]
fn stock_waits_for_a_slot_of_ours() {
    waits_for(Client::ours(), Client::stock());
}

/// Both kinds at once on one slot directory: never more connections than slots.
#[test]
fn both_kinds_together_keep_to_the_slots() {
    let server = LyingServer::start(|talk| {
        talk.request();
        // Gone before an answer: the client compiles here.
    });
    let hosts = format!("{}/2", server.host());
    let space = Space::new(SOURCES)
        .hosts(&hosts)
        .client_env("DISTCC_PAUSE_TIME_MSEC", "5");
    space.renew();
    let space = space.client_env("DISTCC_BACKOFF_PERIOD", "60");
    let running: Vec<_> = (0..12)
        .map(|number| {
            let client = if number % 2 == 0 {
                Client::ours()
            } else {
                Client::stock()
            };
            let words = format!("gcc -c hello.c -o {number}.o");
            start(&mut space.command_as(&client, &words))
        })
        .collect();
    for one in running {
        assert_eq!(one.finish().code(), 0);
    }
    assert!(
        server.most_waiting() <= 2,
        "{} at one time",
        server.most_waiting()
    );
}
