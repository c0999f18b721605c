//! The hosts of the list and this machine as they stand now: slots in use, who is avoided, and what is known of their paces.
//!
//! Only looks: takes no lock, changes no file, opens no connection. Finding the list may start the browser of `+zeroconf`.

use std::time::{Duration, SystemTime};

use hosts::pace::{self, HostRow, Moment, Paces, Table};
use hosts::view::{self, Avoided, Held, Unfit};
use hosts::{Capacity, Dislikes, Folder, Host, HostList, Period, Transport};

use super::words::span;
use crate::driver::host_list;
use crate::here::processors;
use crate::settings::Settings;
use crate::work::Clock;

/// What is so at one moment.
pub(super) struct Farm {
    pub(super) time: SystemTime,
    /// The same, as the table of paces counts it.
    pub(super) moment: Moment,
    /// Where the list comes from, or why there is none.
    pub(super) origin: Result<String, String>,
    /// Is the list in another order for each job?
    pub(super) randomize: bool,
    /// In the order of the list.
    pub(super) hosts: Vec<HostNow>,
    pub(super) local: LocalNow,
    /// The folder for locks and its table; `None` where there is no place for them.
    pub(super) shared: Option<(Folder, Paces<Table>)>,
}

/// One host of the list; named twice, it is there once.
pub(super) struct HostNow {
    pub(super) name: String,
    pub(super) listed: Host,
    pub(super) held: Vec<Held>,
    pub(super) avoided: Option<Avoided>,
    pub(super) unfit: Vec<Unfit>,
    pub(super) row: HostRow,
}

/// This machine's own slots.
pub(super) struct LocalNow {
    pub(super) slots: u32,
    pub(super) held: Vec<Held>,
    pub(super) row: HostRow,
}

/// How fast a host is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// It takes so many times as long as the fastest.
    pub(super) times: f32,
    /// Jobs that this stands on, counted up to [`MANY`].
    pub(super) jobs: u32,
}

/// No more jobs are counted.
const MANY: u32 = 1000;

/// Paces of all hosts, in their order, and of this machine; `None` for who did no job.
pub(super) struct Relative {
    pub(super) hosts: Vec<Option<Pace>>,
    pub(super) here: Option<Pace>,
}

impl HostNow {
    /// The number of the slot that the next job there gets.
    pub(super) fn best_slot(&self) -> u32 {
        let is_free = |number: &u32| self.held.iter().all(|held| held.slot != *number);
        let slots = self.listed.slots;
        (0..slots).find(is_free).unwrap_or(slots - 1)
    }
}

impl Farm {
    pub(super) fn look(settings: &Settings) -> Farm {
        let (list, origin) = match host_list(settings) {
            Ok((list, origin)) => (list, Ok(origin.to_string())),
            Err(error) => (HostList::default(), Err(crate::say::chain(&error))),
        };
        let mut farm = Farm {
            time: SystemTime::now(),
            moment: Clock::start().now(),
            origin,
            randomize: list.randomize,
            hosts: Vec::new(),
            local: LocalNow {
                slots: Capacity::new(&list, processors(), u64::MAX).local,
                held: Vec::new(),
                row: HostRow::default(),
            },
            shared: None,
        };
        let Some(folder) = settings.folder.clone().map(Folder::at) else {
            return farm;
        };
        let period = match settings.backoff {
            Some(seconds) => Period::Fixed(Duration::from_secs(seconds)),
            None => Period::Growing,
        };
        let dislikes = Dislikes::new(&folder, period);
        let paces = Paces::to_look_at(&folder);
        for host in &list.hosts {
            farm.add_host(host, &folder, &dislikes, &paces);
        }
        let most = farm.local.slots.max(processors());
        farm.local.held = view::held(&folder, &this_machine(), most);
        farm.local.row = paces.host(pace::here_key(), farm.moment);
        farm.shared = Some((folder, paces));
        farm
    }

    fn add_host(
        &mut self,
        host: &Host,
        folder: &Folder,
        dislikes: &Dislikes,
        paces: &Paces<Table>,
    ) {
        let name = host.name();
        if let Some(seen) = self.hosts.iter_mut().find(|seen| seen.name == name) {
            let more = match (seen.listed.down, host.down) {
                (true, false) => true,
                (false, true) => false,
                _ => host.slots > seen.listed.slots,
            };
            if more {
                seen.listed = host.clone();
                seen.held = view::held(folder, host, host.slots);
            }
            return;
        }
        self.hosts.push(HostNow {
            name,
            listed: host.clone(),
            held: view::held(folder, host, host.slots),
            avoided: dislikes.avoided(host, self.time),
            unfit: dislikes.unfit_for(host, self.time),
            row: paces.host(pace::host_key(host), self.moment),
        });
    }

