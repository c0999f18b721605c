//! Each trap, and what would come of it.

use super::Place;
use compiler::Manner;
use compiler::diagnostics::Charset;
use compiler::manner::Trap;

const INCLUDED: (&str, &str) = ("b.h", "int b;\n");

/// A trap that only the files tell: the object or the messages would be others.
fn is_needed(options: &str, text: &str) {
    let place = Place::new(&[INCLUDED, ("t.c", text)]);
    let line = format!("gcc {options} -c t.c -o t.o");
    assert_eq!(place.compile(&line).err(), Some(Trap::Pragma), "{text}");
    let forced = place
        .compile_as(&line, Charset::Ascii, Some(Manner::Directives))
        .expect("forced");
    let harmless = forced.well == forced.local.status.success() && forced.got == forced.wanted;
    let silent = forced.said == compiler::diagnostics::Said::Text(forced.local.stderr.clone());
    assert!(!harmless || !silent, "needless: {text}");
}

#[test]
fn pragmas_that_are_swallowed_would_be_lost() {
    is_needed(
        "-g",
        "#pragma redefine_extname f g\nint f(void);\nint h(void) { return f(); }\n",
    );
    is_needed("-O1", "#pragma message \"said\"\nint a;\n");
    is_needed(
        "-O1",
        "#define X 1\n#pragma push_macro(\"X\")\n#undef X\n#define X 2\n#pragma pop_macro(\"X\")\nint x = X;\n",
    );
    is_needed(
        "-O1 -fopenmp",
        "void f(int *a) {\n#pragma omp parallel for\nfor (int i = 0; i < 9; i++) a[i] = i;\n}\n",
    );
    is_needed(
        "-O1 -fopenmp-simd",
        "int f(int *a) { int s = 0;\n#pragma omp simd reduction(+:s) safelen(2)\nfor (int i = 0; i < 99; i++) s += a[i]; return s;\n}\n",
    );
    is_needed(
        "-O1 -fopenacc",
        "void f(int *a) {\n#pragma acc parallel loop\nfor (int i = 0; i < 9; i++) a[i] = i;\n}\n",
    );
    is_needed("-O1", "#pragma GCC poison bad\nint bad;\n");
    is_needed(
        "-O1",
        "#define X 1\n_Pragma(\"push_macro(\\\"X\\\")\")\n#undef X\n_Pragma(\"pop_macro(\\\"X\\\")\")\n#if X\nint yes;\n#endif\n",
    );
}

#[test]
fn pragmas_that_were_passed_over_trap_nothing() {
    let place = Place::new(&[
        INCLUDED,
        (
            "t.c",
            "#ifdef NOT\n#pragma message \"x\"\nint not;\n#endif\n#pragma once\n#pragma GCC diagnostic push\nint a;\n",
        ),
    ]);
    assert_eq!(place.is_equal("gcc -g -c t.c -o t.o"), Ok(true));

    // As in zlib's inffast.c and in lz4.h.
    let place = Place::new(&[
        (
            "b.h",
            "#if defined(NOT)\n# define D(x) x\n#elif defined(NEITHER)\n#  pragma message(\"x\")\n# define D(x)  /* disabled */\n#else\n\
             # define D(x) + x\n#endif\n",
        ),
        (
            "t.c",
            "#include \"b.h\"\n#ifdef NOT\n#  pragma message(\"x\")\n#else\n/* text */\nint a = 1 D(2);\n#endif\n",
        ),
    ]);
    assert_eq!(place.is_equal("gcc -g -c t.c -o t.o"), Ok(true));
}

#[test]
fn a_header_that_is_read_twice_may_be_read_otherwise() {
    let header = "#ifdef A\nint one(void);\n#else\n#pragma message \"said\"\n#endif\n";
    let text = "#define A\n#include \"b.h\"\n#undef A\n#include \"b.h\"\nint a;\n";
    let place = Place::new(&[("b.h", header), ("t.c", text)]);
    let tried = place.compile("gcc -c t.c -o t.o");
    assert_eq!(tried.err(), Some(Trap::Pragma));
}

/// What a compile makes of it, gcc's preprocessor by itself does not see.
const TUNED: &str = "#pragma GCC target(\"avx2\")\n#ifdef __AVX2__\nint yes;\n#endif\n";

#[test]
fn texts_that_would_mean_something_else_there_are_seen() {
    let place = Place::new(&[INCLUDED]);
    for (line, text, trap) in [
        ("gcc -g", "const char *t = __TIME__;\n", Trap::Clock),
        ("gcc -g", "const char *t = __DATE__;\n", Trap::Clock),
        ("gcc -g", "const char *t = __TIMESTAMP__;\n", Trap::Clock),
        (
            "gcc",
            "#define M(a, b) a; b\nM(int x,\n#include \"b.h\"\n)\n",
            Trap::Arguments,
        ),
        ("clang", "const char *t = __TIMESTAMP__;\n", Trap::Clock),
        (
            "clang",
            "#if __COUNTER__ == 0\nint c = __COUNTER__;\n#endif\n",
            Trap::Counter,
        ),
        (
            "clang",
            "#pragma GCC dependency \"b.h\"\nint c;\n",
            Trap::Pragma,
        ),
        ("gcc -g", TUNED, Trap::Options),
        ("gcc", TUNED, Trap::Options),
    ] {
        place.write("t.c", text);
        let tried = place.compile(&format!("{line} -c t.c -o t.o"));
        assert_eq!(tried.err(), Some(trap), "{line}: {text}");
    }
    // Only said of, not asked for.
    place.write("t.c", "/* __DATE__ */\nint a; // __TIME__\n");
    assert_eq!(place.is_equal("gcc -g -c t.c -o t.o"), Ok(true));
}

#[test]
fn what_looks_like_a_trap_holds() {
    let place = Place::new(&[INCLUDED]);
    for text in [
        "int a[] = {\n#include \"n.h\"\n};\n",
        "int c = __COUNTER__, d = __COUNTER__;\n",
        "#line 7 \"q.c\"\nconst char *f = __FILE__, *b = __BASE_FILE__; int l = __LINE__, n = __INCLUDE_LEVEL__;\n",
        "int t??(3??) = {1};\r\nint u;\r\n",
        "\u{feff}int bom;\n",
        "#ident \"x\"\n#pragma weak f\nint f(void); int g(void) { return f(); }\n",
        "#pragma GCC push_options\n#pragma GCC optimize(\"O3\")\nint f(int x) { return x * 3; }\n#pragma GCC pop_options\n",
        "#pragma pack(1)\nstruct s { char c; int i; } s;\n",
        "const char *f(void) { return __func__; }\n#define S(x) #x\nconst char *s = S( a  +   b /* c */ );\n",
        "const char *s = \"/* no */ // no\"; /* yes */ int a; /* moved */ int b; // end\n",
        "#define F /* a */ ( x )\nint f(int x) { return F; }\n",
        "int a = 1 /* one\n two */ + 2;\n",
        "#if 0\n\"'\" + '\"' // don't\n#endif\nint a; /* x */\n",
    ] {
        place.write("n.h", "1, 2, 3\n");
        place.write("i.h", "int included;\n");
        place.write("t.c", text);
        for options in [
            "-g -trigraphs",
            "-g3 -O1 -std=c11",
            "-std=c99 -g",
            "-g -trigraphs -DX=1 -UY -include i.h",
        ] {
            let line = format!("gcc {options} -c t.c -o t.o");
            assert_eq!(place.is_equal(&line), Ok(true), "{line}: {text}");
        }
    }
}
