//! Sources of every kind, response files, and names of any bytes.

use tests::{Farm, Make, Space, side_by_side};

fn space(farm: &Farm) -> Space {
    farm.space([
        ("a.c", "#include \"a.h\"\nint a = A;\n"),
        ("a.h", "#define A 1\n"),
        (
            "b.cc",
            "#include <vector>\nint b(std::vector<int> v) { return v.size(); }\n",
        ),
        ("b.cpp", "namespace n { int b; }\n"),
        ("b.cxx", "namespace n { int b; }\n"),
        ("b.C", "namespace n { int b; }\n"),
        ("b.c++", "namespace n { int b; }\n"),
        ("b.cp", "namespace n { int b; }\n"),
        ("b.CPP", "namespace n { int b; }\n"),
        ("p.i", "# 1 \"p.c\"\nint p;\n"),
        ("p.ii", "# 1 \"p.cc\"\nnamespace n { int p; }\n"),
        (
            "o.m",
            "int o(void) { return 1; }\n@interface Thing { int a; }\n@end\n",
        ),
        (
            "o.mm",
            "namespace n { int o; }\n@interface Thing { int a; }\n@end\n",
        ),
        ("o.M", "namespace n { int o; }\n"),
        ("p.mi", "int o(void) { return 1; }\n"),
        ("p.mii", "namespace n { int o; }\n"),
        (
            "s.S",
            "#define NAME thing\n#include \"empty.h\"\n.globl NAME\n.data\nNAME: .long 1\n",
        ),
        (
            "s.sx",
            "#define NAME thing\n.globl NAME\n.data\nNAME: .long 1\n",
        ),
        ("s.s", ".globl thing\n.data\nthing: .long 1\n"),
        ("ident.c", "#ident \"a remark\"\nint ident;\n"),
        (
            "thing.m",
            "@interface Thing { int a; }\n@end\n@implementation Thing\n@end\n",
        ),
        ("dir/.c", "int hidden;\n"),
        ("empty.h", ""),
        ("empty.c", ""),
        ("noext", "int noext;\n"),
        ("c.txt", "int text;\n"),
        ("a.c.in", "int in;\n"),
    ])
}

const COMMANDS: &[(&str, bool)] = &[
    ("gcc -c b.cc", true),
    ("g++ -c b.cc", true),
    ("g++ -c b.cpp", true),
    ("g++ -c b.cxx", true),
    ("g++ -c b.C", true),
    ("g++ -c b.c++", true),
    ("g++ -c b.cp", true),
    ("g++ -c b.CPP", true),
    ("g++ -c a.c", true),
    ("gcc -c p.i", true),
    ("g++ -c p.ii", true),
    ("gcc -c o.m", false),
    ("g++ -c o.mm", false),
    ("g++ -c o.M", false),
    ("gcc -c p.mi", false),
    ("g++ -c p.mii", false),
    ("clang -c o.m", true),
    ("clang++ -c o.mm", true),
    ("clang -c thing.m", false),
    ("gcc -c ident.c", true),
    ("gcc -fno-ident -c ident.c", true),
    ("gcc -MD -c dir/.c", true),
    ("gcc -c .c", false),
    ("g++ -x none -c a.c", true),
    ("gcc --depend -c a.c", false),
    ("clang -O4 -c a.c", true),
    ("clang -u x.c -c a.c", false),
    ("clang --target=wasm32 -c a.c", false),
    ("gcc -flto -frandom-seed=1 -c empty.c", true),
    ("gcc -c s.S", false),
    ("gcc -c s.sx", false),
    ("clang -c s.S", false),
    ("gcc -c s.s", false),
    ("gcc -c empty.c", true),
    ("gcc -x c -c noext", true),
    ("gcc -xc -c noext", true),
    ("gcc -x c++ -c a.c", true),
    ("gcc -xc++ -c a.c", true),
    ("gcc -x c -c c.txt -o t.o", true),
    ("gcc -x none -c a.c", true),
    ("gcc -x assembler-with-cpp -c s.S", false),
    ("gcc -xassembler-with-cpp -c s.S", false),
    ("gcc -x cpp-output -c p.i", true),
    ("gcc -x c++-cpp-output -c p.ii", true),
    ("gcc -x c -c a.c -x none", true),
    ("gcc -x c-header -c a.h", false),
    ("gcc -c a.h", false),
    ("gcc -x assembler -c s.s", false),
    ("gcc -x nonsense -c a.c", false),
    ("gcc -x", false),
    ("gcc -c c.txt", false),
    ("gcc -c noext", false),
    ("gcc -c a.c.in", false),
    ("gcc -c -", false),
    ("gcc -x c -c -", false),
    ("gcc -x c -c /dev/null -o null.o", false),
    ("gcc -c a.c b.cc", false),
    ("gcc --compile a.c", true),
    ("gcc --compile a.c --output=x.o", true),
    ("gcc --compile a.c --output x.o", true),
    ("gcc --assemble a.c", true),
    ("gcc -c a.c --include a.h", true),
    ("gcc -c a.c -include a.h", true),
    ("gcc -c a.c -include ./a.h -DB=\"x y\"", true),
    ("gcc -c a.c -D 'B=\"x\"' -U C -I . -I.", true),
    ("gcc -c a.c -Wp,-DX=1,-UY", true),
    ("gcc -c a.c -Xpreprocessor -DX", true),
    ("gcc -c a.c -std=c99 -pedantic -O3 -fPIC -m64", true),
    ("gcc -c a.c -pipe", true),
    ("gcc -c a.c -Wa,--noexecstack", true),
    ("gcc -c -frandom-seed=a.c a.c", true),
    ("gcc -c -DX=y.c a.c", true),
    ("gcc -march=native -c a.c", false),
    ("gcc -E a.c", false),
    ("gcc -fsyntax-only a.c", false),
    ("gcc -v -c a.c -o /dev/null", false),
    ("gcc a.c -shared -fPIC -o a.so", false),
    ("gcc -###", false),
    ("gcc --help", false),
    ("gcc -print-search-dirs", false),
    ("gcc -dumpversion", false),
    ("gcc --nonsense -c a.c", false),
    ("gcc -c", false),
    ("gcc -c a.c --coverage", false),
    ("gcc -c a.c -save-temps", false),
    ("gcc -c a.c -gsplit-dwarf", false),
    ("gcc -c a.c -fstack-usage", false),
    ("clang -c a.c -target x86_64-linux-gnu", true),
    ("clang -c a.c --target=aarch64-linux-gnu -nostdinc", true),
    ("clang++ -c b.cpp -stdlib=libstdc++", true),
    ("clang -c a.c -emit-llvm", true),
    ("clang -c a.c -flto", true),
    ("clang -c a.c -fcolor-diagnostics", true),
    ("gcc -c a.c -flto", true),
    ("gcc -c a.c -m32", true),
];

