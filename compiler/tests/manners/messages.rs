//! Messages: quiet there if and only if quiet here, and the same text or the word that it is not certain.

use super::{Place, without_excerpts};
use compiler::diagnostics::{Charset, Said};

const FILES: &[(&str, &str)] = &[
    (
        "warn.c",
        "#include \"h.h\"\n#include <string.h>\nint\tf(int x) {\n\tif (x = 1)\treturn x;\n\tint\té = 1, 二\t= 2;\n\treturn 0;\n}\n\tint\tg(void) { char\tb[2];\tstrcpy(b, \"too long\"); undeclared(b[5]); }\n",
    ),
    (
        "h.h",
        "static\tint unused(int p) { if (p = 2) return 1; return 2; }\n#define BAD(x) ((x) = 1 + \"a\")\n",
    ),
    ("letters.c", "int é(void) { int ü; return \"ä\"\t+ 1; }\n"),
    (
        "plain.c",
        "int f(int x) { if (x = 1) return 2; int y; return x; }\n",
    ),
    (
        "format.c",
        "#include <stdio.h>\nvoid f(void) {\tprintf(\"%s\\n\", 3); }\n",
    ),
    ("hint.c", "int f(const char *s) { return strlen(s); }\n"),
    (
        "macro.c",
        "#include \"h.h\"\nint f(void) { int q; return BAD(q); }\n",
    ),
    (
        "long.c",
        "#define  LONG(x)   \\\n\tif (x =   1) \\\n  return x +   \"a\";\n#  define   ODD( a )   (a  =  1  + \"b\")\nint f(int x) {\tLONG(x) return ODD(x); }\n",
    ),
    (
        "static.c",
        "_Static_assert(1, \"‘x’\");\nint a __attribute__((deprecated(\"‘no’\"))); int f(void) { return a; }\n",
    ),
    (
        "quiet.c",
        "#include <stdio.h>\n#include \"q.h\"\nint f(int x) {\n\tswitch (x) {\n\tcase 1: x++; /* falls through */\n\tcase 2: return 1;\n\t}\n\treturn ALL(x);\n}\n",
    ),
    ("q.h", "/* a */ // b\n#define ALL(x) ((x) == 1 ? 2 : (x))\n"),
    (
        "fall.c",
        "int f(int x) {\n\tswitch (x) {\n\tcase 1: x++; /* no word of it */\n\tcase 2: return 1;\n\t}\n\treturn 0;\n}\n",
    ),
    ("word.c", "#warning said here\n#include \"h.h\"\nint a;\n"),
    (
        "comment.c",
        "int a; /* open /* twice */\nint b; // goes on \\\n   here\n",
    ),
    (
        "tmpl.cc",
        "template <typename T>\tstruct A { \tT t; int f() { return t.none; } };\n\tint\tg() { A<int>\ta; return\ta.f(); }\n",
    ),
    (
        "warn.cc",
        "#include <string>\nstruct B { virtual void f(); };\tstruct C : B { int b, a; C() : a(1), b(2) {} void f(); };\nint g(unsigned u) {\tfor (int i = 0; i < u; i++) {} return std::string(\"x\") == \"y\"; int n; }\n",
    ),
];

const LINES: &[&str] = &[
    "gcc -Wall -Wextra -c warn.c",
    "gcc -Wall -Wextra -O2 -c warn.c",
    "gcc -g -Wall -Wextra -O2 -c warn.c",
    "gcc -Wall -c letters.c",
    "gcc -Wall -Wextra -c plain.c",
    "gcc -g -Wall -Wextra -Wpedantic -c plain.c",
    "gcc -Wall -c $PWD/plain.c",
    "gcc -Wall -Wextra -c $PWD/warn.c",
    "gcc -g -Wall -Wextra -c $PWD/warn.c",
    "gcc -Wall -c format.c",
    "gcc -Wall -c hint.c",
    "gcc -Wall -c macro.c",
    "gcc -Wall -c static.c",
    "gcc -Wall -c long.c",
    "gcc -g -Wall -c long.c",
    "gcc -Wall -Wextra -Wpedantic -c quiet.c",
    "gcc -g -Wall -Wextra -Wpedantic -Werror -c quiet.c",
    "gcc -Wextra -Werror -c quiet.c",
    "gcc -Wextra -c fall.c",
    "gcc -Wextra -Werror -c fall.c",
    "gcc -Wall -Wextra -c word.c",
    "gcc -Wall -c comment.c",
    "gcc -Wall -fdiagnostics-color=always -c plain.c",
    "gcc -Wall -fdiagnostics-column-unit=byte -c warn.c",
    "gcc -Wall -fmessage-length=60 -c plain.c",
    "gcc -Wall -fdiagnostics-parseable-fixits -c warn.c",
    "gcc -Wall -fno-diagnostics-show-option -c plain.c",
    "gcc -fanalyzer -Wall -c warn.c",
    "g++ -Wall -c tmpl.cc",
    "g++ -Wall -Wextra -c warn.cc",
    "g++ -Wall -Wextra -Weffc++ -c warn.cc",
    "g++ -Wstrict-prototypes -c q.cc",
    "clang -Wall -Wextra -c warn.c",
    "clang -Weverything -c plain.c",
    "clang -Wall -c $PWD/letters.c",
    "clang -Wall -c format.c",
    "clang -Wall -c macro.c",
    "clang-16 -Wall -Wextra -c warn.c",
    "clang-16 -Wall -Wextra -Wundef -c undef.c",
    "clang-16 -g -gdwarf-4 -Wall -c plain.c",
    "clang -Wall -c word.c",
    "clang -Wall -c comment.c",
    "clang -Wall -Wextra -c quiet.c",
    "clang++ -Wall -Wextra -c warn.cc",
    "clang++ -Wall -Wextra -c tmpl.cc",
    "clang -Wundef -Wall -c undef.c",
];

#[test]
fn messages_are_those_of_a_local_compile_or_not_certain() {
    let place = Place::new(FILES);
    place.write("q.cc", "int q;\n");
    place.write(
        "undef.c",
        "#if NOT_THERE\n#endif\nint f(int x) { if (x = 1) return 2; return x; }\n",
    );
    let (mut wrong, mut certain) = (Vec::new(), 0);
    for line in LINES {
        for charset in [Charset::Ascii, Charset::Utf8] {
            let tried = place
                .compile_as(line, charset, None)
                .unwrap_or_else(|trap| panic!("{line}: {trap:?}"));
            let local = String::from_utf8_lossy(&tried.local.stderr).into_owned();
            let clean = |text: &[u8]| match line.starts_with("clang") {
                true => String::from_utf8_lossy(text).into_owned(),
                false => without_excerpts(text),
            };
            match tried.said {
                Said::Text(text) if clean(&text) != clean(local.as_bytes()) => {
                    wrong.push(format!("{line}\n{}\nfor\n{local}", clean(&text)));
                }
                Said::Text(_) => certain += 1,
                Said::CompileHere if local.is_empty() => {
                    wrong.push(format!("{line}: quiet here, not there"));
                }
                Said::CompileHere => {}
            }
            let fails = !tried.local.status.success();
            if tried.well == fails && !(line.contains("-Werror") && fails) {
                wrong.push(format!("{line}: exit status"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(certain > LINES.len(), "{certain} texts are certain");
}
