//! Freshness, on a disk that counts how often it is looked at.

use crate::checks::{ask, state};
use crate::disk::{Memory, Node};
use crate::{Closure, Refusal, Role};
use std::sync::Arc;

fn file(text: &str) -> Node {
    Node::File(Arc::from(text.as_bytes()))
}

fn names(closure: &Closure) -> Vec<&str> {
    closure
        .files
        .iter()
        .map(|file| file.name.to_str().unwrap())
        .collect()
}

fn disk(watched: bool, files: &[(&str, &str)]) -> Memory {
    let disk = Memory::new(watched);
    for (name, text) in files {
        assert!(disk.put(name.as_bytes(), file(text)));
    }
    disk
}

#[test]
fn a_repeated_question_looks_at_the_unit_only() {
    let disk = disk(
        true,
        &[
            ("/w/t.c", "#include \"a.h\"\n#include <sys.h>\n"),
            ("/w/a.h", ""),
        ],
    );
    let mut state = state(&disk);
    disk.wait(10);
    let first = ask(&mut state, "gcc -c t.c").unwrap();
    assert_eq!(names(&first), ["t.c", "a.h", "/usr/include/sys.h"]);
    assert!(first.files[2].system && !first.files[1].system);
    let before = disk.counts();
    let second = ask(&mut state, "gcc -c t.c").unwrap();
    let after = disk.counts();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!((after.0 - before.0, after.1 - before.1), (0, 1));
}

#[test]
fn young_files_are_read_again() {
    let disk = disk(true, &[("/w/t.c", "#include \"a.h\"\n"), ("/w/a.h", "")]);
    let mut state = state(&disk);
    ask(&mut state, "gcc -c t.c").unwrap();
    let before = disk.counts();
    ask(&mut state, "gcc -c t.c").unwrap();
    assert_eq!(disk.counts().1 - before.1, 2, "the unit and the header");
}

#[test]
fn another_unit_looks_at_nothing_that_is_known() {
    let disk = disk(
        true,
        &[
            ("/w/t.c", "#include \"a.h\"\n"),
            ("/w/u.c", "#include \"a.h\"\n"),
            ("/w/a.h", "#include <sys.h>\n"),
        ],
    );
    let mut state = state(&disk);
    disk.wait(10);
    ask(&mut state, "gcc -c t.c").unwrap();
    let before = disk.counts();
    ask(&mut state, "gcc -c u.c").unwrap();
    let after = disk.counts();
    assert_eq!(after.1 - before.1, 1, "the unit is read");
    assert!(after.0 - before.0 <= 2, "{} looks", after.0 - before.0);
}

#[test]
fn every_kind_of_change_is_noticed() {
    for watched in [true, false] {
        let disk = disk(
            watched,
            &[
                (
                    "/w/t.c",
                    "#if __has_include(\"b.h\")\n#endif\n#include <a.h>\n",
                ),
                ("/w/i/x", ""),
                ("/w/j/a.h", "#include \"c.h\"\n"),
                ("/w/j/c.h", ""),
                ("/w/k/a.h", ""),
            ],
        );
        let mut state = state(&disk);
        let mut asked = |wait| {
            disk.wait(wait);
            let closure = ask(&mut state, "gcc -Ii -Ij -Ik -c t.c").unwrap();
            names(&closure).join(" ")
        };
        assert_eq!(asked(10), "t.c j/a.h j/c.h");
        // Made where it hides another.
        disk.put(b"/w/i/a.h", file(""));
        assert_eq!(asked(0), "t.c i/a.h");
        disk.remove(b"/w/i/a.h");
        assert_eq!(asked(10), "t.c j/a.h j/c.h");
        // Changed.
        disk.put(b"/w/j/c.h", file("#include \"d.h\"\n"));
        disk.put(b"/w/j/d.h", file(""));
        assert_eq!(asked(0), "t.c j/a.h j/c.h j/d.h");
        // Looked for, and there now.
        disk.put(b"/w/b.h", file(""));
        assert_eq!(asked(10), "t.c b.h j/a.h j/c.h j/d.h");
        disk.remove(b"/w/b.h");
        // Turned into a link.
        disk.remove(b"/w/j/a.h");
        disk.put(b"/w/j/a.h", Node::Link(b"../k/a.h".to_vec()));
        let closure = ask(&mut state, "gcc -Ii -Ij -Ik -c t.c").unwrap();
        assert_eq!(names(&closure), ["t.c", "j/a.h"]);
        assert_eq!(closure.files[1].real.to_str(), Some("/w/k/a.h"));
        assert_eq!(closure.links.len(), 1);
        assert_eq!(closure.links[0].path.to_str(), Some("/w/j/a.h"));
        assert_eq!(closure.links[0].real.to_str(), Some("/w/k/a.h"));
    }
}

