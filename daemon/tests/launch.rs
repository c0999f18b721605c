//! Launch jobs: compiled as if in the client's directory, under the client's name for the source.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use common::{Daemon, NO_BOX, bytes, folder, is_running, script, text, wait_for, wait_for_no_file};
use protocol::{Body, Outcome, Request, Source, Version};

fn launch(cwd: &str, words: &[&str], source: &str) -> Request {
    Request {
        cwd: Some(cwd.as_bytes().to_vec()),
        ..common::request(Version::Launch, words, source)
    }
}

fn compile(daemon: &Daemon, cwd: &str, words: &[&str], source: &str) -> Outcome {
    let outcome = daemon.compile(&launch(cwd, words, source));
    assert_eq!(outcome.version, Version::Launch);
    outcome
}

fn local(program: &str, words: &[&str], cwd: &Path) -> Vec<u8> {
    let done = Command::new(program)
        .args(words)
        .current_dir(cwd)
        .env("PWD", cwd)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", done.stderr.escape_ascii());
    fs::read(cwd.join("a.o")).unwrap()
}

const C: &str = "#define TWICE(x) ((x) + (x)) // a comment\n#ifdef WANTED\nint f(int a) { return TWICE( a) + WANTED; }\n#endif\n";

/// The file itself is the text: it includes nothing.
#[test]
fn debug_information_is_that_of_a_local_compile() {
    let daemon = Daemon::start();
    let place = folder();
    let cwd = place.path().to_str().unwrap();
    fs::create_dir(place.path().join("src")).unwrap();
    fs::write(place.path().join("src/a.c"), C).unwrap();
    for debug in ["-g", "-g3", "-O1"] {
        for options in [
            &["-DWANTED=3"][..],
            &["-gdwarf-4", "-D", "WANTED=1", "-UOTHER"],
        ] {
            let words: Vec<&str> = [debug].into_iter().chain(options.iter().copied()).collect();
            let own: Vec<&str> = words
                .iter()
                .copied()
                .chain(["-c", "src/a.c", "-o", "a.o"])
                .collect();
            let expected = local("gcc", &own, place.path());
            // Another name for the folder of the source, mapped back; and the client's own.
            for (label, map) in [
                ("_d/a.c", Some("-ffile-prefix-map=_d/a.c=src/a.c")),
                ("src/a.c", None),
            ] {
                // gcc 12 lists a source that is mapped twice in version 4's table of files, unless a marker names it.
                if map.is_some() && debug == "-g3" && words.contains(&"-gdwarf-4") {
                    continue;
                }
                let sent: Vec<&str> = ["gcc"]
                    .into_iter()
                    .chain(words.iter().copied())
                    .chain(["-c", label, "-o", "a.o"])
                    .chain(map)
                    .collect();
                // As the launcher's text has it, except where macros are recorded.
                let text_of = match map {
                    Some(_) if debug != "-g3" => format!("# 1 \"src/a.c\"\n{C}"),
                    _ => C.to_owned(),
                };
                let outcome = compile(&daemon, cwd, &sent, &text_of);
                assert!(outcome.status.success(), "{}", text(outcome.stderr));
                assert!(bytes(outcome.object) == expected, "{sent:?}");
            }
        }
    }
    let own = ["-g", "-DWANTED=1", "-c", "src/a.c", "-o", "a.o"];
    let expected = local("clang", &own, place.path());
    let directory = format!("-fdebug-compilation-dir={cwd}");
    let sent: Vec<&str> = ["clang", &directory].into_iter().chain(own).collect();
    assert!(bytes(compile(&daemon, cwd, &sent, C).object) == expected);
    daemon.end();
}

#[test]
fn the_words_are_the_clients_but_for_the_output() {
    let (bin, daemon_files) = (folder(), folder());
    script(
        &bin.path().join("gcc"),
        "for word; do echo \"$word\"; done; echo \"$PWD\" >&2; /bin/pwd >&2; /bin/cat dir/x.cc >&2; echo object > out.o\n",
    );
    let sent = [
        "gcc",
        "-DX",
        "-x",
        "c++",
        "-c",
        "dir/x.cc",
        "-ofar/away.o",
        "-O2",
    ];
    // In the box the client's directory is there.
    let daemon = Daemon::with(&[], &[("DISTCCD_PATH", bin.path().as_os_str())]);
    let outcome = compile(&daemon, "/home/ann/build", &sent, "text\n");
    let (out, err) = (text(outcome.stdout), text(outcome.stderr));
    assert_eq!(err, "/home/ann/build\n/home/ann/build\ntext\n");
    let expected = ["-DX", "-x", "c++", "-c", "dir/x.cc", "-oout.o", "-O2"];
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    // A name that cannot be a directory's is told to the compiler.
    let outcome = compile(&daemon, "/home/../ann", &sent, "text\n");
    let out = text(outcome.stdout);
    assert!(
        out.ends_with("\n-fdebug-prefix-map=/job=/home/../ann\n"),
        "{out}"
    );
    daemon.end();
    // The folder's name is the one that TMPDIR has, also where that is a link.
    let link = daemon_files.path().join("link");
    let target = folder();
    std::os::unix::fs::symlink(target.path(), &link).unwrap();
    let daemon = Daemon::with(
        &[NO_BOX],
        &[
            ("DISTCCD_PATH", bin.path().as_os_str()),
            ("TMPDIR", link.as_os_str()),
        ],
    );
    let outcome = compile(&daemon, "/home/ann/build", &sent, "text\n");
    let (out, err) = (text(outcome.stdout), text(outcome.stderr));
    let pwd = err.lines().next().unwrap().to_owned();
    assert!(pwd.starts_with(link.to_str().unwrap()), "{err}");
    assert!(err.ends_with("text\n"), "{err}");
    let map = format!("-fdebug-prefix-map={pwd}=/home/ann/build");
    let expected = ["-DX", "-x", "c++", "-c", "dir/x.cc", "-oout.o", "-O2", &map];
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    assert_eq!(bytes(outcome.object), b"object\n");
    wait_for_no_file(target.path());
    let said = "COMPILE_OK exit:0 sig:0 core:0 ret:0 time:";
    wait_for("the job in the log", || {
        let log = daemon.log();
        (log.contains(said) && log.contains("ms gcc dir/x.cc\n")).then_some(())
    });
    daemon.end();
}

