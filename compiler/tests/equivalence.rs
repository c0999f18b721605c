//! The collection of command lines in `tests/data/cases/equivalence`: is each placed where it belongs?

use compiler::{Family, Surroundings, Verdict, classify, names, response};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Lines that go out although they are marked to stay: the text or the compiler tells, not the command.
const FOUND_LATER: &[(&str, &str)] = &[
    (
        "use-pch-only",
        "the header is missing: the preprocessor here fails",
    ),
    ("incbin", "the text tells: `text::ties_here`"),
    ("asminclude", "the text tells: `text::ties_here`"),
];

/// Lines that fail with the local compiler: placing them is nobody's gain, and the tool that counts does not count them.
const FAIL_ANYWHERE: &[&str] = &["as:-Wa,-arch", "g--"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/cases/equivalence")
}

fn cases() -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join("cases.jsonl"))
        .expect("the collection is in the tree");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

/// "remote", or the code of the reason to stay.
fn placed(case: &Value) -> String {
    let tree = folder().join("tree");
    let words: Vec<OsString> = case["argv"]
        .as_array()
        .expect("argv is an array")
        .iter()
        .map(|word| {
            word.as_str()
                .expect("words are strings")
                .replace("$D", "/space")
                .into()
        })
        .collect();
    let mut read = |name: &OsStr| std::fs::read(tree.join(name)).ok();
    let words = response::expand(words, &mut read).expect("response files are small");
    let Some(guess) = names::guess(names::base(words[0].as_bytes())) else {
        return "unknown-compiler".into();
    };
    let mut about = Surroundings::new(OsStr::new("/space"));
    let set = |name: &str| case["env"].get(name).is_some();
    about.search_environment = compiler::classify::SEARCH_VARIABLES
        .iter()
        .any(|name| set(name));
    match classify(
        guess.family.unwrap_or(Family::Gcc),
        guess.cxx,
        &words[1..],
        &about,
    ) {
        Verdict::Distribute(_) => "remote".into(),
        Verdict::RunHere(reason) => reason.code().into(),
    }
}

#[test]
fn commands_are_placed_where_they_belong() {
    let mut missed = BTreeMap::new();
    let mut wrong = BTreeMap::new();
    let mut wanted = 0;
    for case in cases() {
        let id = case["id"].as_str().expect("cases have ids").to_owned();
        let placed = placed(&case);
        match case["place"].as_str() {
            Some("remote") if FAIL_ANYWHERE.contains(&id.as_str()) => assert_ne!(placed, "remote"),
            Some("remote") => {
                wanted += 1;
                if placed != "remote" {
                    missed.insert(id, placed);
                }
            }
            Some("local") if placed == "remote" => {
                wrong.insert(id, case["note"].to_string());
            }
            _ => {}
        }
    }
    for (id, reason) in &missed {
        println!("stays here: {id}: {reason}");
    }
    for (id, _) in FOUND_LATER {
        wrong.remove(*id);
    }
    assert!(wrong.is_empty(), "sent, but should stay: {wrong:#?}");
    let sent = wanted - missed.len();
    println!("{sent} of {wanted} are sent");
    assert!(sent * 100 >= wanted * 95, "{sent} of {wanted}");
}
