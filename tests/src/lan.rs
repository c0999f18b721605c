//! Two machines on a network of their own: network namespaces, joined by a cable.  Nothing in them can reach anything else.
//!
//! Whatever still runs in one of them when it is dropped is killed, also what has left its session.

use std::{fs, path::PathBuf, process::Command};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    mill::until,
    run::{Running, run, start},
};

/// Two machines, `10.77.0.1` and `10.77.0.2`, also `fd77::1` and `fd77::2`.
#[derive(Debug)]
pub struct Lan {
    pub here: Machine,
    pub there: Machine,
}

/// One of them.
#[derive(Debug)]
pub struct Machine {
    /// Sleeps for as long as the machine is there.
    holder: Running,
    namespace: PathBuf,
}

impl Lan {
    pub fn new() -> Lan {
        let lan = Lan {
            here: Machine::new(),
            there: Machine::new(),
        };
        let cable = format!(
            "ip link add cable type veth peer name cable netns {}",
            lan.there.holder.pid()
        );
        lan.here.shell(&cable);
        for (machine, number) in [(&lan.here, 1), (&lan.there, 2)] {
            machine.shell(&format!(
                "ip link set lo up; ip addr add 10.77.0.{number}/24 dev cable; \
                 ip addr add fd77::{number}/64 dev cable nodad; ip link set cable up"
            ));
        }
        lan
    }
}

impl Default for Lan {
    fn default() -> Lan {
        Lan::new()
    }
}

impl Machine {
    fn new() -> Machine {
        // A file system of its own too, so that daemons have a /run to themselves.
        let holder = start(Command::new("unshare").args(["-n", "-m", "sleep", "infinity"]));
        let link = format!("/proc/{}/ns/net", holder.pid());
        let ours = fs::read_link("/proc/self/ns/net").expect("the kernel has network namespaces");
        let mut namespace = ours.clone();
        until("a network namespace is made", || {
            // Both are made by one call, before `sleep` starts.
            let program = fs::read_to_string(format!("/proc/{}/comm", holder.pid()));
            namespace = fs::read_link(&link).unwrap_or_else(|_| ours.clone());
            namespace != ours && program.is_ok_and(|name| name.trim() == "sleep")
        });
        let machine = Machine { holder, namespace };
        machine.shell("mount -t tmpfs none /run");
        machine
    }

    /// The command, to run on this machine.
    pub fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("/usr/bin/nsenter");
        inside
            .args(["-n", "-m", "-t", &self.holder.pid().to_string(), "--"])
            // nsenter goes to the root of the other file system.
            .args(["/usr/bin/env", "-C"])
            .arg(command.get_current_dir().unwrap_or("/".as_ref()))
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear();
        for (name, value) in command.get_envs() {
            inside.env(name, value.unwrap_or_default());
        }
        inside
    }

    /// Runs a script on this machine, which is to work.
    pub fn shell(&self, script: &str) {
        let ran = run(&mut self.command(&shell(script)));
        assert_eq!(ran.code(), 0, "{script}: {}", ran.err());
    }

    /// Starts a script on this machine.
    pub fn start(&self, script: &str) -> Running {
        start(&mut self.command(&shell(script)))
    }

    /// Processes on this machine whose program has this name.
    pub fn processes(&self, name: &str) -> Vec<Pid> {
        let named = |pid: &Pid| {
            let pid = pid.as_raw_nonzero();
            // What was killed and not waited for is there no more.
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
            program.rsplit(|byte| *byte == b'/').next() == Some(name.as_bytes())
        };
        self.all().into_iter().filter(named).collect()
    }

    fn all(&self) -> Vec<Pid> {
        let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
        let pids = entries.filter_map(|entry| {
            let namespace = fs::read_link(entry.path().join("ns/net")).ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            (namespace == self.namespace).then(|| Pid::from_raw(pid))?
        });
        pids.collect()
    }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-ec", script])
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    command
}

impl Drop for Machine {
    fn drop(&mut self) {
        for pid in self.all() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
