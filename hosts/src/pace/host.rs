//! What is known of one host: its pace, how much it does at once, and when it last gave a sign of life.
//!
//! Pace 1 is what jobs are measured against: a host of pace 2 takes twice as long. All averages are of logarithms.

use std::time::SystemTime;

use super::kind::Kind;
use super::life::Life;
use super::record::{Codec, Record, Section};

/// A point in time, in ms since 1970.
pub type Moment = u64;

/// One bad minute is forgotten in this time: half of what the last jobs say beyond the long run is.
const SOON: f32 = 5_000.0;
/// The long run: so much time has to pass for two thirds of it to be of now.
const LONG: f32 = 300_000.0;
/// A host that had no job for so long is slowly taken for one like all.
const STALE: f32 = 300_000.0;
const STALE_HALF: f32 = 600_000.0;
/// No single job changes an average by a larger factor than this (a logarithm).
const STEP: f32 = 2.5;
/// What a host says of its load holds for so long.
const LOAD_HOLDS: Moment = 3_000;
/// The clocks of two launchers differ by less than this, as long as nobody sets them.
const APART: Moment = 2_000;
/// After this time a host may be tried with more jobs than it seemed to do at once.
const MORE_AGAIN: Moment = 30_000;

/// A job that was done there.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub kind: Kind,
    /// ln of what it took, against what was expected on a host of pace 1.
    pub ratio: f32,
    /// Jobs of this user at the host while it was done, itself included; at least.
    pub in_use: u32,
}

/// What is known of a host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostRow {
    /// Which host: a number for the name of its lock files.
    pub key: u64,
    /// ln of its pace over the last jobs, and over the last minutes.
    recent: f32,
    long: f32,
    /// Jobs so far, counted up to a thousand, and when the last one ended.
    pub count: u32,
    heard: Moment,
    /// How far jobs of a kind are off the host's pace.
    kinds: [Off; Kind::COUNT],
    /// Jobs that it does at once without each taking longer, where fewer than its slots; 0 when nothing says so.
    capacity: f32,
    capacity_at: Moment,
    /// The most jobs that it has been seen to do at once as fast as one.
    did: u32,
    /// What the daemon said last: compiles that it runs at once, slots free, requests that wait.
    jobs: u32,
    free: u32,
    queue: u32,
    loaded: Moment,
    pub(super) life: Life,
}

/// How far a kind is off, as a logarithm.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Off {
    count: u32,
    value: f32,
}

impl Record for HostRow {
    const SECTION: Section = Section::Hosts;

    fn fields(&mut self, codec: &mut Codec<'_>) {
        codec.u64(&mut self.key);
        codec.f32(&mut self.recent);
        codec.f32(&mut self.long);
        codec.u32(&mut self.count);
        codec.u64(&mut self.heard);
        for off in &mut self.kinds {
            let mut packed = off.packed();
            codec.u32(&mut packed);
            *off = Off::unpacked(packed);
        }
        codec.f32(&mut self.capacity);
        codec.u64(&mut self.capacity_at);
        codec.u32(&mut self.did);
        codec.u32(&mut self.jobs);
        codec.u32(&mut self.free);
        codec.u32(&mut self.queue);
        codec.u64(&mut self.loaded);
        self.life.fields(codec);
    }
}

impl Off {
    /// The count in the upper half, hundredths in the lower.
    fn packed(self) -> u32 {
        let hundredths = (self.value * 100.0).clamp(-30_000.0, 30_000.0) as i16;
        self.count.min(0xffff) << 16 | u32::from(hundredths.cast_unsigned())
    }

    fn unpacked(packed: u32) -> Off {
        let hundredths = ((packed & 0xffff) as u16).cast_signed();
        Off {
            count: packed >> 16,
            value: f32::from(hundredths) / 100.0,
        }
    }
}

/// What is left of something after `age` ms, where half goes in `half` ms.
fn left(age: f32, half: f32) -> f32 {
    (-age / half).exp2()
}

impl HostRow {
    /// Of a host that nothing is known of.
    pub(super) fn of(key: u64) -> HostRow {
        HostRow {
            key,
            ..HostRow::default()
        }
    }

    /// Leaves out what was written before the clock was set back: it would hold until that time comes again.
    pub(super) fn forget_after(&mut self, now: Moment) {
        self.heard = self.heard.min(now);
        self.capacity_at = self.capacity_at.min(now);
        if self.loaded > now.saturating_add(APART) {
            self.loaded = 0;
        }
        self.life.forget_after(now.saturating_add(APART));
    }

    /// When it was last heard of in any way.
    pub(super) fn last(&self) -> Moment {
        self.heard.max(self.loaded).max(self.life.last())
    }

