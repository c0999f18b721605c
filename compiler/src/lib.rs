//! What a command line means: which commands are jobs that may be sent away, and with which words the preprocessor here and the
//! compiler there are called for them.
//!
//! Knows nothing of files, processes, sockets, clocks or the environment: what a decision must be told comes in through
//! [`Surroundings`]. Total on arbitrary bytes: any words give a [`Verdict`] or an error.
//!
//! One table per compiler family  says what each option is; `words` reads a command with it; everything else folds
//! over the words that were read, so that verdict, preprocessor words, remote words and depfile cannot disagree.

pub mod classify;
pub mod compdb;
pub mod deps;
pub mod diagnostics;
mod draft;
pub mod inclusion;
pub mod job;
pub mod language;
pub mod launch;
pub mod manner;
pub mod messages;
pub mod names;
pub mod native;
pub mod object;
mod passed;
pub mod reason;
pub mod remote;
pub mod response;
pub mod table;
pub mod target;
pub mod text;
pub mod tree;
pub mod version;
pub mod words;

pub use classify::{Surroundings, Verdict, classify};
pub use deps::Depfile;
pub use job::{Job, Product};
pub use language::Language;
pub use manner::Manner;
pub use reason::{Reason, Work};

/// Whose command line it is: options are spelled alike, but mean and leave different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    Gcc,
    Clang,
}
