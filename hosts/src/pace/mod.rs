//! How long jobs take: a small table of what hosts, kinds of jobs and translation units took before, shared by all launchers.
//!
//! A job's time is thought of as the unit's own time, on a host of pace 1, times the pace of the host. Each job that ends
//! corrects both by what it took. Knows nothing of sockets or slots, and no clock: the caller says what time it is.

mod host;
mod kind;
mod life;
mod look;
mod record;
mod table;
mod window;

pub use host::{HostRow, Load, Moment};
pub use kind::{Expected, Kind};
pub use life::Sign;
pub use look::Copies;
pub use record::{Codec, Record, Section};
pub use table::{InMemory, Store, Table};
pub use window::Window;

use crate::fnv1a;
use crate::folder::Folder;
use crate::list::Host;
use crate::race::SIGN_WITHIN;
use host::Seen;
use kind::{KindRow, MIN_MS, UnitRow};

/// A translation unit: the same number for the same source in the same folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit(u64);

impl Unit {
    /// The unit that `names` tell from others: working folder, source, output.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n [u8]>) -> Unit {
        let mut all = Vec::with_capacity(256);
        for name in names {
            all.extend_from_slice(name);
            all.push(0);
        }
        // 0 is a place without a unit.
        Unit(fnv1a(&all).max(1))
    }
}

/// A job, as far as its time depends on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    pub kind: Kind,
    pub unit: Unit,
    /// Bytes of its source as it is sent, once that is known.
    pub bytes: Option<u64>,
}

/// The number that a host has in the table.
pub fn host_key(host: &Host) -> u64 {
    fnv1a(host.lock_name().as_bytes()).max(1)
}

/// This machine's own number.
pub fn here_key() -> u64 {
    fnv1a(b"localhost").max(1)
}

/// Hosts whose places are the same go beside each other, as far as this.
const WAYS: u64 = 4;

/// The table.
#[derive(Debug)]
pub struct Paces<S> {
    store: S,
}

impl Paces<Table> {
    /// The table in the folder for locks, which the first look creates.
    pub fn in_folder(folder: &Folder) -> Paces<Table> {
        Paces::new(Table::new(folder))
    }
}

impl<S: Store> Paces<S> {
    pub fn new(store: S) -> Paces<S> {
        Paces { store }
    }

    /// What is known at `now` of the host with this number.
    pub fn host(&self, key: u64, now: Moment) -> HostRow {
        self.find(key, now).1
    }

    /// For how many ms jobs have been ending without a pause.
    pub fn running(&self, now: Moment) -> Moment {
        self.store
            .read(0)
            .map_or(0, |window: Window| window.running(now))
    }

    /// The time of `work` on a host of pace 1.
    pub fn expect(&self, work: &Work) -> Option<Expected> {
        self.kind(work.kind).expect(self.again(work), work.bytes)
    }

    /// `work` took `ms` at the host, which had `in_use` jobs of this user meanwhile.  `copied`: it had a second copy, which has been
    /// counted.
    pub fn finished(&self, key: u64, work: &Work, ms: f32, in_use: u32, copied: bool, now: Moment) {
        let Some(_lock) = self.store.lock() else {
            return;
        };
        let began = now.saturating_sub(ms.max(0.0) as Moment);
        self.change(0, |window: &mut Window| {
            window.ended(began, now);
            if !copied {
                window.push_single();
            }
        });
        let again = self.again(work);
        let mut kind = self.kind(work.kind);
        let (place, mut host) = self.find(key, now);
        let expected = kind.expect(again, work.bytes);
        // The first job of a kind is what others are measured against.
        let ratio = expected.map_or(0.0, |expected| (ms.max(MIN_MS) / expected.ms).ln());
        let seen = Seen {
            kind: work.kind,
            ratio,
            in_use,
        };
        let pace = match host.count {
            0 => ratio,
            _ => host.pace(work.kind, 0.0, now),
        };
        host.learn(&seen, now);
        let crowded = match host.capacity(now) {
            Some(fits) => (in_use as f32 / fits).max(1.0),
            None => 1.0,
        };
        let own = ms / pace.exp() / crowded;
        kind.learn(own, again, work.bytes);
        let unit = UnitRow {
            unit: work.unit.0,
            ms: own,
        };
        self.store.write(place, &host);
        self.store.write(work.kind.number() as u64, &kind);
        self.store.write(work.unit.0, &unit);
    }

