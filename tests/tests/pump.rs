//! Pump mode: the source travels with its headers, and what comes back is what a local compile leaves.

use std::fs;

use tests::{Farm, Space};

/// For every host of these tests.
const PUMP: &str = "/4,lzo,cpp";

fn project(farm: &Farm) -> Space {
    let files = [
        (
            "src/a.c",
            "#include <assert.h>\n#include <stdio.h>\n#include \"../inc/b.h\"\n#include \"near.h\"\n\
             int a(int x) { assert(x); return printf(\"%d\\n\", B + NEAR + x); }\n",
        ),
        ("src/near.h", "#pragma once\n#define NEAR 4\n"),
        ("inc/b.h", "#ifndef B\n#define B 1\n#endif\n"),
        (
            "src/c.cc",
            "#include <map>\n#include <string>\n#include <b.h>\n#if __has_include(\"near.h\")\n#include \"near.h\"\n#endif\n\
             std::map<std::string, int> c() { return {{\"x\", B + NEAR}}; }\n",
        ),
        ("src/warns.c", "int w(void) { int unused; return 1; }\n"),
        // gcc shows lines of the file that is named.
        (
            "src/parser.c",
            "#line 2 \"src/parser.y\"\nint p(void) { int unused; return 1; }\n",
        ),
        (
            "src/parser.y",
            "%{\nint p(void) { int unused; return 1; } // y\n%}\n",
        ),
        ("src/plain.c", "int plain = 1;\n"),
        // gcc's preprocessor alone takes the other branch.
        (
            "src/tuned.c",
            "#pragma GCC target(\"avx2\")\n#ifdef __AVX2__\nint tuned;\n#else\nint plain;\n#endif\n",
        ),
        (
            "src/i.i",
            "# 1 \"src/plain.c\"\n# 1 \"/far/a.h\" 1\nint h;\n# 2 \"src/plain.c\" 2\nint i = 1;\n",
        ),
        ("deps/x", ""),
    ];
    Space::new(files).hosts(&farm.hosts(PUMP))
}

#[test]
fn objects_dependency_files_and_messages_are_the_local_ones() {
    let farm = Farm::ours(1);
    let commands = [
        "gcc -O2 -c src/a.c",
        "gcc -O2 -g -Wall -MD -MF deps/a.d -c src/a.c -o deps/a.o",
        "gcc -g3 -gdwarf-4 -MMD -MP -MT 'a b.o' -c src/a.c",
        "gcc -Wall -Wextra -c src/warns.c",
        "gcc -Wall -c src/parser.c",
        "clang -Wall -c src/parser.c",
        "gcc -Wmissing-include-dirs -Inowhere -Ideps -c src/a.c",
        "gcc -S -O1 -c src/a.c",
        "gcc -MD -MF - -c src/a.c",
        "gcc -g -c src/i.i",
        "g++ -g -Iinc -MD -c src/c.cc -o c.o",
        "g++ -std=c++17 -O2 -isystem inc -c src/c.cc",
        "gcc -g -include inc/b.h -imacros src/near.h -c src/plain.c",
        "gcc -iquote inc -idirafter src -DX='\"a b\"' -UY -c src/a.c",
        "gcc -g -ffile-prefix-map=/=/r/ -c src/a.c",
        "clang -g -Wall -MD -c src/a.c",
        "clang -Wall -Wunused-variable -c src/warns.c",
        "clang++ -g -Iinc -MMD -MF deps/c.d -c src/c.cc",
    ];
    let space = project(&farm);
    for command in commands {
        let compared = space.compile(command);
        compared.assert_same_as_local().assert_pumped();
    }
}