#[test]
fn lost_reports_are_made_up_for() {
    let disk = disk(true, &[("/w/t.c", "#include \"a.h\"\n"), ("/w/a.h", "")]);
    let mut state = state(&disk);
    disk.wait(10);
    ask(&mut state, "gcc -c t.c").unwrap();
    disk.put(b"/w/a.h", file("#include \"b.h\"\n"));
    disk.put(b"/w/b.h", file(""));
    disk.lose_changes();
    disk.wait(10);
    let closure = ask(&mut state, "gcc -c t.c").unwrap();
    assert_eq!(names(&closure), ["t.c", "a.h", "b.h"]);
}

#[test]
fn what_is_only_looked_for_is_listed_as_that() {
    let disk = disk(
        true,
        &[
            (
                "/w/t.c",
                "#if __has_include(\"a.h\")\n#endif\n#if __has_include(\"b.h\")\n#include \"b.h\"\n#endif\n",
            ),
            ("/w/a.h", "#include \"c.h\"\n"),
            ("/w/b.h", ""),
        ],
    );
    let closure = ask(&mut state(&disk), "gcc -c t.c").unwrap();
    let roles: Vec<Role> = closure.files.iter().map(|file| file.role).collect();
    assert_eq!(roles, [Role::Source, Role::Probed, Role::Header]);
}

#[test]
fn what_line_names_is_listed_for_messages_of_gcc() {
    let disk = disk(
        true,
        &[
            (
                "/w/t.c",
                "#line 7 \"t.y\"\n#line 8 \"none.y\"\n#define F \"a.h\"\n#line 9 F\n#line 9 \"t.y\"\n#include \"a.h\"\n",
            ),
            ("/w/t.y", "%%"),
            ("/w/a.h", ""),
        ],
    );
    let closure = ask(&mut state(&disk), "gcc -c t.c").unwrap();
    assert_eq!(names(&closure), ["t.c", "a.h", "t.y"]);
    let roles: Vec<Role> = closure.files.iter().map(|file| file.role).collect();
    assert_eq!(roles, [Role::Source, Role::Header, Role::Quoted]);
}

#[test]
fn equal_bytes_of_one_second_are_one_file_to_pragma_once() {
    let once = "#pragma once\n#include \"x.h\"\n";
    let disk = disk(
        true,
        &[
            ("/w/t.c", "#include \"a.h\"\n#include \"d/a.h\"\n"),
            ("/w/a.h", once),
            ("/w/d/a.h", once),
            ("/w/x.h", ""),
            ("/w/d/x.h", ""),
        ],
    );
    let mut known = state(&disk);
    let closure = ask(&mut known, "gcc -c t.c").unwrap();
    assert_eq!(names(&closure), ["t.c", "a.h", "x.h", "d/a.h"]);
    disk.wait(5);
    disk.put(b"/w/d/a.h", file(once));
    let closure = ask(&mut known, "gcc -c t.c").unwrap();
    assert_eq!(names(&closure), ["t.c", "a.h", "x.h", "d/a.h", "d/x.h"]);
}

#[test]
fn uses_of_the_time_are_told() {
    let dates = |text: &str| {
        let disk = disk(
            true,
            &[("/w/t.c", text), ("/w/v.h", "#define BUILT __DATE__\n")],
        );
        ask(&mut state(&disk), "gcc -c t.c").unwrap().dates
    };
    assert!(dates("const char *d = __TIME__;").now);
    assert!(dates("#include \"v.h\"\nconst char *d = BUILT;").now);
    assert!(!dates("#include \"v.h\"\n").now);
    assert!(!dates("#if 0\n__DATE__\n#endif\n// __DATE__\n").now);
    assert!(dates("const char *d = __TIMESTAMP__;").file);
}

