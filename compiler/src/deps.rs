//! Where a compile leaves its dependency file, and for which target.

use std::ffi::OsString;

/// The dependency file of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depfile {
    /// Where the local compiler leaves it, relative to the command's folder unless absolute.
    pub path: OsString,
    /// Appended to what the file holds (`DEPENDENCIES_OUTPUT`): a second run of the compiler must not have that variable.
    pub appended: bool,
}
