//! Two daemons on loopback, and what a client needs to find them.

use crate::clean_up::Group;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const COMES_UP_WITHIN: Duration = Duration::from_secs(20);
/// A daemon writes of a job when its client has gone, so the last lines come a moment after the build.
const LOGS_WITHIN: Duration = Duration::from_secs(5);
/// Should even our clean-up be killed, the daemons end by themselves.
const LIFETIME_SECONDS: &str = "7200";

pub(crate) struct Farm {
    daemons: Vec<Daemon>,
    slots: usize,
}

pub(crate) struct Daemon {
    /// Ends with us.
    _group: Group,
    port: u16,
    log: PathBuf,
    /// What its host entry adds to the address: one is spoken to plainly, the other one with compression.
    options: &'static str,
}

impl Farm {
    /// Starts two daemons of `program` with `slots` jobs each, and waits until they listen; their files go into `folder`.
    pub(crate) fn start(program: &Path, folder: &Path, slots: usize) -> Result<Farm> {
        // A daemon started as root gives its rights up, and still writes its log here.
        fs::set_permissions(folder, Permissions::from_mode(0o777))
            .context("could not open the temporary folder")?;
        let start = |(name, options)| Daemon::start(program, &folder.join(name), slots, options);
        let daemons = [("one", ""), ("two", ",lzo")]
            .map(start)
            .into_iter()
            .collect::<Result<_>>()?;
        Ok(Farm { daemons, slots })
    }

    pub(crate) fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.daemons.iter().map(Daemon::address).collect()
    }

    /// The host list that names both.
    pub(crate) fn hosts(&self) -> String {
        let host =
            |daemon: &Daemon| format!("{}/{}{}", daemon.address(), self.slots, daemon.options);
        self.daemons.iter().map(host).collect::<Vec<_>>().join(" ")
    }

    /// Sets the environment in which a build uses these daemons and nothing else; stock wants `state` to exist.
    pub(crate) fn prepare(&self, build: &mut Command, state: &Path, journal: &Path) -> Result<()> {
        fs::create_dir(state).with_context(|| format!("could not create {}", state.display()))?;
        build.env("DISTCC_HOSTS", self.hosts());
        build.env("DISTCC_DIR", state);
        build.env("DISTCC_LAUNCH_JOURNAL", journal);
        // The processors are the daemons' already: a unit that stays here would show nothing.
        build.env("DISTCC_LAUNCH_LOCAL", "0");
        Ok(())
    }

    /// How many compiles each daemon finished by its log, as soon as the logs tell of `expected` of them, or after a while.
    pub(crate) fn served(&self, expected: usize) -> Vec<usize> {
        let start = Instant::now();
        loop {
            let count = |daemon: &Daemon| finished(&daemon.log()).count();
            let served: Vec<usize> = self.daemons.iter().map(count).collect();
            if served.iter().sum::<usize>() >= expected || start.elapsed() > LOGS_WITHIN {
                return served;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The end of each log, for when a build went wrong.
    pub(crate) fn last_words(&self) -> String {
        let tail = |daemon: &Daemon| {
            let log = daemon.log();
            let lines: Vec<&str> = log.lines().collect();
            format!(
                "the log of {} ends:\n{}",
                daemon.address(),
                lines[lines.len().saturating_sub(10)..].join("\n")
            )
        };
        self.daemons.iter().map(tail).collect::<Vec<_>>().join("\n")
    }
}

impl Daemon {
    fn start(program: &Path, folder: &Path, slots: usize, options: &'static str) -> Result<Daemon> {
        fs::create_dir(folder).with_context(|| format!("could not create {}", folder.display()))?;
        fs::set_permissions(folder, Permissions::from_mode(0o777))
            .context("could not open a daemon's folder")?;
        let log = folder.join("log");
        File::create(&log).context("could not create a daemon's log")?;
        fs::set_permissions(&log, Permissions::from_mode(0o666))
            .context("could not open a daemon's log")?;

        let port_file = folder.join("port");
        // Stock has no --port-file, so it gets a port that was free a moment ago.
        let stock_port = is_stock(program).then(free_port).transpose()?;
        let mut command = Command::new(program);
        command.args([
            "--no-detach",
            "--daemon",
            "--listen",
            "127.0.0.1",
            "--allow",
            "127.0.0.0/8",
        ]);
        command.args([
            "--jobs",
            &slots.to_string(),
            "--lifetime",
            LIFETIME_SECONDS,
            "--log-level",
            "notice",
        ]);
        command
            .arg("--log-file")
            .arg(&log)
            .args(["--port", &stock_port.unwrap_or(0).to_string()]);
        if stock_port.is_none() {
            command.arg("--port-file").arg(&port_file);
        }
        command
            .env_remove("TMPDIR")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let start = Group::start(&mut command);
        let mut group = start.with_context(|| format!("could not start {}", program.display()))?;
        let port = wait_for_port(&mut group, stock_port, &port_file).with_context(|| {
            format!(
                "{} did not come up; its log: {}",
                program.display(),
                read(&log)
            )
        })?;
        Ok(Daemon {
            _group: group,
            port,
            log,
            options,
        })
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// As in the host list, from the comma on.
    pub(crate) fn options(&self) -> &'static str {
        self.options
    }

    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }
}

/// The lines of a daemon's log about compiles that succeeded; stock's words, which ours writes too.
pub(crate) fn finished(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| line.contains(" COMPILE_OK "))
}

fn is_stock(program: &Path) -> bool {
    program.file_name().is_some_and(|name| name == "distccd")
}

fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("could not find a free port")?;
    Ok(listener
        .local_addr()
        .context("a listener has no address")?
        .port())
}

/// The port on which a daemon that was just started answers.
fn wait_for_port(group: &mut Group, stock: Option<u16>, port_file: &Path) -> Result<u16> {
    let start = Instant::now();
    while start.elapsed() < COMES_UP_WITHIN {
        if let Some(status) = group.ended().context("could not look after the daemon")? {
            bail!("it ended: {status}");
        }
        let port = stock.or_else(|| read(port_file).trim().parse().ok());
        if let Some(port) = port
            && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        {
            return Ok(port);
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("nothing listened within {} s", COMES_UP_WITHIN.as_secs());
}

/// A small text file, or nothing while it is not there.
fn read(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiles_are_counted_in_stock_s_words() {
        let log = "distccd[1] (dcc_job_summary) client: 127.0.0.1:5 COMPILE_OK exit:0 sig:0 core:0 ret:0 time:2ms gcc a.c\n\
                   distccd[1] (dcc_job_summary) client: 127.0.0.1:6 OTHER exit:0 sig:0 core:0 ret:108 time:0ms\n";
        assert_eq!(finished(log).count(), 1);
    }
}
