//! What stands beside the port for jobs meets the same peers: slow, dripping, garbled, many and huge ones, at the statistics port and
//! before the gate of a daemon with keys.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::unix::fs::PermissionsExt;

use common::{Daemon, LIMIT, decode, folder, free_port, get, read_to_end, request, wait_for};
use keys::{ANSWER_LEN, ClientKey, DaemonKeys, Initiator, Label, Session};
use protocol::Version;
use rustix::net::{AddressFamily, SocketType};

/// Bytes that ask for nothing that there is.
fn garbage() -> Vec<Vec<u8>> {
    let noise = (0..4096u32).map(|n| (n * 37 + 11) as u8).collect();
    let hello = [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        &[0; 200],
    ]
    .concat();
    vec![
        b"DIST00000001ARGC00000005".to_vec(),
        b"\r\n\r\n".to_vec(),
        b"GET\n\n".to_vec(),
        b"POST /slots HTTP/1.1\r\nContent-Length: 4294967296\r\n\r\n".to_vec(),
        b"GET /../../etc/passwd HTTP/1.0\r\n\r\n".to_vec(),
        b"GET /slots\0 HTTP/1.0\r\n\r\n".to_vec(),
        vec![0; 70_000],
        noise,
        hello,
    ]
}

fn descriptors(daemon: &Daemon) -> usize {
    let folder = format!("/proc/{}/fd", daemon.child.id());
    fs::read_dir(folder).unwrap().count()
}

fn slots_are_told(port: u16) -> bool {
    get(port, b"GET /slots HTTP/1.0\r\n\r\n").contains("free ")
}

/// Writes as far as the other side takes it: it may close before everything is there.
fn say(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

#[test]
fn readers_of_statistics_hold_up_nobody() {
    let port = free_port();
    let words = ["-j", "2", "--stats-port", &port.to_string()];
    let daemon = Daemon::with(&words, &[]);
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    };
    assert!(slots_are_told(port));
    daemon.assert_serves();
    let before = descriptors(&daemon);
    // Garbled and huge ones get an answer of HTTP or none, and nothing of a file.
    for bytes in garbage() {
        let mut stream = connect();
        say(&mut stream, &bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let said = String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned();
        assert!(!said.contains("root:"), "{said}");
        assert!(said.is_empty() || said.starts_with("HTTP/1.0 4"), "{said}");
    }
    let mut huge = connect();
    say(&mut huge, b"GET / HTTP/1.0\r\nX: ");
    say(&mut huge, &vec![b'x'; 4 << 20]);
    let said = read_to_end(&mut huge);
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.0 431"));
    drop(huge);
    // Fewer than are let in, silent in the middle of a head and dripping: others are answered beside them.
    let mut some: Vec<TcpStream> = (0..16).map(|_| connect()).collect();
    for byte in b"GET /" {
        some.iter_mut().for_each(|stream| say(stream, &[*byte]));
        assert!(slots_are_told(port));
    }
    daemon.assert_serves();
    // More than are let in: jobs do not notice, and readers are answered again when these have had their time.
    let many: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect();
            say(&mut stream, b"GET /metrics HTT");
            stream
        })
        .collect();
    daemon.assert_serves();
    wait_for("an answer", || slots_are_told(port).then_some(()));
    for mut stream in some.into_iter().chain(many) {
        assert!(read_to_end(&mut stream).is_empty());
    }
    wait_for("closed descriptors", || {
        (descriptors(&daemon) <= before).then_some(())
    });
    daemon.end();
}

/// A daemon's keys in a file, and one that opens its gate.
fn keys() -> (tempfile::TempDir, String, ClientKey) {
    let keys = DaemonKeys::generate().unwrap();
    let key = ClientKey::generate(Label::new("alice").unwrap(), &keys).unwrap();
    let folder = folder();
    let path = folder.path().join("keys");
    let text = keys.to_text().to_string() + &DaemonKeys::line_for(&key);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let path = path.display().to_string();
    (folder, path, key)
}

/// A connection from another address than the tests' own.
fn connect_from(last: u8, daemon: &Daemon) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let from = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0);
    rustix::net::bind(&socket, &from).unwrap();
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, daemon.port);
    rustix::net::connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// A client with a key does its job.
fn assert_serves_with(key: &ClientKey, daemon: &Daemon) {
    let mut stream = daemon.connect();
    let (initiator, opening) = Initiator::new(key).unwrap();
    stream.write_all(&opening).unwrap();
    let mut answer = [0; ANSWER_LEN];
    stream.read_exact(&mut answer).unwrap();
    let Session {
        mut sealer,
        mut opener,
    } = initiator.finish(&answer).unwrap();
    let job = request(
        Version::Plain,
        &["gcc", "-c", "a.c", "-o", "a.o"],
        "int x;\n",
    );
    let mut sealed = Vec::new();
    sealer.seal(&job.encode().unwrap(), &mut sealed).unwrap();
    stream.write_all(&sealed).unwrap();
    let (mut said, mut piece) = (Vec::new(), [0; 4096]);
    while !opener.ended() {
        match opener.take(&mut piece).unwrap() {
            0 if opener.ended() => break,
            0 => {
                let count = stream.read(opener.space()).unwrap();
                assert!(count > 0, "{}", daemon.log());
                opener.filled(count);
            }
            count => said.extend_from_slice(&piece[..count]),
        }
    }
    assert!(decode(Version::Plain, &said).status.success());
}

#[test]
fn handshakes_that_stall_hold_up_nobody() {
    let (_folder, path, key) = keys();
    let daemon = Daemon::with(&["-j", "2", "--keys", &path], &[]);
    assert_serves_with(&key, &daemon);
    let before = descriptors(&daemon);
    let opening = || Initiator::new(&key).unwrap().1;
    // Silent in the middle, before it, and after it; by addresses of their own, since their failures count.
    let whole = opening();
    let mut stalled: Vec<TcpStream> = Vec::new();
    for at in 0..64 {
        let mut stream = connect_from(2 + at % 4, &daemon);
        say(&mut stream, &whole[..usize::from(at) % 24]);
        stalled.push(stream);
    }
    assert_serves_with(&key, &daemon);
    let mut entered = connect_from(7, &daemon);
    say(&mut entered, &opening());
    // Dripping: byte by byte, and each time another is served.
    let mut drips: Vec<TcpStream> = (0..8).map(|_| connect_from(8, &daemon)).collect();
    for byte in &whole[..6] {
        drips.iter_mut().for_each(|stream| say(stream, &[*byte]));
        assert_serves_with(&key, &daemon);
    }
    for bytes in garbage() {
        let mut stream = connect_from(9, &daemon);
        say(&mut stream, &bytes);
        assert!(read_to_end(&mut stream).is_empty());
    }
    let mut huge = connect_from(10, &daemon);
    say(&mut huge, &opening());
    // What would be one record of 64 KiB, over and over.
    say(&mut huge, &vec![0xff; 4 << 20]);
    assert!(read_to_end(&mut huge).len() <= ANSWER_LEN);
    assert_serves_with(&key, &daemon);
    // All of them are closed, and who did not show a key got no byte.
    for mut stream in stalled.into_iter().chain(drips) {
        assert!(read_to_end(&mut stream).is_empty());
    }
    assert_eq!(read_to_end(&mut entered).len(), ANSWER_LEN);
    drop((entered, huge));
    wait_for("closed descriptors", || {
        (descriptors(&daemon) <= before).then_some(())
    });
    assert_serves_with(&key, &daemon);
    daemon.end();
}
