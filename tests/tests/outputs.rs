//! Where results go: onto nothing, files, links, devices, pipes, folders; with which mode; and what happens when there
//! is no room.  The object and all that the command leaves are what the local compiler leaves.

use tests::{Farm, LyingServer, Make, Reply, Space, side_by_side};

const SOURCES: [(&str, &str); 3] = [
    ("a.c", "int answer(void) { return 42; }\n"),
    ("sub/b.c", "int b;\n"),
    ("warn.c", "int f(void) { int unused; return 1; }\n"),
];

/// A set-up and a script in which `$L` is the launcher.
struct Case {
    setup: &'static str,
    script: &'static str,
}

const fn case(setup: &'static str, script: &'static str) -> Case {
    Case { setup, script }
}

#[rustfmt::skip]
const AS_ROOT: &[Case] = &[
    // Places that exist.
    case("echo old > a.o",                              "$L gcc -c a.c"),
    case("echo old > a.o; chmod 600 a.o",               "$L gcc -c a.c"),
    case("echo old > a.o; chmod 755 a.o",               "$L gcc -c a.c"),
    case("echo old > a.o; chmod 400 a.o",               "$L gcc -c a.c"),
    case("echo old > a.o; chmod 4755 a.o",              "$L gcc -c a.c"),
    case(": > a.o; chmod 600 a.o",                      "$L gcc -c a.c"),
    case("head -c 100000 /dev/zero > a.o",              "$L gcc -c a.c"),
    case("echo old > a.o; ln a.o twin.o",               "$L gcc -c a.c"),
    case(": > a.o; ln a.o twin.o",                      "$L gcc -c a.c"),
    case("echo old > a.s; ln a.s twin.s; chmod 640 a.s", "$L gcc -S a.c"),
    case("echo old > real.o; ln -s real.o a.o",         "$L gcc -c a.c"),
    case(": > real.o; ln -s real.o a.o",                "$L gcc -c a.c"),
    case("ln -s nowhere.o a.o",                         "$L gcc -c a.c"),
    case("ln -s nowhere/at/all.o a.o",                  "$L gcc -c a.c"),
    case("ln -s a.o a.o",                               "$L gcc -c a.c"),
    case("ln -s one.o two.o; ln -s two.o a.o; echo old > one.o", "$L gcc -c a.c"),
    case("mkdir real; ln -s real obj",                  "$L gcc -c a.c -o obj/a.o"),
    case("mkdir a.o",                                   "$L gcc -c a.c"),
    case("mkdir real; ln -s real a.o",                  "$L gcc -c a.c"),
    case("ln -s /dev/null a.o",                         "$L gcc -c a.c"),
    case("",                                            "$L gcc -c a.c -o /dev/null"),
    case("",                                            "$L gcc -S a.c -o /dev/null"),
    case("",                                            "$L gcc -MD -c a.c -o /dev/null -MF a.d"),
    case("",                                            "$L gcc -MD -MF /dev/null -c a.c"),
    case("",                                            "$L gcc -S a.c -o /dev/stdout"),
    case("",                                            "$L gcc -S a.c -o -"),
    case("",                                            "$L gcc -c a.c -o -"),
    case("mknod null c 1 3",                            "$L gcc -c a.c -o null"),
    case("mknod full c 1 7",                            "$L gcc -c a.c -o full 2>&1 | wc -l > lines; exit 0"),
    // Names.
    case("",                                            "$L gcc -c a.c -o a.c"),
    case("",                                            "$L gcc -c a.c -o ''"),
    case("",                                            "$L gcc -c a.c -o"),
    case("mkdir obj",                                   "$L gcc -c a.c -o obj/"),
    case("mkdir obj",                                   "$L gcc -c a.c -o obj"),
    case("mkdir obj",                                   "$L gcc -c a.c -o ./obj/../obj//a.o"),
    case("mkdir obj",                                   "$L gcc -c a.c -oobj/a.o"),
    case("",                                            "$L gcc -c a.c -o -x.o"),
    case("",                                            "$L gcc -c a.c -o \"$PWD/a.o\""),
    case("",                                            "$L gcc -c a.c -o one.o -o two.o"),
    case("",                                            "$L gcc -c a.c -o a"),
    case("",                                            "$L gcc -c a.c -o a.weird.name"),
    case("",                                            "$L gcc -c sub/b.c"),
    case("",                                            "$L gcc -c ./sub/../a.c"),
    case("",                                            "$L gcc -c \"$PWD/a.c\""),
    case("",                                            "cd sub && $L gcc -c ../a.c"),
    // Places that do not exist: no folder is made.
    case("",                                            "$L gcc -c a.c -o new/a.o"),
    case("",                                            "$L gcc -S a.c -o new/deep/a.s"),
    case("",                                            "$L gcc -c a.c -MD -MF new/a.d"),
    case("",                                            "$L gcc -c a.c -MD -o new/a.o"),
    case("",                                            "$L clang -c a.c -o new/a.o"),
    case("",                                            "$L gcc -c a.c -o a.c/a.o"),
    case("mkdir gone",                                  "cd gone && rmdir ../gone && $L gcc -c ../a.c -o /dev/null 2> /dev/null"),
    // Modes of what is new.
    case("",                                            "umask 077; $L gcc -c a.c"),
    case("",                                            "umask 002; $L gcc -c a.c"),
    case("",                                            "umask 000; $L gcc -c a.c; $L gcc -S a.c"),
    case("",                                            "umask 777; $L gcc -c a.c"),
    case("echo old > a.o; chmod 644 a.o",               "umask 077; $L gcc -c a.c"),
    case("",                                            "umask 027; $L gcc -MD -c a.c"),
    case("",                                            "umask 027; $L clang -MD -c a.c"),
    case("echo old > a.d; chmod 600 a.d",               "$L gcc -MD -c a.c"),
    // A file that may not grow, a process that may not open much.
    case("",                                            "ulimit -n 12; $L gcc -c a.c"),
    case("",                                            "$L gcc -c a.c <&-"),
    case("",                                            "$L gcc -c a.c >&-"),
    case("",                                            "$L gcc -c a.c 2>&-"),
    case("",                                            "$L gcc -c a.c <&- >&- 2>&-"),
    // What clang does in these places differs from gcc.
    case("echo old > a.o; chmod 400 a.o",               "$L clang -c a.c"),
    case("echo old > a.o; ln a.o twin.o",               "$L clang -c a.c"),
    case("echo old > real.o; ln -s real.o a.o",         "$L clang -c a.c"),
    case("ln -s nowhere.o a.o",                         "$L clang -c a.c"),
    case("ln -s a.o a.o",                               "$L clang -c a.c"),
    case("",                                            "$L clang -c a.c -o a.c"),
    case("",                                            "$L gcc -c ./a.c -o \"$PWD/a.c\""),
    case("mkdir a.o",                                   "$L clang -c a.c"),
    case("",                                            "umask 077; $L clang -c a.c"),
    case("",                                            "$L clang -c a.c -o /dev/null"),
    case("",                                            "$L clang -c a.c -o new/a.o"),
];

