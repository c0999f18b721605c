//! Walks what the compilers print of their own options, and shows which of them the tables do not know and what the rule for unknown
//! options makes of them.

use compiler::Family;
use compiler::table::{Effect, Table, guess_is_harmless};
use std::collections::BTreeSet;
use std::process::Command;

/// The options that `program` lists under `--help=CLASS` or `--help-hidden`: their names with an example value where they want one.
fn listed(program: &str, question: &str) -> BTreeSet<String> {
    let answer = Command::new(program)
        .arg(question)
        .output()
        .expect("the compiler answers");
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let option = |line: &str| {
        line.strip_prefix("  ")
            .filter(|rest| rest.starts_with('-'))
            .map(name)
    };
    text.lines().filter_map(option).collect()
}

/// `-fabi-version=` of `-fabi-version=<n>  Use version n…`.
fn name(line: &str) -> String {
    let word = line.split_ascii_whitespace().next().unwrap_or_default();
    let end = word.find(['<', '[', ',']).unwrap_or(word.len());
    word[..end].to_owned()
}

/// What is made of an option that no row names, or `None` when one does.
fn fallback(family: Family, option: &str) -> Option<&'static str> {
    match Table::of(family).lookup(option.as_bytes()) {
        None => Some("stays here"),
        Some(row) if matches!(row.effect, Effect::LikeF | Effect::LikeM) => {
            fallback(family, &format!("-f{}", &option[row.name.len()..]))
        }
        Some(row) if row.effect == Effect::Guess => Some(if guess_is_harmless(option.as_bytes()) {
            "goes out"
        } else {
            "stays here"
        }),
        Some(_) => None,
    }
}

#[test]
fn options_of_real_compilers_are_known_or_decided() {
    let mut gcc = BTreeSet::new();
    for class in ["common", "optimizers", "warnings", "target", "c", "c++"] {
        gcc.extend(listed("gcc", &format!("--help={class}")));
    }
    let clang = listed("clang", "--help-hidden");
    let all: BTreeSet<&String> = gcc.iter().chain(&clang).collect();
    assert!(all.len() >= 1500, "read {} options only", all.len());
    for (family, options) in [(Family::Gcc, &gcc), (Family::Clang, &clang)] {
        let mut unknown = 0;
        for option in options {
            if let Some(decided) = fallback(family, option) {
                println!("{family:?} {option}: {decided}");
                unknown += 1;
            }
        }
        println!("{family:?}: {} options, {unknown} in no row", options.len());
        assert!(unknown * 2 < options.len(), "most options have a row");
    }
}
