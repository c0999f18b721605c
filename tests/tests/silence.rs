//! Called by its own name the launcher says nothing of its own: build tools parse what compilers print.

use tests::{Client, Farm, LyingServer, Space, side_by_side};

const SOURCES: [(&str, &str); 3] = [
    ("a.c", "int answer(void) { return 42; }\n"),
    ("warn.c", "int f(void) { int unused; return 1; }\n"),
    ("broken.c", "int (\n"),
];

/// Host lists that no job gets through, each for a reason of its own.
fn bad_lists() -> Vec<String> {
    [
        "",
        "   ",
        "# nothing",
        "127.0.0.1:1",
        "127.0.0.1:1 127.0.0.1:2 127.0.0.1:3",
        "no-such-host.invalid",
        "127.0.0.1:x",
        "127.0.0.1:99999",
        "127.0.0.1/0",
        "127.0.0.1,nonsense",
        "127.0.0.1,cpp",
        "127.0.0.1,auth",
        "127.0.0.1,key",
        "+zeroconf",
        "[::1",
        "@",
        "--localslots=2",
        "--localslots=x 127.0.0.1:1",
        "--unknown 127.0.0.1:1",
        "localhost",
        "localhost/1 --localslots=1",
        "[::1]:1",
    ]
    .map(String::from)
    .to_vec()
}

#[test]
fn no_host_list_makes_it_speak_or_fail() {
    side_by_side(bad_lists(), |list| {
        for command in [
            "gcc -c a.c",
            "gcc -Wall -c warn.c",
            "gcc -c broken.c",
            "gcc -E a.c",
            "gcc --version",
        ] {
            let space = Space::new(SOURCES).hosts(&list);
            space.compile(command).assert_same_as_local().assert_here();
        }
    });
}

#[test]
fn no_host_list_at_all() {
    let space = Space::new(SOURCES);
    space
        .compile("gcc -Wall -c warn.c")
        .assert_same_as_local()
        .assert_here();
}

#[test]
fn a_fall_back_is_silent() {
    let server = LyingServer::start(|talk| {
        talk.request();
        talk.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let space = Space::new(SOURCES).hosts(&server.host());
    space
        .compile("gcc -Wall -c warn.c")
        .assert_same_as_local()
        .assert_fell_back();
}

#[test]
fn as_a_link_named_like_a_compiler_it_is_silent_too() {
    for list in ["127.0.0.1:1", "", "127.0.0.1:x"] {
        let space = Space::new(SOURCES)
            .hosts(list)
            .client(Client::ours().masquerading());
        space
            .compile("gcc -Wall -c warn.c")
            .assert_same_as_local()
            .assert_here();
    }
}

#[test]
fn state_that_cannot_be_kept_is_no_reason_to_speak() {
    let farm = Farm::ours(1);
    for (name, value) in [
        ("DISTCC_DIR", "/proc/no/such/folder"),
        ("DISTCC_DIR", "/dev/null"),
        ("DISTCC_DIR", ""),
        ("HOME", "/nonexistent"),
        ("DISTCC_LAUNCH_JOURNAL", "/proc/no/such/journal"),
        ("DISTCC_LAUNCH_JOURNAL", "/"),
        ("DISTCC_LAUNCH_JOURNAL", "/dev/full"),
        ("DISTCC_VERBOSE", "no"),
        ("DISTCC_FALLBACK", "perhaps"),
        ("DISTCC_PAUSE_TIME_MSEC", "soon"),
        ("DISTCC_IO_TIMEOUT", "0"),
        ("DISTCC_IO_TIMEOUT", "never"),
        ("DISTCC_BACKOFF_PERIOD", "-5"),
    ] {
        let space = farm.space(SOURCES).client_env(name, value);
        space.compile("gcc -c a.c").assert_same_as_local();
        space.compile("gcc -c broken.c").assert_same_as_local();
    }
}

#[test]
fn nothing_is_known_of_the_user() {
    // No HOME, no DISTCC_DIR, no TMPDIR, no journal.
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    let expected = space.local("gcc -c a.c");
    space.renew();
    let mut command = space.command("gcc -c a.c");
    for name in ["HOME", "DISTCC_DIR", "TMPDIR", "DISTCC_LAUNCH_JOURNAL"] {
        command.env_remove(name);
    }
    let ran = tests::run(&mut command);
    assert_eq!(
        (ran.code(), ran.out().as_str(), ran.err().as_str()),
        (0, "", "")
    );
    assert_eq!(
        std::fs::read(space.work().join("a.o")).unwrap(),
        expected.bytes("a.o")
    );
}

#[test]
fn verbose_speaks() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES).client_env("DISTCC_VERBOSE", "1");
    let compared = space.compile("gcc -c a.c");
    compared.assert_same_files().assert_remote();
    assert_ne!(compared.via.stderr, b"");
    assert_eq!(compared.via.stdout, b"");
}

#[test]
fn a_log_takes_what_there_is_to_say() {
    let space = Space::new(SOURCES).hosts("127.0.0.1:1");
    let log = space.log_file();
    let space = space.client_env("DISTCC_LOG", log);
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_fell_back();
    assert_ne!(space.log(), "");
}
