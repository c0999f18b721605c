//! A compile that fails: the words and the code are the local ones, and no host is blamed for it.

use tests::{Farm, LyingServer, Make, Reply, Space};

const SOURCES: [(&str, &str); 6] = [
    ("a.c", "int answer(void) { return 42; }\n"),
    (
        "broken.c",
        "#include \"broken.h\"\nint f(void) { return nothing; }\n",
    ),
    ("broken.h", "int g(int\n"),
    ("warn.c", "int f(void) { int unused; return 1; }\n"),
    ("include.c", "#include \"not/there.h\"\n"),
    ("error.c", "#error on purpose\nint a;\n"),
];

#[test]
fn its_words_and_code_are_the_local_ones() {
    for make in [Make::Ours, Make::Stock] {
        let farm = Farm::with(make, 1, &[]);
        let space = farm
            .space(SOURCES)
            .setup("echo old > kept.o; echo old > broken.o");
        for command in [
            "gcc -c broken.c",
            "gcc -c broken.c -o kept.o",
            "gcc -Wall -Werror -c warn.c",
            "gcc -c include.c",
            "gcc -c error.c",
            "gcc -c nothing.c",
            "gcc -S broken.c",
            "gcc -MD -c broken.c",
            "gcc -c a.c -fno-such-option",
            "gcc -c a.c -O77x",
            "gcc -c a.c -march=no-such-processor",
            "gcc -c a.c -std=c07",
            "gcc -c a.c -Wa,--no-such-option",
            "clang -c broken.c",
            "clang -c broken.c -o kept.o",
            "clang -Wall -Werror -c warn.c",
            "clang -c error.c",
            "clang -c a.c -fno-such-option",
        ] {
            space.forget();
            let compared = space.compile(command);
            compared.assert_same_as_local();
            assert_ne!(compared.local.code, 0, "{command}");
        }
    }
}

#[test]
fn the_host_is_not_blamed() {
    for make in [Make::Ours, Make::Stock] {
        let farm = Farm::with(make, 1, &[]);
        let space = farm
            .space(SOURCES)
            .client_env("DISTCC_BACKOFF_PERIOD", "60");
        for _ in 0..3 {
            space.compile("gcc -c broken.c").assert_same_as_local();
            space.compile("gcc -c include.c").assert_same_as_local();
            space
                .compile("gcc -c a.c")
                .assert_same_as_local()
                .assert_remote();
        }
    }
}

/// A warning is no failure: one compile, there.
#[test]
fn warnings_cost_no_second_compile() {
    let farm = Farm::with(Make::Ours, 1, &[]);
    let compared = farm.space(SOURCES).compile("gcc -Wall -c warn.c");
    compared.assert_same_but_excerpts().assert_remote();
    assert_eq!(compared.rows.len(), 1);
}

/// What a stock daemon's compiler saw is not the source, so what it says of it may be false: the local one has the word.
#[test]
fn a_stock_daemons_warnings_are_the_local_ones_to_the_letter() {
    let farm = Farm::with(Make::Stock, 1, &[]);
    let compared = farm.space(SOURCES).compile("gcc -Wall -c warn.c");
    compared
        .assert_same_as_local()
        .assert_local("messages-may-differ");
}

#[test]
fn skipping_the_local_retry_keeps_what_the_host_said() {
    for (status, code) in [(0x100, 1), (0x4d00, 77), (0x0200, 2)] {
        let reply = Reply {
            version: 1,
            status,
            stderr: b"remote words\n".to_vec(),
            stdout: b"remote out\n".to_vec(),
            ..Reply::default()
        };
        let server = LyingServer::answering(reply.encode());
        let space = Space::new(SOURCES)
            .hosts(&server.host())
            .client_env("DISTCC_SKIP_LOCAL_RETRY", "1");
        let compared = space.compile("gcc -c a.c");
        let via = &compared.via;
        assert_eq!(
            (via.code, via.stderr.as_slice(), via.stdout.as_slice()),
            (code, &b"remote words\n"[..], &b"remote out\n"[..]),
            "{compared}"
        );
        assert!(via.files.is_empty(), "{compared}");
        assert_eq!(compared.row().place, "remote", "{compared}");
    }
}

#[test]
fn skipping_the_local_retry_with_a_real_daemon() {
    for make in [Make::Ours, Make::Stock] {
        let farm = Farm::with(make, 1, &[]);
        let space = farm
            .space(SOURCES)
            .client_env("DISTCC_SKIP_LOCAL_RETRY", "1");
        let compared = space.compile("gcc -c broken.c");
        assert_eq!(compared.via.code, 1, "{compared}");
        assert_eq!(compared.row().place, "remote", "{compared}");
        assert_eq!(compared.row().attempts.len(), 1, "{compared}");
        assert!(
            compared
                .via
                .stderr_but_excerpts()
                .contains("broken.c:2:1: error:"),
            "{compared}"
        );
    }
}

/// A crash there says nothing of the source; the variable is about failures.
#[test]
fn a_crash_there_is_run_here_even_so() {
    let reply = Reply {
        version: 1,
        status: 11,
        ..Reply::default()
    };
    let server = LyingServer::answering(reply.encode());
    let space = Space::new(SOURCES)
        .hosts(&server.host())
        .client_env("DISTCC_SKIP_LOCAL_RETRY", "1");
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_here();
}

#[test]
fn what_the_reply_prints_does_not_come_before_a_local_retry() {
    let reply = Reply {
        version: 1,
        status: 0x100,
        stderr: b"remote words\n".to_vec(),
        stdout: b"remote out\n".to_vec(),
        ..Reply::default()
    };
    let server = LyingServer::answering(reply.encode());
    Space::new(SOURCES)
        .hosts(&server.host())
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_here();
}

#[test]
fn without_fall_back_a_failure_is_still_the_compilers() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES).client_env("DISTCC_FALLBACK", "0");
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_remote();
    let compared = space.compile("gcc -c broken.c");
    assert_eq!(compared.via.code, 1, "{compared}");
    assert!(compared.via.files.is_empty(), "{compared}");
    // A command that belongs here is none of its business.
    space
        .compile("gcc -E a.c")
        .assert_same_as_local()
        .assert_here();
}

#[test]
fn a_preprocessor_that_crashes_or_is_strange() {
    let farm = Farm::ours(1);
    for (behaviour, code) in [
        ("kill -SEGV $$", 139),
        ("exit 77", 77),
        ("echo words >&2; exit 3", 3),
    ] {
        let space = farm.space(SOURCES);
        let cc = space.root().join("home/gcc");
        tests::fake_cc(&cc, behaviour);
        let compared = space.compile(&format!("{} -c a.c", cc.display()));
        compared.assert_same_as_local();
        assert_eq!(compared.via.code, code, "{compared}");
    }
}
