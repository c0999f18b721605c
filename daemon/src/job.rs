//! Runs one compiler in its own folder and process group, and gathers what it leaves.
//!
//! Knows nothing of sockets: whoever waits for the job gives a future that ends when nobody wants it any more.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use protocol::WaitStatus;
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::unix::AsyncFd;

use crate::{log, os, shortage};

/// What is the same for all jobs.
#[derive(Debug)]
pub(crate) struct Conditions {
    /// The whole environment of a compiler but TMPDIR and PWD.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Added to the daemon's own niceness.
    pub(crate) nice: i32,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) max_output: u64,
    pub(crate) max_object: u64,
}

/// A compiler's command line, ready to run in `folder`.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) program: &'a Path,
    pub(crate) args: &'a [OsString],
    pub(crate) folder: &'a Path,
    /// Where the compiler leaves its product.
    pub(crate) product: &'a Path,
    /// The locale of its messages; `None` leaves the daemon's.
    pub(crate) locale: Option<&'static str>,
}

/// What a compiler left that ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: WaitStatus,
    pub(crate) stderr: Vec<u8>,
    pub(crate) stdout: Vec<u8>,
    /// Empty unless the status is success.
    pub(crate) product: Vec<u8>,
    /// When the compiler was there, and when it had ended: the daemon's own clock (`metrics`).
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
}

/// Why there is nothing of a compiler to give back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("could not start {program}")]
    Start { program: String, source: io::Error },
    #[error("could not put the job together: {what}")]
    Prepare {
        what: &'static str,
        source: io::Error,
    },
    #[error("the compile took longer than {0:?}, the limit of --job-lifetime")]
    OutOfTime(Duration),
    #[error("nobody wants the job any more")]
    Unwanted,
    #[error("could not read what the compiler left: {what}")]
    Read {
        what: &'static str,
        source: io::Error,
    },
    #[error("the {what} has {len} bytes; this daemon sends back {max} at most")]
    TooLarge {
        what: &'static str,
        len: u64,
        max: u64,
    },
}

/// Runs the compiler to its end, or to that of `unwanted` or of the time it has. In every case all processes of its
/// group are gone and reaped when this returns, also when the future is dropped.
pub(crate) async fn run(
    plan: &Plan<'_>,
    conditions: &Conditions,
    unwanted: impl Future<Output = ()>,
) -> Result<Finished, JobError> {
    let start = |source| JobError::Start {
        program: plan.program.display().to_string(),
        source,
    };
    tokio::pin!(unwanted);
    let begin = || {
        let (stdout, stderr) = (memory("stdout")?, memory("stderr")?);
        let running = Running::start(plan, conditions, &stdout, &stderr)?;
        Ok((running, stdout, stderr))
    };
    let (mut running, stdout, stderr) = tokio::select! {
        begun = shortage::wait_out(begin) => begun.map_err(start)?,
        () = &mut unwanted => return Err(JobError::Unwanted),
    };
    let started = Instant::now();
    let status = tokio::select! {
        status = running.wait() => status.map_err(|source| JobError::Read { what: "exit status", source })?,
        () = &mut unwanted => return Err(JobError::Unwanted),
        () = limit(conditions.lifetime) => {
            return Err(JobError::OutOfTime(conditions.lifetime.unwrap_or_default()));
        }
    };
    let ended = Instant::now();
    let status = wait_status(status);
    let product = if status.success() {
        read_product(plan.product, conditions.max_object)?
    } else {
        Vec::new()
    };
    Ok(Finished {
        status,
        stderr: read_output(&stderr, "stderr", conditions.max_output)?,
        stdout: read_output(&stdout, "stdout", conditions.max_output)?,
        product,
        started,
        ended,
    })
}

async fn limit(lifetime: Option<Duration>) {
    match lifetime {
        Some(lifetime) => tokio::time::sleep(lifetime).await,
        None => std::future::pending().await,
    }
}

/// A file without a name, for what the compiler prints: cheaper than pipes, and a process that keeps it open holds
/// nobody up.
fn memory(name: &str) -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create(
        name,
        MemfdFlags::CLOEXEC,
    )?))
}

