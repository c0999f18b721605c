//! What an analysis says: the closure of a source, or why there is none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// A source and every file that its compile reads, as they were when they were analysed.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    /// The source first, then the others in the order in which the compiler opens them, each once by name: a file that is included under
    /// two names (through a link, or `a/../b.h`) is there twice, with the same bytes.
    pub files: Vec<Arc<Member>>,
    /// Every link that was gone through on the way to one of the files or folders.
    pub links: Vec<Arc<Link>>,
    /// Folders that have to exist though no file needs to be in them: those that a name leaves by `..`, and those that are searched.
    pub directories: Vec<Arc<Path>>,
    /// The compiler's own folders for headers, by their real names. Files below these are `system`.
    pub system_directories: Arc<[PathBuf]>,
    /// What was looked for and is not there, where a machine that is not this one may have it.
    pub missed: Vec<Missed>,
    /// Which of the macros for date and time live text may use.
    pub dates: Dates,
    /// How often a condition could not be decided, so that both branches were taken. 0: the closure is exact.
    pub unsure: u32,
    /// A live `#include` that nothing was found for. The compiler stops there, here and elsewhere.
    pub missing: Option<OsString>,
}

/// One file of a closure.
#[derive(Debug)]
pub struct Member {
    /// The name by which the compiler opens it: as written in the command, or a folder of the search path, a slash, and the name in the
    /// source. Relative to the command's folder unless it begins with a slash.
    pub name: PathBuf,
    /// The name without links, absolute.
    pub real: PathBuf,
    pub bytes: Arc<[u8]>,
    /// Does it lie below one of the compiler's own folders?
    pub system: bool,
    pub modified: SystemTime,
    /// Why the compiler reads it.
    pub role: Role,
}

/// What a file of a closure is to the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    Source,
    /// Included, by a directive or by the command.
    Header,
    /// Only looked for (`__has_include`): that it is there counts, and not what it holds.
    Probed,
    /// Read whole as data: `#embed`, `.incbin`.
    Data,
    /// Named by a `#line`, and there: gcc reads it to show a line of it in a message, and not else.
    Quoted,
    /// Read by the driver: a response file, specs.
    Option,
}

/// Names that are not there, in the folders of the system or below the compiler's own: a compile that found them would be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The folder, without links.
    pub folder: Arc<Path>,
    /// No files of these names, which may have folders in them, are in it; each has `//` before it. None: the folder itself is
    /// not there.
    pub names: Vec<u8>,
}

/// A link that a name goes through.
#[derive(Debug)]
pub struct Link {
    /// The link's own name, absolute; no other link is in its folder's name.
    pub path: PathBuf,
    /// What is written in it.
    pub target: PathBuf,
    /// What it leads to in the end, absolute, without links.
    pub real: PathBuf,
    /// Does it lie below one of the compiler's own folders, or outside every folder of the project (`/lib`)?
    pub system: bool,
}

/// Uses of the macros whose value is another at another time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dates {
    /// `__DATE__` or `__TIME__`.
    pub now: bool,
    /// `__TIMESTAMP__`: when the file was modified.
    pub file: bool,
}

/// Why there is no closure for one source. Says nothing of other sources.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    #[error("the command compiles no single source: {0}")]
    NotOneSource(&'static str),
    #[error("the option {} is not followed", option.display())]
    Option { option: OsString },
    #[error("{} is not the name of a compiler", name.display())]
    NotACompiler { name: OsString },
    #[error("{} could not be asked what it predefines: {why}", compiler.display())]
    Probe { compiler: PathBuf, why: String },
    #[error("could not read {}: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("the folder {} is not there", path.display())]
    NoFolder { path: PathBuf },
    #[error("{} uses modules", path.display())]
    Modules { path: PathBuf },
    #[error("{} has a precompiled form beside it", path.display())]
    Precompiled { path: PathBuf },
    #[error("{} takes files into the object by names that are put together: {what}", path.display())]
    DataByName { path: PathBuf, what: &'static str },
    #[error("the analysis of {} took more than {limit} {what}", path.display())]
    TooMuch {
        path: PathBuf,
        limit: u64,
        what: &'static str,
    },
}

impl Refusal {
    /// A stable word for journals and statistics.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotOneSource(_) => "not-one-source",
            Refusal::Option { .. } => "option",
            Refusal::NotACompiler { .. } => "not-a-compiler",
            Refusal::Probe { .. } => "probe",
            Refusal::Unreadable { .. } => "unreadable",
            Refusal::NoFolder { .. } => "no-folder",
            Refusal::Modules { .. } => "modules",
            Refusal::Precompiled { .. } => "precompiled",
            Refusal::DataByName { .. } => "data-by-name",
            Refusal::TooMuch { .. } => "too-much",
        }
    }
}