    /// ln of the pace for jobs of `kind` at `now`, where jobs vary by `spread`: one of them says little then.
    pub fn pace(&self, kind: Kind, spread: f32, now: Moment) -> f32 {
        if self.count == 0 {
            return 0.0;
        }
        let age = now.saturating_sub(self.heard) as f32;
        let pace = self.long + (self.recent - self.long) * left(age, SOON);
        let stale = left((age - STALE).max(0.0), STALE_HALF);
        let off = self.kinds[kind.number()];
        let (jobs, of_kind) = (self.count as f32, off.count as f32);
        let sure = jobs / (jobs + 4.0 * spread * spread);
        (pace * sure + off.value * of_kind / (of_kind + 8.0)) * stale
    }

    /// Jobs that it does at once without each taking longer; `None` where its slots are the only limit.
    pub fn capacity(&self, now: Moment) -> Option<f32> {
        let said = (self.jobs > 0).then_some(self.jobs as f32);
        let seen = (self.capacity > 0.0).then(|| {
            let age = now.saturating_sub(self.capacity_at);
            self.capacity + (age / MORE_AGAIN) as f32
        });
        match (said, seen) {
            (Some(said), Some(seen)) => Some(said.min(seen)),
            (said, seen) => said.or(seen),
        }
    }

    /// Has it shown a sign of life after that time?  Then who finds another one trying a host that had failed need not wait for
    /// that one's job.
    pub fn lives_since(&self, time: SystemTime) -> bool {
        self.life.shown_since(time)
    }

    /// Jobs of others that wait there for each of its slots, as far as that is known at `now`.
    pub fn waiting(&self, now: Moment) -> f32 {
        if self.jobs == 0 || now.saturating_sub(self.loaded) > LOAD_HOLDS {
            return 0.0;
        }
        self.queue as f32 / self.jobs as f32
    }

    /// A job was done there.
    pub fn learn(&mut self, seen: &Seen, now: Moment) {
        self.life.shown(now);
        let expected = self.pace(seen.kind, 0.0, now);
        let longer = (seen.ratio - expected).exp();
        if self.count >= 3 && longer > 1.3 && seen.in_use > self.did.max(1) {
            return self.overfilled(seen.in_use, longer, now);
        }
        if longer < 1.2 {
            self.did = self.did.max(seen.in_use);
            if self.capacity > 0.0 && seen.in_use as f32 > self.capacity {
                (self.capacity, self.capacity_at) = (seen.in_use as f32, now);
            }
        }
        self.average(seen.kind, seen.ratio, now);
    }

    /// A job there takes so long that its second copy was faster, or it was given up: ln of what it took at least, as in
    /// [`Seen::ratio`].
    pub fn took_longer_than(&mut self, kind: Kind, ratio: f32, now: Moment) {
        if ratio > self.pace(kind, 0.0, now) {
            let jobs = self.count.max(1);
            self.average(kind, ratio, now);
            // What it took at last will count: it is more.
            self.count = jobs;
        }
    }

    /// More jobs at once than it does, and each takes `longer` by a factor.
    fn overfilled(&mut self, in_use: u32, longer: f32, now: Moment) {
        let fits = (in_use as f32 / longer).max(self.did.max(1) as f32);
        let before = self.capacity(now).filter(|before| *before <= in_use as f32);
        self.capacity = before.map_or(fits, |before| before + 0.3 * (fits - before));
        (self.capacity_at, self.heard) = (now, now);
    }

    fn average(&mut self, kind: Kind, ratio: f32, now: Moment) {
        let rest = now.saturating_sub(self.heard).min(60_000) as f32;
        if self.count == 0 {
            (self.recent, self.long) = (ratio, ratio);
        } else {
            // What was forgotten meanwhile stays forgotten.
            self.recent = self.long + (self.recent - self.long) * left(rest, SOON);
            let step = (ratio - self.recent).clamp(-STEP, STEP);
            let few = 1.0 / (self.count as f32 + 1.0);
            let slowly = 1.0 - (-rest / LONG).exp();
            self.long += step
                * if self.count < 8 {
                    few
                } else {
                    slowly.max(0.005)
                };
            let off = &mut self.kinds[kind.number()];
            off.count = (off.count + 1).min(1000);
            let share = (1.0 / off.count as f32).max(0.05);
            off.value += share * ((ratio - self.recent).clamp(-STEP, STEP) - off.value);
            self.recent += step * few.max(0.3);
        }
        self.count = (self.count + 1).min(1000);
        self.heard = now;
    }

    /// Its daemon answered: it lives, runs `jobs` compiles at once, has `free` slots and `queue` requests that wait.
    pub(super) fn answered(&mut self, jobs: Option<u32>, load: Option<(u32, u32)>, now: Moment) {
        self.life.shown(now);
        if let (Some(jobs), Some((free, queue))) = (jobs, load) {
            (self.jobs, self.free, self.queue, self.loaded) = (jobs, free, queue, now);
        }
    }

    /// What its daemon said last of its load.
    pub fn load(&self, now: Moment) -> Option<Load> {
        (self.jobs > 0).then_some(Load {
            jobs: self.jobs,
            free: self.free,
            queue: self.queue,
            age: now.saturating_sub(self.loaded),
        })
    }
}

