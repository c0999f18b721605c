//! The box that compilers run in (`sandbox`), as the command line wants it.
//!
//! Started before any thread; jobs then cost copies of its small keeper now and then, and none of the daemon.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sandbox::{Layer, Layers, Limits, Sandbox, SandboxError, Setup, folders_of};

use crate::compilers::Search;
use crate::options::Options;
use crate::user::{self, UserError};
use crate::{log, scratch};

/// Most memory of a job, when nobody says so: more than all but very few units need.
const MEMORY: u64 = 2 << 30;
/// Bytes of a machine whose memory cannot be asked for.
const SOME_MEMORY: u64 = 4 << 30;
/// Most bytes that a job may write, when nobody says so: the largest object that is sent back, and what it is made of.
const DISK: u64 = 2 << 30;
/// Processes and threads of a job, when nobody says so. A compiler with its tools has four or five.
const PROCESSES: u64 = 256;
/// Processor time of a job, when nobody says so: an hour.
const SECONDS: u64 = 3600;
/// Processes of each of the other jobs, its warden among them, while one takes all that it may have. That all take so much at a time is
/// no compile, and would stop the machine.
/// Processes of a usual job, with room.
const USUAL: u64 = 18;
/// Processes that there may be beside these.
const SPARE: u64 = 512;

/// What the command line says of the box.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) layers: Layers,
    /// Whether the layers were named one by one.
    pub(crate) named: bool,
    /// End rather than serve without one of them.
    pub(crate) required: bool,
    /// Folders to show beside those of compilers.
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) cgroup: Option<PathBuf>,
    /// `None`: the default; 0: no limit.
    pub(crate) memory: Option<u64>,
    pub(crate) processes: Option<u64>,
    pub(crate) seconds: Option<u64>,
    pub(crate) disk: Option<u64>,
}

/// Why there is no box as it is wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BoxError {
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Start(#[from] SandboxError),
    #[error(
        "--require-sandbox: no {layer}: {why}; leave it out with --sandbox=LAYER,… or run where it is allowed"
    )]
    Missing { layer: Layer, why: String },
}

/// Starts the box for `compilers`. Root's becomes the user that the daemon will be.
///
/// # Errors
/// A layer is missing that must be there, or no process can be started.
pub(crate) fn start(
    options: &Options,
    search: &Search,
    compilers: &[PathBuf],
    tmpdir: Option<&OsStr>,
) -> Result<(Sandbox, Limits), BoxError> {
    let wanted = &options.sandbox;
    let limits = limits(wanted, tmpdir);
    let jobs = u64::try_from(options.jobs).unwrap_or(u64::MAX);
    let processes = limits.processes.map(|each| {
        each.saturating_add(jobs.saturating_mul(USUAL))
            .saturating_add(SPARE)
    });
    let setup = Setup {
        wanted: wanted.layers,
        folders: folders(options, search, compilers),
        become_user: user::to_become(options.user.as_deref())?,
        cgroup: wanted.cgroup.clone(),
        processes,
        store_bytes: (memory() / 4).max(64 << 20),
        kept_trees: options.jobs.saturating_mul(4).clamp(8, 256),
        // One may still clear up when its slot is at work again, and one is free.
        kept_wardens: options.jobs.saturating_mul(2).saturating_add(1),
    };
    let sandbox = Sandbox::start(&setup)?;
    let missing = sandbox
        .missing()
        .iter()
        .find(|(layer, _)| must_be(wanted, *layer));
    match missing {
        Some((layer, why)) if wanted.required => Err(BoxError::Missing {
            layer: *layer,
            why: why.clone(),
        }),
        _ => Ok((sandbox, limits)),
    }
}

/// Cgroups are given to few; limits hold without them.
fn must_be(wanted: &Wanted, layer: Layer) -> bool {
    wanted.named || layer != Layer::Cgroup
}

/// Tells the log what there is.
pub(crate) fn tell(sandbox: &Sandbox, wanted: &Wanted) {
    let layers = sandbox.layers();
    if layers.is_empty() {
        log::warning!("no box: clients' sources can read what this user can read (--sandbox)");
    } else {
        log::notice!("box: {layers}");
    }
    for (layer, why) in sandbox.missing() {
        if must_be(wanted, *layer) {
            log::warning!("the box lacks {layer}: {why}");
        } else {
            log::info!("the box lacks {layer}: {why}");
        }
    }
}

/// What jobs see beside the system's own folders.
fn folders(options: &Options, search: &Search, compilers: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = folders_of(compilers.iter().map(PathBuf::as_path));
    // Programs that are not there yet, or no compilers: a SIGHUP may name the former, --enable-tcp-insecure the latter.
    folders.extend(std::env::split_paths(&search.path).filter(|folder| folder.is_absolute()));
    let more = options.sandbox.folders.iter().chain(&options.sysroot);
    folders.extend(more.filter_map(|folder| std::path::absolute(folder).ok()));
    folders
}

fn limits(wanted: &Wanted, tmpdir: Option<&OsStr>) -> Limits {
    let or = |said: Option<u64>, usual: u64| Some(said.unwrap_or(usual)).filter(|limit| *limit > 0);
    // Files are in memory; whoever names a smaller place for them wants them to be small.
    let room = match tmpdir {
        Some(folder) if !folder.is_empty() => scratch::free(Path::new(folder)),
        _ => None,
    };
    let usual = DISK
        .min(memory() / 4)
        .min(room.unwrap_or(u64::MAX))
        .max(1 << 16);
    Limits {
        memory: or(wanted.memory, MEMORY.min(memory() / 2)),
        processes: or(wanted.processes, PROCESSES),
        seconds: or(wanted.seconds, SECONDS),
        disk: or(wanted.disk, usual).unwrap_or(u64::MAX >> 1),
    }
}

/// Bytes of memory of this machine.
fn memory() -> u64 {
    let about = rustix::system::sysinfo();
    #[allow(
        clippy::useless_conversion,
        reason = "the field has fewer bits on smaller machines"
    )]
    let total = u64::from(about.totalram);
    let bytes = total.saturating_mul(u64::from(about.mem_unit));
    if bytes == 0 { SOME_MEMORY } else { bytes }
}
