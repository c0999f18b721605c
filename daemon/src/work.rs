//! The kinds of jobs as one: what is run, where, and which files it wants.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::{Body, Request, Source, Version};
use sandbox::{Layer, Place, Tree};

use crate::check::{Checked, Refused, check};
use crate::closure::{self, ClosureJob, Wanted};
use crate::compilers::Compiler;
use crate::job::{self, Finished, JobError, Plan};
use crate::launch::{self, LaunchJob};
use crate::moved::Moved;
use crate::queue::Client;
use crate::scratch::JobFolder;
use crate::server::Server;
use crate::shortage;

/// Where jobs of clients are that do not tell their directory, in a view of their own.
const NOWHERE: &str = "/job";

/// What is to be run, in either way.
pub(crate) enum Work {
    Preprocessed(Checked),
    Launch(LaunchJob),
    /// Shared with the thread that lays out its files.
    Closure(Arc<ClosureJob>),
}

/// Where a compiler is run.
#[derive(Debug)]
pub(crate) enum Workplace {
    /// In this directory of a view of its own.
    View(PathBuf),
    /// As a view, over a tree of files.
    Tree(PathBuf, Tree),
    /// In a folder of this machine, for want of views.
    Folder(JobFolder),
    /// In this directory below such a folder.
    Moved(PathBuf, JobFolder),
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
            Self::View(directory) | Self::Tree(directory, _) | Self::Moved(directory, _) => {
                directory
            }
            Self::Folder(folder) => folder.path(),
        }
    }

    pub(crate) fn temporary(&self) -> &Path {
        match self {
            Self::View(_) | Self::Tree(..) => Path::new("/tmp"),
            Self::Folder(folder) | Self::Moved(_, folder) => folder.path(),
        }
    }

    pub(crate) fn in_box(&self) -> Place<'_> {
        match self {
            Self::View(_) => Place::View,
            Self::Tree(_, tree) => Place::Tree(tree),
            Self::Folder(folder) | Self::Moved(_, folder) => Place::Folder(folder.path()),
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
    pub(crate) fn of(server: &Server, request: Request) -> Result<(Self, Body), Refused> {
        let argv = request.argv.into_iter().map(OsString::from_vec).collect();
        let sysroot = server.sysroot.as_deref();
        let compilers = server.compilers.get();
        let (source, version) = (request.source, request.version);
        let Source::Preprocessed(body) = source else {
            let views = server.conditions.sandbox.trees().is_some();
            if !views && version != Version::Pump {
                return Err(Refused::NoViews);
            }
            let directory = OsString::from_vec(request.cwd.unwrap_or_default()).into();
            let job = closure::check(&compilers, sysroot, version, directory, argv, source)?;
            return Ok((Self::Closure(Arc::new(job)), Body::empty(version)));
        };
        let work = match request.cwd {
            None => Self::Preprocessed(check(&compilers, sysroot, argv)?),
            Some(cwd) => {
                let views = server.conditions.sandbox.layers().has(Layer::Mount);
                let place = (!views).then(|| server.scratch.place());
                Self::Launch(launch::check(&compilers, sysroot, place, argv, cwd)?)
            }
        };
        Ok((work, body))
    }

    /// Runs the compiler over `text`, or over the files that the job brought.
    ///
    /// # Errors
    /// There is nothing of it to give back.
    pub(crate) async fn run(
        &self,
        server: &Server,
        text: Vec<u8>,
        client: Client,
        unwanted: impl Future<Output = ()>,
    ) -> Result<Finished, JobError> {
        if let Self::Closure(job) = self {
            return run_closure(server, job, client, unwanted).await;
        }
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
            outputs: &[place.path().join(product)],
            locale: self.locale().map(OsStr::new),
            variables: &[],
        };
        job::run(&plan, &server.conditions, unwanted).await
    }

    fn compiler(&self) -> &Compiler {
        match self {
            Self::Preprocessed(checked) => &checked.compiler,
            Self::Launch(job) => &job.compiler,
            Self::Closure(job) => &job.compiler,
        }
    }

    /// The locale of the compiler's messages: for launch jobs one that the launcher knows.
    fn locale(&self) -> Option<&'static str> {
        match self {
            Self::Preprocessed(_) | Self::Closure(_) => None,
            Self::Launch(_) => Some("C.UTF-8"),
        }
    }

    /// The directory that the client says it is in.
    fn directory(&self) -> &Path {
        let said = match self {
            Self::Preprocessed(_) => None,
            Self::Launch(job) => job.true_directory(),
            Self::Closure(job) => Some(job.directory.as_path()),
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
            // It has names of its own for everything.
            Self::Closure(job) => Layout {
                args: job.args.clone(),
                source: PathBuf::new(),
                product: job.object.clone().into(),
            },
        }
    }
}

