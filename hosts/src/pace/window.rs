//! Second copies are for the few jobs that are late: how many there may be.

use super::host::Moment;
use super::record::{Codec, Record, Section};

/// Jobs that are remembered.
const JOBS: u32 = 1000;
const BYTES: usize = JOBS as usize / 8;
/// Of a hundred jobs so many may have a second copy.
const PERCENT: u32 = 5;

/// Without a job that ends for so long a build is over.
const PAUSE: Moment = 30_000;

/// The last jobs of all launchers, and which of them had a second copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Jobs that are remembered, at most [`JOBS`].
    filled: u32,
    /// Where the next one goes.
    next: u32,
    copied: [u8; BYTES],
    /// When the first of the jobs began that went on without a pause, and when the last one ended.
    began: Moment,
    ended: Moment,
}

impl Default for Window {
    fn default() -> Self {
        Window {
            filled: 0,
            next: 0,
            copied: [0; BYTES],
            began: 0,
            ended: 0,
        }
    }
}

impl Record for Window {
    const SECTION: Section = Section::Window;

    fn fields(&mut self, codec: &mut Codec<'_>) {
        codec.u32(&mut self.filled);
        codec.u32(&mut self.next);
        codec.array(&mut self.copied);
        codec.u64(&mut self.began);
        codec.u64(&mut self.ended);
    }
}

impl Window {
    /// A job begins its second copy, if there may be one more: 5 % of the last 1 000 jobs, but always `allowance`.
    pub fn begin_copy(&mut self, allowance: u32) -> bool {
        let limit = allowance.max(self.filled * PERCENT / 100);
        if self.copies() >= limit {
            return false;
        }
        self.push(true);
        true
    }

    /// A job without a second copy has ended.
    pub fn push_single(&mut self) {
        self.push(false);
    }

    /// A job has ended that began at `began`.
    pub fn ended(&mut self, began: Moment, now: Moment) {
        if self.running(began) == 0 {
            self.began = began;
        }
        self.ended = now;
    }

    /// For how many ms jobs have been ending without a pause.
    pub fn running(&self, now: Moment) -> Moment {
        match now < self.ended.saturating_add(PAUSE) {
            true => now.saturating_sub(self.began),
            false => 0,
        }
    }

    /// Second copies among the jobs that are remembered.
    pub fn copies(&self) -> u32 {
        self.copied.iter().map(|byte| byte.count_ones()).sum()
    }

    /// Jobs that are remembered.
    pub fn jobs(&self) -> u32 {
        self.filled
    }

    fn push(&mut self, copied: bool) {
        let at = self.next % JOBS;
        let (byte, bit) = ((at / 8) as usize, 1 << (at % 8));
        match copied {
            true => self.copied[byte] |= bit,
            false => self.copied[byte] &= !bit,
        }
        self.next = (at + 1) % JOBS;
        self.filled = (self.filled + 1).min(JOBS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_and_then_five_of_a_hundred() {
        let mut window = Window::default();
        let begun = (0..20).filter(|_| window.begin_copy(8)).count();
        assert_eq!(begun, 8);
        for _ in 0..1000 {
            window.push_single();
        }
        assert_eq!(window.copies(), 0, "they are forgotten");
        let mut begun = 0;
        for _ in 0..5000 {
            match window.begin_copy(8) {
                true => begun += 1,
                false => window.push_single(),
            }
            assert!(window.copies() <= 50);
        }
        assert!((200..=300).contains(&begun), "{begun}");
    }

    #[test]
    fn a_build_goes_on_until_there_is_a_pause() {
        let mut window = Window::default();
        assert_eq!(window.running(500_000), 0);
        for second in 0..100 {
            window.ended(1_000_000 + second * 1000, 1_002_000 + second * 1000);
        }
        assert_eq!(window.running(1_102_000), 102_000);
        assert_eq!(window.running(1_152_000), 0);
        window.ended(1_200_000, 1_203_000);
        assert_eq!(window.running(1_204_000), 4_000);
    }

    #[test]
    fn it_travels_in_bytes() {
        let mut window = Window::default();
        for turn in 0..777 {
            if turn % 3 != 0 || !window.begin_copy(500) {
                window.push_single();
            }
        }
        let bytes = window.encode();
        assert_eq!(bytes.len(), Section::Window.size());
        assert_eq!(Window::decode(&bytes), Some(window));
        let mut torn = bytes.clone();
        torn[100] ^= 1;
        assert_eq!(Window::decode(&torn), None);
        assert_eq!(Window::decode(&[0; 256]), None);
    }
}
