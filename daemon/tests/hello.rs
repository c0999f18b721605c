//! The hello: whose daemon this is, and what it can do.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use common::{
    Daemon, NO_BOX, decode, folder, read_to_end, request, script, wait_for, wait_for_no_file,
};
use protocol::hello::{Compiler, Hello, HelloDecoder, Load, Question};
use protocol::{Limits, Version};

fn question() -> Vec<u8> {
    let client = b"a test".to_vec();
    Question { client }.encode().unwrap()
}

fn ask(daemon: &Daemon) -> Hello {
    let bytes = daemon.talk(&question());
    let decoder = HelloDecoder::new(Limits::for_launcher());
    match decoder.decode_all(&bytes) {
        Ok(hello) => hello,
        Err(error) => panic!("{error}: {}\n{}", bytes.escape_ascii(), daemon.log()),
    }
}

fn named<'a>(hello: &'a Hello, name: &str) -> Option<&'a Compiler> {
    hello
        .compilers
        .iter()
        .find(|compiler| compiler.name == name.as_bytes())
}

/// The answer in which `name` has this ident: a daemon does not keep anybody waiting for what it is still asking.
fn ask_until(daemon: &Daemon, name: &str, ident: &[u8]) -> Hello {
    wait_for("a compiler's word", || {
        let hello = ask(daemon);
        let said = named(&hello, name).is_some_and(|compiler| compiler.ident.starts_with(ident));
        said.then_some(hello)
    })
}

/// Says what it is, and leaves a line in `log`.
fn compiler(path: &std::path::Path, version: &str, log: &std::path::Path) {
    let text = format!(
        "echo \"$1\" >> {}\ncase $1 in --version) echo 'gcc (Mine) {version}';; *) echo some-target;; esac\n",
        log.display()
    );
    script(path, &text);
}

#[test]
fn real_compilers_are_named() {
    let daemon = Daemon::with(&["--jobs", "7"], &[]);
    ask_until(&daemon, "clang", b"");
    let hello = ask_until(&daemon, "gcc", b"GCC: (");
    assert!(hello.daemon.starts_with(b"distcc-launchd "));
    assert!(hello.takes(Version::Launch) && hello.takes(Version::Pump));
    assert_eq!(hello.jobs, Some(7));
    assert_eq!(hello.load, Some(Load { free: 7, queue: 0 }));
    let gcc = named(&hello, "gcc").unwrap();
    assert!(
        gcc.ident.starts_with(b"GCC: ("),
        "{}",
        gcc.ident.escape_ascii()
    );
    assert_eq!(named(&hello, "/usr/bin/gcc"), None, "gcc is the same");
    let clang = named(&hello, "clang").unwrap();
    assert!(clang.ident.windows(13).any(|part| part == b"clang version"));
    // The object says the same.
    let outcome = daemon.compile(&request(Version::Plain, &["gcc", "-c", "a.c"], "int x;\n"));
    let object = common::bytes(outcome.object);
    let facts = compiler::object::inspect(&object).unwrap();
    assert_eq!(facts.comments, [&gcc.ident[..]]);
    daemon.end();
}

#[test]
fn compilers_are_asked_once_and_again_when_they_change() {
    let (bin, files) = (folder(), folder());
    let (gcc, log) = (bin.path().join("gcc"), files.path().join("log"));
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    compiler(&gcc, "1.0", &log);
    symlink("gcc", bin.path().join("cc")).unwrap();
    script(&bin.path().join("clang"), "exit 1\n");
    let path = format!("{}:/no/bin", bin.path().display());
    let daemon = Daemon::with(&[NO_BOX], &[("DISTCCD_PATH", OsStr::new(&path))]);
    let asked = || fs::read_to_string(&log).unwrap().lines().count();
    let hello = ask_until(&daemon, "gcc", b"GCC: (Mine) 1.0");
    assert_eq!(named(&hello, "cc").unwrap().triple, b"some-target");
    assert_eq!(named(&hello, "clang"), None);
    assert!(!hello.all_compilers, "clang is not among them");
    let whole = gcc.to_str().unwrap();
    assert_eq!(named(&hello, whole).unwrap().ident, b"GCC: (Mine) 1.0");
    let first = asked();
    assert_eq!(ask(&daemon).compilers, hello.compilers);
    assert_eq!(asked(), first);

    compiler(&gcc, "2.0 of another length", &log);
    // What it was is not said for what it is.
    ask_until(&daemon, "gcc", b"GCC: (Mine) 2.0 of another length");
    assert!(asked() > first);
    assert!(
        !daemon.log().contains("dcc_job_summary"),
        "a hello is no job"
    );
    daemon.end();
}

