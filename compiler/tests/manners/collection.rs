//! The collection of command lines in `tests/data`.

use super::{Place, without_excerpts};
use compiler::diagnostics::Said;
use compiler::manner::Trap;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Cases that debug information keeps here: clang's holds checksums of files; beside what gcc keeps for the linker it cannot be had.
const HERE: usize = 7;

#[test]
fn debug_information_of_the_collection_is_the_local_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/cases/equivalence");
    let text = std::fs::read_to_string(folder.join("cases.jsonl")).expect("it is in the tree");
    let (mut tried, mut here, mut wrong) = (0, 0, Vec::new());
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("each line is JSON");
        let id = case["id"].as_str().expect("cases have ids");
        let asked = [
            "g:",
            "clg:",
            "g-sub",
            "basefile",
            "warn",
            "fallthrough",
            "clang-parens",
        ];
        if !asked.iter().any(|start| id.starts_with(start)) {
            continue;
        }
        let place = Place::new(&[]);
        let copied = Command::new("cp")
            .arg("-r")
            .arg(folder.join("tree/."))
            .arg(place.here())
            .status();
        assert!(copied.expect("cp runs").success());
        let words = case["argv"].as_array().expect("argv is an array").iter();
        let words: Vec<&str> = words.map(|word| word.as_str().expect("a string")).collect();
        let line = words.join(" ");
        if line.contains(" -g") && (words[0] == "clang" || line.contains("-flto")) {
            here += 1;
            assert!(place.stays(&line), "{line}");
            continue;
        }
        tried += 1;
        match place.compile(&line) {
            Err(Trap::Form) => wrong.push(format!("{id}: form")),
            Err(_) => {}
            // Link-time optimization has names by chance.
            Ok(tried) if tried.got != tried.wanted && tried.well && !line.contains("-flto") => {
                wrong.push(format!("{id}: object"));
            }
            Ok(tried) => {
                if let Said::Text(text) = tried.said
                    && without_excerpts(&text) != without_excerpts(&tried.local.stderr)
                {
                    wrong.push(format!("{id}: says {}", text.escape_ascii()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 12 && here == HERE, "{tried} tried, {here} here");
}
