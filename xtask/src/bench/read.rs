//! The figures in what the measuring scripts leave, and the rows that they make.

use super::Row;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Results of `launcher.py`: medians of many runs on an almost empty unit.
pub(super) struct Launch(BTreeMap<String, Case>);

#[derive(Deserialize)]
struct Case {
    case: String,
    cpu_ms: f64,
    /// Millions of instructions of the launcher itself.
    minstr: f64,
}

impl Launch {
    pub(super) fn read(json: &[u8]) -> Option<Launch> {
        let cases: Vec<Case> = serde_json::from_slice(json).ok()?;
        let launch = Launch(
            cases
                .into_iter()
                .map(|case| (case.case.clone(), case))
                .collect(),
        );
        let needed = [
            "gcc -E empty",
            "L remote empty",
            "gcc link",
            "L link (local)",
        ];
        needed
            .iter()
            .all(|name| launch.0.contains_key(*name))
            .then_some(launch)
    }

    /// CPU of one case above another one of the same run, in ms.
    fn above(&self, case: &str, base: &str) -> f64 {
        self.0[case].cpu_ms - self.0[base].cpu_ms
    }

    pub(super) fn rows(stock: &Launch, ours: &Launch) -> Vec<Row> {
        let compile = [stock, ours].map(|side| side.above("L remote empty", "gcc -E empty"));
        let link = [stock, ours].map(|side| side.above("L link (local)", "gcc link"));
        let instructions = [stock, ours].map(|side| side.0["L remote empty"].minstr);
        let ms = |value: f64| format!("{value:+.1} ms");
        let millions = |value: f64| format!("{value:.2} M");
        vec![
            at_most(
                "client CPU of an empty remote compile, above `gcc -E`",
                "≤ +2.0 ms",
                2.0,
                compile,
                ms,
            ),
            at_most(
                "CPU of a link through the launcher, above the link",
                "≤ +0.8 ms",
                0.8,
                link,
                ms,
            ),
            at_most(
                "instructions of the launcher for it",
                "≤ 0.25 M",
                0.25,
                instructions,
                millions,
            ),
        ]
    }
}

/// Results of `real.py`: one element for each unit, with an object for each mode.
pub(super) struct Real(Vec<BTreeMap<String, serde_json::Value>>);

impl Real {
    pub(super) fn read(json: &[u8]) -> Option<Real> {
        let units: Real = Real(serde_json::from_slice(json).ok()?);
        (!units.0.is_empty() && units.cpu("E") > 0.0).then_some(units)
    }

    /// Client CPU of all units in `mode`, in seconds.
    fn cpu(&self, mode: &str) -> f64 {
        self.sum(mode, "cpu")
    }

    fn sum(&self, mode: &str, field: &str) -> f64 {
        let fields = self.0.iter().filter_map(|unit| unit.get(mode)?.get(field));
        fields.filter_map(serde_json::Value::as_f64).sum()
    }

    /// Units for which this field is true.
    fn count(&self, mode: &str, field: &str) -> usize {
        let fields = self.0.iter().filter_map(|unit| unit.get(mode)?.get(field));
        fields.filter(|value| value.as_bool() == Some(true)).count()
    }

    /// Units whose object equals the local one.
    fn same(&self, mode: &str) -> usize {
        self.count(mode, "same")
    }

    /// Of units that went with their includes, without debug information and with `-g`. `limit`: what client and include server should
    /// take of the time of `gcc -E`, from its start on.
    pub(super) fn pump_rows(
        what: &str,
        limit: f64,
        aim: &'static str,
        runs: &[Real; 2],
    ) -> Vec<Row> {
        let [plain, debug] = runs;
        let spent = plain.cpu("pump") + plain.sum("pump", "incl");
        let share = spent / plain.cpu("E");
        let mut rows = vec![Row {
            what: format!("CPU of client and include server, {what}"),
            aim,
            stock: NO_STOCK_PUMP.to_owned(),
            ours: format!("{share:.3} × ({spent:.2} s)"),
            met: share <= limit,
        }];
        for (units, with) in [(plain, ""), (debug, " with `-g`")] {
            let (all, went, same) = (
                units.0.len(),
                units.count("pump", "went"),
                units.same("pump"),
            );
            rows.push(Row {
                what: format!("{what}{with}: sent with their includes, objects equal"),
                aim: "all",
                stock: NO_STOCK_PUMP.to_owned(),
                ours: format!("{went}, {same} of {all}"),
                met: went == all && same == all,
            });
        }
        rows
    }

    pub(super) fn rows(stock: &Real, ours: &Real) -> Vec<Row> {
        let mut rows = Vec::new();
        for (mode, what) in [("plain", "plain"), ("lzo", "compressed")] {
            let times = [stock, ours].map(|side| side.cpu(mode) / side.cpu("E"));
            let row = at_most(
                &format!("client CPU of real C units, {what}"),
                "≤ 1.10 × `gcc -E`",
                1.10,
                times,
                |value| format!("{value:.2} ×"),
            );
            rows.push(row);
        }
        for (mode, what) in [("plain", "plain"), ("lzo", "compressed")] {
            let text = |side: &Real| format!("{} of {}", side.same(mode), side.0.len());
            rows.push(Row {
                what: format!("objects equal to local ones, {what}"),
                aim: "all",
                stock: text(stock),
                ours: text(ours),
                met: ours.same(mode) == ours.0.len(),
            });
        }
        rows
    }
}