#[test]
fn a_compiler_that_hangs_holds_up_nobody_for_long() {
    let bin = folder();
    script(&bin.path().join("clang"), "exec /bin/sleep 1000\n");
    symlink("/usr/bin/gcc", bin.path().join("gcc")).unwrap();
    let daemon = Daemon::with(&[], &[("DISTCCD_PATH", bin.path().as_os_str())]);
    let hello = ask_until(&daemon, "gcc", b"");
    assert!(named(&hello, "gcc").is_some() && named(&hello, "clang").is_none());
    assert!(!hello.all_compilers);
    daemon.end();
}

#[test]
fn strangers_and_garbled_questions_get_nothing() {
    let daemon = Daemon::with(&["--allow", "10.254.0.1"], &[]);
    assert!(daemon.talk(&question()).is_empty());
    assert!(daemon.log().contains("is not on the access list"));
    daemon.end();
    let daemon = Daemon::start();
    for bytes in [
        &b"DIST64636c00"[..],
        b"DIST64636c00HELO00000005",
        b"DIST64636c00HELO00000002x\n",
        b"DIST64636c00HELO7fffffff",
        b"DIST64636c00ARGC00000001",
        b"DIST64636c03",
        b"DIST64636cff",
    ] {
        assert!(
            daemon.talk_and_stop(bytes).is_empty(),
            "{}",
            bytes.escape_ascii()
        );
    }
    daemon.assert_serves();
    daemon.end();
}

#[test]
fn many_ask_at_once() {
    let daemon = Daemon::with(&["--jobs", "1"], &[]);
    let answers: Vec<Hello> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20).map(|_| scope.spawn(|| ask(&daemon))).collect();
        asking
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(answers.iter().all(|hello| hello.takes(Version::Launch)));
    ask_until(&daemon, "gcc", b"GCC: (");
    daemon.end();
}

#[test]
fn who_is_busy_says_so_at_once() {
    let bin = folder();
    let open = bin.path().join("open");
    let gcc = format!(
        "case $* in *--version*) echo 'gcc (Mine) 1';; *-c*) while ! [ -e {} ]; do /bin/sleep 0.01; done;; *) echo some-target;; esac\n",
        open.display()
    );
    script(&bin.path().join("gcc"), &gcc);
    let path = [("DISTCCD_PATH", bin.path().as_os_str())];
    let daemon = Daemon::with(&["--jobs", "1", NO_BOX], &path);
    let load = |free, queue| Some(Load { free, queue });
    let job = request(Version::Plain, &["gcc", "-c", "a.c"], "int x;\n");
    let mut streams = Vec::new();
    // One at work, and a full queue.
    for busy in [load(0, 0), load(0, 1), load(0, 2), load(0, 3), load(0, 4)] {
        let mut stream = daemon.connect();
        stream.write_all(&job.encode().unwrap()).unwrap();
        streams.push(stream);
        wait_for("the load", || (ask(&daemon).load == busy).then_some(()));
    }
    assert!(ask(&daemon).all_compilers);
    fs::write(open, "").unwrap();
    for mut stream in streams {
        assert!(
            decode(Version::Plain, &read_to_end(&mut stream))
                .status
                .success()
        );
    }
    wait_for("free slots", || {
        (ask(&daemon).load == load(1, 0)).then_some(())
    });
    daemon.end();
}

#[test]
fn it_is_answered_on_standard_output_too() {
    use std::process::{Command, Stdio};
    let tmp = folder();
    let mut child = Command::new(common::PROGRAM)
        .args(["--inetd", "--enable-tcp-insecure", "--log-stderr"])
        .env("TMPDIR", tmp.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&question()).unwrap();
    let bytes = common::read_to_end(&mut child.stdout.take().unwrap());
    let hello = HelloDecoder::new(Limits::for_launcher())
        .decode_all(&bytes)
        .unwrap();
    assert!(named(&hello, "gcc").is_some());
    assert!(!hello.all_compilers, "it runs any program");
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    wait_for_no_file(tmp.path());
}
