//! Hosts with keys: results are the local ones, strangers hear nothing, and who sits on the line can only stop it.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tests::{
    Client, Compared, Daemon, Effects, Farm, LyingServer, Make, Space, launcher_daemon, run,
    side_by_side, start, token, until,
};

const SOURCE: [(&str, &str); 2] = [
    ("a.c", "int answer(void) { return 42; }\n"),
    ("bad.c", "int answer(void) { return fortytwo; }\n"),
];
const COMMAND: &str = "gcc -O1 -c a.c";
/// Bytes of a client's first message, and of the daemon's (docs/protocol.md, "Keys").
const OPENING: usize = 68;
const ANSWER: usize = 48;

/// A folder with a daemon's keys.
struct Keys(TempDir);

impl Keys {
    fn new() -> Keys {
        Keys(tempfile::tempdir().unwrap())
    }

    fn daemon(&self) -> String {
        self.0.path().join("daemon").display().to_string()
    }

    /// A new client's key file.
    fn client(&self, label: &str) -> PathBuf {
        let path = self.0.path().join(label);
        let ran = run(Command::new(launcher_daemon())
            .args(["keygen", "--keys", &self.daemon(), "--output"])
            .arg(&path)
            .arg(label));
        assert_eq!((ran.code(), ran.out().as_str()), (0, ""), "{ran:?}");
        path
    }

    /// A daemon that wants one of these keys.
    fn farm(&self) -> Farm {
        Farm::with(Make::Ours, 1, &["--keys", &self.daemon()])
    }
}

/// A project whose launcher has `key` where it looks for it, and knows `host`.
fn space(host: &str, key: &Path) -> Space {
    let space = Space::new(SOURCE).hosts(&format!("{host},key"));
    fs::copy(key, space.dir().join("key")).unwrap();
    space
}

#[track_caller]
fn assert_error(compared: &Compared, code: &str) {
    compared.assert_same_as_local().assert_fell_back();
    let error = compared.row().attempts[0].error.as_deref();
    assert_eq!(error, Some(code), "{compared}");
}

/// Compiles that the daemon has answered.
fn compiled(daemon: &Daemon) -> usize {
    daemon.log().matches("COMPILE_OK").count()
}

#[test]
fn results_are_the_local_ones() {
    let keys = Keys::new();
    let (alice, bob) = (keys.client("alice"), keys.client("bob"));
    let farm = keys.farm();
    let big: String = (0..3_000)
        .map(|n| format!("int f{n}(void) {{ return {n}; }}\n"))
        .collect();
    for (key, suffix) in [(&alice, ",key"), (&alice, "/2,lzo,key"), (&bob, ",key,lzo")] {
        let space = Space::new(SOURCE)
            .file("big.c", &big)
            .hosts(&farm.hosts(suffix));
        fs::copy(key, space.dir().join("key")).unwrap();
        for command in [
            COMMAND,
            "gcc -g -O2 -Wall -c a.c -o b.o",
            "gcc -c big.c -MMD",
            "g++ -x c++ -c a.c",
        ] {
            space
                .compile(command)
                .assert_same_as_local()
                .assert_remote();
        }
        space.compile("gcc -c bad.c").assert_same_as_local();
    }
    let log = farm.daemons[0].log();
    for label in ["alice", "bob"] {
        let line = format!("/{label} COMPILE_OK");
        assert!(log.contains(&line), "the log says whose job it was: {log}");
    }
    assert!(!log.contains("wrong key"), "{log}");
}

