//! The layer of the journal: can it be written, and is it, by the builds of here?

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::finding::{Finding, Layer};
use super::machine::{SKEW, appendable};
use crate::commands::records::Journal;
use crate::commands::words::ago;
use crate::settings::Settings;

/// A journal whose last line is older than this belongs to builds that do not come through us any more.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Is the journal written, by builds of late?
pub(super) fn journal(settings: &Settings) -> Finding {
    let Some(path) = settings.journal_path() else {
        return Finding::skipped(Layer::Journal, "there is no place for one");
    };
    let shown = path.display();
    if path.exists() && !path.is_file() {
        return Finding::failed(
            Layer::Journal,
            "journal-not-writable",
            format!("{shown} is no file, so that status and why know nothing"),
            "unset DISTCC_LAUNCH_JOURNAL",
        );
    }
    if let Err(error) = appendable(&path) {
        return Finding::failed(
            Layer::Journal,
            "journal-not-writable",
            format!("{shown} cannot be written, so that status and why know nothing: {error}"),
            format!(
                "sudo chown \"$(id -un)\" {shown} && chmod u+rw {shown}      # or: export DISTCC_LAUNCH_JOURNAL=/some/other/file"
            ),
        );
    }
    let written = fs::metadata(&path).ok().filter(|found| found.len() > 0);
    let Some(last) = Journal::at(&path).newest_first().next() else {
        return match written {
            None => Finding::ok(Layer::Journal, format!("{shown}: no command has come yet")),
            Some(_) => Finding::failed(
                Layer::Journal,
                "journal-unreadable",
                format!("no line of {shown} can be read: it is no journal, or damaged"),
                format!("mv {shown} {shown}.broken"),
            ),
        };
    };
    let time = SystemTime::UNIX_EPOCH + Duration::try_from_secs_f64(last.time).unwrap_or_default();
    let now = SystemTime::now();
    if time > now + SKEW {
        return Finding::failed(
            Layer::Clock,
            "journal-from-the-future",
            format!(
                "the last line of {shown} is from the future: the clock of this machine was set back"
            ),
            "sudo timedatectl set-ntp true",
        );
    }
    // A line cannot be younger than its file.
    let time = match written.and_then(|found| found.modified().ok()) {
        Some(written) => time.min(written + SKEW),
        None => time,
    };
    let stale = |what: String| {
        Finding::failed(
            Layer::Journal,
            "journal-stale",
            what,
            "cmake -S . -B build -DCMAKE_C_COMPILER_LAUNCHER=distcc-launch -DCMAKE_CXX_COMPILER_LAUNCHER=distcc-launch\n\
             make CC=\"distcc-launch gcc\"      # others: distcc-launch setup --help; then distcc-launch why FILE",
        )
    };
    if now.duration_since(time).is_ok_and(|age| age > STALE) {
        return stale(format!(
            "the last command in {shown} came {}: builds do not go through distcc-launch any more",
            ago(seconds(time))
        ));
    }
    if let Some((log, built)) = newer_build(time) {
        return stale(format!(
            "{} shows a build {} that left no line in {shown}, whose last is from {}: that build does not go through distcc-launch",
            log.display(),
            ago(built),
            ago(seconds(time))
        ));
    }
    Finding::ok(
        Layer::Journal,
        format!("{shown}: the last command came {}", ago(seconds(time))),
    )
}

/// Ninja's log of a build here that is told to use us, written well after `last`; when, in seconds since 1970.
fn newer_build(last: SystemTime) -> Option<(PathBuf, f64)> {
    [".", "build"].iter().find_map(|folder| {
        let log = Path::new(folder).join(".ninja_log");
        let cache = fs::read(Path::new(folder).join("CMakeCache.txt")).ok()?;
        memchr::memmem::find(&cache, b"distcc-launch")?;
        let found = fs::metadata(&log).ok()?;
        let built = found.modified().ok()?;
        (built > last + Duration::from_secs(600)).then(|| (log, found.mtime() as f64))
    })
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
