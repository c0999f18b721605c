//! Where each unit was compiled, by the launcher's journal and, independently, by the daemons' logs.

use super::project::Unit;
use crate::farm::{Farm, finished};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where one unit was compiled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The host as the journal writes it.
    Remote(String),
    /// On this machine, and why.
    Here(String),
}

pub(super) struct Places {
    /// One for each unit, in their order.
    pub(super) of_units: Vec<Place>,
    /// Compiles that each daemon says it finished, in the farm's order.
    pub(super) served: Vec<usize>,
    /// The launcher's journal told the places; stock keeps none, so its daemons' logs do.
    pub(super) from_journal: bool,
}

/// The fields of a journal line that matter here.
#[derive(Deserialize)]
struct Line {
    cwd: PathBuf,
    command: Vec<String>,
    place: String,
    host: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    fell_back: bool,
    status: Option<i32>,
}

impl Places {
    pub(super) fn read(journal: &Path, farm: &Farm, units: &[Unit]) -> Result<Places> {
        let text = match fs::read_to_string(journal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let served = farm.served(units.len());
                return Ok(Places {
                    of_units: by_logs(farm, units),
                    served,
                    from_journal: false,
                });
            }
            text => text.with_context(|| format!("could not read {}", journal.display()))?,
        };
        let mut places = Places {
            of_units: by_journal(&text, units)?,
            served: Vec::new(),
            from_journal: true,
        };
        places.served = farm.served(places.remote());
        Ok(places)
    }

    pub(super) fn remote(&self) -> usize {
        self.of_units
            .iter()
            .filter(|place| matches!(place, Place::Remote(_)))
            .count()
    }

    /// How many units each place had.
    pub(super) fn counts(&self) -> BTreeMap<&Place, usize> {
        let mut counts = BTreeMap::new();
        for place in &self.of_units {
            *counts.entry(place).or_default() += 1;
        }
        counts
    }
}

/// The last line about each unit's object decides: a unit that was tried twice ended where it ended last.
fn by_journal(text: &str, units: &[Unit]) -> Result<Vec<Place>> {
    let mut lines: HashMap<PathBuf, Line> = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let line: Line = serde_json::from_str(line)
            .with_context(|| format!("line {} of the journal is broken", at + 1))?;
        let output = line
            .command
            .iter()
            .position(|word| word == "-o")
            .and_then(|at| line.command.get(at + 1));
        if let Some(object) = output.map(|output| line.cwd.join(output)) {
            lines.insert(object, line);
        }
    }
    let place = |unit: &Unit| match lines.get(&unit.directory.join(&unit.object)) {
        None => Place::Here("the launcher did not see it".to_owned()),
        Some(line) => line.place(),
    };
    Ok(units.iter().map(place).collect())
}

impl Line {
    /// Remote is what went out and came back with the result that was kept.
    fn place(&self) -> Place {
        let reason = || {
            self.reason
                .clone()
                .unwrap_or_else(|| "no reason given".to_owned())
        };
        match (&self.host, self.place.as_str(), self.fell_back, self.status) {
            (Some(host), "remote", false, Some(0)) => Place::Remote(host.clone()),
            (_, "remote", false, status) => {
                Place::Here(format!("remote, but ended with {status:?}"))
            }
            (_, _, true, _) => Place::Here(format!("fell back: {}", reason())),
            _ => Place::Here(reason()),
        }
    }
}

fn by_logs(farm: &Farm, units: &[Unit]) -> Vec<Place> {
    let mut places = HashMap::new();
    for daemon in farm.daemons() {
        for source in finished(&daemon.log()).filter_map(|line| line.rsplit(' ').next()) {
            places.insert(PathBuf::from(source), Place::Remote(daemon.address()));
        }
    }
    let unknown = Place::Here("no daemon has it in its log".to_owned());
    units
        .iter()
        .map(|unit| places.get(&unit.source).unwrap_or(&unknown).clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str) -> Unit {
        Unit {
            source: format!("/src/{name}.c").into(),
            object: format!("x.dir/{name}.c.o").into(),
            directory: "/b".into(),
            command: Vec::new(),
        }
    }

    fn line(name: &str, rest: &str) -> String {
        format!(
            "{{\"cwd\":\"/b\",\"command\":[\"gcc\",\"-o\",\"x.dir/{name}.c.o\",\"-c\",\"/src/{name}.c\"],{rest}}}\n"
        )
    }

    #[test]
    fn only_what_went_out_and_came_back_is_remote() {
        let text = [
            line(
                "a",
                r#""place":"remote","host":"h:1","fell_back":false,"status":0"#,
            ),
            line(
                "b",
                r#""place":"local","reason":"no-slot","fell_back":true,"status":0"#,
            ),
            line(
                "c",
                r#""place":"local","reason":"assembler","fell_back":false,"status":null"#,
            ),
            line(
                "d",
                r#""place":"remote","host":"h:1","fell_back":false,"status":1"#,
            ),
        ]
        .concat();
        let units = ["a", "b", "c", "d", "e"].map(unit);
        let places = by_journal(&text, &units).unwrap();
        assert_eq!(places[0], Place::Remote("h:1".to_owned()));
        assert_eq!(places[1], Place::Here("fell back: no-slot".to_owned()));
        assert_eq!(places[2], Place::Here("assembler".to_owned()));
        assert!(matches!(&places[3], Place::Here(_)));
        assert_eq!(
            places[4],
            Place::Here("the launcher did not see it".to_owned())
        );
    }

    #[test]
    fn the_last_line_about_a_unit_counts() {
        let text = [
            line(
                "a",
                r#""place":"remote","host":"h:1","fell_back":false,"status":0"#,
            ),
            line(
                "a",
                r#""place":"local","reason":"no-slot","fell_back":true,"status":0"#,
            ),
        ]
        .concat();
        assert_eq!(
            by_journal(&text, &[unit("a")]).unwrap(),
            [Place::Here("fell back: no-slot".to_owned())]
        );
    }

    #[test]
    fn a_broken_journal_is_told_by_line() {
        let error = by_journal("{}x\n", &[]).unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