#[test]
fn a_key_file_can_be_named() {
    let keys = Keys::new();
    let key = keys.client("alice");
    let farm = keys.farm();
    let absolute = format!(",key={}", key.display());
    for (suffix, name) in [
        (absolute.as_str(), None),
        (",lzo,key=farm.key", Some("farm.key")),
    ] {
        let space = Space::new(SOURCE).hosts(&farm.hosts(suffix));
        if let Some(name) = name {
            fs::copy(&key, space.dir().join(name)).unwrap();
        }
        space
            .compile(COMMAND)
            .assert_same_as_local()
            .assert_remote();
        let port = farm.daemons[0].port();
        let slot = format!("lock/cpu_tcp_127.0.0.1_{port}_0");
        assert!(
            space.dir().join(slot).exists(),
            "the same slots as without a key"
        );
    }
}

#[test]
fn wrong_keys_compile_here() {
    let (keys, others) = (Keys::new(), Keys::new());
    let right = keys.client("alice");
    let farm = keys.farm();
    let host = farm.hosts("");
    // Another daemon's; one whose line was taken out; one with the right daemon and a secret of its own.
    let stranger = others.client("alice");
    let late = keys.client("late");
    let mixed = keys.0.path().join("mixed");
    let line = |path: &Path, word: &str| {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .find(|line| line.starts_with(word))
            .unwrap()
            .to_owned()
    };
    let text = format!(
        "distcc-launch key 1\n{}\n{}\n",
        line(&right, "daemon"),
        line(&stranger, "client")
    );
    fs::write(&mixed, text).unwrap();
    fs::set_permissions(&mixed, fs::Permissions::from_mode(0o600)).unwrap();
    for key in [&stranger, &late, &mixed] {
        assert_error(&space(&host, key).compile(COMMAND), "key-refused");
    }
    let log = farm.daemons[0].log();
    assert!(
        log.contains("made for another daemon's key") && log.contains("not in the list"),
        "{log}"
    );
    assert_eq!(compiled(&farm.daemons[0]), 0, "{log}");
    space(&host, &right)
        .compile(COMMAND)
        .assert_same_as_local()
        .assert_remote();
}

#[test]
fn a_key_that_is_none_reaches_nobody() {
    let keys = Keys::new();
    let key = keys.client("alice");
    let server = LyingServer::start(|_| {});
    let file = keys.0.path().join("tried");
    let good = fs::read(&key).unwrap();
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let compile = || {
        let list = format!("{},key={}", server.host(), file.display());
        let compared = Space::new(SOURCE).hosts(&list).compile(COMMAND);
        assert_error(&compared, "key-file");
    };
    fs::write(&file, &good).unwrap();
    for open in [0o644, 0o660, 0o604] {
        mode(open);
        compile();
    }
    mode(0o600);
    for text in [
        &b""[..],
        b"no key",
        &good[..good.len() - 8],
        &fs::read(keys.daemon()).unwrap(),
    ] {
        fs::write(&file, text).unwrap();
        compile();
    }
    fs::remove_file(&file).unwrap();
    compile();
    assert_eq!(server.accepted(), 0, "nobody was connected to");
}

#[test]
fn a_host_with_a_key_is_never_tried_without() {
    let keys = Keys::new();
    let key = keys.client("alice");
    for make in [Make::Ours, Make::Stock] {
        let farm = Farm::with(make, 1, &[]);
        assert_error(
            &space(&farm.hosts(""), &key).compile(COMMAND),
            "key-refused",
        );
        assert_eq!(compiled(&farm.daemons[0]), 0);
    }
}

/// What `bytes` get from the daemon on `port`, and whether it closed at once.
fn say(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        // What it did not read makes a reset of its end.
        Err(error) => assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset,
            "it waits"
        ),
    }
    said
}

