//! Black-box tests: real binaries, real compilers, stock distcc beside ours.
//!
//! The oracle is the local compiler.  A [`Space`] is a little project; it runs a command plainly and again through a
//! launcher, at the same absolute path, and tells every difference.  A [`Farm`] holds daemons, ours or stock's; a
//! [`LyingServer`] holds the kind of server that nobody should have to meet.
//!
//! Knows nothing of the insides of launcher and daemon: what is said here of the wire is said a second time, on
//! purpose.

mod black_hole;
pub mod builds;
mod daemon;
mod effects;
mod elf;
mod example;
mod farm;
mod include_servers;
mod jobserver;
mod journal;
mod lan;
mod liar;
mod mill;
mod network;
mod noise;
mod programs;
mod puppet;
mod recorded;
mod run;
mod sleepers;
mod space;
mod stand_ins;
mod wire;

pub use black_hole::BlackHole;
pub use daemon::{Daemon, Make};
pub use effects::{Effects, Entry, snapshot};
pub use elf::{for_another_compiler, for_machine, for_other_class};
pub use example::{Example, assert_all_remote, module, objects, succeeds, through_the_module};
pub use farm::Farm;
pub use include_servers::{IncludeServer, StockIncludeServer, question};
pub use jobserver::Jobserver;
pub use journal::{Attempt, Row, Text, read_journal};
pub use lan::{Lan, Machine};
pub use liar::{Conversation, Greeting, LyingServer};
pub use mill::{long, many_side_by_side, side_by_side, until};
pub use network::{Network, address};
pub use noise::{Damage, NoisyLine};
pub use programs::{
    cargo, distcc, distccd, include_server, launcher, launcher_daemon, newest, zeroconf_browser,
};
pub use puppet::{Puppet, is_alive};
pub use recorded::{Recorded, data};
pub use run::{Ran, Running, run, start, with_default_signals};
pub use sleepers::Sleepers;
pub use space::{Client, Compared, Space};
pub use stand_ins::{fake_cc, script, stand_in_ssh, wrapped_cc};
pub use wire::{Reply, Request, literal_lzo, token};
