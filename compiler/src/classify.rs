//! May this command be sent away?

use crate::{Family, Job, Reason};
use std::ffi::{OsStr, OsString};

/// What a pure function must be told about the place that a command runs in.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The folder that the command runs in, as `getcwd` or `PWD` gives it; absolute.
    pub cwd: &'a OsStr,
    /// `DEPENDENCIES_OUTPUT`.
    pub dependencies_output: Option<&'a OsStr>,
    /// Is `SUNPRO_DEPENDENCIES` set?
    pub sunpro_dependencies: bool,
    /// Is one of [`SEARCH_VARIABLES`] set (even to nothing)?
    pub search_environment: bool,
    /// Do the hosts take assembler (`-c a.s`)? Stock daemons do not.
    pub assembler_goes: bool,
}

/// Variables that change where a compiler finds its own programs, or its options.
pub const SEARCH_VARIABLES: &[&str] = &[
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "CCC_OVERRIDE_OPTIONS",
    "CCC_ADD_ARGS",
    "QA_OVERRIDE_GCC3_OPTIONS",
    "GCC_COMPARE_DEBUG",
];

/// Whether a command may be sent away.
#[derive(Debug, Clone)]
pub enum Verdict<'a> {
    Distribute(Job<'a>),
    RunHere(Reason),
}

/// Whether the command `args` (after the compiler's name, response files expanded) may be sent away.
pub fn classify<'a>(
    family: Family,
    cxx: bool,
    args: &'a [OsString],
    about: &Surroundings<'a>,
) -> Verdict<'a> {
    let _ = (family, cxx, args, about);
    Verdict::RunHere(Reason::UnknownCompiler)
}

impl<'a> Surroundings<'a> {
    /// A command in folder `cwd` with none of the variables set.
    pub fn new(cwd: &'a OsStr) -> Self {
        Surroundings {
            cwd,
            dependencies_output: None,
            sunpro_dependencies: false,
            search_environment: false,
            assembler_goes: false,
        }
    }
}