/// A compiler at work. Dropping it ends its whole process group and reaps it.
struct Running {
    child: Child,
    /// Becomes readable when the compiler ends, without reaping it.
    ended: AsyncFd<OwnedFd>,
    reaped: Option<ExitStatus>,
}

impl Running {
    fn start(
        plan: &Plan<'_>,
        conditions: &Conditions,
        stdout: &File,
        stderr: &File,
    ) -> io::Result<Self> {
        // No pre_exec: it would copy the daemon by fork instead of starting the compiler in place (posix_spawn).
        let mut command = Command::new(plan.program);
        command
            .args(plan.args)
            .env_clear()
            .envs(
                conditions
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .env("TMPDIR", plan.folder)
            // By this name, not by the one behind a link: prefix maps have it so.
            .env("PWD", plan.folder)
            .current_dir(plan.folder)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .process_group(0);
        if let Some(locale) = plan.locale {
            command.env("LC_ALL", locale);
            for name in ["LANGUAGE", "GCC_COLORS", "GCC_URLS", "TERM_URLS"] {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn()?;
        let watched = rustix::process::pidfd_open(pid(&child), PidfdFlags::NONBLOCK)
            .map_err(io::Error::from)
            .and_then(os::watch);
        let ended = match watched {
            Ok(ended) => ended,
            Err(error) => {
                end_group(&mut child);
                return Err(error);
            }
        };
        let running = Self {
            child,
            ended,
            reaped: None,
        };
        running.lower_priority(conditions);
        Ok(running)
    }

    /// From outside, since a new process can only be told so by a fork (see above). The compiler's own children
    /// inherit it, and those that it has already are in its group.
    fn lower_priority(&self, conditions: &Conditions) {
        let pid = pid(&self.child);
        if conditions.nice != 0 {
            let own = rustix::process::getpriority_process(None).unwrap_or(0);
            if let Err(error) = rustix::process::setpriority_pgrp(Some(pid), own + conditions.nice)
            {
                log::debug!("could not renice compiler {}: {error}", self.child.id());
            }
        }
        if let Some(score) = conditions.oom_score_adj {
            let path = format!("/proc/{}/oom_score_adj", self.child.id());
            if let Err(error) = std::fs::write(path, score.to_string()) {
                log::debug!(
                    "could not set oom_score_adj of compiler {}: {error}",
                    self.child.id()
                );
            }
        }
    }

    /// Waits for the compiler; then ends what it may have left in its group, while the group's number is still taken.
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let _readable = self.ended.readable().await?;
        let status = end_group(&mut self.child)
            .ok_or_else(|| io::Error::other("it could not be waited for"))?;
        self.reaped = Some(status);
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.reaped.is_none() {
            end_group(&mut self.child);
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Kills the group of a child that was not reaped yet (so that no other process can have its number), and reaps it.
fn end_group(child: &mut Child) -> Option<ExitStatus> {
    if let Err(error) = rustix::process::kill_process_group(pid(child), Signal::KILL) {
        log::debug!(
            "could not end the process group of compiler {}: {error}",
            child.id()
        );
    }
    child
        .wait()
        .inspect_err(|error| log::warning!("could not reap compiler {}: {error}", child.id()))
        .ok()
}

/// std keeps the status as the system gave it, which is what goes over the wire.
fn wait_status(status: ExitStatus) -> WaitStatus {
    WaitStatus(status.into_raw().cast_unsigned())
}

fn read_output(file: &File, what: &'static str, max: u64) -> Result<Vec<u8>, JobError> {
    read(file, max)
        .map_err(|source| JobError::Read { what, source })
        .and_then(|read| match read {
            Ok(bytes) => Ok(bytes),
            Err(len) => Err(JobError::TooLarge { what, len, max }),
        })
}

/// The compiler's product; none at all counts as empty, as with stock.
fn read_product(path: &Path, max: u64) -> Result<Vec<u8>, JobError> {
    let error = |source| JobError::Read {
        what: "product",
        source,
    };
    // A link or a device could stand there: the job's folder is the compiler's to write.
    let flags = rustix::fs::OFlags::RDONLY
        | rustix::fs::OFlags::CLOEXEC
        | rustix::fs::OFlags::NOFOLLOW
        | rustix::fs::OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, rustix::fs::Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
        Err(source) => return Err(error(source.into())),
    };
    if !file.metadata().map_err(error)?.is_file() {
        return Err(error(io::Error::other("it is not a regular file")));
    }
    match read(&file, max).map_err(error)? {
        Ok(bytes) => Ok(bytes),
        Err(len) => Err(JobError::TooLarge {
            what: "product",
            len,
            max,
        }),
    }
}

/// A file's bytes, or its length when that is more than `max`.
fn read(file: &File, max: u64) -> io::Result<Result<Vec<u8>, u64>> {
    let len = file.metadata()?.len();
    let Some(size) = usize::try_from(len).ok().filter(|_| len <= max) else {
        return Ok(Err(len));
    };
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Ok(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions() -> Conditions {
        Conditions {
            environment: std::env::vars_os().collect(),
            nice: 1,
            oom_score_adj: None,
            lifetime: None,
            max_output: 1 << 20,
            max_object: 1 << 20,
        }
    }

    async fn shell(script: &str, conditions: &Conditions) -> Result<Finished, JobError> {
        let folder = tempfile::tempdir().unwrap();
        let args = ["-c", script].map(OsString::from);
        let product = folder.path().join("x.o");
        let plan = Plan {
            program: Path::new("/bin/sh"),
            args: &args,
            folder: folder.path(),
            product: &product,
            locale: None,
        };
        run(&plan, conditions, std::future::pending()).await
    }

    #[tokio::test]
    async fn all_that_a_compiler_leaves_comes_back() {
        // The priority is changed from outside, a moment after the start.
        let script =
            "echo out; echo err >&2; echo object > x.o; until [ $(nice) -ge 1 ]; do :; done";
        let finished = shell(script, &conditions()).await.unwrap();
        assert_eq!(finished.status, WaitStatus::SUCCESS);
        assert_eq!(finished.stdout, b"out\n");
        assert_eq!(finished.stderr, b"err\n");
        assert_eq!(finished.product, b"object\n");
    }

    #[tokio::test]
    async fn a_failure_leaves_no_product() {
        let finished = shell("echo object > x.o; exit 3", &conditions())
            .await
            .unwrap();
        assert_eq!(finished.status, WaitStatus::exited(3));
        assert!(finished.product.is_empty());
        let finished = shell("kill -SEGV $$", &conditions()).await.unwrap();
        assert_eq!(finished.status.signal(), Some(11));
    }

    #[tokio::test]
    async fn no_product_is_an_empty_one() {
        assert!(
            shell("true", &conditions())
                .await
                .unwrap()
                .product
                .is_empty()
        );
    }

    #[tokio::test]
    async fn a_product_that_is_no_file_is_not_followed() {
        for script in ["ln -s /etc/passwd x.o", "mkfifo x.o", "mkdir x.o"] {
            let error = shell(script, &conditions()).await.unwrap_err();
            assert!(
                matches!(
                    error,
                    JobError::Read {
                        what: "product",
                        ..
                    }
                ),
                "{script}: {error:?}"
            );
        }
    }

    #[tokio::test]
    async fn too_much_is_not_sent() {
        let few = Conditions {
            max_output: 3,
            ..conditions()
        };
        let error = shell("echo four", &few).await.unwrap_err();
        assert!(
            matches!(
                error,
                JobError::TooLarge {
                    what: "stdout",
                    len: 5,
                    max: 3
                }
            ),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn time_ends() {
        let short = Conditions {
            lifetime: Some(Duration::from_millis(1)),
            ..conditions()
        };
        assert!(matches!(
            shell("sleep 60", &short).await,
            Err(JobError::OutOfTime(_))
        ));
    }

    #[tokio::test]
    async fn a_missing_program_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("none");
        let plan = Plan {
            program: &program,
            args: &[],
            folder: folder.path(),
            product: &program,
            locale: None,
        };
        let error = run(&plan, &conditions(), std::future::pending())
            .await
            .unwrap_err();
        assert!(matches!(error, JobError::Start { .. }), "{error:?}");
    }
}
