//! What a running job uses, by /proc: all its processes, their memory and processor time, against its limits.
//!
//! /proc is reached by a descriptor that was opened before the machine's files were left behind. Where there is none, nothing is
//! seen, and limits of single processes are all there is.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

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

#[derive(Debug, Default)]
struct Used {
    tasks: u64,
    pages: u64,
    ticks: u64,
}

/// Deeper than any job's processes are nested.
const DEPTH: usize = 64;
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

    /// What the job has too much of at this moment.
    pub(crate) fn look(&self) -> Option<Excess> {
        let mut used = Used::default();
        self.descend("thread-self", DEPTH, &mut |pid| self.add(pid, &mut used));
        let done = os::used_by_children() - self.before;
        let Limits {
            memory,
            processes,
            seconds,
            ..
        } = self.limits;
        let page = rustix::param::page_size() as u64;
        let over = |limit: Option<u64>, used: u64| limit.is_some_and(|limit| used > limit);
        let time = done + (used.ticks / TICKS) as f64;
        if over(processes, used.tasks) {
            Some(Excess::Processes)
        } else if over(memory, used.pages.saturating_mul(page)) {
            Some(Excess::Memory)
        } else if seconds.is_some_and(|limit| time > limit as f64 + 1.0) {
            Some(Excess::Seconds)
        } else {
            None
        }
    }

    /// Calls `found` with each process below this one that can be seen, by the number that it has in this process's own view.
    pub(crate) fn descendants(&self, found: &mut dyn FnMut(os::pid_t)) {
        self.descend("thread-self", DEPTH, &mut |pid| found(pid));
    }

    /// Processes whose parent is a task that `task` names (below /proc), and theirs.
    fn descend(&self, task: &str, depth: usize, found: &mut dyn FnMut(os::pid_t)) {
        let Some(children) = self.read(&format!("{task}/children")) else {
            return;
        };
        let children: Vec<os::pid_t> = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        for pid in children {
            found(pid);
            if depth == 0 {
                continue;
            }
            for thread in self.threads(pid) {
                self.descend(&format!("{pid}/task/{thread}"), depth - 1, found);
            }
        }
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
        if let Some(memory) = self.read(&format!("{pid}/statm")) {
            let pages: Vec<u64> = memory
                .split_whitespace()
                .map(|field| field.parse().unwrap_or(0))
                .collect();
            let page = |at: usize| pages.get(at).copied().unwrap_or(0);
            // What is shared is files, the toolchain's for the most part.
            used.pages += page(1).saturating_sub(page(2));
        }
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
