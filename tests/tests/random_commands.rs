//! Commands put together by chance, plain and with their includes: whatever a command says, it does what it does here.
//!
//! `SEED=N` tries the commands of one seed; `LONG=1` tries a hundred seeds.

use tests::{Farm, Space, long};

/// Commands of one seed.
const COMMANDS: usize = 12;

const FILES: [(&str, &str); 20] = [
    (
        "h.h",
        "#pragma once\n#define H 5\nstatic inline int hf(int a){int unusedh; return a+H;}\n#ifdef H2\nint h2;\n#endif\n",
    ),
    ("sub/h.h", "#define H 9\n"),
    ("sub/i.h", "#ifndef I\n#define I\nextern int ii;\n#endif\n"),
    ("deps/keep", ""),
    (
        "a.c",
        "#include \"h.h\"\n#include <stdio.h>\nconst char*n=__FILE__;\nint main(void){printf(\"%d\\n\",H);return 0;}\n",
    ),
    (
        "warn.c",
        "#include \"h.h\"\nint g(int x){int unused; if(x=1) return x; }\nint s(int k){switch(k){case 1: k++; /* fallthrough */ case 2: k--; }return k;}\n",
    ),
    ("err.c", "#include \"h.h\"\nint k(void){ return nope; }\n"),
    (
        "line.c",
        "#line 100 \"other.y\"\nint z(int a){ int b; return a; }\n#include \"sub/i.h\"\n",
    ),
    (
        "assert.c",
        "#include <assert.h>\nvoid q(int x){assert(x>1);}\n",
    ),
    (
        "count.c",
        "const char*d=__FILE__;\nint c=__COUNTER__;int e=__COUNTER__;\n",
    ),
    (
        "b.cc",
        "#include \"h.h\"\n#include <vector>\ntemplate<class T> T tw(T a){return a*2;}\nint m(int x){std::vector<int> v; v.push_back(H); return tw(x)+(int)v.size();}\n",
    ),
    (
        "warn.cpp",
        "struct A{virtual void f();}; struct B:A{void f() override;int unused=3;};\nint y(int x){ int u; return x; }\nvoid B::f(){}\n",
    ),
    ("err.cpp", "#include \"h.h\"\nint bad(){ return H.x; }\n"),
    (
        "has.c",
        "#if __has_include(\"opt.h\")\n#include \"opt.h\"\n#else\nint noopt;\n#endif\n#ifdef __OPTIMIZE__\nint o;\n#endif\n",
    ),
    (
        "macro.c",
        "#define X(a) a##1\n#define S(x) #x\nint X(q)=__LINE__; const char*s=S(\n multi\n line);\n#pragma GCC diagnostic warning \"-Wconversion\"\nchar t(int v){return v;}\n",
    ),
    ("text.i", "# 1 \"p.c\"\nint pp(int a){int un;return a;}\n"),
    ("missing.c", "#include \"nothere.h\"\nint a;\n"),
    (
        "crlf.c",
        "int c(int a)\r\n{\r\n\tint b;\r\n  return a;\r\n}\r\n",
    ),
    (
        "speaks.c",
        "#include \"h.h\"\n#warning hello\nint a=0b11;\n",
    ),
    (
        "c with blank.c",
        "#include \"h.h\"\nint sp(int a){int u;return a;}\n",
    ),
];

