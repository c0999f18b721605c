//! Runs a story for many seeds, and says which one it was that broke a promise.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The seeds of this run: the one that `SIM_SEED` names, else `count`.
pub fn seeds(count: u64) -> Vec<u64> {
    let named = std::env::var("SIM_SEED").ok();
    match named.and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=count).collect(),
    }
}

/// What `story` gives for each seed, in order.
pub fn over<T>(
    test: &str,
    seeds: impl IntoIterator<Item = u64>,
    mut story: impl FnMut(u64) -> T,
) -> Vec<T> {
    let mut results = Vec::new();
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| story(seed))) {
            Ok(result) => results.push(result),
            Err(cause) => {
                eprintln!(
                    "seed {seed}; again: SIM_SEED={seed} cargo test -p simulation {test} -- --nocapture"
                );
                resume_unwind(cause);
            }
        }
    }
    results
}

/// The middle one and the largest.
pub fn middle_and_worst(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[values.len() - 1])
}
