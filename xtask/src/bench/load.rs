//! The daemon under load: what `daemon.py` measured, and the rows that it makes.

use super::Row;
use super::read::at_most;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Results of `daemon.py`.
#[derive(Deserialize)]
pub(super) struct Load {
    /// By request, slots and connections: `load/7B .i/j8/c64`.
    #[serde(flatten)]
    runs: BTreeMap<String, serde_json::Value>,
    slow: Slow,
    /// Only a daemon that tells its own clock has it.
    clock: Option<Clock>,
}

#[derive(Deserialize)]
struct Run {
    jobs_s: f64,
    srv_ms: f64,
    slow: u64,
    bad: u64,
    err: u64,
    pss: f64,
}

/// Milliseconds of a good job alone and beside bad peers.
#[derive(Deserialize)]
struct Slow {
    alone: f64,
    silent: f64,
    dripping: f64,
    /// MiB with 500 silent peers.
    pss: f64,
}

#[derive(Deserialize)]
struct Clock {
    jobs: u64,
    late_start: u64,
    late_answer: u64,
}

/// Connections of the runs that are compared.
const CONNECTIONS: [usize; 2] = [8, 64];
/// MiB that the daemon may have, and for each connection.
const MEMORY: f64 = 16.0;
const MEMORY_EACH: f64 = 0.0625;

impl Load {
    pub(super) fn read(json: &[u8]) -> Option<Load> {
        let load: Load = serde_json::from_slice(json).ok()?;
        CONNECTIONS
            .iter()
            .all(|connections| load.run(*connections).is_some())
            .then_some(load)
    }

    fn run(&self, connections: usize) -> Option<Run> {
        let run = self.runs.get(&format!("load/7B .i/j8/c{connections}"))?;
        serde_json::from_value(run.clone()).ok()
    }

    fn all(&self) -> impl Iterator<Item = Run> {
        let runs = self
            .runs
            .iter()
            .filter(|(name, _)| name.starts_with("load/"));
        runs.filter_map(|(_, run)| serde_json::from_value(run.clone()).ok())
    }

    /// What instant jobs cost `ours` beside this one, and how many it does.
    fn under_load(
        &self,
        ours: &Load,
        how: &str,
        (most, cpu_aim): (f64, &'static str),
        (times, speed_aim): (f64, &'static str),
    ) -> Vec<Row> {
        let mut rows = Vec::new();
        for connections in CONNECTIONS {
            let [Some(theirs), Some(own)] = [self.run(connections), ours.run(connections)] else {
                continue;
            };
            rows.push(at_most(
                &format!("daemon CPU of an instant job {how}, {connections} connections"),
                cpu_aim,
                most,
                [theirs.srv_ms, own.srv_ms],
                |value| format!("{value:.2} ms"),
            ));
            rows.push(Row {
                what: format!("jobs per second {how}, {connections} connections"),
                aim: speed_aim,
                stock: format!("{:.0}", theirs.jobs_s),
                ours: format!("{:.0} ({:.1} ×)", own.jobs_s, own.jobs_s / theirs.jobs_s),
                met: own.jobs_s >= times * theirs.jobs_s,
            });
        }
        rows
    }

    /// `ours` is with the box, `bare` without it.
    pub(super) fn rows(stock: &Load, ours: &Load, bare: &Load) -> Vec<Row> {
        let mut rows = stock.under_load(
            bare,
            "without the box",
            (1.0, "≤ 1.0 ms"),
            (1.5, "≥ 1.5 × stock"),
        );
        rows.extend(stock.under_load(
            ours,
            "in the box",
            (1.5, "≤ 1.5 ms"),
            (1.0, "≥ 1.0 × stock"),
        ));
        let count = |load: &Load| {
            load.all()
                .map(|run| run.slow + run.bad + run.err)
                .sum::<u64>()
        };
        rows.push(at_most(
            "jobs over 0.9 s or failed, all runs",
            "0",
            0.0,
            [stock, ours].map(|load| count(load) as f64),
            |value| format!("{value:.0}"),
        ));
        let cost = |load: &Load, beside: fn(&Slow) -> f64| beside(&load.slow) - load.slow.alone;
        for (what, beside) in [
            ("500 silent", (|slow| slow.silent) as fn(&Slow) -> f64),
            ("64 dripping", |slow| slow.dripping),
        ] {
            rows.push(at_most(
                &format!("what {what} connections cost a good job"),
                "< 50 ms",
                50.0,
                [stock, ours].map(|load| cost(load, beside)),
                |value| format!("{value:+.1} ms"),
            ));
        }
        let peak = |load: &Load| load.all().map(|run| run.pss).fold(0.0, f64::max);
        rows.push(at_most(
            "daemon memory under load (up to 8 sources of 1 MiB at once)",
            "≤ 16.5 MiB",
            MEMORY + 8.0 * MEMORY_EACH,
            [stock, ours].map(peak),
            |value| format!("{value:.1} MiB"),
        ));
        rows.push(at_most(
            "daemon memory with 500 silent connections",
            "≤ 47 MiB",
            MEMORY + 500.0 * MEMORY_EACH,
            [stock, ours].map(|load| load.slow.pss),
            |value| format!("{value:.1} MiB"),
        ));
        if let Some(clock) = &ours.clock {
            rows.push(Row {
                what: format!("daemon's own time over 100 ms, of {} jobs", clock.jobs),
                aim: "0",
                stock: "—".to_owned(),
                ours: (clock.late_start + clock.late_answer).to_string(),
                met: clock.jobs >= 20_000 && clock.late_start + clock.late_answer == 0,
            });
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(jobs_s: f64, clock: &str) -> Load {
        let run = format!(
            r#"{{"conc":8,"ok":9,"bad":0,"err":0,"stuck":0,"jobs_s":{jobs_s},"p50":1,"slow":0,"srv_ms":0.9,"pss":4.5}}"#
        );
        let json = format!(
            r#"{{"load/7B .i/j8/c8":{run},"load/7B .i/j8/c64":{run},"slow":{{"alone":1,"silent":2,"dripping":60,"pss":10}}{clock}}}"#
        );
        Load::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn figures_become_rows() {
        let ours = load(
            1000.0,
            r#","clock":{"jobs":20001,"late_start":1,"late_answer":0}"#,
        );
        let bare = load(500.0, "");
        let rows = Load::rows(&load(600.0, ""), &ours, &bare);
        let row = |what: &str| rows.iter().find(|row| row.what.contains(what)).unwrap();
        assert!(row("CPU of an instant job in the box").met && row("over 0.9 s").met);
        assert!(row("per second in the box, 64").met);
        assert_eq!(row("per second in the box, 8").ours, "1000 (1.7 ×)");
        assert!(!row("per second without the box, 8").met);
        assert!(row("500 silent connections cost").met);
        assert!(!row("64 dripping").met);
        assert!(!row("own time").met);
        assert!(Load::read(b"{}").is_none());
    }
}
