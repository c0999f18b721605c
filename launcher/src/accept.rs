//! What came back for a job: looked at, placed, ready to be printed; or turned down with a reason.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;

use compiler::diagnostics::{self, Charset, Said};
use compiler::{Family, Job, Product, messages};
use protocol::{Body, Coding, Limits, Outcome, ProtocolError, WaitStatus};

use crate::check::{self, Misfit};
use crate::dispatch::{Dispatch, Leg};
use crate::place::{self, Habit};
use crate::settings::Settings;
use protocol::closure_talk::Form;

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
    #[error("the compiler printed something there that a local one may print otherwise")]
    Printed,
    #[error("the result could not be written")]
    Place(#[source] io::Error),
}

/// Places the files of the outcome of `leg` where the local compiler would have left them; gives what it would have printed.
pub(crate) fn accept(
    dispatch: &Dispatch<'_>,
    leg: &Leg,
    outcome: Outcome,
) -> Result<Printed, Rejection> {
    let limits = Limits::for_launcher();
    let mut printed = Printed {
        stdout: outcome.stdout.unpack(limits.max_output as usize)?,
        stderr: outcome.stderr.unpack(limits.max_output as usize)?,
    };
    let here = match leg.text() {
        Some(text) => text.borrow_mut().source.said().map_err(Rejection::Place)?,
        None => Vec::new(),
    };
    if !outcome.status.success() {
        let here = messages::without_repeats(&here, &printed.stderr).concat();
        printed.stderr = [here, printed.stderr].concat();
        return Err(Rejection::Failed {
            status: outcome.status,
            printed,
        });
    }
    let object = unpacked(outcome.object)?;
    check::fits(dispatch.job, dispatch.about, &object)?;
    let settings = dispatch.command.settings;
    // Which of the two comes first on one stream is the compiler's own habit.
    let prints_depfile = dispatch.job.depfile().is_some_and(|it| it.is_printed());
    let mixed = |said: &[u8]| prints_depfile && !said.is_empty();
    match as_local(dispatch, leg, &here, &printed) {
        Some(said) if !mixed(&said) => printed.stderr = said,
        // Where it must not be compiled here, this is the best there is.
        _ if !settings.fallback => printed.stderr = [here, printed.stderr].concat(),
        _ => return Err(Rejection::Printed),
    }
    let depfile = match leg.text() {
        Some(text) => {
            let depfile = text.borrow_mut().source.depfile();
            depfile.map_err(Rejection::Place)?
        }
        None => {
            let most = limits.max_depfile as usize;
            outcome.depfile.map(|body| body.unpack(most)).transpose()?
        }
    };
    let listed = place_all(dispatch.job, depfile, &object).map_err(Rejection::Place)?;
    printed.stdout.extend(listed.unwrap_or_default());
    Ok(printed)
}

/// The object of an outcome.
///
/// # Errors
/// Its block is damaged, or unpacks to more than an honest one.
pub(crate) fn unpacked(object: Body) -> Result<Vec<u8>, ProtocolError> {
    let limits = Limits::for_launcher();
    let most = match object.coding() {
        Coding::Plain => limits.max_unpacked,
        Coding::Lzo => limits.unpacked(object.wire().len()),
    };
    object.unpack(most)
}

/// What a local compile would have printed on standard error; `None` where only a local compile can tell.
fn as_local(dispatch: &Dispatch<'_>, leg: &Leg, here: &[u8], there: &Printed) -> Option<Vec<u8>> {
    if here.is_empty() && there.stderr.is_empty() && there.stdout.is_empty() {
        return Some(Vec::new());
    }
    let settings = dispatch.command.settings;
    if let Some(form) = leg.pumped() {
        // With true paths it is the local compile, but for what depends on where it prints.
        let shaped = settings.shapes_messages || io::stderr().is_terminal();
        // Messages on preprocessed text quote the files that it was made of, which are not there.
        let same = form != Form::Stock
            && dispatch.job.language().wants_preprocessor()
            && !settings.exact_diagnostics
            && !shaped
            && Settings::charset() != Charset::Other;
        let there_called = dispatch.about.remote.as_bytes();
        let called = dispatch.command.program.argv0.as_bytes();
        return same.then(|| messages::renamed(&there.stderr, there_called, called));
    }
    // Colours and links are for terminals, and are the compiler's own.
    let coloured = |text: &[u8]| text.contains(&0x1b);
    let plain = !settings.exact_diagnostics
        && there.stdout.is_empty()
        && !coloured(here)
        && !coloured(&there.stderr)
        && !settings.shapes_messages
        && !io::stderr().is_terminal();
    if !plain {
        return None;
    }
    let charset = Settings::charset();
    let mut read = |name: &OsStr| std::fs::read(name).ok();
    let (job, manner) = (dispatch.job, leg.text()?.borrow().manner);
    match diagnostics::as_local(job, manner, charset, here, &there.stderr, &mut read) {
        Said::Text(text) => Some(text),
        Said::CompileHere => None,
    }
}

/// Places the files of a job; gives a dependency file that is to be printed.
fn place_all(
    job: &Job<'_>,
    depfile: Option<Vec<u8>>,
    object: &[u8],
) -> io::Result<Option<Vec<u8>>> {
    let habit = match (job.family(), job.product()) {
        (Family::Clang, _) => Habit::Rename,
        (Family::Gcc, Product::Object) => Habit::Unlink,
        (Family::Gcc, Product::Assembly) => Habit::Truncate,
    };
    let depfile = job.depfile().zip(depfile);
    let in_its_place = |wanted: &compiler::Depfile| !wanted.appended && !wanted.is_printed();
    if let Some((wanted, bytes)) = depfile.as_ref().filter(|(wanted, _)| in_its_place(wanted)) {
        // Who opens the output itself does so before all else; GNU as comes when the dependency file is there.
        if habit != Habit::Unlink {
            place::check(job.output(), habit)?;
        }
        place::place(&wanted.path, bytes, Habit::Truncate)?;
    }
    place::place(job.output(), object, habit)?;
    // Last, since a compile that starts over would append or print again.
    match depfile {
        Some((wanted, bytes)) if wanted.is_printed() => return Ok(Some(bytes)),
        Some((wanted, bytes)) if wanted.appended => place::append(&wanted.path, &bytes)?,
        _ => {}
    }
    Ok(None)
}
