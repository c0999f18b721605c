//! Include servers as stock's pump script starts them, and what they are asked as stock clients ask.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::programs;

/// A server with a folder of its own; ended with it.
#[derive(Debug)]
pub struct IncludeServer {
    folder: TempDir,
    process: i32,
}

impl IncludeServer {
    /// Starts a server and waits until it listens.
    pub fn start(words: &[&str]) -> IncludeServer {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let started = IncludeServer::command(folder.path(), words).status();
        assert!(
            started
                .as_ref()
                .is_ok_and(std::process::ExitStatus::success),
            "the include server does not start: {started:?}"
        );
        let process = fs::read_to_string(folder.path().join("pid"))
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .expect("the server says its process");
        IncludeServer { folder, process }
    }

    /// What starts a server in `folder`.
    pub fn command(folder: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(programs::include_server());
        command
            .arg("--port")
            .arg(folder.join("socket"))
            .arg("--pid_file")
            .arg(folder.join("pid"))
            .args(words);
        // Neither its words nor its life are the test's.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
            .env("DISTCC_CLIENT_TMP", "/tmp")
            .env_remove("LC_ALL");
        command
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder().join("socket")
    }

    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).expect("the server listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a limit can be set");
        stream
    }

    /// The paths of an answer; none when the source is not followed.
    pub fn ask(&self, cwd: &Path, words: &[&str]) -> Vec<PathBuf> {
        let mut stream = self.connect();
        stream
            .write_all(&question(cwd, words))
            .expect("the server listens");
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).expect("the server answers");
        let number = |at: usize| {
            let digits = std::str::from_utf8(&reply[at + 4..at + 12]).expect("digits");
            usize::from_str_radix(digits, 16).expect("digits")
        };
        let (mut at, mut paths) = (12, Vec::new());
        for _ in 0..number(0) {
            let end = at + 12 + number(at);
            let path = String::from_utf8(reply[at + 12..end].to_vec()).expect("plain names");
            paths.push(path.into());
            at = end;
        }
        assert_eq!(at, reply.len());
        paths
    }

    pub fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(self.process).expect("a process has a number");
        let _ = kill_process(process, signal);
    }

    pub fn lives(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Its folders for clients.
    pub fn mirrors(&self) -> Vec<PathBuf> {
        let mark = format!(".include_server-{}-", self.process);
        let entries = fs::read_dir("/tmp")
            .expect("a folder can be read")
            .flatten();
        let names = entries.filter(|entry| entry.file_name().to_string_lossy().contains(&mark));
        names.map(|entry| entry.path()).collect()
    }
}

impl Drop for IncludeServer {
    fn drop(&mut self) {
        if self.lives() {
            self.signal(Signal::KILL);
        }
        for mirror in self.mirrors() {
            // Another server may be clearing it away.
            let _ = fs::remove_dir_all(mirror);
        }
    }
}

/// As stock clients put it.
pub fn question(cwd: &Path, words: &[&str]) -> Vec<u8> {
    let word = |tag: &str, text: &str| format!("{tag}{:08x}{text}", text.len());
    let mut text = word("CDIR", cwd.to_str().expect("plain names"));
    text += &format!("ARGC{:08x}", words.len());
    text.extend(words.iter().map(|text| word("ARGV", text)));
    text.into_bytes()
}

/// Debian's own include server, started by its own script, with a module in Python for the one in C that does not work
/// (`tests/data/stock-include-server`).
#[derive(Debug)]
pub struct StockIncludeServer {
    folder: TempDir,
    exports: BTreeMap<String, String>,
}

impl StockIncludeServer {
    pub fn start() -> StockIncludeServer {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let output = StockIncludeServer::script(folder.path(), "--startup")
            .env("DISTCC_HOSTS", "127.0.0.1/1,lzo,cpp")
            .output()
            .expect("distcc-pump is installed by cargo xtask test");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let exports = text
            .lines()
            .flat_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', ';']).to_owned()))
            .collect();
        let server = StockIncludeServer { folder, exports };
        let socket = server.socket();
        assert!(socket.exists(), "it does not start: {output:?}");
        server
    }

    fn script(folder: &Path, word: &str) -> Command {
        let mut command = Command::new(programs::distcc_pump());
        command
            .arg(word)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TMPDIR", folder)
            .env("DISTCC_DIR", folder)
            .env("PYTHONPATH", StockIncludeServer::module())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn module() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stock-include-server")
    }

    pub fn socket(&self) -> PathBuf {
        let socket = self.exports.get("INCLUDE_SERVER_PORT");
        socket.expect("the script names a socket").into()
    }
}

impl Drop for StockIncludeServer {
    fn drop(&mut self) {
        let mut script = StockIncludeServer::script(self.folder.path(), "--shutdown");
        // It leaves nothing else: its own folder goes with this one.
        let _ = script.envs(&self.exports).output();
    }
}