/// Lays out the files of `job`, and runs its compiler over them.
async fn run_closure(
    server: &Server,
    job: &Arc<ClosureJob>,
    client: Client,
    unwanted: impl Future<Output = ()>,
) -> Result<Finished, JobError> {
    let Some(trees) = server.conditions.sandbox.trees().cloned() else {
        return run_moved(server, job, unwanted).await;
    };
    let (laid, headers) = (Arc::clone(job), Arc::clone(&server.headers));
    tokio::pin!(unwanted);
    let tree = beside("its files", &mut unwanted, move |wanted| {
        laid.lay_out(&trees, &headers, &client.name(), wanted)
    });
    let tree = tree.await??;
    let outputs: Vec<PathBuf> = std::iter::once(&job.object)
        .chain(&job.depfile)
        .cloned()
        .collect();
    let locale = job.locale();
    let plan = Plan {
        program: &job.compiler.path,
        args: &job.args,
        place: &Workplace::Tree(job.directory.clone(), tree),
        files: &[],
        outputs: &outputs,
        locale: locale.as_deref(),
        variables: &job.variables,
    };
    job::run(&plan, &server.conditions, unwanted).await
}

/// The same below a folder of this machine, for want of views.
async fn run_moved(
    server: &Server,
    job: &Arc<ClosureJob>,
    unwanted: impl Future<Output = ()>,
) -> Result<Finished, JobError> {
    let what = "its folder";
    let folder = shortage::wait_out(|| server.scratch.job()).await;
    let folder = folder.map_err(|source| JobError::Prepare { what, source })?;
    let laid = Arc::clone(job);
    tokio::pin!(unwanted);
    let layout = beside(what, &mut unwanted, move |wanted| {
        let moved = Moved::lay_out(&laid, folder.path(), wanted);
        (moved, folder)
    });
    let (moved, folder) = layout.await?;
    let moved = moved?;
    let locale = job.locale();
    let plan = Plan {
        program: &job.compiler.path,
        args: &moved.args,
        place: &Workplace::Moved(moved.directory.clone(), folder),
        files: &[],
        outputs: &moved.outputs,
        locale: locale.as_deref(),
        variables: &job.variables,
    };
    let finished = job::run(&plan, &server.conditions, unwanted).await?;
    Ok(Finished {
        stderr: moved.told(finished.stderr),
        stdout: moved.told(finished.stdout),
        depfile: moved.told(finished.depfile),
        ..finished
    })
}

/// Does `work` beside the threads that serve, and waits for its end in any case: whoever goes away meanwhile shall not leave it to
/// others with its slot.
async fn beside<T: Send + 'static>(
    what: &'static str,
    unwanted: impl Future<Output = ()>,
    work: impl FnOnce(&Wanted) -> T + Send + 'static,
) -> Result<T, JobError> {
    /// Tells the work when nobody waits here any more.
    struct Waiting(Arc<Wanted>);
    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.end();
        }
    }
    let waiting = Waiting(Arc::default());
    let wanted = Arc::clone(&waiting.0);
    let mut done = tokio::task::spawn_blocking(move || work(&wanted));
    tokio::select! {
        done = &mut done => done.map_err(|error| JobError::Prepare {
            what,
            source: error.into(),
        }),
        () = unwanted => {
            drop(waiting);
            drop(done.await);
            Err(JobError::Unwanted)
        }
    }
}
