//! Cgroups: a leaf for each job in which the kernel counts memory and processes of all of it, where somebody gave us
//! a folder to make such leaves in.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::limits::{Excess, Limits};

/// Where the unified hierarchy usually is.
const ROOT: &str = "/sys/fs/cgroup";
/// The leaf in which the caller itself goes on, since a cgroup with leaves may hold no processes.
const OWN: &str = "distccd-self";

/// A folder for leaves.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folder: OwnedFd,
}

/// The cgroup of this process in the unified hierarchy.
///
/// # Errors
/// There is none.
pub(crate) fn own_folder() -> io::Result<PathBuf> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "no unified hierarchy");
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .ok_or_else(missing)?;
    [ROOT.to_owned(), format!("{ROOT}/unified")]
        .into_iter()
        .map(PathBuf::from)
        .find(|root| root.join("cgroup.controllers").exists())
        .map(|root| root.join(path))
        .ok_or_else(missing)
}

impl Cgroup {
    /// Looks whether leaves with limits can be made in `folder`, and moves `movers` into one of their own there.
    ///
    /// # Errors
    /// Nobody gave us that folder, or it counts neither memory nor processes.
    pub(crate) fn new(folder: &Path, movers: &[i32]) -> io::Result<Self> {
        let controllers = fs::read_to_string(folder.join("cgroup.controllers"))?;
        let has = |name| {
            controllers
                .split_whitespace()
                .any(|controller| controller == name)
        };
        if !has("memory") || !has("pids") {
            return Err(io::Error::other("it does not count memory and processes"));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let cgroup = Self {
            folder: rustix::fs::open(folder, flags, Mode::empty())?,
        };
        cgroup.make(OWN)?;
        for pid in movers {
            cgroup.write(OWN, "cgroup.procs", &pid.to_string())?;
        }
        cgroup.write(".", "cgroup.subtree_control", "+memory +pids")?;
        cgroup.make("trial")?;
        let tried = cgroup.write("trial", "memory.max", "max");
        let _ = rustix::fs::unlinkat(&cgroup.folder, "trial", AtFlags::REMOVEDIR);
        tried.map(|()| cgroup)
    }

    fn make(&self, leaf: &str) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.folder, leaf, Mode::from_raw_mode(0o755)) {
            Err(rustix::io::Errno::EXIST) => Ok(()),
            made => Ok(made?),
        }
    }

    fn write(&self, leaf: &str, name: &str, value: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let file = rustix::fs::openat(
            &self.folder,
            format!("{leaf}/{name}"),
            flags,
            Mode::from_raw_mode(0o644),
        )?;
        rustix::io::write(&file, value.as_bytes())?;
        Ok(())
    }

    fn count(&self, leaf: &str, name: &str, what: &str) -> u64 {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, format!("{leaf}/{name}"), flags, Mode::empty());
        let text = file.map(fs::File::from).map(io::read_to_string);
        let Ok(Ok(text)) = text else { return 0 };
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(what)?.strip_prefix(' '));
        line.and_then(|number| number.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Moves this process, and so all that it starts, into a leaf of this number with these limits.
    pub(crate) fn join(&self, number: u64, limits: &Limits) -> io::Result<()> {
        let leaf = leaf(number);
        self.make(&leaf)?;
        if let Some(memory) = limits.memory {
            self.write(&leaf, "memory.max", &memory.to_string())?;
            // Not there without swap.
            let _ = self.write(&leaf, "memory.swap.max", "0");
        }
        if let Some(processes) = limits.processes {
            // The warden is one more.
            self.write(&leaf, "pids.max", &processes.saturating_add(1).to_string())?;
        }
        self.write(&leaf, "cgroup.procs", "0")
    }

    /// The limit that the kernel enforced.
    pub(crate) fn excess(&self, number: u64) -> Option<Excess> {
        let leaf = leaf(number);
        if self.count(&leaf, "memory.events", "oom_kill") > 0 {
            Some(Excess::Memory)
        } else if self.count(&leaf, "pids.events", "max") > 0 {
            Some(Excess::Processes)
        } else {
            None
        }
    }

    /// Removes the leaf of a job whose processes are gone.
    pub(crate) fn remove(&self, number: u64) {
        // Processes that are just going keep it a moment; the next start of ours would not mind one that stayed.
        let _ = rustix::fs::unlinkat(&self.folder, leaf(number), AtFlags::REMOVEDIR);
    }
}

fn leaf(number: u64) -> String {
    format!("job-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        memory: Some(1 << 20),
        processes: Some(8),
        seconds: None,
        disk: 1,
    };

    #[test]
    fn a_leaf_has_the_jobs_limits() {
        let stand_in = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(stand_in.path().join(name)).unwrap();
        fs::write(
            stand_in.path().join("cgroup.controllers"),
            "cpu memory pids\n",
        )
        .unwrap();
        let cgroup = Cgroup::new(stand_in.path(), &[42]).unwrap();
        assert_eq!(read("distccd-self/cgroup.procs"), "42");
        assert_eq!(read("cgroup.subtree_control"), "+memory +pids");
        cgroup.join(7, &LIMITS).unwrap();
        assert_eq!(read("job-7/memory.max"), "1048576");
        assert_eq!(read("job-7/pids.max"), "9");
        assert_eq!(read("job-7/cgroup.procs"), "0");
        assert_eq!(cgroup.excess(7), None);
        fs::write(
            stand_in.path().join("job-7/memory.events"),
            "low 0\noom 1\noom_kill 2\n",
        )
        .unwrap();
        assert_eq!(cgroup.excess(7), Some(Excess::Memory));
        fs::write(stand_in.path().join("job-7/memory.events"), "oom_kill 0\n").unwrap();
        fs::write(stand_in.path().join("job-7/pids.events"), "max 3\n").unwrap();
        assert_eq!(cgroup.excess(7), Some(Excess::Processes));
        cgroup.make("job-8").unwrap();
        cgroup.remove(8);
        assert!(!stand_in.path().join("job-8").exists());
    }

    #[test]
    fn a_folder_without_controllers_is_none() {
        let stand_in = tempfile::tempdir().unwrap();
        assert!(Cgroup::new(stand_in.path(), &[]).is_err());
        fs::write(stand_in.path().join("cgroup.controllers"), "\n").unwrap();
        let error = Cgroup::new(stand_in.path(), &[]).unwrap_err();
        assert!(error.to_string().contains("does not count"), "{error}");
    }
}
