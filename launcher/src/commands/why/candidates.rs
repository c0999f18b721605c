//! The hosts that a job could go to, in the order in which they would be tried now, and what is expected of each.
//!
//! Decides as the launch path does, and only looks. Knows nothing of how it is told.

use std::time::SystemTime;

use hosts::pace::{self, Load, Work};
use hosts::view::Avoided;
use hosts::{Host, Outlook, Slots, Wish};

use crate::commands::farm::{Farm, HostNow, Pace, Relative};

/// All hosts as a job finds them.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Those that would be tried, in that order, then those that would not.
    pub(super) hosts: Vec<Candidate>,
    /// This machine.
    pub(super) here: Candidate,
    /// Has something like the job been done before?
    pub(super) known: bool,
    /// Would the job rather wait for a faster slot than take one that is free?
    pub(super) waits: bool,
}

/// One host as a job finds it.
#[derive(Debug, Default)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) here: bool,
    /// Is it the first that would be tried, the second, …?  `None` where it would not be tried.
    pub(super) turn: Option<usize>,
    pub(super) refused: Option<Refused>,
    pub(super) slots: u32,
    pub(super) held: usize,
    /// What the job is expected to take, in ms, once it has a slot; `None` where nothing like it was ever done.
    pub(super) ms: Option<f32>,
    /// `None` where no job was done.
    pub(super) pace: Option<Pace>,
    /// Jobs that it does at once without each taking longer, where those are fewer than its slots.
    pub(super) capacity: Option<f32>,
    /// What its daemon said last.
    pub(super) load: Option<Load>,
    pub(super) avoided: Option<Avoided>,
    /// Failures of late, in words.
    pub(super) failures: Option<String>,
    /// No jobs of this compiler until then.
    pub(super) unfit: Option<SystemTime>,
}

/// Why a host would not be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The command is none that is sent.
    RunsHere,
    /// The list marks it so.
    Down,
    /// It answered wrongly for this compiler.
    Unfit,
    /// It failed of late.
    Avoided,
}

impl Refused {
    /// The stable name.
    pub(super) fn code(self) -> &'static str {
        match self {
            Refused::RunsHere => "runs-here",
            Refused::Down => "down",
            Refused::Unfit => "unfit",
            Refused::Avoided => "avoided",
        }
    }
}

impl Candidates {
    /// For a job that is `work` to the compiler with this id; without `work` it is none that is sent.
    pub(super) fn of(farm: &Farm, work: Option<&Work>, compiler: Option<&str>) -> Candidates {
        let mut found = Candidates::described(farm, work, compiler);
        let (Some(work), Some((folder, paces))) = (work, &farm.shared) else {
            found.hosts.iter_mut().for_each(|host| {
                host.refused.get_or_insert(Refused::RunsHere);
            });
            return found;
        };
        found.known = paces.expect(work).is_some();
        let open = |index: &usize| found.hosts[*index].refused.is_none();
        let places: Vec<usize> = (0..found.hosts.len()).filter(open).collect();
        let hosts: Vec<&Host> = places
            .iter()
            .map(|index| &farm.hosts[*index].listed)
            .collect();
        let keys = hosts.iter().map(|host| pace::host_key(host));
        let outlook = || Outlook::new(paces, keys.clone(), work, farm.moment);
        let seen = Slots::new(folder).look(&Wish::of(&hosts, &outlook));
        for (turn, (host, _)) in seen.order.iter().enumerate() {
            found.hosts[places[*host]].turn = Some(turn + 1);
        }
        found.waits = seen.waits;
        found
            .hosts
            .sort_by_key(|host| (host.turn.is_none(), host.turn));
        found
    }

    /// The hosts in the order of the list.
    fn described(farm: &Farm, work: Option<&Work>, compiler: Option<&str>) -> Candidates {
        let paces = relative(farm, work);
        let keys = farm.hosts.iter().map(|host| pace::host_key(&host.listed));
        let outlook = outlook(farm, keys, work);
        let hosts = farm.hosts.iter().zip(&paces.hosts).enumerate();
        let candidate = |(place, (host, pace)): (usize, (&HostNow, &Option<Pace>))| Candidate {
            pace: *pace,
            ms: outlook.ms(place, host.best_slot()),
            ..Candidate::of(farm, host, compiler)
        };
        let local = &farm.local;
        Candidates {
            hosts: hosts.map(candidate).collect(),
            here: Candidate {
                name: "localhost".to_owned(),
                here: true,
                slots: local.slots,
                held: local.held.len(),
                ms: self::outlook(farm, [pace::here_key()], work).ms(0, 0),
                pace: paces.here,
                ..Candidate::default()
            },
            ..Candidates::default()
        }
    }
}

