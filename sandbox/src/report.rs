//! What became of a job, from its warden to the caller.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::codec::{Reader, Writer};
use crate::limits::Excess;

/// A program that ran to its end, or to that of what it may use.
#[derive(Debug)]
pub struct Ended {
    /// As `wait` gives it.
    pub status: u32,
    pub stdout: File,
    pub stderr: File,
    /// One for each wanted file: `None` where it was not made or is no regular file.
    pub outputs: Vec<Option<File>>,
    /// What it had too much of, if that ended it.
    pub excess: Option<Excess>,
    /// When the program started and when it had ended, by CLOCK_MONOTONIC.
    pub started: Duration,
    pub ended: Duration,
    /// Microseconds of processor time of the program and its children.
    pub cpu_us: u64,
    /// Bytes that the largest of its processes had in memory.
    pub peak: u64,
}

/// How far a job came that was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Reading the order.
    Order,
    /// Making its root.
    View,
    /// Writing its files.
    Files,
    /// Setting its limits.
    Limits,
    /// Closing it in.
    Layers,
    /// Becoming the program.
    Exec,
    /// Waiting for it.
    Wait,
}

const STAGES: [(Stage, &str); 7] = [
    (Stage::Order, "read the job"),
    (Stage::View, "make its root"),
    (Stage::Files, "write its files"),
    (Stage::Limits, "set its limits"),
    (Stage::Layers, "close it in"),
    (Stage::Exec, "start the program"),
    (Stage::Wait, "wait for it"),
];

/// Why a job was not run.
#[derive(Debug, thiserror::Error)]
#[error("could not {}", STAGES[*stage as usize].1)]
pub struct NotStarted {
    pub stage: Stage,
    pub source: io::Error,
}

pub(crate) fn at(stage: Stage) -> impl Fn(io::Error) -> NotStarted {
    move |source| NotStarted { stage, source }
}

const ENDED: u64 = 0;
const NOT_STARTED: u64 = 1;

/// What goes over the channel: bytes, and descriptors beside them.
pub(crate) fn encode(result: &Result<Ended, NotStarted>) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
    let mut bytes = Writer::default();
    match result {
        Ok(ended) => {
            bytes.number(ENDED);
            bytes.number(ended.status.into());
            bytes.number(ended.excess.map_or(0, |excess| excess as u64));
            bytes.number(u64::try_from(ended.started.as_nanos()).unwrap_or(u64::MAX));
            bytes.number(u64::try_from(ended.ended.as_nanos()).unwrap_or(u64::MAX));
            bytes.number(ended.cpu_us);
            bytes.number(ended.peak);
            bytes.number(ended.outputs.len() as u64);
            let made = ended.outputs.iter();
            made.clone()
                .for_each(|file| bytes.number(file.is_some().into()));
            let outputs = made.flatten().map(AsFd::as_fd);
            let fds = [ended.stdout.as_fd(), ended.stderr.as_fd()]
                .into_iter()
                .chain(outputs);
            (bytes.0, fds.collect())
        }
        Err(NotStarted { stage, source }) => {
            bytes.number(NOT_STARTED);
            bytes.number(*stage as u64);
            bytes.number(
                source
                    .raw_os_error()
                    .unwrap_or(libc::EIO)
                    .cast_unsigned()
                    .into(),
            );
            (bytes.0, Vec::new())
        }
    }
}

/// `None`: not what [`encode`] gives.
pub(crate) fn decode(bytes: &[u8], fds: Vec<OwnedFd>) -> Option<Result<Ended, NotStarted>> {
    let mut bytes = Reader(bytes);
    if bytes.number()? == NOT_STARTED {
        let stage = usize::try_from(bytes.number()?).ok()?;
        let code = i32::try_from(bytes.number()?).ok()?;
        let stage = STAGES.get(stage)?.0;
        return Some(Err(at(stage)(io::Error::from_raw_os_error(code))));
    }
    let status = u32::try_from(bytes.number()?).ok()?;
    let excess = Excess::from_number(u8::try_from(bytes.number()?).ok()?);
    let started = Duration::from_nanos(bytes.number()?);
    let ended = Duration::from_nanos(bytes.number()?);
    let (cpu_us, peak) = (bytes.number()?, bytes.number()?);
    let made = bytes.all(|bytes| Some(bytes.number()? != 0))?;
    let mut files = fds.into_iter().map(File::from);
    let (stdout, stderr) = (files.next()?, files.next()?);
    let outputs = made
        .into_iter()
        .map(|made| if made { files.next() } else { None })
        .collect();
    Some(Ok(Ended {
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
