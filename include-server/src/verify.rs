//! `--verify`: the compiler itself is asked (`-M`), and what it opens must be in our answer.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use compiler::table::{Effect, Stage};
use compiler::{Family, names, words};
use includes::{Closure, Question};

use crate::report::Report;

/// What the compiler found otherwise.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("could not run {}", compiler.display())]
    Run {
        compiler: OsString,
        source: std::io::Error,
    },
    #[error("{} could not tell what it opens: {said}", compiler.display())]
    Failed { compiler: OsString, said: String },
    #[error("the compiler also opens {}", .0.display())]
    Missing(PathBuf),
}

/// Compares with the compiler's own list.
///
/// # Errors
/// A file outside the compiler's own folders is not in the closure, or the compiler does not say.
pub(crate) fn verify(
    question: &Question<'_>,
    closure: &Closure,
    report: &Report,
) -> Result<(), VerifyError> {
    let Some((compiler, args)) = question.words.split_first() else {
        return Ok(());
    };
    let output = Command::new(compiler)
        .args(listing(compiler, args))
        .current_dir(question.directory)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| VerifyError::Run {
            compiler: compiler.clone(),
            source,
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let compiler = compiler.clone();
        return Err(VerifyError::Failed { compiler, said });
    }
    let exact: BTreeSet<PathBuf> = dependencies(&output.stdout)
        .into_iter()
        .filter_map(|name| question.directory.join(name).canonicalize().ok())
        .collect();
    report.exact(question, &exact);
    let system = &closure.system_directories;
    let ours: BTreeSet<_> = closure
        .files
        .iter()
        .map(|file| file.real.as_path())
        .collect();
    let missing = exact
        .iter()
        .filter(|path| !system.iter().any(|folder| path.starts_with(folder)))
        .find(|path| !ours.contains(path.as_path()));
    match missing {
        Some(path) => Err(VerifyError::Missing(path.clone())),
        None => Ok(()),
    }
}

/// The words that make the compiler list what it opens.
fn listing(compiler: &OsStr, args: &[OsString]) -> Vec<OsString> {
    let base = names::base(compiler.as_bytes());
    let family = names::guess(base).and_then(|guess| guess.family);
    let mut listing = vec!["-E".into(), "-M".into()];
    for word in words::read(family.unwrap_or(Family::Gcc), args) {
        let anew = matches!(
            word.effect(),
            Some(Effect::Output | Effect::Deps(_) | Effect::Stop(Stage::Object | Stage::Assembly))
        );
        if !anew {
            listing.extend_from_slice(&args[word.at..word.at + word.span]);
        }
    }
    listing
}

/// The names behind the colon of a rule.
fn dependencies(rule: &[u8]) -> Vec<PathBuf> {
    let colon = rule
        .windows(2)
        .position(|pair| pair[0] == b':' && pair[1].is_ascii_whitespace());
    let rest = colon.map_or(&b""[..], |at| &rule[at + 1..]);
    let mut names = Vec::new();
    let mut name = Vec::new();
    let mut bytes = rest.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(b'\n')) => {}
            (b'\\', Some(&next @ (b' ' | b'#' | b'\\'))) => {
                name.push(next);
                bytes.next();
            }
            (b'$', Some(b'$')) => {
                name.push(b'$');
                bytes.next();
            }
            (byte, _) if byte.is_ascii_whitespace() => {
                if !name.is_empty() {
                    names.push(std::mem::take(&mut name));
                }
            }
            (byte, _) => name.push(byte),
        }
    }
    names.extend((!name.is_empty()).then_some(name));
    let paths = names.into_iter().map(OsString::from_vec);
    paths.map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_rule_are_read() {
        let rule = b"a.o: a.c b\\ c.h \\\n /x/$$y.h d\\#.h\n";
        let names: Vec<_> = ["a.c", "b c.h", "/x/$y.h", "d#.h"]
            .map(PathBuf::from)
            .into();
        assert_eq!(dependencies(rule), names);
        assert!(dependencies(b"").is_empty());
    }

    #[test]
    fn the_listing_keeps_what_matters() {
        let args = ["-c", "-MD", "-MF", "x.d", "-Iinc", "-o", "a.o", "a.c"].map(OsString::from);
        let wanted = ["-E", "-M", "-Iinc", "a.c"].map(OsString::from);
        assert_eq!(listing(OsStr::new("/usr/bin/gcc"), &args), wanted);
    }
}
