//! The first process of a job: builds its view, starts the program, watches it, and reports.
//!
//! It stands between the program and everything else: when the channel to the caller closes, or the keeper dies, it
//! ends, and the kernel ends with it whatever is left in its process namespace. Without such a namespace it finds its descendants
//! itself.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};

use crate::job::{Location, Order};
use crate::keeper::Keeper;
use crate::landlock::Access;
use crate::layers::Layer;
use crate::limits::{self, Excess, Limits};
use crate::os::{self, Exec};
use crate::paths::{c_string, make_folders};
use crate::report::{self, Ended, NotStarted, Stage, at};
use crate::watch::Watch;
use crate::{channel, view};

/// Between two looks at what a job uses.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
/// How much of what a failed program printed last is searched for complaints.
const LAST_WORDS: u64 = 16 << 10;
/// Bytes that are copied at a time.
const PIECE: usize = 128 << 10;
/// Descriptors that a program may have.
const DESCRIPTORS: u64 = 1024;

/// Runs the job that `order` holds, to its end or that of `channel`, and ends this process.
pub(crate) fn serve(keeper: &Keeper, number: u64, channel: OwnedFd, order: OwnedFd) -> ! {
    // The keeper ignores it; we wait for ours.
    os::ignore_signals(&[libc::SIGCHLD], false);
    let result = Warden {
        keeper,
        number,
        channel: channel.as_fd(),
    }
    .run(File::from(order));
    if let Some(result) = result {
        let (bytes, fds) = report::encode(&result);
        // Nobody may be there any more to be told.
        let _ = channel::send(channel.as_fd(), &bytes, &fds);
    }
    os::exit(0)
}

struct Warden<'a> {
    keeper: &'a Keeper,
    number: u64,
    channel: BorrowedFd<'a>,
}

/// Descriptors of what the program prints.
struct Printed {
    stdout: File,
    stderr: File,
}

