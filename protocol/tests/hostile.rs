//! Peers that are broken or mean: every head damaged in every way, in both roles.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use protocol::{During, ProtocolError, Token, Version, token::tag};
use support::{Capture, Decoder, Kind, captures, decode};

const TAGS: [[u8; 4]; 15] = [
    tag::DIST,
    tag::CDIR,
    tag::ARGC,
    tag::ARGV,
    tag::DOTI,
    tag::NFIL,
    tag::NAME,
    tag::FILE,
    tag::LINK,
    tag::DONE,
    tag::STAT,
    tag::SERR,
    tag::SOUT,
    tag::DOTO,
    tag::DOTD,
];

/// A head in a conversation, with its body if it has one.
struct Field {
    at: usize,
    tag: [u8; 4],
    body: Option<usize>,
}

impl Field {
    fn body_at(&self) -> usize {
        self.at + Token::LEN
    }
    fn end(&self) -> usize {
        self.body_at() + self.body.unwrap_or(0)
    }
}

/// The fields of good bytes, by a reader that is simpler than the one under test.
fn fields(bytes: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let tag: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
        let digits = std::str::from_utf8(&bytes[at + 4..at + 12]).unwrap();
        let value = usize::from_str_radix(digits, 16).unwrap();
        let counts = [tag::DIST, tag::ARGC, tag::NFIL, tag::DONE, tag::STAT].contains(&tag);
        fields.push(Field {
            at,
            tag,
            body: (!counts).then_some(value),
        });
        at = fields.last().unwrap().end();
    }
    fields
}

/// Recordings of each kind and version that are whole, a few of each.
fn samples() -> Vec<Capture> {
    let names = [
        "v1-ok.request.bin",
        "v2-warning.request.bin",
        "v3-MD.request.bin",
        "v3-links.request.bin",
        "v1-warning.response.bin",
        "v1-compile-error.response.bin",
        "v2-ok.response.bin",
        "v3-MD.response.bin",
        "v3-compile-error.response.bin",
        "include-p2-master.request.bin",
        "include-p2-master.reply.bin",
        "include-p4-master.reply.bin",
    ];
    let samples: Vec<_> = captures()
        .into_iter()
        .filter(|capture| names.contains(&capture.name.as_str()))
        .collect();
    assert_eq!(samples.len(), names.len());
    samples
}

