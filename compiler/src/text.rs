//! What preprocessed text says that the command does not: bytes in, facts out.

use crate::words::{Meaning, Word};
use crate::{Family, Job, Language, Reason};
use memchr::memmem;
use std::os::unix::ffi::OsStrExt;

/// The reason to compile here that a preprocessed (or assembler) text holds: inline assembler that reads files
/// (`.incbin`, `.include`), or a precompiled header that the preprocessor left in (`#pragma GCC pch_preprocess`).
///
/// A false alarm costs one local compile. Wants the whole text at once.
pub fn ties_here(text: &[u8]) -> Option<Reason> {
    // Both directives share four letters, so one walk over the text finds either.
    let tied = memmem::find_iter(text, b".inc").any(|at| {
        let rest = &text[at + 4..];
        let after_blanks = |rest: &[u8]| rest.trim_ascii_start().first().copied();
        match (rest.strip_prefix(b"bin"), rest.strip_prefix(b"lude")) {
            (Some(rest), _) => rest.first().is_none_or(|b| !b.is_ascii_alphanumeric()),
            // A member of this name is C; a name in quotes after it is not.
            (_, Some(rest)) => matches!(after_blanks(rest), Some(b'"' | b'\\')),
            _ => false,
        }
    });
    if tied {
        return Some(Reason::SourceReadsFiles);
    }
    memmem::find(text, PRECOMPILED).map(|_| Reason::PrecompiledHeader)
}

/// gcc's preprocessor puts it where it would have taken a precompiled header.
const PRECOMPILED: &[u8] = b"#pragma GCC pch_preprocess";

/// Would a compile have taken a precompiled header, instead of all that this text lacks? It comes before any code.
pub fn names_precompiled_header(text: &[u8]) -> bool {
    const BEFORE_CODE: usize = 64 << 10;
    memmem::find(&text[..text.len().min(BEFORE_CODE)], PRECOMPILED).is_some()
}

/// The reason to compile here that `text` holds for this job: [`ties_here`]; code for an offloading device, which clang names by the
/// source's inode and gcc keeps as for the linker, with lines and columns; and clang's Objective-C, whose objects name the file that was
/// compiled and not the one that line markers name.
pub fn ties_job_here(job: &Job<'_>, text: &[u8]) -> Option<Reason> {
    let tied = ties_here(text).or_else(|| offloads(job, text).then_some(Reason::DeviceCode));
    tied.or_else(|| {
        let objc = matches!(
            job.language().preprocessed(),
            Language::PreprocessedObjC | Language::PreprocessedObjCxx
        );
        let named = objc && job.family() == Family::Clang && makes_objects(text);
        named.then_some(Reason::NamesSource)
    })
}

/// May the object name the source by its inode, as clang names what OpenMP moves to a device? Only the text tells.
pub fn may_name_inode(job: &Job<'_>) -> bool {
    let moves = |word: &Word<'_>| matches!(word.meaning, Meaning::Option(opt) if opt.name.starts_with("-fopenmp"));
    job.family() == Family::Clang && job.words().iter().any(moves)
}

/// Is something of the text compiled for a device? A false alarm costs one local compile.
fn offloads(job: &Job<'_>, text: &[u8]) -> bool {
    const LINE: usize = 200;
    let asks = |start: &str| {
        let asks = |word: &Word<'_>| matches!(word.meaning, Meaning::Option(opt) if opt.name.starts_with(start));
        job.words().iter().any(asks)
    };
    let targets = |at: usize| {
        let rest = &text[at..text.len().min(at + LINE)];
        memmem::find(rest, b"target").is_some()
    };
    let pragma = |at: usize| matches!(text[..at].last(), Some(b' ' | b'\t' | b'"'));
    asks("-fopenmp") && memmem::find_iter(text, b"omp").any(|at| pragma(at) && targets(at))
        || asks("-fopenacc") && memmem::find_iter(text, b"acc").any(pragma)
}

/// Has Objective-C text a class, a string, a selector or a message to an object? A false alarm costs one local compile.
fn makes_objects(text: &[u8]) -> bool {
    const MAKERS: &[&[u8]] = &[b"@implementation", b"@\"", b"@selector", b"@protocol"];
    // The bracket of an array follows what it is an array of; that of a message follows an operator or begins a statement.
    let sends = |at: usize| {
        let before = text[..at].trim_ascii_end();
        let of_array = |&b: &u8| b.is_ascii_alphanumeric() || b"_)]\"".contains(&b);
        before.ends_with(b"return") || before.last().is_some_and(|b| !of_array(b))
    };
    MAKERS
        .iter()
        .any(|maker| memmem::find(text, maker).is_some())
        || memchr::memchr_iter(b'[', text).any(sends)
}

