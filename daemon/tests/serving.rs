//! Who is served what: access, compilers, words, statistics, and standard input.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use common::{
    Daemon, PROGRAM, bytes, decode, folder, read_to_end, request, script, text, wait_for,
};
use protocol::Version;

const OBJECT: [&str; 5] = ["gcc", "-c", "a.c", "-o", "a.o"];

#[test]
fn strangers_are_closed_without_a_byte() {
    let daemon = Daemon::with(&["--allow", "10.254.0.0/16"], &[]);
    let raw = request(Version::Plain, &OBJECT, "int x;\n")
        .encode()
        .unwrap();
    assert!(daemon.talk(&raw).is_empty());
    wait_for("the log", || {
        daemon.log().contains("access list").then_some(())
    });
    daemon.end();
    let daemon = Daemon::with(&["--allow=10.254.0.0/16", "-a", "127.0.0.0/8"], &[]);
    daemon.assert_serves();
    daemon.end();
    let daemon = Daemon::with(&["--allow=10.254.0.0/16", "--allow-private"], &[]);
    daemon.assert_serves();
    daemon.end();
}

#[test]
fn refused_requests_get_a_sentence() {
    let daemon = Daemon::start();
    for (code, words, said) in [
        (110, &["sh", "-c", "a.c", "-o", "a.o"][..], "sh"),
        (110, &["/bin/sh", "-c", "a.c"], "/bin/sh"),
        (
            110,
            &["/usr/bin/../bin/gcc", "-c", "a.c"],
            "/usr/bin/../bin/gcc",
        ),
        (110, &["distcc", "-c", "a.c"], "distcc"),
        (110, &["", "-c", "a.c"], "no compiler"),
        (
            100,
            &["gcc", "-wrapper", "/bin/sh", "-c", "a.c"],
            "-wrapper",
        ),
        (100, &["gcc", "-fplugin=x.so", "-c", "a.c"], "-fplugin=x.so"),
        (100, &["gcc", "@words", "-c", "a.c"], "@words"),
        (100, &["gcc", "a.c", "-o", "a"], "-c"),
        (100, &["gcc", "-c", "a.c", "b.c"], "b.c"),
        (100, &["gcc", "-c"], "source"),
    ] {
        for version in [Version::Plain, Version::Lzo] {
            let outcome = daemon.compile(&request(version, words, "int x;\n"));
            assert_eq!(outcome.status.exit_code(), Some(code), "{words:?}");
            assert!(outcome.object.wire().is_empty() && outcome.stdout.wire().is_empty());
            let stderr = text(outcome.stderr);
            assert!(
                stderr.starts_with("distcc-launchd: refused: ") && stderr.contains(said),
                "{words:?}: {stderr}"
            );
        }
    }
    assert!(daemon.log().contains(" OTHER exit:0 sig:0 core:0 ret:100 "));
    daemon.end();
}

/// Some that start daemons ignore the end of their children, and that is inherited.
#[test]
fn an_ignored_end_of_children_does_not_matter() {
    let mut command = std::process::Command::new("perl");
    command.args(["-e", "$SIG{CHLD}='IGNORE'; exec @ARGV", common::PROGRAM]);
    let daemon = Daemon::by(command, &[], &[]);
    daemon.assert_serves();
    daemon.end();
}

#[test]
fn insecure_runs_any_program() {
    let daemon = Daemon::with(&["--enable-tcp-insecure"], &[]);
    for (program, code) in [("true", 0), ("false", 1), ("/bin/false", 1)] {
        let outcome = daemon.compile(&request(Version::Plain, &[program, "-c", "a.c"], ""));
        assert_eq!(outcome.status.exit_code(), Some(code), "{program}");
        assert!(outcome.object.wire().is_empty());
    }
    daemon.end();
}

#[test]
fn compilers_end_in_every_way() {
    let folder = folder();
    script(&folder.path().join("gcc"), "kill -SEGV $$\n");
    script(&folder.path().join("clang"), "echo object > a.o\nexit 77\n");
    let mut path = folder.path().as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    let daemon = Daemon::with(&[], &[("DISTCCD_PATH", &path)]);
    let outcome = daemon.compile(&request(Version::Plain, &OBJECT, ""));
    assert_eq!(outcome.status.signal(), Some(11));
    let outcome = daemon.compile(&request(Version::Plain, &["clang", "-c", "a.c"], ""));
    assert_eq!(outcome.status.exit_code(), Some(77));
    assert!(outcome.object.wire().is_empty());
    fs::remove_file(folder.path().join("gcc")).unwrap();
    let outcome = daemon.compile(&request(Version::Plain, &OBJECT, ""));
    assert_eq!(outcome.status.exit_code(), Some(110));
    assert!(text(outcome.stderr).contains("could not start"));
    daemon.end();
}

