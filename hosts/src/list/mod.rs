//! The list of hosts: where it is found and what its words mean.
//!
//! Knows nothing of sockets, locks or whether a host answers.

use std::path::{Path, PathBuf};

mod find;
mod parse;
mod zeroconf;

pub use find::{MAX_FILE, NoHosts, Origin, Places, find};
pub use parse::{HostListError, MAX_SLOTS, parse};
pub use zeroconf::{Ignored, Zeroconf};

/// The port of distccd where a list names none.
pub const DEFAULT_PORT: u16 = 3632;

/// Hosts in the order of the list, and what the list says about this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostList {
    pub hosts: Vec<Host>,
    /// `--localslots=N`: compiles on this machine at a time.
    pub local_slots: Option<u32>,
    /// `--localslots_cpp=N`: preprocessors on this machine at a time.
    pub local_slots_cpp: Option<u32>,
    /// `--randomize`: the caller is to [`HostList::shuffle`].
    pub randomize: bool,
    /// `+zeroconf`: hosts that announce themselves count too.
    pub zeroconf: Option<Zeroconf>,
}

/// One host of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The word of the list that names it, verbatim.
    pub token: String,
    pub transport: Transport,
    /// Jobs that it takes at a time, 1 to [`MAX_SLOTS`].
    pub slots: u32,
    /// `,lzo`: bodies are compressed (protocol 2).
    pub lzo: bool,
    /// `,cpp`: sources may go with their includes (protocol 3).
    pub cpp: bool,
    /// `,down`: stays in the list, takes no job.
    pub down: bool,
    /// `,key`, `,key=FILE`: encrypted, and only if the daemon proves to be the one that the file names.  Only with
    /// [`Transport::Tcp`].
    pub key: Option<KeyFile>,
}

/// Where a host's key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFile {
    /// `,key`: the file `key` in DISTCC_DIR.
    Default,
    /// `,key=FILE`: as written; what is not absolute is in DISTCC_DIR.
    Named(PathBuf),
}

impl KeyFile {
    /// The file's path, where `folder` is DISTCC_DIR.
    pub fn path(&self, folder: &Path) -> PathBuf {
        match self {
            KeyFile::Default => folder.join("key"),
            KeyFile::Named(file) => folder.join(file),
        }
    }
}

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// `localhost`: this machine, without a daemon.
    Local,
    /// `host` is without brackets also where it is an IPv6 address.
    Tcp { host: String, port: u16 },
    /// `command` is the daemon's command on the other machine; `None` means `distccd`.
    Ssh {
        user: Option<String>,
        host: String,
        command: Option<String>,
    },
}

impl Host {
    /// The name for messages and the journal: `127.0.0.1:3632`, `[::1]:3632`, `user@host`, `localhost`.
    pub fn name(&self) -> String {
        match &self.transport {
            Transport::Local => "localhost".to_owned(),
            Transport::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Transport::Tcp { host, port } => format!("{host}:{port}"),
            Transport::Ssh {
                user: Some(user),
                host,
                ..
            } => format!("{user}@{host}"),
            Transport::Ssh {
                user: None, host, ..
            } => format!("@{host}"),
        }
    }

    /// The name without port and user, as stock writes it into state files.
    pub fn short_name(&self) -> &str {
        match &self.transport {
            Transport::Local => "localhost",
            Transport::Tcp { host, .. } | Transport::Ssh { host, .. } => host,
        }
    }

    /// The part that the names of its lock files share: `tcp_127.0.0.1_3632` in `cpu_tcp_127.0.0.1_3632_0`.
    /// The same as stock's, so that both take the same slots (facts 4.1).
    pub fn lock_name(&self) -> String {
        match &self.transport {
            Transport::Local => "localhost".to_owned(),
            Transport::Tcp { host, port } => format!("tcp_{host}_{port}"),
            Transport::Ssh { host, .. } => format!("ssh_{host}"),
        }
    }
}

impl HostList {
    /// Puts the hosts into an order that depends on `seed` alone (callers give the process number, as stock does).
    pub fn shuffle(&mut self, seed: u32) {
        let mut state = (u64::from(seed) << 1 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for last in (1..self.hosts.len()).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            self.hosts.swap(last, (state % (last as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stocks() {
        let list = parse("localhost 10.0.0.1 h:9/2,lzo [::1]:1 u@s/3:/opt/d @t").unwrap();
        let names = |name: fn(&Host) -> String| list.hosts.iter().map(name).collect::<Vec<_>>();
        assert_eq!(
            names(Host::name),
            ["localhost", "10.0.0.1:3632", "h:9", "[::1]:1", "u@s", "@t"]
        );
        assert_eq!(
            names(Host::lock_name),
            [
                "localhost",
                "tcp_10.0.0.1_3632",
                "tcp_h_9",
                "tcp_::1_1",
                "ssh_s",
                "ssh_t"
            ]
        );
        assert_eq!(
            names(|host| host.short_name().to_owned()),
            ["localhost", "10.0.0.1", "h", "::1", "s", "t"]
        );
    }

    #[test]
    fn shuffling_keeps_the_hosts_and_depends_on_the_seed() {
        let list = parse("a b c d e f g h").unwrap();
        let shuffled = |seed| {
            let mut list = list.clone();
            list.shuffle(seed);
            list.hosts
                .into_iter()
                .map(|host| host.token)
                .collect::<Vec<_>>()
        };
        assert_eq!(shuffled(7), shuffled(7));
        let first: std::collections::BTreeSet<_> =
            (1000..1100).map(|pid| shuffled(pid)[0].clone()).collect();
        assert_eq!(first.len(), 8, "each host comes first for some process");
        let mut sorted = shuffled(3);
        sorted.sort();
        assert_eq!(sorted.concat(), "abcdefgh");
    }
}
