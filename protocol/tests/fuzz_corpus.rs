//! Everything of the wire in `fuzz/corpus`, as it is and changed, with the very checks that the fuzz targets make.

#[allow(unreachable_pub, reason = "a library where the fuzz targets call it")]
#[path = "../../fuzz/src/lib.rs"]
mod checks;

#[allow(unreachable_pub, reason = "shared with another crate's tests")]
#[path = "../../fuzz/src/mutate.rs"]
mod mutate;

use std::path::{Path, PathBuf};

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 8] = [
    ("token", checks::token),
    ("request", checks::request),
    ("outcome", checks::outcome),
    ("include_talk", checks::include_talk),
    ("closure_talk", checks::closure_talk),
    ("hello", checks::hello),
    ("lzo_decode", checks::lzo_decode),
    ("lzo_round_trip", checks::lzo_round_trip),
];

/// Those of `compiler` and `keys`, in their own tests.
const OTHERS: [&str; 4] = ["keyed", "messages", "object", "words"];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

#[test]
fn every_file_of_the_corpus_holds() {
    let folders = std::fs::read_dir(corpus())
        .expect("the corpus can be read")
        .count();
    assert_eq!(
        folders,
        TARGETS.len() + OTHERS.len(),
        "a folder for each target and a target for each folder"
    );
    for (target, check) in TARGETS {
        let seeds = mutate::seeds(&corpus().join(target));
        assert!(seeds.len() >= 4, "{target} has {} seeds", seeds.len());
        for seed in seeds {
            check(&seed);
        }
    }
}

#[test]
fn changed_seeds_hold() {
    std::thread::scope(|scope| {
        for (target, check) in TARGETS {
            scope.spawn(move || mutate::run(target, &mutate::seeds(&corpus().join(target)), check));
        }
    });
}
