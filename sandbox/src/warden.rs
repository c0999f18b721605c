//! The first process of jobs, one after the other: builds a job's view, starts the program, watches it, reports, clears up.
//!
//! It stands between the program and everything else: when the channel to the caller closes it ends all of the job; when the keeper
//! dies it ends itself, and the kernel ends with it whatever is left in its process namespace. Without such a namespace it finds its
//! descendants itself. It goes on to another job only when nothing is left of the last one: no process, no mount, no descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};

use crate::files::{self, Printed};
use crate::keeper::Keeper;
use crate::layers::Layer;
use crate::limits::{self, Excess, Limits};
use crate::order::{Location, Order, Parcel};
use crate::os::{self, Stack};
use crate::pool::Place;
use crate::report::{self, Ended, NotStarted, Stage, at};
use crate::watch::{Look, Watch};
use crate::{channel, program, view};

/// Between two looks at what a job uses.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
/// Longer than that a look takes, or comes late, only where the machine has too much to do.
const PATIENCE: Duration = Duration::from_millis(250);

/// Runs jobs that come by `control` until the caller is gone, or nobody needs this process any more, and ends it.
pub(crate) fn serve(keeper: &Keeper, control: &OwnedFd, place: Place<'_>) -> ! {
    // The keeper ignores it; we wait for ours.
    os::ignore_signals(&[libc::SIGCHLD], false);
    if let Ok(mut warden) = Warden::new(keeper) {
        let mut bytes = vec![0; channel::MAX_BYTES];
        while let Some((number, len, fds)) = next(control, place, &mut bytes) {
            if !warden.serve_one(number, &bytes[..len], fds) || !place.be_free() {
                break;
            }
        }
    }
    os::exit(0)
}

/// Waits for a job: its number, the length of its message and what came beside it.
fn next(
    control: &OwnedFd,
    place: Place<'_>,
    bytes: &mut [u8],
) -> Option<(u64, usize, Vec<OwnedFd>)> {
    loop {
        match channel::receive_into(control.as_fd(), bytes) {
            Ok((0, _)) => return None,
            Ok((len, fds)) => return Some((place.begin(), len, fds)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if place.leave() {
                    return None;
                }
            }
            // Too few descriptors for what came; the sender sees its channel close.
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {}
            Err(_) => return None,
        }
    }
}

struct Warden<'a> {
    keeper: &'a Keeper,
    /// The root that it has between jobs.
    home: Option<OwnedFd>,
    /// Whether a job's view is mounted.
    viewed: bool,
    stack: Stack,
}

/// One job, while it is there.
struct Task<'a> {
    number: u64,
    channel: BorrowedFd<'a>,
    parcel: Parcel<'a>,
}

impl<'a> Warden<'a> {
    fn new(keeper: &'a Keeper) -> io::Result<Self> {
        let views = keeper.layers.has(Layer::Mount);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let home = views.then(|| rustix::fs::open("/", flags, Mode::empty()));
        if !keeper.layers.has(Layer::Pid) {
            // What loses its parent becomes ours, so that it can be found.
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        }
        Ok(Self {
            keeper,
            home: home.transpose()?,
            viewed: false,
            stack: Stack::new(),
        })
    }

    /// Runs one job to its end, or that of its channel. Whether this process is fit for another one.
    fn serve_one(&mut self, number: u64, bytes: &[u8], fds: Vec<OwnedFd>) -> bool {
        let mut fds = fds.into_iter();
        let Some(channel) = fds.next() else {
            return true;
        };
        let parcel = match fds.next() {
            Some(file) => Parcel::File(file.into()),
            None => Parcel::Bytes(bytes),
        };
        let task = Task {
            number,
            channel: channel.as_fd(),
            parcel,
        };
        let (result, gone) = self.run(&task);
        if let Some(result) = result {
            let (bytes, fds) = report::encode(&result);
            // Nobody may be there any more to be told.
            let _ = channel::send(channel.as_fd(), &bytes, &fds);
        }
        // A cgroup is a job's for good, and takes in its warden.
        gone && self.leave_view() && self.keeper.cgroup.is_none()
    }

    /// What is to be told, and whether all processes of the job are gone. `None`: nobody wants the job any more.
    fn run(&mut self, task: &Task<'_>) -> (Option<Result<Ended, NotStarted>>, bool) {
        match self.prepare(task) {
            Ok((order, printed)) => self.run_prepared(task, &order, printed),
            Err(error) => (Some(Err(error)), true),
        }
    }

    /// Everything that can be done before there is another process.
    fn prepare(&mut self, task: &Task<'_>) -> Result<(Order, Printed), NotStarted> {
        let order = task.parcel.order().map_err(at(Stage::Order))?;
        if let Some(cgroup) = &self.keeper.cgroup {
            cgroup
                .join(task.number, &order.limits)
                .map_err(at(Stage::Limits))?;
        }
        let viewed = !matches!(order.location, Location::Folder(_));
        if viewed && !self.keeper.layers.has(Layer::Mount) {
            let error = io::Error::from_raw_os_error(libc::ENOSYS);
            return Err(at(Stage::View)(error));
        }
        let printed = Printed::new().map_err(at(Stage::View))?;
        if viewed {
            view::mount_own(order.limits.disk).map_err(at(Stage::View))?;
            self.viewed = true;
            view::enter(&self.keeper.template, &order).map_err(at(Stage::View))?;
        }
        files::write(&order, &task.parcel).map_err(at(Stage::Files))?;
        Ok((order, printed))
    }

