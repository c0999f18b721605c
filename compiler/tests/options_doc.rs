//! `docs/options.md` lists every reason to run here, with its sentence.

use compiler::Reason;
use std::fmt::Write as _;
use std::path::Path;

#[test]
fn docs_list_every_reason() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/options.md");
    let docs = std::fs::read_to_string(path).expect("docs/options.md is in the tree");
    let mut table = String::from("| reason | a command runs here when |\n|---|---|\n");
    for reason in Reason::all() {
        writeln!(table, "| `{}` | {} |", reason.code(), reason.sentence())
            .expect("writing to a string");
    }
    assert!(
        docs.contains(&table),
        "docs/options.md wants this table:\n{table}"
    );
}
