//! Times in words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `1.25 s`.
pub(super) fn seconds(ms: f64) -> String {
    format!("{:.2} s", ms / 1e3)
}

/// How long ago `time`, in seconds since 1970, was.
pub(super) fn ago(time: f64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let passed = now.as_secs_f64() - time;
    match passed {
        ..-2.0 => "in the future, by this machine's clock".to_owned(),
        ..120.0 => format!("{:.0} s ago", passed.max(0.0)),
        ..7200.0 => format!("{:.0} min ago", passed / 60.0),
        ..172_800.0 => format!("{:.0} h ago", passed / 3600.0),
        _ => format!("{:.0} days ago", passed / 86400.0),
    }
}

/// How much is left: `1.2 s`, `9 min`.
pub(super) fn span(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds @ ..120.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.0} min", seconds / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_words() {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs_f64();
        for (passed, words) in [
            (0.2, "0 s ago"),
            (600.0, "10 min ago"),
            (7300.0, "2 h ago"),
            (864_000.0, "10 days ago"),
            (-100.0, "in the future, by this machine's clock"),
        ] {
            assert_eq!(ago(now - passed), words);
        }
    }
}
