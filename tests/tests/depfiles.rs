//! Dependency files: the right name, target and words, in every form in which they are asked for.

use tests::{Farm, Make, side_by_side};

const SOURCES: [(&str, &str); 8] = [
    (
        "a.c",
        "#include <stdio.h>\n#include \"a.h\"\n#include \"inc/deep.h\"\nint a;\n",
    ),
    ("a.h", "#include \"inc/deep.h\"\n"),
    ("inc/deep.h", "#pragma once\n#define DEEP\n"),
    ("sub/b.c", "#include \"../a.h\"\nint b;\n"),
    ("with space.c", "#include \"a.h\"\nint c;\n"),
    ("odd$name#1.c", "#include \"a.h\"\nint d;\n"),
    ("broken.c", "#include \"a.h\"\nint (\n"),
    (
        "missing.c",
        "#include \"generated.h\"\n#include \"not there.h\"\nint e;\n",
    ),
];

/// What comes after the compiler's name.  For gcc and clang each.
const FORMS: &[&str] = &[
    "-MD -c a.c",
    "-MMD -c a.c",
    "-MD -c a.c -o a.o",
    "-MD -c a.c -o obj/a.o",
    "-MMD -c a.c -o obj/a.o",
    "-MD -c a.c -oobj/a.o",
    "-MD -c a.c -o obj/x.y.o",
    "-MD -c a.c -o obj/x",
    "-MD -c a.c -o obj/.x.o",
    "-MD -c a.c -o x.",
    "-MD -c sub/b.c",
    "-MD -c ./sub/b.c -o obj/b.o",
    "-MD -S a.c",
    "-MD -S a.c -o obj/a.s",
    "-MD -MF a.dep -c a.c",
    "-MD -MFa.dep -c a.c",
    "-MD -MF obj/a.dep -c a.c -o obj/a.o",
    "-MMD -MF obj/a.dep -c a.c -o obj/a.o",
    "-MD -MF one.d -MF two.d -c a.c",
    "-MD -MT target -c a.c",
    "-MD -MTtarget -c a.c",
    "-MD -MT one -MT two -c a.c",
    "-MD -MT 'a b' -c a.c",
    "-MD -MT '$(x)/a.o' -c a.c",
    "-MD -MQ '$(x)/a b.o' -c a.c",
    "-MD -MQtarget -c a.c",
    "-MD -MT one -MQ two -MP -c a.c -o obj/a.o",
    "-MD -MP -c a.c",
    "-MMD -MP -MF obj/a.d -MT obj/a.o -c a.c -o obj/a.o",
    "-MD -MT CMakeFiles/t.dir/a.c.o -MF obj/a.c.o.d -o obj/a.c.o -c a.c",
    "-MD -MQ obj/a.c.o -MF obj/a.c.o.d -o obj/a.c.o -c ./a.c",
    "-MT a.o -MD -MP -MF obj/a.Tpo -c -o a.o a.c",
    "-Wp,-MD,a.dep -c a.c",
    "-Wp,-MMD,obj/.a.o.d -c a.c -o obj/a.o",
    "-Wp,-MD,a.dep,-MT,target -c a.c",
    "-Wp,-MD,a.dep -Wp,-MT,target -Wp,-MP -c a.c",
    "-MD -MF a.dep -Wp,-MT,target -c a.c",
    "-Wp,-MMD,a.dep -MD -c a.c",
    "-MMD -Wp,-MD,a.dep -c a.c",
    "-MD -MF b.dep -Wp,-MD,a.dep -c a.c",
    "-Wp,-MD,a.dep -MD -MF b.dep -c a.c",
    "-Wp,-MD,a.dep -Wp,-MD,b.dep -c a.c",
    "-Wp,-MD,a.dep -MT target -c a.c",
    "-Wp,-MD -c a.c",
    "-MD -MMD -c a.c",
    "-MMD -MD -c a.c",
    "-MD -c 'with space.c'",
    "-MD -c 'with space.c' -o 'obj/with space.o'",
    "-MD -c 'odd$name#1.c'",
    "-MD -c a.c -o 'odd$name#1.o'",
    "-MD -MF /dev/null -c a.c",
    "-MD -MF 'with space.d' -c a.c",
    "-MD -MF new/a.d -c a.c",
    "-MD -c a.c -o new/a.o",
    "-MD -MF inc -c a.c",
    "-MD -MF /dev/stdout -c a.c",
    "-MD -MF - -c a.c",
    "-MD -c broken.c",
    "-MD -c missing.c",
    "-MD -MF a.d -c nothing.c",
    "-MD -c a.c -o /dev/null",
    "-MF a.d -c a.c",
    "-MP -c a.c",
    "-MT x -c a.c",
    "-MG -c a.c",
    "-MD -MG -c missing.c",
    "-M a.c",
    "-MM a.c",
    "-MM -MF a.d a.c",
    "-M -c a.c",
    "-MM -MG missing.c",
    "-M -MP -MT x a.c",
    "-E -MD a.c -o a.i",
    "-MD -E a.c",
    "--write-dependencies -c a.c",
    "--write-user-dependencies -c a.c -o obj/a.o",
    "-MD -c a.c -Iinc -isystem inc -iquote .",
    "-MD -MF a.d @words.rsp",
    "-MD -c a.c -MF",
    "-MD -c a.c -MT",
    "-MD -c a.c sub/b.c",
];

