//! What must hold of any bytes, one function for each fuzz target; the corpus in `fuzz/includes` is gone through by `cargo test`.

use crate::disk::{Found, Memory, Node, ROOT, Trail, Tree};
use crate::lex::{Mode, Op, scan};
use crate::names::Names;
use crate::state::{Attempt, State};
use crate::{Closure, Config, Question, Refusal};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

/// What a compiler like gcc 12 says when it is asked.
const OUT: &[u8] = b"# 0 \"<built-in>\"\n#define __STDC__ 1\n#define __STDC_VERSION__ 201710L\n#define __GNUC__ 12\n\
    # 1 \"<stdin>\"\nDLIS __has_include_\nDLIS __has_include_next_\nDLIS __has_attribute_\nDLIS __has_builtin_\nDLIS __FILE__\nDLIS __FILE___\n\
    DLIS __LINE___\nDLIS __COUNTER___\nDLIS __INCLUDE_LEVEL___\nDLIS __BASE_FILE___\nDLIS __DATE___\nDLIS __TIME___\nDLIS __TIMESTAMP___\n\
    DLIS line_comments\nDLIS elifdef\nDLIS digraphs\nDLIS va_opt\nDLIS raw_strings\n";
const ERR: &[u8] =
    b"gcc version 12.2.0\n#include <...> search starts here:\n /usr/include\nEnd of search list.\n";

/// Answers a command in `/w` on this disk, with a compiler that is only made up.
pub(crate) fn ask(state: &mut State, command: &str) -> Result<Arc<Closure>, Refusal> {
    let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
    let question = Question {
        directory: Path::new("/w"),
        words: &words,
        environment: &[],
    };
    for _ in 0..8 {
        match state.attempt(&question, &words)? {
            Attempt::Done(closure) => return Ok(closure),
            Attempt::Ask(ask, learn) => {
                let said = Ok((OUT.to_vec(), ERR.to_vec()));
                state.learn(learn, said, &ask.compiler)?;
            }
        }
    }
    panic!("the compiler is asked again and again");
}

/// A state over `disk`, which gets a compiler and a folder `/w`.
pub(crate) fn state(disk: &Memory) -> State {
    disk.put(b"/usr/bin/gcc", Node::File(Arc::from(&b""[..])));
    disk.put(
        b"/usr/include/sys.h",
        Node::File(Arc::from(&b"#define SYS 1\n"[..])),
    );
    State::with_disk(Config::default(), Box::new(disk.clone()))
}

const MODES: [Mode; 3] = [
    Mode {
        clang: false,
        cxx: false,
        assembler: false,
        raw_strings: true,
        trigraphs: false,
        digraphs: true,
        line_comments: true,
        separators: false,
        elifdef: true,
        booleans: false,
        va_opt: true,
        unsigned_chars: false,
        unsigned_wide: false,
        modules: false,
    },
    Mode {
        clang: false,
        cxx: true,
        assembler: false,
        raw_strings: true,
        trigraphs: true,
        digraphs: true,
        line_comments: true,
        separators: true,
        elifdef: true,
        booleans: true,
        va_opt: true,
        unsigned_chars: false,
        unsigned_wide: false,
        modules: true,
    },
    Mode {
        clang: false,
        cxx: false,
        assembler: true,
        raw_strings: false,
        trigraphs: true,
        digraphs: false,
        line_comments: false,
        separators: false,
        elifdef: false,
        booleans: false,
        va_opt: false,
        unsigned_chars: false,
        unsigned_wide: false,
        modules: false,
    },
];

/// Any bytes have a program, whose jumps go forward and stay within it, and whose spans are text.
pub fn scanner(bytes: &[u8]) {
    let text: Arc<[u8]> = bytes.into();
    for mode in MODES {
        let source = scan(&text, mode, &mut Names::new());
        let len = source.ops.len() as u32;
        assert!(matches!(source.ops.last(), Some(Op::End)));
        for (at, op) in source.ops.iter().enumerate() {
            let target = match *op {
                Op::Jump(to) => to,
                Op::Ifdef { otherwise, .. } | Op::If { otherwise, .. } => otherwise,
                Op::Define { number, .. } | Op::DefineRemarked(number) => {
                    let definition = source.definitions[number as usize];
                    let _ = source.get(definition.text);
                    continue;
                }
                Op::Include(site) | Op::Line(site) => {
                    assert!((source.sites[site as usize].at as usize) < source.text.len());
                    continue;
                }
                Op::Text(remark) => {
                    assert!((source.remarks[remark as usize].at as usize) < source.text.len());
                    continue;
                }
                _ => continue,
            };
            assert!(
                target as usize > at && target < len,
                "{op:?} at {at} of {len}"
            );
        }
        for &(span, at) in &source.conditions {
            let _ = source.get(span);
            assert!(source.line(at) >= 1);
        }
    }
}

