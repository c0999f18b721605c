//! Real compilers: the manners that keep directives give the object that a local compile gives, debug information included.
//!
//! "There" is an empty folder that cannot see the files here, as with a daemon of ours.

use compiler::directives::{self, Trap};
use compiler::{Family, Job, Manner, Surroundings, Verdict, classify, manner, names, response};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const C_SOURCE: &str = r#"/* A comment
   over lines */
#include "inc/h.h"
#include <stdio.h>   // standard
#include <stdlib.h>
#define TWICE(x) ((x) + (x)) /* macro */
#define LONG_ONE(a, b) \
    do { a += b; /* inside */ } while (0)
static int count = __COUNTER__;
static int helper(int	a,   int b) { return   TWICE(a)  +  TWICE( b ); }
int fallthrough(int x) {
	switch (x) {
	case 1: count++; /* fall through */
	case 2: return helper(x, count);
	default: LONG_ONE(x, 3);
	}
	return FROM_COMMAND + in_header(x);
}
#line 100 "other.c"
const char *file(void) { return __FILE__ ":" __BASE_FILE__; } // a comment with "quotes" and 'marks'
int line(void) { return __LINE__; }
int variadic(void) { printf("%d // not a comment %s\n", __LINE__, "/* nor this */"); return 'x' + '"'; }
"#;

