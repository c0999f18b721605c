//! The journal as other programs read it.

use std::path::Path;

use serde::Deserialize;

/// One line: one command.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    pub cwd: String,
    pub command: Vec<String>,
    /// "remote" or "local".
    pub place: String,
    pub host: Option<String>,
    pub mode: Option<String>,
    /// A kebab-case code when local.
    pub reason: Option<String>,
    pub fell_back: bool,
    pub attempts: Vec<Attempt>,
    pub status: Option<i32>,
    pub wall_ms: Option<f64>,
    pub cpu_ms: Option<f64>,
    pub queue_ms: Option<f64>,
    pub sent: Option<u64>,
    pub received: Option<u64>,
}

/// One try on one host.
#[derive(Debug, Clone, Deserialize)]
pub struct Attempt {
    pub host: String,
    pub ms: f64,
    pub error: Option<String>,
}

/// The rows of the journal at `path`; none when there is no file.
pub fn read_journal(path: &Path) -> Vec<Row> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Vec::new();
    };
    text.lines()
        .map(|line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("a journal line is broken ({error}): {line}"))
        })
        .collect()
}