    /// How the paces of those who did jobs compare, where `pace` is the logarithm of one.
    pub(super) fn compare(&self, pace: impl Fn(&HostRow) -> Option<f32>) -> Relative {
        let of = |row: &HostRow| pace(row).filter(|_| row.count > 0);
        let rows = self.hosts.iter().map(|host| &host.row);
        let all = rows.chain([&self.local.row]);
        let fastest = all.filter_map(of).min_by(f32::total_cmp);
        let relative = |row: &HostRow| {
            Some(Pace {
                times: (of(row)? - fastest?).exp(),
                jobs: row.count,
            })
        };
        Relative {
            hosts: self.hosts.iter().map(|host| relative(&host.row)).collect(),
            here: relative(&self.local.row),
        }
    }

    /// The same for jobs as they came of late.
    pub(super) fn usual_paces(&self) -> Relative {
        let paces = self.shared.as_ref().map(|(_, paces)| paces);
        self.compare(|row| paces?.usual(row.key, self.moment))
    }
}

impl HostNow {
    /// Is it another machine?
    pub(super) fn is_remote(&self) -> bool {
        self.listed.transport != Transport::Local
    }

    /// Its failures of late, in words.
    pub(super) fn failures(&self, now: SystemTime) -> Option<String> {
        let avoided = self.avoided?;
        let failures = match avoided.failures {
            1 => "failed".to_owned(),
            count => format!("failed {count} times"),
        };
        Some(match view::left(avoided.until, now) {
            Duration::ZERO => format!("{failures}; the next job tries it"),
            left => format!("{failures}; avoided for {} more", span(left)),
        })
    }
}

impl Pace {
    /// `×3.2 by 40 jobs`.
    pub(super) fn in_words(self) -> String {
        let jobs = match self.jobs {
            1 => "1 job".to_owned(),
            MANY.. => format!("{MANY} jobs or more"),
            jobs => format!("{jobs} jobs"),
        };
        format!("×{:.1} by {jobs}", self.times)
    }
}

/// This machine as a list names it.
fn this_machine() -> Host {
    Host {
        token: "localhost".to_owned(),
        transport: Transport::Local,
        slots: 1,
        lzo: false,
        cpp: false,
        down: false,
        key: None,
    }
}

/// `3 of 8 in use`.
pub(super) fn in_use(held: usize, slots: u32) -> String {
    format!("{held} of {slots} in use")
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;

    /// As it would be with this list and these locks.
    pub(in crate::commands) fn settings(folder: &Path, hosts: &str) -> Settings {
        Settings {
            hosts: Some(hosts.into()),
            folder: Some(folder.to_owned()),
            backoff: None,
            ..Settings::read()
        }
    }

    #[test]
    fn a_host_that_is_listed_twice_is_there_once_and_up_if_one_entry_is() {
        let temp = tempfile::tempdir().expect("a folder");
        let list = "a/8 b,down a/12,lzo b/3 c/9 c/20,down localhost/2";
        let farm = Farm::look(&settings(temp.path(), list));
        let seen: Vec<_> = farm
            .hosts
            .iter()
            .map(|host| (&*host.name, host.listed.slots, host.listed.down))
            .collect();
        let expected = [
            ("a:3632", 12, false),
            ("b:3632", 3, false),
            ("c:3632", 9, false),
            ("localhost", 2, false),
        ];
        assert_eq!(seen, expected);
        assert_eq!(farm.local.slots, 2);
        assert!(farm.usual_paces().here.is_none());
        let left = std::fs::read_dir(temp.path()).expect("it is there").count();
        assert_eq!(left, 0, "looking leaves nothing");
    }

    #[test]
    fn paces_are_told_against_the_fastest() {
        let pace = |times, jobs| Pace { times, jobs }.in_words();
        assert_eq!(pace(1.0, 1), "×1.0 by 1 job");
        assert_eq!(pace(3.249, 40), "×3.2 by 40 jobs");
        assert_eq!(pace(1.0, 1000), "×1.0 by 1000 jobs or more");
    }
}
