//! The kinds of jobs as one: what is run, where, and which files it wants.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use sandbox::{Layer, Place};

use crate::check::{Checked, Refused, check};
use crate::compilers::Compiler;
use crate::job::{self, Finished, JobError, Plan};
use crate::launch::{self, LaunchJob};
use crate::scratch::JobFolder;
use crate::server::Server;
use crate::shortage;

/// Where jobs of clients are that do not tell their directory, in a view of their own.
const NOWHERE: &str = "/job";

/// What is to be run, in either way.
pub(crate) enum Work {
    Preprocessed(Checked),
    Launch(LaunchJob),
}

/// Where a compiler is run.
#[derive(Debug)]
pub(crate) enum Workplace {
    /// In this directory of a view of its own.
    View(PathBuf),
    /// In a folder of this machine, for want of views.
    Folder(JobFolder),
}

impl Workplace {
    /// `directory` if there are views, and else a fresh folder.
    ///
    /// # Errors
    /// No folder can be made.
    pub(crate) async fn new(server: &Server, directory: &Path) -> std::io::Result<Self> {
        if server.conditions.sandbox.layers().has(Layer::Mount) {
            return Ok(Self::View(directory.to_owned()));
        }
        let folder = shortage::wait_out(|| server.scratch.job()).await;
        folder.map(Self::Folder)
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::View(directory) => directory,
            Self::Folder(folder) => folder.path(),
        }
    }

    pub(crate) fn temporary(&self) -> &Path {
        match self {
            Self::View(_) => Path::new("/tmp"),
            Self::Folder(folder) => folder.path(),
        }
    }

    pub(crate) fn in_box(&self) -> Place<'_> {
        match self {
            Self::View(_) => Place::View,
            Self::Folder(folder) => Place::Folder(folder.path()),
        }
    }
}

/// A job's files below its directory, and the words that name them.
struct Layout {
    source: PathBuf,
    product: OsString,
    args: Vec<OsString>,
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
        let compilers = server.compilers.get();
        Ok(match cwd {
            None => Self::Preprocessed(check(&compilers, sysroot, argv)?),
            Some(cwd) => {
                let views = server.conditions.sandbox.layers().has(Layer::Mount);
                let place = (!views).then(|| server.scratch.place());
                Self::Launch(launch::check(&compilers, sysroot, place, argv, cwd)?)
            }
        })
    }

    /// Runs the compiler over `text`.
    ///
    /// # Errors
    /// There is nothing of it to give back.
    pub(crate) async fn run(
        &self,
        server: &Server,
        text: Vec<u8>,
        unwanted: impl Future<Output = ()>,
    ) -> Result<Finished, JobError> {
        let place = Workplace::new(server, self.directory()).await;
        let what = "its folder";
        let place = place.map_err(|source| JobError::Prepare { what, source })?;
        let Layout {
            source,
            product,
            args,
        } = self.layout(place.path());
        let plan = Plan {
            program: &self.compiler().path,
            args: &args,
            place: &place,
            files: &[(place.path().join(source), &text)],
            product: Some(&place.path().join(product)),
            locale: self.locale(),
        };
        job::run(&plan, &server.conditions, unwanted).await
    }

    fn compiler(&self) -> &Compiler {
        match self {
            Self::Preprocessed(checked) => &checked.compiler,
            Self::Launch(job) => &job.compiler,
        }
    }

    /// The locale of the compiler's messages: for launch jobs one that the launcher knows.
    fn locale(&self) -> Option<&'static str> {
        match self {
            Self::Preprocessed(_) => None,
            Self::Launch(_) => Some("C.UTF-8"),
        }
    }

    /// The directory that the client says it is in.
    fn directory(&self) -> &Path {
        let said = match self {
            Self::Preprocessed(_) => None,
            Self::Launch(job) => job.true_directory(),
        };
        said.unwrap_or(Path::new(NOWHERE))
    }

    fn layout(&self, folder: &Path) -> Layout {
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
