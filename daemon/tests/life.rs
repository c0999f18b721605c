//! The daemon's life: starting, going to the background, ending; and that of the compilers it starts.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{
    Daemon, NO_BOX, PROGRAM, decode, folder, is_running, read_to_end, request, stand_in, text,
    wait_for,
};
use protocol::Version;
use rustix::process::Signal;

/// A "gcc" that starts a process of its own, says so, and never ends; and the PATH that finds it.
struct Hanging {
    folder: tempfile::TempDir,
}

impl Hanging {
    fn new() -> Self {
        let folder = folder();
        let pids = folder.path().join("pids");
        let text = format!(
            "sleep 1000 &\necho $$ $! > {0}.new\nmv {0}.new {0}\nsleep 1000\n",
            pids.display()
        );
        stand_in(&folder.path().join("gcc"), &text);
        Self { folder }
    }

    fn path(&self) -> OsString {
        let mut path = self.folder.path().as_os_str().to_owned();
        path.push(":/usr/bin:/bin");
        path
    }

    /// The compiler and its child, once both run.
    fn pids(&self) -> Vec<String> {
        let file = self.folder.path().join("pids");
        let pids = wait_for("the compiler to start", || fs::read_to_string(&file).ok());
        fs::remove_file(file).unwrap();
        pids.split_whitespace().map(str::to_owned).collect()
    }
}

fn hanging_job() -> Vec<u8> {
    request(
        Version::Plain,
        &["gcc", "-c", "a.c", "-o", "a.o"],
        "int x;\n",
    )
    .encode()
    .unwrap()
}

#[track_caller]
fn assert_gone_within_a_second(pids: &[String]) {
    let start = Instant::now();
    wait_for("the compilers' end", || {
        (!pids.iter().any(|pid| is_running(pid))).then_some(())
    });
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

fn zombies_of(parent: u32) -> usize {
    let children =
        fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    children
        .split_whitespace()
        .filter(|pid| !is_running(pid))
        .count()
}

#[test]
fn a_client_that_goes_takes_its_compiler_along() {
    let compiler = Hanging::new();
    let daemon = Daemon::with(&["-j", "1", NO_BOX], &[("DISTCCD_PATH", &compiler.path())]);
    let reset = |stream: &std::net::TcpStream| {
        rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
    };
    for way in [
        "closes",
        "resets",
        "closes its half",
        "leaves bytes behind",
        "leaves many bytes behind",
    ] {
        let mut stream = daemon.connect();
        stream.write_all(&hanging_job()).unwrap();
        let pids = compiler.pids();
        assert_eq!(pids.iter().filter(|pid| is_running(pid)).count(), 2);
        match way {
            "resets" => reset(&stream),
            "closes its half" => stream.shutdown(Shutdown::Write).unwrap(),
            "leaves bytes behind" => stream.write_all(&[b'J'; 3000]).unwrap(),
            "leaves many bytes behind" => stream.write_all(&[b'J'; 300_000]).unwrap(),
            _ => {}
        }
        let kept = (way == "closes its half").then(|| stream.try_clone().unwrap());
        drop(stream);
        assert_gone_within_a_second(&pids);
        drop(kept);
    }
    // The one slot is free again and nothing waits to be reaped.
    wait_for("the log", || {
        (daemon
            .log()
            .matches("CLI_DISCONN exit:0 sig:0 core:0 ret:107")
            .count()
            == 5)
            .then_some(())
    });
    assert_eq!(zombies_of(daemon.child.id()), 0);
    daemon.end();
}

#[test]
fn a_waiting_job_goes_with_its_client() {
    let compiler = Hanging::new();
    let daemon = Daemon::with(&["-j", "1", NO_BOX], &[("DISTCCD_PATH", &compiler.path())]);
    let mut first = daemon.connect();
    first.write_all(&hanging_job()).unwrap();
    let pids = compiler.pids();
    let mut waiting = daemon.connect();
    waiting.write_all(&hanging_job()).unwrap();
    drop(waiting);
    wait_for("the log", || {
        daemon.log().contains("CLI_DISCONN").then_some(())
    });
    assert!(pids.iter().all(|pid| is_running(pid)));
    drop(first);
    assert_gone_within_a_second(&pids);
    daemon.end();
}

#[test]
fn signals_leave_no_process_and_no_file() {
    let compiler = Hanging::new();
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::with(&[NO_BOX], &[("DISTCCD_PATH", &compiler.path())]);
        let mut stream = daemon.connect();
        stream.write_all(&hanging_job()).unwrap();
        let pids = compiler.pids();
        daemon.signal(signal);
        assert_eq!(daemon.wait().code(), Some(0));
        assert_gone_within_a_second(&pids);
        assert!(read_to_end(&mut stream).is_empty());
        daemon.assert_nothing_left();
    }
}

