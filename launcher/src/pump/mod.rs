//! Pump: the source travels with what it includes, and the host preprocesses it.
//!
//! The include server knows the files of a source and hands them over as a memory file that is ready to be sent. Here is decided
//! whether a job may go this way, the server is asked ([`ask`], [`mirror`] for stock's), and started where none runs ([`resident`]).
//! Whatever is in the way, the job goes in plain mode: [`NotPumped`] says why. Knows nothing of hosts and replies.

mod ask;
mod demotion;
mod mirror;
mod resident;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;

use compiler::diagnostics::Charset;
use compiler::{Family, Job, tree};
use protocol::closure_talk::{Flags, Form};

use crate::about::About;
use crate::driver::Command;
use crate::say::Say;
use crate::settings::Settings;

pub(crate) use demotion::count_discrepancy;
pub(crate) use resident::{process as resident_server, program as server_program};

/// Why a job goes in plain mode although a host would take its files; a stable code of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotPumped(pub &'static str);

/// Says what `__DATE__` and `__TIME__` are.
const DATE: &str = "SOURCE_DATE_EPOCH";

const SLOW: NotPumped = NotPumped("include-server-slow");
const BROKEN: NotPumped = NotPumped("include-server-failed");

/// The sentence of a code of [`NotPumped`].
pub(crate) fn sentence(code: &str) -> Option<&'static str> {
    Some(match code {
        "nothing-to-preprocess" => "it needs no preprocessor",
        "dependency-variable" => "DEPENDENCIES_OUTPUT asks for a dependency file that is added to",
        "names-library" => "it names a library, in vain, and only here that is told",
        "search-variable" => {
            "a variable names folders for another language, by whose names clang calls them"
        }
        "clock" => "it asks for the date or the time, which are to be those of here",
        "include-missing" => "something that it includes was not found",
        "assembler-includes" => "assembler text in it may name files",
        "include-server-refused" => "the include server does not know its files",
        "include-server-failed" => "the include server gave no answer",
        "include-server-slow" => "the include server gave no answer in time",
        "no-include-server" => "there is no include server, and none could be started",
        "stock-include-server" => {
            "the include server is stock's, whose answers are not for this daemon"
        }
        "other-headers" => "that machine has headers that this one has not",
        "demoted" => "compiles failed on hosts that succeeded here a moment ago",
        "names-folders" => "its object names folders, which a stock daemon has others of",
        "dependency-file" => {
            "a stock daemon would break the lines of its dependency file elsewhere"
        }
        "file-names" => "it asks for __FILE__ of a file with an absolute name",
        "words-unfit" => "a stock daemon reads its options otherwise",
        _ => return None,
    })
}

/// The files of a job, as they stand in a request behind its words.
#[derive(Debug)]
pub(crate) struct Files {
    pub form: Form,
    /// The folder that the compile runs in.
    pub cwd: OsString,
    /// The words after the compiler's name.
    pub args: Vec<OsString>,
    pub body: File,
    pub size: u64,
}

