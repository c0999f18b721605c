//! Whether a host lives: who asked it, when it answered or did another thing that only the living do, and when it did not.
//!
//! One launcher asks for all. Knows nothing of paces.

use std::time::{SystemTime, UNIX_EPOCH};

use super::host::Moment;
use super::record::Codec;
use crate::race::{SIGN_EVERY, SIGN_WITHIN};

/// Nobody is asked for less than this time.
const SIGN_LEAST: Moment = 300;
/// Who finds another one asking looks again after this time.
const ASKED_AGAIN: Moment = 100;

/// Has a host shown a sign of life?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Of late; see again at `again`.
    Alive { again: Moment },
    /// Somebody is asking it; see again at `again`.
    Asked { again: Moment },
    /// Nobody knows: ask it, wait for the answer for so many ms, and say what came of it.
    Ask { within: Moment },
    /// It was asked since, and did not answer.
    Silent,
}

/// What is known of a host's life.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Life {
    /// When somebody asked for a sign of it, when there was one, when there was none.
    asked: Moment,
    alive: Moment,
    silent: Moment,
    /// Since when somebody waited in vain for an answer, who then had no more need of it; of no meaning before `alive`.
    unanswered: Moment,
}

impl Life {
    pub(super) fn fields(&mut self, codec: &mut Codec<'_>) {
        codec.u64(&mut self.asked);
        codec.u64(&mut self.alive);
        codec.u64(&mut self.silent);
        codec.u64(&mut self.unanswered);
    }

    /// When there was anything about it last.
    pub(super) fn last(&self) -> Moment {
        self.alive.max(self.asked)
    }

    /// What is later than `time` was written under another clock and says nothing.
    pub(super) fn forget_after(&mut self, time: Moment) {
        for then in [
            &mut self.asked,
            &mut self.alive,
            &mut self.silent,
            &mut self.unanswered,
        ] {
            if *then > time {
                *then = 0;
            }
        }
    }

    /// It has shown a sign.
    pub(super) fn shown(&mut self, now: Moment) {
        self.alive = now;
    }

    /// Was there a sign after that time?
    pub(super) fn shown_since(&self, time: SystemTime) -> bool {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        u128::from(self.alive) > since.as_millis()
    }

    /// What is known of its life at `now` by who sent it a job at `since`; who is to ask is noted.
    pub(super) fn sign(&mut self, since: Moment, now: Moment) -> Sign {
        // Clocks of launchers differ a little.
        let ago = |then: Moment| now.checked_sub(then);
        if self.silent > since.max(self.alive) {
            return Sign::Silent;
        }
        if ago(self.alive).is_some_and(|ago| ago < SIGN_EVERY) {
            return Sign::Alive {
                again: self.alive + SIGN_EVERY,
            };
        }
        if ago(self.asked).is_some_and(|ago| ago < SIGN_WITHIN) {
            return Sign::Asked {
                again: now + ASKED_AGAIN,
            };
        }
        self.asked = now;
        // What others waited for in vain counts, but for a while everybody has to see for himself.
        let waited = match self.unanswered > self.alive {
            true => ago(self.unanswered).unwrap_or(0),
            false => 0,
        };
        Sign::Ask {
            within: SIGN_WITHIN.saturating_sub(waited).max(SIGN_LEAST),
        }
    }

    /// Who asked it at `asked` does not wait for the answer any more.
    pub(super) fn stopped_asking(&mut self, asked: Moment) {
        if self.alive >= asked {
            return;
        }
        if self.unanswered <= self.alive {
            self.unanswered = asked;
        }
        if self.asked == asked {
            self.asked = 0;
        }
    }

    /// It was asked at `asked` and did not answer in time.  False when it has shown a sign since.
    pub(super) fn was_silent(&mut self, asked: Moment, now: Moment) -> bool {
        let silent = self.alive < asked;
        if silent {
            self.silent = now;
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asks_for_all_and_all_hear_of_it() {
        let mut life = Life::default();
        let ask = Sign::Ask { within: 1000 };
        assert_eq!(life.sign(9_000, 10_000), ask);
        assert_eq!(life.sign(9_000, 10_010), Sign::Asked { again: 10_110 });
        life.shown(10_020);
        assert_eq!(life.sign(9_000, 10_030), Sign::Alive { again: 11_020 });
        assert_eq!(life.sign(9_000, 11_020), ask);
        life.was_silent(11_020, 12_020);
        assert_eq!(life.sign(9_000, 12_030), Sign::Silent);
        assert_eq!(
            life.sign(12_025, 13_100),
            ask,
            "who came later sees for himself"
        );
        life.shown(13_200);
        life.was_silent(13_100, 14_100);
        assert_eq!(
            life.sign(9_000, 14_150),
            Sign::Alive { again: 14_200 },
            "another heard it"
        );
    }

    #[test]
    fn a_host_that_answers_after_it_failed_lives() {
        let failed = UNIX_EPOCH + std::time::Duration::from_millis(5_000);
        let mut life = Life::default();
        life.shown(4_900);
        assert!(!life.shown_since(failed));
        life.shown(5_600);
        assert!(life.shown_since(failed));
    }

    #[test]
    fn who_stops_asking_leaves_what_he_waited_for_to_the_next() {
        let mut life = Life::default();
        assert_eq!(life.sign(9_000, 10_000), Sign::Ask { within: 1000 });
        life.stopped_asking(10_000);
        assert_eq!(life.sign(9_000, 10_600), Sign::Ask { within: 400 });
        life.stopped_asking(10_600);
        assert_eq!(life.sign(9_000, 10_900), Sign::Ask { within: 300 });
        life.was_silent(10_900, 11_200);
        assert_eq!(life.sign(9_000, 11_200), Sign::Silent);
        life.shown(20_000);
        life.stopped_asking(19_990);
        assert_eq!(life.sign(19_000, 21_000), Sign::Ask { within: 1000 });
    }
}