/// The slot is a job's until it ends by itself; nobody new comes in.
#[test]
fn a_drain_lets_jobs_finish() {
    let folder = folder();
    let open = folder.path().join("open");
    let gcc = format!(
        "for word; do out=$word; done\necho > {0}/begun\nuntil [ -e {0}/open ]; do sleep 0.01; done\necho object > \"$out\"\n",
        folder.path().display()
    );
    stand_in(&folder.path().join("gcc"), &gcc);
    let mut path = folder.path().as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    let stats = common::free_port();
    let port = stats.to_string();
    let words = ["-j", "1", "--drain", "60", "--stats-port", &port, NO_BOX];
    let mut daemon = Daemon::with(&words, &[("DISTCCD_PATH", &path)]);
    // With a byte at least, since the kernel keeps those who sent none.
    let mut silent = daemon.connect();
    silent.write_all(b"DIST").unwrap();
    let mut streams: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(&hanging_job()).unwrap();
            stream
        })
        .collect();
    wait_for("the compiler", || {
        folder.path().join("begun").exists().then_some(())
    });
    wait_for("the request that waits", || {
        (common::slots(stats) == "slots 1 free 0 queue 1\n").then_some(())
    });
    daemon.signal(Signal::TERM);
    assert!(read_to_end(&mut silent).is_empty());
    wait_for("the port's end", || {
        std::net::TcpStream::connect(("127.0.0.1", daemon.port))
            .is_err()
            .then_some(())
    });
    assert_eq!(daemon.child.try_wait().unwrap(), None);
    fs::write(open, "").unwrap();
    for stream in &mut streams {
        let outcome = decode(Version::Plain, &read_to_end(stream));
        assert!(outcome.status.success());
    }
    assert_eq!(daemon.wait().code(), Some(0));
    daemon.assert_nothing_left();
}

#[test]
fn a_second_signal_and_the_drains_end_end_jobs() {
    let compiler = Hanging::new();
    for (drain, signals) in [("60", 2), ("1", 1)] {
        let words = ["--drain", drain, NO_BOX];
        let mut daemon = Daemon::with(&words, &[("DISTCCD_PATH", &compiler.path())]);
        let mut stream = daemon.connect();
        stream.write_all(&hanging_job()).unwrap();
        let pids = compiler.pids();
        daemon.signal(Signal::TERM);
        wait_for("the log", || {
            daemon.log().contains("ending: ").then_some(())
        });
        if signals == 2 {
            assert!(pids.iter().all(|pid| is_running(pid)));
            daemon.signal(Signal::TERM);
        }
        assert_eq!(daemon.wait().code(), Some(0));
        assert_gone_within_a_second(&pids);
        assert!(read_to_end(&mut stream).is_empty());
        daemon.assert_nothing_left();
    }
}

#[test]
fn a_hangup_reads_compilers_and_the_access_list_again() {
    let folder = folder();
    let (list, bin) = (folder.path().join("allow"), folder.path().join("bin"));
    fs::create_dir(&bin).unwrap();
    fs::write(&list, "127.0.0.0/8\n").unwrap();
    let mut path = bin.as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    let words = ["--allow-file", list.to_str().unwrap()];
    let daemon = Daemon::with(&words, &[("DISTCCD_PATH", &path)]);
    daemon.assert_serves();
    let odd = request(
        Version::Plain,
        &["odd-target-gcc", "-c", "a.c", "-o", "a.o"],
        "int x;\n",
    );
    assert_eq!(daemon.compile(&odd).status.exit_code(), Some(110));
    let hang_up = |times: usize| {
        daemon.signal(Signal::HUP);
        wait_for("the log", || {
            (daemon.log().matches("compilers: ").count() == times + 1).then_some(())
        });
    };
    std::os::unix::fs::symlink("/usr/bin/gcc", bin.join("odd-target-gcc")).unwrap();
    hang_up(1);
    assert!(daemon.compile(&odd).status.success());
    // A mistake changes nothing; a list without us closes us out.
    fs::write(&list, "127.0.0.0/8\nnonsense nowhere\n").unwrap();
    hang_up(2);
    wait_for("the log", || {
        daemon.log().contains("the access list stays").then_some(())
    });
    daemon.assert_serves();
    fs::write(&list, "# nobody\n").unwrap();
    hang_up(3);
    wait_for("the door", || daemon.talk(b"").is_empty().then_some(()));
    wait_for("the log", || {
        let _ = daemon.talk(&hanging_job());
        daemon
            .log()
            .contains("is not on the access list")
            .then_some(())
    });
    daemon.end();
}

#[test]
fn an_access_list_that_cannot_be_read_is_101() {
    let words = ["--no-detach", "--allow-file", "/nonexistent/list"];
    let output = run(&words, &[]);
    assert_eq!(output.status.code(), Some(101));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/list"));
}

#[test]
fn lifetimes_end() {
    let mut daemon = Daemon::with(&["--lifetime", "1"], &[]);
    assert_eq!(daemon.wait().code(), Some(0));
    daemon.assert_nothing_left();
    let compiler = Hanging::new();
    let daemon = Daemon::with(
        &["--job-lifetime=1", NO_BOX],
        &[("DISTCCD_PATH", &compiler.path())],
    );
    let outcome = decode(Version::Plain, &daemon.talk(&hanging_job()));
    assert_eq!(outcome.status.exit_code(), Some(118));
    assert!(text(outcome.stderr).contains("--job-lifetime"));
    assert_gone_within_a_second(&compiler.pids());
    assert!(
        daemon
            .log()
            .contains(" COMPILE_TIMEOUT exit:0 sig:0 core:0 ret:118 ")
    );
    daemon.end();
}

