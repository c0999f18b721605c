//! How long a peer may take: a point in time that moves on with each byte, so that silence and drips end and slow lines
//! do not.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes that earn a second.
const LEAST_RATE: u64 = 16 << 10;

/// When patience ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    most: Duration,
}

impl Deadline {
    /// `patience` for what brings nothing; at most `most` ahead, however much comes.
    pub(crate) fn new(patience: Duration, most: Duration) -> Self {
        Self {
            at: Instant::now() + patience,
            most,
        }
    }

    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// So many bytes came or went.
    pub(crate) fn earn(&mut self, bytes: u64) {
        let earned = Duration::from_secs_f64(bytes as f64 / LEAST_RATE as f64);
        self.at = (self.at + earned).min(Instant::now() + self.most);
    }
}
