//! Peers that take what they can: descriptors, memory, slots.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::process::Command;
use std::time::Instant;

use common::{Daemon, PROGRAM, bytes, folder, read_to_end, request, script, wait_for};
use protocol::Version;

/// The most memory that the daemon has ever had, in MiB.
fn peak_mib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    kib >> 10
}

#[test]
fn peers_cannot_take_all_descriptors() {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 48; exec \"$0\" \"$@\"", PROGRAM]);
    let daemon = Daemon::by(command, &["-j", "2"], &[]);
    let peers: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(b"DIST").unwrap();
            stream
        })
        .collect();
    // The oldest make room at once; nobody waits until they have been silent for long.
    let start = Instant::now();
    daemon.assert_serves();
    assert!(start.elapsed() < common::PATIENCE, "{:?}", start.elapsed());
    assert!(daemon.log().contains("there were too many connections"));
    drop(peers);
    daemon.assert_serves();
    daemon.end();
}

/// Fewer than the daemon needs itself: it waits for better times.
#[test]
fn descriptors_come_back() {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 24; exec \"$0\" \"$@\"", PROGRAM]);
    let daemon = Daemon::by(command, &["-j", "8"], &[]);
    let peers: Vec<_> = (0..60).map(|_| daemon.connect()).collect();
    drop(peers);
    daemon.assert_serves();
    daemon.end();
}

#[test]
fn announced_bytes_cost_nothing() {
    let daemon = Daemon::start();
    let small = request(Version::Plain, &["gcc", "-c", "a.c"], "")
        .encode()
        .unwrap();
    let head = &small[..small.len() - 8];
    let peers: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = daemon.connect();
            // Just under the limit of a source.
            stream.write_all(head).unwrap();
            stream.write_all(b"1fffffffint x;").unwrap();
            stream
        })
        .collect();
    daemon.assert_serves();
    for mut stream in peers {
        assert!(read_to_end(&mut stream).is_empty());
    }
    let peak = peak_mib(&daemon);
    assert!(peak < 64, "{peak} MiB");
    daemon.end();
}

#[test]
fn a_decompression_bomb_is_no_source() {
    let daemon = Daemon::start();
    // Four letters, then one match: each further byte is 255 bytes more. 1 GiB of 4 MiB.
    let mut bomb = b"\x15AAAA\x20".to_vec();
    bomb.resize(bomb.len() + (1 << 30) / 255, 0);
    bomb.extend_from_slice(b"\x01\x00\x00\x11\x00\x00");
    let mut raw = request(Version::Lzo, &["gcc", "-c", "a.c"], "")
        .encode()
        .unwrap();
    raw.truncate(raw.len() - 8);
    raw.extend_from_slice(format!("{:08x}", bomb.len()).as_bytes());
    raw.extend_from_slice(&bomb);
    assert!(daemon.talk(&raw).is_empty());
    daemon.assert_serves();
    let peak = peak_mib(&daemon);
    assert!(peak < 512, "{peak} MiB");
    daemon.end();
}

#[test]
fn large_objects_arrive_whole() {
    let daemon = Daemon::start();
    let source = "char a[20000000] = {1};\n";
    for version in [Version::Plain, Version::Lzo] {
        let outcome = daemon.compile(&request(
            version,
            &["gcc", "-c", "a.c", "-o", "a.o"],
            source,
        ));
        assert!(outcome.status.success());
        assert!(bytes(outcome.object).len() > 20_000_000);
    }
    daemon.end();
}

#[test]
fn who_takes_no_answer_holds_no_slot() {
    let folder = folder();
    script(
        &folder.path().join("gcc"),
        "for word; do out=$word; done\nhead -c 64000000 /dev/full > \"$out\"\n",
    );
    let mut path = folder.path().as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    let port = common::free_port();
    let words = ["-j", "1", "--stats-port", &port.to_string()];
    let daemon = Daemon::with(&words, &[("DISTCCD_PATH", &path)]);
    let mut stream = daemon.connect();
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
    let job = request(Version::Plain, &["gcc", "-c", "a.c", "-o", "a.o"], "");
    stream.write_all(&job.encode().unwrap()).unwrap();
    wait_for("the compile", || {
        daemon.log().contains("COMPILE_OK").then_some(())
    });
    // Who asks for figures learns that the slot is free again while the answer is still on its way.
    assert_eq!(common::slots(port), "slots 1 free 1 queue 0\n");
    assert!(!daemon.log().contains("could not hand over"));
    assert!(daemon.compile(&job).status.success());
    wait_for("the reset", || {
        daemon.log().contains("could not hand over").then_some(())
    });
    let mut rest = Vec::new();
    let error = stream.read_to_end(&mut rest).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    daemon.end();
}

#[test]
fn a_thousand_peers_that_come_and_go_leave_nothing() {
    let daemon = Daemon::start();
    let pid = daemon.child.id();
    let open = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    daemon.assert_serves();
    let before = open();
    for n in 0..1000 {
        let mut stream = daemon.connect();
        match n % 4 {
            0 => {}
            1 => stream.write_all(b"DIST00000001ARGC").unwrap(),
            2 => stream.write_all(b"nonsense").unwrap(),
            _ => drop(stream.shutdown(std::net::Shutdown::Write)),
        }
    }
    daemon.assert_serves();
    wait_for("the connections' end", || (open() <= before).then_some(()));
    let peak = peak_mib(&daemon);
    assert!(peak < 32, "{peak} MiB");
    daemon.end();
}
