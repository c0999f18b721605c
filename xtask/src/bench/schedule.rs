//! The figures in what `scheduling.py` prints, and the rows that they make.

use std::collections::BTreeMap;

use super::Row;
use super::read::at_most;

/// Results of `scheduling.py`: makespan over ideal, for each scenario.
pub(super) struct Schedule(BTreeMap<String, Vec<f64>>);

impl Schedule {
    /// From lines such as `S1b three equal …  n= 60 -j24 ideal  5.00s  took   5.42s  ratio  1.08  local-fallbacks 0 …`.
    pub(super) fn read(text: &str) -> Option<Schedule> {
        let mut ratios = BTreeMap::<String, Vec<f64>>::new();
        for line in text
            .lines()
            .filter(|line| line.starts_with('S') && !line.contains("SUSPECT"))
        {
            let name = line.split_whitespace().next()?;
            let (_, rest) = line.split_once("  ratio ")?;
            ratios
                .entry(name.to_owned())
                .or_default()
                .push(rest.split_whitespace().next()?.parse().ok()?);
        }
        (!ratios.is_empty()).then_some(Schedule(ratios))
    }

    pub(super) fn rows(stock: &Schedule, ours: &Schedule) -> Vec<Row> {
        let row = |(name, what, aim, limit): (&str, &str, &'static str, f64)| {
            let medians = [stock, ours].map(|side| {
                side.0
                    .get(name)
                    .map_or(f64::INFINITY, |ratios| median(ratios))
            });
            let what = format!("makespan on 12 slots, {what}, over the ideal");
            at_most(&what, aim, limit, medians, |value| format!("{value:.2}"))
        };
        SCENARIOS.map(row).into()
    }
}

/// What each scenario of `scheduling.py` is, and the most that its makespan should be over the ideal.
#[rustfmt::skip]
const SCENARIOS: [(&str, &str, &str, f64); 16] = [
    ("S1", "-j12", "≤ 1.10", 1.10),
    ("S1b", "-j24", "≤ 1.10", 1.10),
    ("S1c", "-j48", "≤ 1.10", 1.10),
    ("S2", "last host 10 × slower", "≤ 1.10", 1.10),
    ("S2b", "the same, 120 jobs", "≤ 1.10", 1.10),
    ("S2c", "first host 10 × slower", "≤ 1.10", 1.10),
    ("S2d", "the same, 120 jobs", "≤ 1.10", 1.10),
    ("S2e", "the same, 90 jobs", "≤ 1.10", 1.10),
    ("S3", "hosts that say /12 and run 4", "≤ 1.10", 1.10),
    ("S4", "first host refuses connections", "≤ 1.10", 1.10),
    ("S4b", "last host refuses connections", "≤ 1.10", 1.10),
    ("S5", "first host answers nothing", "≤ 1.10", 1.10),
    ("S5b", "last host answers nothing", "≤ 1.10", 1.10),
    ("S6", "first host killed", "≤ 1.15", 1.15),
    ("S7", "first host frozen", "≤ 1.3", 1.3),
    ("S8", "two builds at once", "≤ 1.15", 1.15),
];

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspect_schedules_do_not_count() {
        let line = |ratio: &str, note: &str| {
            format!(
                "S1 three equal   n= 60 -j12 ideal  5.00s  took   5.42s  ratio  {ratio}  local-fallbacks 0 failures 0{note}\n"
            )
        };
        let text = format!(
            "launcher distcc job 1000 ms\n{}{}{}load avg (1, 2, 3)\n",
            line("1.08", ""),
            line("1.30", ""),
            line("0.50", " SUSPECT: faster than the ideal")
        );
        let schedule = Schedule::read(&text).unwrap();
        let rows = Schedule::rows(&schedule, &schedule);
        assert_eq!((rows[0].ours.as_str(), rows[0].met), ("1.19", false));
        assert!(!rows[1].met, "a scenario without a figure is not met");
    }
}
