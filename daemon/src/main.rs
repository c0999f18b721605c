//! The daemon: listen, admit, receive, compile, answer.
fn main() {}
