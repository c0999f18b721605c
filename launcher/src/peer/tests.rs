//! With real daemons, ours and stock's, and with servers that answer anything.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ::tests::Farm;

use super::*;
use crate::settings::Settings;

/// Longer than an answer takes, even on a loaded machine.
const LONG: Duration = Duration::from_secs(30);

fn host(name: &str) -> Host {
    let list = hosts::list::parse(name).expect("a host list");
    list.hosts.into_iter().next().expect("a host")
}

/// Asks about `host`, counting connections.
fn about(host: &Host, folder: &Path, opened: &mut u32) -> Result<Peer, WireError> {
    within(host, folder, opened, LONG)
}

fn within(
    host: &Host,
    folder: &Path,
    opened: &mut u32,
    io_timeout: Duration,
) -> Result<Peer, WireError> {
    let settings = Settings {
        folder: Some(folder.to_owned()),
        io_timeout,
        ..Settings::read()
    };
    if let Some(peer) = Peer::recall(host, settings.folder.as_deref()) {
        return Ok(peer);
    }
    *opened += 1;
    let mut question = Question::put(host, &settings);
    let greeting = loop {
        if let Some(greeting) = question.advance(Instant::now()) {
            break greeting;
        }
        let mut wanted = Vec::new();
        let due = question.wants(&mut wanted);
        crate::wire::wait(&wanted, due);
    };
    Peer::learn(host, settings.folder.as_deref(), greeting)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A server that gives `answer` to its first client, once the question is there.
fn server(answer: Vec<u8>) -> (Host, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = host(&listener.local_addr().expect("an address").to_string());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut question = vec![0; 1024];
        let count = stream.read(&mut question).expect("a question");
        question.truncate(count);
        // A client that has enough may have gone.
        let _ = stream.write_all(&answer);
        question
    });
    (host, serving)
}

fn helo(text: &[u8]) -> Vec<u8> {
    [format!("HELO{:08x}", text.len()).as_bytes(), text].concat()
}

/// What gcc here includes by itself.
fn preincluded(gcc: &Path) -> Option<Vec<u8>> {
    let mut command = std::process::Command::new(gcc);
    let ran = command.args(["-E", "-x", "c", "/dev/null"]).output();
    let text = ran.expect("gcc is needed to test").stdout;
    let name = compiler::manner::preincluded::file(&text)??;
    let content = fs::read(&*name).expect("a header");
    Some(compiler::manner::preincluded::spelled(&name, &content))
}

const ANSWER: &[u8] = b"daemon x 1\njob 64636c01\njobs 3\ncompiler gcc\tGCC: 12\tx86\n\
    compiler /opt/gcc\tGCC: 13\tarm\ncompiler bad\ncompilers all\nlater thing\n";

#[test]
fn our_daemon_says_what_it_has_and_is_asked_once() {
    let farm = Farm::ours(1);
    let (host, folder, mut opened) = (host(&farm.hosts("")), folder(), 0);
    let peer = about(&host, folder.path(), &mut opened).expect("an answer");
    assert!(peer.ours && peer.launch_jobs);
    assert_eq!(peer.jobs, Some(4));
    let gcc = peer.compilers().find(|listed| listed.name == b"gcc");
    let Listed { ident, triple, .. } = gcc.expect("gcc is needed to test");
    let before = preincluded(Path::new("gcc"));
    assert_eq!(peer.preincluded(b"/usr/bin/gcc"), before.as_deref());
    assert!(before.is_some_and(|before| before.len() > 17));
    assert!(ident.starts_with(b"GCC: ("), "{}", ident.escape_ascii());
    for (name, ident, triple, has) in [
        (&b"gcc"[..], ident, triple, true),
        (b"/usr/bin/gcc", ident, triple, true),
        (b"gcc", b"GCC: (other) 1", triple, false),
        (b"gcc", ident, b"arm-linux-gnueabihf", false),
        (b"no-such-gcc", ident, triple, false),
        (b"/opt/none/gcc", ident, triple, false),
    ] {
        assert_eq!(
            peer.has(name, ident, triple),
            Some(has),
            "{}",
            name.escape_ascii()
        );
    }
    let again = about(&host, folder.path(), &mut opened).expect("remembered");
    assert_eq!(opened, 1);
    assert!(again.compilers().eq(peer.compilers()));
    assert_eq!(
        (
            again.ours,
            again.launch_jobs,
            again.jobs,
            again.all_compilers
        ),
        (true, true, Some(4), peer.all_compilers)
    );
    Peer::forget(&host, folder.path());
    assert!(about(&host, folder.path(), &mut opened).is_ok());
    assert_eq!(opened, 2);
}

