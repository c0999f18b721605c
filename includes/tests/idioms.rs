//! Conditions and computed names, one idiom each, decided as gcc and clang decide them.
//!
//! All idioms of a language stand in one source; each includes `yN.h` or `nN.h`, or a name that it computes. The compiler's dependency file is the oracle.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use includes::{Config, Includes, Question, Role};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Directives before an `#if`, and its condition.
const CONDITIONS: &[(&str, &str)] = &[
    ("", "1"),
    ("", "0"),
    ("", "2 - 1 * 2"),
    ("", "1 << 2 + 1 == 8"),
    ("", "-1 > 0u"),
    ("", "-1 < 0"),
    ("", "0 ? 1/0 : 5"),
    ("", "1 || 1/0"),
    ("", "(0 && 1/0) == 0"),
    ("", "~0 == -1"),
    ("", "!3 == 0"),
    ("", "-7 / 2 == -3 && -7 % 2 == -1"),
    ("", "-1 >> 1 == -1"),
    ("", "1 << 64"),
    ("", "1 << -1"),
    ("", "4 >> -1 == 8"),
    ("", "0x7fffffffffffffff + 1 < 0"),
    ("", "18446744073709551615u == -1"),
    ("", "'a' == 97"),
    ("", "'\\377' < 0"),
    ("", "'\\x41' == 'A' && '\\101' == 'A'"),
    ("", "'ab' == 24930"),
    ("", "L'\\xff' == 255"),
    ("", "1 ? 0 : 1"),
    ("", "1 ? 2 ? 3 : 0 : 0"),
    ("", "undefined_name"),
    ("", "defined undefined_name"),
    ("#define A", "defined A"),
    ("#define A", "defined(A) && !defined B"),
    ("#define A 3", "A == 3"),
    ("#define A 1 + 1", "A * 2 == 3"),
    ("#define A (1 + 1)", "A * 2 == 4"),
    ("#define A B\n#define B A", "A == 0"),
    ("#define A B + 1\n#define B A", "A == 1"),
    ("#define F(x) x", "F(1)"),
    ("#define F(x) x", "F (1) == F(F(1))"),
    ("#define F(x) x", "defined F"),
    ("#define F() 7", "F() == 7"),
    ("#define F(x,y) x##y", "F(1,2) == 12"),
    (
        "#define F(x,y) x##y\n#define G(x,y) F(x,y)\n#define A 1",
        "G(A,A) == 11",
    ),
    (
        "#define F(x,y) x##y\n#define A 1\n#define AA 9",
        "F(A,A) == 9",
    ),
    ("#define F(a, ...) a __VA_ARGS__", "F(1)"),
    (
        "#define F(a, ...) G(a, ## __VA_ARGS__)\n#define G(x) x",
        "F(4) == 4",
    ),
    ("#define F(a...) a", "F(5) == 5"),
    (
        "#define N(a,b,c,d,...) d\n#define C(...) N(__VA_ARGS__,3,2,1)",
        "C(x,y) == 2",
    ),
    ("#define F(x) 1\n#define G F", "G(0)"),
    (
        "#define E\n#define F(x) x\n#define D(x) x E\n#define X(x) x",
        "X(D(F)(6)) == 6",
    ),
    (
        "#define E()\n#define DEFER(x) x E()\n#define A() 5\n#define X(...) __VA_ARGS__",
        "X(DEFER(A)()) == 5",
    ),
    ("#define A defined B", "A"),
    ("#define B\n#define A defined(B)", "A"),
    ("#define A() 1", "A"),
    ("#define P(x) x\n#define Q ,", "1 P(== 1)"),
    ("#define A 1", "A && A == A || A - A"),
    ("", "__LINE__ > 3"),
    ("", "__COUNTER__ + 1 == __COUNTER__"),
    ("", "__INCLUDE_LEVEL__ == 0"),
    ("", "__has_include(\"probe.h\")"),
    ("", "__has_include(\"absent.h\")"),
    ("#define H <probe.h>", "__has_include(H)"),
    (
        "#define H \"probe.h\"",
        "__has_include(H) && !__has_include(<absent.h>)",
    ),
    ("#define HAS(x) __has_include(x)", "HAS(\"probe.h\")"),
    ("", "defined __has_include"),
    ("", "defined(__has_include) && __has_include(<probe.h>)"),
    ("", "__has_attribute(noreturn)"),
    ("", "__has_attribute(no_such_attribute)"),
    ("#define HB(x) __has_builtin(x)", "HB(__builtin_expect)"),
    ("", "__GNUC__ >= 4"),
    ("", "__SIZEOF_POINTER__ * 8 == 64"),
    ("", "__STDC_HOSTED__"),
    ("#define A 1\n#undef A", "defined A"),
    (
        "#define A 1\n#pragma push_macro(\"A\")\n#undef A\n#define A 2\n#pragma pop_macro(\"A\")",
        "A == 1",
    ),
    (
        "#define A 1\n_Pragma(\"push_macro(\\\"A\\\")\")\n#undef A\n_Pragma(\"pop_macro(\\\"A\\\")\")",
        "A == 1",
    ),
    ("#define A /* x\n y */ 1", "A /* z */ == 1 // no"),
    ("#define A \\\n 1", "A \\\n == 1"),
    ("#// odd \\\n words", "1"),
    (
        "#define CAT(a,b) a##b\n#define CAT2(a,b) CAT(a,b)\n#define A CAT2(__LI, NE__)",
        "A > 0",
    ),
    ("#define S(x) #x\n#define F(x, y) y", "F(S(\"a, b\" ), 1)"),
    ("#define F(x, y) y", "F((1, 2), 3) == 3"),
    (
        "#define V(x, ...) x __VA_OPT__(+ 1)",
        "V(1) == 1 && V(1, 2) == 2",
    ),
    (
        "#define V(...) 1 ## __VA_OPT__(0) ## 0",
        "V() == 10 && V(a) == 100",
    ),
];