impl Warden<'_> {
    /// `None`: nobody wants the job any more.
    fn run(&self, order: File) -> Option<Result<Ended, NotStarted>> {
        match self.prepare(order) {
            Ok((order, printed)) => self.run_prepared(&order, printed).transpose(),
            Err(error) => Some(Err(error)),
        }
    }

    /// Everything that can be done before there is another process.
    fn prepare(&self, file: File) -> Result<(Order, Printed), NotStarted> {
        let order = Order::read(&file).map_err(at(Stage::Order))?;
        if let Some(cgroup) = &self.keeper.cgroup {
            cgroup
                .join(self.number, &order.limits)
                .map_err(at(Stage::Limits))?;
        }
        let viewed = !matches!(order.location, Location::Folder(_));
        if viewed && !self.keeper.layers.has(Layer::Mount) {
            let error = io::Error::from_raw_os_error(libc::ENOSYS);
            return Err(at(Stage::View)(error));
        }
        // In memory, and not in the view: a job that fills its view shall still be able to say so.
        let printed = memory_files().map_err(at(Stage::View))?;
        if viewed {
            let entered = view::mount_own(order.limits.disk)
                .and_then(|()| view::enter(&self.keeper.template, &order));
            entered.map_err(at(Stage::View))?;
        }
        write_files(&order, &file).map_err(at(Stage::Files))?;
        Ok((order, printed))
    }

    fn run_prepared(&self, order: &Order, printed: Printed) -> Result<Option<Ended>, NotStarted> {
        let own_processes = self.keeper.layers.has(Layer::Pid);
        if !own_processes {
            // What loses its parent becomes ours, so that it can be found.
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
                .map_err(io::Error::from)
                .map_err(at(Stage::Limits))?;
        }
        let (pid, pidfd) = self.start(order, &printed)?;
        let started = now();
        let watch = Watch::new(self.keeper.proc.as_ref(), order.limits);
        let waited = self.wait(pidfd.as_fd(), &watch).map_err(at(Stage::Wait));
        let Some(mut excess) = waited? else {
            self.end_all(pid, &watch);
            return Ok(None);
        };
        if excess.is_some() {
            os::kill(pid);
        }
        let status = os::reap(pid, true).map_or(0, |reaped| reaped.status);
        let ended = now();
        self.end_all(pid, &watch);
        let (seconds, peak) = os::used_by_children();
        if status != 0 && excess.is_none() {
            excess = self.excess(status, &order.limits, seconds, &printed.stderr);
        }
        let outputs = order.outputs.iter().map(|path| open_output(path)).collect();
        let Printed { stdout, stderr } = printed;
        let cpu_us = (seconds * 1e6) as u64;
        Ok(Some(Ended {
            status,
            stdout,
            stderr,
            outputs,
            excess,
            started,
            ended,
            cpu_us,
            peak,
        }))
    }

    /// Which limit a failed program met.
    fn excess(&self, status: u32, limits: &Limits, seconds: f64, stderr: &File) -> Option<Excess> {
        match (status & 0x7f).cast_signed() {
            libc::SIGXCPU => return Some(Excess::Seconds),
            libc::SIGXFSZ => return Some(Excess::Disk),
            _ => {}
        }
        if limits.seconds.is_some_and(|limit| seconds >= limit as f64) {
            return Some(Excess::Seconds);
        }
        let counted = self
            .keeper
            .cgroup
            .as_ref()
            .and_then(|cgroup| cgroup.excess(self.number));
        counted.or_else(|| limits::complaint(&last_words(stderr)))
    }

    /// Waits for the program's end, or until it had too much, or until nobody wants it (`None`).
    fn wait(
        &self,
        program: BorrowedFd<'_>,
        watch: &Watch<'_>,
    ) -> io::Result<Option<Option<Excess>>> {
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(program, PollFlags::IN),
                PollFd::from_borrowed_fd(self.channel, PollFlags::IN),
            ];
            match poll(&mut fds, Some(&LOOK)) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(0) => {
                    if let Some(excess) = watch.look() {
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

    /// Ends and reaps whatever the job has left.
    fn end_all(&self, program: os::pid_t, watch: &Watch<'_>) {
        if self.keeper.layers.has(Layer::Pid) {
            // All of the namespace but ourselves.
            os::kill(-1);
            while os::reap(-1, true).is_some() {}
            return;
        }
        if self.keeper.proc.is_none() {
            // All that can be found without it.
            os::kill(-program);
            while os::reap(-1, false).is_some() {}
            return;
        }
        // As a rule there is nothing left, and nothing to look for.
        while os::has_children() {
            watch.descendants(&mut |pid| os::kill(pid));
            os::reap(-1, true);
        }
    }

    fn start(&self, order: &Order, printed: &Printed) -> Result<(os::pid_t, OwnedFd), NotStarted> {
        let keeper = self.keeper;
        let rules = match keeper.landlock {
            Some(landlock) => {
                let allowed = allowed(keeper, order);
                let allowed = allowed
                    .iter()
                    .map(|(path, access)| (path.as_path(), *access));
                Some(landlock.rules(allowed).map_err(at(Stage::Layers))?)
            }
            None => None,
        };
        let cwd = c_string(&order.cwd).map_err(at(Stage::Order))?;
        let exec = Exec::new(
            order.program.clone(),
            order.words.clone(),
            order.environment.clone(),
        );
        let score = order.oom_score_adj.map(|score| score.to_string());
        let fds = [
            rustix::stdio::stdin(),
            printed.stdout.as_fd(),
            printed.stderr.as_fd(),
        ];
        let mut failure = (Stage::Exec, 0);
        let mut body = || {
            let become_program = || -> Result<(), (Stage, io::Error)> {
                let in_stage = |stage| move |error| (stage, error);
                let system = |error: rustix::io::Errno| io::Error::from(error);
                let _ = rustix::process::setsid();
                os::ignore_signals(
                    &[libc::SIGPIPE, libc::SIGHUP, libc::SIGINT, libc::SIGTERM],
                    false,
                );
                os::unblock_signals();
                os::enter(&cwd).map_err(in_stage(Stage::View))?;
                self.set_limits(order, score.as_deref())
                    .map_err(in_stage(Stage::Limits))?;
                if !keeper.layers.has(Layer::Pid) {
                    let kill = Some(rustix::process::Signal::KILL);
                    let set = rustix::process::set_parent_process_death_signal(kill);
                    set.map_err(system).map_err(in_stage(Stage::Limits))?;
                }
                if let Some(rules) = &rules {
                    os::landlock_restrict(rules.as_fd()).map_err(in_stage(Stage::Layers))?;
                }
                os::keep_only(fds).map_err(in_stage(Stage::Layers))?;
                if let Some(filter) = &keeper.filter {
                    filter.install().map_err(in_stage(Stage::Layers))?;
                }
                Err((Stage::Exec, exec.run()))
            };
            if let Err((stage, error)) = become_program() {
                failure = (stage, error.raw_os_error().unwrap_or(libc::EIO));
            }
        };
        let started = os::spawn(&mut body).map_err(at(Stage::Exec))?;
        let (stage, code) = failure;
        if code != 0 {
            os::reap(started.0, true);
            return Err(at(stage)(io::Error::from_raw_os_error(code)));
        }
        Ok(started)
    }

    /// In the process that becomes the program.
    fn set_limits(&self, order: &Order, score: Option<&str>) -> io::Result<()> {
        let Limits {
            memory,
            processes,
            seconds,
            disk,
        } = order.limits;
        os::limit(libc::RLIMIT_CORE, 0, 0)?;
        os::limit(libc::RLIMIT_FSIZE, disk, disk)?;
        let descriptors = self.keeper.descriptors.min(DESCRIPTORS);
        os::limit(libc::RLIMIT_NOFILE, descriptors, descriptors)?;
        if let Some(memory) = memory {
            os::limit(libc::RLIMIT_DATA, memory, memory)?;
        }
        if let Some(seconds) = seconds {
            // The hard limit kills; the soft one can be caught.
            os::limit(libc::RLIMIT_CPU, seconds, seconds.saturating_add(1))?;
        }
        if processes.is_some()
            && let Some(all) = self.keeper.processes
        {
            // Counted for all jobs together: only so that one that runs wild between two looks does not stop the machine.
            os::limit(libc::RLIMIT_NPROC, all, all)?;
        }
        if order.nice != 0 {
            let own = rustix::process::getpriority_process(None)?;
            // More than root would allow is cut off, not refused.
            let _ = rustix::process::setpriority_process(None, own + order.nice);
        }
        if let (Some(score), Some(proc)) = (score, &self.keeper.proc) {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat(proc, "self/oom_score_adj", flags, Mode::empty());
            // Only root may lower it.
            let _ = file.and_then(|file| rustix::io::write(file, score.as_bytes()));
        }
        Ok(())
    }
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), nanos)
}