#[test]
fn stocks_daemon_closes_and_is_remembered_as_such() {
    let farm = Farm::stock(1);
    // The farm's own probe is told of too.
    let log = || farm.daemons[0].log();
    ::tests::until("stock's daemon is done with the probe", || {
        log().contains("dcc_job_summary")
    });
    let before = log().len();
    let (host, folder, mut opened) = (host(&farm.hosts("")), folder(), 0);
    for _ in 0..2 {
        let peer = about(&host, folder.path(), &mut opened).expect("it closes");
        assert_eq!(
            peer,
            Peer {
                text: peer.text.clone(),
                from: peer.from,
                ..Peer::stock()
            }
        );
        assert_eq!(peer.has(b"gcc", b"GCC: 12", b"x86_64-linux-gnu"), None);
        assert_eq!(peer.compilers().count(), 0);
    }
    assert_eq!(opened, 1);
    let told = || farm.daemons[0].log().split_off(before);
    ::tests::until("stock's daemon is done with it", || {
        told().contains("dcc_job_summary")
    });
    let bad = |line: &&str| {
        ["ERROR", "CRITICAL", "ALERT", "EMERGENCY"]
            .iter()
            .any(|bad| line.contains(bad))
    };
    let told = told();
    let errors: Vec<&str> = told.lines().filter(bad).collect();
    assert_eq!(errors.len(), 1, "{told}");
    assert!(errors[0].contains("protocol version"), "{told}");
}

#[test]
fn nobody_there_is_an_error_and_not_remembered() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = host(&listener.local_addr().expect("an address").to_string());
    drop(listener);
    let (folder, mut opened) = (folder(), 0);
    for _ in 0..2 {
        let error = about(&host, folder.path(), &mut opened).expect_err("nobody listens");
        assert_eq!(error.code(), "connect-refused");
    }
    assert_eq!(opened, 2);
}

#[test]
fn a_server_that_says_nothing_is_no_stock_daemon() {
    // Connections wait in its queue and are never accepted.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = host(&listener.local_addr().expect("an address").to_string());
    let (folder, mut opened) = (folder(), 0);
    for _ in 0..2 {
        let error = about(&host, folder.path(), &mut opened).expect_err("nothing comes");
        assert_eq!(error.code(), "hello-timeout");
    }
    assert_eq!(opened, 2, "it is not remembered");
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
    // It may be busy: what it said before is true still, and is not said anew.
    let memory = Memory::new(folder.path(), &host);
    memory.keep(&ours(), 10_000);
    for _ in 0..2 {
        let peer = about(&host, folder.path(), &mut opened).expect("known from before");
        assert!(peer.ours && peer.jobs == Some(3));
    }
    assert_eq!(opened, 4);
}

#[test]
fn what_is_no_answer_is_stocks() {
    let long = helo(&[ANSWER, &b"more of it\n".repeat(100_000)].concat());
    for answer in [
        &b""[..],
        b"HTTP/1.0 400 Bad Request\r\n\r\n",
        b"DONE64636c00STAT00000000",
        b"HELOffffffff",
        b"HELO0000000x",
        &helo(b"job 64636c01\n"),
        &helo(b"daemon a\0b\n"),
        &helo(b""),
        &long,
    ] {
        let (host, serving) = server(answer.to_vec());
        let (folder, mut opened) = (folder(), 0);
        for _ in 0..2 {
            let peer = about(&host, folder.path(), &mut opened).expect("stock's");
            assert!(!peer.ours && !peer.launch_jobs && peer.jobs.is_none());
        }
        assert_eq!(opened, 1);
        let question = serving.join().expect("it served");
        let client = concat!("client distcc-launch ", env!("CARGO_PKG_VERSION"), "\n");
        let expected = [&b"DIST64636c00"[..], &helo(client.as_bytes())].concat();
        assert_eq!(question, expected);
    }
}

