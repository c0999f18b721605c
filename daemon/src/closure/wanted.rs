//! Whether what is done for a job beside the threads that serve is still of use. Knows nothing of what is done.

use std::sync::atomic::{AtomicBool, Ordering};

use super::LayoutError;

/// Whether somebody still waits for a job: what is done beside the threads that serve cannot be stopped from outside.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    gone: AtomicBool,
}

impl Wanted {
    pub(crate) fn end(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// Nobody waits.
    pub(super) fn look(&self) -> Result<(), LayoutError> {
        match self.gone.load(Ordering::Relaxed) {
            true => Err(LayoutError::Unwanted),
            false => Ok(()),
        }
    }
}
