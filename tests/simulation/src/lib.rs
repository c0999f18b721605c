//! Builds on farms that misbehave, simulated: the launchers' own code chooses hosts, waits, retries and starts second copies,
//! while hosts, the network, lock files and the clock are models. One thread, and the same seed gives the same story.
//!
//! Knows nothing of sockets, files and compilers.

pub mod bound;
pub mod check;
pub mod client;
pub mod launcher;
pub mod leg;
pub mod machine;
pub mod random;
pub mod seeds;
pub mod world;

use hosts::pace::Moment;

/// Time since the beginning, in microseconds.
pub type Micros = u64;
pub type LauncherNumber = usize;
pub type LegNumber = usize;

pub const SECOND: Micros = 1_000_000;

/// The beginning, in ms since 1970.
const BEGINNING: Moment = 1_700_000_000_000;

/// The time as the code under test is told it.
pub fn moment(now: Micros) -> Moment {
    BEGINNING + now / 1000
}
