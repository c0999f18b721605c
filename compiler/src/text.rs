//! What preprocessed text says that the command does not: bytes in, facts out.

use crate::{Job, Reason};

/// The reason to compile here that a preprocessed (or assembler) text holds: inline assembler that reads files
/// (`.incbin`, `.include`), or a precompiled header that the preprocessor left in (`#pragma GCC pch_preprocess`).
///
/// A false alarm costs one local compile; nothing is missed by splitting, since the whole text is asked for.
pub fn ties_here(text: &[u8]) -> Option<Reason> {
    let _ = text;
    None
}

/// What to put before a source that is sent as it is, so that the object names the source and not the server's temporary file:
/// a line marker, unless the text opens with one.
pub fn head(job: &Job<'_>, text: &[u8]) -> Option<Vec<u8>> {
    let _ = (job, text);
    None
}