/// All of them equal; those marked really went out.  (What is not marked may go or stay.)
fn every_command(make: Make, must_go: bool) {
    let farm = Farm::with(make, 1, &[]);
    let failed = std::sync::Mutex::new(Vec::new());
    side_by_side(COMMANDS, |(command, goes)| {
        let space = space(&farm);
        let compared = space
            .compile(command)
            .ignoring_chance(&space.local(command));
        let mut found = compared.local.differences(&compared.via);
        if must_go && *goes && compared.local.code == 0 && compared.row().place != "remote" {
            found.push(format!("stayed here for {:?}", compared.row().reason));
        }
        if !found.is_empty() {
            failed
                .lock()
                .unwrap()
                .push(format!("{command}: {found:#?}\n{compared}"));
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {} fail:\n{}",
        failed.len(),
        COMMANDS.len(),
        failed.join("\n\n")
    );
}

#[test]
fn every_kind_of_source_with_our_daemon() {
    every_command(Make::Ours, true);
}

#[test]
fn every_kind_of_source_with_stock_daemon() {
    // Stock's daemon refuses some of these; then they run here.
    every_command(Make::Stock, false);
}

/// A command, the files that it mentions, and whether it is to go out.
type Responding<'t> = (&'t str, &'t [(&'t str, &'t str)], bool);

#[test]
fn response_files() {
    let farm = Farm::ours(1);
    let cases: &[Responding] = &[
        ("gcc @all.rsp", &[("all.rsp", "-c a.c -o x.o")], true),
        (
            "gcc -c @more.rsp a.c",
            &[("more.rsp", "-DX=1\n-O2\n")],
            true,
        ),
        (
            "gcc @one.rsp",
            &[("one.rsp", "@two.rsp -c"), ("two.rsp", "a.c -O1")],
            true,
        ),
        (
            "gcc -c a.c @quotes.rsp",
            &[(
                "quotes.rsp",
                "'-DX=a b' \"-DY=\\\"s\\\"\" -DZ=\\\\ -o 'x y.o'",
            )],
            true,
        ),
        ("gcc -c a.c @empty.rsp", &[("empty.rsp", "")], true),
        (
            "gcc -c a.c @blank.rsp",
            &[("blank.rsp", " \n\t\r\n ")],
            true,
        ),
        ("gcc -c a.c @missing.rsp", &[], false),
        ("gcc -c a.c @inc", &[], false),
        ("gcc @self.rsp -c a.c", &[("self.rsp", "@self.rsp")], false),
        (
            "gcc @link.rsp",
            &[("link.rsp", "a.c -shared -fPIC -o a.so")],
            false,
        ),
        (
            "gcc -c a.c @open.rsp",
            &[("open.rsp", "'-DX=never closed")],
            true,
        ),
        (
            "clang -c a.c @clang.rsp",
            &[("clang.rsp", "-DX=1 \"-DY=a b\" -O2")],
            true,
        ),
        ("gcc -c a.c -o @x.o", &[], false),
        ("gcc -c a.c -DX=@more.rsp", &[], true),
        (
            "gcc -c a.c @nul.rsp",
            &[("nul.rsp", "-DA2=1\0-DB2=2")],
            false,
        ),
    ];
    side_by_side(cases, |(command, files, goes)| {
        let mut space = space(&farm).setup("mkdir inc");
        for (name, text) in *files {
            space = space.file(name, text);
        }
        let compared = space.compile(command);
        compared.assert_same_as_local();
        if *goes {
            compared.assert_remote();
        }
    });
}

#[test]
fn names_of_any_bytes() {
    let farm = Farm::ours(1);
    let names: [&[u8]; 14] = [
        b"with space",
        b"quote'",
        b"double\"quote",
        b"back\\slash",
        b"dollar$HOME",
        b"semi;colon",
        b"new\nline",
        b"tab\there",
        "gr\u{fc}n".as_bytes(),
        b"latin1-\xfc",
        b"\x01\x7f\xff",
        b"percent%s%n",
        b"star*?[a]",
        b"=,@:",
    ];
    side_by_side(names, |name| {
        use std::os::unix::ffi::OsStrExt;
        let source = [name, b".c"].concat();
        let object = [name, b".o"].concat();
        let space = farm.space([("a.h", "#define A 1\n")]);
        let space = space.file(
            std::ffi::OsStr::from_bytes(&source),
            "#include \"a.h\"\nint a = A;\n",
        );
        let plain = space.compile_words(&[b"gcc", b"-c", &source, b"-o", &object]);
        plain.assert_same_as_local().assert_remote();
        let noted: Vec<&[u8]> = plain.row().command.iter().map(AsRef::as_ref).collect();
        assert_eq!(noted, [&b"gcc"[..], b"-c", &source, b"-o", &object]);
        space
            .compile_words(&[b"gcc", b"-MD", b"-c", &source])
            .assert_same_as_local();
        space
            .compile_words(&[b"clang", b"-c", &source, b"-o", &object])
            .assert_same_as_local()
            .assert_remote();
    });
}

#[test]
fn a_folder_of_any_bytes() {
    let farm = Farm::ours(1);
    let space = farm.space([("a.c", "int a;\n")]);
    let script = "mkdir \"$(printf 'o d\\nd\\377')\" && cd \"$(printf 'o d\\nd\\377')\" && cp ../a.c . && $L gcc -g0 -c a.c";
    space.shell(script).assert_same_as_local().assert_remote();
}

#[test]
fn a_source_whose_name_begins_with_a_dash() {
    let farm = Farm::ours(1);
    let space = farm.space([("-x.c", "int a;\n"), ("@a.c", "int a;\n")]);
    for command in [
        "gcc -c ./-x.c",
        "gcc -c -- -x.c",
        "gcc -c -x.c",
        "gcc -c ./@a.c",
        "gcc -c @a.c",
        "clang -c -- -x.c",
    ] {
        space.compile(command).assert_same_as_local();
    }
}

#[test]
fn large_sources_and_many_words() {
    let farm = Farm::ours(1);
    let lines: String = (0..20_000)
        .map(|number| format!("int name_{number}[{number} + 1];\n"))
        .collect();
    let words: String = (0..3000)
        .map(|number| format!(" -DWORD_{number}={number}"))
        .collect();
    let space = farm.space([("a.c", lines.as_str())]);
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_remote();
    space
        .compile(&format!("gcc -c a.c{words}"))
        .assert_same_as_local()
        .assert_remote();
    let space = farm
        .space([("a.c", lines.as_str())])
        .hosts(&farm.hosts(",lzo"));
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_remote();
}

#[test]
fn a_compiler_named_by_its_path() {
    let farm = Farm::ours(1);
    for compiler in [
        "/usr/bin/gcc",
        "/usr/bin/cc",
        "gcc-12",
        "x86_64-linux-gnu-gcc",
        "x86_64-linux-gnu-gcc-12",
        "/usr/bin/clang",
        "clang-14",
        "c++",
    ] {
        let compared = space(&farm).compile(&format!("{compiler} -c a.c"));
        compared.assert_same_as_local().assert_remote();
    }
}

#[test]
fn the_environment_reaches_the_preprocessor() {
    let farm = Farm::ours(1);
    for (name, value) in [
        ("CPATH", "inc"),
        ("C_INCLUDE_PATH", "inc"),
        ("SOURCE_DATE_EPOCH", "1000000000"),
    ] {
        let space = farm
            .space([("a.c", "#ifdef __has_include\n#if __has_include(<only-here.h>)\n#include <only-here.h>\n#endif\n#endif\nconst char *d = __DATE__;\n"), ("inc/only-here.h", "int here;\n")])
            .env(name, value)
            .env("SOURCE_DATE_EPOCH", "1000000000");
        space
            .compile("gcc -c a.c")
            .assert_same_as_local()
            .assert_remote();
    }
}

#[test]
fn the_language_of_messages_is_the_users() {
    let farm = Farm::ours(1);
    for locale in ["C", "C.UTF-8"] {
        let space = farm
            .space([
                ("broken.c", "int f(void) { return nothing; }\n"),
                ("warn.c", "int f(void) { int unused; return 1; }\n"),
            ])
            .env("LC_ALL", locale);
        space.compile("gcc -c broken.c").assert_same_as_local();
        space.compile("gcc -Wall -c warn.c").assert_same_files();
    }
}
