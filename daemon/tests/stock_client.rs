//! Debian's distcc in front of our daemon: objects, messages and exit codes are those of the local compiler.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{Daemon, folder};

struct Space {
    folder: tempfile::TempDir,
    hosts: String,
}

impl Space {
    fn new(daemon: &Daemon, option: &str) -> Self {
        let folder = folder();
        fs::create_dir(folder.path().join("distcc")).unwrap();
        Self {
            folder,
            hosts: format!("127.0.0.1:{}{option}", daemon.port),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, program: &str, line: &str) -> Output {
        Command::new(program)
            .args(line.split_whitespace())
            .current_dir(self.path())
            .env("DISTCC_HOSTS", &self.hosts)
            .env("DISTCC_DIR", self.path().join("distcc"))
            .env("DISTCC_FALLBACK", "0")
            .env("DISTCC_SKIP_LOCAL_RETRY", "1")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap()
    }

    /// Runs `line` here and through the daemon, and compares product, messages and code.
    fn assert_equal(&self, line: &str, product: &str) {
        let product = self.path().join(product);
        let (compiler, words) = line.split_once(' ').unwrap();
        let here = self.run(compiler, words);
        let local = fs::read(&product).ok();
        let _ = fs::remove_file(&product);
        let there = self.run("distcc", line);
        let remote = fs::read(&product).ok();
        let stderr = String::from_utf8_lossy(&there.stderr);
        assert_eq!(there.status.code(), here.status.code(), "{line}: {stderr}");
        assert!(remote == local, "{line}: another product");
        // The daemon cannot see the source, so it prints no excerpts of it.
        for message in String::from_utf8_lossy(&here.stderr)
            .lines()
            .filter(|line| line.contains(": error:"))
        {
            assert!(
                stderr.contains(message),
                "{line}: {message} is not in {stderr}"
            );
        }
        assert_eq!(
            here.stderr.is_empty(),
            there.stderr.is_empty(),
            "{line}: {stderr}"
        );
        let _ = fs::remove_file(&product);
    }
}

#[test]
fn stock_distcc_compiles_as_here() {
    let daemon = Daemon::start();
    for option in ["", ",lzo"] {
        let space = Space::new(&daemon, option);
        let write = |name: &str, text: &str| fs::write(space.path().join(name), text).unwrap();
        write(
            "good.c",
            "#include <stdio.h>\nint main(void) { return printf(\"%d\\n\", __LINE__); }\n",
        );
        write("warns.c", "int f(void) { int unused; return 0; }\n");
        write("bad.c", "int main(void) { return x; }\n");
        write(
            "good.cc",
            "#include <string>\nstatic std::string s = \"x\";\nint f() { return s.size(); }\n",
        );
        space.assert_equal("gcc -O2 -c good.c -o good.o", "good.o");
        space.assert_equal("gcc -g -O2 -c warns.c -o warns.o", "warns.o");
        space.assert_equal("gcc -c good.c", "good.o");
        space.assert_equal("gcc -O1 -S good.c -o good.s", "good.s");
        space.assert_equal("gcc -Wall -c warns.c -o warns.o", "warns.o");
        space.assert_equal("gcc -Wall -Werror -c warns.c -o warns.o", "warns.o");
        space.assert_equal("gcc -c bad.c -o bad.o", "bad.o");
        space.assert_equal("g++ -O2 -std=c++17 -c good.cc -o good.o", "good.o");
        space.assert_equal("/usr/bin/gcc -O2 -c good.c -o good.o", "good.o");
        space.assert_equal("clang -O2 -c good.c -o good.o", "good.o");
    }
    let log = daemon.log();
    let summaries: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("(dcc_job_summary)"))
        .collect();
    assert_eq!(summaries.len(), 20, "{log}");
    assert!(
        summaries[0].contains("] (dcc_job_summary) client: 127.0.0.1:")
            && summaries[0].contains(" COMPILE_OK exit:0 sig:0 core:0 ret:0 time:")
            && summaries[0].ends_with("ms x86_64-linux-gnu-gcc good.c"),
        "{}",
        summaries[0]
    );
    assert!(
        summaries[5].contains(" COMPILE_ERROR exit:1 sig:0 core:0 ret:0 time:"),
        "{}",
        summaries[5]
    );
    daemon.end();
}

#[test]
fn a_refusal_reaches_the_user() {
    let daemon = Daemon::start();
    let space = Space::new(&daemon, "");
    fs::write(space.path().join("a.c"), "int x;\n").unwrap();
    let there = space.run("distcc", "gcc -wrapper /bin/sh,-c -c a.c -o a.o");
    let stderr = String::from_utf8_lossy(&there.stderr);
    assert_eq!(there.status.code(), Some(100), "{stderr}");
    assert!(
        stderr.contains("distcc-launchd: refused: ") && stderr.contains("-wrapper"),
        "{stderr}"
    );
    daemon.end();
}

/// A stand-in ssh drops what is for itself and runs the rest, as sshd would.
#[test]
fn ssh_hosts_work() {
    let daemon = Daemon::start();
    let mut space = Space::new(&daemon, "");
    let ssh = space.path().join("ssh");
    let text = "while [ \"$1\" = -l ]; do shift 2; done\nshift\nexec \"$@\"\n";
    common::script(&ssh, text);
    fs::write(space.path().join("a.c"), "int f(void) { return 1; }\n").unwrap();
    for host in ["@host", "ann@host"] {
        for option in ["", ",lzo"] {
            space.hosts = format!("{host}:{}{option}", common::PROGRAM);
            let run = |line: &str| {
                let ssh = ssh.to_str().unwrap();
                space.run(
                    "env",
                    &format!(
                        "DISTCC_SSH={ssh} TMPDIR={} {line}",
                        daemon.tmp.path().display()
                    ),
                )
            };
            let there = run("distcc gcc -O2 -c a.c -o there.o");
            assert_eq!(
                there.status.code(),
                Some(0),
                "{}",
                String::from_utf8_lossy(&there.stderr)
            );
            assert!(
                there.stderr.is_empty(),
                "{}",
                String::from_utf8_lossy(&there.stderr)
            );
            run("gcc -O2 -c a.c -o here.o");
            let object = |name: &str| fs::read(space.path().join(name)).unwrap();
            assert!(object("there.o") == object("here.o"));
            fs::remove_file(space.path().join("there.o")).unwrap();
        }
    }
    daemon.end();
}

/// Stock's own probe: connects, asks for nothing.
#[test]
fn probes_are_no_errors() {
    let daemon = Daemon::start();
    drop(daemon.connect());
    daemon.assert_serves();
    common::wait_for("the probe in the log", || {
        daemon.log().contains("connected and left").then_some(())
    });
    let log = daemon.log();
    assert_eq!(log.matches("(dcc_job_summary)").count(), 1, "{log}");
    assert!(!log.contains("ERROR"), "{log}");
    daemon.end();
}