#[test]
fn compilers_get_only_what_they_need() {
    let folder = folder();
    script(
        &folder.path().join("gcc"),
        "env\nls -l /proc/self/fd | sed 's/.* -> /fd -> /'\ncat\npwd >&2\nuntil [ $(nice) = $SOME_NICENESS ]; do :; done\n",
    );
    let mut path = folder.path().as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    let nice = Command::new("nice").output().unwrap().stdout;
    let nice: i32 = String::from_utf8(nice).unwrap().trim().parse().unwrap();
    let niceness = (nice + 3).min(19).to_string();
    let daemon = Daemon::with(
        &[
            "--nice=3",
            "--pass-env=LIBRARY_PATH",
            "--pass-env=SOME_NICENESS",
            common::NO_BOX,
        ],
        &[
            ("SOME_NICENESS", OsStr::new(&niceness)),
            ("DISTCCD_PATH", &path),
            ("DEPENDENCIES_OUTPUT", OsStr::new("/nowhere/deps")),
            ("LIBRARY_PATH", OsStr::new("/passed")),
            ("SOME_VARIABLE", OsStr::new("not passed")),
            ("LC_TIME", OsStr::new("C")),
        ],
    );
    let outcome = daemon.compile(&request(Version::Plain, &OBJECT, ""));
    let (stdout, stderr) = (text(outcome.stdout), text(outcome.stderr));
    let folder = stderr.trim_end();
    assert!(
        folder.starts_with(daemon.tmp.path().to_str().unwrap()),
        "{stderr}"
    );
    for line in [
        "_DISTCC_SAFEGUARD=1",
        "LC_TIME=C",
        "LIBRARY_PATH=/passed",
        &format!("TMPDIR={folder}"),
    ] {
        assert!(
            stdout.lines().any(|found| found == line),
            "{line} is not in {stdout}"
        );
    }
    assert!(stdout.contains(&format!("\nPATH={}\n", path.to_str().unwrap())));
    assert!(!stdout.contains("DEPENDENCIES_OUTPUT") && !stdout.contains("SOME_VARIABLE"));
    // Standard input is empty, and beside the three descriptors there is only the one by which ls reads the folder.
    let open: Vec<&str> = stdout
        .lines()
        .filter(|line| line.starts_with("fd -> "))
        .collect();
    assert!(
        open.iter()
            .all(|fd| !fd.contains("socket:") && !fd.contains("eventpoll")),
        "{open:?}"
    );
    assert!(open.len() <= 4, "{open:?}");
    daemon.end();
}

#[test]
fn temporary_names_do_not_reach_objects() {
    let daemon = Daemon::start();
    // Without line markers the compiler knows the file's own name only, and its own folder.
    let source = "struct S { S(); }; static S s;\n";
    for compiler in ["g++", "clang++"] {
        for debug in ["-g0", "-g", "-gdwarf-4"] {
            let words = [compiler, "-O1", debug, "-c", "dir/x.cc", "-o", "x.o"];
            let job = request(Version::Plain, &words, source);
            let [one, two] = [(); 2].map(|()| bytes(daemon.compile(&job).object));
            assert!(
                !one.is_empty() && one == two,
                "{words:?}: different objects"
            );
            let contains = |text: &[u8]| one.windows(text.len()).any(|window| window == text);
            assert!(
                contains(b"x.ii") && !contains(b"distcc-launchd_"),
                "{words:?}"
            );
        }
    }
    daemon.end();
}

