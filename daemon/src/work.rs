//! The two kinds of jobs as one: what is run, and which files it wants.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::check::{Checked, Refused, check};
use crate::compilers::Compiler;
use crate::launch::{self, LaunchJob};
use crate::server::Server;

/// What is to be run, in either way.
pub(crate) enum Work {
    Preprocessed(Checked),
    Launch(LaunchJob),
}

/// A job's files, and the words that name them.
pub(crate) struct Layout {
    /// Below the job's folder.
    pub(crate) source: PathBuf,
    pub(crate) product: OsString,
    pub(crate) args: Vec<OsString>,
}

impl Work {
    /// Reads a request's words.
    ///
    /// # Errors
    /// This command is not run here.
    pub(crate) fn of(
        server: &Server,
        argv: Vec<Vec<u8>>,
        cwd: Option<Vec<u8>>,
    ) -> Result<Self, Refused> {
        let argv = argv.into_iter().map(OsString::from_vec).collect();
        let sysroot = server.sysroot.as_deref();
        Ok(match cwd {
            None => Self::Preprocessed(check(&server.compilers.get(), sysroot, argv)?),
            Some(cwd) => {
                let place = server.scratch.place();
                Self::Launch(launch::check(
                    &server.compilers.get(),
                    sysroot,
                    place,
                    argv,
                    cwd,
                )?)
            }
        })
    }

    pub(crate) fn compiler(&self) -> &Compiler {
        match self {
            Self::Preprocessed(checked) => &checked.compiler,
            Self::Launch(job) => &job.compiler,
        }
    }

    /// The locale of the compiler's messages: for launch jobs one that the launcher knows.
    pub(crate) fn locale(&self) -> Option<&'static str> {
        match self {
            Self::Preprocessed(_) => None,
            Self::Launch(_) => Some("C.UTF-8"),
        }
    }

    pub(crate) fn layout(&self, folder: &Path) -> Layout {
        match self {
            Self::Preprocessed(checked) => {
                let source = checked.source_name();
                let product = checked.product_name(&source);
                Layout {
                    args: checked.args(folder, &source, &product),
                    source: source.into(),
                    product,
                }
            }
            Self::Launch(job) => {
                let product = job.product();
                Layout {
                    args: job.args(folder, &product),
                    source: job.source(),
                    product,
                }
            }
        }
    }
}

/// Writes a source into the job's folder, into the folders that its name asks for.
pub(crate) fn write_source(folder: &Path, source: &Path, text: &[u8]) -> std::io::Result<()> {
    let path = folder.join(source);
    if let Some(above) = path.parent().filter(|above| *above != folder) {
        std::fs::create_dir_all(above)?;
    }
    std::fs::write(path, text)
}
