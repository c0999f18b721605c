//! How many jobs fit: on the hosts, on this machine, for links.

use std::collections::BTreeMap;

use crate::list::{HostList, Transport};

/// Memory that one link may want, in bytes.
pub const MEMORY_PER_LINK: u64 = 2 << 30;

/// Numbers of jobs that may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Slots on other machines that are not marked `down`.
    pub remote: u32,
    /// Compiles on this machine: `--localslots`, else the `localhost` entry, else the number of processors.
    pub local: u32,
    /// `remote + local`: what `make -j` wants.
    pub total: u32,
    /// Links on this machine: as many as free memory allows, at least 1, at most `local`.
    pub link: u32,
    /// Preprocessors on this machine: `--localslots_cpp`, else the larger of 8 and twice the processors.
    pub cpp: u32,
}

impl Capacity {
    /// From the host list, the number of processors here and the free memory here in bytes.
    pub fn new(list: &HostList, processors: u32, free_memory: u64) -> Capacity {
        let processors = processors.max(1);
        let mut slots: BTreeMap<String, (bool, u32)> = BTreeMap::new();
        for host in list.hosts.iter().filter(|host| !host.down) {
            // A host that is listed twice has its slots once: both entries mean the same lock files.
            let here = host.transport == Transport::Local;
            let (_, most) = slots.entry(host.lock_name()).or_insert((here, 0));
            *most = host.slots.max(*most);
        }
        let sum = |wanted: bool| {
            let chosen = slots.values().filter(|(here, _)| *here == wanted);
            chosen.fold(0u32, |sum, (_, slots)| sum.saturating_add(*slots))
        };
        let (remote, listed) = (sum(false), sum(true));
        let local = list
            .local_slots
            .unwrap_or(if listed > 0 { listed } else { processors });
        let by_memory = u32::try_from(free_memory / MEMORY_PER_LINK).unwrap_or(u32::MAX);
        Capacity {
            remote,
            local,
            total: remote.saturating_add(local),
            link: by_memory.min(local).max(1),
            cpp: list
                .local_slots_cpp
                .unwrap_or(processors.saturating_mul(2).max(8)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::parse;

    fn capacity(list: &str, gib: u64) -> Capacity {
        Capacity::new(&parse(list).unwrap(), 6, gib << 30)
    }

    #[test]
    fn nothing_said_means_the_processors() {
        let expected = Capacity {
            remote: 12,
            local: 6,
            total: 18,
            link: 4,
            cpp: 12,
        };
        assert_eq!(capacity("a/8 b", 9), expected);
    }

    #[test]
    fn what_the_list_says_goes_before() {
        assert_eq!(
            capacity("localhost a", 1),
            Capacity {
                remote: 4,
                local: 2,
                total: 6,
                link: 1,
                cpp: 12
            }
        );
        let slots = "--localslots=3 --localslots_cpp=5 localhost a b,down @c/2";
        assert_eq!(
            capacity(slots, 100),
            Capacity {
                remote: 6,
                local: 3,
                total: 9,
                link: 3,
                cpp: 5
            }
        );
    }

    #[test]
    fn a_host_that_is_listed_twice_counts_once() {
        let twice = capacity("a/8 b/2 a/12,lzo a:99/3 localhost/3 localhost/3", 100);
        assert_eq!((twice.remote, twice.local), (12 + 2 + 3, 3));
    }

    #[test]
    fn a_small_machine_still_links() {
        let list = parse("a").unwrap();
        assert_eq!(
            Capacity::new(&list, 0, 0),
            Capacity {
                remote: 4,
                local: 1,
                total: 5,
                link: 1,
                cpp: 8
            }
        );
    }
}