#[test]
fn plain_clients_are_closed_without_a_word() {
    let keys = Keys::new();
    keys.client("alice");
    let farm = keys.farm();
    let port = farm.daemons[0].port();
    let plain = token("DIST", 1);
    // The sending side stays open: it is the daemon that ends it, with the first bytes that tell.
    for bytes in [
        &plain[..],
        b"DIST64636c00",
        b"GET / HTTP/1.0\r\n\r\n",
        b"X",
        b"KEY2",
        &[0; 200],
    ] {
        assert_eq!(say(port, bytes), b"", "{bytes:?}");
    }
    for client in [
        Client::ours(),
        Client::stock(),
        Client::ours().called("distcc"),
    ] {
        let stock = client.is_stock();
        let space = Space::new(SOURCE).client(client).hosts(&farm.hosts(""));
        let compared = space.compile(COMMAND);
        compared.assert_same_files();
        if !stock {
            compared.assert_fell_back();
        }
    }
    let daemon = &farm.daemons[0];
    assert_eq!(compiled(daemon), 0, "{}", daemon.log());
    assert!(
        daemon.log().contains("no opening with a key"),
        "{}",
        daemon.log()
    );
}

#[test]
fn an_address_with_many_wrong_keys_has_to_wait() {
    let keys = Keys::new();
    let key = keys.client("alice");
    let farm = keys.farm();
    let daemon = &farm.daemons[0];
    let blocked = |log: &str| log.contains("too many wrong keys");
    let mut tries = 0;
    while !blocked(&daemon.log()) {
        assert!(tries < 500, "{}", daemon.log());
        say(daemon.port(), b"DIST00000001");
        tries += 1;
    }
    assert!(tries >= 10, "a few mistakes cost nothing: {tries}");
    // While others there go on, who has a key has to wait too.
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(SeqCst) {
                say(daemon.port(), b"DIST00000001");
            }
        });
        let refused = std::panic::catch_unwind(|| {
            // One try comes back each few seconds, and it may be this one that gets it.
            until("who has a key is refused too", || {
                let compared = space(&daemon.host(), &key).compile(COMMAND);
                compared.assert_same_as_local();
                let attempt = &compared.row().attempts[0];
                attempt.error.as_deref() == Some("key-refused")
            });
        });
        ended.store(true, SeqCst);
        refused.unwrap();
    });
    // And then not for long.
    until("the address may try again", || {
        let compared = space(&daemon.host(), &key).compile(COMMAND);
        compared.assert_same_as_local();
        compared.row().place == "remote"
    });
}

#[test]
fn a_server_without_the_key_gets_nothing_of_the_source() {
    let keys = Keys::new();
    let key = keys.client("alice");
    for answer in [
        vec![],
        vec![0; ANSWER],
        vec![0xa5; ANSWER],
        b"DONE00000001STAT00000000".repeat(9),
    ] {
        let got = Arc::new(Mutex::new(Vec::new()));
        let (sees, says) = (Arc::clone(&got), answer.clone());
        let server = LyingServer::start(move |talk| {
            let mut all = talk.read(OPENING);
            talk.send(&says);
            if says.len() >= ANSWER {
                all.extend(talk.read(1000));
            }
            sees.lock().unwrap().push(all);
        });
        let space = space(&server.host(), &key).client_env("DISTCC_IO_TIMEOUT", "5");
        let code = if answer.is_empty() {
            "key-refused"
        } else {
            "key-other-daemon"
        };
        assert_error(&space.compile(COMMAND), code);
        drop(server);
        let got = got.lock().unwrap();
        assert!(!got.is_empty());
        for bytes in got.iter() {
            assert_eq!((bytes.len(), &bytes[..4]), (OPENING, &b"KEY1"[..]));
        }
    }
    // One that says nothing at all is left after a while.
    let server = LyingServer::start(|talk| {
        talk.stall();
    });
    let space = space(&server.host(), &key).client_env("DISTCC_IO_TIMEOUT", "1");
    assert_error(&space.compile(COMMAND), "key-timeout");
}

/// What somebody on the line does to one direction of one connection.
#[derive(Debug, Clone, Copy)]
struct Meddling {
    /// 1 asks whose daemon it is, 2 brings the job.
    connection: usize,
    to_daemon: bool,
    at: usize,
    cuts: bool,
}

