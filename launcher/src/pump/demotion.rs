//! Demotion: when files that were sent made a compile fail elsewhere that succeeds here, the rest of the build goes in plain mode.
//!
//! Stock counts such discrepancies in a file beside the include server's socket, one byte each, so that both clients heed the same
//! count. `DISTCC_MAX_DISCREPANCY` of them demote. A resident server outlives builds: there a count holds for ten minutes.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::settings::Settings;

const NAME: &str = "discrepancy_counter";
/// How long the last discrepancy beside a resident server counts.
const HOLDS: Duration = Duration::from_secs(600);

/// Where discrepancies of this build are counted.
#[derive(Debug)]
struct Counter {
    file: PathBuf,
    resident: bool,
}

impl Counter {
    /// `None` when there is no place for one.
    fn of(settings: &Settings) -> Option<Counter> {
        match &settings.include_server_port {
            Some(port) => {
                let folder = port.as_bytes().strip_suffix(b"/socket")?;
                let file = PathBuf::from(std::ffi::OsStr::from_bytes(folder)).join(NAME);
                Some(Counter {
                    file,
                    resident: false,
                })
            }
            None => Some(Counter {
                file: super::resident::folder(settings)?.join(NAME),
                resident: true,
            }),
        }
    }

    fn count(&self) -> u64 {
        let Ok(found) = std::fs::metadata(&self.file) else {
            return 0;
        };
        let old = found
            .modified()
            .is_ok_and(|then| then.elapsed().is_ok_and(|age| age > HOLDS));
        if self.resident && old { 0 } else { found.len() }
    }
}

/// Notes one discrepancy.  Where that is impossible the build goes on as it was.
pub(crate) fn count_discrepancy(settings: &Settings) {
    if let Some(counter) = Counter::of(settings) {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&counter.file);
        let _ = file.and_then(|mut file| file.write_all(b"@"));
    }
}

/// Did enough go wrong to leave off?
pub(super) fn is_demoted(settings: &Settings) -> bool {
    Counter::of(settings).is_some_and(|counter| counter.count() >= settings.max_discrepancy)
}
