//! Everything in `fuzz/corpus/keyed`, with the very checks that the fuzz target makes.

#[path = "../../fuzz/src/keyed.rs"]
#[allow(unreachable_pub, reason = "a module of the fuzz target too")]
mod checks;

use std::path::Path;

#[test]
fn every_file_of_the_corpus_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/keyed");
    let files: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus can be read")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    assert!(files.len() >= 8, "{} seeds", files.len());
    for file in files {
        checks::keyed(&std::fs::read(file).expect("a seed can be read"));
    }
}
