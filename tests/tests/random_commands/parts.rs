//! What the commands are put together of.
//!
//! Words are separated by `|`.

pub(super) const FILES: [(&str, &str); 25] = [
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
    ("args.rsp", "-O1 -DRSP -Isub"),
    ("b.rsp", "-g -Wall @args.rsp"),
    (
        "asm.S",
        "#include \"sub/i2.h\"\n\t.text\n\t.globl f\nf:\n\tret\n",
    ),
    ("asm.s", "\t.text\n\t.globl f\nf:\n\tret\n"),
    (
        "un.C",
        "#include \"h.h\"\nnamespace {int u;}\nauto l=[](int a){return a;};\n",
    ),
    (
        "c with blank.c",
        "#include \"h.h\"\nint sp(int a){int u;return a;}\n",
    ),
];

/// Up to four of these stand in a command.
pub(super) const ANY: &str = r#"
-O0 | -O2 | -Os | -g | -g | -g1 | -g3 | -ggdb | -gdwarf-4 | -g -gz | -Wall | -Wall -Wextra | -Wall -Werror | -w |
-fPIC | -ffunction-sections | -DNDEBUG | -DH2=3 | -U H2 | -Isub | -I sub | -iquote sub | -isystem sub |
-idirafter sub | -include h.h | -fdiagnostics-color=always | -Wimplicit-fallthrough | -Wconversion |
-fsanitize=undefined | -fstack-protector-strong | -march=x86-64-v2 | -m32 | -fno-ident |
-ffile-prefix-map=$PWD=/x | -fdebug-prefix-map=$PWD=/x | -fmacro-prefix-map=sub=/x | -save-temps | -Wdate-time |
-pedantic | -ftabstop=4 | -Wfatal-errors | -Wp,-D_FORTIFY_SOURCE=2 | -Wa,--noexecstack | -Wl,-z,now | -lm |
-fopenmp | -P | -dD | -x c | -x c++ | -x none | -fworking-directory | -gno-record-gcc-switches | -trigraphs |
-ansi | -std=gnu17 | -std=c++17 | -Wmissing-include-dirs -Inodir | -Wunused-macros | -Wundef | -stdlib=libstdc++ |
-gsplit-dwarf | -fno-caret-diagnostics | -fcolor-diagnostics | -gline-tables-only | -fno-exceptions |
-frandom-seed=7 | -fstack-usage | -fdump-tree-optimized | -MG | -MP | -H | -dM | -C | -CC | -fdirectives-only |
-fpreprocessed | -frecord-gcc-switches | -grecord-gcc-switches | -fverbose-asm | -masm=intel |
-fdebug-types-section | -gstrict-dwarf | -fno-working-directory | @args.rsp | @b.rsp | -I. | -I.. | -I$PWD/sub |
-Inodir | --sysroot=/ | -isysroot / | -nostdinc | -nostdinc++ | -undef | '-DX(a)=a' | '-DS="q uote"' |
-include sub/i.h | -imacros h.h | -B. | -Werror=unused-variable | -Wno-error | -Wsystem-headers | -fmax-errors=1 |
-fdiagnostics-format=json | -fno-diagnostics-show-option | -fmessage-length=40 | -fsyntax-only | -funsigned-char |
-fshort-enums | -finput-charset=latin1 | -ffast-math | -mavx2 | -march=native |
-mtune=native | -static | -L. | -Wl,-rpath,x | -Xlinker x | -Xpreprocessor -DZ | -Xclang -fno-pch-timestamp |
-fmodules | -std=c++20 | -std=c++20 -fmodules-ts | -fno-lto | -mcmodel=large | -fsanitize=address |
-x assembler-with-cpp | --param max-inline-insns-single=5 | -O | -O3 | -Ofast | -Og | -O2 -O0 | -ffreestanding |
-fno-builtin | -no-pie | -fvisibility=hidden | -fcf-protection | -std=c89 | -std=c2x |
-Wdeclaration-after-statement | -Wtraditional | -Wlong-long | -Wunknown-option | -Wno-unknown-option | -fanalyzer |
-ftree-vectorize -fopt-info-vec | -Rpass=inline | -Weverything | -fansi-escape-codes | -fno-show-column |
-fdiagnostics-show-caret | -ftrapv | -pthread | -pg | -mno-red-zone | -fno-common | -gcolumn-info |
-gno-column-info | -gno-as-loc-support | -gdwarf-5 -gz=zlib | -gdwarf-3 | -gmlt | -g0 | -ggdb3 | -gsplit-dwarf -g |
-fdwarf2-cfi-asm | -fno-eliminate-unused-debug-types | -fdebug-macro | -Wmissing-declarations | -Wp,-MMD,q.d |
-Wp,-MT,tt | -Wp,-DW=1,-DV=2 | -Wa,-adhln=l.lst | -Wa,-I,sub | -MJ mj.json | -MV | -MT a -MT b | -MQ 'x y' |
-MF - | -dI | -dN | -dU | -fno-canonical-system-headers | -ftrack-macro-expansion=0 | -fno-integrated-as |
--target=i386-linux-gnu | -m64 | -mx32
"#;

/// Three commands in four have one of these.
pub(super) const DEPENDENCIES: &str = r#"
-MD | -MMD | -MD -MF x.d | -MMD -MT tgt -MP | -MD -MQ '$x' | -Wp,-MD,y.d | -M | -MD -MF deps/z.d |
-MD -MF nodir/z.d
"#;

/// Three commands in four have one of these.
pub(super) const OUTPUTS: &str = r#"
-o out.o | -oout.o | -o sub/y.o | -o nodir/x.o | -o $PWD/abs.o | -o sub | -o /dev/null | -o - | -o a.c |
-o ./x.y.o | --output out.o | --output=out.o
"#;

/// Three commands in five have one of these.
pub(super) const VARIABLES: &str = r#"
LANG=C | LC_ALL=C.UTF-8 | LANG=C.UTF-8 LANGUAGE=de | CPATH=sub | C_INCLUDE_PATH=sub: | SOURCE_DATE_EPOCH=1000000 |
GCC_COLORS= | DEPENDENCIES_OUTPUT='d.out t' | PWD=/nonsense | CPLUS_INCLUDE_PATH=sub | OBJC_INCLUDE_PATH=sub |
COMPILER_PATH=. | LIBRARY_PATH=sub | TMPDIR=/nonexistent | CCC_OVERRIDE_OPTIONS=+-DOO | SOURCE_DATE_EPOCH=x |
COLUMNS=40 TERM=dumb | LC_MESSAGES=C.UTF-8 | TERM_URLS=no
"#;