#[test]
fn an_answer_that_breaks_off_is_an_error() {
    let whole = helo(ANSWER);
    for cut in [1, 12, 13, whole.len() - 1] {
        let (host, serving) = server(whole[..cut].to_vec());
        let (folder, mut opened) = (folder(), 0);
        let error = about(&host, folder.path(), &mut opened).expect_err("it broke off");
        assert_eq!(error.code(), "truncated");
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
        serving.join().expect("it served");
    }
    let (host, serving) = server(whole);
    let folder = folder();
    let peer = about(&host, folder.path(), &mut 0).expect("whole");
    assert_eq!(peer.has(b"/opt/gcc", b"GCC: 13", b"arm"), Some(true));
    assert_eq!(peer.compilers().count(), 2);
    serving.join().expect("it served");
}

/// A host that was never asked, and its memory with `peer` in it.
fn remembered(folder: &Path, peer: &Peer, at: u64) -> Memory {
    let memory = Memory::new(folder, &host("192.0.2.1"));
    memory.keep(peer, at);
    memory
}

fn ours() -> Peer {
    Peer::new(&Hello::read(ANSWER).expect("an answer"))
}

#[test]
fn an_answer_holds_for_an_hour() {
    let folder = folder();
    for peer in [ours(), Peer::stock()] {
        let memory = remembered(folder.path(), &peer, 10_000);
        for (now, holds) in [
            (10_000, true),
            (13_599, true),
            (13_600, false),
            (9_999, false),
        ] {
            let (recalled, fresh) = memory.recall(now).expect("whole");
            assert_eq!(fresh, holds, "at {now}");
            assert!(recalled.compilers().eq(peer.compilers()));
            let known = |peer: &Peer| (peer.ours, peer.launch_jobs, peer.jobs, peer.all_compilers);
            assert_eq!(known(&recalled), known(&peer));
        }
    }
    // Whether a program's other end was reached is not known.
    let memory = Memory::new(folder.path(), &host("@192.0.2.1"));
    memory.keep(&Peer::stock(), 10_000);
    let holds = |now| memory.recall(now).is_some_and(|(_, holds)| holds);
    assert!(holds(10_059) && !holds(10_060));
    memory.keep(&ours(), 10_000);
    assert!(holds(13_599));
    // The same machine with another daemon's command.
    let other = Memory::new(folder.path(), &host("@192.0.2.1:/opt/distccd"));
    assert_eq!(other.file, memory.file);
    assert!(other.recall(10_000).is_none());
}

#[test]
fn damage_means_asking_again() {
    let folder = folder();
    let memory = remembered(folder.path(), &ours(), 10_000);
    let text = fs::read(&memory.file).expect("it was kept");
    assert!(memory.recall(10_000).is_some());
    for cut in 0..text.len() {
        fs::write(&memory.file, &text[..cut]).expect("cut");
        assert_eq!(memory.recall(10_000), None, "cut at {cut}");
    }
    let header = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |_| LAYOUT.len());
    for at in 0..header {
        let mut changed = text.clone();
        changed[at] ^= 1;
        fs::write(&memory.file, &changed).expect("changed");
        assert_eq!(memory.recall(10_000), None, "changed at {at}");
    }
    for damaged in [
        [&text[..], b"x\n"].concat(),
        b"distcc-launch peer 1\n192.0.2.1:3632\n\n".to_vec(),
        b"distcc-launch peer 1\n192.0.2.1:3632\n10000 x 1 1 1 1\n".to_vec(),
        vec![b'x'; 2 << 20],
        vec![0xff; 300],
    ] {
        fs::write(&memory.file, damaged).expect("damaged");
        assert_eq!(memory.recall(10_000), None);
    }
    fs::remove_file(&memory.file).expect("it is there");
    fs::create_dir(&memory.file).expect("a folder in its place");
    assert_eq!(memory.recall(10_000), None);
    memory.keep(&ours(), 10_000);
}

#[test]
fn many_may_ask_at_once() {
    let farm = Farm::ours(1);
    let (host, folder) = (host(&farm.hosts("")), folder());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let peer = about(&host, folder.path(), &mut 0).expect("an answer");
                assert!(peer.ours);
            });
        }
    });
    let mut opened = 0;
    assert!(about(&host, folder.path(), &mut opened).is_ok_and(|peer| peer.ours));
    assert_eq!(opened, 0);
}