/// Only for C++.
const CXX: &[(&str, &str)] = &[
    ("", "true and not false"),
    ("", "1 bitand 3 xor 1"),
    ("", "1'000 == 1000"),
    ("", "__cplusplus >= 201103L"),
    ("", "__has_cpp_attribute(nodiscard) >= 201603L"),
    ("const char *s = R\"x(\n#define RAW\n)x\";", "defined RAW"),
    ("", "true + true == 2"),
];

/// Directives that end in an `#include` whose name is computed, and the files that it may mean.
const NAMES: &[(&str, &[&str])] = &[
    ("#define A \"n1.h\"\n#include A", &["n1.h"]),
    ("#define A <n2.h>\n#include A", &["n2.h"]),
    (
        "#define S(x) #x\n#define X(x) S(x)\n#define D sub\n#include X(D/n3.h)",
        &["sub/n3.h"],
    ),
    (
        "#define L <\n#define G >\n#define N n4.h\n#include L N G",
        &["n4.h", " n4.h "],
    ),
    ("#define F(n) <n##_5.h>\n#include F(n)", &["n_5.h"]),
    ("#define V(...) #__VA_ARGS__\n#include V(n6.h)", &["n6.h"]),
    (
        "#define S(x) #x\n#define X(x) S(x)\n#define P(a,b) a/b\n#include X(P(sub,n7.h))",
        &["sub/n7.h"],
    ),
    (
        "#define S(x) #x\n#define X(x) S(x)\n#define I(x) x\n#include X(I(n)8.h)",
        &["n8.h", "n 8.h"],
    ),
    ("#define Q(x) <sub/x.h>\n#include Q(n9)", &["sub/n9.h"]),
    (
        "#define C(a,b) a##b\n#define E(a,b) C(a,b)\n#define S(x) #x\n#define X(x) S(x)\n#include X(E(n,__INCLUDE_LEVEL__).h)",
        &["n0.h"],
    ),
];

fn write_source(folder: &Path, name: &str, conditions: &[(&str, &str)]) {
    let names = [
        "A", "B", "F", "G", "H", "HB", "HAS", "N", "C", "E", "D", "X", "P", "Q", "S", "V", "L",
        "R", "I", "CAT", "CAT2", "DEFER", "AA", "f", "RAW",
    ];
    let undo: String = names
        .iter()
        .map(|name| format!("#undef {name}\n"))
        .collect();
    let mut text = String::new();
    for (number, (before, condition)) in conditions.iter().enumerate() {
        writeln!(text, "{before}\n#if {condition}\n#include \"y{number}.h\"\n#else\n#include \"no{number}.h\"\n#endif\n{undo}").unwrap();
        fs::write(folder.join(format!("y{number}.h")), "").unwrap();
        fs::write(folder.join(format!("no{number}.h")), "").unwrap();
    }
    for (directives, files) in NAMES {
        writeln!(text, "{directives}\n{undo}").unwrap();
        for file in *files {
            fs::write(folder.join(file), "").unwrap();
        }
    }
    fs::write(folder.join(name), text).unwrap();
}

