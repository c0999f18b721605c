//! Many jobs, every tenth from somebody hostile: afterwards the daemon is as it was. `LONG=1` makes it 100 000 jobs.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{
    Daemon, decode, folder, free_port, get, read_to_end, request, wait_for, wait_for_no_file,
};
use protocol::Version;

const PEERS: usize = 8;

/// A compiler that is done at once: what is tested is the daemon.
fn instant_compiler() -> tempfile::TempDir {
    let folder = folder();
    let source = folder.path().join("gcc.c");
    let text = r#"
        #include <fcntl.h>
        #include <string.h>
        #include <unistd.h>
        int main(int n, char **words) {
            for (int i = 1; i + 1 < n; i++)
                if (!strcmp(words[i], "-o")) {
                    int out = open(words[i + 1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
                    return write(out, "object", 6) != 6;
                }
            return 1;
        }"#;
    fs::write(&source, text).unwrap();
    let mut cc = Command::new("/usr/bin/cc");
    cc.args(["-O1", "-o"]).arg(folder.path().join("gcc"));
    assert!(cc.arg(&source).status().unwrap().success());
    folder
}

fn good(version: Version) -> Vec<u8> {
    let words = ["gcc", "-c", "a.c", "-o", "a.o"];
    let source = "int x;\n".repeat(300);
    request(version, &words, &source).encode().unwrap()
}

/// One hostile visit of each kind, by number.
fn be_hostile(daemon: &Daemon, kind: usize) {
    let whole = good(Version::Plain);
    let send = |bytes: &[u8]| {
        let mut stream = daemon.connect();
        // The daemon may close before everything is written.
        let _ = stream.write_all(bytes);
        stream
    };
    let reset = |stream: &TcpStream| {
        rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
    };
    match kind % 10 {
        0 => drop(send(b"GET / HTTP/1.1\r\n\r\n")),
        1 => drop(send(&whole[..whole.len() / 2])),
        2 => reset(&send(&whole[..whole.len() - 1])),
        3 => reset(&send(&whole)),
        4 => drop(send(&whole)),
        5 => {
            let mut announced = whole[..whole.len() - 2108].to_vec();
            announced.extend_from_slice(b"ffffffff");
            assert!(read_to_end(&mut send(&announced)).is_empty());
        }
        6 => {
            let words = ["gcc", "-c", "-wrapper", "/bin/sh", "a.c", "-o", "a.o"];
            let refused = request(Version::Plain, &words, "").encode().unwrap();
            let answer = decode(Version::Plain, &read_to_end(&mut send(&refused)));
            assert_eq!(answer.status.exit_code(), Some(100));
        }
        7 => {
            let mut packed = good(Version::Lzo);
            let len = packed.len();
            packed[len - 20..].fill(0xff);
            assert!(read_to_end(&mut send(&packed)).is_empty());
        }
        8 => drop(send(&[whole.as_slice(), &[b'J'; 10_000]].concat())),
        _ => {
            let stream = send(&whole);
            stream.shutdown(Shutdown::Write).unwrap();
        }
    }
}

fn kib(daemon: &Daemon, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line
        .unwrap()
        .trim_start_matches(':')
        .split_whitespace()
        .next();
    value.unwrap().parse().unwrap()
}

fn descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.child.id()))
        .unwrap()
        .count()
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |task: fs::DirEntry| {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids = children.split_whitespace().map(|pid| pid.parse().unwrap());
        pids.collect::<Vec<_>>()
    };
    tasks.flatten().flat_map(of).collect()
}

/// `jobs` jobs by some peers at the same time.
fn run(daemon: &Daemon, jobs: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PEERS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= jobs {
                        return;
                    }
                    if n.is_multiple_of(10) {
                        be_hostile(daemon, n / 10);
                        continue;
                    }
                    let version = [Version::Plain, Version::Lzo][n % 2];
                    let outcome = decode(version, &daemon.talk(&good(version)));
                    assert!(outcome.status.success(), "{outcome:?}");
                    assert_eq!(common::bytes(outcome.object), b"object");
                }
            });
        }
    });
}

#[test]
fn memory_and_descriptors_stay_flat() {
    let long = std::env::var_os("LONG").is_some_and(|value| value == "1");
    let third = if long { 34_000 } else { 700 };
    let compiler = instant_compiler();
    let mut path = OsString::from(compiler.path());
    path.push(":/usr/bin:/bin");
    let port = free_port().to_string();
    let words = ["-j", "4", "--log-level", "error", "--stats-port", &port];
    let daemon = Daemon::with(&words, &[("DISTCCD_PATH", &path)]);
    let port = port.parse().unwrap();
    let before = descriptors(&daemon);
    let quiet = || {
        wait_for("quiet", || {
            let page = get(port, b"GET /metrics HTTP/1.0\r\n\r\n");
            let has = |line: &str| page.contains(&format!("distcc_launchd_{line}\n"));
            (has("connections 0") && has("slots_free 4") && has("requests_memory_bytes 0"))
                .then_some(())
        });
        wait_for("the readers of the page to go", || {
            (descriptors(&daemon) <= before).then_some(())
        });
    };
    run(&daemon, third);
    quiet();
    let first = kib(&daemon, "VmRSS");
    for _ in 0..2 {
        run(&daemon, third);
        quiet();
    }
    let last = kib(&daemon, "VmRSS");
    assert!(last <= first + (2 << 10), "{first} KiB became {last} KiB");
    // The keeper of the box and its wardens, none of which has anything left of a job.
    assert_eq!(children(daemon.child.id()).len(), 1);
    let keeper = children(daemon.child.id())[0];
    let wardens = wait_for("the last burial", || {
        let wardens = children(keeper);
        let idle = wardens.iter().all(|warden| children(*warden).is_empty());
        // They may all have been done at the same moment.
        (idle && wardens.len() <= 2 * (2 * 4 + 1)).then_some(wardens)
    });
    if rustix::process::geteuid().is_root() {
        // Standard streams, two of the keeper's, its bell and its channels, the root between jobs.
        // One that has just been started is about to close what it inherited; one that is superfluous just goes.
        wait_for("wardens with few descriptors", || {
            let many = |pid| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            children(keeper)
                .into_iter()
                .all(|pid| many(pid) <= 10)
                .then_some(())
        });
        let mounts = |pid| fs::read_to_string(format!("/proc/{pid}/mounts")).unwrap_or_default();
        wait_for("the last view's end", || {
            let left = |pid| mounts(pid).lines().any(|line| line.contains(" /job"));
            (!wardens.iter().any(left)).then_some(())
        });
    }
    wait_for_no_file(daemon.tmp.path());
    let log = daemon.log();
    assert!(!log.contains("panicked at"), "{log}");
    daemon.end();
}
