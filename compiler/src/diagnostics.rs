//! What two runs of a compiler printed, as one local compile prints it, or the word that this is not certain.
//!
//! Files come through a reader; the compilers' forms of messages are those of gcc 11 and 12 and clang 14 and 16.

use crate::messages::{on_options, without_repeats};
use crate::{Job, Manner};
use memchr::memmem;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

mod columns;
mod locale;
mod remarks;

pub use locale::Charset;

/// What to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Exactly this, as a local compile prints it (but for gcc's source excerpts).
    Text(Vec<u8>),
    /// What a local compile prints is not certain: compile here, and print what that prints.
    CompileHere,
}

/// What a local compile that ends well would print on standard error, from what the preprocessor printed `here` and the compiler
/// `there`. gcc's quotes must be as `charset` has them, or as UTF-8 has them, so that a daemon best runs launch jobs with
/// `LC_ALL=C.UTF-8`; in the environment here `GCC_COLORS`, `GCC_EXTRA_DIAGNOSTIC_OUTPUT` and a terminal change messages in ways that are
/// not retold: with those, compile here whenever something was printed. `read` gives the bytes of a file of this machine, its name as
/// messages spell it.
pub fn as_local(
    job: &Job<'_>,
    manner: Manner,
    charset: Charset,
    here: &[u8],
    there: &[u8],
    read: &mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
) -> Said {
    let there = match manner {
        Manner::Directives | Manner::Whole => without_pedantry(there),
        Manner::Expanded | Manner::Rewritten => there.to_vec(),
    };
    if job.draft.json {
        return match (here, &there[..]) {
            (b"", b"[]\n") => Said::Text(there),
            _ => Said::CompileHere,
        };
    }
    if there.is_empty() {
        // Without warnings a compile keeps remarks on options to itself, and gcc's preprocessor alone does not.
        return match job.is_silent() && lines(here).any(on_options) {
            true => Said::CompileHere,
            false => Said::Text(here.to_vec()),
        };
    }
    // clang's remarks on optimization look for their places in the file itself.
    if memmem::find(&there, remarks::LOST).is_some() {
        let told = (manner == Manner::Rewritten && here.is_empty())
            .then(|| remarks::placed(job, &there, read));
        return told.flatten().map_or(Said::CompileHere, Said::Text);
    }
    if job.draft.lto && manner != Manner::Expanded {
        return Said::CompileHere;
    }
    let label = [job.label().as_encoded_bytes(), b":"].concat();
    if memmem::find(&there, &label).is_some() && manner != Manner::Expanded {
        return Said::CompileHere;
    }
    let text = if lines(&there).all(on_options) {
        options_only(here, &there)
    } else {
        match manner {
            Manner::Expanded => None,
            Manner::Rewritten => rewritten(job, here, &there),
            // What both say would be said in one order, which is not known.
            Manner::Directives | Manner::Whole if !without_repeats(here, &there).is_empty() => None,
            Manner::Directives | Manner::Whole => directives(job, charset, &there, read),
        }
    };
    text.map_or(Said::CompileHere, Said::Text)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&b| b == b'\n')
}

/// Remarks on the command, of which each run makes its own: those of the compiler and those of the preprocessor.
fn options_only(here: &[u8], there: &[u8]) -> Option<Vec<u8>> {
    if here.is_empty() {
        return Some(there.to_vec());
    }
    let said = |line: &[u8]| lines(here).any(|other| other == line);
    lines(there).all(said).then(|| here.to_vec())
}

/// clang's messages are exact, and hold most of the preprocessor's own.
fn rewritten(job: &Job<'_>, here: &[u8], there: &[u8]) -> Option<Vec<u8>> {
    if job
        .args
        .iter()
        .any(|arg| arg == "-fdiagnostics-absolute-paths")
    {
        return None;
    }
    let mut said = lines(there);
    let mut own = lines(here).filter(|line| !is_count(line));
    own.all(|line| said.any(|other| other == line))
        .then(|| there.to_vec())
}

/// `2 warnings generated.`
fn is_count(line: &[u8]) -> bool {
    line.first().is_some_and(u8::is_ascii_digit) && line.ends_with(b" generated.\n")
}

/// gcc's messages, with columns counted as gcc counts them when it sees the source.
fn directives(
    job: &Job<'_>,
    charset: Charset,
    there: &[u8],
    read: &mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    if job.args.iter().any(shapes_messages)
        || UNSURE
            .iter()
            .any(|part| memmem::find(there, part).is_some())
    {
        return None;
    }
    let mut text = Vec::with_capacity(there.len() + 16);
    let mut recount = columns::Recount::new(job.may_ask_for_bytes(), read);
    for line in lines(there) {
        text.extend_from_slice(&recount.line(line)?);
    }
    charset.spelled(&text)
}

/// Parts of messages that are not the same without the source: places within strings, hints that insert lines, colours.
const UNSURE: &[&[u8]] = &[
    b"[-Wformat",
    b"[-Werror=format",
    b"#include",
    b"include \xe2\x80\x98<",
    b"include '<",
    b" header \xe2\x80\x98<",
    b" header '<",
    b"\x1b[",
];

/// Options with which messages have forms that are not retold here, as they are spelled.
fn shapes_messages(arg: &OsString) -> bool {
    const STARTS: &[&[u8]] = &[
        b"-fanalyzer",
        b"-fdiagnostics-color=always",
        b"-fdiagnostics-column",
        b"-fdiagnostics-escape",
        b"-fdiagnostics-generate",
        b"-fdiagnostics-parseable",
        b"-fdiagnostics-path",
        b"-fdiagnostics-plain",
        b"-fdiagnostics-show-path",
        b"-fdiagnostics-urls",
        b"-fmessage-length",
        b"-fno-show-column",
        b"-ftabstop",
    ];
    STARTS.iter().any(|start| arg.as_bytes().starts_with(start))
}

