//! This machine as one more host: a job that would wait long for a slot elsewhere is compiled here, where a processor stands idle.
//!
//! Knows nothing of hosts; the caller says how long they would take.

use hosts::pace::{self, Expected, Moment, Paces, Table, Work};
use hosts::{Folder, HostList, Patience, Slot};

use crate::here;

/// It has to be sooner by so much: preprocessing for the others goes on here too.
const SOONER: f32 = 0.8;

/// A slot of this machine for `work`, if it ends here sooner than in `elsewhere` ms and a processor is idle.
pub(crate) fn slot(
    folder: &Folder,
    list: &HostList,
    paces: &Paces<Table>,
    work: &Work,
    elsewhere: Option<f32>,
    now: Moment,
) -> Option<Slot> {
    let Expected { ms, spread } = paces.expect(work)?;
    let pace = paces
        .host(pace::here_key(), now)
        .pace(work.kind, spread, now);
    if ms * pace.exp() > elsewhere? * SOONER {
        return None;
    }
    if running()? > here::processors() {
        return None;
    }
    here::compile_slot(folder, list, &Patience::NONE).ok()
}

/// Threads that run or could run now, this one among them (`/proc/loadavg`).
fn running() -> Option<u32> {
    read_running(&std::fs::read_to_string("/proc/loadavg").ok()?)
}

fn read_running(text: &str) -> Option<u32> {
    let tasks = text.split_whitespace().nth(3)?;
    tasks.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_read() {
        assert_eq!(read_running("0.45 0.16 0.05 3/80 1929\n"), Some(3));
        assert_eq!(read_running("0.45 0.16"), None);
        assert!(running().is_some_and(|running| running >= 1));
    }
}
