//! Words about the box and what jobs may use.

use std::path::PathBuf;

use sandbox::Layers;

use crate::boxed::Wanted;

#[derive(Debug, clap::Args)]
pub(super) struct BoxWords {
    /// Layers of the box around compilers: off, all, or some of mount,pid,net,seccomp,landlock,cgroup
    #[arg(long, value_name = "LAYER,…", help_heading = "The box")]
    sandbox: Option<String>,
    /// Refuse to serve when a layer of the box is missing (cgroup only if it was named)
    #[arg(long, help_heading = "The box")]
    require_sandbox: bool,
    /// Let compilers see this folder, read-only; may be repeated. They see the system's own (/usr, /lib…) and those
    /// around each compiler that is found
    #[arg(long, value_name = "DIR", action = clap::ArgAction::Append, help_heading = "The box")]
    toolchain: Vec<PathBuf>,
    /// Make a leaf for each job in this cgroup (default: the daemon's own, where it was delegated)
    #[arg(long, value_name = "DIR", help_heading = "The box")]
    cgroup: Option<PathBuf>,
    /// Megabytes of memory that a job may use (0: no limit; default: 2048, or half of the machine's)
    #[arg(long, value_name = "MIB", help_heading = "The box")]
    job_memory: Option<u64>,
    /// Processes and threads that a job may have (0: no limit; default: 256)
    #[arg(long, value_name = "N", help_heading = "The box")]
    job_processes: Option<u64>,
    /// Seconds of processor time that a job may use (0: no limit; default: 3600)
    #[arg(long, value_name = "SECONDS", help_heading = "The box")]
    job_cpu: Option<u64>,
    /// Megabytes that a job may write (0: no limit; default: 2048, a quarter of the machine's memory, or what is free
    /// in TMPDIR, whichever is least)
    #[arg(long, value_name = "MIB", help_heading = "The box")]
    job_disk: Option<u64>,
}

impl BoxWords {
    pub(super) fn check(self) -> Result<Wanted, String> {
        let bytes = |mib: u64| mib.saturating_mul(1 << 20);
        let layers = match &self.sandbox {
            Some(words) => words
                .parse()
                .map_err(|error| format!("--sandbox: {error}"))?,
            None => Layers::ALL,
        };
        Ok(Wanted {
            layers,
            named: self.sandbox.is_some_and(|words| words != "all"),
            required: self.require_sandbox,
            folders: self.toolchain,
            cgroup: self.cgroup,
            memory: self.job_memory.map(bytes),
            processes: self.job_processes,
            seconds: self.job_cpu,
            disk: self.job_disk.map(bytes),
        })
    }
}