    /// `work` was at the host for `ms` and had not ended.
    pub fn took_longer_than(&self, key: u64, work: &Work, ms: f32, now: Moment) {
        let Some(expected) = self.expect(work) else {
            return;
        };
        let ratio = (ms.max(MIN_MS) / expected.ms).ln();
        self.change_host(key, now, |host| {
            host.took_longer_than(work.kind, ratio, now)
        });
    }

    /// May a job begin a second copy?  Then it is counted.
    pub fn begin_copy(&self, allowance: u32) -> bool {
        let Some(_lock) = self.store.lock() else {
            return false;
        };
        let mut begun = false;
        self.change(0, |window: &mut Window| {
            begun = window.begin_copy(allowance)
        });
        begun
    }

    /// What is known of the host's life by who sent it a job at `since`. At most one is told to ask each second.
    pub fn sign(&self, key: u64, since: Moment, now: Moment) -> Sign {
        self.change_host(key, now, |host| host.life.sign(since, now))
            .unwrap_or(Sign::Ask {
                within: SIGN_WITHIN,
            })
    }

    /// The host's daemon answered: it runs `jobs` compiles at once; of `load` it has slots free and requests that wait.
    pub fn answered(&self, key: u64, jobs: Option<u32>, load: Option<(u32, u32)>, now: Moment) {
        self.change_host(key, now, |host| host.answered(jobs, load, now));
    }

    /// Who asked the host at `asked` ends without an answer, and leaves it to others.
    pub fn stopped_asking(&self, key: u64, asked: Moment, now: Moment) {
        self.change_host(key, now, |host| host.life.stopped_asking(asked));
    }

    /// The host was asked at `asked` and did not answer in time.  False when it did answer somebody else since.
    pub fn was_silent(&self, key: u64, asked: Moment, now: Moment) -> bool {
        self.change_host(key, now, |host| host.life.was_silent(asked, now))
            .unwrap_or(true)
    }

    /// Changes what is known of a host, unless that cannot be noted.
    fn change_host<T>(
        &self,
        key: u64,
        now: Moment,
        change: impl FnOnce(&mut HostRow) -> T,
    ) -> Option<T> {
        let _lock = self.store.lock()?;
        let (place, mut host) = self.find(key, now);
        let told = change(&mut host);
        self.store.write(place, &host);
        Some(told)
    }

    fn kind(&self, kind: Kind) -> KindRow {
        self.store.read(kind.number() as u64).unwrap_or_default()
    }

    fn again(&self, work: &Work) -> Option<f32> {
        let row: UnitRow = self.store.read(work.unit.0)?;
        (row.unit == work.unit.0 && row.ms > 0.0).then_some(row.ms)
    }

    /// The host's row and its place; for a host that has none, a new one in the place of who was not heard of for longest.
    fn find(&self, key: u64, now: Moment) -> (u64, HostRow) {
        let set = key / WAYS % (Section::Hosts.records() / WAYS) * WAYS;
        let new = HostRow::of(key);
        let mut oldest = (set, u64::MAX);
        for place in set..set + WAYS {
            match self.store.read::<HostRow>(place) {
                Some(mut row) => {
                    row.forget_after(now);
                    if row.key == key {
                        return (place, row);
                    }
                    if row.last() < oldest.1 {
                        oldest = (place, row.last());
                    }
                }
                None if oldest.1 > 0 => oldest = (place, 0),
                None => {}
            }
        }
        (oldest.0, new)
    }

    fn change<R: Record>(&self, number: u64, change: impl FnOnce(&mut R)) {
        let mut record = self.store.read(number).unwrap_or_default();
        change(&mut record);
        self.store.write(number, &record);
    }
}

#[cfg(test)]
mod tests;