/// Any unit is answered or refused, twice in the same way, and what is answered is there.
pub fn evaluator(bytes: &[u8]) {
    let disk = Memory::new(true);
    let mut parts = bytes.split(|&b| b == 0xff);
    let unit = parts.next().unwrap_or_default();
    disk.put(b"/w/t.c", Node::File(unit.into()));
    for (name, part) in [&b"/w/a.h"[..], b"/w/d/b.h", b"/usr/include/c.h"]
        .iter()
        .zip(parts)
    {
        disk.put(name, Node::File(part.into()));
    }
    let mut state = state(&disk);
    let first = ask(&mut state, "gcc -DX=1 -Id -c t.c");
    let second = ask(&mut state, "gcc -DX=1 -Id -c t.c");
    match (first, second) {
        (Ok(first), Ok(second)) => {
            let names = |closure: &Closure| -> Vec<std::path::PathBuf> {
                closure.files.iter().map(|file| file.real.clone()).collect()
            };
            assert_eq!(names(&first), names(&second));
            assert_eq!(&*first.files[0].bytes, unit);
        }
        (Err(first), Err(second)) => assert_eq!(first.code(), second.code()),
        (first, second) => panic!("{first:?} and then {second:?}"),
    }
}

/// Whatever links there are, a name leads to a path that leads to itself, or to nothing.
pub fn paths(bytes: &[u8]) {
    let disk = Memory::new(bytes.len().is_multiple_of(2));
    let mut lines = bytes.split(|&b| b == b'\n');
    let asked = lines.next().unwrap_or_default();
    for line in lines.take(64) {
        let mut sides = line.splitn(2, |&b| b == b'>');
        let name = sides.next().unwrap_or_default();
        let odd = name.is_empty()
            || name.contains(&0)
            || name
                .split(|&b| b == b'/')
                .any(|part| matches!(part, b"" | b"." | b".."));
        if odd {
            continue;
        }
        let path = [b"/", name].concat();
        disk.put(
            &path,
            match sides.next() {
                Some(target) => Node::Link(target.to_vec()),
                None => Node::File(Arc::from(&b""[..])),
            },
        );
    }
    let mut tree = Tree::new(Box::new(disk));
    let mut names = Names::new();
    tree.begin(&names);
    let mut trail = Trail::default();
    let found = tree.resolve(ROOT, asked, &mut names, &mut trail);
    let real = match found {
        Some(Found::File(file)) => tree.file(file).path.clone(),
        Some(Found::Folder(folder)) => tree.path(folder).clone(),
        Some(Found::Device) | None => return,
    };
    let odd = |part: &[u8]| matches!(part, b"." | b"..");
    assert!(real.starts_with(b"/") && !real.split(|&b| b == b'/').any(odd));
    let mut again = Trail::default();
    assert_eq!(tree.resolve(ROOT, &real, &mut names, &mut again), found);
    assert!(again.links.is_empty() && again.left.is_empty());
    let _ = std::ffi::OsStr::from_bytes(&real);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Check = fn(&[u8]);

    #[test]
    fn every_file_of_the_corpus_holds() {
        let targets: [(&str, Check); 3] = [
            ("scanner", scanner),
            ("evaluator", evaluator),
            ("paths", paths),
        ];
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/includes");
        for (target, check) in targets {
            let files: Vec<_> = std::fs::read_dir(corpus.join(target))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            assert!(files.len() >= 4, "{target} has {} seeds", files.len());
            for file in files {
                check(&std::fs::read(&file).unwrap());
            }
        }
    }

    /// Pieces that directives are made of, so that chance makes something of them.
    fn soup() -> impl Strategy<Value = Vec<u8>> {
        let pieces = vec![
            "#if ",
            "#elif ",
            "#else\n",
            "#endif\n",
            "#ifdef ",
            "#ifndef ",
            "#define ",
            "#undef ",
            "#include ",
            "#include_next ",
            "#import ",
            "#pragma once\n",
            "#line 7 \"x\"\n",
            "defined(",
            "defined ",
            "__has_include(",
            "__has_builtin(x)",
            "A",
            "B",
            "F",
            "F(",
            "F(x)",
            "F(x,y)",
            "(",
            ")",
            ",",
            "##",
            "#",
            " ",
            "\n",
            "\\\n",
            "\"a.h\"",
            "<c.h>",
            "<d/../a.h>",
            "\"",
            "'",
            "'a'",
            "/*",
            "*/",
            "//",
            "R\"(",
            ")\"",
            "1",
            "0",
            "-1",
            "+",
            "-",
            "*",
            "/",
            "%",
            "<<",
            ">>",
            "?",
            ":",
            "&&",
            "||",
            "!",
            "~",
            "==",
            "<",
            "__VA_ARGS__",
            "__VA_OPT__(",
            "...",
            "__COUNTER__",
            "__LINE__",
            "__FILE__",
            "_Pragma(\"once\")",
            "\u{1}\u{1}",
            "0x7fffffffffffffff",
            "18446744073709551615u",
        ];
        prop::collection::vec(prop::sample::select(pieces), 0..60)
            .prop_map(|pieces| pieces.concat().replace('\u{1}', "\u{ff}").into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_scanned(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            scanner(&bytes);
        }

        #[test]
        fn any_pieces_are_scanned(bytes in soup()) {
            scanner(&bytes);
        }

        #[test]
        fn any_unit_is_answered_or_refused(bytes in soup()) {
            evaluator(&bytes);
        }

        #[test]
        fn any_name_leads_somewhere_or_nowhere(text in "([a-c./]{0,12}\n)([a-c/]{1,5}(>[a-c./]{0,6})?\n){0,12}") {
            paths(text.as_bytes());
        }
    }
}