const ANY: &[&str] = &[
    "-O0",
    "-O2",
    "-Os",
    "-g",
    "-g",
    "-g1",
    "-g3",
    "-ggdb",
    "-gdwarf-4",
    "-g -gz",
    "-Wall",
    "-Wall -Wextra",
    "-Wall -Werror",
    "-w",
    "-fPIC",
    "-ffunction-sections",
    "-DNDEBUG",
    "-DH2=3",
    "-U H2",
    "-Isub",
    "-I sub",
    "-iquote sub",
    "-isystem sub",
    "-idirafter sub",
    "-include h.h",
    "-fdiagnostics-color=always",
    "-Wimplicit-fallthrough",
    "-Wconversion",
    "-fsanitize=undefined",
    "-fstack-protector-strong",
    "-march=x86-64-v2",
    "-m32",
    "-fno-ident",
    "-ffile-prefix-map=$PWD=/x",
    "-fdebug-prefix-map=$PWD=/x",
    "-fmacro-prefix-map=sub=/x",
    "-save-temps",
    "-Wdate-time",
    "-pedantic",
    "-ftabstop=4",
    "-Wfatal-errors",
    "-Wp,-D_FORTIFY_SOURCE=2",
    "-Wa,--noexecstack",
    "-Wl,-z,now",
    "-lm",
    "-fopenmp",
    "-P",
    "-dD",
    "-x c",
    "-x c++",
    "-x none",
    "-fworking-directory",
    "-gno-record-gcc-switches",
    "-trigraphs",
    "-ansi",
    "-std=gnu17",
    "-std=c++17",
    "-Wmissing-include-dirs -Inodir",
    "-Wunused-macros",
    "-Wundef",
    "-stdlib=libstdc++",
    "-gsplit-dwarf",
    "-fno-caret-diagnostics",
    "-fcolor-diagnostics",
    "-gline-tables-only",
    "-fno-exceptions",
];
const DEPS: &[&str] = &[
    "",
    "",
    "",
    "-MD",
    "-MMD",
    "-MD -MF x.d",
    "-MMD -MT tgt -MP",
    "-MD -MQ '$x'",
    "-Wp,-MD,y.d",
    "-M",
    "-MD -MF deps/z.d",
    "-MD -MF nodir/z.d",
];
const OUTPUTS: &[&str] = &[
    "",
    "",
    "-o out.o",
    "-oout.o",
    "-o sub/y.o",
    "-o nodir/x.o",
    "-o $PWD/abs.o",
    "-o sub",
];
const STAGES: &[&str] = &["-c", "-c", "-c", "-c", "-c", "-c", "-c", "-c", "-S", "-E"];
const VARIABLES: &[&str] = &[
    "",
    "",
    "",
    "",
    "LANG=C",
    "LC_ALL=C.UTF-8",
    "LANG=C.UTF-8 LANGUAGE=de",
    "CPATH=sub",
    "C_INCLUDE_PATH=sub:",
    "SOURCE_DATE_EPOCH=1000000",
    "GCC_COLORS=",
    "DEPENDENCIES_OUTPUT='d.out t'",
    "PWD=/nonsense",
];
const COMPILERS: &[&str] = &["gcc", "gcc", "g++", "clang", "clang++", "cc"];

/// The same numbers for the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % most as u64) as usize
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// A line for the shell; `$L` stands where the launcher goes.
    fn command(&mut self) -> String {
        let sources: Vec<&str> = FILES[4..].iter().map(|(name, _)| *name).collect();
        let source = self.of(&sources);
        let form = self.of(&["", "", "./", "$PWD/"]);
        let mut parts = vec![
            self.of(STAGES).to_owned(),
            self.of(DEPS).to_owned(),
            self.of(OUTPUTS).to_owned(),
            format!("\"{form}{source}\""),
        ];
        for _ in 0..self.below(5) {
            parts.push(self.of(ANY).to_owned());
        }
        for at in (1..parts.len()).rev() {
            parts.swap(at, self.below(at + 1));
        }
        let (variables, compiler) = (self.of(VARIABLES), self.of(COMPILERS));
        format!("{variables} $L {compiler} {}", parts.join(" "))
    }
}

/// The commands of each seed through the daemon, as far as they are `fit` for it; a quarter or so has to get there: what failed
/// there and then here did too.
fn through(farm: &Farm, suffix: &str, fit: fn(&str) -> bool) {
    let space = Space::new(FILES).hosts(&farm.hosts(suffix));
    let (mut tried, mut there) = (0, 0);
    for seed in seeds() {
        let mut chance = Chance(seed);
        let commands = (0..COMMANDS).map(|_| chance.command());
        for command in commands.filter(|command| fit(command)) {
            println!("seed {seed}: {command}");
            let compared = space.shell(&command);
            compared.assert_same_but_excerpts();
            tried += 1;
            there +=
                usize::from(compared.rows.iter().any(|row| {
                    row.place == "remote" || row.reason.as_deref() == Some("failed-there")
                }));
        }
    }
    assert!(there * 5 > tried, "{there} of {tried}");
}

fn seeds() -> Vec<u64> {
    match std::env::var("SEED").ok().map(|seed| seed.parse()) {
        Some(seed) => vec![seed.expect("a number")],
        None if long() => (1..=100).collect(),
        None => (1..=6).collect(),
    }
}

#[test]
fn in_plain_mode() {
    through(&Farm::ours(1), "/4", |_| true);
}

#[test]
fn in_pump_mode() {
    through(&Farm::ours(1), "/4,cpp,lzo", |_| true);
}

/// Debug information from stock's daemon has other columns, as `docs/results.md` says.
fn has_none_of_debug(command: &str) -> bool {
    !command.contains(" -g")
}

#[test]
fn in_plain_mode_to_stock() {
    through(&Farm::stock(1), "/4", has_none_of_debug);
}

#[test]
fn in_pump_mode_to_stock() {
    through(&Farm::stock(1), "/4,cpp,lzo", has_none_of_debug);
}