const CXX_SOURCE: &str = r#"#include <vector>
#include <string>
#include "inc/h.h"
namespace { struct Hidden { std::string name; Hidden() : name("h") {} } hidden; }
template <typename T> T   twice(T t) { return t + t; }  // twice
auto text = R"x(raw // text " /* )x";
int digits = 1'000'000; // separators
std::vector<int> numbers() { return {twice(2), in_header(FROM_COMMAND), digits}; }
"#;

const HEADER: &str = "#pragma once\n#ifdef FROM_COMMAND\nstatic inline int in_header(int a) { return a * FROM_COMMAND; }\n#endif\n";

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place {
            root: tempfile::tempdir().expect("a temporary folder"),
        };
        for (name, text) in [
            ("a.c", C_SOURCE),
            ("sub/b.cc", CXX_SOURCE),
            ("inc/h.h", HEADER),
            ("sub/inc/h.h", HEADER),
            ("pre.h", "#define PRE 1\n"),
        ] {
            let path = place.here().join(name);
            std::fs::create_dir_all(path.parent().expect("below here")).expect("a new folder");
            std::fs::write(path, text).expect("a new file");
        }
        place
    }

    fn here(&self) -> PathBuf {
        self.root.path().join("here")
    }

    fn there(&self) -> PathBuf {
        self.root.path().join("there")
    }
}

fn run(program: &str, args: &[OsString], cwd: &Path) -> Output {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(cwd)
        .env("PWD", cwd)
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command.output().expect("the compiler runs")
}

/// Compiles there what the preprocessor wrote here; the product, or the trap that forbids it.
fn carried(program: &str, job: &Job<'_>, manner: Manner, place: &Place) -> Result<Vec<u8>, Trap> {
    let text = run(
        program,
        &job.preprocess_args_in(manner)
            .expect("it wants the preprocessor"),
        &place.here(),
    );
    assert!(text.status.success(), "{}", text.stderr.escape_ascii());
    for file in directives::files(&text.stdout) {
        let bytes = std::fs::read(place.here().join(OsStr::from_bytes(file))).unwrap_or_default();
        directives::trap_in_file(&bytes).map_or(Ok(()), Err)?;
    }
    let carried = directives::carry(manner, job, &text.stdout)?;
    let there = place.there();
    let _ = std::fs::remove_dir_all(&there);
    let source = there.join(job.label_in(manner));
    std::fs::create_dir_all(source.parent().expect("below there")).expect("a new folder");
    std::fs::write(&source, carried).expect("the text fits");
    let output = place.root.path().join("product");
    let sent = job.remote_args_in(manner);
    let cxx = program.ends_with("++");
    let checked =
        manner::check_in(manner, job.family(), cxx, &sent).expect("our daemon takes what we send");
    assert_eq!(sent[checked.source], job.label_in(manner));
    let args = checked.args_in(manner, &sent, there.as_os_str(), output.as_os_str());
    let done = run(program, &args, &there);
    assert!(
        done.status.success(),
        "{program} {args:?}: {}",
        done.stderr.escape_ascii()
    );
    Ok(std::fs::read(output).expect("the product is there"))
}

/// Is the object of `line`, carried in its best manner, the one of a local compile?
fn equal(line: &str, place: &Place) -> Result<bool, Trap> {
    let here = place.here();
    let mut words = response::split(
        line.replace("$PWD", here.to_str().expect("UTF-8"))
            .as_bytes(),
    );
    let program = words.remove(0).into_string().expect("UTF-8");
    let guess = names::guess(program.as_bytes()).expect("a compiler");
    let about = Surroundings::new(here.as_os_str());
    let job = match classify(
        guess.family.unwrap_or(Family::Gcc),
        guess.cxx,
        &words,
        &about,
    ) {
        Verdict::Distribute(job) => job,
        Verdict::RunHere(reason) => panic!("{line} stays: {}", reason.code()),
    };
    let manner = job.best_manner();
    assert_ne!(manner, Manner::Plain, "{line}");
    let local = run(&program, &words, &here);
    assert!(
        local.status.success(),
        "{line}: {}",
        local.stderr.escape_ascii()
    );
    let wanted = std::fs::read(here.join(job.output())).expect("a local object");
    Ok(carried(&program, &job, manner, place)? == wanted)
}

#[test]
fn gcc_s_debug_information_is_the_local_one() {
    let place = Place::new();
    let mut wrong = Vec::new();
    for source in ["a.c", "$PWD/a.c", "sub/../a.c", "sub/b.cc", "$PWD/sub/b.cc"] {
        let program = if source.ends_with('c') && source.ends_with(".cc") {
            "g++"
        } else {
            "gcc"
        };
        for options in [
            "",
            "-g",
            "-g -O2",
            "-g1",
            "-g -gdwarf-4",
            "-g3",
            "-ggdb3 -O1",
            "-g -gz",
            "-O2 -Wall -Wextra",
            "-g -I. -include pre.h -MD -MF a.d",
            "-g -fdebug-prefix-map=$PWD=/X",
            "-g -ffile-prefix-map=$PWD=/X",
            "-fsanitize=undefined",
            "-g -fsanitize=thread -O1",
            "-g -S",
            "-g -frecord-gcc-switches",
            "-g -finput-charset=UTF-8",
            "-g -Wp,-MMD,x.d",
        ] {
            let stage = if options.contains("-S") { "" } else { "-c" };
            let line =
                format!("{program} -DFROM_COMMAND=7 -Iinc {options} {stage} {source} -o sub/out.o");
            if !equal(&line, &place).expect("no trap is in these") {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clang_s_objects_are_the_local_ones() {
    let place = Place::new();
    // The sources count, which clang's manner does not stand.
    let source = C_SOURCE.replace("__COUNTER__", "0");
    std::fs::write(place.here().join("a.c"), source).expect("the file is ours");
    let mut wrong = Vec::new();
    for source in ["a.c", "$PWD/a.c", "sub/b.cc"] {
        let program = if source.ends_with(".cc") {
            "clang++"
        } else {
            "clang"
        };
        for options in [
            "",
            "-O2 -Wall",
            "-g -gdwarf-4",
            "-g -gdwarf-4 -fdebug-prefix-map=$PWD=/X",
            "-fsanitize=undefined",
            "-O2 -S",
        ] {
            let stage = if options.contains("-S") { "" } else { "-c" };
            let line =
                format!("{program} -DFROM_COMMAND=7 -Iinc {options} {stage} {source} -o sub/out.o");
            if !equal(&line, &place).expect("no trap is in these") {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn traps_are_seen() {
    let place = Place::new();
    for (text, trap) in [
        ("#pragma push_macro(\"X\")\nint a;\n", Trap::Pragma),
        ("#pragma redefine_extname f g\nint f(void);\n", Trap::Pragma),
        ("const char *t = __TIME__;\n", Trap::Clock),
        ("const char *t = __TIMESTAMP__;\n", Trap::Clock),
    ] {
        std::fs::write(place.here().join("t.c"), text).expect("a new file");
        assert_eq!(equal("gcc -g -c t.c -o t.o", &place), Err(trap), "{text}");
    }
    std::fs::write(place.here().join("t.c"), "int c = __COUNTER__;\n").expect("a new file");
    assert_eq!(equal("clang -g -c t.c -o t.o", &place), Err(Trap::Counter));
}

#[test]
fn what_only_plain_text_does_is_left_to_it() {
    for line in [
        "gcc -fopenmp -c a.c",
        "gcc -pedantic -c a.c",
        "gcc -Wpedantic -c a.c",
        "gcc -Wunused-macros -c a.c",
        "gcc -traditional-cpp -c a.c",
        "gcc -Wp,-DX -c a.c",
        "gcc -fsanitize=address -c a.c",
        "gcc -finput-charset=latin1 -c a.c",
        "gcc -g3 -include x.h -c a.c",
        "gcc -c a.i",
        "gcc -fpreprocessed -c a.c",
        "clang -imacros x.h -c a.c",
        "clang -g -fdebug-macro -c a.c",
    ] {
        let mut words = response::split(line.as_bytes());
        let program = words.remove(0).into_vec();
        let guess = names::guess(&program).expect("a compiler");
        let about = Surroundings::new(OsStr::new("/w"));
        match classify(guess.family.expect("named"), guess.cxx, &words, &about) {
            Verdict::Distribute(job) => assert_eq!(job.best_manner(), Manner::Plain, "{line}"),
            Verdict::RunHere(reason) => panic!("{line} stays: {}", reason.code()),
        }
    }
}

#[test]
fn daemons_take_no_other_name_for_the_text() {
    for label in ["a.c", "_d/", "_d/..", "_d/x/a.c", "_d/../a.c", "/_d/a.c"] {
        let words = ["-x", "c", label, "-c", "-o", "a.o"].map(OsString::from);
        assert!(
            manner::check_in(Manner::Directives, Family::Gcc, false, &words).is_err(),
            "{label}"
        );
    }
    let words = ["-x", "cpp-output", "_d/a.c", "-c"].map(OsString::from);
    assert!(manner::check_in(Manner::Directives, Family::Gcc, false, &words).is_err());
    let words = ["_d/a.c", "-c"].map(OsString::from);
    assert!(manner::check_in(Manner::Directives, Family::Gcc, false, &words).is_ok());
}
