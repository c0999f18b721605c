//! Everything in `fuzz/corpus/keyed`, as it is and changed, with the very checks that the fuzz target makes.

#[allow(unreachable_pub, reason = "a module of the fuzz target too")]
#[path = "../../fuzz/src/keyed.rs"]
mod checks;

#[allow(unreachable_pub, reason = "shared with other crates' tests")]
#[path = "../../fuzz/src/mutate.rs"]
mod mutate;

use std::path::Path;

#[test]
fn seeds_hold_as_they_are_and_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/keyed");
    let seeds = mutate::seeds(&folder);
    assert!(seeds.len() >= 8, "{} seeds", seeds.len());
    seeds.iter().for_each(|seed| checks::keyed(seed));
    mutate::run("keyed", &seeds, checks::keyed);
}