#[test]
fn a_source_cannot_leave_its_folder() {
    let daemon = Daemon::start();
    let outside = folder();
    let absolute = outside.path().join("a.c");
    for name in [
        "../a.c",
        "x/../../a.c",
        "x/..//a.c",
        "./a.c",
        "x//a.c",
        "x/./a.c",
        absolute.to_str().unwrap(),
    ] {
        let outcome = compile(&daemon, "/w", &["gcc", "-c", name, "-o", "a.o"], "int x;\n");
        assert_eq!(outcome.status.exit_code(), Some(100), "{name}");
        let sentence = text(outcome.stderr);
        assert!(
            sentence.contains("not a name that a job may have"),
            "{sentence}"
        );
        assert!(sentence.contains(name));
    }
    assert!(!absolute.exists());
    // A name that is long, deep or odd, but stays.
    for name in [
        "out.o/x.c",
        "...c/a b.c",
        "a/b/c/d/e/f/g/h.c",
        "\u{e4}/\u{f6}.c",
    ] {
        let outcome = compile(&daemon, "/w", &["gcc", "-c", name, "-o", "a.o"], "int x;\n");
        assert!(outcome.status.success(), "{name}: {}", text(outcome.stderr));
        assert!(!outcome.object.wire().is_empty());
    }
    daemon.end();
}

#[test]
fn words_are_checked_as_for_other_jobs() {
    let daemon = Daemon::start();
    for words in [
        &["gcc", "-I/usr/include", "-c", "a.c"][..],
        &["gcc", "-include", "/etc/passwd", "-c", "a.c"],
        &["gcc", "-MD", "-c", "a.c"],
        &["gcc", "-Wp,-MD,/tmp/x", "-c", "a.c"],
        &["gcc", "-fplugin=/tmp/x.so", "-c", "a.c"],
        &["gcc", "-x", "assembler", "-c", "a.c"],
        &["gcc", "-c", "a.c", "b.c"],
        &["gcc", "a.c"],
        &["gcc", "-E", "a.c"],
    ] {
        let outcome = compile(&daemon, "/w", words, "int x;\n");
        assert_eq!(outcome.status.exit_code(), Some(100), "{words:?}");
        assert!(text(outcome.stderr).starts_with("distcc-launchd: refused: "));
    }
    // A compiler that is not here has stock's own code.
    let outcome = compile(&daemon, "/w", &["sh", "-c", "a.c"], "int x;\n");
    assert_eq!(outcome.status.exit_code(), Some(110));
    assert!(text(outcome.stderr).starts_with("distcc-launchd: refused: "));
    let outcome = compile(&daemon, "/w", &["gcc", "-c", "_d/a.c"], "int main( {\n");
    assert_eq!(outcome.status.exit_code(), Some(1));
    assert!(text(outcome.stderr).contains("_d/a.c:1:"));
    let outcome = compile(
        &daemon,
        "/w",
        &["gcc", "-S", "a.c", "-o", "a.s"],
        "int x;\n",
    );
    assert!(bytes(outcome.object).starts_with(b"\t.file\t\"a.c\""));
    assert!(
        compile(
            &daemon,
            "/w",
            &["gcc", "-c", "_d/a.S"],
            "#define X nop\nX\n"
        )
        .status
        .success()
    );
    let damaged = Request {
        source: Source::Preprocessed(Body::Lzo(b"\x11\0\0x".to_vec())),
        ..launch("/w", &["gcc", "-c", "a.c"], "")
    };
    assert!(daemon.talk(&damaged.encode().unwrap()).is_empty());
    daemon.end();
}

#[test]
fn a_client_that_goes_takes_its_job_with_it() {
    let (bin, files) = (folder(), folder());
    let pid = files.path().join("pid");
    script(
        &bin.path().join("gcc"),
        &format!("echo $$ > {}\nexec /bin/sleep 1000\n", pid.display()),
    );
    let daemon = Daemon::with(&[NO_BOX], &[("DISTCCD_PATH", bin.path().as_os_str())]);
    let mut stream = daemon.connect();
    let job = launch("/w", &["gcc", "-c", "_d/a.c"], "int x;\n");
    stream.write_all(&job.encode().unwrap()).unwrap();
    let pid = wait_for("the compiler", || {
        fs::read_to_string(&pid)
            .ok()
            .filter(|pid| pid.ends_with('\n'))
    });
    assert!(is_running(&pid));
    drop(stream);
    wait_for("the compiler's end", || (!is_running(&pid)).then_some(()));
    wait_for("the summary", || {
        daemon.log().contains("CLI_DISCONN").then_some(())
    });
    daemon.end();
}
