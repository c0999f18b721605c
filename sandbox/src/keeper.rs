//! The keeper: one small process that owns the namespaces and clones wardens, so that one is always free for the next job.
//!
//! It is forked from the caller while that has one thread, so that a warden costs a copy of a small process and not of the
//! caller. It never sees a job, and ends when the caller's end of the channel is gone.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use crate::caller::Setup;
use crate::cgroup::{self, Cgroup};
use crate::channel;
use crate::codec::Writer;
use crate::filter::Filter;
use crate::landlock::Landlock;
use crate::layers::{Layer, Layers};
use crate::order::Order;
use crate::os::{self, Forked};
use crate::pool::{Gone, Pool};
use crate::template::Template;
use crate::{trial, warden};

/// Before another try to clone a warden, when the system was short of something.
const AGAIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// What all jobs have in common.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    pub(crate) layers: Layers,
    pub(crate) template: Template,
    pub(crate) landlock: Option<Landlock>,
    pub(crate) filter: Option<Filter>,
    pub(crate) cgroup: Option<Cgroup>,
    /// The machine's /proc, as it is for the keeper.
    pub(crate) proc: Option<OwnedFd>,
    /// Descriptors that this process may have.
    pub(crate) descriptors: u64,
    /// Processes of all jobs together.
    pub(crate) processes: Option<u64>,
    /// Wardens that may wait for jobs.
    wardens: usize,
    /// Layers that were wanted and are not there, and why.
    missing: Vec<(Layer, io::Error)>,
    store: Option<OwnedFd>,
}

/// Sets up, tells the caller, and serves it to its end.
pub(crate) fn run(setup: &Setup, control: OwnedFd) -> ! {
    let result = Keeper::start(setup, &control);
    match result {
        Ok(keeper) => keeper.serve(&control),
        Err(error) => {
            let mut bytes = Writer::default();
            bytes.number(
                error
                    .raw_os_error()
                    .unwrap_or(libc::EIO)
                    .cast_unsigned()
                    .into(),
            );
            let _ = channel::send(control.as_fd(), &bytes.0, &[]);
            os::exit(1)
        }
    }
}

impl Keeper {
    fn start(setup: &Setup, control: &OwnedFd) -> io::Result<Self> {
        // Signals for the caller's group are the caller's to heed: jobs may go on for a while.
        os::ignore_signals(
            &[libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGPIPE],
            true,
        );
        if let Some((uid, gid)) = setup.become_user {
            os::become_user(uid, gid)?;
        }
        rustix::thread::set_no_new_privs(true)?;
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let mut keeper = Self {
            descriptors: descriptors.current.unwrap_or(u64::MAX),
            processes: setup.processes,
            wardens: setup.kept_wardens,
            template: Template::of(&setup.folders),
            ..Self::default()
        };
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        keeper.proc = rustix::fs::open("/proc", folder, Mode::empty()).ok();
        keeper.find_layers(setup);
        keeper.report(control)?;
        Ok(keeper)
    }

    /// Tries each layer that is wanted.
    fn find_layers(&mut self, setup: &Setup) {
        let wanted = setup.wanted;
        if wanted.has(Layer::Cgroup) {
            let found = self.find_cgroup(setup.cgroup.as_deref());
            self.note(Layer::Cgroup, found);
        }
        if wanted.needs_user_namespace() {
            let entered = enter_user_namespace();
            self.find_namespaces(setup, entered);
        }
        if wanted.has(Layer::Landlock) {
            let found = Landlock::new().and_then(|landlock| {
                trial::landlock(landlock)?;
                self.landlock = Some(landlock);
                Ok(())
            });
            self.note(Layer::Landlock, found);
        }
        if wanted.has(Layer::Seccomp) {
            let found = Filter::new(self.layers).and_then(|filter| {
                trial::filter(&filter)?;
                // For itself too: from here on it only clones.
                filter.install_common()?;
                self.filter = Some(filter);
                Ok(())
            });
            self.note(Layer::Seccomp, found);
        }
    }

