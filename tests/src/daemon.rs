//! One daemon, ours or stock's: started, killed, started again, frozen.
//!
//! Knows nothing of host lists beyond its own name.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    mill::until,
    programs,
    run::{Running, start},
};

/// Whose program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    Ours,
    Stock,
}

/// Where a daemon runs.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The words before its own, which lead into another network.
    pub prefix: Vec<OsString>,
    pub path: OsString,
}

impl Default for Surroundings {
    fn default() -> Self {
        Surroundings {
            prefix: Vec::new(),
            path: "/usr/local/bin:/usr/bin:/bin".into(),
        }
    }
}

/// One daemon in a folder of its own, which holds its log and its temporary files.
#[derive(Debug)]
pub struct Daemon {
    running: Running,
    folder: TempDir,
    make: Make,
    address: String,
    port: u16,
    options: Vec<OsString>,
    surroundings: Surroundings,
}

impl Daemon {
    /// Starts a daemon and waits until it listens.
    pub fn start(make: Make, address: &str, options: &[&str]) -> Daemon {
        Daemon::start_in(Surroundings::default(), make, address, options)
    }

    /// The same, elsewhere.
    pub fn start_in(
        surroundings: Surroundings,
        make: Make,
        address: &str,
        options: &[&str],
    ) -> Daemon {
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
        let options: Vec<OsString> = options.iter().map(OsString::from).collect();
        let (running, port) = begin(&surroundings, make, folder.path(), address, 0, &options);
        Daemon {
            running,
            folder,
            make,
            address: address.to_owned(),
            port,
            options,
            surroundings,
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

    /// Ends it as a machine ends that loses its power: with all that it has started.
    pub fn kill(&mut self) {
        signal_tree(self.pid(), Signal::KILL);
        until("a killed daemon is gone", || self.running.has_ended());
    }

    /// Starts it again at the same port.
    pub fn revive(&mut self) {
        (self.running, self.port) = begin(
            &self.surroundings,
            self.make,
            self.folder.path(),
            &self.address,
            self.port,
            &self.options,
        );
    }

    /// Stops it with all that it has started.
    pub fn freeze(&self) {
        signal_tree(self.pid(), Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal_tree(self.pid(), Signal::CONT);
    }
}

impl Drop for Daemon {
    /// Asks it to end, so that it ends its compilers; [`Running`] makes sure.
    fn drop(&mut self) {
        self.thaw();
        self.running.signal(Signal::TERM);
        let started = std::time::Instant::now();
        while !self.running.has_ended() && started.elapsed() < std::time::Duration::from_secs(2) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

/// Signals a process before its children, so that it starts no others meanwhile.
fn signal_tree(pid: u32, signal: Signal) {
    // Who is killed has no children any more.
    let stop = match signal {
        Signal::KILL => Signal::STOP,
        other => other,
    };
    let send = |signal| {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    };
    send(stop);
    for child in children(pid) {
        signal_tree(child, signal);
    }
    if stop != signal {
        send(signal);
    }
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let lists: Vec<String> = lists.collect();
    let words = lists.iter().flat_map(|list| list.split_whitespace());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// Starts a daemon at `port` (0: any) and waits until it listens.
fn begin(
    surroundings: &Surroundings,
    make: Make,
    folder: &Path,
    address: &str,
    port: u16,
    options: &[OsString],
) -> (Running, u16) {
    let mut command = command(surroundings, make, folder, address);
    match make {
        Make::Ours => begin_ours(command.args(options), folder, port),
        Make::Stock => {
            let elsewhere = !surroundings.prefix.is_empty();
            begin_stock(command.args(options), address, port, elsewhere)
        }
    }
}

fn command(surroundings: &Surroundings, make: Make, folder: &Path, address: &str) -> Command {
    let program = match make {
        Make::Ours => programs::launcher_daemon(),
        Make::Stock => programs::distccd(),
    };
    let mut words = surroundings.prefix.iter().cloned().chain([program.into()]);
    let mut command = Command::new(words.next().expect("the program at least"));
    command
        .args(words)
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
        .arg(folder.join("log"))
        .env_clear()
        .env("PATH", &surroundings.path)
        .env("TMPDIR", folder.join("tmp"));
    command
}

/// Ours picks its port and tells it in a file.
fn begin_ours(command: &mut Command, folder: &Path, port: u16) -> (Running, u16) {
    let file = folder.join("port");
    let _ = fs::remove_file(&file);
    command
        .args(["--port", &port.to_string(), "--port-file"])
        .arg(&file);
    let mut running = start(command);
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
fn begin_stock(
    command: &mut Command,
    address: &str,
    wanted: u16,
    elsewhere: bool,
) -> (Running, u16) {
    for _ in 0..10 {
        let port = match (wanted, elsewhere) {
            // Nobody else is in a network of its own.
            (0, true) => 3632,
            (0, false) => TcpListener::bind((address, 0))
                .and_then(|listener| listener.local_addr())
                .expect("a port is free")
                .port(),
            (port, _) => port,
        };
        let mut again = Command::new(command.get_program());
        again.args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            again.env(name, value.unwrap_or_default());
        }
        let mut running = start(again.args(["--port", &port.to_string()]));
        until("stock's daemon listens", || {
            let listens = match elsewhere {
                true => listens_there(running.pid(), address, port),
                false => TcpStream::connect((address, port)).is_ok(),
            };
            listens || running.has_ended()
        });
        if !running.has_ended() {
            return (running, port);
        }
        let ran = running.finish();
        assert_eq!(ran.code(), 102, "stock's daemon ended: {ran:?}");
    }
    panic!("no port stays free for stock's daemon");
}

/// Does somebody listen at this address in the network of process `pid`?
fn listens_there(pid: u32, address: &str, port: u16) -> bool {
    let address: Ipv4Addr = address.parse().expect("a network of its own is IPv4");
    let wanted = format!("{:08X}:{port:04X}", u32::from_ne_bytes(address.octets()));
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&wanted) && words.nth(1) == Some("0A")
    })
}
