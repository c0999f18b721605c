//! A host: a daemon that runs so many compiles at once and lets the rest wait, on a machine with processors and a pace, which may
//! die, freeze, be cut off or slow down. Knows nothing of clients.

use std::collections::VecDeque;

use crate::{LegNumber, Micros};

/// Is it there?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Up,
    /// No daemon: connections are refused, and those that were there have been reset.
    Down,
    /// Its daemon is stopped: the kernel takes connections and bytes, and nothing else happens.
    Frozen,
    /// No packet gets there or back. What it has, it goes on with.
    Cut,
}

/// What happens to a host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    Kill,
    Freeze,
    Cut,
    /// Is there again, whatever it was.
    Return,
    /// Takes so many times as long as usual, until told otherwise.
    Slow(f64),
    /// Takes no connections, goes on with those it has.
    Refuse(bool),
    /// Works, and answers no questions.
    Mute(bool),
}

/// How a host is when all is well.
#[derive(Debug, Clone)]
pub struct Nature {
    /// How many times as long as on the fastest a job takes here.
    pub pace: f64,
    /// Compiles that the daemon runs at once.
    pub jobs: usize,
    /// Processors: more compiles than these make each slower.
    pub processors: usize,
    /// Its daemon can be asked for a sign of life and its load.
    pub ours: bool,
    pub round_trip: Micros,
    /// Microseconds for each KiB that is sent.
    pub per_kib: f64,
    /// Shares of replies that are no replies, and that end in the middle without a word.
    pub corrupt: f64,
    pub half: f64,
}

impl Default for Nature {
    fn default() -> Nature {
        Nature {
            pace: 1.0,
            jobs: 4,
            processors: 4,
            ours: true,
            round_trip: 400,
            per_kib: 10.0,
            corrupt: 0.0,
            half: 0.0,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Machine {
    pub nature: Nature,
    pub life: Life,
    pub slow: f64,
    pub refuses: bool,
    pub mute: bool,
    /// Since when it gives no sign of life.
    pub silent_since: Option<Micros>,
    running: Vec<(LegNumber, f64)>,
    waiting: VecDeque<(LegNumber, f64)>,
    touched: Micros,
    /// Counts changes, so that an end that was foreseen before one of them is none.
    pub version: u64,
}

impl Machine {
    pub fn new(nature: Nature) -> Machine {
        Machine {
            nature,
            life: Life::Up,
            slow: 1.0,
            refuses: false,
            mute: false,
            silent_since: None,
            running: Vec::new(),
            waiting: VecDeque::new(),
            touched: 0,
            version: 0,
        }
    }

    /// Do packets get there and back, and somebody answers them?
    pub fn answers(&self) -> bool {
        self.life == Life::Up
    }

    /// Work that is done for each job in a microsecond.
    fn rate(&self) -> f64 {
        match self.life {
            Life::Frozen | Life::Down => 0.0,
            Life::Up | Life::Cut => {
                let share = self.nature.processors as f64 / self.running.len().max(1) as f64;
                share.min(1.0) / (self.nature.pace * self.slow)
            }
        }
    }

    /// Does the work that was done until `now`.
    fn advance(&mut self, now: Micros) {
        let done = (now - self.touched) as f64 * self.rate();
        for (_, left) in &mut self.running {
            *left -= done;
        }
        self.touched = now;
        self.version += 1;
    }

    fn fill(&mut self) {
        while self.running.len() < self.nature.jobs {
            match self.waiting.pop_front() {
                Some(next) => self.running.push(next),
                None => break,
            }
        }
    }

    /// When the next compile ends, if nothing changes.
    pub fn next_end(&self) -> Option<Micros> {
        let rate = self.rate();
        let least = self.running.iter().map(|(_, left)| *left);
        let least = least.min_by(f64::total_cmp).filter(|_| rate > 0.0)?;
        Some(self.touched + (least.max(0.0) / rate).ceil() as Micros)
    }

    pub fn arrive(&mut self, leg: LegNumber, work: f64, now: Micros) {
        self.advance(now);
        self.waiting.push_back((leg, work));
        self.fill();
    }

    /// The client closed the connection.
    pub fn forget(&mut self, leg: LegNumber, now: Micros) {
        self.advance(now);
        self.running.retain(|(number, _)| *number != leg);
        self.waiting.retain(|(number, _)| *number != leg);
        self.fill();
    }

    /// The compiles that have ended.
    pub fn ended(&mut self, now: Micros) -> Vec<LegNumber> {
        self.advance(now);
        let done = |(_, left): &(LegNumber, f64)| *left < 0.5;
        let ended = self.running.iter().filter(|job| done(job));
        let ended = ended.map(|(leg, _)| *leg).collect();
        self.running.retain(|job| !done(job));
        self.fill();
        ended
    }

    pub fn befall(&mut self, fault: Fault, now: Micros) {
        self.advance(now);
        match fault {
            Fault::Kill => {
                self.running.clear();
                self.waiting.clear();
                self.life = Life::Down;
            }
            Fault::Freeze => self.life = Life::Frozen,
            Fault::Cut => self.life = Life::Cut,
            Fault::Return => self.life = Life::Up,
            Fault::Slow(slow) => self.slow = slow,
            Fault::Refuse(refuses) => self.refuses = refuses,
            Fault::Mute(mute) => self.mute = mute,
        }
        self.silent_since = match self.life {
            Life::Frozen | Life::Cut => self.silent_since.or(Some(now)),
            Life::Up | Life::Down => None,
        };
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Slots free and requests that wait, as the daemon tells.
    pub fn load(&self) -> (u32, u32) {
        let free = self.nature.jobs.saturating_sub(self.running.len());
        (free as u32, self.waiting.len() as u32)
    }
}