    fn find_namespaces(&mut self, setup: &Setup, entered: io::Result<()>) {
        let each = |error: &io::Error| {
            io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EPERM))
        };
        for layer in [Layer::Net, Layer::Mount, Layer::Pid] {
            if !setup.wanted.has(layer) {
                continue;
            }
            let found = match &entered {
                Err(error) => Err(each(error)),
                Ok(()) => match layer {
                    Layer::Net => leave_network(),
                    Layer::Mount => self.leave_files(setup),
                    _ => trial::processes(),
                },
            };
            self.note(layer, found);
        }
    }

    fn find_cgroup(&mut self, folder: Option<&Path>) -> io::Result<()> {
        let folder = folder.map_or_else(cgroup::own_folder, |folder| Ok(PathBuf::from(folder)))?;
        let movers = [
            rustix::process::getpid(),
            rustix::process::getppid().unwrap_or(rustix::process::getpid()),
        ];
        let movers = movers.map(|pid| pid.as_raw_nonzero().get());
        self.cgroup = Some(Cgroup::new(&folder, &movers)?);
        Ok(())
    }

    fn leave_files(&mut self, setup: &Setup) -> io::Result<()> {
        os::unshare(libc::CLONE_NEWNS)?;
        self.store = Some(self.template.build(setup.store_bytes)?);
        trial::view(&self.template)
    }

    fn note(&mut self, layer: Layer, found: io::Result<()>) {
        match found {
            Ok(()) => self.layers = self.layers.with(layer),
            Err(error) => self.missing.push((layer, error)),
        }
    }

    /// What the caller has to know: an error's code (0), layers, what is missing, the template, the store.
    fn report(&self, control: &OwnedFd) -> io::Result<()> {
        let mut bytes = Writer::default();
        bytes.number(0);
        bytes.number(self.layers.bits().into());
        bytes.number(self.missing.len() as u64);
        for (layer, error) in &self.missing {
            bytes.number(u64::from(*layer as u8));
            bytes.word(error.to_string());
        }
        bytes.words(self.template.folders.iter());
        bytes.number(self.template.links.len() as u64);
        for (link, target) in &self.template.links {
            bytes.word(link);
            bytes.word(target);
        }
        let fds: Vec<BorrowedFd<'_>> = self.store.iter().map(AsFd::as_fd).collect();
        channel::send(control.as_fd(), &bytes.0, &fds)
    }

    /// Sees that a warden is always free, until the caller is gone.
    fn serve(&self, control: &OwnedFd) -> ! {
        let (Ok(pool), Ok(children)) = (Pool::new(self.wardens), os::watch_children()) else {
            os::exit(1)
        };
        let mut wardens: Vec<(os::pid_t, usize)> = Vec::new();
        loop {
            let enough = self.fill(&pool, control, &mut wardens);
            let mut fds = [
                // Only for its end: what comes is the wardens'.
                PollFd::new(control, PollFlags::empty()),
                PollFd::new(&pool.bell, PollFlags::IN),
                PollFd::new(&children, PollFlags::IN),
            ];
            let patience = if enough { None } else { Some(&AGAIN) };
            match poll(&mut fds, patience) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => os::exit(1),
                Ok(_) => {}
            }
            let [gone, rung, ended] = fds.map(|fd| !fd.revents().is_empty());
            if rung {
                pool.hush();
            }
            if ended {
                let mut waste = [0; 1024];
                let _ = rustix::io::read(&children, &mut waste);
                while let Some(reaped) = os::reap(-1, false) {
                    self.bury(&pool, &mut wardens, reaped.pid);
                }
            }
            if gone {
                break;
            }
        }
        // Wardens see it too, and the ends of their jobs' channels, and clear up.
        while let Some(reaped) = os::reap(-1, true) {
            self.bury(&pool, &mut wardens, reaped.pid);
        }
        os::exit(0)
    }

    /// Clones wardens until one is free. Whether that came out; else the system is short of something.
    fn fill(&self, pool: &Pool, control: &OwnedFd, wardens: &mut Vec<(os::pid_t, usize)>) -> bool {
        while !pool.has_free() {
            let Some(at) = pool.take_place() else {
                // The next one that becomes free is enough.
                return true;
            };
            match os::fork(self.flags()) {
                Ok(Forked::Parent(pid)) => wardens.push((pid, at)),
                Ok(Forked::Child) => {
                    if self.layers.has(Layer::Pid) {
                        let kill = Some(rustix::process::Signal::KILL);
                        let _ = rustix::process::set_parent_process_death_signal(kill);
                    }
                    let _ = rustix::process::setsid();
                    warden::serve(self, control, pool.place(at))
                }
                Err(_) => {
                    pool.clear(at);
                    return false;
                }
            }
        }
        true
    }

    fn bury(&self, pool: &Pool, wardens: &mut Vec<(os::pid_t, usize)>, pid: os::pid_t) {
        let Some(at) = wardens.iter().position(|(known, _)| *known == pid) else {
            return;
        };
        let (_, place) = wardens.swap_remove(at);
        match (pool.clear(place), &self.cgroup) {
            (Gone::With(number), Some(cgroup)) => cgroup.remove(number),
            // Whatever it died of, the next one may too: not at once.
            (Gone::Early, _) => {
                let _ = poll(&mut [], Some(&AGAIN));
            }
            _ => {}
        }
    }

    fn flags(&self) -> libc::c_int {
        let mut flags = 0;
        if self.layers.has(Layer::Mount) {
            flags |= libc::CLONE_NEWNS;
        }
        if self.layers.has(Layer::Pid) {
            flags |= libc::CLONE_NEWPID;
        }
        flags
    }
}

/// Becomes the owner of a user namespace with nobody in it but this user.
fn enter_user_namespace() -> io::Result<()> {
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    // After a change of user /proc/self belongs to root, and the maps could not be written.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)?;
    os::unshare(libc::CLONE_NEWUSER)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    os::lock_capabilities()
}

/// An empty network for all jobs, with System V objects and a host's name of its own.
fn leave_network() -> io::Result<()> {
    os::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS)?;
    Ok(rustix::system::sethostname(b"box")?)
}

/// Leaves nothing open but standard streams to nowhere and `control`, which comes out under another number.
pub(crate) fn close_others(control: OwnedFd) -> io::Result<OwnedFd> {
    let control = os::above_standard(control)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    os::close_but(control.as_raw_fd())?;
    Ok(control)
}

/// For trials: an order that asks for nothing.
pub(crate) fn empty_order() -> Order {
    Order {
        program: c"/".to_owned(),
        words: Vec::new(),
        environment: Vec::new(),
        cwd: "/usr/include".into(),
        location: crate::order::Location::View,
        files: Vec::new(),
        outputs: Vec::new(),
        limits: crate::limits::Limits {
            memory: None,
            processes: None,
            seconds: None,
            disk: 1 << 20,
        },
        nice: 0,
        oom_score_adj: None,
        texts_at: 0,
    }
}
