//! What a running job uses, by /proc: all its processes, their memory and processor time, against its limits.
//!
//! /proc is reached by a descriptor that was opened before the machine's files were left behind. Where there is none, nothing is
//! seen, and limits of single processes are all there is.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, RawDir};

use crate::limits::{Excess, Limits};
use crate::os;

#[derive(Debug)]
pub(crate) struct Watch<'a> {
    proc: Option<&'a OwnedFd>,
    limits: Limits,
    /// Seconds that children of this process used before there was the job.
    before: f64,
}

/// What was seen of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Fine,
    Excess(Excess),
    /// Nothing yet, and it took long.
    Slow,
}

#[derive(Debug, Default)]
struct Used {
    tasks: u64,
    kib: u64,
    ticks: u64,
}

/// Of `status`: a process's own memory, what it shares that is of no file, what is on disk instead, and tables of all that. What else
/// is shared is files, the toolchain's for the most part.
const MEMORY: [&str; 4] = ["RssAnon:", "RssShmem:", "VmSwap:", "VmPTE:"];
/// The kernel counts time for user programs in hundredths of a second.
const TICKS: u64 = 100;

impl<'a> Watch<'a> {
    pub(crate) fn new(proc: Option<&'a OwnedFd>, limits: Limits, before: f64) -> Self {
        Self {
            proc,
            limits,
            before,
        }
    }

    /// What the job has too much of at this moment. A look that takes longer than `patience` comes to no end.
    pub(crate) fn look(&self, patience: Option<Duration>) -> Look {
        let mut used = Used::default();
        let done = os::used_by_children() - self.before;
        let began = Instant::now();
        let mut seen = self.excess(&used, done).map_or(Look::Fine, Look::Excess);
        // No further than to the first excess: among many that run wild each look at one is dear.
        self.walk(&mut |pid| {
            self.add(pid, &mut used);
            if let Some(excess) = self.excess(&used, done) {
                seen = Look::Excess(excess);
            } else if patience.is_some_and(|patience| began.elapsed() > patience) {
                seen = Look::Slow;
            }
            seen == Look::Fine
        });
        seen
    }

    fn excess(&self, used: &Used, done: f64) -> Option<Excess> {
        let Limits {
            memory,
            processes,
            seconds,
            ..
        } = self.limits;
        let over = |limit: Option<u64>, used: u64| limit.is_some_and(|limit| used > limit);
        let time = done + (used.ticks / TICKS) as f64;
        if over(processes, used.tasks) {
            Some(Excess::Processes)
        } else if over(memory, used.kib.saturating_mul(1024)) {
            Some(Excess::Memory)
        } else if seconds.is_some_and(|limit| time > limit as f64 + 1.0) {
            Some(Excess::Seconds)
        } else {
            None
        }
    }

    /// Calls `found` with each process below this one that can be seen, by the number that it has in this process's own view.
    pub(crate) fn descendants(&self, found: &mut dyn FnMut(os::pid_t)) {
        self.walk(&mut |pid| {
            found(pid);
            true
        });
    }

    /// All processes below this one, parents first, for as long as `found` wants more.
    fn walk(&self, found: &mut dyn FnMut(os::pid_t) -> bool) {
        let mut left = self.children("thread-self");
        while let Some(pid) = left.pop() {
            if !found(pid) {
                return;
            }
            for thread in self.threads(pid) {
                left.extend(self.children(&format!("{pid}/task/{thread}")));
            }
        }
    }

    /// Processes whose parent is a task that `task` names (below /proc).
    fn children(&self, task: &str) -> Vec<os::pid_t> {
        let children = self.read(&format!("{task}/children")).unwrap_or_default();
        let children = children.split_whitespace();
        children.filter_map(|pid| pid.parse().ok()).collect()
    }

    fn threads(&self, pid: os::pid_t) -> Vec<String> {
        let Some(proc) = self.proc else {
            return Vec::new();
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = rustix::fs::openat(proc, format!("{pid}/task"), flags, Mode::empty())
        else {
            return Vec::new();
        };
        let mut space = [std::mem::MaybeUninit::uninit(); 4096];
        let mut entries = RawDir::new(folder, &mut space);
        let mut threads = Vec::new();
        while let Some(Ok(entry)) = entries.next() {
            let name = entry.file_name().to_string_lossy();
            if name.bytes().all(|byte| byte.is_ascii_digit()) {
                threads.push(name.into_owned());
            }
        }
        threads
    }

    fn add(&self, pid: os::pid_t, used: &mut Used) {
        // Behind the name, which may hold anything: fields 14 to 17 are times, 20 is the number of threads.
        if let Some(stat) = self.read(&format!("{pid}/stat"))
            && let Some((_, fields)) = stat.rsplit_once(')')
        {
            let fields: Vec<u64> = fields
                .split_whitespace()
                .map(|field| field.parse().unwrap_or(0))
                .collect();
            let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
            used.ticks += (14..=17).map(field).sum::<u64>();
            used.tasks += field(20).max(1);
        }
        let about = self.read(&format!("{pid}/status")).unwrap_or_default();
        let lines = about.lines().filter_map(|line| {
            let rest = MEMORY.iter().find_map(|name| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        });
        used.kib += lines.sum::<u64>();
    }

    fn read(&self, path: &str) -> Option<String> {
        let proc = self.proc?;
        let file =
            rustix::fs::openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut text = Vec::new();
        File::from(file).take(1 << 20).read_to_end(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}
