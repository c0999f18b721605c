//! A network of its own: the launchers' machine, and some hosts, each at the end of a cable that can be cut.

use std::{ffi::OsString, fs, process::Command};

use crate::{
    daemon::Make,
    mill::until,
    puppet::Puppet,
    run::{Running, run, start},
};

/// Network namespaces, joined by pairs of interfaces.  Gone on drop.
#[derive(Debug)]
pub struct Network {
    here: Running,
    there: Vec<Running>,
}

/// A namespace lives as long as a process in it.
fn namespace() -> Running {
    let holder = start(Command::new("unshare").args(["--net", "sleep", "infinity"]));
    let mine = fs::read_link("/proc/self/ns/net").expect("namespaces are there");
    until("a network of its own is made", || {
        fs::read_link(format!("/proc/{}/ns/net", holder.pid())).is_ok_and(|its| its != mine)
    });
    holder
}

/// The words that lead into the namespace of `holder`.
fn prefix(holder: &Running) -> Vec<OsString> {
    let words = [
        "nsenter",
        "--net",
        "--target",
        &holder.pid().to_string(),
        "--",
    ];
    words.map(OsString::from).to_vec()
}

#[track_caller]
fn ip(holder: &Running, words: &str) {
    let prefix = prefix(holder);
    let mut command = Command::new(&prefix[0]);
    command.args(&prefix[1..]).arg("ip").args(words.split(' '));
    let ran = run(&mut command);
    assert_eq!(ran.code(), 0, "ip {words}: {}", ran.err());
}

impl Network {
    pub fn new(hosts: usize) -> Network {
        let network = Network {
            here: namespace(),
            there: (0..hosts).map(|_| namespace()).collect(),
        };
        ip(&network.here, "link set lo up");
        for (number, holder) in network.there.iter().enumerate() {
            let pid = holder.pid();
            ip(
                &network.here,
                &format!("link add h{number} type veth peer name up netns {pid}"),
            );
            ip(
                &network.here,
                &format!("addr add 10.77.{number}.1/24 dev h{number}"),
            );
            ip(&network.here, &format!("link set h{number} up"));
            ip(holder, "link set lo up");
            ip(holder, &format!("addr add {}/24 dev up", address(number)));
            ip(holder, "link set dev up up");
        }
        network
    }

    /// A daemon on the machine of this number.
    pub fn puppet(&self, number: usize, make: Make) -> Puppet {
        let prefix = prefix(&self.there[number]);
        let allow = ["--allow", "10.77.0.0/16"];
        Puppet::start_at(&address(number), prefix, make, &allow, "")
    }

    /// `command`, on the launchers' machine.
    pub fn here(&self, command: &Command) -> Command {
        inside(&self.here, command)
    }

    /// `command`, on the host of this number.
    pub fn there(&self, number: usize, command: &Command) -> Command {
        inside(&self.there[number], command)
    }

    /// The launchers' own interface to that host goes down, and comes back.
    pub fn interface(&self, number: usize, up: bool) {
        let state = if up { "up" } else { "down" };
        ip(&self.here, &format!("link set h{number} {state}"));
    }

    /// The host's interface goes down: for the launchers a cable is out.
    pub fn cable(&self, number: usize, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        ip(&self.there[number], &format!("link set dev up {state}"));
    }

    /// What goes to that host is dropped without a word, as by a firewall.
    pub fn swallow(&self, number: usize) {
        let address = address(number);
        ip(
            &self.here,
            &format!(
                "neigh replace {address} lladdr 02:00:00:00:be:ef dev h{number} nud permanent"
            ),
        );
    }

    /// It gets there again.
    pub fn let_through(&self, number: usize) {
        let address = address(number);
        ip(&self.here, &format!("neigh del {address} dev h{number}"));
    }
}

/// `command`, in the namespace of `holder`.
fn inside(holder: &Running, command: &Command) -> Command {
    let prefix = prefix(holder);
    let mut inside = Command::new(&prefix[0]);
    inside
        .args(&prefix[1..])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        inside.env(name, value.unwrap_or_default());
    }
    if let Some(folder) = command.get_current_dir() {
        inside.current_dir(folder);
    }
    inside
}

/// Of the host of this number.
pub fn address(number: usize) -> String {
    format!("10.77.{number}.2")
}
