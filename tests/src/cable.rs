//! Two machines, as far as the network can tell: network namespaces with a cable between them, that can be cut.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    process::Command,
};

use crate::{Running, run, start, until};

/// Address of the far machine, as the near one sees it.
pub const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

/// Two machines; both are gone with the value.
pub struct Cable {
    near: Running,
    far: Running,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Near,
    Far,
}

impl Cable {
    pub fn new() -> Cable {
        let machine = || start(Command::new("unshare").args(["-n", "sleep", "10000"]));
        let network = Cable {
            near: machine(),
            far: machine(),
        };
        let own = fs::read_link("/proc/self/ns/net").expect("a process has a network");
        until("both machines are there", || {
            [Side::Near, Side::Far].iter().all(|machine| {
                fs::read_link(network.path(*machine)).is_ok_and(|network| network != own)
            })
        });
        let far = network.far.pid();
        network.ip(Side::Near, "link set lo up");
        network.ip(Side::Near, "link add near type veth peer name far");
        network.ip(Side::Near, &format!("link set far netns {far}"));
        network.ip(Side::Near, "addr add 10.77.0.1/24 dev near");
        network.ip(Side::Near, "link set near up");
        network.ip(Side::Far, "link set lo up");
        network.ip(Side::Far, &format!("addr add {FAR}/24 dev far"));
        network.ip(Side::Far, "link set far up");
        network
    }

    /// `command` as it runs on `machine`.
    pub fn on(&self, machine: Side, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        let mut network = std::ffi::OsString::from("--net=");
        network.push(self.path(machine));
        inside
            .arg(network)
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

    /// From now on no packet comes through, and nobody is told.
    pub fn cut(&self) {
        self.ip(Side::Far, "link set far down");
    }

    /// From now on the near machine has no such network.
    pub fn pull(&self) {
        self.ip(Side::Near, "link set near down");
    }

    fn ip(&self, machine: Side, words: &str) {
        let mut command = Command::new("ip");
        command.args(words.split(' '));
        command.env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
        let ran = run(&mut self.on(machine, &command));
        assert_eq!(ran.code(), 0, "ip {words}: {}", ran.err());
    }

    fn path(&self, machine: Side) -> String {
        let machine = match machine {
            Side::Near => &self.near,
            Side::Far => &self.far,
        };
        format!("/proc/{}/ns/net", machine.pid())
    }
}

impl Default for Cable {
    fn default() -> Cable {
        Cable::new()
    }
}