/// Does a pragma of `text` print a message? The preprocessor that printed it here has left it in the text, for the compiler there to print
/// again.
pub fn speaks_twice(text: &[u8]) -> bool {
    const SPEAKING: &[&[u8]] = &[
        b"#pragma message",
        b"#pragma GCC warning",
        b"#pragma clang warning",
    ];
    SPEAKING
        .iter()
        .any(|pragma| memmem::find(text, pragma).is_some())
}

/// What to put before a source that is sent as it is ([`Job::preprocess_args`] is `None`), so that the object and messages name the source
/// and not the server's temporary file: a line marker, unless the text opens with one.
pub fn head(job: &Job<'_>, text: &[u8]) -> Option<Vec<u8>> {
    if job.language().is_assembler() || opens_with_marker(text) {
        return None;
    }
    let mut head = b"# 1 \"".to_vec();
    for &byte in job.source().as_bytes() {
        match byte {
            b'"' | b'\\' => head.extend([b'\\', byte]),
            b'\n' => head.extend(b"\\n"),
            _ => head.push(byte),
        }
    }
    head.extend(b"\"\n");
    Some(head)
}

/// `# 1 "…"` or `#line 1 "…"` on the first line.
fn opens_with_marker(text: &[u8]) -> bool {
    let rest = text
        .strip_prefix(b"#line ")
        .or_else(|| text.strip_prefix(b"# "));
    rest.and_then(|rest| rest.first())
        .is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, Surroundings, Verdict, classify};
    use std::ffi::{OsStr, OsString};

    #[test]
    fn assembler_that_reads_files_is_found() {
        assert_eq!(
            ties_here(b"asm(\".incbin \\\"data.bin\\\"\");"),
            Some(Reason::SourceReadsFiles)
        );
        assert_eq!(
            ties_here(b"\t.include\t\"frag.inc\"\n"),
            Some(Reason::SourceReadsFiles)
        );
        assert_eq!(
            ties_here(b"#pragma GCC pch_preprocess \"a.gch\"\n"),
            Some(Reason::PrecompiledHeader)
        );
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        assert_eq!(
            ties_here(b"s.include = 1; t.incbinary(); u.inc++; v.incl"),
            None
        );
        assert_eq!(ties_here(b".inc"), None);
        assert_eq!(ties_here(b""), None);
    }

    #[test]
    fn messages_to_objects_are_no_arrays() {
        assert!(makes_objects(b"return [x foo];"));
        assert!(makes_objects(b"@implementation A\n@end"));
        assert!(!makes_objects(
            b"@interface A { int a[4]; }\n@end\nint b [2] = {(a)[0]};"
        ));
    }

    #[test]
    fn code_for_devices_is_found() {
        let ties = |line: &str, text: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let about = Surroundings::new(OsStr::new("/"));
            let Verdict::Distribute(job) = classify(Family::Gcc, false, &args, &about) else {
                panic!("{line} can be sent");
            };
            ties_job_here(&job, text.as_bytes())
        };
        let device = Some(Reason::DeviceCode);
        assert_eq!(ties("-fopenmp -c a.c", "#pragma omp target\n"), device);
        assert_eq!(
            ties("-fopenmp -c a.c", "_Pragma(\"omp begin declare target\")\n"),
            device
        );
        assert_eq!(ties("-fopenacc -c a.c", "#pragma acc parallel\n"), device);
        assert_eq!(ties("-fopenmp -c a.c", "#pragma omp parallel\n"), None);
        assert_eq!(ties("-c a.c", "#pragma omp target\n"), None);
    }

    #[test]
    fn a_source_without_markers_gets_one() {
        let args = ["-c", "a\"b.i"].map(OsString::from);
        let Verdict::Distribute(job) = classify(
            Family::Gcc,
            false,
            &args,
            &Surroundings::new(OsStr::new("/")),
        ) else {
            panic!("a preprocessed source can be sent");
        };
        assert_eq!(
            head(&job, b"int x;\n"),
            Some(b"# 1 \"a\\\"b.i\"\n".to_vec())
        );
        assert_eq!(head(&job, b"# 1 \"x.c\"\n"), None);
        assert_eq!(head(&job, b"#line 4 \"x.c\"\n"), None);
        assert_eq!(
            head(&job, b"# define X\n"),
            Some(b"# 1 \"a\\\"b.i\"\n".to_vec())
        );
    }
}