#[test]
fn names_lead_where_they_lead_here() {
    let farm = Farm::ours(1);
    let space = project(&farm)
        .setup("ln -s src link; ln -s ../inc/b.h src/l.h; mkdir -p far/away; ln -s far/away hop")
        .file("far/up.h", "#define UP 1\n")
        .file(
            "src/n.c",
            "#include \"l.h\"\n#include \"../hop/../up.h\"\nint n = B + UP;\n",
        )
        .file("in c/d e.h", "#define DE __FILE__\n")
        .file("src/blank.c", "#include \"d e.h\"\nconst char *d = DE;\n")
        .file(
            "src/abs.c",
            "#include <b.h>\nconst char *here = __FILE__; int f = B;\n",
        )
        .file(
            "src/computed.c",
            "#define NAME <b.h>\n#include NAME\nint f = B;\n",
        )
        .file("src/data.bin", "12345")
        .file("opts", "-g -Iinc -DRSP=1\n");
    for script in [
        "cd link && $L gcc -g -c n.c",
        "cd link && $L gcc -g -MD -I../inc -c ../src/abs.c -o ../deps/o.o",
        "$L gcc -g -c link/n.c",
        "$L gcc -g '-Iin c' -c src/blank.c",
        "$L gcc -g -MD \"-I$PWD/inc\" -c \"$PWD/src/abs.c\" -o \"$PWD/abs.o\"",
        "$L gcc @opts -c src/computed.c",
    ] {
        let compared = space.shell(script);
        compared.assert_same_as_local().assert_pumped();
    }
}

#[test]
fn search_folders_of_the_environment_travel() {
    let farm = Farm::ours(1);
    for (name, command) in [
        ("CPATH", "gcc -g -MD -c src/c.c"),
        ("C_INCLUDE_PATH", "gcc -g -MD -c src/c.c"),
        ("CPLUS_INCLUDE_PATH", "g++ -g -MMD -c src/c.cc"),
        ("CPATH", "clang -g -MD -c src/c.c"),
    ] {
        let space = project(&farm)
            .file("src/c.c", "#include <b.h>\nint c = B;\n")
            .env(name, "inc:src");
        let compared = space.compile(command);
        compared.assert_same_as_local().assert_pumped();
    }
}

/// A shell's steps that compile between changes; what each compile left must be what it leaves here.
#[test]
fn what_changes_between_two_compiles_is_seen() {
    let farm = Farm::ours(1);
    let source =
        "#if __has_include(\"late.h\")\n#include \"late.h\"\n#endif\n#include <x.h>\nint x = X;\n";
    let compile = |object: &str| format!("$L gcc -g -MD -Igen -Iinc -c src/x.c -o {object}");
    for (what, change) in [
        ("rewritten", "echo '#define X 222' > inc/x.h"),
        ("of the same size", "echo '#define X 2' > inc/x.h"),
        ("replaced", "echo '#define X 3' > new; mv new inc/x.h"),
        ("shadowed", "mkdir gen; echo '#define X 4' > gen/x.h"),
        ("made later", "echo '#define LATE' > src/late.h"),
        (
            "relinked",
            "echo '#define X 5' > y.h; ln -sf ../y.h inc/x.h",
        ),
        ("the source", "sed -i 's/int x/int yy/' src/x.c"),
        ("gone", "rm inc/x.h; echo '#define X 6' > inc/x.h"),
        (
            "old again",
            "echo '#define X 7' > inc/x.h; touch -d '2001-01-01' inc/x.h",
        ),
    ] {
        let space = project(&farm)
            .file("src/x.c", source)
            .file("inc/x.h", "#define X 1\n");
        let script = format!(
            "{}; {change}; {}; {}",
            compile("1.o"),
            compile("2.o"),
            compile("3.o")
        );
        let compared = space.shell(&script);
        compared.assert_same_as_local().assert_pumped();
        assert_eq!(compared.rows.len(), 3, "{what}");
    }
}