impl Candidate {
    fn of(farm: &Farm, host: &HostNow, compiler: Option<&str>) -> Candidate {
        let slots = host.listed.slots;
        // As notes of it are read: without blanks at the end.
        let compiler = compiler.map(str::trim_end);
        let mut unfit = host.unfit.iter();
        let unfit = unfit.find(|unfit| Some(unfit.compiler.as_str()) == compiler);
        let avoided = host.avoided;
        Candidate {
            name: host.name.clone(),
            refused: match () {
                () if host.listed.down => Some(Refused::Down),
                () if unfit.is_some() => Some(Refused::Unfit),
                () if avoided.is_some_and(|it| it.until > farm.time) => Some(Refused::Avoided),
                () => None,
            },
            slots,
            held: host.held.len(),
            capacity: host
                .row
                .capacity(farm.moment)
                .filter(|capacity| *capacity < slots as f32),
            load: host.row.load(farm.moment),
            avoided,
            failures: host.failures(farm.time),
            unfit: unfit.map(|unfit| unfit.until),
            ..Candidate::default()
        }
    }
}

/// What is expected of `work` on the hosts with these keys: nothing where it is not sent.
fn outlook(farm: &Farm, keys: impl IntoIterator<Item = u64>, work: Option<&Work>) -> Outlook {
    match (&farm.shared, work) {
        (Some((_, paces)), Some(work)) => Outlook::new(paces, keys, work, farm.moment),
        _ => Outlook::blank(),
    }
}

