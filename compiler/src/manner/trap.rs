//! What forbids a manner for one text: each trap is a case where the compiler there would silently make something else of it.
//!
//! A false alarm costs another manner, or one local compile; so these look for words and do not parse.

use super::{Manner, active, empty};
use crate::words::Meaning;
use crate::{Family, Job};
use memchr::memmem;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Why a text cannot go in the manner asked for: the next of [`Job::manners`] may serve, else this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trap {
    /// The preprocessor prints another form than those that are known.
    Form,
    /// `__DATE__`, `__TIME__`, `__TIMESTAMP__` would be those of the other machine.
    Clock,
    /// `__COUNTER__` may have been counted by the preprocessor already.
    Counter,
    /// A pragma that the preprocessor swallows.
    Pragma,
    /// `#include` within the arguments of a macro fails here, and would not there.
    Arguments,
    /// clang warns of an empty body here, and would not there.
    EmptyBody,
    /// A pragma changes options of the compiler, and thereby macros, which gcc's preprocessor by itself does not.
    Options,
}

impl Trap {
    /// Every trap.
    pub fn all() -> &'static [Trap] {
        &[
            Trap::Form,
            Trap::Clock,
            Trap::Counter,
            Trap::Pragma,
            Trap::Arguments,
            Trap::EmptyBody,
            Trap::Options,
        ]
    }

    /// The stable kebab-case code that the journal holds.
    pub fn code(self) -> &'static str {
        match self {
            Trap::Form => "form",
            Trap::Clock => "clock",
            Trap::Counter => "counter",
            Trap::Pragma => "pragma",
            Trap::Arguments => "arguments",
            Trap::EmptyBody => "empty-body",
            Trap::Options => "pragma-options",
        }
    }

    /// A sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Trap::Form => "the preprocessor's text has a form that is not known",
            Trap::Clock => "the source asks for a time, which would be the other machine's",
            Trap::Counter => "the source counts, and would be counted twice",
            Trap::Pragma => "the preprocessor swallows a pragma",
            Trap::Arguments => "a file is included within the arguments of a macro",
            Trap::EmptyBody => "clang would not warn of an empty body",
            Trap::Options => "a pragma changes options, which the preprocessor alone does not heed",
        }
    }
}

/// What a file that `text`, as the preprocessor wrote it, was made of holds that the text no longer shows. [`super::files`] gives the
/// files by `name`; clang's manner keeps all in the text, and expanded text has no traps.
pub fn trap_in_file(
    job: &Job<'_>,
    manner: Manner,
    text: &[u8],
    name: &OsStr,
    file: &[u8],
) -> Option<Trap> {
    if !matches!(manner, Manner::Directives | Manner::Whole) || job.is_preprocessed() {
        return None;
    }
    let parallel = job.words.iter().any(|word| {
        matches!(word.meaning, Meaning::Option(opt) if matches!(opt.name, "-fopenmp" | "-fopenacc"))
    });
    // `#pragma`, `_Pragma`.
    memmem::find_iter(file, b"ragma")
        .filter(|&at| is_swallowed(&file[at + b"ragma".len()..], parallel))
        .any(|at| !active::is_passed_over(name.as_bytes(), file, at, text))
        .then_some(Trap::Pragma)
}

/// Is the pragma that this follows one of those? `#pragma NAME`, or `_Pragma("NAME …")`, which is not swallowed, but the conditions that the
/// preprocessor decides do not mind it.
fn is_swallowed(rest: &[u8], parallel: bool) -> bool {
    // Measured for every pragma that gcc 12 registers. `once`, `system_header`, `dependency`, `warning` and `error` have done their work.
    const NAMES: &[&[u8]] = &[
        b"message",
        b"pch_preprocess",
        b"poison",
        b"redefine_extname",
    ];
    const MACROS: &[&[u8]] = &[b"pop_macro", b"push_macro"];
    const PARALLEL: &[&[u8]] = &[b"acc", b"omp"];
    let operator = rest.trim_ascii_start().starts_with(b"(");
    let rest = skip_blanks(rest);
    let rest = rest.strip_prefix(b"GCC").map_or(rest, skip_blanks);
    let part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let end = rest.iter().position(|b| !part(b)).unwrap_or(rest.len());
    let name = &rest[..end];
    MACROS.contains(&name)
        || !operator && (NAMES.contains(&name) || parallel && PARALLEL.contains(&name))
}