/// Somebody between launcher and daemon.
struct Line {
    port: u16,
    ended: Arc<AtomicBool>,
    /// What went to the daemon by the last connection.
    heard: Arc<Mutex<Vec<u8>>>,
    listener: Option<std::thread::JoinHandle<()>>,
}

impl Line {
    fn new(daemon: u16, meddling: Option<Meddling>) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ended = Arc::new(AtomicBool::new(false));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (end, ears) = (Arc::clone(&ended), Arc::clone(&heard));
        let listener = std::thread::spawn(move || {
            let number = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for client in listener.incoming() {
                    if end.load(SeqCst) {
                        break;
                    }
                    let number = number.fetch_add(1, SeqCst) + 1;
                    let meddling = meddling.filter(|meddling| meddling.connection == number);
                    let client = client.unwrap();
                    let server = TcpStream::connect(("127.0.0.1", daemon)).unwrap();
                    ears.lock().unwrap().clear();
                    let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                    let ears = &ears;
                    scope.spawn(move || {
                        carry(client, server, meddling.filter(|m| m.to_daemon), Some(ears))
                    });
                    scope.spawn(move || {
                        carry(back.0, back.1, meddling.filter(|m| !m.to_daemon), None)
                    });
                }
            });
        });
        Line {
            port,
            ended,
            heard,
            listener: Some(listener),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.ended.store(true, SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    meddling: Option<Meddling>,
    ears: Option<&Arc<Mutex<Vec<u8>>>>,
) {
    let mut space = [0; 4096];
    let mut passed = 0;
    while let Ok(count @ 1..) = from.read(&mut space) {
        let bytes = &mut space[..count];
        if let Some(meddling) = meddling
            && let Some(at) = meddling.at.checked_sub(passed).filter(|at| *at < count)
        {
            if meddling.cuts {
                let _ = to.write_all(&bytes[..at]);
                break;
            }
            bytes[at] ^= 1 << (meddling.at % 8);
        }
        passed += count;
        if let Some(ears) = ears {
            ears.lock().unwrap().extend_from_slice(bytes);
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[test]
fn who_sits_on_the_line_can_only_stop_it() {
    let keys = Keys::new();
    let key = keys.client("alice");
    let local = Space::new(SOURCE).local(COMMAND);
    let mut cases = Vec::new();
    for connection in [1, 2] {
        for to_daemon in [true, false] {
            let handshake = if to_daemon { OPENING } else { ANSWER };
            for at in [
                0,
                3,
                20,
                handshake - 1,
                handshake,
                handshake + 1,
                handshake + 2,
                handshake + 17,
                handshake + 40,
                200,
                500,
            ] {
                for cuts in [true, false] {
                    cases.push(Meddling {
                        connection,
                        to_daemon,
                        at,
                        cuts,
                    });
                }
            }
        }
    }
    let harmed = AtomicUsize::new(0);
    side_by_side(cases, |meddling| {
        // A daemon for each, since these are wrong keys that are counted by address.
        let farm = keys.farm();
        let line = Line::new(farm.daemons[0].port(), Some(meddling));
        let space =
            space(&format!("127.0.0.1:{}", line.port), &key).client_env("DISTCC_IO_TIMEOUT", "2");
        let compared = space.compile_against(&local, COMMAND);
        assert_harmless(&local, &compared, meddling);
        let failed = compared.row().fell_back;
        harmed.fetch_add(usize::from(failed), SeqCst);
        let must = meddling.at < if meddling.to_daemon { OPENING } else { ANSWER };
        assert!(failed || !must, "{meddling:?} was not noticed\n{compared}");
    });
    assert!(harmed.load(SeqCst) > 60, "{harmed:?}");
}

#[track_caller]
fn assert_harmless(local: &Effects, compared: &Compared, meddling: Meddling) {
    let found = local.differences(&compared.via);
    assert!(found.is_empty(), "{meddling:?}: {found:?}\n{compared}");
}

#[test]
fn what_was_heard_can_be_said_again_to_no_end() {
    let keys = Keys::new();
    let key = keys.client("alice");
    let farm = keys.farm();
    let daemon = &farm.daemons[0];
    let line = Line::new(daemon.port(), None);
    let space = space(&format!("127.0.0.1:{}", line.port), &key);
    space
        .compile(COMMAND)
        .assert_same_as_local()
        .assert_remote();
    let heard = line.heard.lock().unwrap().clone();
    assert!(heard.starts_with(b"KEY1") && heard.len() > OPENING + 100);
    assert!(
        !heard
            .windows(6)
            .any(|part| part == b"answer" || part == b"gcc -O")
    );
    assert_eq!(compiled(daemon), 1);
    let said = say(daemon.port(), &heard);
    assert_eq!(
        said.len(),
        ANSWER,
        "an answer for who made the opening, and nothing else"
    );
    assert_eq!(compiled(daemon), 1, "{}", daemon.log());
}

#[test]
fn a_line_that_is_taken_out_locks_out() {
    let keys = Keys::new();
    let (alice, bob) = (keys.client("alice"), keys.client("bob"));
    // Readable for the user that the daemon becomes; a file of root's is read only at the start.
    let owner = fs::metadata(keys.daemon()).unwrap();
    let text = fs::read_to_string(keys.daemon()).unwrap();
    let (path, user) = (keys.daemon(), "nobody");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        fs::set_permissions(keys.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut farm = Farm::with(Make::Ours, 1, &["--user", user, "--keys", &path]);
    let host = farm.hosts("");
    space(&host, &bob)
        .compile(COMMAND)
        .assert_same_as_local()
        .assert_remote();
    let without: String = text
        .lines()
        .filter(|line| !line.contains(" bob "))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_ne!(text, without);
    fs::write(&path, without).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode(),
        owner.permissions().mode()
    );
    let daemon = &mut farm.daemons[0];
    daemon.signal(rustix::process::Signal::HUP);
    until("the keys are read again", || {
        daemon.log().contains("1 keys are served")
    });
    assert_error(&space(&host, &bob).compile(COMMAND), "key-refused");
    space(&host, &alice)
        .compile(COMMAND)
        .assert_same_as_local()
        .assert_remote();
}

/// The figures for those who watch, by HTTP.
fn metrics(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn who_watches_sees_whose_connections_they_were() {
    let keys = Keys::new();
    let key = keys.client("alice");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let options = [
        "--keys",
        &keys.daemon(),
        "--stats",
        "--stats-port",
        &free.to_string(),
    ];
    let farm = Farm::with(Make::Ours, 1, &options);
    let daemon = &farm.daemons[0];
    space(&daemon.host(), &key)
        .compile(COMMAND)
        .assert_same_as_local()
        .assert_remote();
    say(daemon.port(), b"DIST00000001");
    // Counted when the connection is over, which the client does not see.
    until("both connections and the stranger are counted", || {
        let page = metrics(free);
        page.contains("\ndistcc_launchd_key_connections_total{key=\"alice\"} 2\n")
            && page.contains("\ndistcc_launchd_keys_refused_total 1\n")
    });
}

/// Starts our daemon with `options` for a moment.  Its exit code and what it said, if it did not start.
fn refused(options: &[&str]) -> Option<(i32, String)> {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let port = folder.path().join("port");
    let mut running = start(
        Command::new(launcher_daemon())
            .args([
                "--daemon",
                "--no-detach",
                "--log-stderr",
                "--port",
                "0",
                "--port-file",
            ])
            .arg(&port)
            .args(options)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TMPDIR", folder.path()),
    );
    until("it listens or ends", || {
        port.exists() || running.has_ended()
    });
    if port.exists() && !running.has_ended() {
        running.signal(rustix::process::Signal::TERM);
        running.finish();
        return None;
    }
    let ran = running.finish();
    Some((ran.code(), ran.err()))
}

#[test]
fn open_networks_need_keys_or_a_word() {
    let keys = Keys::new();
    keys.client("alice");
    for open in [
        ["--allow", "0.0.0.0/0"],
        ["--allow", "8.8.8.0/24"],
        ["--listen", "192.0.2.1"],
    ] {
        let (code, said) = refused(&open).expect("it must not start");
        assert_eq!(code, 101, "{said}");
        assert!(
            said.contains(open[1])
                && said.contains("--keys")
                && said.contains("--insecure-network"),
            "{said}"
        );
    }
    for rest in [
        ["--insecure-network", "--verbose"],
        ["--keys", &keys.daemon()],
    ] {
        let options = [
            &["--allow", "0.0.0.0/0", "--listen", "127.0.0.1"][..],
            &rest,
        ]
        .concat();
        assert_eq!(refused(&options), None);
    }
    assert_eq!(
        refused(&["--allow", "10.0.0.0/8", "--listen", "127.0.0.1"]),
        None
    );
    assert_eq!(refused(&[]), None);
}

#[test]
fn a_daemon_starts_only_with_keys_of_its_own() {
    let keys = Keys::new();
    let client = keys.client("alice").display().to_string();
    let (code, said) = refused(&["--keys", &client]).expect("it must not start");
    assert!(code == 101 && said.contains("client's file"), "{said}");
    let (code, said) = refused(&["--keys", "/no/such/file"]).expect("it must not start");
    assert!(code == 101 && said.contains("/no/such/file"), "{said}");
    fs::set_permissions(keys.daemon(), fs::Permissions::from_mode(0o640)).unwrap();
    let (code, said) = refused(&["--keys", &keys.daemon()]).expect("it must not start");
    assert!(code == 101 && said.contains("chmod 600"), "{said}");
}

#[test]
fn keygen_prints_a_key_and_says_what_is_wrong() {
    let keys = Keys::new();
    let keygen = |words: &[&str]| run(Command::new(launcher_daemon()).arg("keygen").args(words));
    let daemon = keys.daemon();
    let made = keygen(&["--keys", &daemon, "alice"]);
    assert_eq!((made.code(), made.err().as_str()), (0, ""));
    assert!(
        made.out().starts_with("distcc-launch key 1\n"),
        "{}",
        made.out()
    );
    let text = fs::read_to_string(&daemon).unwrap();
    let line = made
        .out()
        .lines()
        .find(|line| line.starts_with("client "))
        .unwrap()
        .to_owned();
    assert!(text.starts_with("distcc-launchd keys 1\n") && text.contains(&line));
    assert!(!made.out().contains("private"));
    assert_eq!(
        fs::metadata(&daemon).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let again = keygen(&["--keys", &daemon, "alice"]);
    assert!(
        again.code() == 1 && again.err().contains("has a key for alice already"),
        "{again:?}"
    );
    let nameless = keygen(&["--keys", &daemon]);
    assert!(
        nameless.code() == 101 && nameless.err().contains("LABEL"),
        "{nameless:?}"
    );
    let help = keygen(&["--help"]);
    assert!(help.code() == 0 && help.out().contains(",key"), "{help:?}");
    assert_eq!(fs::read_to_string(&daemon).unwrap(), text);
}

#[test]
fn behind_inetd_too_there_is_no_word_for_strangers() {
    let keys = Keys::new();
    keys.client("alice");
    let mut child = Command::new(launcher_daemon())
        .args(["--inetd", "--log-stderr", "--keys", &keys.daemon()])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let mut stdin = child.stdin.take().unwrap();
    // It may have gone before we are done.
    let _ = stdin.write_all(b"DIST00000001ARGC00000001");
    let mut said = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut said).unwrap();
    assert_eq!(said, b"");
    assert!(child.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(60));
    drop(stdin);
}
