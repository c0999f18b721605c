//! `include_sets.py` against our include server: each answer names exactly the files that the compiler opens, with their bytes; files
//! that change between two questions, and peers who misbehave.

use std::process::Command;
use std::time::Duration;

use tests::{data, include_server, start};

/// Many servers are started one after the other.
const LIMIT: Duration = Duration::from_secs(900);

#[test]
fn every_set_is_the_compilers() {
    let mut tool = Command::new("python3");
    tool.arg(data("tools/include_sets.py"))
        .arg("--server")
        .arg(format!(
            "{} --port {{socket}} --pid_file {{pidfile}}",
            include_server().display()
        ))
        // What compilers say must be what it was when the cases were written.
        .env_remove("LC_ALL");
    let ran = start(&mut tool).finish_within(LIMIT);
    let said = ran.out();
    let sum = "120 of 120 exact, 0 missing or refused; sequences 7 of 7; hostile 11 of 11";
    assert!(said.trim_end().ends_with(sum), "{said}{}", ran.err());
    assert_eq!(ran.code(), 0);
}
