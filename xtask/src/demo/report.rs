//! What the demo found, as a table or as JSON.

use super::project::Unit;
use super::records::{Place, Places};
use super::{Built, WANTED_REMOTE_PERCENT};
use crate::farm::Farm;
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::Duration;

pub(super) struct Report<'r> {
    pub(super) project: &'r str,
    pub(super) launcher: &'r Path,
    pub(super) farm: &'r Farm,
    pub(super) units: &'r [Unit],
    pub(super) places: &'r Places,
    pub(super) differing: &'r [&'r Unit],
    pub(super) through: Built,
    pub(super) alone: Built,
    /// Processor time of `gcc -E` over all units.
    pub(super) preprocessing: Duration,
}

impl Report<'_> {
    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            println!("{:#}", self.json());
            return;
        }
        println!();
        for (name, value) in self.rows() {
            println!("{name:31} {value}");
        }
        let failures = self.failures();
        println!();
        for failure in &failures {
            println!("{}", coloured("31", &format!("FAILED: {failure}")));
        }
        if failures.is_empty() {
            println!(
                "{}",
                coloured("32", "Every object is the same, byte for byte.")
            );
        }
    }

    /// What makes the demo fail; empty when all is well.
    pub(super) fn failures(&self) -> Vec<String> {
        let (units, remote) = (self.units.len(), self.places.remote());
        let mut failures = Vec::new();
        if units == 0 {
            failures.push("the project has no C unit".to_owned());
        }
        if !self.differing.is_empty() {
            failures.push(format!("{} objects differ", self.differing.len()));
        }
        if remote * 100 < units * WANTED_REMOTE_PERCENT {
            failures.push(format!(
                "only {remote} of {units} units went out and came back"
            ));
        }
        let served: usize = self.places.served.iter().sum();
        if served < remote {
            failures.push(format!(
                "{remote} units are told to be remote, but the daemons compiled {served}"
            ));
        }
        failures
    }

    fn rows(&self) -> Vec<(String, String)> {
        let units = self.units.len();
        let mut rows = vec![
            row("project", self.project),
            row("launcher", self.launcher.display()),
        ];
        rows.push(row("C units", units));
        let counts = self.places.counts();
        for (daemon, served) in self.farm.daemons().iter().zip(&self.places.served) {
            let remote = counts.get(&Place::Remote(daemon.address())).unwrap_or(&0);
            let name = format!("  on {}{}", daemon.address(), daemon.options());
            rows.push(row(&name, format!("{remote} ({served} by its own log)")));
        }
        for (place, count) in &counts {
            if let Place::Here(reason) = place {
                rows.push(row("  here", format!("{count}, because: {reason}")));
            }
        }
        rows.push(row(
            "equal objects",
            format!("{} of {units}", units - self.differing.len()),
        ));
        for unit in self.differing.iter().take(10) {
            rows.push(row("  differs", unit.object.display()));
        }
        let [through, cpp, alone] =
            [self.through.cpu, self.preprocessing, self.alone.cpu].map(|cpu| self.per_unit(cpu));
        rows.push(row(
            "client CPU per unit",
            format!("{through:.1} ms, {:.2} times gcc -E", through / cpp),
        ));
        rows.push(row(
            "  gcc -E, nothing else running",
            format!("{cpp:.1} ms"),
        ));
        rows.push(row("  compiled here", format!("{alone:.1} ms")));
        let seconds = |built: &Built| built.wall.as_secs_f64();
        let wall = format!(
            "{:.1} s, and {:.1} s without",
            seconds(&self.through),
            seconds(&self.alone)
        );
        rows.push(row(
            "wall time",
            format!("{wall} (one machine plays client and both hosts)"),
        ));
        rows
    }

    fn json(&self) -> Value {
        let count = |place: &Place| {
            self.places
                .of_units
                .iter()
                .filter(|other| *other == place)
                .count()
        };
        let mut remote = serde_json::Map::new();
        let mut here = serde_json::Map::new();
        for place in self.places.counts().into_keys() {
            match place {
                Place::Remote(host) => remote.insert(host.clone(), count(place).into()),
                Place::Here(reason) => here.insert(reason.clone(), count(place).into()),
            };
        }
        json!({
            "project": self.project,
            "launcher": self.launcher.display().to_string(),
            "units": self.units.len(),
            "remote": remote,
            "here": here,
            "places_from": if self.places.from_journal { "journal" } else { "daemon logs" },
            "served": self.farm.addresses().into_iter().zip(&self.places.served).collect::<std::collections::BTreeMap<_, _>>(),
            "equal_objects": self.units.len() - self.differing.len(),
            "differing": self.differing.iter().map(|unit| unit.object.display().to_string()).collect::<Vec<_>>(),
            "client_cpu_ms_per_unit": self.per_unit(self.through.cpu),
            "gcc_e_cpu_ms_per_unit": self.per_unit(self.preprocessing),
            "local_cpu_ms_per_unit": self.per_unit(self.alone.cpu),
            "wall_s": self.through.wall.as_secs_f64(),
            "wall_s_without": self.alone.wall.as_secs_f64(),
            "failures": self.failures(),
        })
    }

    /// Milliseconds for each unit.
    fn per_unit(&self, sum: Duration) -> f64 {
        sum.as_secs_f64() * 1000.0 / self.units.len().max(1) as f64
    }
}

fn row(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

fn coloured(code: &str, text: &str) -> String {
    match io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}