/// What a daemon said of its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Compiles that it runs at once.
    pub jobs: u32,
    /// Its slots that were free.
    pub free: u32,
    /// Requests that waited.
    pub queue: u32,
    /// How long ago it said so, in ms.
    pub age: Moment,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> Kind {
        Kind::new(0, true, false)
    }

    fn seen(ratio: f32, in_use: u32) -> Seen {
        Seen {
            kind: kind(),
            ratio: ratio.ln(),
            in_use,
        }
    }

    /// A host that did `jobs` jobs of `ratio`, ten each second.
    fn after(row: &mut HostRow, jobs: u32, ratio: f32, now: &mut Moment) {
        for _ in 0..jobs {
            *now += 100;
            row.learn(&seen(ratio, 1), *now);
        }
    }

    fn pace(row: &HostRow, now: Moment) -> f32 {
        row.pace(kind(), 0.1, now).exp()
    }

    #[test]
    fn a_row_fits_its_place_and_comes_back() {
        let (mut row, mut now) = (HostRow::default(), 1_000_000);
        row.key = 7;
        after(&mut row, 40, 3.0, &mut now);
        row.answered(Some(4), Some((1, 9)), now);
        let bytes = row.encode();
        assert_eq!(bytes.len(), Section::Hosts.size());
        let back = HostRow::decode(&bytes).expect("whole");
        assert!((pace(&back, now) - pace(&row, now)).abs() < 0.02);
        assert_eq!(
            (back.key, back.count, back.jobs, back.queue),
            (7, row.count, 4, 9)
        );
    }

    #[test]
    fn the_first_job_says_most() {
        let (mut row, mut now) = (HostRow::default(), 1_000_000);
        assert_eq!(pace(&row, now), 1.0);
        after(&mut row, 1, 10.0, &mut now);
        assert!(pace(&row, now) > 8.0);
        let doubtful = row.pace(kind(), 1.0, now).exp();
        assert!(doubtful < 2.0, "where jobs vary one is nothing: {doubtful}");
    }

    #[test]
    fn a_bad_minute_is_forgotten_soon_and_a_slow_host_is_not() {
        let (mut row, mut now) = (HostRow::default(), 1_000_000);
        after(&mut row, 600, 1.0, &mut now);
        after(&mut row, 600, 10.0, &mut now);
        assert!(pace(&row, now) > 7.0, "{}", pace(&row, now));
        let later = pace(&row, now + 20_000);
        assert!(later < 2.5, "{later}");

        let (mut row, mut now) = (HostRow::default(), 1_000_000);
        after(&mut row, 60, 10.0, &mut now);
        assert!(pace(&row, now + 200_000) > 9.0);
        assert!(
            pace(&row, now + 4_000_000) < 1.3,
            "it may be another by then"
        );
    }

    #[test]
    fn growing_times_mean_that_it_is_overfilled() {
        let (mut row, mut now) = (HostRow::default(), 1_000_000);
        for _ in 0..10 {
            now += 100;
            row.learn(&seen(1.0, 4), now);
        }
        assert_eq!(row.capacity(now), None);
        for _ in 0..10 {
            now += 100;
            row.learn(&seen(3.0, 12), now);
        }
        let capacity = row.capacity(now).expect("it was seen");
        assert!((3.5..=4.5).contains(&capacity), "{capacity}");
        assert!(
            pace(&row, now) < 1.2,
            "the host is no slower: {}",
            pace(&row, now)
        );
        let later = row.capacity(now + 120_000).expect("still");
        assert!(later >= 7.5, "it may have become more: {later}");
    }

    /// What was seen an hour before it.
    #[test]
    fn a_clock_that_is_set_back_freezes_nothing() {
        let (mut row, mut now) = (HostRow::default(), 5_000_000);
        after(&mut row, 60, 1.0, &mut now);
        after(&mut row, 20, 10.0, &mut now);
        for _ in 0..10 {
            row.learn(&seen(40.0, 12), now);
        }
        let (bad, fits) = (pace(&row, now), row.capacity(now).expect("it was seen"));
        let mut said = row.clone();
        said.answered(Some(4), Some((0, 40)), now);
        let now = now - 3_600_000;
        for row in [&mut row, &mut said] {
            row.forget_after(now);
        }
        assert_eq!(said.waiting(now), 0.0);
        assert!(pace(&row, now + 20_000) < bad / 2.0);
        let later = row.capacity(now + 60_000).expect("still");
        assert!(later > fits, "{later}, and {fits} before");
    }

    #[test]
    fn what_a_daemon_says_of_its_load_holds_for_a_moment() {
        let mut row = HostRow::default();
        row.answered(Some(4), Some((0, 8)), 1000);
        assert_eq!(row.waiting(1500), 2.0);
        assert_eq!(row.waiting(9000), 0.0);
        assert_eq!(row.capacity(9000), Some(4.0));
    }
}
