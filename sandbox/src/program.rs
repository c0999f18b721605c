//! How the program of a job is started: its limits, its layers, what it may open.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::files::Printed;
use crate::keeper::Keeper;
use crate::landlock::Access;
use crate::layers::Layer;
use crate::limits::Limits;
use crate::order::{Location, Order};
use crate::os::{self, Exec, Stack};
use crate::paths::c_string;
use crate::report::{NotStarted, Stage, at};

/// Descriptors that a program may have.
const DESCRIPTORS: u64 = 1024;

/// What else this user may run, whose processes count with the jobs' where there is no user namespace.
const OTHERS: u64 = 4096;

/// Starts the program of `order`, held to all layers that there are, as a child of this process.
pub(crate) fn start(
    keeper: &Keeper,
    order: &Order,
    printed: &Printed,
    stack: &mut Stack,
) -> Result<(os::pid_t, OwnedFd), NotStarted> {
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
            // A group of its own, but no session: the kernel shares out the processor by sessions, and making one costs as much as
            // all the rest of this.
            let _ = rustix::process::setpgid(None, None);
            os::ignore_signals(
                &[libc::SIGPIPE, libc::SIGHUP, libc::SIGINT, libc::SIGTERM],
                false,
            );
            os::unblock_signals();
            if let Some(score) = &score {
                set_oom_score(keeper, score);
            }
            os::enter(&cwd).map_err(in_stage(Stage::View))?;
            set_limits(keeper, order).map_err(in_stage(Stage::Limits))?;
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
    let started = os::spawn(stack, &mut body).map_err(at(Stage::Exec))?;
    let (stage, code) = failure;
    if code != 0 {
        os::reap(started.0, true);
        return Err(at(stage)(io::Error::from_raw_os_error(code)));
    }
    Ok(started)
}

/// In the process that becomes the program, which has this for itself although its memory is still another's.
fn set_oom_score(keeper: &Keeper, score: &str) {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let Some(proc) = &keeper.proc else {
        return;
    };
    // What may not be dumped is root's, and this is not. No program runs yet that could make use of the moment.
    let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, c"self/oom_score_adj", flags, Mode::empty());
    // Only root may lower it.
    let _ = file.and_then(|file| rustix::io::write(file, score.as_bytes()));
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// In the process that becomes the program.
fn set_limits(keeper: &Keeper, order: &Order) -> io::Result<()> {
    let Limits {
        memory,
        processes,
        seconds,
        disk,
    } = order.limits;
    os::limit(libc::RLIMIT_CORE, 0, 0)?;
    os::limit(libc::RLIMIT_FSIZE, disk, disk)?;
    let descriptors = keeper.descriptors.min(DESCRIPTORS);
    os::limit(libc::RLIMIT_NOFILE, descriptors, descriptors)?;
    if let Some(memory) = memory {
        os::limit(libc::RLIMIT_DATA, memory, memory)?;
    }
    if let Some(seconds) = seconds {
        // The hard limit kills; the soft one can be caught.
        os::limit(libc::RLIMIT_CPU, seconds, seconds.saturating_add(1))?;
    }
    if processes.is_some()
        && let Some(all) = keeper.processes
    {
        // Counted for all jobs together: only so that one that runs wild between two looks does not stop the machine.
        let all = match keeper.layers.needs_user_namespace() {
            true => all,
            false => all.saturating_add(OTHERS),
        };
        os::limit(libc::RLIMIT_NPROC, all, all)?;
    }
    if order.nice != 0 {
        let own = rustix::process::getpriority_process(None)?;
        // More than root would allow is cut off, not refused.
        let _ = rustix::process::setpriority_process(None, own + order.nice);
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
        let own = ["/dev/null", "/dev/full", "/dev/random", "/dev/urandom"];
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
