//! Macros: what is defined, and what its text becomes.

mod body;
mod builtin;
mod expand;
mod library;
mod paste;
mod substitute;
mod table;

pub(crate) use body::Body;
pub(crate) use expand::{Expansion, Facts, Parts, Scratch};
pub(crate) use library::{Builtin, ConditionId, Library, MacroId, SourceId};
pub(crate) use table::Table;
