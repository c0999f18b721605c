//! What is refused although its tokens are in order, and how a decoder stands afterwards.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use protocol::{
    Body, Content, Entry, Outcome, ProtocolError, Request, Source, Token, Version, WaitStatus, lzo,
    request, token::tag,
};
use support::decode;

/// Bytes of `DIST [CDIR] ARGC ARGV*` of a good command.
fn head(version: Version) -> Vec<u8> {
    let cwd = (version == Version::Pump).then_some(b"/w".as_slice());
    request::encode_head(version, cwd, [b"gcc".as_slice(), b"-c", b"a.c"].into_iter()).unwrap()
}

fn field(tag: [u8; 4], body: &[u8]) -> Vec<u8> {
    [
        &Token {
            tag,
            value: body.len() as u32,
        }
        .encode(),
        body,
    ]
    .concat()
}

#[test]
fn words_and_names_hold_no_nul() {
    let start = |version: u32| {
        Token {
            tag: tag::DIST,
            value: version,
        }
        .encode()
        .to_vec()
    };
    let one_word = |word| [field(tag::ARGV, word), field(tag::DOTI, b"")].concat();
    let argc = Token {
        tag: tag::ARGC,
        value: 1,
    }
    .encode();
    let nfil = Token {
        tag: tag::NFIL,
        value: 1,
    }
    .encode();
    let cases = [
        (
            tag::ARGV,
            [&start(1)[..], &argc, &one_word(b"gcc\0x")].concat(),
        ),
        (tag::CDIR, [start(3), field(tag::CDIR, b"/w\0/..")].concat()),
        (
            tag::NAME,
            [
                &head(Version::Pump)[..],
                &nfil,
                &field(tag::NAME, b"/w/a\0.c"),
            ]
            .concat(),
        ),
        (
            tag::LINK,
            [
                &head(Version::Pump)[..],
                &nfil,
                &field(tag::NAME, b"/l"),
                &field(tag::LINK, b"\0"),
            ]
            .concat(),
        ),
    ];
    for (tag, bytes) in cases {
        assert_eq!(
            decode(support::request(), &bytes),
            Err(ProtocolError::NulByte { tag })
        );
    }
    let good = [&start(1)[..], &argc, &one_word(b"\xff\xfe")].concat();
    assert_eq!(
        decode(support::request(), &good).map(|(request, _)| request.argv),
        Ok(vec![b"\xff\xfe".to_vec()])
    );
    let words = [b"gcc".as_slice(), b"a\0"];
    let refused = request::encode_head(Version::Plain, None, words.into_iter());
    assert_eq!(refused, Err(ProtocolError::NulByte { tag: tag::ARGV }));
}

#[test]
fn a_request_without_words_or_with_a_strange_version_is_refused() {
    let no_words = b"DIST00000001ARGC00000000DOTI00000000";
    assert_eq!(
        decode(support::request(), no_words),
        Err(ProtocolError::NoCommand)
    );
    for version in [0, 4, 0x484c_4f31, u32::MAX] {
        let bytes = Token {
            tag: tag::DIST,
            value: version,
        }
        .encode();
        assert_eq!(
            decode(support::request(), &bytes),
            Err(ProtocolError::UnknownVersion(version))
        );
    }
}

#[test]
fn an_answer_in_another_version_or_with_an_object_of_a_failure_is_refused() {
    let answer = b"DONE00000002STAT00000000SERR00000000SOUT00000000DOTO00000000";
    let mismatch = ProtocolError::VersionMismatch {
        asked: Version::Plain,
        answered: 2,
    };
    assert_eq!(
        decode(support::outcome(Version::Plain), answer),
        Err(mismatch)
    );
    let answer = b"DONE00000002STAT00000100SERR00000000SOUT00000000DOTO00000001x";
    assert!(matches!(
        decode(support::outcome(Version::Lzo), answer),
        Err(ProtocolError::ObjectOfFailure { len: 1, .. })
    ));
}

#[test]
fn an_error_stays() {
    let mut decoder = support::request();
    let error = support::feed(&mut decoder, b"DIST00000009").unwrap_err();
    assert_eq!(
        support::feed(&mut decoder, &head(Version::Plain)),
        Err(error.clone())
    );
    assert_eq!(decoder.eof(), error);
    assert_eq!(decoder.finish(), Err(error));
}

#[test]
fn a_decoder_tells_how_far_it_came() {
    let mut decoder = support::request();
    let bytes = head(Version::Lzo);
    support::feed(&mut decoder, &bytes[..bytes.len() - 1]).unwrap();
    assert!(decoder.head().is_none());
    support::feed(&mut decoder, &bytes[bytes.len() - 1..]).unwrap();
    assert_eq!(
        decoder.head().map(|head| (head.version, head.argv.len())),
        Some((Version::Lzo, 3))
    );

    let mut decoder = support::outcome(Version::Plain);
    assert!(!decoder.started());
    support::feed(&mut decoder, b"D").unwrap();
    assert!(decoder.started());
    assert_eq!(decoder.received(), 1);
}

