//! Surroundings that a build tool, a batch system or a careless shell may give a compile: limits, ignored signals, closed
//! streams, compilers that are no programs.

use tests::{Client, Farm, Space, script};

const SOURCES: [(&str, &str); 2] = [
    ("a.c", "int answer(void) { return 42; }\n"),
    (
        "loop.c",
        "int g(int); int f(int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += g(a[i]); return s; }\n",
    ),
];

#[test]
fn a_journal_past_the_limit_for_files_ends_nothing() {
    let farm = Farm::ours(1);
    let journal = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    journal.as_file().set_len(4 << 20).expect("it can grow");
    let space = farm
        .space(SOURCES)
        .client_env("DISTCC_LAUNCH_JOURNAL", journal.path());
    for command in ["-c a.c", "-E a.c"] {
        space
            .shell(&format!("ulimit -f 1000; $L gcc {command}"))
            .assert_same_as_local();
    }
}

/// Whoever ignores the end of children hands that on, and then nobody can wait for his own.
#[test]
fn an_ignored_end_of_children_stays_ours() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    let ignoring = "perl -e '$SIG{CHLD}=\"IGNORE\"; exec @ARGV' --";
    space
        .shell(&format!("{ignoring} $L gcc -c a.c"))
        .assert_same_as_local()
        .assert_remote();
    let cc = space.root().join("home/gcc");
    tests::fake_cc(&cc, "grep -E 'SigBlk|SigIgn' /proc/self/status");
    space
        .shell(&format!("{ignoring} $L {} -E a.c", cc.display()))
        .assert_same_as_local()
        .assert_here();
}

#[test]
fn closed_streams_are_closed_for_the_compiler_too() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        space
            .shell(&format!("$L gcc -c a.c {closed}"))
            .assert_same_as_local()
            .assert_remote();
        space
            .shell(&format!("$L gcc -E a.c {closed}"))
            .assert_same_as_local()
            .assert_here();
    }
}

#[test]
fn few_descriptors_are_enough() {
    let farm = Farm::ours(1);
    let space = farm
        .space(SOURCES)
        .hosts(&format!("127.0.0.1:1/500 {}", farm.hosts("/500")));
    space
        .shell("ulimit -n 20; $L gcc -c a.c")
        .assert_same_as_local()
        .assert_remote();
    space
        .shell("ulimit -n 8; $L gcc -c a.c")
        .assert_same_as_local();
}

/// It answers as gcc and its objects name gcc, but what it adds to the words would be lost on the way.
#[test]
fn a_compiler_that_is_a_script_runs_here() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    let folder = space.root().join("home");
    script(&folder.join("gcc"), "exec /usr/bin/gcc -O3 -fno-plt \"$@\"");
    for name in ["gcc", &folder.join("gcc").display().to_string()] {
        space
            .shell(&format!(
                "PATH={}:$PATH; $L {name} -c loop.c",
                folder.display()
            ))
            .assert_same_as_local()
            .assert_local("compiler-script");
    }
}

#[test]
fn a_folder_for_locks_that_is_a_file_is_told_in_the_journal() {
    let farm = Farm::ours(1);
    let space = Space::new(SOURCES).hosts(&farm.hosts("")).setup(": > file");
    let file = space.work().join("file");
    let space = space.client_env("DISTCC_DIR", file);
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_local("no-folder");
}

/// For each client that must pass: stock's own shows that no more is asked than scripts have had.
fn as_distcc(farm: &Farm) -> [Space; 2] {
    [Client::stock(), Client::ours().called("distcc")].map(|client| {
        let space = farm
            .space(SOURCES)
            .file("error.c", "#error on purpose\n")
            .client(client)
            .client_env("DISTCC_LOG", "")
            .client_env("DISTCC_VERBOSE", "0");
        space.renew();
        space
    })
}

#[test]
fn a_bad_limit_for_waits_concerns_only_what_is_sent() {
    let farm = Farm::stock(1);
    for space in as_distcc(&farm) {
        let space = space.client_env("DISTCC_IO_TIMEOUT", "0");
        assert_eq!(space.run("gcc -c a.c").code(), 101);
        assert_eq!(space.run("gcc -E a.c").code(), 0);
        assert_eq!(space.run("--show-hosts").code(), 0);
        let space = space.client_env("DISTCC_IO_TIMEOUT", "9s");
        assert_eq!(space.run("gcc -c a.c").code(), 0);
    }
}

#[test]
fn without_the_local_retry_a_source_that_cannot_be_preprocessed_is_done_with() {
    let farm = Farm::stock(1);
    for space in as_distcc(&farm) {
        let space = space.client_env("DISTCC_SKIP_LOCAL_RETRY", "1");
        let ran = space.run("gcc -c error.c");
        assert_eq!(ran.code(), 1);
        assert_eq!(ran.err().matches("on purpose").count(), 2, "{}", ran.err());
        assert!(!ran.err().contains("locally"), "{}", ran.err());
    }
}

#[test]
fn a_log_that_cannot_be_opened_does_not_spill_over() {
    let farm = Farm::stock(1);
    for space in as_distcc(&farm) {
        let space = space.client_env("DISTCC_LOG", "/no/such/log");
        let ran = space.run("gcc -c a.c");
        assert_eq!(ran.code(), 0);
        assert_eq!(ran.err().lines().count(), 1, "{}", ran.err());
    }
}

/// `script` gives the compiler a terminal of its own, where it colours what it says.
#[test]
fn a_terminal_sees_the_colours_of_a_local_compile() {
    let farm = Farm::ours(1);
    let space = farm.space([
        ("quiet.c", "int answer(void) { return 42; }\n"),
        ("warned.c", "int f(void) { int unused; return 1; }\n"),
        ("wrong.c", "int f(void) { return ; nonsense }\n"),
    ]);
    let compile = |set: &str, command: &str| {
        space.shell(&format!(
            "{set} TERM=xterm script -qec \"$L {command}\" /dev/null </dev/null"
        ))
    };
    for (set, command) in [
        ("", "gcc -Wall -c warned.c"),
        ("", "clang -Wall -c warned.c"),
        ("GCC_COLORS=warning=34", "gcc -Wall -c warned.c"),
        ("", "gcc -fdiagnostics-color=never -Wall -c warned.c"),
        ("", "clang -c wrong.c"),
    ] {
        compile(set, command).assert_same_as_local();
    }
    compile("", "gcc -Wall -c quiet.c")
        .assert_same_as_local()
        .assert_remote();
}
