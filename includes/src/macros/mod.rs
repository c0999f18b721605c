//! Macros: what is defined, and what its text becomes.

mod body;
mod builtin;
mod doubt;
mod expand;
mod library;
mod paste;
mod substitute;
mod table;

pub(crate) use body::Body;
use doubt::Doubt;
pub(crate) use doubt::OptionsPragma;
pub(crate) use expand::{Expansion, Facts, Parts, Scratch};
pub(crate) use library::{Builtin, ConditionId, Library, MacroId, SourceId};
pub(crate) use table::Table;