#[test]
#[should_panic(expected = "more bytes than there was space for")]
fn more_than_the_space_is_the_callers_mistake() {
    let mut decoder = support::request();
    let space = decoder.space().len();
    let _ = decoder.filled(space + 1);
}

#[test]
fn a_refused_block_leaves_nothing_behind() {
    let mut out = b"something".to_vec();
    assert_eq!(
        lzo::decompress(b"\x11\0", &mut out, 100),
        Err(lzo::Error::Truncated)
    );
    assert!(out.is_empty());
    assert_eq!(
        lzo::decompress(b"", &mut out, 100),
        Err(lzo::Error::Truncated)
    );
    assert_eq!(
        lzo::decompress(b"\x11\0\0x", &mut out, 100),
        Err(lzo::Error::TrailingData)
    );
    assert_eq!(
        lzo::decompress(b"\x15AAAA\x20\x10\xff\xff\x11\0\0", &mut out, 100),
        Err(lzo::Error::BadDistance)
    );
}

#[test]
fn what_does_not_belong_to_a_version_cannot_be_sent() {
    let refused = |request: &Request| matches!(request.encode(), Err(ProtocolError::Unsendable(_)));
    let plain = Request {
        version: Version::Plain,
        cwd: None,
        argv: vec![b"gcc".to_vec()],
        source: Source::Preprocessed(Body::Plain(b"int x;".to_vec())),
    };
    let closure = Source::Closure(vec![Entry {
        name: b"/a.c".to_vec(),
        content: Content::File(Body::Lzo(Vec::new())),
    }]);
    let pump = Request {
        version: Version::Pump,
        cwd: Some(b"/".to_vec()),
        source: closure.clone(),
        ..plain.clone()
    };
    assert!(plain.encode().is_ok() && pump.encode().is_ok());
    assert!(refused(&Request {
        version: Version::Lzo,
        ..plain.clone()
    }));
    assert!(refused(&Request {
        cwd: Some(b"/".to_vec()),
        ..plain.clone()
    }));
    assert!(refused(&Request {
        source: closure,
        ..plain.clone()
    }));
    assert!(refused(&Request {
        cwd: None,
        ..pump.clone()
    }));
    assert!(refused(&Request {
        source: plain.source.clone(),
        ..pump.clone()
    }));
    // Bodies of the right form, but in the wrong place.
    let preprocessed = Source::Preprocessed(Body::Lzo(Vec::new()));
    assert!(refused(&Request {
        source: preprocessed,
        ..pump.clone()
    }));
    assert!(refused(&Request {
        version: Version::Lzo,
        cwd: None,
        ..pump.clone()
    }));
    let folder = vec![Entry {
        name: b"/d".to_vec(),
        content: Content::Folder,
    }];
    assert!(refused(&Request {
        source: Source::Closure(folder.clone()),
        ..pump.clone()
    }));
    let tree = Request {
        version: Version::Tree,
        source: Source::Tree {
            environment: b"LC_ALL=C\0".to_vec(),
            system: Body::Lzo(Vec::new()),
            entries: folder,
        },
        ..pump.clone()
    };
    assert!(tree.encode().is_ok());
    assert!(refused(&Request {
        version: Version::Pump,
        ..tree.clone()
    }));
    assert!(refused(&Request {
        source: pump.source,
        ..tree
    }));
    let no_words = Request {
        argv: Vec::new(),
        ..plain
    };
    assert_eq!(no_words.encode(), Err(ProtocolError::NoCommand));
}

#[test]
fn an_outcome_that_contradicts_itself_cannot_be_sent() {
    let refused = |outcome: &Outcome| matches!(outcome.encode(), Err(ProtocolError::Unsendable(_)));
    let good = |version| Outcome {
        version,
        status: WaitStatus::SUCCESS,
        stderr: Body::empty(version),
        stdout: Body::empty(version),
        object: Body::pack(version, b"object".to_vec()),
        depfile: version
            .has_closure()
            .then(|| Body::pack(version, b"a.o: a.c\n".to_vec())),
    };
    for version in Version::ALL {
        let good = good(version);
        assert!(good.encode().is_ok());
        let failed = Outcome {
            status: WaitStatus::exited(1),
            ..good.clone()
        };
        assert!(refused(&Outcome {
            depfile: None,
            ..failed.clone()
        }));
        assert!(refused(&Outcome {
            object: Body::empty(version),
            depfile: Some(Body::empty(version)),
            ..failed
        }));
        let contrary = match good.depfile {
            Some(_) => None,
            None => Some(Body::empty(version)),
        };
        assert!(refused(&Outcome {
            depfile: contrary,
            ..good.clone()
        }));
        let other = if version == Version::Plain {
            Version::Lzo
        } else {
            Version::Plain
        };
        assert!(refused(&Outcome {
            stdout: Body::empty(other),
            ..good
        }));
    }
}
