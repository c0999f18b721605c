//! What a daemon makes of the words of a *launch job*, whose text comes with its directives and is compiled as ordinary source.
//!
//! They are run as they came, so that the launcher alone decides on them; only the output is the daemon's own.

use crate::Family;
use crate::remote::{self, DaemonJob, OutputAt, Refusal};
use crate::table::{Dep, Effect, Tool};
use crate::words::{self, Meaning, Word};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// As [`remote::check()`], which drops what a preprocessed text no longer needs; here it would be run, so what looks for headers,
/// reads files or writes them is refused. Macros may come along, and that standard headers are not looked for.
///
/// # Errors
/// [`Refusal`] names the word.
pub fn check(family: Family, cxx: bool, args: &[OsString]) -> Result<DaemonJob, Refusal> {
    let job = remote::check_words(family, cxx, args)?;
    match words::read(family, args).iter().find(|word| !may_run(word)) {
        Some(word) => Err(Refusal::Forbidden {
            word: args[word.at].clone(),
        }),
        None => Ok(job),
    }
}

/// The words to run the compiler with, after its name: `args`, the same that [`check`] read, with `output` for the one they name.
pub fn args_for(job: &DaemonJob, args: &[OsString], output: &OsStr) -> Vec<OsString> {
    let mut out = args.to_vec();
    match job.output {
        OutputAt::Word(at) => out[at] = output.to_owned(),
        OutputAt::Joined { word, from } => {
            let named = [&args[word].as_bytes()[..from], output.as_bytes()].concat();
            out[word] = OsString::from_vec(named);
        }
        OutputAt::Absent => out.extend(["-o".into(), output.to_owned()]),
    }
    out
}

fn may_run(word: &Word<'_>) -> bool {
    let Meaning::Option(opt) = word.meaning else {
        return true;
    };
    match opt.effect {
        Effect::Cpp => !opt.name.contains("include") && !opt.name.contains("imacros"),
        Effect::Search => opt.name.contains("nostdinc") || opt.name.contains("no-standard"),
        // Only a label.
        Effect::Deps(Dep::Target) => true,
        Effect::Deps(_) | Effect::Pass(Tool::Preprocessor) | Effect::Aux => false,
        // What is added behind it would be a file.
        Effect::End => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(family: Family, line: &str) -> Result<Vec<String>, Refusal> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let job = check(family, false, &args)?;
        let args = args_for(&job, &args, "out.o".as_ref());
        Ok(args
            .into_iter()
            .map(|word| word.into_string().expect("UTF-8"))
            .collect())
    }

    #[test]
    fn words_stay_but_for_the_output() {
        for (line, args) in [
            (
                "-g -DX=1 -UY -nostdinc -x c -c _d/a.c -o /b/a.o -fdebug-prefix-map=_d/a.c=src/a.c",
                "-g -DX=1 -UY -nostdinc -x c -c _d/a.c -o out.o -fdebug-prefix-map=_d/a.c=src/a.c",
            ),
            ("-c _d/a.c -oa.o", "-c _d/a.c -oout.o"),
            ("-c _d/a.c", "-c _d/a.c -o out.o"),
            ("-D X -S -O2 a.c -o a.s", "-D X -S -O2 a.c -o out.o"),
        ] {
            assert_eq!(run(Family::Gcc, line).expect("allowed").join(" "), args);
        }
        let clang = "-fdebug-compilation-dir=/w -undef -c src/a.c -o out.o";
        assert_eq!(run(Family::Clang, clang).expect("allowed").join(" "), clang);
    }

    #[test]
    fn what_reads_or_writes_other_files_is_refused() {
        for word in [
            "-Iinclude",
            "-isystem /usr/include",
            "-include x.h",
            "-imacros x.h",
            "--sysroot=/x",
            "-MD",
            "-MMD",
            "-MF x.d",
            "-Wp,-MD,x.d",
            "-fplugin=x.so",
            "-specs=x",
        ] {
            for family in [Family::Gcc, Family::Clang] {
                let line = format!("{word} -c a.c -o a.o");
                assert!(run(family, &line).is_err(), "{family:?} {line}");
            }
        }
        assert!(run(Family::Clang, "-c -o a.o -- a.c").is_err());
        assert!(run(Family::Gcc, "-c -o a.o").is_err());
    }
}
