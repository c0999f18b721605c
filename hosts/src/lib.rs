//! Host lists, slots and their lock files, who is disliked, which host next.
//!
//! Everything here shares its files with stock distcc clients of the same user: the names and the kinds of locks are
//! theirs. The crate opens no connection and reads no environment variable; the launcher passes in what it found.
//!
//! It is on the launch path: a job that meets a free slot costs a handful of system calls and no thread.

pub mod capacity;
pub mod choice;
pub mod dislike;
pub mod folder;
pub mod found;
pub mod list;
pub mod nets;
pub mod pace;
pub mod race;
pub mod slots;
pub mod state;
pub mod view;

pub use capacity::Capacity;
pub use choice::Outlook;
pub use dislike::{Backoff, Dislikes, Period, ProbeGuard, Try};
pub use folder::{Folder, FolderError};
pub use found::{Found, Kind};
pub use list::{
    Host, HostList, HostListError, KeyFile, NoHosts, Origin, Places, Transport, Zeroconf,
};
pub use nets::Nets;
pub use slots::{LocalPool, NoSlot, Patience, Slot, Slots, Wish};
pub use state::{Monitor, Phase};

/// A number for a name, the same in every process: FNV-1a.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