#[test]
fn silent_peers_do_not_stop_a_job() {
    let daemon = Daemon::with(&["-j", "2"], &[]);
    let whole = hanging_job();
    let peers: Vec<_> = (0..64)
        .map(|n| {
            let mut stream = daemon.connect();
            // Some say nothing, some stop in the middle of a head, some in the middle of the source.
            stream
                .write_all(&whole[..[0, 4, whole.len() - 3][n % 3]])
                .unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    daemon.assert_serves();
    assert!(start.elapsed() < common::PATIENCE, "{:?}", start.elapsed());
    // Each of them is closed without a byte before long.
    for mut stream in peers {
        assert!(read_to_end(&mut stream).is_empty());
    }
    daemon.end();
}

/// What a background daemon leaves behind for scripts.
struct Background {
    folder: tempfile::TempDir,
}

impl Background {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, program: &Path, words: &[&str]) -> Output {
        Command::new(program)
            .args([
                "--daemon",
                "--listen=127.0.0.1",
                "--verbose",
                "--lifetime=360",
            ])
            .arg("--pid-file")
            .arg(self.file("pid"))
            .arg("--log-file")
            .arg(self.file("log"))
            .args(words)
            .env("TMPDIR", self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn pid(&self) -> String {
        fs::read_to_string(self.file("pid"))
            .unwrap()
            .trim()
            .to_owned()
    }
}

#[test]
fn the_parent_returns_once_the_daemon_listens() {
    let background = Background { folder: folder() };
    let link = background.file("distccd");
    std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    // Output pipes end only if the daemon let go of them.
    let started = background.start(
        &link,
        &[
            "--port",
            "0",
            "--port-file",
            background.file("port").to_str().unwrap(),
        ],
    );
    assert_eq!(
        started.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&started.stderr)
    );
    assert!(started.stdout.is_empty() && started.stderr.is_empty());
    let port: u16 = fs::read_to_string(background.file("port"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let pid = background.pid();
    assert!(is_running(&pid));
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(&hanging_job()).unwrap();
    assert!(
        decode(Version::Plain, &read_to_end(&mut stream))
            .status
            .success()
    );
    // It leads a session of its own, without a terminal.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!(
        (fields[2], fields[3], fields[4]),
        (pid.as_str(), pid.as_str(), "0")
    );
    for fd in 0..3 {
        assert_eq!(
            fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap(),
            Path::new("/dev/null")
        );
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap(),
        Signal::TERM,
    )
    .unwrap();
    wait_for("the daemon's end", || (!is_running(&pid)).then_some(()));
    let mut left: Vec<_> = fs::read_dir(background.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["distccd", "log"]);
    assert!(
        fs::read_to_string(background.file("log"))
            .unwrap()
            .contains("COMPILE_OK")
    );
}

#[test]
fn a_taken_port_is_102_and_leaves_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let background = Background { folder: folder() };
    for detach in ["--daemon", "--no-detach"] {
        let started = background.start(Path::new(PROGRAM), &[detach, "--port", &port]);
        assert_eq!(started.status.code(), Some(102));
        assert!(String::from_utf8_lossy(&started.stderr).contains(&port));
        assert_eq!(fs::read_dir(background.folder.path()).unwrap().count(), 0);
    }
}

fn run(words: &[&str], variables: &[(&str, &OsStr)]) -> Output {
    Command::new(PROGRAM)
        .args(words)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn bad_words_are_101() {
    for words in [
        &["--port", "80000"][..],
        &["--bogus-option"],
        &["gcc", "-c", "a.c", "--bogus-option"],
        &["--auth"],
    ] {
        let output = run(words, &[]);
        assert_eq!(output.status.code(), Some(101), "{words:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    let output = run(&["--no-detach"], &[("DISTCC_IO_TIMEOUT", OsStr::new("0"))]);
    assert_eq!(output.status.code(), Some(101));
}

#[test]
fn no_compiler_is_110() {
    let empty = folder();
    let output = run(
        &[
            "--daemon",
            "--no-detach",
            "--port",
            "0",
            "--port-file",
            "/dev/null",
        ],
        &[("DISTCCD_PATH", empty.path().as_os_str())],
    );
    assert_eq!(output.status.code(), Some(110));
    let list = empty.path().join("none");
    let output = run(
        &["--daemon", "--no-detach"],
        &[("DISTCC_CMDLIST", list.as_os_str())],
    );
    assert_eq!(output.status.code(), Some(110));
    assert!(String::from_utf8_lossy(&output.stderr).contains("DISTCC_CMDLIST"));
}

#[test]
fn help_and_version_go_to_stdout() {
    let output = run(&["--help"], &[]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        help.contains("Usage: distcc-launchd")
            && help.contains("DISTCCD_PATH")
            && help.contains("--port-file")
    );
    let output = run(&["--version"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .starts_with("distcc-launchd 3.4-launch.")
    );
}
