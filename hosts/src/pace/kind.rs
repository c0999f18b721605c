//! How long jobs of one kind take on a host of pace 1, and how sure that is.
//!
//! Times are kept as logarithms, so that a host of half the speed is as far away as one of double. Knows nothing of hosts.

use super::record::{Codec, Record, Section};

/// What sort of work a job is, as far as that shows in its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(u8);

impl Kind {
    /// How many there are.
    pub const COUNT: usize = 16;

    /// Of a job in `language` (0 C, 1 C++, 2 another, 3 already preprocessed), optimised or not, with debug information or not.
    pub fn new(language: u8, optimised: bool, debug: bool) -> Kind {
        Kind((language & 3) << 2 | u8::from(optimised) << 1 | u8::from(debug))
    }

    /// Every one.
    pub fn all() -> impl Iterator<Item = Kind> {
        (0..Kind::COUNT as u8).map(Kind)
    }

    /// Its number, below [`Kind::COUNT`].
    pub fn number(self) -> usize {
        usize::from(self.0)
    }
}

/// A time that is expected, in ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    pub ms: f32,
    /// The usual error of such expectations, as a logarithm: 0.7 is a factor of two either way.
    pub spread: f32,
}

/// What is known of a kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct KindRow {
    /// Jobs so far, counted up to a thousand.
    pub(super) count: u32,
    /// ln ms of the mean job, and the mean error of expecting that of each.
    mean: Guess,
    /// ln ms per KiB of source, and the mean error.
    rate: Guess,
    /// The mean error of expecting what the same unit took before.
    again: Guess,
}

/// A running mean and the mean distance of values from it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Guess {
    count: u32,
    value: f32,
    error: f32,
}

impl Guess {
    /// New values count for at least so much.
    const SHARE: f32 = 0.05;
    /// Before anything is known, and while little is.
    const WIDE: f32 = 1.0;

    fn learn(&mut self, value: f32) {
        self.miss((value - self.value).abs());
        let share = (1.0 / self.count as f32).max(Self::SHARE);
        self.value += share * (value - self.value);
    }

    /// Counts one, and how wrong the guess was; the first was none.
    fn miss(&mut self, error: f32) {
        self.count = (self.count + 1).min(1000);
        match self.count {
            1 => self.error = Self::WIDE,
            count => {
                let share = (1.0 / (count - 1) as f32).max(Self::SHARE);
                self.error += share * (error - self.error);
            }
        }
    }

    /// The usual error: wider the fewer values there were.
    fn spread(self) -> f32 {
        // The mean distance of a normal distribution is 0.8 of its standard deviation.
        self.error * 1.25 + 0.3 / self.count.max(1) as f32
    }

    fn fields(&mut self, codec: &mut Codec<'_>) {
        codec.u32(&mut self.count);
        codec.f32(&mut self.value);
        codec.f32(&mut self.error);
    }
}

impl Record for KindRow {
    const SECTION: Section = Section::Kinds;

    fn fields(&mut self, codec: &mut Codec<'_>) {
        codec.u32(&mut self.count);
        self.mean.fields(codec);
        self.rate.fields(codec);
        self.again.fields(codec);
    }
}

impl KindRow {
    /// The time of a job on a host of pace 1: from what the same unit took before (`again`, ms), else from the bytes of
    /// its source, else the mean.
    pub(super) fn expect(&self, again: Option<f32>, bytes: Option<u64>) -> Option<Expected> {
        if let Some(ms) = again {
            let spread = match self.again.count {
                0 => 0.5,
                _ => self.again.spread(),
            };
            return Some(Expected { ms, spread });
        }
        let (guess, scale) = match bytes {
            Some(bytes) if self.rate.count > 0 => (self.rate, kib(bytes).ln()),
            _ => (self.mean, 0.0),
        };
        (guess.count > 0).then(|| Expected {
            ms: (guess.value + scale).exp(),
            spread: guess.spread(),
        })
    }

    /// A job that would have taken `ms` on a host of pace 1 has ended.
    pub(super) fn learn(&mut self, ms: f32, again: Option<f32>, bytes: Option<u64>) {
        let value = ms.max(MIN_MS).ln();
        self.count = (self.count + 1).min(1000);
        self.mean.learn(value);
        if let Some(bytes) = bytes {
            self.rate.learn(value - kib(bytes).ln());
        }
        if let Some(before) = again {
            self.again.miss((value - before.max(MIN_MS).ln()).abs());
        }
    }
}

/// Shorter times are all the same: the network's.
pub(super) const MIN_MS: f32 = 1.0;

fn kib(bytes: u64) -> f32 {
    // Starting a compiler costs as much as some source.
    bytes as f32 / 1024.0 + 32.0
}

/// What a translation unit took last time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct UnitRow {
    /// Which unit: [`super::Unit`]'s number. Another one may have taken the place.
    pub(super) unit: u64,
    /// ms on a host of pace 1.
    pub(super) ms: f32,
}

impl Record for UnitRow {
    const SECTION: Section = Section::Units;

    fn fields(&mut self, codec: &mut Codec<'_>) {
        codec.u64(&mut self.unit);
        codec.f32(&mut self.ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_that_is_known_is_expected() {
        let mut row = KindRow::default();
        assert_eq!(row.expect(None, Some(1000)), None);
        for _ in 0..50 {
            row.learn(100.0, None, Some(100 << 10));
            row.learn(1000.0, None, Some(1300 << 10));
        }
        let near = |expected: Option<Expected>, ms: f32| {
            let found = expected.expect("something is known").ms;
            assert!((found / ms).ln().abs() < 0.2, "{found} is not about {ms}");
        };
        near(row.expect(None, Some(100 << 10)), 100.0);
        near(row.expect(None, Some(1300 << 10)), 1000.0);
        near(row.expect(None, None), 316.0);
        near(row.expect(Some(7.0), Some(1300 << 10)), 7.0);
        let spread = |bytes| row.expect(None, bytes).expect("known").spread;
        assert!(spread(Some(1)) < 0.2);
        assert!(spread(None) > 1.0, "the mean says little here");
    }

    #[test]
    fn one_job_is_no_certainty() {
        let mut row = KindRow::default();
        row.learn(100.0, None, None);
        let spread = |row: &KindRow| row.expect(None, None).expect("known").spread;
        assert!(spread(&row) > 1.0);
        for _ in 0..20 {
            row.learn(100.0, None, None);
        }
        assert!(spread(&row) < 0.25, "{}", spread(&row));
    }
}