/// Debian's include server does not start (docs/pump.md).
const NO_STOCK_PUMP: &str = "none";

/// Results of the example `lzo_speed`: our speed in per cent of liblzo2's.
#[derive(Debug, PartialEq)]
pub(super) struct Speed {
    encode: f64,
    decode: f64,
}

impl Speed {
    /// From its last line: three groups between `|`, the last two of which end with a percentage.
    pub(super) fn read(text: &str) -> Option<Speed> {
        let mut groups = text.lines().last()?.split('|').skip(1);
        let mut percent = || {
            let word = groups
                .next()?
                .split_whitespace()
                .find_map(|word| word.strip_suffix('%'))?;
            word.parse().ok()
        };
        Some(Speed {
            encode: percent()?,
            decode: percent()?,
        })
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |what: &str, aim, value: f64, least: f64| Row {
            what: what.to_owned(),
            aim,
            stock: "100 % (liblzo2)".to_owned(),
            ours: format!("{value:.0} %"),
            met: value >= least,
        };
        vec![
            row(
                "LZO1X compression speed, C++ text of 2 MB",
                "≥ 60 %",
                self.encode,
                60.0,
            ),
            row("LZO1X decompression speed", "≥ 100 %", self.decode, 100.0),
        ]
    }
}

/// A row whose figures, stock's and ours, should not be above a limit.
pub(super) fn at_most(
    what: &str,
    aim: &'static str,
    limit: f64,
    figures: [f64; 2],
    shown: impl Fn(f64) -> String,
) -> Row {
    let [stock, ours] = figures;
    Row {
        what: what.to_owned(),
        aim,
        stock: shown(stock),
        ours: shown(ours),
        met: ours <= limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pump_counts_client_and_server_and_what_did_not_go() {
        let unit = |cpu: f64, incl: f64, went: bool, same: bool| serde_json::json!({"E": {"cpu": 1.0}, "pump": {"cpu": cpu, "incl": incl, "went": went, "same": same}});
        let real =
            |units: &[serde_json::Value]| Real::read(&serde_json::to_vec(units).unwrap()).unwrap();
        let good = [unit(0.05, 0.03, true, true), unit(0.07, 0.01, true, true)];
        let bad = [unit(0.05, 0.0, true, true), unit(0.05, 0.0, false, false)];
        let rows = Real::pump_rows("2 units", 0.1, "≤ 0.1", &[real(&good), real(&bad)]);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row.ours.as_str(), row.met))
            .collect();
        assert_eq!(
            shown,
            [
                ("0.080 × (0.16 s)", true),
                ("2, 2 of 2", true),
                ("1, 1 of 2", false)
            ]
        );
    }

    #[test]
    fn launcher_figures_stand_above_their_own_run_s_base() {
        let side = |remote: f64, link: f64, instructions: f64| {
            let row = |case: &str, cpu: f64, minstr: f64| serde_json::json!({"case": case, "cpu_ms": cpu, "minstr": minstr});
            let rows = [
                row("gcc -E empty", 7.0, 0.0),
                row("L remote empty", remote, instructions),
                row("gcc link", 16.0, 0.0),
                row("L link (local)", link, 1.0),
            ];
            Launch::read(&serde_json::to_vec(&rows).unwrap()).unwrap()
        };
        let rows = Launch::rows(&side(11.0, 19.0, 2.48), &side(8.5, 17.0, 0.2));
        assert_eq!(
            (rows[0].stock.as_str(), rows[0].ours.as_str(), rows[0].met),
            ("+4.0 ms", "+1.5 ms", true)
        );
        assert_eq!((rows[1].ours.as_str(), rows[1].met), ("+1.0 ms", false));
        assert_eq!((rows[2].ours.as_str(), rows[2].met), ("0.20 M", true));
        assert!(Launch::read(b"[]").is_none());
    }

    #[test]
    fn real_units_are_summed() {
        let json = br#"[
            {"src": "a.c", "cwd": "x", "E": {"rc": 0, "cpu": 1.0}, "plain": {"cpu": 1.05, "same": true}, "lzo": {"cpu": 1.2, "same": false}},
            {"src": "b.c", "cwd": "x", "E": {"rc": 0, "cpu": 1.0}, "plain": {"cpu": 1.05, "same": true}, "lzo": {"cpu": 1.2}}
        ]"#;
        let real = Real::read(json).unwrap();
        let rows = Real::rows(&real, &real);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row.ours.as_str(), row.met))
            .collect();
        assert_eq!(
            shown,
            [
                ("1.05 ×", true),
                ("1.20 ×", false),
                ("2 of 2", true),
                ("0 of 2", false)
            ]
        );
    }

    #[test]
    fn lzo_percentages_are_the_last_of_their_groups() {
        let text = "    bytes    ours  theirs |  encode  theirs       |  decode  theirs        file\n\
                    2074894  475807  521190 |     679     872   78% |    1570     822  191%  a.ii\n";
        assert_eq!(
            Speed::read(text),
            Some(Speed {
                encode: 78.0,
                decode: 191.0
            })
        );
        assert_eq!(Speed::read("nothing"), None);
    }
}
