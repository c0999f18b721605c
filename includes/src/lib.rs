//! Which files does a source include? Exactly those that its compiler opens, with the bytes that were analysed.
//!
//! Each file is lexed once into a small program of its directives; a source is answered by running it with real macros, the compiler's own
//! predefined ones, and the compiler's search path. Knows nothing of sockets, hosts or how a closure travels.

mod closure;

pub use closure::{Closure, Dates, Link, Member, Refusal, Role};

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

/// How an [`Includes`] works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where compilers are looked for, as `PATH`.
    pub path: OsString,
    /// May inotify be used to learn of changes? Without it every file is looked at for each question.
    pub watch: bool,
    /// Memory for what is remembered, in bytes; beyond it everything is forgotten and learned anew.
    pub memory: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            path: OsString::from("/usr/local/bin:/usr/bin:/bin"),
            watch: true,
            memory: 40 << 20,
        }
    }
}

/// One compile command.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The folder that the command runs in, absolute.
    pub directory: &'a Path,
    /// The compiler's name or path, then its arguments; response files are expanded here.
    pub words: &'a [OsString],
    /// The variables of [`VARIABLES`] that the compiler would see, with their values.
    pub environment: &'a [(OsString, OsString)],
}

/// The environment variables that change what a compiler includes or predefines.
pub const VARIABLES: &[&str] = &[
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "SOURCE_DATE_EPOCH",
];

/// How much was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    pub questions: u64,
    /// Answered from memory, nothing having changed.
    pub repeated: u64,
    pub refused: u64,
    /// Answers in which a condition could not be decided.
    pub unsure: u64,
    /// Times that a compiler was asked.
    pub probes: u64,
    /// Files read and lexed.
    pub files: u64,
    /// Folders that are watched.
    pub watches: u64,
    /// Times that everything was forgotten to save memory.
    pub forgotten: u64,
}

/// Answers questions and remembers what it learned. Usable from many threads at once.
#[derive(Debug)]
pub struct Includes {
    config: Config,
    statistics: std::sync::Mutex<Statistics>,
}

impl Includes {
    pub fn new(config: Config) -> Includes {
        Includes {
            config,
            statistics: std::sync::Mutex::default(),
        }
    }

    /// The closure of the source that the command compiles, as the files are now.
    ///
    /// # Errors
    /// [`Refusal`] when the command or the source is beyond what is followed here.
    pub fn closure(&self, question: &Question<'_>) -> Result<Arc<Closure>, Refusal> {
        let _ = (&self.config, question.environment);
        let name = question.words.first().cloned().unwrap_or_default();
        Err(Refusal::NotACompiler { name })
    }

    pub fn statistics(&self) -> Statistics {
        *self
            .statistics
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
