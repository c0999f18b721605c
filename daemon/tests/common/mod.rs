//! A real daemon on a free port of loopback, and what tests say to it.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use protocol::{Body, Limits, Outcome, OutcomeDecoder, Request, Source, Version};

/// For stand-ins that tell of themselves in files outside: a compiler in the box cannot write there.
pub(crate) const NO_BOX: &str = "--sandbox=off";

/// Longer than anything takes, even on a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// How long the daemon bears a silent peer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(6);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_distcc-launchd");

/// Waits until `done` gives something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until nothing is left of any job: a job's folder goes after its answer.
pub(crate) fn wait_for_no_file(folder: &Path) {
    wait_for("an empty folder", || {
        (fs::read_dir(folder).unwrap().count() == 0).then_some(())
    });
}

/// A folder that the daemon's user can enter and write to, also when the tests run as root.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// Writes an executable script.
pub(crate) fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A script that stands in for a compiler. It compiles as `text` says, and says nothing of itself when the daemon asks it at its start.
pub(crate) fn stand_in(path: &Path, text: &str) {
    let silent = "case \" $* \" in *\" -c \"*) ;; *) exit 1;; esac";
    script(path, &format!("{silent}\n{text}"));
}

/// A process that exists and is no zombie.
pub(crate) fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) port: u16,
    /// Its TMPDIR: empty again when it has ended.
    pub(crate) tmp: tempfile::TempDir,
    files: tempfile::TempDir,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::with(&[], &[])
    }

    /// With these words and variables more.
    pub(crate) fn with(words: &[&str], variables: &[(&str, &OsStr)]) -> Self {
        Self::by(Command::new(PROGRAM), words, variables)
    }

    /// Started by a command that goes on with the words it is given.
    pub(crate) fn by(mut command: Command, words: &[&str], variables: &[(&str, &OsStr)]) -> Self {
        let (tmp, files) = (folder(), folder());
        let log = File::create(files.path().join("log")).unwrap();
        let child = command
            .args(["--daemon", "--no-detach", "--listen", "127.0.0.1"])
            .args(["--port", "0", "--port-file"])
            .arg(files.path().join("port"))
            .args(["--log-stderr", "--log-level", "debug"])
            // Tests that are about either say so.
            .args(["--drain", "0", "--stats-port", "0"])
            .args(words)
            .env("TMPDIR", tmp.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Self {
            child,
            port: 0,
            tmp,
            files,
        };
        daemon.port = wait_for("the port file", || {
            assert_eq!(
                daemon.child.try_wait().unwrap(),
                None,
                "the daemon ended: {}",
                daemon.log()
            );
            fs::read_to_string(daemon.files.path().join("port"))
                .ok()?
                .trim()
                .parse()
                .ok()
        });
        daemon
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.files.path().join("log")).unwrap()).into_owned()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Sends bytes and reads to the end of the connection. A reset counts as an end.
    pub(crate) fn talk(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // The daemon may refuse before everything is written.
        let _ = stream.write_all(bytes);
        read_to_end(&mut stream)
    }

    /// Sends bytes, then nothing more ever: the daemon sees the end.
    pub(crate) fn talk_and_stop(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        read_to_end(&mut stream)
    }

    pub(crate) fn compile(&self, request: &Request) -> Outcome {
        decode(request.version, &self.talk(&request.encode().unwrap()))
    }

    /// A small job still goes through.
    #[track_caller]
    pub(crate) fn assert_serves(&self) {
        let outcome = self.compile(&request(
            Version::Plain,
            &["gcc", "-c", "a.c", "-o", "a.o"],
            "int x;\n",
        ));
        assert!(outcome.status.success(), "{outcome:?}\n{}", self.log());
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("the daemon's end", || self.child.try_wait().unwrap())
    }

    /// Ends it by SIGTERM, and looks whether anything is left.
    #[track_caller]
    pub(crate) fn end(mut self) {
        self.signal(rustix::process::Signal::TERM);
        assert_eq!(self.wait().code(), Some(0), "{}", self.log());
        self.assert_nothing_left();
    }

    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let left: Vec<PathBuf> = fs::read_dir(self.tmp.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(left.is_empty(), "left: {left:?}\n{}", self.log());
        assert!(!self.files.path().join("port").exists());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.signal(rustix::process::Signal::TERM);
            self.wait();
        }
    }
}

pub(crate) fn read_to_end(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the daemon did not close: {error}"),
    }
    bytes
}

pub(crate) fn request(version: Version, words: &[&str], source: &str) -> Request {
    Request {
        version,
        cwd: None,
        argv: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
        source: Source::Preprocessed(Body::pack(version, source.as_bytes().to_vec())),
    }
}

/// Reads an answer; panics when it is none.
#[track_caller]
pub(crate) fn decode(version: Version, bytes: &[u8]) -> Outcome {
    let decoder = OutcomeDecoder::new(version, Limits::for_launcher());
    match decoder.decode_all(bytes) {
        Ok(outcome) => outcome,
        Err(error) => panic!("no answer: {error}: {}", bytes.escape_ascii()),
    }
}

pub(crate) fn text(body: Body) -> String {
    String::from_utf8(body.unpack(1 << 24).unwrap()).unwrap()
}

pub(crate) fn bytes(body: Body) -> Vec<u8> {
    body.unpack(1 << 28).unwrap()
}

pub(crate) fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// What the statistics port answers to these bytes.
pub(crate) fn get(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let _ = stream.write_all(bytes);
    String::from_utf8(read_to_end(&mut stream)).unwrap()
}

pub(crate) fn slots(port: u16) -> String {
    let answer = get(port, b"GET /slots HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    body.to_owned()
}