const GCC_ONLY: &[&str] = &[
    "-MD -c a.c -dumpbase other",
    "-MD -c a.c -dumpbase other.c -dumpbase-ext .c -o obj/a.o",
    "-MD -c a.c -dumpdir obj/",
    "-MD -c a.c -o obj/a.o -dumpdir obj/pre-",
    "-MD -c a.c -fdeps-format=p1689r5",
    "-MMD -c a.c -save-temps",
];

const CLANG_ONLY: &[&str] = &[
    "-MD -c a.c -MJ a.json",
    "-MD -MV -c 'with space.c'",
    "-MD -c a.c -fdepfile-entry=extra",
];

fn check(make: Make, commands: Vec<String>, env: &[(&str, &str)]) {
    let farm = Farm::with(make, 1, &[]);
    let total = commands.len();
    let failed = std::sync::Mutex::new(Vec::new());
    side_by_side(commands, |command| {
        let mut space = farm
            .space(SOURCES)
            .file("words.rsp", "-c a.c -o obj/a.o")
            .setup("mkdir obj");
        for (name, value) in env {
            space = space.env(name, value);
        }
        let compared = space.compile(&command);
        let mut found = compared.local.differences_but_messages(&compared.via);
        if compared.local.stderr_but_excerpts() != compared.via.stderr_but_excerpts() {
            found.push("stderr".into());
        }
        if compared.local.stdout != compared.via.stdout {
            found.push("stdout".into());
        }
        if !found.is_empty() {
            let text = |effects: &tests::Effects| {
                let depfiles = effects
                    .files
                    .keys()
                    .filter(|name| !name.to_string_lossy().ends_with(".o"));
                depfiles
                    .map(|name| {
                        format!(
                            "{}: {:?}",
                            name.display(),
                            effects
                                .bytes(&name.to_string_lossy())
                                .escape_ascii()
                                .to_string()
                        )
                    })
                    .collect::<Vec<_>>()
                    .join("\n  ")
            };
            failed.lock().unwrap().push(format!(
                "{command}: {found:#?}\n local {}\n  {}\n via {}\n  {}\n{compared}",
                compared.local.stderr.escape_ascii(),
                text(&compared.local),
                compared.via.stderr.escape_ascii(),
                text(&compared.via)
            ));
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {total} differ:\n{}",
        failed.len(),
        failed.join("\n\n")
    );
}

fn with(compiler: &str, forms: &[&str]) -> Vec<String> {
    forms
        .iter()
        .map(|form| format!("{compiler} {form}"))
        .collect()
}

#[test]
fn every_form_with_gcc() {
    check(
        Make::Ours,
        [with("gcc", FORMS), with("gcc", GCC_ONLY)].concat(),
        &[],
    );
}

#[test]
fn every_form_with_clang() {
    check(
        Make::Ours,
        [with("clang", FORMS), with("clang", CLANG_ONLY)].concat(),
        &[],
    );
}

#[test]
fn every_form_with_stock_daemon() {
    check(Make::Stock, with("gcc", FORMS), &[]);
}

#[test]
fn dependencies_asked_for_in_the_environment() {
    for (name, value) in [
        ("DEPENDENCIES_OUTPUT", "env.d"),
        ("DEPENDENCIES_OUTPUT", "env.d target"),
        ("DEPENDENCIES_OUTPUT", "obj/env.d obj/a.o"),
        ("SUNPRO_DEPENDENCIES", "env.d target"),
    ] {
        check(
            Make::Ours,
            with("gcc", &["-c a.c", "-c a.c -o obj/a.o", "-MD -c a.c"]),
            &[(name, value)],
        );
        check(
            Make::Ours,
            with("clang", &["-c a.c -o obj/a.o"]),
            &[(name, value)],
        );
    }
}

#[test]
fn the_forms_of_build_tools_are_distributed() {
    let farm = Farm::ours(1);
    for form in [
        "-MD -c a.c",
        "-MD -c a.c -o obj/a.o",
        "-MD -MT CMakeFiles/t.dir/a.c.o -MF obj/a.c.o.d -o obj/a.c.o -c a.c",
        "-MD -MQ obj/a.c.o -MF obj/a.c.o.d -o obj/a.c.o -c ./a.c",
        "-MT a.o -MD -MP -MF obj/a.Tpo -c -o a.o a.c",
        "-Wp,-MMD,obj/.a.o.d -c a.c -o obj/a.o",
        "-MMD -c sub/b.c -o obj/b.o",
    ] {
        for compiler in ["gcc", "clang"] {
            let space = farm.space(SOURCES).setup("mkdir obj");
            space
                .compile(&format!("{compiler} {form}"))
                .assert_same_as_local()
                .assert_remote();
        }
    }
}