/// Asks the include server for the files of `job`.
///
/// # Errors
/// The job does not go this way, or no server answers.
pub(crate) fn files(
    command: &Command<'_>,
    about: &About,
    job: &Job<'_>,
    form: Form,
) -> Result<Files, NotPumped> {
    let settings = command.settings;
    // Text that is preprocessed already is a file like others where its name is true; gcc reads nothing else for it.
    let whole =
        form != Form::Stock && job.family() == Family::Gcc && !job.language().is_assembler();
    if !job.language().wants_preprocessor() && !whole {
        return Err(NotPumped("nothing-to-preprocess"));
    }
    if job.depfile().is_some_and(|depfile| depfile.appended) {
        return Err(NotPumped("dependency-variable"));
    }
    if job.names_libraries() {
        return Err(NotPumped("names-library"));
    }
    let mut variable = |name: &str| settings.variable(name);
    if job.family() == Family::Clang && tree::is_other_search(job.language(), &mut variable) {
        return Err(NotPumped("search-variable"));
    }
    let added = tree::search_words(job.language(), &mut variable);
    let args = match form {
        Form::Stock => job
            .pump_args(&added)
            .map_err(|unfit| NotPumped(unfit.code()))?,
        Form::Tree | Form::WholeTree => job.tree_args(&added),
    };
    if demotion::is_demoted(settings) {
        return Err(NotPumped("demoted"));
    }
    let path = absolute(command.program.path.as_os_str(), job.cwd());
    let cwd = match form {
        Form::Stock => physical(job.cwd()),
        Form::Tree | Form::WholeTree => job.cwd().to_owned(),
    };
    let answer = match resident::connect(settings, command.say)? {
        resident::Server::Ours(stream) => ask::ask(stream, form, &cwd, &path, &args),
        // Stock's answers suit any daemon that reads protocol 3, and no other.
        resident::Server::Stock(_) if form != Form::Stock => Err(NotPumped("stock-include-server")),
        resident::Server::Stock(server) => mirror::ask(server.call()?, &cwd, &about.remote, &args),
    };
    if matches!(answer, Err(SLOW)) {
        // The others of this build need not all wait as long.
        resident::is_slow(settings);
    }
    let (body, size, flags) = answer?;
    // With this variable gcc's date is not the clock's, and daemons of ours get it.
    let dated =
        form != Form::Stock && job.family() == Family::Gcc && settings.variable(DATE).is_some();
    let clock = if dated { 0 } else { Flags::CLOCK };
    for (flag, code) in [
        (clock, "clock"),
        (Flags::TIMESTAMP, "clock"),
        (Flags::MISSING, "include-missing"),
        (Flags::ASSEMBLER, "assembler-includes"),
    ] {
        if flags.has(flag) {
            return Err(NotPumped(code));
        }
    }
    if form == Form::Stock && flags.has(Flags::FILE_NAMES) {
        return Err(NotPumped("file-names"));
    }
    Ok(Files {
        form,
        cwd,
        args,
        body,
        size,
    })
}

/// What stock's `--scan-includes` prints of a command: the files that pump mode would send, each with what it is.
///
/// # Errors
/// There is no include server, or it does not follow this source.
pub(crate) fn scan(
    settings: &Settings,
    say: &Say,
    words: &[OsString],
) -> Result<Vec<u8>, NotPumped> {
    let (compiler, args) = words.split_first().ok_or(NotPumped("no-command"))?;
    let stream = resident::connect_as_stock(settings, say)?;
    let cwd = physical(OsStr::new("/"));
    let mut text = Vec::new();
    for path in mirror::paths(stream, &cwd, compiler, args)? {
        if let Some((what, name)) = mirror::described(&path) {
            text.extend_from_slice(format!("{what:<9} ").as_bytes());
            text.extend_from_slice(name);
            text.push(b'\n');
        }
    }
    Ok(text)
}

/// The working folder without links, as stock clients and servers call it.
fn physical(cwd: &OsStr) -> OsString {
    rustix::process::getcwd(Vec::new()).map_or_else(
        |_| cwd.to_owned(),
        |cwd| OsStr::from_bytes(cwd.as_bytes()).to_owned(),
    )
}

/// The variables that a tree job's compile shall have: messages are to be those of here.
pub(crate) fn environment(settings: &Settings) -> Vec<u8> {
    let mut variables = match Settings::charset() {
        Charset::Ascii => b"LC_ALL=C\0".to_vec(),
        Charset::Utf8 | Charset::Other => b"LC_ALL=C.UTF-8\0".to_vec(),
    };
    if let Some(date) = settings.variable(DATE) {
        for part in [DATE.as_bytes(), b"=", date.as_bytes(), b"\0"] {
            variables.extend_from_slice(part);
        }
    }
    variables
}

/// The program's path as it holds in any folder.
fn absolute(path: &OsStr, cwd: &OsStr) -> OsString {
    if path.as_encoded_bytes().starts_with(b"/") {
        return path.to_owned();
    }
    let mut whole = cwd.to_owned();
    whole.push("/");
    whole.push(path);
    whole
}
