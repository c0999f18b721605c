//! The daemon's front: who waits, who is turned away, where requests wait, and what those who watch are told.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use common::{
    Daemon, NO_BOX, PROGRAM, decode, folder, free_port, get, read_to_end, request, slots, stand_in,
    wait_for,
};
use protocol::Version;

/// A "gcc" that notes the source's name and waits until a file allows it to end.
struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    fn new() -> Self {
        let folder = folder();
        let gcc = format!(
            "for word; do case $word in *.i) basename \"$word\" >> {0}/begun;; esac; out=$word; done\n\
             while ! [ -e {0}/open ]; do sleep 0.01; done\necho object > \"$out\"\n",
            folder.path().display()
        );
        stand_in(&folder.path().join("gcc"), &gcc);
        Self { folder }
    }

    fn path(&self) -> OsString {
        let mut path = self.folder.path().as_os_str().to_owned();
        path.push(":/usr/bin:/bin");
        path
    }

    fn open(&self) {
        fs::write(self.folder.path().join("open"), "").unwrap();
    }

    /// The sources in the order in which their compilers began.
    fn begun(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("begun")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn job(name: &str, source: &str) -> Vec<u8> {
    let words = ["gcc", "-c", name, "-o", "a.o"];
    request(Version::Plain, &words, source).encode().unwrap()
}

/// A figure of `/metrics`.
fn metric(port: u16, name: &str) -> u64 {
    let page = get(port, b"GET /metrics HTTP/1.0\r\n\r\n");
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("{name} is not in {page}"));
    value.trim().parse().unwrap()
}

#[test]
fn beyond_the_queue_connections_are_closed() {
    let gate = Gate::new();
    let port = free_port().to_string();
    let words = ["-j", "1", "--stats-port", &port, NO_BOX];
    let daemon = Daemon::with(&words, &[("DISTCCD_PATH", &gate.path())]);
    let port = port.parse().unwrap();
    let mut streams: Vec<TcpStream> = (0..10)
        .map(|n| {
            let mut stream = daemon.connect();
            stream
                .write_all(&job(&format!("n{n}.c"), "int x;\n"))
                .unwrap();
            // One after the other, so that the first is at work and the order is known.
            wait_for("its place", || {
                let waiting = if n == 0 {
                    "slots 1 free 0 queue 0\n".to_owned()
                } else {
                    format!("slots 1 free 0 queue {n}\n")
                };
                (slots(port) == waiting).then_some(())
            });
            stream
        })
        .collect();
    // One is at work and four wait; the others have waited long enough.
    for stream in streams.drain(5..) {
        let mut stream = stream;
        assert!(read_to_end(&mut stream).is_empty());
    }
    assert_eq!(slots(port), "slots 1 free 0 queue 4\n");
    assert_eq!(
        metric(
            port,
            "distcc_launchd_requests_total{result=\"rej_overload\"}"
        ),
        5
    );
    assert_eq!(metric(port, "distcc_launchd_queue"), 4);
    assert_eq!(daemon.log().matches("REJ_OVERLOAD").count(), 5);
    gate.open();
    for mut stream in streams {
        let outcome = decode(Version::Plain, &read_to_end(&mut stream));
        assert!(outcome.status.success());
    }
    assert_eq!(gate.begun(), ["n0.i", "n1.i", "n2.i", "n3.i", "n4.i"]);
    assert_eq!(slots(port), "slots 1 free 1 queue 0\n");
    assert_eq!(metric(port, "distcc_launchd_start_seconds_count"), 5);
    assert_eq!(metric(port, "distcc_launchd_answer_seconds_count"), 5);
    daemon.end();
}

/// Loopback has many addresses: here, two clients.
fn connect_from(daemon: &Daemon, address: &str) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let from: std::net::SocketAddr = format!("{address}:0").parse().unwrap();
    bind(&socket, &from).unwrap();
    let to: std::net::SocketAddr = format!("127.0.0.1:{}", daemon.port).parse().unwrap();
    connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(common::LIMIT)).unwrap();
    stream
}

