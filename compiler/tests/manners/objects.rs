//! Objects, debug information included.

use super::{Place, there};
use compiler::{Manner, Surroundings, Verdict, classify, names, response};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt;

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

const FILES: &[(&str, &str)] = &[
    ("a.c", C_SOURCE),
    ("sub/b.cc", CXX_SOURCE),
    ("inc/h.h", HEADER),
    ("sub/inc/h.h", HEADER),
    (
        "pre.h",
        "#define PRE 1\nstatic inline int pre(int x) { return x; }\n",
    ),
    ("mac.h", "#define MAC 2\n"),
];

#[test]
fn gcc_s_debug_information_is_the_local_one() {
    let place = Place::new(FILES);
    let mut wrong = Vec::new();
    for (source, every) in [
        ("a.c", 1),
        ("$PWD/a.c", 2),
        ("./a.c", 5),
        ("sub/../a.c", 5),
        ("sub/b.cc", 4),
        ("$PWD/sub/b.cc", 5),
    ] {
        let program = if source.ends_with(".cc") {
            "g++"
        } else {
            "gcc"
        };
        let all_options = [
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
            "-g -imacros mac.h",
            "-g -O2 -fdebug-prefix-map=$PWD=. -fmacro-prefix-map=$PWD=/M",
            "-g -Wp,-MMD,x.d",
            "-g -C -P -fworking-directory",
        ];
        for options in all_options.into_iter().step_by(every) {
            let stage = if options.contains("-S") { "" } else { "-c" };
            let line =
                format!("{program} -DFROM_COMMAND=7 -Iinc {options} {stage} {source} -o sub/out.o");
            if !place.is_equal(&line).expect("no trap is in these") {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sanitizers_name_the_source() {
    let place = Place::new(FILES);
    for line in [
        "gcc -DFROM_COMMAND=7 -g -fsanitize=address -c a.c -o out.o",
        "gcc -DFROM_COMMAND=7 -g3 -fsanitize=address,undefined -c a.c -o out.o",
        "g++ -DFROM_COMMAND=7 -Iinc -fsanitize=address -c sub/b.cc -o out.o",
    ] {
        assert_eq!(place.is_equal(line), Ok(true), "{line}");
    }
}

#[test]
fn what_is_kept_for_the_linker_stays_where_it_would_differ() {
    let place = Place::new(FILES);
    for line in [
        "gcc -flto -g -c a.c",
        "gcc -flto -c a.i",
        "gcc -flto -frandom-seed=x -c a.c",
        "g++ -flto=auto -frandom-seed=x -c sub/b.cc",
    ] {
        assert!(place.stays(line), "{line}");
    }
    for line in ["gcc -flto -c a.c", "g++ -flto -c sub/b.cc"] {
        assert!(!place.stays(line), "{line}");
    }
}

#[test]
fn preprocessed_sources_have_the_folder_here() {
    let place = Place::new(&[
        ("a.i", "int f(int x) { return x; }\n"),
        ("b.ii", "# 1 \"b.cc\"\nint f(int x) { return x; } int n;\n"),
    ]);
    for line in [
        "gcc -g -c a.i",
        "gcc -g3 -c $PWD/a.i",
        "g++ -g -c b.ii -o out.o",
    ] {
        assert_eq!(place.is_equal(line), Ok(true), "{line}");
    }
}

#[test]
fn clang_s_objects_are_the_local_ones() {
    let place = Place::new(FILES);
    // The sources count, which clang's manner does not stand.
    let source = C_SOURCE.replace("__COUNTER__", "0");
    place.write("a.c", &source);
    let mut wrong = Vec::new();
    for source in ["a.c", "$PWD/a.c", "./a.c", "sub/b.cc", ".//././sub/b.cc"] {
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
            if !place.is_equal(&line).expect("no trap is in these") {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_only_expanded_text_does_is_left_to_it() {
    for line in [
        "gcc -pedantic-errors -c a.c",
        "gcc -Wpedantic -Werror=pedantic -c a.c",
        "gcc -Wunused-macros -c a.c",
        "gcc -traditional-cpp -c a.c",
        "gcc -Wp,-DX -c a.c",
        "gcc -fsanitize=address -c /w/a.c",
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
            Verdict::Distribute(job) => {
                let manners = job.manners(true, there::IDENT);
                assert!(
                    matches!(manners, Ok([Manner::Expanded]) | Err(_)),
                    "{line}: {manners:?}"
                );
            }
            Verdict::RunHere(reason) => panic!("{line} stays: {}", reason.code()),
        }
    }
}
