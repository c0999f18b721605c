//! The last build, as the journal tells it: the commands up to the last pause.

use crate::commands::records::{Journal, Mark, Place, Record, Text};

/// Between two commands of one build no more time passes than this, in seconds.
const PAUSE: f64 = 120.0;
/// No more commands are looked at.
const MOST: usize = 500_000;

/// What its commands come to.
#[derive(Default)]
pub(super) struct Build {
    mark: Mark,
    pub(super) commands: usize,
    /// Start of the first command and end of the last, in seconds since 1970; ends of commands that the launcher became are
    /// not known, their starts stand for them.
    pub(super) began: f64,
    pub(super) ended: f64,
    pub(super) remote: Counts,
    pub(super) here: Counts,
    pub(super) fell_back: usize,
    pub(super) failed: usize,
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Build {
    /// Reads the journal backwards up to the last pause.
    pub(super) fn begin(&mut self, journal: &Journal) {
        self.mark = journal.mark();
        for record in journal.newest_first().take(MOST) {
            if self.commands > 0 && self.began - end(&record) > PAUSE {
                break;
            }
            self.add(&record);
        }
    }

    /// Reads what has come since.
    pub(super) fn follow(&mut self, journal: &Journal) {
        let mark = journal.mark();
        for record in journal.since(&self.mark) {
            if self.commands > 0 && record.time - self.ended > PAUSE {
                *self = Build::default();
            }
            self.add(&record);
        }
        self.mark = mark;
    }

    fn add(&mut self, record: &Record) {
        let first = self.commands == 0;
        self.began = if first {
            record.time
        } else {
            self.began.min(record.time)
        };
        self.ended = self.ended.max(end(record));
        self.commands += 1;
        let shown = |text: &Option<Text>| text.as_ref().map(Text::shown).unwrap_or_default();
        match record.place {
            Place::Remote => self.remote.add(shown(&record.host)),
            Place::Local => self.here.add(shown(&record.reason)),
        }
        self.fell_back += usize::from(record.fell_back);
        self.failed += usize::from(record.status.is_some_and(|status| status != 0));
        self.sent += record.sent;
        self.received += record.received;
    }
}

fn end(record: &Record) -> f64 {
    record.time + record.wall_ms.unwrap_or_default() / 1e3
}

/// How often each name came.
#[derive(Default)]
pub(super) struct Counts(Vec<(String, usize)>);

impl Counts {
    fn add(&mut self, name: String) {
        match self.0.iter_mut().find(|(seen, _)| *seen == name) {
            Some((_, count)) => *count += 1,
            None => self.0.push((name, 1)),
        }
    }

    pub(super) fn sum(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The most frequent first.
    pub(super) fn sorted(&self) -> Vec<(&str, usize)> {
        let mut sorted: Vec<_> = self
            .0
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn put(path: &Path, time: f64, place: &str, wall: Option<f64>) {
        let wall = wall.map_or("null".to_owned(), |wall| wall.to_string());
        let (host, reason) = match place {
            "remote" => ("\"h:1\"", "null"),
            _ => ("\"localhost\"", "\"links\""),
        };
        let line = format!(
            "{{\"time\":{time},\"cwd\":\"/\",\"command\":[\"gcc\"],\"place\":\"{place}\",\"host\":{host},\"reason\":{reason},\
             \"fell_back\":false,\"attempts\":[],\"status\":0,\"wall_ms\":{wall},\"sent\":10,\"received\":20}}\n"
        );
        crate::journal::append(path, line.as_bytes());
    }

    #[test]
    fn a_pause_divides_builds() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("j");
        let journal = Journal::at(&path);
        let mut build = Build::default();
        build.begin(&journal);
        assert_eq!(build.commands, 0);
        put(&path, 1000.0, "local", None);
        // Ends long after it began, and after others that began later.
        put(&path, 2100.0, "remote", Some(1000.0));
        put(&path, 2000.0, "remote", Some(200_000.0));
        put(&path, 2300.0, "local", None);
        build.begin(&journal);
        assert_eq!(
            (build.commands, build.began, build.ended),
            (3, 2000.0, 2300.0)
        );
        assert_eq!(build.remote.sorted(), [("h:1", 2)]);
        assert_eq!(build.here.sorted(), [("links", 1)]);
        assert_eq!((build.sent, build.received), (30, 60));

        put(&path, 2400.0, "local", None);
        build.follow(&journal);
        assert_eq!((build.commands, build.here.sum()), (4, 2));
        build.follow(&journal);
        assert_eq!(build.commands, 4);
        put(&path, 3000.0, "local", None);
        build.follow(&journal);
        assert_eq!((build.commands, build.began), (1, 3000.0));
        build.follow(&journal);
        assert_eq!(build.commands, 1);
    }
}
