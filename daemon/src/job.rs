//! Runs one compiler in the box, and gathers what it leaves.
//!
//! Knows nothing of sockets: whoever waits for the job gives a future that ends when nobody wants it any more.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::WaitStatus;
use rustix::time::{ClockId, clock_gettime};
use sandbox::{Ended, Excess, Job, Limits, NotStarted, Running, Sandbox, Stage, Stray};

use crate::closure::LayoutError;
use crate::work::Workplace;
use crate::{os, shortage};

/// What is the same for all jobs.
#[derive(Debug)]
pub(crate) struct Conditions {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) job_limits: Limits,
    /// The whole environment of a compiler but TMPDIR and PWD.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Added to the daemon's own niceness.
    pub(crate) nice: i32,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) max_output: u64,
    pub(crate) max_object: u64,
}

/// A compiler's command line, ready to run at `place`.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) program: &'a Path,
    /// The words after the compiler's name.
    pub(crate) args: &'a [OsString],
    pub(crate) place: &'a Workplace,
    /// Written before it starts, by absolute names.
    pub(crate) files: &'a [(PathBuf, &'a [u8])],
    /// Where the compiler leaves its product, if it makes one, and after it a dependency file.
    pub(crate) outputs: &'a [PathBuf],
    /// The locale of its messages; `None` leaves the daemon's.
    pub(crate) locale: Option<&'a OsStr>,
    /// Further variables.
    pub(crate) variables: &'a [(OsString, OsString)],
}

/// What a compiler left that ended by itself, or because it used too much.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: WaitStatus,
    pub(crate) stderr: Vec<u8>,
    pub(crate) stdout: Vec<u8>,
    /// Empty unless the status is success.
    pub(crate) product: Vec<u8>,
    /// The same of the second output; empty where none was wanted.
    pub(crate) depfile: Vec<u8>,
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
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error("the box failed")]
    Box(#[from] Stray),
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

/// Runs the compiler to its end, or to that of `unwanted` or of the time it has. What is left of it then ends within moments, also
/// when the future is dropped.
pub(crate) async fn run(
    plan: &Plan<'_>,
    conditions: &Conditions,
    unwanted: impl Future<Output = ()>,
) -> Result<Finished, JobError> {
    tokio::pin!(unwanted);
    let over = limit(conditions.lifetime);
    tokio::pin!(over);
    loop {
        let ended = async {
            let (running, sent) = start(plan, conditions).await?;
            let report = report(running).await;
            Ok::<_, JobError>((report, sent))
        };
        let (report, sent) = tokio::select! {
            ended = ended => ended?,
            () = &mut unwanted => return Err(JobError::Unwanted),
            () = &mut over => return Err(JobError::OutOfTime(conditions.lifetime.unwrap_or_default())),
        };
        match report {
            Ok(ended) => return finish(ended, &sent, conditions),
            Err(Stray::NotStarted(NotStarted {
                stage: Stage::Wait,
                source,
            })) if shortage::is_shortage(&source) => {
                // The box could start no process just now.
                tokio::time::sleep(shortage::BACK_OFF).await;
            }
            Err(Stray::NotStarted(NotStarted {
                stage: Stage::Exec,
                source,
            })) => {
                let program = plan.program.display().to_string();
                return Err(JobError::Start { program, source });
            }
            Err(stray) => return Err(stray.into()),
        }
    }
}

async fn limit(lifetime: Option<Duration>) {
    match lifetime {
        Some(lifetime) => tokio::time::sleep(lifetime).await,
        None => std::future::pending().await,
    }
}

/// One moment by two clocks.
struct Sent {
    at: Instant,
    /// As the box tells time.
    monotonic: Duration,
}

impl Sent {
    fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
        Self {
            at: Instant::now(),
            monotonic: Duration::new(seconds, nanos),
        }
    }

    fn instant(&self, monotonic: Duration) -> Instant {
        self.at + monotonic.saturating_sub(self.monotonic)
    }
}

async fn start(plan: &Plan<'_>, conditions: &Conditions) -> Result<(Running, Sent), JobError> {
    let mut words = Vec::with_capacity(plan.args.len() + 1);
    words.push(plan.program.into());
    words.extend_from_slice(plan.args);
    let environment = environment(plan, conditions);
    let job = Job {
        program: plan.program,
        words: &words,
        environment: &environment,
        cwd: plan.place.path(),
        place: plan.place.in_box(),
        files: plan.files,
        outputs: plan.outputs,
        limits: conditions.job_limits,
        nice: conditions.nice,
        oom_score_adj: conditions.oom_score_adj,
    };
    let sent = Sent::now();
    let running = shortage::wait_out(|| conditions.sandbox.run(&job)).await;
    let what = "its order for the box";
    let running = running.map_err(|source| JobError::Prepare { what, source })?;
    Ok((running, sent))
}