fn compare(command: &str, name: &str, conditions: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    fs::create_dir(folder.join("sub")).unwrap();
    fs::write(folder.join("probe.h"), "").unwrap();
    write_source(&folder, name, conditions);
    let words: Vec<OsString> = format!("{command} -I. -c {name}")
        .split(' ')
        .map(OsString::from)
        .collect();
    let output = Command::new(&words[0])
        .args(words[1..].iter().filter(|word| *word != "-c"))
        // Not -M, for which gcc expands nothing in text, `_Pragma` neither.
        .args(["-E", "-o", "/dev/null", "-MD", "-MF", "dependencies"])
        .env("LC_ALL", "C")
        .current_dir(&folder)
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {messages}");
    let text = fs::read_to_string(folder.join("dependencies"))
        .unwrap()
        .replace("\\\n", " ");
    let theirs: BTreeSet<String> = text
        .split_once(": ")
        .unwrap()
        .1
        .replace("\\ ", "\u{1}")
        .split_whitespace()
        .map(|name| name.replace('\u{1}', " "))
        .filter_map(|name| folder.join(name).canonicalize().ok())
        .filter_map(|name| Some(name.strip_prefix(&folder).ok()?.to_str()?.to_owned()))
        .filter(|name| name != "probe.h")
        .collect();
    let includes = Includes::new(Config::default());
    let closure = includes
        .closure(&Question {
            directory: &folder,
            words: &words,
            environment: &[],
        })
        .unwrap();
    let ours: BTreeSet<String> = closure
        .files
        .iter()
        .filter(|file| matches!(file.role, Role::Source | Role::Header))
        .filter_map(|file| Some(file.real.strip_prefix(&folder).ok()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(closure.unsure, 0, "{command}");
    assert!(
        closure.missing.is_none(),
        "{command}: {:?}",
        closure.missing
    );
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> {
        a.difference(b)
            .map(|name| {
                let number = name
                    .trim_start_matches(|c: char| !c.is_ascii_digit())
                    .trim_end_matches(".h");
                let idiom = number
                    .parse::<usize>()
                    .ok()
                    .and_then(|number| conditions.get(number));
                format!("{name} {idiom:?}")
            })
            .collect()
    };
    assert_eq!(
        ours,
        theirs,
        "{command}: only ours {:#?}, only the compiler's {:#?}",
        only(&ours, &theirs),
        only(&theirs, &ours)
    );
    assert!(
        closure
            .files
            .iter()
            .any(|file| file.role == Role::Probed && file.name.ends_with("probe.h"))
    );
}

#[test]
fn gcc_in_c() {
    compare("gcc", "t.c", CONDITIONS);
}

#[test]
fn clang_in_c() {
    // clang 14 has __VA_OPT__ in C++20 only.
    let known: Vec<_> = CONDITIONS
        .iter()
        .filter(|(before, _)| !before.contains("__VA_OPT__"))
        .copied()
        .collect();
    compare("clang", "t.c", &known);
}

#[test]
fn gcc_in_cxx() {
    compare("g++ -std=c++20", "t.cc", &[CONDITIONS, CXX].concat());
}

#[test]
fn clang_in_cxx() {
    compare("clang++ -std=c++20", "t.cc", &[CONDITIONS, CXX].concat());
}

/// The library does not show these words to a compiler that it asks what is predefined.
#[test]
fn harmless_words_change_nothing_that_is_predefined() {
    let predefined = |compiler: &str, word: Option<&str>, language: &str| {
        let output = Command::new(compiler)
            .args(word)
            .args(["-O2", "-E", "-dM", "-x", language, "/dev/null"])
            .output()
            .unwrap();
        assert!(output.status.success());
        output.stdout
    };
    for (compiler, language) in [
        ("gcc", "c"),
        ("g++", "c++"),
        ("clang", "c"),
        ("clang++", "c++"),
    ] {
        let plain = predefined(compiler, None, language);
        for word in compiler::inclusion::HARMLESS {
            assert!(
                predefined(compiler, Some(word), language) == plain,
                "{compiler} {word}"
            );
        }
    }
}

/// The headers of a closure by their names, without those of the compiler; and how many conditions were open.
fn headers(command: &str, files: &[(&str, &str)]) -> (Vec<String>, u32) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for (name, text) in files {
        match text.strip_prefix("same as ") {
            Some(other) => fs::hard_link(root.join(other), root.join(name)).unwrap(),
            None => fs::write(root.join(name), text).unwrap(),
        }
    }
    let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
    let includes = Includes::new(Config::default());
    let question = Question {
        directory: &root,
        words: &words,
        environment: &[],
    };
    let closure = includes.closure(&question).unwrap();
    let own = closure.files.iter().filter(|file| !file.system);
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let headers = own.filter(|file| file.role == Role::Header);
    let mut names: Vec<String> = headers.map(|file| name(&file.real)).collect();
    names.sort();
    (names, closure.unsure)
}

#[test]
fn what_a_pragma_may_have_changed_is_in_doubt() {
    let source = "#pragma GCC push_options\n#pragma GCC target(\"avx2\")\n#ifdef __AVX2__\n#include \"a.h\"\n#else\n#include \"b.h\"\n#endif\n\
                  #if __GNUC__ > 3 && defined __OPTIMIZE__\n#include \"c.h\"\n#endif\n#pragma GCC pop_options\n#ifdef __AVX2__\n#include \"c.h\"\n#endif\n";
    let files = [("t.c", source), ("a.h", ""), ("b.h", ""), ("c.h", "")];
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(headers("gcc -c t.c", &files), (names(&["a.h", "b.h"]), 1));
    assert_eq!(headers("clang -c t.c", &files), (names(&["b.h"]), 0));
    let optimized = "_Pragma(\"GCC optimize(3)\")\n#if __OPTIMIZE__\n#include \"a.h\"\n#endif\n#ifdef __AVX2__\n#include \"b.h\"\n#endif\n";
    let files = [("t.c", optimized), ("a.h", ""), ("b.h", "")];
    assert_eq!(headers("gcc -c t.c", &files), (names(&["a.h"]), 1));
    // gcc's own headers of intrinsics change options again and again, and decide nothing by them.
    let intrinsics = [("t.c", "#include <immintrin.h>\n")];
    assert_eq!(headers("gcc -c t.c", &intrinsics), (names(&[]), 0));
}

#[test]
fn a_file_of_two_names_is_one_to_clang() {
    let files = [
        ("t.c", "#include \"a.h\"\n#include \"b.h\"\n"),
        (
            "a.h",
            "#pragma once\n#ifdef SEEN\n#include \"c.h\"\n#endif\n#define SEEN\n",
        ),
        ("b.h", "same as a.h"),
        ("c.h", ""),
    ];
    let (names, _) = headers("clang -c t.c", &files);
    assert!(!names.contains(&"c.h".to_owned()), "{names:?}");
}

#[test]
fn a_precompiled_form_beside_the_first_header_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("t.c"), "#include \"b.h\"\n#include \"a.h\"\n").unwrap();
    for name in ["a.h", "b.h", "a.h.gch"] {
        fs::write(root.join(name), "").unwrap();
    }
    let words = ["gcc", "-c", "t.c"].map(OsString::from);
    let includes = Includes::new(Config::default());
    let ask = || {
        includes.closure(&Question {
            directory: root,
            words: &words,
            environment: &[],
        })
    };
    assert!(ask().is_ok(), "gcc takes one for the first header only");
    fs::write(root.join("b.h.gch"), "").unwrap();
    assert!(ask().is_err());
}

#[test]
fn gcc_includes_nothing_of_a_name_that_it_looked_for_in_vain() {
    let source = "#if __has_include(<none.h>)\n#endif\n#include <none.h>\n#include \"a.h\"\n";
    let files = [("t.c", source), ("a.h", "")];
    let (names, _) = headers("gcc -c t.c", &files);
    assert_eq!(names, ["a.h"]);
    let (names, _) = headers("clang -c t.c", &files);
    assert!(names.is_empty(), "clang stops there: {names:?}");
}

#[test]
fn a_pragma_may_stand_behind_the_mark_of_the_byte_order() {
    let files = [
        ("t.c", "#include \"a.h\"\n#include \"a.h\"\n"),
        (
            "a.h",
            "\u{feff}_Pragma(\"once\")\n#ifdef SEEN\n#include \"b.h\"\n#endif\n#define SEEN\n",
        ),
        ("b.h", ""),
    ];
    let (names, _) = headers("gcc -c t.c", &files);
    assert_eq!(names, ["a.h"]);
}
