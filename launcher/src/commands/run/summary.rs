//! What the commands of one run came to, as a line for people.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use compiler::{Reason, Work};

use crate::commands::records::{Place, Record, Text};
use crate::here::Why;

/// Units are commands that compile; links, questions and probes are none.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Units by the host that did them.
    remote: BTreeMap<String, usize>,
    /// Units that ran here, by reason.
    here: BTreeMap<String, usize>,
    /// Those of them that could have gone.
    kept: usize,
    fell_back: usize,
    /// Time that hosts spent on our behalf, in milliseconds.
    there_ms: f64,
}

impl Summary {
    /// Counts `record` if it is a unit of the run called `name` or of one inside it.
    pub(super) fn add(&mut self, record: &Record, name: &OsStr) {
        let is_ours = record.run.as_ref().is_some_and(|run| {
            let inner = run.0.as_bytes().strip_prefix(name.as_bytes());
            inner.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
        });
        let reason = record.reason.as_ref().map_or("", Text::code);
        if !is_ours || !is_unit(reason) {
            return;
        }
        self.fell_back += usize::from(record.fell_back);
        let host = record.host.as_ref().map(Text::shown).unwrap_or_default();
        match record.place {
            Place::Remote => {
                *self.remote.entry(host).or_default() += 1;
                let whole = record.attempts.last().map_or(0.0, |attempt| attempt.ms);
                self.there_ms += (whole - record.cpu_ms.unwrap_or_default()).max(0.0);
            }
            Place::Local => {
                *self.here.entry(reason.to_owned()).or_default() += 1;
                let could = Why::all().any(|why| why.code() == reason && why.could_have_gone());
                self.kept += usize::from(could);
            }
        }
    }

    fn gone(&self) -> usize {
        self.remote.values().sum()
    }

    /// Of the units that could have gone to hosts, how many in a hundred did.
    pub(super) fn share(&self) -> f64 {
        let gone = self.gone();
        match gone + self.kept {
            0 => 100.0,
            all => 100.0 * gone as f64 / all as f64,
        }
    }

    /// How much sooner the build ended than it would have here alone: all processor time that was spent, here (`cpu_ms`) and there,
    /// would have been spent by `processors` of this machine.
    pub(super) fn saved(&self, wall: Duration, cpu_ms: f64, processors: u32) -> Duration {
        let alone = (cpu_ms + self.there_ms) / f64::from(processors.max(1)) / 1e3;
        Duration::try_from_secs_f64(alone - wall.as_secs_f64()).unwrap_or_default()
    }

    /// The line; with `lacking`, the share that was wanted and not reached.
    pub(super) fn line(&self, saved: Duration, lacking: Option<f64>) -> String {
        let (gone, stayed) = (self.gone(), self.here.values().sum::<usize>());
        if gone + stayed == 0 {
            return "no compile came through the launcher".to_owned();
        }
        let units = if gone + stayed == 1 { "unit" } else { "units" };
        let mut line = format!("{} {units}: {gone} remote", gone + stayed);
        list(&mut line, &self.remote);
        let _ = write!(line, ", {stayed} local");
        list(&mut line, &self.here);
        match self.fell_back {
            0 => line.push_str(", none fell back"),
            count => {
                let _ = write!(line, ", {count} fell back");
            }
        }
        let _ = write!(line, "; about {} saved", spelled(saved));
        if let Some(wanted) = lacking {
            // Never as if it were enough.
            let share = (self.share() * 10.0).floor() / 10.0;
            let _ = write!(
                line,
                "; {share} % of what could have gone to hosts went, {wanted} % were required"
            );
        }
        line
    }
}

/// Does a command that ran here for `reason`, or elsewhere for none, make an object of a source?
fn is_unit(reason: &str) -> bool {
    match Reason::from_code(reason) {
        Some(Reason::Links | Reason::Probe | Reason::ChecksOnly) => false,
        Some(reason) => reason.work() == Work::Compile,
        None => true,
    }
}

/// ` (name count, …)`, the most frequent first.
fn list(line: &mut String, counts: &BTreeMap<String, usize>) {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (at, (name, count)) in sorted.iter().enumerate() {
        let before = if at == 0 { " (" } else { ", " };
        let _ = write!(line, "{before}{name} {count}");
    }
    if !sorted.is_empty() {
        line.push(')');
    }
}

fn spelled(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(run: &str, rest: &str) -> Record {
        let line = format!("{{\"run\":{run},{rest}}}");
        serde_json::from_str(&line).expect("a line")
    }

    fn remote(host: &str) -> String {
        format!(
            "\"place\":\"remote\",\"host\":\"{host}\",\"attempts\":[{{\"host\":\"{host}\",\"ms\":2100.0}}],\"cpu_ms\":100.0"
        )
    }

    fn local(reason: &str, fell_back: bool) -> String {
        format!(
            "\"place\":\"local\",\"host\":\"localhost\",\"reason\":\"{reason}\",\"fell_back\":{fell_back}"
        )
    }

    #[test]
    fn a_run_is_told_in_one_line() {
        let mut summary = Summary::default();
        for (run, rest) in [
            ("\"r\"", remote("a:1")),
            ("\"r\"", remote("b")),
            ("\"r.inner\"", remote("b")),
            ("\"r\"", local("hosts-failed", true)),
            ("\"r\"", local("native-cpu", false)),
            ("\"r\"", local("native-cpu", false)),
            // Neither ours nor units.
            ("\"r2\"", remote("b")),
            ("null", remote("b")),
            ("\"r\"", local("links", false)),
            ("\"r\"", local("question", false)),
            ("\"r\"", local("preprocesses", false)),
        ] {
            summary.add(&record(run, &rest), OsStr::new("r"));
        }
        // 6 s there and 2 s here, by two processors.
        let saved = summary.saved(Duration::from_secs(3), 2000.0, 2);
        assert_eq!(
            summary.line(saved, Some(80.0)),
            "6 units: 3 remote (b 2, a:1 1), 3 local (native-cpu 2, hosts-failed 1), 1 fell back; about 1.0 s saved; \
             75 % of what could have gone to hosts went, 80 % were required"
        );
        assert_eq!(
            summary.saved(Duration::from_secs(9), 0.0, 2),
            Duration::ZERO
        );
    }

    #[test]
    fn nothing_to_send_is_nothing_missed() {
        let mut summary = Summary::default();
        assert_eq!(summary.share(), 100.0);
        assert_eq!(
            summary.line(Duration::ZERO, None),
            "no compile came through the launcher"
        );
        summary.add(
            &record("\"r\"", &local("native-cpu", false)),
            OsStr::new("r"),
        );
        assert_eq!(summary.share(), 100.0);
        assert_eq!(
            summary.line(Duration::ZERO, None),
            "1 unit: 0 remote, 1 local (native-cpu 1), none fell back; about 0.0 s saved"
        );
        summary.add(&record("\"r\"", &local("no-hosts", false)), OsStr::new("r"));
        assert_eq!(summary.share(), 0.0);
    }

    #[test]
    fn times_for_people() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (59.9, "59.9 s"),
            (61.0, "1 min 01 s"),
            (3660.0, "1 h 01 min"),
        ] {
            assert_eq!(spelled(Duration::from_secs_f64(seconds)), text);
        }
    }
}
