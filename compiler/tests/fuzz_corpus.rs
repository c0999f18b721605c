//! What came from another machine in `fuzz/corpus`, as it is and changed, with the very checks that the fuzz targets make.

#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
#[path = "../../fuzz/src/foreign.rs"]
mod foreign;
#[allow(unreachable_pub, reason = "shared with another crate's tests")]
#[path = "../../fuzz/src/mutate.rs"]
mod mutate;

use std::path::Path;

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 3] = [
    ("messages", foreign::messages),
    ("object", foreign::object),
    ("words", foreign::words),
];

#[test]
fn seeds_hold_as_they_are_and_changed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    std::thread::scope(|scope| {
        for (target, check) in TARGETS {
            let seeds = mutate::seeds(&corpus.join(target));
            assert!(seeds.len() >= 4, "{target} has {} seeds", seeds.len());
            scope.spawn(move || {
                seeds.iter().for_each(|seed| check(seed));
                mutate::run(target, &seeds, check);
            });
        }
    });
}