/// As a user whom modes hold back.
#[rustfmt::skip]
const AS_NOBODY: &[Case] = &[
    case("",                                            "$L gcc -c a.c"),
    case("chmod 000 a.c",                               "$L gcc -c a.c"),
    case("chmod 000 a.c",                               "$L clang -c a.c"),
    case("chmod 000 sub",                               "$L gcc -c sub/b.c"),
    case("echo old > a.o; chmod 400 a.o",               "$L gcc -c a.c"),
    case("echo old > a.o; chmod 000 a.o",               "$L gcc -c a.c"),
    case("echo old > a.o; chmod 400 a.o",               "$L clang -c a.c"),
    case(": > a.o; chmod 400 a.o",                      "$L gcc -c a.c"),
    case("echo old > real.o; chmod 400 real.o; ln -s real.o a.o", "$L gcc -c a.c"),
    case("mkdir obj; chmod 555 obj",                    "$L gcc -c a.c -o obj/a.o"),
    case("mkdir obj; echo old > obj/a.o; chmod 555 obj", "$L gcc -c a.c -o obj/a.o"),
    case("mkdir obj; echo old > obj/a.o; chmod 444 obj/a.o; chmod 555 obj", "$L gcc -c a.c -o obj/a.o"),
    case("mkdir obj; echo old > obj/a.o; chmod 555 obj", "$L clang -c a.c -o obj/a.o"),
    case("mkdir obj; chmod 555 obj",                    "$L gcc -c a.c -MD -MF obj/a.d"),
    case("mkdir obj; chmod 000 obj",                    "$L gcc -c a.c -o obj/a.o"),
    case("mkdir d; chmod 1777 d; echo old > d/a.o",     "$L gcc -c a.c -o d/a.o"),
    case("",                                            "$L gcc -c a.c -o /root/a.o"),
    case("",                                            "$L gcc -c a.c -o /proc/a.o"),
    case("",                                            "chmod 311 .; $L gcc -c a.c; s=$?; chmod 755 .; exit $s"),
];

