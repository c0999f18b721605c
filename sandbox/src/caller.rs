//! The caller's side: starts the keeper, hands it jobs, takes reports.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::channel;
use crate::codec::Reader;
use crate::job::{Job, Written};
use crate::keeper;
use crate::layers::{Layer, Layers};
use crate::os::{self, Forked};
use crate::report::{self, Ended, NotStarted};
use crate::template::Template;
use crate::tree::Trees;

/// What kind of box is wanted.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Each of them is tried.
    pub wanted: Layers,
    /// Folders that jobs see read-only beside the system's own, see [`folders_of`](crate::folders_of).
    pub folders: Vec<PathBuf>,
    /// User and group that the box becomes, for who is root. To lay out trees the caller has to become that user too.
    pub become_user: Option<(u32, u32)>,
    /// A delegated cgroup, else the one that this process is in.
    pub cgroup: Option<PathBuf>,
    /// Processes of all jobs together, as a last resort: more fail.
    pub processes: Option<u64>,
    /// Bytes of all trees together, and how many are kept that no job uses.
    pub store_bytes: u64,
    pub kept_trees: usize,
    /// How many processes of the box's own are kept that have no job; more come and go.
    pub kept_wardens: usize,
}

/// Why there is no box at all, not even one without layers.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the box must be started before any thread")]
    Threads,
    #[error("could not start the keeper of the box")]
    Start(#[source] io::Error),
    #[error("the keeper of the box could not set up")]
    Setup(#[source] io::Error),
}

/// A box that jobs can be run in.
#[derive(Debug)]
pub struct Sandbox {
    keeper: os::pid_t,
    control: Option<OwnedFd>,
    layers: Layers,
    missing: Vec<(Layer, String)>,
    trees: Option<Trees>,
}

impl Sandbox {
    /// Forks the keeper and waits until it has tried its layers: some milliseconds.
    ///
    /// # Errors
    /// There are other threads, or the system has no room for another process. A layer that is missing is no error.
    pub fn start(setup: &Setup) -> Result<Self, SandboxError> {
        if os::threads() != 1 {
            return Err(SandboxError::Threads);
        }
        let (own, theirs) = channel::control().map_err(SandboxError::Start)?;
        let keeper = match os::fork(0).map_err(SandboxError::Start)? {
            Forked::Child => {
                drop(own);
                // A panic must not go on as a second caller.
                let _ = catch_unwind(AssertUnwindSafe(|| match keeper::close_others(theirs) {
                    Ok(control) => keeper::run(setup, control),
                    Err(_) => os::exit(1),
                }));
                os::exit(70)
            }
            Forked::Parent(pid) => pid,
        };
        drop(theirs);
        let message = channel::receive(own.as_fd()).map_err(SandboxError::Setup)?;
        rustix::io::ioctl_fionbio(&own, true).map_err(|error| SandboxError::Setup(error.into()))?;
        let mut sandbox = Self {
            keeper,
            control: Some(own),
            layers: Layers::NONE,
            missing: Vec::new(),
            trees: None,
        };
        sandbox.read_report(message, setup)?;
        Ok(sandbox)
    }

    fn read_report(
        &mut self,
        message: channel::Message,
        setup: &Setup,
    ) -> Result<(), SandboxError> {
        let broken = || SandboxError::Setup(io::ErrorKind::InvalidData.into());
        let mut bytes = Reader(&message.bytes);
        let code = bytes.number().ok_or_else(broken)?;
        if code != 0 {
            let code = i32::try_from(code).unwrap_or(libc::EIO);
            return Err(SandboxError::Setup(io::Error::from_raw_os_error(code)));
        }
        let template = self.read_layers(&mut bytes).ok_or_else(broken)?;
        let store = message
            .fds
            .into_iter()
            .next()
            .filter(|_| self.layers.has(Layer::Mount));
        self.trees = store.map(|store| {
            // Files have more than their bytes.
            let room = setup.store_bytes / 4 * 3;
            Trees::new(store, template, room, setup.kept_trees)
        });
        Ok(())
    }

    fn read_layers(&mut self, bytes: &mut Reader<'_>) -> Option<Template> {
        self.layers = Layers::from_bits(u8::try_from(bytes.number()?).ok()?);
        let missing = bytes.all(|bytes| Some((bytes.number()?, bytes.word()?)))?;
        for (layer, why) in missing {
            let layer = Layer::from_bit(u8::try_from(layer).ok()?)?;
            self.missing
                .push((layer, why.to_string_lossy().into_owned()));
        }
        Some(Template {
            folders: bytes.all(Reader::path)?,
            links: bytes.all(|bytes| Some((bytes.path()?, bytes.path()?)))?,
        })
    }

    /// The layers that every job has.
    #[must_use]
    pub fn layers(&self) -> Layers {
        self.layers
    }

    /// The layers that were wanted and are not there, each with the system's reason.
    #[must_use]
    pub fn missing(&self) -> &[(Layer, String)] {
        &self.missing
    }

    /// Where trees are laid out; `None` without [`Layer::Mount`].
    #[must_use]
    pub fn trees(&self) -> Option<&Trees> {
        self.trees.as_ref()
    }

    /// Starts a job. It runs until it ends or what is returned is dropped. Does not block.
    ///
    /// # Errors
    /// The job has a name that is not plain and absolute, the system is short of something, or the keeper is gone. `WouldBlock`: more
    /// jobs wait to be started than a moment explains.
    pub fn run(&self, job: &Job<'_>) -> io::Result<Running> {
        let control = self.control.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let order = job.write()?;
        let (own, theirs) = channel::pair()?;
        let (bytes, file) = match &order {
            Written::Message(bytes) => (&bytes[..], None),
            Written::File(file) => (&channel::IN_A_FILE[..], Some(file.as_fd())),
        };
        let fds: Vec<BorrowedFd<'_>> = [theirs.as_fd()].into_iter().chain(file).collect();
        channel::send(control.as_fd(), bytes, &fds)?;
        Ok(Running { channel: own })
    }
}

impl Drop for Sandbox {
    /// Ends the keeper and waits for it, and so for what is left of jobs.
    fn drop(&mut self) {
        self.control = None;
        os::reap(self.keeper, true);
    }
}

/// A job that runs. Dropped, it ends, and everything of it within moments.
#[derive(Debug)]
pub struct Running {
    channel: OwnedFd,
}

/// Why there is no report of a job.
#[derive(Debug, thiserror::Error)]
pub enum Stray {
    #[error("the job is not done yet")]
    NotYet,
    #[error("the job's first process ended without a word")]
    Lost,
    #[error("could not hear of the job")]
    Channel(#[source] io::Error),
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
}

impl AsFd for Running {
    /// Becomes readable when the job is done. Does not block.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl std::os::fd::AsRawFd for Running {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&self.channel)
    }
}

impl Running {
    /// What became of the job, once [`as_fd`](AsFd::as_fd) is readable.
    ///
    /// # Errors
    /// It was never started, or is not done.
    pub fn take_report(&self) -> Result<Ended, Stray> {
        let message = match channel::receive(self.channel.as_fd()) {
            Ok(message) if message.bytes.is_empty() => return Err(Stray::Lost),
            Ok(message) => message,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Stray::NotYet),
            Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => {
                return Err(Stray::Lost);
            }
            Err(error) => return Err(Stray::Channel(error)),
        };
        let report = report::decode(&message.bytes, message.fds).ok_or(Stray::Lost)?;
        Ok(report?)
    }

    /// Waits for the job's end, for callers that have nothing else to do.
    ///
    /// # Errors
    /// As [`Self::take_report`].
    pub fn wait(self) -> Result<Ended, Stray> {
        loop {
            let mut fds = [rustix::event::PollFd::new(
                &self.channel,
                rustix::event::PollFlags::IN,
            )];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) => match self.take_report() {
                    Err(Stray::NotYet) => {}
                    report => return report,
                },
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Stray::Channel(error.into())),
            }
        }
    }
}
