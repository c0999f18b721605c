//! Recorded conversations of stock programs decode, and encode to the bytes they were.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::collections::HashMap;

use protocol::{
    Body, Content, During, Outcome, Progress, ProtocolError, Request, Source, Version, lzo,
};
use support::{Decoder, Kind, captures, decode, feed, kind_of};

/// Recordings that end before the conversation does: the client gave up, or the daemon closed without a word.
fn cut_off(name: &str) -> Option<ProtocolError> {
    let expected = match name {
        "v1-fplugin.request.bin" | "v1-compiler-missing-on-server.request.bin" => "DOTI",
        "v1-fplugin.response.bin" | "v1-compiler-missing-on-server.response.bin" => "DONE",
        _ => return None,
    };
    Some(ProtocolError::Truncated {
        during: During::Head { expected, got: 0 },
    })
}

fn check<D: Decoder>(new: impl Fn() -> D, name: &str, bytes: &[u8]) {
    let decoded = decode(new(), bytes);
    match cut_off(name) {
        Some(error) => {
            assert_eq!(decoded, Err(error.clone()), "{name}");
            let mut decoder = new();
            assert_eq!(feed(&mut decoder, bytes), Ok(Progress::More), "{name}");
            assert_eq!(decoder.eof(), error, "{name}");
        }
        None => {
            let (value, trailing) = decoded.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(trailing, 0, "{name}");
            assert!(
                D::encode(&value).expect("what came can be sent") == bytes,
                "{name} encodes differently"
            );
        }
    }
}

#[test]
fn every_conversation_decodes_and_encodes_to_its_own_bytes() {
    for capture in captures() {
        for_kind!(capture.kind, check, &capture.name, &capture.bytes);
    }
}

#[test]
fn no_recording_is_left_out() {
    let mut kinds: HashMap<Kind, usize> = HashMap::new();
    let mut others: HashMap<&str, usize> = HashMap::new();
    let files = support::all_files();
    for name in &files {
        match kind_of(name) {
            Some(kind) => *kinds.entry(kind).or_default() += 1,
            None => {
                *others
                    .entry(name.rsplit('.').next().unwrap_or(""))
                    .or_default() += 1
            }
        }
    }
    let expected = HashMap::from([
        (Kind::Request, 43),
        (Kind::Outcome(Version::Plain), 12),
        (Kind::Outcome(Version::Lzo), 3),
        (Kind::Outcome(Version::Pump), 28),
        (Kind::Question, 10),
        (Kind::Answer, 10),
    ]);
    assert_eq!(kinds, expected);
    // Two state files of monitors; a page of statistics; notes and depfiles beside the conversations.
    assert_eq!(others.get("bin"), Some(&2));
    assert_eq!(others.get("txt"), Some(&1));
    assert!(
        others
            .keys()
            .all(|ending| ["bin", "txt", "json", "md", "d"].contains(ending)),
        "{others:?}"
    );
}

fn bodies_of(request: Request) -> Vec<Body> {
    match request.source {
        Source::Preprocessed(body) => vec![body],
        Source::Closure(entries) | Source::Tree { entries, .. } => entries
            .into_iter()
            .filter_map(|entry| match entry.content {
                Content::File(body) => Some(body),
                Content::Link(_) | Content::Folder => None,
            })
            .collect(),
    }
}

#[test]
fn every_recorded_body_unpacks_and_packs_again() {
    let mut blocks = 0;
    for capture in captures()
        .iter()
        .filter(|capture| cut_off(&capture.name).is_none())
    {
        let bodies = match capture.kind {
            Kind::Request => bodies_of(support::request().decode_all(&capture.bytes).unwrap()),
            Kind::Outcome(version) => {
                let outcome = support::outcome(version)
                    .decode_all(&capture.bytes)
                    .unwrap();
                let Outcome {
                    stderr,
                    stdout,
                    object,
                    depfile,
                    ..
                } = outcome;
                [stderr, stdout, object]
                    .into_iter()
                    .chain(depfile)
                    .collect()
            }
            Kind::Question | Kind::Answer => Vec::new(),
        };
        for body in bodies {
            let Body::Lzo(block) = &body else { continue };
            blocks += usize::from(!block.is_empty());
            let empty = block.is_empty() || block == b"\x11\0\0";
            let content = body
                .unpack(1 << 20)
                .unwrap_or_else(|error| panic!("{}: {error}", capture.name));
            assert_eq!(content.is_empty(), empty);
            let again = Body::pack(Version::Lzo, content.clone());
            assert_eq!(again.wire().is_empty(), content.is_empty());
            assert_eq!(again.unpack(1 << 20), Ok(content));
        }
    }
    assert_eq!(blocks, 121);
}

#[test]
fn recorded_conversations_say_what_was_done() {
    let read = |name| std::fs::read(support::captures_folder().join(name)).unwrap();
    let request = support::request()
        .decode_all(&read("v1-ok.request.bin"))
        .unwrap();
    let words: Vec<_> = request
        .argv
        .iter()
        .map(|word| word.escape_ascii().to_string())
        .collect();
    assert_eq!(
        words,
        [
            "x86_64-linux-gnu-gcc",
            "-O2",
            "-c",
            "hello.c",
            "-o",
            "hello.o"
        ]
    );
    assert_eq!((request.version, &request.cwd), (Version::Plain, &None));
    let Source::Preprocessed(body) = request.source else {
        panic!("preprocessed source")
    };
    assert_eq!((body.wire().len(), body.len_unpacked_hint()), (0xa2, 0xa2));

    let outcome = support::outcome(Version::Pump)
        .decode_all(&read("v3-MD.response.bin"))
        .unwrap();
    assert!(outcome.status.success());
    let depfile = outcome.depfile.map(|body| body.unpack(1000).unwrap());
    assert_eq!(
        depfile.as_deref(),
        Some(b"inc.o: inc.c /usr/include/stdc-predef.h hdr.h\n".as_slice())
    );

    let outcome = support::outcome(Version::Lzo)
        .decode_all(&read("v2-compile-error.response.bin"))
        .unwrap();
    assert_eq!(
        (outcome.status.exit_code(), outcome.object.wire()),
        (Some(1), b"".as_slice())
    );

    let request = support::request()
        .decode_all(&read("v3-MD.request.bin"))
        .unwrap();
    let Source::Closure(entries) = request.source else {
        panic!("a closure")
    };
    assert_eq!(entries[1].name, b"/home/build/hdr.h");
    let Content::File(body) = &entries[1].content else {
        panic!("a file")
    };
    let mut block = Vec::new();
    lzo::compress(b"#define K 7\n", &mut block);
    assert_eq!(body.wire(), block);
    let Content::Link(target) = &entries[4].content else {
        panic!("a link")
    };
    assert_eq!(
        target,
        &["../".repeat(22).as_bytes(), b"usr/include"].concat()
    );
}
