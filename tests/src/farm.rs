//! Some daemons, ours or stock's, as one host list.

use crate::{
    daemon::{Daemon, Make},
    space::Space,
};

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