#[test]
fn statistics_are_those_of_stock() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let daemon = Daemon::with(
        &["--stats", "--stats-port", &port.to_string(), "--jobs=3"],
        &[],
    );
    daemon.assert_serves();
    assert!(daemon.talk(b"DIST00000009").is_empty());
    let page = wait_for("the page", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page.contains("dcc_rej_bad_req 1\n").then_some(page)
    });
    assert!(page.starts_with(
        "HTTP/1.0 200 OK\nContent-Type: text/plain\nConnection: close\n\nargv /distccd\n"
    ));
    for line in [
        "dcc_tcp_accept 2",
        "dcc_compile_ok 1",
        "dcc_max_kids 3",
        "dcc_longest_job a.c",
        "dcc_num_compiles1 1",
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "{line} is not in {page}"
        );
    }
    // A peer that asks for nothing gets it too.
    let page = read_to_end(&mut TcpStream::connect(("127.0.0.1", port)).unwrap());
    assert!(page.ends_with(b"</distccstats>\n"));
    daemon.end();
}

fn inetd(
    input: impl Into<Stdio>,
    output: impl Into<Stdio>,
    tmp: &std::path::Path,
) -> std::process::Child {
    Command::new(PROGRAM)
        .args(["--inetd", "--enable-tcp-insecure", "--log-stderr"])
        .env("TMPDIR", tmp)
        .stdin(input)
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// As stock's ssh mode starts it.
#[test]
fn one_job_on_a_socket_pair() {
    let tmp = folder();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let input = OwnedFd::from(theirs.try_clone().unwrap());
    let mut child = inetd(input, OwnedFd::from(theirs), tmp.path());
    ours.write_all(&request(Version::Lzo, &OBJECT, "int x;\n").encode().unwrap())
        .unwrap();
    let outcome = decode(Version::Lzo, &read_to_end(&mut ours));
    assert!(outcome.status.success() && !outcome.object.wire().is_empty());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
}

#[test]
fn one_job_on_pipes() {
    let tmp = folder();
    let mut child = inetd(Stdio::piped(), Stdio::piped(), tmp.path());
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(
            &request(Version::Plain, &OBJECT, "int x;\n")
                .encode()
                .unwrap(),
        )
        .unwrap();
    let outcome = decode(
        Version::Plain,
        &read_to_end(&mut child.stdout.take().unwrap()),
    );
    assert!(outcome.status.success() && !outcome.object.wire().is_empty());
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
}

#[test]
fn one_job_on_files() {
    let tmp = folder();
    let files = folder();
    let path = |name: &str| files.path().join(name);
    fs::write(
        path("in"),
        request(Version::Plain, &OBJECT, "int x;\n")
            .encode()
            .unwrap(),
    )
    .unwrap();
    let mut child = inetd(
        fs::File::open(path("in")).unwrap(),
        fs::File::create(path("out")).unwrap(),
        tmp.path(),
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(
        decode(Version::Plain, &fs::read(path("out")).unwrap())
            .status
            .success()
    );
    assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
}

#[test]
fn standard_input_that_is_a_socket_means_inetd() {
    let tmp = folder();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut child = Command::new(PROGRAM)
        .env("TMPDIR", tmp.path())
        .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
        .stdout(OwnedFd::from(theirs.try_clone().unwrap()))
        .stderr(OwnedFd::from(theirs))
        .arg("--log-stderr")
        .spawn()
        .unwrap();
    ours.write_all(
        &request(Version::Plain, &OBJECT, "int x;\n")
            .encode()
            .unwrap(),
    )
    .unwrap();
    // Not a byte of the log is among the answer's.
    assert!(
        decode(Version::Plain, &read_to_end(&mut ours))
            .status
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_garbled_peer_of_inetd_gets_nothing() {
    let tmp = folder();
    let mut child = inetd(Stdio::piped(), Stdio::piped(), tmp.path());
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"SSH-2.0-nonsense\r\n")
        .unwrap();
    assert!(read_to_end(&mut child.stdout.take().unwrap()).is_empty());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn root_is_given_up() {
    let daemon = Daemon::with(&["--user", "nobody"], &[]);
    // The port is announced by root, and served by the other.
    daemon.assert_serves();
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap().split_whitespace().collect::<Vec<_>>()
    };
    if rustix::process::geteuid().is_root() {
        assert!(line("Uid:").iter().all(|id| *id != "0"), "{status}");
        assert!(line("Gid:").iter().all(|id| *id != "0"), "{status}");
        assert!(line("Groups:").is_empty(), "{status}");
        for thread in fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap() {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            assert!(!status.contains("Uid:\t0"), "{status}");
        }
    } else {
        assert!(daemon.log().contains("--user nobody is ignored"));
    }
    assert_eq!(line("NoNewPrivs:"), ["1"]);
    daemon.end();
}
