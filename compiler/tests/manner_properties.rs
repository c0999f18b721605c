//! What holds for every text, odd bytes included.

use compiler::diagnostics::{Charset, as_local};
use compiler::{Family, Manner, Surroundings, Verdict, classify, manner};
use proptest::prelude::*;
use std::ffi::{OsStr, OsString};

/// Bytes that make up directives, comments and strings, and any others.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        proptest::sample::select(vec![
            "\n",
            "\r\n",
            "/*",
            "*/",
            "//",
            "\\\n",
            "\"",
            "'",
            "R\"(",
            ")\"",
            "# 0 \"<command-line>\"",
            "# 1 \"a.c\"\n",
            "# 1 \"_d/a.c\" 1 3\n",
            "#define X 1\n",
            "#if X\n",
            "#else\n",
            "#endif\n",
            "#pragma message \"x\"\n",
            "_Pragma(\"push_macro(\\\"X\\\")\")",
            "fall through",
            "__TIME__",
            "a.c:1:2: warning: x\n",
            "for (;;) ;",
            "int a;",
            "‘x’",
            "\t",
            " ",
            "1'0",
            "\u{fc}",
        ])
        .prop_map(|part: &str| part.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|&&b| b == b'\n').count()
}

proptest! {
    #[test]
    fn blanking_keeps_lines_and_is_done_once(text in text()) {
        let blanked = manner::blank(&text);
        prop_assert_eq!(newlines(&blanked), newlines(&text));
        prop_assert!(blanked.len() <= text.len());
        prop_assert_eq!(manner::blank(&blanked), blanked);
    }

    #[test]
    fn texts_are_prepared_or_trapped(text in text(), file in text(), options in 0usize..4) {
        let about = Surroundings::new(OsStr::new("/w"));
        let options = ["-O1", "-g", "-g3", "-fopenmp"][options];
        let args = [options, "-c", "a.c"].map(OsString::from);
        for family in [Family::Gcc, Family::Clang] {
            let Verdict::Distribute(job) = classify(family, false, &args, &about) else {
                panic!("it can be sent");
            };
            for manner in Manner::ALL {
                let prepared = manner::prepare(&job, manner, &text);
                if let (Manner::Expanded, Ok(prepared)) = (manner, &prepared) {
                    prop_assert_eq!(&prepared[..], &text[..]);
                }
                let trap = manner::trap_in_file(&job, manner, &text, OsStr::new("f.h"), &file);
                prop_assert!(trap.is_none() || manner != Manner::Expanded);
                let mut read = |_: &OsStr| Some(file.clone());
                for charset in [Charset::Ascii, Charset::Utf8, Charset::Other] {
                    let once = as_local(&job, manner, charset, b"", &text, &mut read);
                    let twice = as_local(&job, manner, charset, b"", &text, &mut read);
                    prop_assert_eq!(once, twice);
                }
            }
        }
        prop_assert!(manner::files(&text).is_sorted());
    }
}