fn with(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

fn wrong_tags<D: Decoder>(new: impl Fn() -> D, capture: &Capture) {
    let strange = [
        *b"XXXX",
        *b"\0\0\0\0",
        *b"dist",
        *b"GET ",
        *b"\x16\x03\x01\x02",
        *b"TLEN",
        *b"DOTS",
    ];
    for field in fields(&capture.bytes) {
        for tag in TAGS.into_iter().chain(strange) {
            let either = [tag::FILE, tag::LINK];
            if tag == field.tag || either.contains(&tag) && either.contains(&field.tag) {
                continue;
            }
            let damaged = with(&capture.bytes, field.at, &tag);
            match decode(new(), &damaged) {
                Err(ProtocolError::Unexpected { came, expected }) => {
                    assert_eq!(came, tag);
                    assert!(
                        expected.as_bytes().windows(4).any(|word| word == field.tag),
                        "{expected}"
                    );
                }
                other => panic!("{} {}: {other:?}", capture.name, tag.escape_ascii()),
            }
            // Seen with the fourth byte, though the peer sends no more.
            assert!(matches!(
                decode(new(), &damaged[..field.at + 4]),
                Err(ProtocolError::Unexpected { came, .. }) if came == tag
            ));
        }
    }
}

fn wrong_digits<D: Decoder>(new: impl Fn() -> D, capture: &Capture) {
    for Field { at, tag, .. } in fields(&capture.bytes) {
        for digits in [
            b"zzzzzzzz",
            b"-fffffff",
            b"+0000001",
            b"       1",
            b"0x000001",
            b"0000001\0",
            b"\xff\xff\xff\xff0000",
        ] {
            let damaged = with(&capture.bytes, at + 4, digits);
            assert_eq!(
                decode(new(), &damaged),
                Err(ProtocolError::NotHex {
                    tag,
                    digits: *digits
                })
            );
        }
    }
}

fn cut_off<D: Decoder>(new: impl Fn() -> D, capture: &Capture) {
    for field in fields(&capture.bytes) {
        for end in field.at..field.end() {
            let Err(ProtocolError::Truncated { during }) = decode(new(), &capture.bytes[..end])
            else {
                panic!("{} cut at {end}", capture.name);
            };
            match during {
                During::Head { expected, got } => {
                    assert!(
                        expected.as_bytes().windows(4).any(|word| word == field.tag),
                        "{expected}"
                    );
                    assert_eq!(got, end - field.at);
                }
                During::Body { tag, got, len } => {
                    assert_eq!((tag, Some(len)), (field.tag, field.body));
                    assert_eq!(got, end - field.body_at());
                }
                During::End => panic!("{} cut at {end} is not whole", capture.name),
            }
        }
    }
}

fn wrong_numbers<D: Decoder>(new: impl Fn() -> D, capture: &Capture) {
    for field in fields(&capture.bytes) {
        let huge = with(&capture.bytes, field.at + 4, b"ffffffff");
        let error = match decode(new(), &huge) {
            Err(error) => error,
            // A status is any number, but then no object may follow.
            Ok(_) if field.tag == tag::STAT => continue,
            Ok(_) => panic!("{} {}", capture.name, field.tag.escape_ascii()),
        };
        match field.tag {
            tag::DIST => assert_eq!(error, ProtocolError::UnknownVersion(u32::MAX)),
            tag::DONE => assert!(matches!(
                error,
                ProtocolError::VersionMismatch {
                    answered: u32::MAX,
                    ..
                }
            )),
            tag::STAT => assert!(matches!(error, ProtocolError::ObjectOfFailure { .. })),
            tag::DOTO if capture.name.contains("error") => {
                assert!(matches!(
                    error,
                    ProtocolError::ObjectOfFailure { len: u32::MAX, .. }
                ));
            }
            _ => assert!(
                matches!(
                    error,
                    ProtocolError::OverLimit {
                        came: 0xffff_ffff,
                        ..
                    }
                ),
                "{error}"
            ),
        }
        // One too many: what follows no longer fits.
        if let Some(len) = field.body {
            let longer = with(
                &capture.bytes,
                field.at,
                &Token {
                    tag: field.tag,
                    value: len as u32 + 1,
                }
                .encode(),
            );
            assert!(
                decode(new(), &longer).is_err(),
                "{} {}",
                capture.name,
                field.tag.escape_ascii()
            );
        }
    }
}

/// Each field left out, and each said twice.
fn wrong_order<D: Decoder>(new: impl Fn() -> D, capture: &Capture) {
    let bytes = &capture.bytes;
    for field in fields(bytes) {
        let without = [&bytes[..field.at], &bytes[field.end()..]].concat();
        assert!(
            decode(new(), &without).is_err(),
            "{} without {}",
            capture.name,
            field.tag.escape_ascii()
        );
        let twice = [&bytes[..field.end()], &bytes[field.at..]].concat();
        match decode(new(), &twice) {
            Err(_) => {}
            Ok((_, trailing)) => assert!(
                trailing > 0,
                "{} twice {}",
                capture.name,
                field.tag.escape_ascii()
            ),
        }
    }
}

#[test]
fn every_head_damaged_in_every_way() {
    for capture in samples() {
        for_kind!(capture.kind, wrong_tags, &capture);
        for_kind!(capture.kind, wrong_digits, &capture);
        for_kind!(capture.kind, cut_off, &capture);
        for_kind!(capture.kind, wrong_numbers, &capture);
        for_kind!(capture.kind, wrong_order, &capture);
    }
}

fn count_trailing<D: Decoder>(new: impl Fn() -> D, capture: &Capture) {
    let whole = decode(new(), &capture.bytes).unwrap().0;
    for extra in [1, 12, 5000, 200_000] {
        let longer = [&capture.bytes[..], &vec![b'X'; extra]].concat();
        assert!(
            decode(new(), &longer) == Ok((whole.clone(), extra as u64)),
            "{} {extra}",
            capture.name
        );
    }
}

#[test]
fn bytes_after_the_end_are_counted_and_change_nothing() {
    for capture in samples() {
        for_kind!(capture.kind, count_trailing, &capture);
    }
}

#[test]
fn kinds_cover_both_roles() {
    let kinds: Vec<Kind> = samples().iter().map(|capture| capture.kind).collect();
    for kind in [Kind::Request, Kind::Question, Kind::Answer]
        .into_iter()
        .chain([Version::Plain, Version::Lzo, Version::Pump].map(Kind::Outcome))
    {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
}