    fn run_prepared(
        &mut self,
        task: &Task<'_>,
        order: &Order,
        printed: Printed,
    ) -> (Option<Result<Ended, NotStarted>>, bool) {
        let before = os::used_by_children();
        let started = program::start(self.keeper, order, &printed, &mut self.stack);
        let (pid, pidfd) = match started {
            Ok(started) => started,
            Err(error) => return (Some(Err(error)), true),
        };
        let started = now();
        let watch = Watch::new(self.keeper.proc.as_ref(), order.limits, before);
        let holds = self.keeper.layers.has(Layer::Pid);
        let waited = wait(pidfd.as_fd(), task.channel, &watch, holds);
        let mut excess = match waited {
            Ok(Some(excess)) => excess,
            Ok(None) => return (None, self.end_all(pid, &watch).is_some()),
            Err(error) => {
                let gone = self.end_all(pid, &watch).is_some();
                return (Some(Err(at(Stage::Wait)(error))), gone);
            }
        };
        if excess.is_some() {
            os::kill(pid);
        }
        let reaped = os::reap(pid, true);
        let (status, peak) = reaped.map_or((0, 0), |reaped| (reaped.status, reaped.peak));
        let ended = now();
        let others = self.end_all(pid, &watch);
        let seconds = os::used_by_children() - before;
        if status != 0 && excess.is_none() {
            excess = self.excess(task.number, status, &order.limits, seconds, &printed);
        }
        let outputs = order.outputs.iter();
        let outputs = outputs
            .map(|path| files::open_output(&order.location, path))
            .collect();
        let Printed { stdout, stderr } = printed;
        let cpu_us = (seconds * 1e6) as u64;
        let report = Ended {
            status,
            stdout,
            stderr,
            outputs,
            excess,
            started,
            ended,
            cpu_us,
            peak: peak.max(others.unwrap_or(0)),
        };
        (Some(Ok(report)), others.is_some())
    }

    /// Which limit a failed program met.
    fn excess(
        &self,
        number: u64,
        status: u32,
        limits: &Limits,
        seconds: f64,
        printed: &Printed,
    ) -> Option<Excess> {
        match (status & 0x7f).cast_signed() {
            libc::SIGXCPU => return Some(Excess::Seconds),
            libc::SIGXFSZ => return Some(Excess::Disk),
            _ => {}
        }
        if limits.seconds.is_some_and(|limit| seconds >= limit as f64) {
            return Some(Excess::Seconds);
        }
        let cgroup = self.keeper.cgroup.as_ref();
        let counted = cgroup.and_then(|cgroup| cgroup.excess(number));
        counted.or_else(|| limits::complaint(&files::last_words(&printed.stderr)))
    }

    /// Ends and reaps whatever the job has left: the most memory that one of them had. `None`: something may still be there.
    fn end_all(&self, program: os::pid_t, watch: &Watch<'_>) -> Option<u64> {
        let mut peak = 0;
        if self.keeper.layers.has(Layer::Pid) {
            // All of the namespace but ourselves. Whoever is in it comes of a child of ours; as a rule nobody does, and the kernel would
            // look at every process of the machine.
            if !os::has_children() {
                return Some(0);
            }
            os::kill(-1);
            while let Some(reaped) = os::reap(-1, true) {
                peak = reaped.peak.max(peak);
            }
            return Some(peak);
        }
        if self.keeper.proc.is_none() {
            // All that can be found without it.
            os::kill(-program);
            while os::reap(-1, false).is_some() {}
            return (!os::has_children()).then_some(peak);
        }
        // As a rule there is nothing left, and nothing to look for.
        while os::has_children() {
            watch.descendants(&mut |pid| os::kill(pid));
            peak = os::reap(-1, true).map_or(peak, |reaped| reaped.peak.max(peak));
        }
        Some(peak)
    }

    /// Takes away what was mounted for a job. Whether nothing of it is left.
    fn leave_view(&mut self) -> bool {
        let left = match &self.home {
            Some(home) if self.viewed => view::leave(home),
            _ => Ok(()),
        };
        self.viewed = left.is_err();
        left.is_ok()
    }
}

/// Waits for the program's end, or until it had too much, or until nobody wants it (`None`). `holds`: all that can be signalled is
/// the job's.
fn wait(
    program: BorrowedFd<'_>,
    channel: BorrowedFd<'_>,
    watch: &Watch<'_>,
    holds: bool,
) -> io::Result<Option<Option<Excess>>> {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(program, PollFlags::IN),
            PollFd::from_borrowed_fd(channel, PollFlags::IN),
        ];
        let before = now();
        match poll(&mut fds, Some(&LOOK)) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(0) => {
                let late = holds && now().saturating_sub(before) > PATIENCE;
                if let Some(excess) = look(watch, holds, late) {
                    return Ok(Some(Some(excess)));
                }
                continue;
            }
            Ok(_) => {}
        }
        let [program, channel] = fds.map(|fd| !fd.revents().is_empty());
        if program {
            return Ok(Some(None));
        }
        if channel {
            return Ok(None);
        }
    }
}

/// What the job has too much of. The processes of one that runs wild leave no processor for who would count them: they are held meanwhile.
fn look(watch: &Watch<'_>, holds: bool, late: bool) -> Option<Excess> {
    let first = match late {
        true => Look::Slow,
        false => watch.look(holds.then_some(PATIENCE)),
    };
    let seen = match first {
        Look::Slow => {
            os::hold_all();
            let seen = watch.look(None);
            if seen == Look::Fine {
                os::let_all_go();
            }
            seen
        }
        seen => seen,
    };
    match seen {
        Look::Excess(excess) => Some(excess),
        Look::Fine | Look::Slow => None,
    }
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), nanos)
}
