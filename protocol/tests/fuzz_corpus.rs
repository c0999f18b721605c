//! Everything in `fuzz/corpus`, with the very checks that the fuzz targets make.

#[allow(unreachable_pub, reason = "a library where the fuzz targets call it")]
#[path = "../../fuzz/src/lib.rs"]
mod checks;

use std::path::Path;

type Check = fn(&[u8]);

#[test]
fn every_file_of_the_corpus_holds() {
    let targets: [(&str, Check); 8] = [
        ("token", checks::token),
        ("request", checks::request),
        ("outcome", checks::outcome),
        ("include_talk", checks::include_talk),
        ("closure_talk", checks::closure_talk),
        ("hello", checks::hello),
        ("lzo_decode", checks::lzo_decode),
        ("lzo_round_trip", checks::lzo_round_trip),
    ];
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let folders = std::fs::read_dir(&corpus)
        .expect("the corpus can be read")
        .count();
    assert_eq!(
        folders,
        targets.len(),
        "a folder for each target and a target for each folder"
    );
    for (target, check) in targets {
        let folder = std::fs::read_dir(corpus.join(target)).expect("each target has seeds");
        let files: Vec<_> = folder
            .map(|entry| entry.expect("it can be listed").path())
            .collect();
        assert!(files.len() >= 4, "{target} has {} seeds", files.len());
        for file in files {
            check(&std::fs::read(file).expect("a seed can be read"));
        }
    }
}