/// Blanks, what opens a `_Pragma`, and a line that goes on in the next.
fn skip_blanks(rest: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c' | b'(' | b'"');
    let mut rest = rest;
    loop {
        let next = rest.iter().position(|b| !blank(b)).unwrap_or(rest.len());
        rest = &rest[next..];
        let joined = rest
            .strip_prefix(b"\\\n")
            .or_else(|| rest.strip_prefix(b"\\\r\n"));
        match joined {
            Some(after) => rest = after,
            None => return rest,
        }
    }
}

/// What a text itself holds, comments blanked.
pub(super) fn in_text(job: &Job<'_>, manner: Manner, text: &[u8]) -> Option<Trap> {
    if job.family == Family::Clang && !job.is_silent() && empty::has_empty_body(text) {
        return Some(Trap::EmptyBody);
    }
    if job.family == Family::Gcc && changes_options(text) {
        return Some(Trap::Options);
    }
    if manner != Manner::Expanded && names_clock(text) {
        return Some(Trap::Clock);
    }
    match manner {
        Manner::Expanded => None,
        Manner::Rewritten => {
            if memmem::find(text, b"__COUNTER__").is_some() {
                return Some(Trap::Counter);
            }
            memmem::find_iter(text, b"ragma")
                .any(|at| names_dependency(&text[at + b"ragma".len()..]))
                .then_some(Trap::Pragma)
        }
        // What these say of preprocessed text was not measured.
        Manner::Directives
            if job.is_taken_for_preprocessed(manner)
                && [&b"__BASE_FILE__"[..], b"__INCLUDE_LEVEL__"]
                    .iter()
                    .any(|name| memmem::find(text, name).is_some()) =>
        {
            Some(Trap::Form)
        }
        Manner::Directives | Manner::Whole => {
            includes_in_arguments(text).then_some(Trap::Arguments)
        }
    }
}

/// Does a pragma change options (`#pragma GCC target`, `optimize`) in a file of the user's, where something may be decided behind it? `#ifdef
/// __AVX2__` comes out otherwise in a compile than where gcc only preprocesses. gcc's own headers put all back before they decide anything.
fn changes_options(text: &[u8]) -> bool {
    memmem::find_iter(text, b"GCC").any(|at| {
        let rest = skip_blanks(&text[at + b"GCC".len()..]);
        (rest.starts_with(b"target") || rest.starts_with(b"optimize"))
            && may_have_decided(rest)
            && !is_in_system_header(&text[..at])
    })
}

/// Was there a directive on the lines from here to where options are put back? It left an empty line, or a line marker, or was the end.
fn may_have_decided(text: &[u8]) -> bool {
    for line in text.split(|&byte| byte == b'\n').skip(1) {
        let back = |option: &[u8]| memmem::find(line, option).is_some();
        if line.starts_with(b"#pragma") && (back(b"pop_options") || back(b"reset_options")) {
            return false;
        }
        if line.trim_ascii().is_empty() || line.starts_with(b"# ") {
            break;
        }
    }
    true
}

/// Does the last line marker of a text say that what follows is of a system header?
fn is_in_system_header(before: &[u8]) -> bool {
    let mut rest = before;
    while let Some(at) = memmem::rfind(rest, b"\n# ") {
        let line = &before[at + b"\n# ".len()..];
        if line.first().is_some_and(u8::is_ascii_digit) {
            let end = memchr::memchr(b'\n', line).unwrap_or(line.len());
            let flags = memchr::memrchr(b'"', &line[..end]).map_or(end, |quote| quote + 1);
            return line[flags..end].contains(&b'3');
        }
        rest = &rest[..at];
    }
    false
}

fn names_clock(text: &[u8]) -> bool {
    memmem::find_iter(text, b"__TIME")
        .any(|at| text[at..].starts_with(b"__TIME__") || text[at..].starts_with(b"__TIMESTAMP__"))
        || memmem::find(text, b"__DATE__").is_some()
}

fn names_dependency(rest: &[u8]) -> bool {
    let rest = skip_blanks(rest);
    rest.strip_prefix(b"GCC")
        .is_some_and(|rest| skip_blanks(rest).starts_with(b"dependency"))
}

/// Does a marker that enters a file stand within parentheses? They are counted back to the last end of a statement or block.
fn includes_in_arguments(text: &[u8]) -> bool {
    memmem::find_iter(text, b"\" 1")
        .filter(|&at| matches!(text.get(at + 3), Some(b'\n' | b' ')))
        .filter_map(|at| {
            let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
            text[start..].starts_with(b"# 1 \"").then_some(start)
        })
        .any(|start| is_within_parentheses(&text[..start]))
}

fn is_within_parentheses(before: &[u8]) -> bool {
    let mut open = 0i32;
    for line in before.rsplit(|&b| b == b'\n').take(4096) {
        if line.trim_ascii_start().starts_with(b"#") {
            continue;
        }
        for &byte in line.iter().rev() {
            match byte {
                b'(' => open += 1,
                b')' => open -= 1,
                b';' | b'{' | b'}' => return false,
                _ => {}
            }
            if open > 0 {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swallowed_pragmas_are_found() {
        for text in [
            " message \"x\"",
            "\tredefine_extname a b",
            " push_macro(\"X\")",
            "(\"pop_macro(\\\"X\\\")\")",
            " GCC poison zork",
            " \\\n message(\"x\")",
        ] {
            assert!(is_swallowed(text.as_bytes(), false), "{text}");
        }
        for text in [
            " once",
            " GCC diagnostic push",
            "tic message",
            "(\"message(\\\"X\\\")\")",
            " (#message)",
            " omp parallel",
            "",
            "(\"",
        ] {
            assert!(!is_swallowed(text.as_bytes(), false), "{text}");
        }
        assert!(is_swallowed(b" omp parallel", true));
    }

    #[test]
    fn clocks_are_found() {
        assert!(names_clock(b"x = __TIME__;"));
        assert!(names_clock(b"__DATE__"));
        assert!(names_clock(b"__TIMESTAMP__"));
        assert!(!names_clock(b"__TIMESIZE __TIME_T_TYPE __DATES"));
    }

    #[test]
    fn pragmas_that_change_options_are_found() {
        for text in [
            "#pragma GCC target(\"avx2\")\n\nint a;\n",
            "#pragma GCC optimize 3\nint a;\n",
            "_Pragma(\"GCC optimize(\\\"O3\\\")\")\n\nint a;\n",
            "DO(GCC \\\n target(\"avx2\"))\n# 1 \"a.h\" 1\nint a;\n",
            "# 1 \"/usr/include/a.h\" 1 3 4\nint a;\n# 3 \"a.c\" 2\n#pragma GCC  optimize 3\n\nint a;\n",
        ] {
            assert!(changes_options(text.as_bytes()), "{text}");
        }
        for text in [
            "#pragma GCC diagnostic push\n\nint a;\n",
            "#pragma GCC push_options\n\nint a;\n",
            "#pragma GCC optimize 3\nint a;\n#pragma GCC pop_options\n\nint b;\n",
            "# 1 \"a.c\"\n# 1 \"/usr/lib/gcc/immintrin.h\" 1 3 4\n# define X\n#pragma GCC target(\"avx2\")\n\nint a;\n",
        ] {
            assert!(!changes_options(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn files_within_arguments_are_found() {
        assert!(includes_in_arguments(b"int a = M(1,\n# 1 \"b.h\" 1\n"));
        assert!(includes_in_arguments(
            b"int a = M(1,\n#define X\n\n# 1 \"b.h\" 1 3 4\n"
        ));
        for text in [
            "# 1 \"b.h\" 1\n",
            "int a[] = {\n# 1 \"b.h\" 1\n",
            "f(1);\n# 1 \"b.h\" 1\n",
            "#define X (\n# 1 \"b.h\" 1\n",
            "f(\n# 2 \"a.c\" 2\n",
            "x = \" 1 ",
        ] {
            assert!(!includes_in_arguments(text.as_bytes()), "{text}");
        }
    }
}