/// How the hosts compare, for this work where it is sent at all.
fn relative(farm: &Farm, work: Option<&Work>) -> Relative {
    let (Some(work), Some((_, paces))) = (work, &farm.shared) else {
        return farm.usual_paces();
    };
    let spread = paces.expect(work).map_or(1.0, |expected| expected.spread);
    farm.compare(|row| Some(row.pace(work.kind, spread, farm.moment)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use hosts::list::parse;
    use hosts::pace::{Kind, Moment, Paces, Unit, host_key};
    use hosts::{Dislikes, Folder, Patience, Period};

    use super::*;
    use crate::commands::farm::tests::settings;
    use crate::work::Clock;

    pub(in super::super) fn now() -> Moment {
        Clock::start().now()
    }

    pub(in super::super) fn work(unit: u8) -> Work {
        Work {
            kind: Kind::new(1, true, true),
            unit: Unit::of([&[unit][..]]),
            bytes: None,
        }
    }

    /// Hosts `a` and `b`, which takes four times as long, and this machine, which takes twice as long, did jobs of 100 ms.
    pub(in super::super) fn history(folder: &Path) {
        let paces = Paces::in_folder(&Folder::at(folder));
        let list = parse("a b localhost").expect("a list");
        for round in 0..30 {
            for (host, times) in list.hosts.iter().zip([1.0, 4.0, 2.0]) {
                let work = work(round % 10);
                paces.finished(host_key(host), &work, 100.0 * times, 1, false, now());
            }
        }
    }

    fn order(found: &Candidates) -> Vec<(&str, Option<usize>)> {
        let hosts = found.hosts.iter();
        hosts.map(|host| (&*host.name, host.turn)).collect()
    }

    fn about(value: Option<f32>, expected: f32) -> bool {
        value.is_some_and(|value| (value / expected).ln().abs() < 0.3)
    }

    #[test]
    fn without_history_hosts_come_in_the_order_of_the_list_and_nothing_is_expected() {
        let temp = tempfile::tempdir().expect("a folder");
        let farm = Farm::look(&settings(temp.path(), "b/2 a/4 c,down"));
        let found = Candidates::of(&farm, Some(&work(1)), Some("gcc 12"));
        assert_eq!(
            order(&found),
            [("b:3632", Some(1)), ("a:3632", Some(2)), ("c:3632", None)]
        );
        assert!(!found.known && !found.waits);
        for host in found.hosts.iter().chain([&found.here]) {
            assert_eq!((host.ms, host.pace, host.capacity), (None, None, None));
        }
        let left = std::fs::read_dir(temp.path()).expect("it is there").count();
        assert_eq!(left, 0, "looking leaves nothing");
    }

    #[test]
    fn hosts_come_by_the_time_that_is_expected_of_them() {
        let temp = tempfile::tempdir().expect("a folder");
        history(temp.path());
        let farm = Farm::look(&settings(temp.path(), "b/2 a/4 new/2"));
        let found = Candidates::of(&farm, Some(&work(1)), None);
        assert_eq!(
            order(&found),
            [
                ("a:3632", Some(1)),
                ("new:3632", Some(2)),
                ("b:3632", Some(3))
            ]
        );
        let [a, new, b] = &found.hosts[..] else {
            panic!("three hosts: {found:?}");
        };
        assert!(about(a.ms, 100.0) && about(b.ms, 400.0), "{found:?}");
        assert!(about(found.here.ms, 200.0), "{:?}", found.here);
        let times = |host: &Candidate| host.pace.map(|pace| pace.times);
        assert_eq!(times(a), Some(1.0));
        assert!(
            about(times(b), 4.0) && about(times(&found.here), 2.0),
            "{found:?}"
        );
        assert_eq!(b.pace.map(|pace| pace.jobs), Some(30));
        assert!(new.pace.is_none() && new.ms.is_some(), "{new:?}");
    }

    /// As the launcher does: not for one like those that are not in the list.
    #[test]
    fn a_new_host_is_taken_for_one_as_good_as_the_best_of_the_list() {
        let temp = tempfile::tempdir().expect("a folder");
        history(temp.path());
        let farm = Farm::look(&settings(temp.path(), "b/2 new/2"));
        let found = Candidates::of(&farm, Some(&work(1)), None);
        assert_eq!(order(&found), [("b:3632", Some(1)), ("new:3632", Some(2))]);
        for host in &found.hosts {
            assert!(about(host.ms, 400.0), "{host:?}");
        }
    }

    #[test]
    fn a_host_whose_slots_are_taken_comes_last_or_is_waited_for() {
        let temp = tempfile::tempdir().expect("a folder");
        history(temp.path());
        let (folder, list) = (Folder::at(temp.path()), parse("a/1 b/2").expect("a list"));
        let hosts = [&list.hosts[0]];
        let wish = Wish::of(&hosts, &Outlook::blank);
        let taken = Slots::new(&folder).take_remote(&wish, &Patience::NONE);
        let _slot = taken.expect("it is free");
        let farm = Farm::look(&settings(temp.path(), "a/1 b/2"));
        let found = Candidates::of(&farm, Some(&work(1)), None);
        assert_eq!(order(&found), [("b:3632", Some(1)), ("a:3632", Some(2))]);
        assert!(
            !found.waits,
            "nobody knows when the job in the slot will end"
        );
    }

    #[test]
    fn who_would_not_be_tried_is_named_with_the_reason() {
        let temp = tempfile::tempdir().expect("a folder");
        history(temp.path());
        let (folder, list) = (Folder::at(temp.path()), parse("a b c d").expect("a list"));
        let dislikes = Dislikes::new(&folder, Period::Growing);
        let now = SystemTime::now();
        dislikes.failed(&list.hosts[0], now).expect("noted");
        for (host, compiler) in [(1, "gcc 12"), (2, "gcc 13")] {
            let noted = dislikes.unfit(&list.hosts[host], compiler, now);
            noted.expect("noted");
        }
        let farm = Farm {
            time: now,
            ..Farm::look(&settings(temp.path(), "a b c d,down"))
        };
        let found = Candidates::of(&farm, Some(&work(1)), Some("gcc 12 "));
        let refused: Vec<_> = found
            .hosts
            .iter()
            .map(|host| (&*host.name, host.refused))
            .collect();
        let expected = [
            ("c:3632", None),
            ("a:3632", Some(Refused::Avoided)),
            ("b:3632", Some(Refused::Unfit)),
            ("d:3632", Some(Refused::Down)),
        ];
        assert_eq!(refused, expected);
        assert!(about(found.hosts[1].ms, 100.0), "{found:?}");
        let later = Farm {
            time: now + std::time::Duration::from_secs(60),
            ..farm
        };
        let found = Candidates::of(&later, Some(&work(1)), None);
        let a = &found.hosts[0];
        assert_eq!((&*a.name, a.turn), ("a:3632", Some(1)), "it is tried again");

        let found = Candidates::of(&later, None, None);
        let mut hosts = found.hosts.iter();
        assert!(hosts.all(|host| host.turn.is_none() && host.refused.is_some()));
        assert_eq!(found.hosts[0].refused, Some(Refused::RunsHere));
        assert!(found.hosts[0].pace.is_some() && found.hosts[0].ms.is_none());
    }

    #[test]
    fn overstated_slots_and_the_load_of_others_are_told() {
        let temp = tempfile::tempdir().expect("a folder");
        history(temp.path());
        let list = parse("a/12").expect("a list");
        let paces = Paces::in_folder(&Folder::at(temp.path()));
        paces.answered(host_key(&list.hosts[0]), Some(4), Some((0, 9)), now());
        let farm = Farm::look(&settings(temp.path(), "a/12 b/12"));
        let found = Candidates::of(&farm, Some(&work(1)), None);
        let host = |name: &str| {
            let mut hosts = found.hosts.iter();
            hosts.find(|host| host.name == name).expect("listed")
        };
        let (a, b) = (host("a:3632"), host("b:3632"));
        assert_eq!((a.capacity, b.capacity), (Some(4.0), None));
        let load = a.load.expect("it said so");
        assert_eq!((load.jobs, load.free, load.queue), (4, 0, 9));
        assert!(b.load.is_none());
    }
}
