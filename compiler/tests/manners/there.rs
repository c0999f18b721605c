//! A daemon of ours without a daemon: the text is prepared here, and compiled in an empty folder with the words that a daemon would use.

use compiler::manner::{self, Trap};
use compiler::{Family, Job, Manner, launch};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What gcc 12 of Debian says in its objects.
pub(crate) const IDENT: &[u8] = b"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0";

/// What came back.
pub(crate) struct Outcome {
    /// What the preprocessor here printed on standard error.
    pub(crate) here: Vec<u8>,
    /// How the compiler there ended, and what it printed.
    pub(crate) there: Output,
    /// The object; nothing when there is none.
    pub(crate) product: Vec<u8>,
}

pub(crate) fn run(program: &OsStr, args: &[OsString], cwd: &Path, locale: &str) -> Output {
    Command::new(program)
        .args(args)
        .current_dir(cwd)
        .env("PWD", cwd)
        .env("LC_ALL", locale)
        .stdin(Stdio::null())
        .output()
        .expect("the compiler runs")
}

/// In spite of traps in files if `forced`. `Err(None)`: the preprocessor failed, so that the job is compiled here.
pub(crate) fn compile(
    program: &OsStr,
    job: &Job<'_>,
    manner: Manner,
    there: &Path,
    forced: bool,
) -> Result<Outcome, Option<Trap>> {
    let here = Path::new(job.cwd());
    let depfile = job.depfile().is_some().then_some("/dev/null".as_ref());
    let text = match job.preprocess_args_for(manner, depfile) {
        Some(args) => run(program, &args, here, "C"),
        None => run("cat".as_ref(), &[job.source().to_owned()], here, "C"),
    };
    if !text.status.success() {
        return Err(None);
    }
    let trapped = manner::files(&text.stdout).iter().find_map(|file| {
        let bytes = std::fs::read(here.join(file)).unwrap_or_default();
        manner::trap_in_file(job, manner, &text.stdout, file, &bytes)
    });
    let prepared = match (manner::prepare(job, manner, &text.stdout), trapped) {
        (Ok(prepared), None) => prepared,
        (Ok(prepared), Some(_)) if forced => prepared,
        (Err(trap), _) | (Ok(_), Some(trap)) => return Err(Some(trap)),
    };
    let sent = job.remote_args_for(manner);
    let cxx = program.as_bytes().ends_with(b"++");
    let checked = launch::check(job.family(), cxx, &sent).expect("our daemon takes what we send");
    let _ = std::fs::remove_dir_all(there);
    let source = there.join(&sent[checked.source]);
    std::fs::create_dir_all(source.parent().expect("below there")).expect("a new folder");
    std::fs::write(&source, &prepared).expect("the text fits");
    let mut args = launch::args_for(&checked, &sent, "out.o".as_ref());
    if job.family() == Family::Gcc {
        let map = [
            there.as_os_str().as_bytes(),
            b"=",
            job.debug_dir().as_bytes(),
        ]
        .concat();
        args.push(OsString::from_vec(
            [b"-fdebug-prefix-map=", &map[..]].concat(),
        ));
    }
    let done = run(program, &args, there, "C.UTF-8");
    Ok(Outcome {
        here: text.stderr,
        there: done,
        product: std::fs::read(there.join("out.o")).unwrap_or_default(),
    })
}
