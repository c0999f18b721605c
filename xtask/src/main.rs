//! What a person types: demo, test, bench, dist, install.
fn main() {}