#[test]
fn what_only_a_preprocessor_here_can_do_goes_preprocessed() {
    let farm = Farm::ours(1);
    let space = project(&farm)
        .file("src/date.c", "const char *d = __DATE__;\n")
        .file("src/s.s", ".data\n");
    for (command, code) in [
        ("clang -c src/i.i", "nothing-to-preprocess"),
        ("gcc -c src/s.s", "nothing-to-preprocess"),
        ("gcc -c src/date.c", "clock"),
    ] {
        let compared = space.compile(command);
        compared.assert_same_as_local().assert_not_pumped(code);
    }
    let dated = project(&farm)
        .file("src/date.c", "const char *d = __DATE__ __TIME__;\n")
        .env("SOURCE_DATE_EPOCH", "86400");
    let compared = dated.compile("gcc -g -c src/date.c");
    compared.assert_same_as_local().assert_pumped();
    let library = project(&farm).file("liba.a", "!<arch>\n");
    let compared = library.compile("gcc -c src/a.c liba.a");
    assert_eq!(
        compared.assert_same_as_local().row().not_pumped.as_deref(),
        Some("names-library")
    );
    // Whoever chooses a manner of preprocessing wants it to happen here.
    let chosen = project(&farm).client_env("DISTCC_LAUNCH_PREPROCESS", "expanded");
    let compared = chosen.compile("gcc -c src/a.c");
    compared.assert_same_as_local().assert_remote();
    assert_eq!(compared.row().mode.as_deref(), Some("plain"));
    let appended = project(&farm).env("DEPENDENCIES_OUTPUT", "all.d");
    let compared = appended.compile("gcc -c src/a.c");
    compared.assert_same_as_local();
    assert_ne!(compared.row().mode.as_deref(), Some("pump"));
}

#[test]
fn errors_are_the_local_ones() {
    let farm = Farm::ours(1);
    let space = project(&farm)
        .file(
            "src/bad.c",
            "#include \"../inc/b.h\"\nint bad(void) { return B }\n",
        )
        .file("src/gone.c", "#include \"gone.h\"\nint x;\n");
    let failed = space.compile("gcc -g -Wall -c src/bad.c");
    failed.assert_same_as_local().assert_local("failed-there");
    let missing = space.compile("gcc -c src/gone.c");
    missing.assert_same_as_local().assert_here();
    assert_eq!(missing.row().not_pumped.as_deref(), Some("include-missing"));
    // Neither counts against what comes.
    let good = space.compile("gcc -c src/a.c");
    good.assert_same_as_local().assert_pumped();
}

#[test]
fn a_host_without_cpp_gets_files_where_no_text_would_do() {
    let farm = Farm::ours(1);
    let space = project(&farm).hosts(&farm.hosts("/4,lzo"));
    let compared = space.compile("clang -g -c src/a.c");
    compared.assert_same_as_local().assert_pumped();
    let compared = space.compile("gcc -c src/tuned.c");
    compared.assert_same_as_local().assert_pumped();
    let compared = space.compile("gcc -g -c src/a.c");
    compared.assert_same_as_local().assert_remote();
    assert_eq!(compared.row().mode.as_deref(), Some("plain"));
}

#[test]
fn a_stock_daemon_gets_what_comes_out_equal() {
    let farm = Farm::stock(1);
    let space = project(&farm);
    let plain = project(&farm).hosts(&farm.hosts("/4,lzo"));
    let compared = plain.compile("gcc -c src/tuned.c");
    compared
        .assert_same_as_local()
        .assert_local("pragma-options");
    for command in [
        "gcc -O2 -c src/plain.c",
        "gcc -O2 -DNDEBUG -c src/a.c -o deps/a.o",
        "g++ -O2 -Iinc -c src/c.cc",
        "clang -O2 -DNDEBUG -c src/a.c",
        "gcc -S -c src/plain.c",
    ] {
        let compared = space.compile(command);
        compared.assert_same_as_local().assert_pumped();
    }
    for (command, code) in [
        ("gcc -g -c src/plain.c", "names-folders"),
        ("gcc -MD -c src/plain.c", "dependency-file"),
    ] {
        let compared = space.compile(command);
        let row = compared.assert_same_files().row();
        assert_ne!(row.mode.as_deref(), Some("pump"), "{command}");
        assert_eq!(row.not_pumped.as_deref(), Some(code), "{command}");
    }
}

#[test]
fn no_folder_for_a_server_means_plain_mode() {
    let farm = Farm::ours(1);
    let space = project(&farm);
    // Others may enter it: no server of ours takes it.
    fs::create_dir(space.dir().join("pump")).unwrap();
    fs::set_permissions(
        space.dir().join("pump"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let compared = space.compile("gcc -c src/a.c");
    compared
        .assert_same_as_local()
        .assert_not_pumped("no-include-server");
}
