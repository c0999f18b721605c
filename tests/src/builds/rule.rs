//! Which compile commands could be sent away, by a rule of the tests' own: written without a look at the launcher's.
//!
//! `-c`, one C or C++ source, and no probe, precompiled header or module.

use std::{fs, path::Path};

/// Options whose next word belongs to them.
const WITH_OPERAND: &[&str] = &[
    "-o",
    "-MF",
    "-MT",
    "-MQ",
    "-I",
    "-D",
    "-U",
    "-include",
    "-imacros",
    "-isystem",
    "-iquote",
    "-idirafter",
    "-x",
    "-arch",
    "--param",
    "-Xclang",
    "-Xpreprocessor",
    "-Xassembler",
    "-target",
    "-L",
    "-l",
    "-T",
    "-u",
    "-z",
    "-B",
    "-isysroot",
    "--sysroot",
];

const SUFFIXES: &[&str] = &["c", "cc", "cpp", "cxx", "c++", "C"];

/// Sources with which build tools ask what a compiler can do.
const PROBES: &[&str] = &[
    "conftest",
    "CMakeCCompilerABI",
    "CMakeCXXCompilerABI",
    "CMakeCCompilerId",
    "CMakeCXXCompilerId",
    "testCCompiler",
    "testCXXCompiler",
    "flag_check",
    "detect_compiler_family",
    "sanitycheckc",
    "sanitycheckcpp",
    "testfile",
];

/// Does the rule hold for `command`, which ran in `work` or below?
pub(super) fn is_distributable(command: &[String], work: &Path) -> bool {
    let args = &command[1..];
    let has = |wanted: &str| args.iter().any(|word| word == wanted);
    if !has("-c")
        || ["-E", "-S", "-M", "-MM", "-###"]
            .iter()
            .any(|word| has(word))
    {
        return false;
    }
    let sources: Vec<&str> = sources(args);
    let [source] = sources[..] else { return false };
    !asks(source, args) && !is_header(args) && !is_module(args, work)
}

fn sources(args: &[String]) -> Vec<&str> {
    let mut found = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if WITH_OPERAND.contains(&word.as_str()) {
            words.next();
        } else if !word.starts_with(['-', '@']) {
            let suffix = Path::new(word)
                .extension()
                .and_then(|suffix| suffix.to_str());
            if suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix)) {
                found.push(word.as_str());
            }
        }
    }
    found
}

/// Is there a source with which a build tool asks something?
pub(super) fn is_probe(args: &[String]) -> bool {
    sources(args).iter().any(|source| asks(source, args))
}

fn asks(source: &str, args: &[String]) -> bool {
    let stem = Path::new(source).file_stem().and_then(|stem| stem.to_str());
    stem.is_some_and(|stem| PROBES.contains(&stem))
        || args.iter().any(|word| {
            [
                "/CMakeScratch/",
                "CMakeFiles/cmTC_",
                "/CMakeTmp/",
                "meson-private/",
            ]
            .iter()
            .any(|part| word.contains(part))
        })
}

/// Makes a precompiled header, or uses one.
fn is_header(args: &[String]) -> bool {
    let made = args
        .windows(2)
        .any(|pair| pair[0] == "-x" && pair[1].ends_with("-header"));
    made || args.iter().any(|word| {
        word.ends_with("-header")
            || word == "-include-pch"
            || word.ends_with("cmake_pch.hxx")
            || word.ends_with("cmake_pch.h")
    })
}

/// Makes or uses a C++ module; what CMake says of that stands in a file, which is empty for sources that do not.
fn is_module(args: &[String], work: &Path) -> bool {
    let says = |word: &str| word.starts_with("-fmodule") || word.contains("c++-module");
    let mut below = vec![work.to_owned()];
    below.extend(["build", "out"].map(|name| work.join(name)));
    args.iter().any(|word| {
        says(word)
            || word.strip_prefix('@').is_some_and(|name| {
                let texts = below
                    .iter()
                    .map(|folder| fs::read_to_string(folder.join(name)));
                texts
                    .flatten()
                    .any(|text| text.split_whitespace().any(says))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_and_nothing_special() {
        let holds = |command: &str| {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            is_distributable(&words, Path::new("/nowhere"))
        };
        for yes in [
            "cc -O2 -c a.c",
            "c++ -MD -MF x.d -o a.o -c dir/a.cpp",
            "cc -include b.c -D x.c -o a.o -c a.c",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in [
            "cc a.c",
            "cc -c a.S",
            "cc -c a.c b.c",
            "cc -E -c a.c",
            "cc -c conftest.c",
            "cc -o CMakeFiles/cmTC_1.dir/src.c.o -c /b/src.c",
            "c++ -x c++-header -o x.gch -c x.cxx",
            "c++ -fmodule-output=x.pcm -c x.cpp",
        ] {
            assert!(!holds(no), "{no}");
        }
    }
}