#[test]
fn refusals_are_for_one_source() {
    let disk = disk(
        true,
        &[
            ("/w/t.c", ""),
            ("/w/loop.c", "#include \"loop.c\"\n#include \"loop.c\"\n"),
            ("/w/p.c", "#include \"p.h\"\n"),
            ("/w/p.h", ""),
            ("/w/p.h.gch", ""),
            (
                "/w/asm.c",
                "void f(void) { asm(\".incbin %0\" :: \"i\"(1)); }\n",
            ),
        ],
    );
    let mut state = state(&disk);
    for (command, code) in [
        ("gcc -c loop.c", "too-much"),
        ("gcc -c p.c", "precompiled"),
        ("gcc -c asm.c", "data-by-name"),
        ("gcc -c none.c", "unreadable"),
        ("gcc -c t.c p.c", "not-one-source"),
        ("gcc --version", "not-one-source"),
        ("gcc -fmodules-ts -c t.c", "option"),
        ("cat -c t.c", "not-a-compiler"),
        ("g++ -c t.c", "not-a-compiler"),
    ] {
        assert_eq!(
            ask(&mut state, command)
                .map_err(|refusal: Refusal| refusal.code())
                .unwrap_err(),
            code,
            "{command}"
        );
        assert!(ask(&mut state, "gcc -c t.c").is_ok());
    }
}

#[test]
fn forced_headers_come_first() {
    let disk = disk(
        true,
        &[
            ("/w/t.c", "#ifdef M\n#include \"m.h\"\n#endif\n"),
            ("/w/m.h", ""),
            ("/w/i/f.h", "#ifdef M\n#include \"g.h\"\n#endif\n"),
            ("/w/i/g.h", ""),
            ("/w/n.h", "#define M\n"),
        ],
    );
    let closure = ask(
        &mut state(&disk),
        "gcc -Ii -include f.h -imacros n.h -c t.c",
    )
    .unwrap();
    assert_eq!(names(&closure), ["t.c", "./n.h", "i/f.h", "i/g.h", "m.h"]);
}

#[test]
fn text_is_expanded_where_something_hangs_on_it() {
    let listed = |text: &str| {
        let disk = disk(
            true,
            &[
                ("/w/t.c", text),
                ("/w/a.h", ""),
                ("/w/b.h", ""),
                ("/w/x.bin", ""),
            ],
        );
        let closure = ask(&mut state(&disk), "gcc -c t.c").unwrap();
        assert_eq!(closure.unsure, 0);
        names(&closure)[1..].join(" ")
    };
    let counts = |before: &str| {
        listed(&format!(
            "{before}\n#if __COUNTER__ == 2\n#include \"a.h\"\n#else\n#include \"b.h\"\n#endif\n"
        ))
    };
    assert_eq!(counts("int x = __COUNTER__ + __COUNTER__;"), "a.h");
    assert_eq!(counts("#define U __COUNTER__\nint x = U\n + U;"), "a.h");
    assert_eq!(
        counts(
            "#define U __COUNTER__\n#define N(x)\nint x = U; N(U) // U\n/* U */ char *s = \"U\";"
        ),
        "b.h"
    );
    assert_eq!(counts("#if 0\n__COUNTER__ __COUNTER__\n#endif"), "b.h");
    let bin = "#define S(x) #x\n#define X(x) S(x)\n";
    assert_eq!(
        listed(&format!(
            "{bin}#define B(f) asm(\".incbin \\\"\" f \"\\\"\\n\")\nB(\"x.bin\");\n"
        )),
        "x.bin"
    );
    assert_eq!(
        listed(&format!(
            "{bin}#define F x.bin\nasm(\".incbin \" \"\\\"\" X(F) \"\\\"\");\n"
        )),
        "x.bin"
    );
    assert_eq!(
        listed(
            "#define O(m) _Pragma(m)\n#define P _Pragma(\"push_macro(\\\"A\\\")\")\n#define A\nP\n#undef A\n#pragma pop_macro(\"A\")\n#ifdef A\n#include \"a.h\"\n#endif\n"
        ),
        "a.h"
    );
}