#[test]
fn one_client_cannot_starve_another() {
    let gate = Gate::new();
    let port = free_port().to_string();
    let words = ["-j", "2", "--stats-port", &port, NO_BOX];
    let daemon = Daemon::with(&words, &[("DISTCCD_PATH", &gate.path())]);
    let port = port.parse().unwrap();
    let send = |from: &str, name: &str| {
        let mut stream = connect_from(&daemon, from);
        stream.write_all(&job(name, "int x;\n")).unwrap();
        stream
    };
    let mut streams: Vec<TcpStream> = (0..8)
        .map(|n| send("127.0.0.2", &format!("greedy{n}.c")))
        .collect();
    wait_for("the queue", || {
        (slots(port) == "slots 2 free 0 queue 6\n").then_some(())
    });
    streams.push(send("127.0.0.3", "modest.c"));
    wait_for("the queue", || {
        (slots(port) == "slots 2 free 0 queue 7\n").then_some(())
    });
    gate.open();
    for mut stream in streams {
        let outcome = decode(Version::Plain, &read_to_end(&mut stream));
        assert!(outcome.status.success());
    }
    // Both slots were the greedy one's; the next that was free went to who had none.
    let begun = gate.begun();
    let place = begun.iter().position(|name| name == "modest.i").unwrap();
    assert!(place <= 3, "{begun:?}");
    daemon.end();
}

#[test]
fn what_waits_and_does_not_fit_in_memory_is_in_files_without_names() {
    let gate = Gate::new();
    let port = free_port().to_string();
    let words = ["-j", "1", "--stats-port", &port, NO_BOX];
    let daemon = Daemon::with(&words, &[("DISTCCD_PATH", &gate.path())]);
    let port = port.parse().unwrap();
    // 24 MiB each: the third does not fit any more.
    let text = format!("int x;/*{}*/\n", "x".repeat(24 << 20));
    let jobs: Vec<_> = (0..5)
        .map(|n| {
            let bytes = job(&format!("n{n}.c"), &text);
            let mut stream = daemon.connect();
            std::thread::spawn(move || {
                stream.write_all(&bytes).unwrap();
                decode(Version::Plain, &read_to_end(&mut stream))
            })
        })
        .collect();
    wait_for("the queue", || {
        (slots(port) == "slots 1 free 0 queue 4\n").then_some(())
    });
    let in_memory = metric(port, "distcc_launchd_requests_memory_bytes");
    let in_files = metric(port, "distcc_launchd_requests_file_bytes");
    assert!(in_memory <= 65 << 20, "{in_memory}");
    assert!(in_files >= 24 << 20, "{in_files}");
    assert!(
        in_memory + in_files >= 4 * (24 << 20),
        "{in_memory} {in_files}"
    );
    // Only the job at work has a name in the folder.
    assert_eq!(fs::read_dir(daemon.tmp.path()).unwrap().count(), 1);
    gate.open();
    for job in jobs {
        assert!(job.join().unwrap().status.success());
    }
    assert_eq!(metric(port, "distcc_launchd_requests_memory_bytes"), 0);
    assert_eq!(metric(port, "distcc_launchd_requests_file_bytes"), 0);
    daemon.end();
}

