//! Which directives and remarks a text has.

use super::*;
use crate::names::Names;

const C: Mode = Mode {
    clang: false,
    cxx: false,
    assembler: false,
    raw_strings: true,
    trigraphs: false,
    digraphs: true,
    line_comments: true,
    separators: false,
    elifdef: true,
    booleans: false,
    va_opt: true,
    unsigned_chars: false,
    unsigned_wide: false,
    modules: false,
};

fn program(text: &str, mode: Mode) -> (Source, Names) {
    let mut names = Names::new();
    let source = scan(&Arc::from(text.as_bytes()), mode, &mut names);
    (source, names)
}

/// The files that a source names anywhere.
fn files(text: &str, mode: Mode) -> Vec<String> {
    let (source, names) = program(text, mode);
    let name = |name| String::from_utf8_lossy(names.get(name)).into_owned();
    source
        .sites
        .iter()
        .map(|site| match site.file {
            Named::Quote(file) => format!("\"{}\"", name(file)),
            Named::Angle(file) => format!("<{}>", name(file)),
            Named::Computed(span) => String::from_utf8_lossy(source.get(span)).trim().to_owned(),
        })
        .collect()
}

#[test]
fn directives_are_found_wherever_they_may_begin() {
    for text in [
        "#include \"a.h\"",
        "\u{feff}#include \"a.h\"\n",
        "  /* x\n */ # /* y\n */ include /* z */ \"a.h\" // c\n",
        "#inc\\\nlude \"a.h\"\n",
        "#\\\n include \"a.h\"\n",
        "\\\n#include \"a.h\"\n",
        "%:include \"a.h\"\n",
        "\x0c\x0b#\x0b include \"a.h\"\n",
        "int a;\r#include \"a.h\"\rint b;",
        "'\n#include \"a.h\"\n",
        "\"x\\\"\n#include \"a.h\"\n",
        "/\\\n* #include \"b.h\" *\\\n/\n#include \"a.h\"\n",
        "x /\\\n/ y /*\n#include \"a.h\"\n/* */",
        "int a = 4 / 2; // */ /* \n#include \"a.h\"\n",
    ] {
        assert_eq!(files(text, C), ["\"a.h\""], "{text:?}");
    }
}

#[test]
fn what_only_looks_like_a_directive_is_none() {
    for text in [
        "/*\n#include \"a.h\"\n*/",
        "// x \\\n#include \"a.h\"\n",
        "\"\\\n#include \\\"a.h\\\"\"",
        "R\"(\n#include \"a.h\"\n)\"",
        "u8R\"x(\n)\" \n#include \"a.h\"\n)x\"",
        "a #include \"a.h\"\n",
    ] {
        assert_eq!(files(text, C), [""; 0], "{text:?}");
    }
    let cxx = Mode {
        clang: false,
        cxx: true,
        separators: true,
        ..C
    };
    assert_eq!(files("int i = 1'000;\n#include <a>\n'", cxx), ["<a>"]);
    assert_eq!(files("xR\"(\n#include <a>\n)\"", cxx), ["<a>"]);
}

#[test]
fn trigraphs_count_where_the_mode_says_so() {
    let trigraphs = Mode {
        trigraphs: true,
        ..C
    };
    assert_eq!(files("??=include \"a.h\"", trigraphs), ["\"a.h\""]);
    assert_eq!(files("??=include \"a.h\"", C), [""; 0]);
    assert_eq!(files("// x ??/\n#include \"a.h\"", trigraphs), [""; 0]);
}

#[test]
fn conditions_become_jumps() {
    let (source, _) = program(
        "#if A\n#define X\n#elif B\n#define Y\n#else\n#define Z\n#endif\n",
        C,
    );
    let targets: Vec<u32> = source
        .ops
        .iter()
        .filter_map(|op| match op {
            Op::If { otherwise, .. } => Some(*otherwise),
            Op::Jump(to) => Some(*to),
            _ => None,
        })
        .collect();
    assert_eq!(targets, [3, 7, 6, 7]);
}

#[test]
fn guards_are_seen() {
    let guard = |text| program(text, C).0.guard.is_some();
    assert!(guard("/* c */\n#ifndef A\n#define A\nint a;\n#endif\n"));
    assert!(guard("#if !defined(A)\n#define A\n#endif\n"));
    assert!(!guard("#ifndef A\n#define A\n#endif\n#define B\n"));
    assert!(!guard("#ifndef A\n#else\n#define B\n#endif\n"));
    assert!(!guard("#ifdef A\n#endif\n"));
}

#[test]
fn text_that_matters_is_noted_unless_it_is_commented_out() {
    let kinds = |text| {
        let (source, _) = program(text, C);
        source.remarks.iter().map(|r| r.kind.0).collect::<Vec<_>>()
    };
    assert_eq!(kinds("int d = __DATE__; // __TIME__\n"), [1]);
    assert_eq!(kinds("asm(\"__DATE__ .incbin \\\"x\\\"\" a__DATE__)"), [16]);
    assert_eq!(kinds("/* __DATE__ */ _Pragma(\"once\")"), [8]);
    assert_eq!(kinds("#error __DATE__\n__TIMESTAMP__\n"), [2]);
    let (source, _) = program("#define A __DATE__\n", C);
    assert_eq!(source.definitions[0].remarks, Remarks::NOW);
}
