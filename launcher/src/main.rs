//! The launcher: walks one compile command from its words to its object.
fn main() {}
