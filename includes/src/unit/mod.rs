//! Runs a source: its program and those of all that it includes, with real macros.

mod data;
mod here;
mod machine;
mod open;
mod text;

pub(crate) use machine::{Machine, Outcome, Start};

/// Steps that one question may take.
pub(crate) const MAX_STEPS: u64 = 30_000_000;
/// How deep files include one another, unless the command says otherwise; gcc's own limit.
pub(crate) const MAX_DEPTH: u32 = 200;