#[test]
fn the_statistics_port_understands_a_get_and_nothing_else() {
    let port = free_port().to_string();
    let daemon = Daemon::with(&["--stats-port", &port], &[]);
    let port = port.parse().unwrap();
    daemon.assert_serves();
    let huge = [
        b"GET / HTTP/1.0\r\nX: ".as_slice(),
        &[b'x'; 20_000],
        b"\r\n\r\n",
    ]
    .concat();
    for (asked, status) in [
        (&b"GET / HTTP/1.0\r\n\r\n"[..], "200"),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        (b"GET /slots?x HTTP/1.1\r\n\r\n", "200"),
        (b"GET /../slots HTTP/1.1\r\n\r\n", "404"),
        (b"GET /%00 HTTP/1.1\r\n\r\n", "404"),
        (b"GET /etc/passwd HTTP/1.0\r\n\r\n", "404"),
        (
            b"POST /slots HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
            "405",
        ),
        (b"HEAD / HTTP/1.0\r\n\r\n", "405"),
        (b"\x16\x03\x01\x00\xc8\x01\x00\x00\n\n", "400"),
        (&huge, "431"),
    ] {
        let answer = get(port, asked);
        assert!(
            answer.starts_with(&format!("HTTP/1.0 {status} ")),
            "{}: {answer}",
            asked[..asked.len().min(40)].escape_ascii()
        );
    }
    // Who never ends his request is not waited for, and stops nobody.
    let mut slow = TcpStream::connect(("127.0.0.1", port)).unwrap();
    slow.set_read_timeout(Some(common::LIMIT)).unwrap();
    slow.write_all(b"GET / HT").unwrap();
    assert!(get(port, b"GET /slots HTTP/1.0\r\n\r\n").contains(" queue 0\n"));
    assert!(read_to_end(&mut slow).is_empty());
    daemon.assert_serves();
    daemon.end();
}

#[test]
fn metrics_are_prometheus_text() {
    let port = free_port().to_string();
    let daemon = Daemon::with(&["--stats-port", &port, "-j", "3"], &[]);
    let port = port.parse().unwrap();
    daemon.assert_serves();
    assert!(daemon.talk(b"DIST00000009").is_empty());
    wait_for("the counters", || {
        (metric(port, "distcc_launchd_answer_seconds_count") == 1
            && metric(
                port,
                "distcc_launchd_requests_total{result=\"rej_bad_req\"}",
            ) == 1)
            .then_some(())
    });
    let page = get(port, b"GET /metrics HTTP/1.0\r\n\r\n");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"));
    let mut names = Vec::new();
    for line in body.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(typed) => names.push(typed.split(' ').next().unwrap()),
            None if line.starts_with("# HELP ") => {}
            None => {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(name.starts_with(names.last().unwrap()), "{line}");
            }
        }
    }
    assert!(names.len() >= 10 && names.iter().all(|name| name.starts_with("distcc_launchd_")));
    assert!(body.contains("distcc_launchd_slots 3\n") && body.contains("compile_ok\"} 1\n"));
    daemon.end();
}

#[test]
fn statistics_are_for_this_machine_unless_asked_for() {
    let port = free_port().to_string();
    let daemon = Daemon::with(&["--stats-port", &port], &[]);
    let line = format!("statistics on http://127.0.0.1:{port}/");
    wait_for("the log", || daemon.log().contains(&line).then_some(()));
    daemon.end();
    // With --stats others too, who are on the list: here nobody of this machine.
    let words = ["--stats", "--stats-port", &port, "--allow", "10.254.0.1"];
    let daemon = Daemon::with(&words, &[]);
    assert_eq!(get(port.parse().unwrap(), b"GET / HTTP/1.0\r\n\r\n"), "");
    wait_for("the log", || {
        daemon.log().contains("no statistics").then_some(())
    });
    daemon.end();
}

#[test]
fn a_json_log_has_an_object_a_line() {
    let daemon = Daemon::with(&["--log-format", "json"], &[]);
    daemon.assert_serves();
    let hostile = ["gcc\n{\"a\":1}\u{1b}[2J", "-c", "a.c"];
    let outcome = daemon.compile(&request(Version::Plain, &hostile, "int x;\n"));
    assert!(!outcome.status.success());
    let log = wait_for("the log", || {
        let log = daemon.log();
        (log.matches("\"event\":\"job\"").count() == 2).then_some(log)
    });
    for line in log.lines() {
        assert!(
            line.starts_with("{\"time\":") && line.ends_with('}'),
            "{line}"
        );
        assert!(!line.chars().any(char::is_control), "{line}");
    }
    let job = log
        .lines()
        .find(|line| line.contains("COMPILE_OK"))
        .unwrap();
    for part in [
        "\"level\":\"notice\"",
        "\"result\":\"COMPILE_OK\"",
        "\"compiler\":\"gcc\"",
        "\"source\":\"a.c\"",
        "\"exit\":0",
    ] {
        assert!(job.contains(part), "{job}");
    }
    daemon.end();
}

