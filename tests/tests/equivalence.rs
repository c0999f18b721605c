//! The collection of command lines in `data/cases/equivalence`, locally and through the launcher.
//!
//! `equivalence-known.txt` names those that are known to differ.  It only shrinks: a case that differs and is not listed
//! fails, and so does one that is listed and no longer differs.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use serde::Deserialize;
use tests::{Farm, Space, data, launcher, long, run};

/// The list's section for each kind of daemon.
const KNOWN: &str = include_str!("../equivalence-known.txt");

#[derive(Deserialize)]
struct Case {
    id: String,
    place: String,
    differences: Vec<String>,
}

/// The cases listed for `section`.  A line is a section, a case, and behind four spaces how it differs.
fn known(section: &str) -> BTreeSet<String> {
    KNOWN
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .filter(|(listed, _)| *listed == section)
        .map(|(_, case)| case.split("    (").next().unwrap_or(case).trim().to_owned())
        .collect()
}

/// The daemons, and what each host's entry ends in.
struct Hosts {
    farm: Farm,
    suffix: &'static str,
}

/// Runs the tool on the cases whose id fits `only`, and gives its report.
fn report(hosts: &Hosts, only: &str) -> Vec<Case> {
    // With it ends the include server that launchers started there.
    let surroundings = Space::new::<&str, &str>([]);
    let report = tempfile::NamedTempFile::new().unwrap();
    let mut tool = Command::new("python3");
    tool.arg(data("tools/equivalence.py"))
        .arg("--launcher")
        .arg(launcher())
        .args([
            "--env",
            &format!("DISTCC_HOSTS={}", hosts.farm.hosts(hosts.suffix)),
        ])
        .args([
            "--env",
            &format!("DISTCC_DIR={}", surroundings.dir().display()),
        ])
        .args(["--accept-gcc-excerpt", "--quiet", "--only", only])
        .arg("--report")
        .arg(report.path());
    let ran = run(&mut tool);
    assert!(
        ran.code() == 0 || ran.code() == 1,
        "the tool fails: {}{}",
        ran.out(),
        ran.err()
    );
    let rows: Vec<Case> = std::fs::read_to_string(report.path())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!rows.is_empty(), "no case fits {only}");
    rows
}

/// Splits the cases among a few tools, since each spends its time waiting for compilers.
fn all_cases(farm: &Hosts, every: usize) -> Vec<Case> {
    let listed = std::fs::read_to_string(data("cases/equivalence/cases.jsonl")).unwrap();
    let ids: Vec<String> = listed
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .step_by(every)
        .collect();
    let rows = std::sync::Mutex::new(Vec::new());
    let parts: Vec<&[String]> = ids.chunks(ids.len().div_ceil(8)).collect();
    tests::side_by_side(parts, |part| {
        let exact: Vec<String> = part.iter().map(|id| regex::escape(id)).collect();
        rows.lock()
            .unwrap()
            .extend(report(farm, &format!("^({})$", exact.join("|"))));
    });
    let rows = rows.into_inner().unwrap();
    assert_eq!(rows.len(), ids.len(), "some case did not run");
    rows
}

/// How often a difference is looked at again.
const AGAIN: usize = 6;

/// What a compiler varies by chance (the time that it took, say) may show in one run and not in the next: what differs counts
/// when it does so each time.
fn differ_again(farm: &Hosts, rows: &[Case], known: &BTreeSet<String>) -> BTreeSet<String> {
    let differ = |rows: &[Case]| -> BTreeSet<String> {
        let different = rows.iter().filter(|row| !row.differences.is_empty());
        different.map(|row| row.id.clone()).collect()
    };
    let first = differ(rows);
    let mut new: BTreeSet<String> = first.difference(known).cloned().collect();
    for _ in 0..AGAIN {
        if new.is_empty() {
            break;
        }
        let names: Vec<String> = new.iter().map(|id| regex::escape(id)).collect();
        let again = differ(&report(farm, &format!("^({})$", names.join("|"))));
        new.retain(|id| again.contains(id));
    }
    first
        .into_iter()
        .filter(|id| known.contains(id) || new.contains(id))
        .collect()
}

fn compare(section: &str, farm: &Hosts, every: usize) -> Vec<Case> {
    let rows = all_cases(farm, every);
    let known = known(section);
    let different = differ_again(farm, &rows, &known);
    let remote = rows
        .iter()
        .filter(|row| row.place.starts_with("remote"))
        .count();
    println!(
        "{section}: {} of {} equal, {remote} remote",
        rows.len() - different.len(),
        rows.len()
    );
    let ran: BTreeSet<String> = rows.iter().map(|row| row.id.clone()).collect();
    let new: Vec<String> = rows
        .iter()
        .filter(|row| different.contains(&row.id) && !known.contains(&row.id))
        .map(|row| {
            format!(
                "{section} {}    ({}: {})",
                row.id,
                row.place,
                row.differences.join("; ")
            )
        })
        .collect();
    let gone: Vec<&String> = known
        .iter()
        .filter(|id| ran.contains(*id) && !different.contains(*id))
        .collect();
    let unknown: Vec<&String> = known.iter().filter(|id| !ran.contains(*id)).collect();
    assert!(
        new.is_empty() && gone.is_empty() && unknown.is_empty(),
        "{}: different and not listed:\n{}\nlisted but equal now, to be removed: {gone:?}\nlisted but no case: {unknown:?}",
        list_file().display(),
        new.join("\n")
    );
    rows
}

fn list_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("equivalence-known.txt")
}

fn hosts(farm: Farm, suffix: &'static str) -> Hosts {
    Hosts { farm, suffix }
}

#[test]
fn with_our_daemon() {
    compare("ours", &hosts(Farm::ours(1), "/4"), 1);
}

#[test]
fn with_stock_daemon() {
    compare("stock", &hosts(Farm::stock(1), "/4"), 3);
}

/// The files go, not their text: nothing differs, and next to all that can be sent goes this way.
#[test]
fn in_pump_mode() {
    let every = if long() { 1 } else { 3 };
    let rows = compare("pump", &hosts(Farm::ours(1), "/4,lzo,cpp"), every);
    let sent = rows.iter().filter(|row| row.place.starts_with("remote"));
    let sent = sent.count();
    let pumped = rows.iter().filter(|row| row.place == "remote, pump");
    let pumped = pumped.count();
    assert!(pumped * 100 >= sent * 90, "{pumped} of {sent} in pump mode");
}