fn every_case(make: Make, cases: &'static [Case], nobody: bool) {
    let farm = Farm::with(make, 1, &[]);
    let failed = std::sync::Mutex::new(Vec::new());
    side_by_side(cases, |Case { setup, script }| {
        let space = farm.space(SOURCES).setup(setup);
        let space = if nobody { space.as_nobody() } else { space };
        let compared = space.shell(script);
        let found = compared.local.differences(&compared.via);
        if !found.is_empty() {
            failed
                .lock()
                .unwrap()
                .push(format!("{setup} | {script}: {found:#?}\n{compared}"));
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {} differ:\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n\n")
    );
}

#[test]
fn every_place_with_our_daemon() {
    every_case(Make::Ours, AS_ROOT, false);
}

#[test]
fn every_place_with_stock_daemon() {
    every_case(Make::Stock, AS_ROOT, false);
}

#[test]
fn every_place_that_modes_guard() {
    every_case(Make::Ours, AS_NOBODY, true);
}

#[test]
fn ordinary_places_are_reached_from_afar() {
    let farm = Farm::ours(1);
    for (setup, script) in [
        ("", "$L gcc -c a.c"),
        ("echo old > a.o", "$L gcc -c a.c"),
        ("", "$L gcc -c a.c -o /dev/null"),
        ("echo old > real.o; ln -s real.o a.o", "$L gcc -c a.c"),
        ("", "umask 077; $L gcc -c a.c"),
        ("", "$L gcc -MD -c a.c"),
    ] {
        farm.space(SOURCES)
            .setup(setup)
            .shell(script)
            .assert_same_as_local()
            .assert_remote();
    }
}

/// A reader gets the bytes that a local compiler would have sent through the pipe.
#[test]
fn a_pipe_takes_the_object() {
    let farm = Farm::ours(1);
    for script in [
        "cat p > got & $L gcc -c a.c -o p; s=$?; wait; exit $s",
        "cat p > got & $L gcc -S a.c -o p; s=$?; wait; exit $s",
        "cat p > got & $L clang -c a.c -o p; s=$?; wait; exit $s",
    ] {
        let space = farm.space(SOURCES).setup("mkfifo p");
        let plain = space.shell(script);
        // gas removes the pipe and makes a file, or writes through it, as its version likes: ours does the same.
        plain.assert_same_as_local();
    }
}

/// Breaking off the reply leaves pipes and devices untouched: they are written after all of it is in.
#[test]
fn a_pipe_sees_nothing_of_a_reply_that_broke_off() {
    let space = Space::new(SOURCES).setup("mkfifo p");
    let local = space
        .shell("cat p > got & $L gcc -S a.c -o p; s=$?; wait; exit $s")
        .local;
    let bytes = Reply {
        version: 1,
        object: b"# not this\n".repeat(1000),
        ..Reply::default()
    }
    .encode();
    let server = LyingServer::answering(bytes[..bytes.len() - 1].to_vec());
    let space = space.hosts(&server.host());
    let compared = space.shell("cat p > got & $L gcc -S a.c -o p; s=$?; wait; exit $s");
    assert_eq!(
        local.differences(&compared.via),
        Vec::<String>::new(),
        "{compared}"
    );
    compared.assert_fell_back();
}

/// The folder for temporary files is full: in a name space of its own, a small tmpfs is mounted over it.
#[test]
fn a_full_temporary_directory() {
    let full = "head -c 200k /dev/zero > $TMPDIR/fill 2> /dev/null";
    let mounted = |inner: &str| {
        format!(
            "exec unshare -m sh -c 'mount -t tmpfs -o size=64k none $TMPDIR && {{ {full}; {inner}; }}'"
        )
    };
    for make in [Make::Ours, Make::Stock] {
        let farm = Farm::with(make, 1, &[]);
        // With -pipe the compiler here needs no temporary file, and so must not fail through us.
        let compared = farm.space(SOURCES).shell(&mounted("$L gcc -pipe -c a.c"));
        compared.assert_same_as_local();
        assert_eq!(compared.via.code, 0);
        for command in [
            "$L gcc -pipe -Wall -c warn.c",
            "$L gcc -pipe -MD -c a.c",
            "$L clang -c a.c",
        ] {
            farm.space(SOURCES)
                .shell(&mounted(command))
                .assert_same_but_excerpts();
        }
        // Without it, gcc fails here; a host may still do it.  Either way no half object is left.
        let compared = farm.space(SOURCES).shell(&mounted("$L gcc -c a.c"));
        let good = Space::new(SOURCES).local("gcc -c a.c");
        match compared.via.code {
            0 => assert_eq!(compared.via.bytes("a.o"), good.bytes("a.o")),
            code => assert_eq!(
                (code, compared.via.files.len()),
                (compared.local.code, compared.local.files.len())
            ),
        }
    }
}

#[test]
fn a_temporary_directory_that_is_none() {
    let farm = Farm::ours(1);
    for value in ["/nonexistent", "", "/dev/null", "."] {
        let space = farm.space(SOURCES).env("TMPDIR", value);
        space.compile("gcc -c a.c").assert_same_as_local();
        space
            .compile("gcc -pipe -Wall -c warn.c")
            .assert_same_but_excerpts();
    }
}

/// No room for the object itself: fails as the local one fails, and leaves no piece of it.
#[test]
fn a_full_folder_for_the_object() {
    let script = "exec unshare -m sh -c 'mkdir full; mount -t tmpfs -o size=16k none full; \
                  head -c 100k /dev/zero > full/fill 2> /dev/null; \
                  $L gcc -c a.c -o full/a.o 2> /dev/null; s=$?; ls -s full | tail -n +2 > listing; umount full; exit $s'";
    for make in [Make::Ours, Make::Stock] {
        let farm = Farm::with(make, 1, &[]);
        let compared = farm.space(SOURCES).shell(script);
        assert_ne!(compared.local.code, 0);
        assert_eq!(compared.via.code, compared.local.code, "{compared}");
        let listing = String::from_utf8_lossy(compared.via.bytes("listing"));
        assert!(
            !listing.contains(".distcc") && !listing.contains("tmp"),
            "{listing}"
        );
    }
}

#[test]
fn a_limit_on_file_size() {
    let farm = Farm::ours(1);
    // Blocks of 512 bytes: the object is larger than one.
    let compared = farm
        .space(SOURCES)
        .shell("ulimit -f 1; $L gcc -pipe -c a.c 2> /dev/null");
    let piece = compared
        .via
        .files
        .iter()
        .find(|(name, _)| name.ends_with("a.o"));
    assert_ne!(compared.local.code, 0);
    assert_ne!(compared.via.code, 0, "{compared}");
    assert!(
        piece.is_none() || compared.local.files.len() == compared.via.files.len(),
        "{compared}"
    );
}