#[test]
fn a_client_with_many_incomplete_connections_makes_room_for_others() {
    let daemon = Daemon::with(&["-j", "1", "--max-connections", "20"], &[]);
    let mut honest = connect_from(&daemon, "127.0.0.3");
    let bytes = job("a.c", "int x;\n");
    let (head, rest) = bytes.split_at(bytes.len() - 3);
    honest.write_all(head).unwrap();
    let greedy: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = connect_from(&daemon, "127.0.0.2");
            let _ = stream.write_all(head);
            stream
        })
        .collect();
    wait_for("those who were sent away", || {
        (daemon.log().matches("too many connections").count() >= 40).then_some(())
    });
    honest.write_all(rest).unwrap();
    let outcome = decode(Version::Plain, &read_to_end(&mut honest));
    assert!(outcome.status.success());
    drop(greedy);
    daemon.end();
}

/// As systemd starts it: the socket is there before the daemon.
#[test]
fn sockets_of_systemd_are_taken() {
    let manager_folder = folder();
    let path = manager_folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let (jobs, stats) = (free_port(), free_port());
    // A shell's redirections cannot listen; python's socket can.
    let start = "import os,socket,sys\n\
        a=socket.create_server(('127.0.0.1',int(sys.argv[1])));b=socket.create_server(('127.0.0.1',int(sys.argv[2])))\n\
        x=os.dup(a.fileno());y=os.dup(b.fileno());os.dup2(x,3);os.dup2(y,4)\n\
        os.environ.update(LISTEN_FDS='2',LISTEN_PID=str(os.getpid()),LISTEN_FDNAMES='distcc-launchd.socket:stats')\n\
        os.execv(sys.argv[3],sys.argv[3:])";
    let tmp = folder();
    let mut child = Command::new("python3")
        .args(["-c", start, &jobs.to_string(), &stats.to_string(), PROGRAM])
        .args(["--no-detach", "--daemon", "--log-stderr", "--drain", "0"])
        .env("NOTIFY_SOCKET", &path)
        .env("TMPDIR", tmp.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    manager.set_read_timeout(Some(common::LIMIT)).unwrap();
    let hear = || {
        let mut words = [0; 200];
        let len = manager.recv(&mut words).unwrap();
        String::from_utf8(words[..len].to_vec()).unwrap()
    };
    assert_eq!(hear(), format!("READY=1\nMAINPID={}\n", child.id()));
    let mut stream = TcpStream::connect(("127.0.0.1", jobs)).unwrap();
    stream.set_read_timeout(Some(common::LIMIT)).unwrap();
    stream.write_all(&job("a.c", "int x;\n")).unwrap();
    let outcome = decode(Version::Plain, &read_to_end(&mut stream));
    assert!(outcome.status.success());
    assert!(slots(stats).starts_with("slots "));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let reloading = hear();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert!(hear().starts_with("READY=1\n"));
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(hear(), "STOPPING=1\n");
    let status = wait_for("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
}

#[test]
fn a_flood_of_half_requests_leaves_the_figures_right() {
    let port = free_port().to_string();
    let daemon = Daemon::with(&["--stats-port", &port], &[]);
    let port = port.parse().unwrap();
    let bytes = job("a.c", &"int x;\n".repeat(40_000));
    let streams: Vec<TcpStream> = (1..30)
        .map(|n| {
            let mut stream = daemon.connect();
            stream.write_all(&bytes[..bytes.len() * n / 30]).unwrap();
            stream
        })
        .collect();
    wait_for("their bytes", || {
        (metric(port, "distcc_launchd_requests_memory_bytes") > 1 << 20).then_some(())
    });
    for mut stream in streams {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    wait_for("their end", || {
        (metric(port, "distcc_launchd_requests_memory_bytes") == 0
            && metric(port, "distcc_launchd_connections") == 0)
            .then_some(())
    });
    daemon.end();
}
