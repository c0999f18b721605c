//! Depfiles by real compilers: the preprocessor's words leave the file that a compile leaves, at its place, byte for byte.

use compiler::{Family, Surroundings, Verdict, classify, names, response};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

const FORMS: &[&str] = &[
    "-MD -c a.c",
    "-MD -c a.c -o a.o",
    "-MD -c dir/b.c",
    "-MD -c a.c -o out/x.o",
    "-MD -c a.c -o out/x",
    "-MD -c a.c -o out.d/x.y.o",
    "-MD -c a.c -o out/.o",
    "-MMD -c a.c -oout/x.o",
    "-MMD -c a.c --output=out/x.lo",
    "-MD -S a.c",
    "-MD -S a.c -o out/x.s",
    "-MD -MF d.d -c a.c -o out/x.o",
    "-MD -MFd.d -c a.c",
    "-MD -MF one.d -MF two.d -c a.c -o x.o",
    "-MD -MT target -c a.c -o out/x.o",
    "-MD -MQ $target -c a.c -o out/x.o",
    "-MD -MT one -MQ t$wo -MF d.d -c a.c -o out/x.o",
    "-MD -MP -c a.c -o out/x.o",
    "-MD -MG -DMISSING -E a.c",
    "-MD -MP -MF d.d -MT x.o -c -o x.o a.c",
    "-MD -c a.c -o 'out/a b$c#d.o'",
    "-MD -c 'a b.c'",
    "-MD -c 'a b.c' -o 'x y.o'",
    "-MD -I inc -isystem sys -DSYS -c a.c -o out/x.o",
    "-MMD -I inc -isystem sys -DSYS -c a.c -o out/x.o",
    "-MD -include dir/c.h -c a.c -o out/x.o",
    "-MD -x c++ -c a.c -o out/x.o",
    "-MD -MMD -c a.c -o out/x.o",
    "--write-dependencies -c a.c -o out/x.o",
    "--write-user-dependencies -c a.c -o out/x.o",
    "-Wp,-MD,w.d -c a.c -o out/x.o",
    "-Wp,-MMD,out/.x.o.d -c a.c -o out/x.o",
    "-MD -c $PWD/a.c -o $PWD/out/x.o",
    "-MD -c ./dir/../a.c",
    "-c a.c -o out/x.o",
    "-MP -MT x -c a.c",
];

/// gcc only: clang takes these otherwise or not at all.
const GCC_FORMS: &[&str] = &[
    "-Wp,-MD,w.d,-MT,foo -c a.c -o out/x.o",
    "-Wp,-MD,w.d,-MP -c a.c",
    "-Xpreprocessor -MD -Xpreprocessor x.d -c a.c -o out/x.o",
    "-MD -Wp,-MF,y.d -c a.c -o out/x.o",
    "-MD -Wp,-MT,foo -c a.c -o out/x.o",
    "--no-common -MD -c a.c -o out/x.o",
    "-MD -Mno-modules -c a.c -o out/x.o",
];

fn write_tree(root: &Path) {
    let _ = std::fs::remove_dir_all(root);
    for dir in ["dir", "out", "out.d", "inc", "sys"] {
        std::fs::create_dir_all(root.join(dir)).expect("a new folder");
    }
    let source = "#include \"dir/c.h\"\n#ifdef SYS\n#include <s.h>\n#include <i.h>\n#endif\n#ifdef MISSING\n#include \"m.h\"\n#endif\nint x;\n";
    let files = [
        ("a.c", source),
        ("a b.c", source),
        ("dir/b.c", "int y;\n"),
        ("dir/c.h", "int c;\n"),
        ("sys/s.h", "int s;\n"),
        ("inc/i.h", "int i;\n"),
    ];
    for (name, text) in files {
        std::fs::write(root.join(name), text).expect("a new file");
    }
}

/// Every depfile below `root`, by name.
fn depfiles(root: &Path) -> BTreeMap<String, String> {
    let listed = Command::new("find")
        .args([
            ".",
            "-type",
            "f",
            "-newer",
            "stamp",
            "-not",
            "-name",
            "*.[osihc]",
        ])
        .current_dir(root)
        .output();
    let names = String::from_utf8(listed.expect("find runs").stdout).expect("names are UTF-8");
    let read = |name: &str| {
        (
            name.to_owned(),
            std::fs::read_to_string(root.join(name)).unwrap_or_default(),
        )
    };
    names
        .lines()
        .map(read)
        .filter(|(_, text)| text.contains(':'))
        .collect()
}

fn run(
    program: &str,
    args: &[impl AsRef<OsStr>],
    root: &Path,
    env: Option<&str>,
) -> BTreeMap<String, String> {
    write_tree(root);
    // What is newer than the stamp was left by the compiler.
    std::fs::write(root.join("stamp"), "").expect("a new file");
    let old = Command::new("touch")
        .args(["-d", "2001-01-01", "stamp"])
        .current_dir(root)
        .status();
    assert!(old.expect("touch runs").success());
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.envs(env.map(|value| ("DEPENDENCIES_OUTPUT", value)));
    command.status().expect("the compiler runs");
    depfiles(root)
}

/// Compares one form; says whether it was a job.
fn compare(program: &str, form: &str, env: Option<&str>, root: &Path) -> bool {
    let words = response::split(
        form.replace("$PWD", root.to_str().expect("UTF-8"))
            .as_bytes(),
    );
    let guess = names::guess(program.as_bytes()).expect("a compiler");
    let mut about = Surroundings::new(root.as_os_str());
    about.dependencies_output = env.map(OsStr::new);
    let job = match classify(
        guess.family.unwrap_or(Family::Gcc),
        guess.cxx,
        &words,
        &about,
    ) {
        Verdict::Distribute(job) => job,
        Verdict::RunHere(_) => return false,
    };
    let compiled = run(program, &words, root, env);
    let preprocessed = run(
        program,
        &job.preprocess_args().expect("it wants the preprocessor"),
        root,
        env,
    );
    assert_eq!(preprocessed, compiled, "{program} {form}");
    let named = job.depfile().map(|depfile| root.join(depfile.path));
    match named {
        Some(path) => assert!(path.is_file(), "{program} {form}: no {}", path.display()),
        None => assert!(compiled.is_empty(), "{program} {form}: {compiled:?}"),
    }
    true
}

#[test]
fn depfiles_are_those_of_a_compile() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path().join("w");
    let mut jobs = 0;
    for program in ["gcc", "clang", "g++"] {
        for form in FORMS {
            jobs += usize::from(compare(program, form, None, &root));
        }
    }
    for form in GCC_FORMS {
        assert!(compare("gcc", form, None, &root), "{form} is a job");
    }
    for (program, value) in [
        ("gcc", "env.d"),
        ("gcc", "env.d target"),
        ("clang", "env.d"),
    ] {
        for form in ["-c a.c -o out/x.o", "-MD -c a.c", "-c a.c"] {
            jobs += usize::from(compare(program, form, Some(value), &root));
        }
    }
    assert!(jobs > 100, "{jobs}");
}