fn environment(plan: &Plan<'_>, conditions: &Conditions) -> Vec<(OsString, OsString)> {
    let mut variables = conditions.environment.clone();
    variables.push(("TMPDIR".into(), plan.place.temporary().into()));
    // By this name, not by the one behind a link: debug information has it so.
    variables.push(("PWD".into(), plan.place.path().into()));
    if let Some(locale) = plan.locale {
        let others = ["LC_ALL", "LANGUAGE", "GCC_COLORS", "GCC_URLS", "TERM_URLS"];
        variables.retain(|(name, _)| !others.iter().any(|other| name == other));
        variables.push(("LC_ALL".into(), locale.into()));
    }
    for (name, value) in plan.variables {
        variables.retain(|(other, _)| other != name);
        variables.push((name.clone(), value.clone()));
    }
    variables
}

async fn report(running: Running) -> Result<Ended, Stray> {
    let watched = os::watch(running).map_err(Stray::Channel)?;
    loop {
        let mut ready = watched.readable().await.map_err(Stray::Channel)?;
        match watched.get_ref().take_report() {
            Err(Stray::NotYet) => ready.clear_ready(),
            report => return report,
        }
    }
}

fn finish(ended: Ended, sent: &Sent, conditions: &Conditions) -> Result<Finished, JobError> {
    let Conditions {
        max_output,
        max_object,
        ..
    } = *conditions;
    let mut stderr = read_output(&ended.stderr, "stderr", max_output)?;
    if let Some(excess) = ended.excess {
        stderr.extend_from_slice(sentence(excess, &conditions.job_limits).as_bytes());
    }
    let status = WaitStatus(ended.status);
    // None at all counts as empty, as with stock.
    let output = |at: usize, what: &'static str, max: u64| match ended.outputs.get(at) {
        Some(Some(file)) if status.success() => read_output(file, what, max),
        _ => Ok(Vec::new()),
    };
    Ok(Finished {
        status,
        stdout: read_output(&ended.stdout, "stdout", max_output)?,
        stderr,
        product: output(0, "product", max_object)?,
        depfile: output(1, "dependency file", max_output)?,
        started: sent.instant(ended.started),
        ended: sent.instant(ended.ended),
    })
}

/// What the client is told of a limit.
fn sentence(excess: Excess, limits: &Limits) -> String {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let (limit, option) = match excess {
        Excess::Memory => (
            format!("{} of memory", mib(limits.memory.unwrap_or(0))),
            "memory",
        ),
        Excess::Processes => (
            format!("{} processes", limits.processes.unwrap_or(0)),
            "processes",
        ),
        Excess::Seconds => {
            let seconds = limits.seconds.unwrap_or(0);
            (format!("{seconds} s of processor time"), "cpu")
        }
        Excess::Disk => (format!("{} of files", mib(limits.disk)), "disk"),
    };
    format!(
        "distcc-launchd: this job came to its limit of {limit} (--job-{option} of the daemon)\n"
    )
}

fn read_output(file: &File, what: &'static str, max: u64) -> Result<Vec<u8>, JobError> {
    read(file, max)
        .map_err(|source| JobError::Read { what, source })
        .and_then(|read| match read {
            Ok(bytes) => Ok(bytes),
            Err(len) => Err(JobError::TooLarge { what, len, max }),
        })
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
    use std::io::Write;

    #[test]
    fn too_much_is_not_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"five\n").unwrap();
        assert_eq!(read_output(&file, "stdout", 5).unwrap(), b"five\n");
        let error = read_output(&file, "stdout", 4).unwrap_err();
        assert!(
            matches!(error, JobError::TooLarge { len: 5, max: 4, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn a_limit_is_named_with_its_option() {
        let limits = Limits {
            memory: Some(64 << 20),
            processes: Some(9),
            seconds: Some(7),
            disk: 3 << 20,
        };
        for (excess, words) in [
            (Excess::Memory, "64 MiB of memory (--job-memory "),
            (Excess::Processes, "9 processes (--job-processes "),
            (Excess::Seconds, "7 s of processor time (--job-cpu "),
            (Excess::Disk, "3 MiB of files (--job-disk "),
        ] {
            let said = sentence(excess, &limits);
            assert!(said.contains(words) && said.ends_with('\n'), "{said}");
        }
    }
}
