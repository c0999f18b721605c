//! Where a compile leaves its dependency file, and for which target.

use crate::draft::Draft;
use crate::{Family, Language, Reason, Surroundings};
use crate::{job, names};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The dependency file of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depfile {
    /// Where the local compiler leaves it, relative to the command's folder unless absolute; `-` is standard output.
    pub path: OsString,
    /// Appended to what the file holds (`DEPENDENCIES_OUTPUT`): a second run of the compiler must not have that variable.
    pub appended: bool,
}

impl Depfile {
    /// Does it go to standard output, once the compile has gone well?
    pub fn is_printed(&self) -> bool {
        self.path == "-"
    }
}

/// The dependency file that a compile leaves, if it leaves one. `output` is the one that was written in the command.
pub(crate) fn depfile(
    family: Family,
    draft: &Draft<'_>,
    language: Language,
    source: &[u8],
    output: Option<&[u8]>,
    about: &Surroundings<'_>,
) -> Result<Option<Depfile>, Reason> {
    if !language.wants_preprocessor() {
        let listed = about.sunpro_dependencies || about.dependencies_output.is_some();
        // gcc lists such a source even so, unless it is assembler.
        return match listed && family == Family::Gcc && !language.is_assembler() {
            true => Err(Reason::EnvironmentDeps),
            false => Ok(None),
        };
    }
    let deps = &draft.deps;
    let in_vain = deps.both || (!deps.asked && (deps.file.is_some() || deps.target));
    if family == Family::Clang && in_vain {
        // clang warns of words that have no effect, which neither half of a compile elsewhere would do.
        return Err(Reason::Malformed);
    }
    let path = match (deps.passed_file, deps.asked, deps.file) {
        (Some(file), _, _) | (None, true, Some(file)) => file.to_vec(),
        // `-dumpbase` and the like rename it in ways that are not retold here.
        (None, true, None) if draft.aux => return Err(Reason::KeepsTemporaries),
        (None, true, None) => match output {
            Some(output) => beside(output, b"d"),
            None => job::derived(family, source, b"d"),
        },
        (None, false, _) => return from_environment(family, about),
    };
    match path.as_slice() {
        b"" => Err(Reason::Malformed),
        _ => Ok(Some(Depfile {
            path: OsString::from_vec(path),
            appended: false,
        })),
    }
}

/// gcc heeds two variables when no option asks for dependencies; clang heeds neither.
fn from_environment(family: Family, about: &Surroundings<'_>) -> Result<Option<Depfile>, Reason> {
    if family == Family::Clang {
        return Ok(None);
    }
    if about.sunpro_dependencies {
        return Err(Reason::SunproDeps);
    }
    let file = about.dependencies_output.map(|value| {
        value
            .as_bytes()
            .split(|&b| b == b' ')
            .next()
            .unwrap_or_default()
    });
    match file {
        None => Ok(None),
        Some(b"") => Err(Reason::Malformed),
        Some(file) => Ok(Some(Depfile {
            path: OsStr::from_bytes(file).to_owned(),
            appended: true,
        })),
    }
}

/// The words to add to a preprocessor's command, so that it leaves the dependency file where a compile with `output` leaves it and names
/// that output its target. Without an output of its own the preprocessor does so by itself.
pub(crate) fn words_for_preprocessor(
    draft: &Draft<'_>,
    output: Option<&OsStr>,
    words: &mut Vec<OsString>,
) {
    let deps = &draft.deps;
    let (true, Some(output)) = (deps.asked, output) else {
        return;
    };
    if deps.file.is_none() && deps.passed_file.is_none() {
        words.push("-MF".into());
        words.push(OsString::from_vec(beside(output.as_bytes(), b"d")));
    }
    if !deps.target {
        words.push("-MQ".into());
        words.push(output.to_owned());
    }
}

/// Adds the words that send the dependency file to `name`: the last one named counts, and what was passed straight to gcc's
/// preprocessor comes after the driver's own.
pub(crate) fn redirect(family: Family, draft: &Draft<'_>, name: &OsStr, words: &mut Vec<OsString>) {
    if family == Family::Gcc && draft.deps.passed_file.is_some() {
        for word in [OsStr::new("-MF"), name] {
            words.extend(["-Xpreprocessor".into(), word.to_owned()]);
        }
    } else {
        words.extend(["-MF".into(), name.to_owned()]);
    }
}

/// `name` with the suffix of its last part replaced, or added where there is none.
pub(crate) fn beside(name: &[u8], suffix: &[u8]) -> Vec<u8> {
    let base = name.len() - names::base(name).len();
    let stem = name[base..]
        .iter()
        .rposition(|&b| b == b'.')
        .map_or(name.len(), |dot| base + dot);
    [&name[..stem], b".", suffix].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_is_replaced_in_the_last_part_only() {
        assert_eq!(beside(b"a.o", b"d"), b"a.d");
        assert_eq!(beside(b"dir.x/a", b"d"), b"dir.x/a.d");
        assert_eq!(beside(b"dir.x/a.b.o", b"d"), b"dir.x/a.b.d");
        assert_eq!(beside(b"dir/.o", b"d"), b"dir/.d");
        assert_eq!(beside(b"", b"d"), b".d");
    }
}
