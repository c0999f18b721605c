//! The command lines of `data/cases/kinds`, written to find what the collection of `equivalence.rs` does not ask, locally and through
//! the launcher with our daemon.  With `LONG=1` all of them run.
//!
//! `kinds-known.txt` names those that are known to differ, and only shrinks: a case that differs and is not listed fails, and so does
//! one that is listed and no longer differs.

use std::{collections::BTreeSet, fs, path::Path, process::Command, sync::Mutex};

use serde::Deserialize;
use tests::{Farm, data, launcher, long, run, side_by_side};

const KNOWN: &str = include_str!("../kinds-known.txt");
/// So many of the lines that may go out have to go out and come back; the others ran out of time, or were told from their text.
const SENT_OF_A_HUNDRED: usize = 95;

#[derive(Deserialize)]
struct Case {
    id: String,
    place: String,
    wanted: String,
    differences: Vec<String>,
}

/// The cases listed: a line is a case, and behind four spaces how it differs.
fn known() -> BTreeSet<String> {
    KNOWN
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split("    (").next().unwrap_or(line).to_owned())
        .collect()
}

/// The fixture tree of the main collection with ours laid over it.
fn lay_tree(at: &Path) {
    for from in ["cases/equivalence/tree/.", "cases/kinds/tree/."] {
        let copied = run(Command::new("cp").arg("-a").arg(data(from)).arg(at));
        assert_eq!(copied.code(), 0, "{}", copied.err());
    }
}

/// Runs the tool on `lines` of a cases file, and gives its report on each.
fn report<'a>(farm: &Farm, tree: &Path, lines: &[&'a str]) -> Vec<(&'a str, Case)> {
    let folder = tempfile::tempdir().unwrap();
    let (cases, report) = (folder.path().join("cases"), folder.path().join("report"));
    fs::write(&cases, lines.join("\n") + "\n").unwrap();
    let mut tool = Command::new("python3");
    tool.arg(data("tools/equivalence.py"))
        .arg("--launcher")
        .arg(launcher())
        .args(["--env", &format!("DISTCC_HOSTS={}", farm.hosts("/4"))])
        .args(["--accept-gcc-excerpt", "--quiet"])
        .arg("--cases")
        .arg(&cases)
        .arg("--tree")
        .arg(tree)
        .arg("--report")
        .arg(&report);
    let ran = run(&mut tool);
    assert!(
        ran.code() == 0 || ran.code() == 1,
        "the tool fails: {}{}",
        ran.out(),
        ran.err()
    );
    let rows: Vec<Case> = fs::read_to_string(&report)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), lines.len(), "some case did not run");
    lines.iter().copied().zip(rows).collect()
}

#[test]
fn every_kind_of_command_leaves_what_a_local_one_leaves() {
    let folder = tempfile::tempdir().unwrap();
    lay_tree(folder.path());
    let farm = Farm::ours(1);
    let mut text = fs::read_to_string(data("cases/kinds/cases.jsonl")).unwrap();
    if long() {
        text += &fs::read_to_string(data("cases/kinds/more.jsonl")).unwrap();
    }
    let lines: Vec<&str> = text.lines().collect();
    let rows = Mutex::new(Vec::new());
    side_by_side(lines.chunks(lines.len().div_ceil(16)), |part| {
        let part = report(&farm, folder.path(), part);
        rows.lock().unwrap().extend(part);
    });
    let rows = rows.into_inner().unwrap();

    // What a compiler varies by chance may show in one run and not in the next: what differs counts when it does so twice.
    let known = known();
    let listed = |row: &Case| known.contains(&row.id);
    let suspects: Vec<&str> = rows
        .iter()
        .filter(|(_, row)| !row.differences.is_empty() && !listed(row))
        .map(|(line, _)| *line)
        .collect();
    let again = match suspects.is_empty() {
        true => Vec::new(),
        false => report(&farm, folder.path(), &suspects),
    };
    let new: Vec<String> = again
        .iter()
        .filter(|(_, row)| !row.differences.is_empty())
        .map(|(_, row)| {
            format!(
                "{}    ({}: {})",
                row.id,
                row.place,
                row.differences.join("; ")
            )
        })
        .collect();
    let gone: Vec<&String> = rows
        .iter()
        .filter(|(_, row)| listed(row) && row.differences.is_empty())
        .map(|(_, row)| &row.id)
        .collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "tests/kinds-known.txt: different and not listed:\n{}\nlisted but equal now, to be removed: {gone:?}",
        new.join("\n")
    );

    let may_go = rows.iter().filter(|(_, row)| row.wanted == "remote");
    let (sent, all) = may_go.fold((0, 0), |(sent, all), (_, row)| {
        (sent + usize::from(row.place.starts_with("remote")), all + 1)
    });
    println!("{} cases, {sent} of {all} sent", rows.len());
    assert!(
        sent * 100 >= all * SENT_OF_A_HUNDRED,
        "{sent} of {all} lines went out and came back"
    );
}
