//! The commands at work: a few at a time, each in a process group of its own, each with streams of its own.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Resource, Signal, WaitId, WaitIdOptions};

use super::os;
use super::plan::{Plan, Unit};
use super::report::Report;
use crate::settings::Settings;

/// A command that ended.
pub(super) struct Finished<'p> {
    pub(super) unit: &'p Unit,
    /// An error when it could not be started.
    pub(super) status: io::Result<ExitStatus>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// What it would have written into the journal.
    pub(super) journal: Vec<u8>,
}

/// Runs the whole plan; gives the exit code.
pub(super) fn run(settings: &Settings, plan: &Plan, jobs: u32, skip_unknown: bool) -> i32 {
    let children = Arc::new(Children::default());
    let heard = Arc::clone(&children);
    if let Err(error) = os::listen(move |signal| heard.stop(signal)) {
        eprintln!("distcc-launch: Ctrl-C will leave commands running: {error}");
    }
    let mut report = Report::begin(plan, settings.journal_path());
    if !skip_unknown {
        report.refuse(&plan.unknown);
    }
    for units in [&plan.first, &plan.rest] {
        run_all(units, jobs, &children, &mut report);
    }
    let signal = children.lock().signal;
    let code = report.end(skip_unknown, signal.is_some());
    signal.map_or(code, crate::os::end_by)
}

/// Runs `units`, `jobs` at a time, and tells each as it ends.
fn run_all<'p>(units: &'p [Unit], jobs: u32, children: &Children, report: &mut Report<'p>) {
    let workers = (jobs as usize).min(units.len()).min(most_workers());
    let next = AtomicUsize::new(0);
    let (ended, finished) = channel();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (ended, next) = (ended.clone(), &next);
            let work = move || work(units, next, children, &ended);
            let stack = std::thread::Builder::new().stack_size(256 << 10);
            if stack.spawn_scoped(scope, work).is_err() {
                // Fewer at a time, then.
                break;
            }
        }
        drop(ended);
        for one in finished {
            report.unit(&one);
        }
    });
    if next.load(Ordering::Relaxed) == 0 && !units.is_empty() && !children.stopping() {
        // Not even one thread could be had.
        let (ended, finished) = channel();
        work(units, &next, children, &ended);
        drop(ended);
        finished.iter().for_each(|one| report.unit(&one));
    }
}

/// Each command at work takes some descriptors: three files and what starting it needs.
fn most_workers() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(usize::MAX, |limit| (limit.saturating_sub(40) / 5).max(1))
}

/// Takes units until none is left.
fn work<'p>(
    units: &'p [Unit],
    next: &AtomicUsize,
    children: &Children,
    ended: &Sender<Finished<'p>>,
) {
    while !children.stopping() {
        let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) else {
            break;
        };
        let mut finished = Finished {
            unit,
            status: Err(io::Error::from(io::ErrorKind::Interrupted)),
            stdout: Vec::new(),
            stderr: Vec::new(),
            journal: Vec::new(),
        };
        finished.status = compile(unit, children, &mut finished);
        let succeeded = finished.status.as_ref().is_ok_and(ExitStatus::success);
        if children.stopping() && !succeeded {
            // That is our doing, no failure of its own.
            break;
        }
        if ended.send(finished).is_err() {
            break;
        }
    }
}

/// Runs one command to its end.
fn compile(
    unit: &Unit,
    children: &Children,
    finished: &mut Finished<'_>,
) -> io::Result<ExitStatus> {
    if !unit.folder.is_dir() {
        let text = format!("there is no folder {}", unit.folder.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    if let Some(folder) = unit.output.as_deref().and_then(|output| output.parent()) {
        // Build tools make the folders of outputs, compilers do not.  Where that fails the compiler says what is wrong.
        let _ = std::fs::create_dir_all(folder);
    }
    let [mut stdout, mut stderr, mut journal] = [memory()?, memory()?, memory()?];
    let journal_path = format!("/proc/{}/fd/{}", std::process::id(), journal.as_raw_fd());
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("distcc-launch")
        .args(&unit.words)
        .current_dir(&unit.folder)
        .env("PWD", &unit.folder)
        .env("DISTCC_LAUNCH_JOURNAL", journal_path)
        .env_remove(crate::settings::LEVEL)
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(stdout.try_clone()?))
        .stderr(OwnedFd::from(stderr.try_clone()?))
        .process_group(0);
    let status = children.run(&mut command)?;
    drop(command);
    for (file, bytes) in [
        (&mut stdout, &mut finished.stdout),
        (&mut stderr, &mut finished.stderr),
        (&mut journal, &mut finished.journal),
    ] {
        file.rewind()?;
        file.read_to_end(bytes)?;
    }
    Ok(status)
}

/// A file without a name, which is not inherited.
fn memory() -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create(
        "compile",
        MemfdFlags::CLOEXEC,
    )?))
}

/// The process groups that are at work.
#[derive(Default)]
struct Children {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    groups: HashSet<u32>,
    /// The first signal that came.
    signal: Option<i32>,
}

impl Children {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.lock().signal.is_some()
    }

    /// Ends all groups and starts no more; at the second signal without giving them time.
    fn stop(&self, signal: i32) {
        let mut state = self.lock();
        let how = match state.signal {
            None => Signal::TERM,
            Some(_) => Signal::KILL,
        };
        state.signal.get_or_insert(signal);
        for group in &state.groups {
            kill(*group, how);
        }
    }

    fn run(&self, command: &mut Command) -> io::Result<ExitStatus> {
        let mut child = {
            let mut state = self.lock();
            if state.signal.is_some() {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            let child = command.spawn()?;
            state.groups.insert(child.id());
            child
        };
        wait_without_reaping(&child);
        // Its number is still its own, so no signal can meet a stranger's group.
        self.lock().groups.remove(&child.id());
        child.wait()
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

fn kill(group: u32, signal: Signal) {
    if let Some(group) = pid(group) {
        // One that has just ended needs no signal.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

fn wait_without_reaping(child: &Child) {
    let Some(child) = pid(child.id()) else { return };
    let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(child), how) {}
}