/// What gcc says of the line markers themselves with `-pedantic`. If it says something else too, all stays, since the chains of
/// `In file included from` are said with the first message only.
fn without_pedantry(there: &[u8]) -> Vec<u8> {
    const END: &[u8] = b": warning: style of line directive is a GCC extension\n";
    let chain = |line: &[u8]| {
        line.starts_with(b"In file included from ")
            || line.starts_with(b"                 from ")
            || line.ends_with(b":\n")
                && [&b": In "[..], b": At "]
                    .iter()
                    .any(|part| memmem::find(line, part).is_some())
    };
    if memmem::find(there, END).is_some()
        && lines(there).all(|line| line.ends_with(END) || chain(line))
    {
        return Vec::new();
    }
    there.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, Surroundings, Verdict, classify};

    fn said(family: Family, line: &str, manner: Manner, here: &str, there: &str) -> Option<String> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let about = Surroundings::new(OsStr::new("/w"));
        let Verdict::Distribute(job) = classify(family, false, &args, &about) else {
            panic!("{line} can be sent");
        };
        let mut read = |name: &OsStr| (name == "a.c").then(|| b"int a;\n\tint b;\n".to_vec());
        match as_local(
            &job,
            manner,
            Charset::Utf8,
            here.as_bytes(),
            there.as_bytes(),
            &mut read,
        ) {
            Said::Text(text) => Some(String::from_utf8(text).expect("tests use UTF-8")),
            Said::CompileHere => None,
        }
    }

    fn gcc(line: &str, here: &str, there: &str) -> Option<String> {
        said(Family::Gcc, line, Manner::Directives, here, there)
    }

    #[test]
    fn quiet_compilers_leave_what_the_preprocessor_said() {
        for manner in Manner::ALL {
            let text = said(Family::Gcc, "-c a.c", manner, "a.c:1:2: warning: x\n", "");
            assert_eq!(text.as_deref(), Some("a.c:1:2: warning: x\n"));
        }
    }

    #[test]
    fn where_warnings_are_off_remarks_on_options_are_not_certain() {
        let remark = "cc1: warning: command-line option x\n";
        assert_eq!(gcc("-w -c a.c", remark, ""), None);
        assert_eq!(gcc("-c a.c", remark, "").as_deref(), Some(remark));
    }

    #[test]
    fn columns_are_recounted() {
        let text = gcc("-c a.c", "", "a.c:2:6: warning: unused ‘b’ [-Wunused]\n");
        assert_eq!(
            text.as_deref(),
            Some("a.c:2:13: warning: unused ‘b’ [-Wunused]\n")
        );
    }

    #[test]
    fn what_is_not_certain_is_compiled_here() {
        let warning = "a.c:2:6: warning: x\n";
        assert_eq!(gcc("-c a.c", warning, warning), None);
        assert_eq!(
            gcc("-c a.c", "", "a.c:2:6: warning: %s [-Wformat=]\n"),
            None
        );
        assert_eq!(gcc("-c a.c", "", "_d/a.c:1:3: warning: x\n"), None);
        assert_eq!(gcc("-c a.c", "", "b.c:1:3: warning: x\n"), None);
        assert_eq!(gcc("-fanalyzer -c a.c", "", warning), None);
        assert_eq!(gcc("-ftabstop=4 -c a.c", "", warning), None);
        assert_eq!(
            gcc("-fdiagnostics-parseable-fixits -c a.c", "", warning),
            None
        );
        assert_eq!(
            said(Family::Gcc, "-c a.c", Manner::Expanded, "", warning),
            None
        );
    }

    #[test]
    fn remarks_on_options_are_said_once() {
        let remark = "cc1: warning: command-line option x\n";
        let more = format!("{remark}a.c:1:1: warning: y\n");
        for manner in [Manner::Expanded, Manner::Directives] {
            let said = |here, there| said(Family::Gcc, "-c a.c", manner, here, there);
            assert_eq!(said(remark, remark).as_deref(), Some(remark));
            assert_eq!(said("", remark).as_deref(), Some(remark));
            assert_eq!(said(&more, remark).as_deref(), Some(&more[..]));
            assert_eq!(said("a.c:1:1: warning: y\n", remark), None);
        }
        assert_eq!(gcc("-c a.c", remark, &more), Some(more.clone()));
    }

    #[test]
    fn pedantry_about_markers_is_dropped_if_nothing_else_is_said() {
        let pedantry = "_d/a.c:1:3: warning: style of line directive is a GCC extension\nIn file included from a.c:1:\na.h:1:3: warning: style of line directive is a GCC extension\na.h: In function ‘f’:\na.h: At top level:\n";
        assert_eq!(gcc("-pedantic -c a.c", "", pedantry).as_deref(), Some(""));
        let more = format!("{pedantry}a.c:1:1: warning: y\n");
        assert_eq!(gcc("-pedantic -c a.c", "", &more), None);
    }

    #[test]
    fn clang_s_preprocessor_is_not_heard_twice() {
        let clang = |here, there| said(Family::Clang, "-c a.c", Manner::Rewritten, here, there);
        let here = "a.c:1:2: warning: x\n1 warning generated.\n";
        let there = "a.c:1:2: warning: x\na.c:2:2: warning: y\n2 warnings generated.\n";
        assert_eq!(clang(here, there).as_deref(), Some(there));
        assert_eq!(clang("", there).as_deref(), Some(there));
        assert_eq!(clang("a.c:9:9: warning: z\n", there), None);
    }
}
