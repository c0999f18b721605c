//! Daemons on loopback, ours and stock's.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    mill::until,
    programs,
    run::{Running, start},
    space::Space,
};

/// Whose program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    Ours,
    Stock,
}

/// Some daemons, each on an address of its own.  Ended and cleared away on drop.
#[derive(Debug)]
pub struct Farm {
    pub daemons: Vec<Daemon>,
}

impl Farm {
    pub fn ours(count: u8) -> Farm {
        Farm::with(Make::Ours, count, &[])
    }

    pub fn stock(count: u8) -> Farm {
        Farm::with(Make::Stock, count, &[])
    }

    /// Daemons with further options.
    pub fn with(make: Make, count: u8, options: &[&str]) -> Farm {
        let addresses: Vec<String> = (1..=count).map(|at| format!("127.0.0.{at}")).collect();
        Farm {
            daemons: addresses
                .iter()
                .map(|address| Daemon::start(make, address, options))
                .collect(),
        }
    }

    /// The host list, each host ending in `suffix` (such as `/2,lzo`).
    pub fn hosts(&self, suffix: &str) -> String {
        let each: Vec<String> = self
            .daemons
            .iter()
            .map(|daemon| daemon.host() + suffix)
            .collect();
        each.join(" ")
    }

    /// A project of `files` whose launcher knows this farm.
    pub fn space<N: AsRef<str>, C: AsRef<[u8]>>(
        &self,
        files: impl IntoIterator<Item = (N, C)>,
    ) -> Space {
        Space::new(files).hosts(&self.hosts(""))
    }
}

/// One daemon in a folder of its own, which holds its log and its temporary files.
#[derive(Debug)]
pub struct Daemon {
    running: Running,
    folder: TempDir,
    address: String,
    port: u16,
}

impl Daemon {
    /// Starts a daemon and waits until it listens.
    pub fn start(make: Make, address: &str, options: &[&str]) -> Daemon {
        let folder = tempfile::Builder::new()
            .prefix("farm-")
            .tempdir()
            .expect("a folder can be made");
        let tmp = folder.path().join("tmp");
        fs::create_dir(&tmp).expect("a folder can be made");
        for open in [folder.path(), &tmp] {
            // Both daemons give up root before they open their log.
            fs::set_permissions(open, fs::Permissions::from_mode(0o1777))
                .expect("a mode can be set");
        }
        let (running, port) = match make {
            Make::Ours => start_ours(&folder, address, options),
            Make::Stock => start_stock(&folder, address, options),
        };
        Daemon {
            running,
            folder,
            address: address.to_owned(),
            port,
        }
    }

    /// As in a host list.
    pub fn host(&self) -> String {
        match self.address.contains(':') {
            true => format!("[{}]:{}", self.address, self.port),
            false => format!("{}:{}", self.address, self.port),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The daemon's own `TMPDIR`.
    pub fn tmp(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    pub fn signal(&mut self, signal: Signal) {
        self.running.signal(signal);
    }

    pub fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }
}

impl Drop for Daemon {
    /// Asks it to end, so that it ends its compilers; [`Running`] makes sure.
    fn drop(&mut self) {
        self.running.signal(Signal::TERM);
        let started = std::time::Instant::now();
        while !self.running.has_ended() && started.elapsed() < std::time::Duration::from_secs(2) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

fn daemon(program: PathBuf, folder: &TempDir, address: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args([
            "--daemon",
            "--no-detach",
            "--allow",
            "127.0.0.0/8",
            "--jobs",
            "4",
            "--log-level",
            "info",
        ])
        .args(["--listen", address])
        .arg("--log-file")
        .arg(folder.path().join("log"))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TMPDIR", folder.path().join("tmp"));
    command
}

/// Ours picks its port and tells it in a file.
fn start_ours(folder: &TempDir, address: &str, options: &[&str]) -> (Running, u16) {
    let file = folder.path().join("port");
    let mut command = daemon(programs::launcher_daemon(), folder, address);
    command
        .args(["--port", "0", "--port-file"])
        .arg(&file)
        .args(options);
    let mut running = start(&mut command);
    let mut port = None;
    until("our daemon names its port", || {
        port = fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        port.is_some() || running.has_ended()
    });
    match port {
        Some(port) => (running, port),
        None => panic!("our daemon ended: {:?}", running.finish()),
    }
}

/// Stock's wants a port; another program may take it first, so a refusal (102) means another try.
fn start_stock(folder: &TempDir, address: &str, options: &[&str]) -> (Running, u16) {
    for _ in 0..10 {
        let port = TcpListener::bind((address, 0))
            .and_then(|listener| listener.local_addr())
            .expect("a port is free")
            .port();
        let mut command = daemon(programs::distccd(), folder, address);
        let mut running = start(command.args(["--port", &port.to_string()]).args(options));
        until("stock's daemon listens", || {
            TcpStream::connect((address, port)).is_ok() || running.has_ended()
        });
        if !running.has_ended() {
            return (running, port);
        }
        let ran = running.finish();
        assert_eq!(ran.code(), 102, "stock's daemon ended: {ran:?}");
    }
    panic!("no port stays free for stock's daemon");
}