#[test]
fn assertions_are_followed() {
    let listed = |text: &str| {
        let disk = disk(true, &[("/w/t.c", text), ("/w/a.h", ""), ("/w/b.h", "")]);
        let closure = ask(&mut state(&disk), "gcc -c t.c").unwrap();
        names(&closure)[1..].join(" ")
    };
    let decided = |before: &str, condition: &str| {
        listed(&format!(
            "{before}\n#if {condition}\n#include \"a.h\"\n#else\n#include \"b.h\"\n#endif\n"
        ))
    };
    assert_eq!(
        decided("#assert foo(bar)", "#foo(bar) && !#foo(baz)"),
        "a.h"
    );
    assert_eq!(decided("#assert foo(bar)", "#foo"), "a.h");
    assert_eq!(
        decided("#assert foo(bar)\n#unassert foo", "#foo(bar)"),
        "b.h"
    );
    assert_eq!(decided("", "#machine(nothing)"), "b.h");
}

#[test]
fn nesting_has_its_limits() {
    let nested = |open: &str, inside: &str, close: &str, depth: usize| {
        let text = format!(
            "#define F(x) x\n#if {}{inside}{}\n#include \"a.h\"\n#endif\n",
            open.repeat(depth),
            close.repeat(depth)
        );
        let disk = disk(true, &[("/w/t.c", &text), ("/w/a.h", "")]);
        ask(&mut state(&disk), "gcc -c t.c").map(|closure| closure.files.len())
    };
    for (open, close) in [
        ("(", ")"),
        ("F(", ")"),
        ("!", ""),
        ("- ", ""),
        ("1 ? ", " : 0"),
        ("(1 + ", ")"),
    ] {
        assert_eq!(nested(open, "1", close, 60).unwrap(), 2, "{open}");
        // Too deep for us: refused, or taken for an error; but answered.
        let deep = nested(open, "1", close, 20_000);
        assert!(
            deep.is_err() || deep.is_ok_and(|files| files <= 2),
            "{open}"
        );
    }
    let calls = "F(".repeat(20_000);
    let text = format!("#define F(x) x\n#define A {calls}1\n#include A\n");
    let disk = disk(true, &[("/w/t.c", &text)]);
    let _ = ask(&mut state(&disk), "gcc -c t.c").map(|closure| assert_eq!(closure.files.len(), 1));
}

#[test]
fn events_of_strangers_leave_no_trace() {
    let disk = disk(true, &[("/w/t.c", "#include \"a.h\"\n"), ("/w/a.h", "")]);
    let mut known = state(&disk);
    disk.wait(10);
    let first = ask(&mut known, "gcc -c t.c").unwrap();
    for number in 0..100 {
        disk.put(format!("/w/object{number}.o").as_bytes(), file("x"));
    }
    let before = disk.counts();
    let second = ask(&mut known, "gcc -c t.c").unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(disk.counts().0, before.0);
}

/// What is missed, a folder in a line.
fn missed(closure: &Closure) -> Vec<String> {
    let line = |missed: &crate::Missed| {
        let names = String::from_utf8_lossy(&missed.names);
        format!("{}{names}", missed.folder.display())
    };
    let mut lines: Vec<String> = closure.missed.iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn what_is_missed_where_others_have_files_is_told() {
    let disk = disk(
        true,
        &[
            (
                "/w/t.c",
                "#include <late.h>\n#if __has_include(<none.h>)\n#endif\n#include \"near.h\"\n",
            ),
            ("/w/near.h", ""),
            ("/w/i/late.h", ""),
            ("/w/u.c", "#include <sys.h>\n"),
            ("/usr/share/x/y", ""),
        ],
    );
    let mut state = state(&disk);
    disk.wait(10);
    // Of the project nothing: elsewhere there is only what is sent.
    let closure = ask(&mut state, "gcc -Ii -c t.c").unwrap();
    assert_eq!(missed(&closure), ["/usr/include//none.h"]);
    let closure = ask(&mut state, "gcc -I/usr/share/x -idirafter i -c t.c").unwrap();
    assert_eq!(
        missed(&closure),
        [
            "/usr/include//late.h//none.h",
            "/usr/share/x//late.h//none.h"
        ]
    );
    // Asked again; and a unit whose first header gcc would rather read precompiled.
    let again = ask(&mut state, "gcc -I/usr/share/x -idirafter i -c t.c").unwrap();
    assert_eq!(missed(&again), missed(&closure));
    let other = ask(&mut state, "gcc -I/usr/share/x -I/usr/none -c u.c").unwrap();
    assert_eq!(
        missed(&other),
        [
            "/usr/include//sys.h.gch",
            "/usr/none",
            "/usr/share/x//sys.h"
        ]
    );
}