fn memory_files() -> io::Result<Printed> {
    let make = |name| -> io::Result<File> {
        Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into())
    };
    Ok(Printed {
        stdout: make("stdout")?,
        stderr: make("stderr")?,
    })
}

/// Writes what the job brings, and makes the folders that it will write to.
fn write_files(order: &Order, texts: &File) -> io::Result<()> {
    let files = order.files.iter().map(|(path, _)| path);
    let above = files.chain(&order.outputs).filter_map(|path| path.parent());
    let mut folders: Vec<&Path> = above.chain([order.cwd.as_path()]).collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        make_folders(folder)?;
    }
    let mut from = order.texts_at;
    for (path, len) in &order.files {
        // It may stand for one of the tree, which is not written to but covered.
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?);
        let end = from + len;
        while from < end {
            // By hand: sendfile makes a pipe first.
            let count = usize::try_from(end - from).unwrap_or(usize::MAX).min(PIECE);
            let mut piece = vec![0; count];
            texts.read_exact_at(&mut piece, from)?;
            (&file).write_all(&piece)?;
            from += count as u64;
        }
    }
    Ok(())
}

/// What Landlock lets the program do, beside what the mounts say.
fn allowed(keeper: &Keeper, order: &Order) -> Vec<(PathBuf, Access)> {
    let template = &keeper.template;
    let mut allowed: Vec<(PathBuf, Access)> = Vec::new();
    let mut writable = vec![Path::new("/tmp"), &order.cwd];
    if let Location::Folder(folder) = &order.location {
        writable = vec![folder];
        let etc = crate::toolchain::ETC
            .iter()
            .map(|name| Path::new("/etc").join(name));
        allowed.extend(etc.map(|path| (path, Access::Read)));
        let own = [
            "/dev/null",
            "/dev/zero",
            "/dev/full",
            "/dev/random",
            "/dev/urandom",
        ];
        allowed.extend(own.map(|path| (PathBuf::from(path), Access::Devices)));
        allowed.extend(
            template
                .links
                .iter()
                .map(|(link, _)| (link.clone(), Access::Run)),
        );
    } else {
        allowed.push(("/".into(), Access::Read));
        allowed.push(("/dev".into(), Access::Devices));
    }
    writable.extend(order.outputs.iter().filter_map(|path| path.parent()));
    writable.sort_unstable();
    writable.dedup();
    allowed.extend(
        writable
            .into_iter()
            .map(|path| (path.to_owned(), Access::Write)),
    );
    let programs = template
        .folders
        .iter()
        .filter(|folder| *folder != Path::new("/etc") && *folder != Path::new("/dev"));
    allowed.extend(programs.map(|folder| (folder.clone(), Access::Run)));
    allowed
}

/// The last of what a program printed.
fn last_words(stderr: &File) -> Vec<u8> {
    let len = stderr.metadata().map_or(0, |about| about.len());
    let count = len.min(LAST_WORDS);
    let mut words = vec![0; usize::try_from(count).unwrap_or(0)];
    match stderr.read_exact_at(&mut words, len - count) {
        Ok(()) => words,
        Err(_) => Vec::new(),
    }
}

/// A file that the job left: regular, and not by a link. All of the job's processes are gone.
fn open_output(path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    file.metadata()
        .is_ok_and(|about| about.is_file())
        .then_some(file)
}
