//! What must hold of any words, objects and messages that came from another machine: checks of the crate `compiler`.
//!
//! `compiler/tests/fuzz_corpus.rs` includes this file, as `lib.rs` of this folder does.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use compiler::{Family, launch, messages, names, object, remote, text, version};

/// A command of a stranger, its words divided by NUL, as the daemon looks at it.
pub fn words(bytes: &[u8]) {
    let args: Vec<OsString> = bytes
        .split(|byte| *byte == 0)
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    for word in bytes.split(|byte| *byte == 0) {
        let _ = (
            names::guess(word),
            names::base(word),
            names::looks_like_source(word),
        );
    }
    for family in [Family::Gcc, Family::Clang] {
        for cxx in [false, true] {
            let names = |words: &[OsString], name: &OsStr| {
                let ends = |word: &OsString| word.as_bytes().ends_with(name.as_bytes());
                words.iter().any(ends)
            };
            if let Ok(job) = remote::check(family, cxx, &args) {
                let (source, product) = (OsStr::new("/j/source.i"), OsStr::new("/j/product.o"));
                let run = job.args_for(&args, source, product);
                assert!(names(&run, source) && names(&run, product));
            }
            if let Ok(job) = launch::check(family, cxx, &args) {
                let product = OsStr::new("product.o");
                assert!(names(&launch::args_for(&job, &args, product), product));
            }
        }
    }
}

/// What a host says is an object.
pub fn object(bytes: &[u8]) {
    if let Ok(facts) = object::inspect(bytes) {
        assert!(facts.comments.len() <= object::MAX_COMMENTS);
        for comment in facts.comments {
            assert!(comment.len() <= bytes.len());
            object::names_compiler(comment);
        }
    }
    if let Some(ident) = object::ident_of_assembly(bytes) {
        assert!(ident.len() <= bytes.len());
    }
}

/// What a host says that a compiler printed.
pub fn messages(bytes: &[u8]) {
    let (here, there) = bytes.split_at(bytes.len() / 2);
    let kept = messages::without_repeats(here, there);
    assert!(kept.concat().len() <= here.len());
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = version::read(line);
    }
    let _ = (
        text::ties_here(bytes),
        text::speaks_twice(bytes),
        text::names_precompiled_header(bytes),
    );
    let _ = OsStr::from_bytes(bytes);
}
