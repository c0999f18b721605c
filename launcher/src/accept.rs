//! What came back for a job: looked at, placed, ready to be printed; or turned down with a reason.

use std::io;

use compiler::{Family, Job, Product};
use protocol::{Limits, Outcome, ProtocolError, WaitStatus};

use crate::about::About;
use crate::check::{self, Misfit};
use crate::place::{self, Habit};
use crate::source::Source;

/// What a compiler elsewhere printed.
#[derive(Debug, Default)]
pub(crate) struct Printed {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Why an outcome is not the job's result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejection {
    /// The compiler there failed, or was killed.
    #[error("the compiler failed there")]
    Failed {
        status: WaitStatus,
        printed: Printed,
    },
    #[error(transparent)]
    Misfit(#[from] Misfit),
    #[error("the reply cannot be unpacked")]
    Broken(#[from] ProtocolError),
    #[error("the result could not be written")]
    Place(#[source] io::Error),
}

/// Places the files of `outcome` where the local compiler would have left them.
pub(crate) fn accept(
    job: &Job<'_>,
    about: &About,
    source: Option<&mut Source>,
    outcome: Outcome,
) -> Result<Printed, Rejection> {
    let limit = Limits::for_launcher().max_unpacked;
    let printed = Printed {
        stdout: outcome.stdout.unpack(limit)?,
        stderr: outcome.stderr.unpack(limit)?,
    };
    if !outcome.status.success() {
        return Err(Rejection::Failed {
            status: outcome.status,
            printed,
        });
    }
    let object = outcome.object.unpack(limit)?;
    check::fits(job, about, &object)?;
    place_all(job, source, &object).map_err(Rejection::Place)?;
    Ok(printed)
}

fn place_all(job: &Job<'_>, source: Option<&mut Source>, object: &[u8]) -> io::Result<()> {
    let habit = match (job.family(), job.product()) {
        (Family::Clang, _) => Habit::Rename,
        (Family::Gcc, Product::Object) => Habit::Unlink,
        (Family::Gcc, Product::Assembly) => Habit::Truncate,
    };
    if let (Some(source), Some(wanted)) = (source, job.depfile())
        && let Some(bytes) = source.depfile()?
    {
        if wanted.appended {
            place::append(&wanted.path, &bytes)?;
        } else {
            place::place(&wanted.path, &bytes, Habit::Truncate)?;
        }
    }
    place::place(job.output(), object, habit)
}
