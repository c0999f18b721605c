//! Every limit holds, and memory follows what came and not what was announced.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use protocol::{
    Limit, Limits, OutcomeDecoder, Progress, ProtocolError, RequestDecoder, Source, Token, Version,
    WaitStatus,
    include_talk::{AnswerDecoder, QuestionDecoder},
    limits, lzo,
    token::tag,
};
use support::{Decoder, decode};

fn head(tag: [u8; 4], value: u32) -> Vec<u8> {
    Token { tag, value }.encode().to_vec()
}

fn field(tag: [u8; 4], body: &[u8]) -> Vec<u8> {
    [head(tag, body.len() as u32), body.to_vec()].concat()
}

/// Two words of ten bytes, a source of ten; then the same as a closure of two files of ten with names of ten; then as a
/// tree job with a list of ten bytes.
fn requests() -> [Vec<u8>; 3] {
    let word = b"0123456789";
    let words = [
        head(tag::ARGC, 2),
        field(tag::ARGV, word),
        field(tag::ARGV, word),
    ]
    .concat();
    let plain = [head(tag::DIST, 1), words.clone(), field(tag::DOTI, word)].concat();
    let file = [field(tag::NAME, word), field(tag::FILE, word)].concat();
    let link = [field(tag::NAME, word), field(tag::LINK, word)].concat();
    let pump = [
        head(tag::DIST, 3),
        field(tag::CDIR, word),
        words.clone(),
        head(tag::NFIL, 2),
        file.clone(),
        link.clone(),
    ]
    .concat();
    let tree = [
        head(tag::DIST, Version::Tree.number()),
        field(tag::CDIR, word),
        words,
        field(tag::ENVI, word),
        field(tag::SYSD, word),
        head(tag::NFIL, 2),
        file,
        link,
    ]
    .concat();
    [plain, pump, tree]
}

/// Ten bytes in each body.
fn outcome() -> Vec<u8> {
    let bodies = [tag::SERR, tag::SOUT, tag::DOTO, tag::DOTD].map(|tag| field(tag, b"0123456789"));
    [
        head(tag::DONE, 3),
        head(tag::STAT, WaitStatus::SUCCESS.0),
        bodies.concat(),
    ]
    .concat()
}

/// Limits with one set to `value`.
fn only(limit: Limit, value: u32) -> Limits {
    let mut limits = Limits::for_daemon();
    match limit {
        Limit::Args => limits.max_args = value,
        Limit::ArgBytes => limits.max_arg_bytes = value,
        Limit::TotalArgBytes => limits.max_total_arg_bytes = value.into(),
        Limit::Source => limits.max_source = value,
        Limit::Files => limits.max_files = value,
        Limit::Name => limits.max_name = value,
        Limit::Closure => limits.max_closure = value.into(),
        Limit::Object => limits.max_object = value,
        Limit::Output => limits.max_output = value,
        Limit::Depfile => limits.max_depfile = value,
        Limit::SystemFiles => limits.max_system_files = value,
        Limit::Hello => limits.max_hello = value,
    }
    limits
}

/// The least value that lets everything above pass.
fn needed(limit: Limit) -> u32 {
    match limit {
        Limit::Args | Limit::Files => 2,
        Limit::TotalArgBytes => 20,
        Limit::Closure => 40,
        _ => 10,
    }
}

#[test]
fn each_limit_takes_as_much_as_it_says_and_no_more() {
    let all = [
        Limit::Args,
        Limit::ArgBytes,
        Limit::TotalArgBytes,
        Limit::Source,
        Limit::Files,
        Limit::Name,
        Limit::Closure,
        Limit::SystemFiles,
        Limit::Object,
        Limit::Output,
        Limit::Depfile,
    ];
    for limit in all {
        let allowed = needed(limit);
        let over = ProtocolError::OverLimit {
            limit,
            allowed: u64::from(allowed - 1),
            came: u64::from(allowed),
        };
        let verdicts = |limits: Limits| {
            let [plain, pump, tree] =
                requests().map(|bytes| decode(RequestDecoder::new(limits), &bytes).err());
            let outcome = decode(OutcomeDecoder::new(Version::Pump, limits), &outcome()).err();
            [plain, pump, tree, outcome]
        };
        assert_eq!(
            verdicts(only(limit, allowed)),
            [None, None, None, None],
            "{limit:?}"
        );
        let refused = verdicts(only(limit, allowed - 1));
        assert!(
            refused.contains(&Some(over.clone())),
            "{limit:?}: {refused:?}"
        );
        assert!(
            refused.iter().flatten().all(|error| *error == over),
            "{limit:?}: {refused:?}"
        );
        assert!(over.to_string().contains(&limit.to_string()));
    }
}

/// Each body in turn is one byte longer than its limit.
#[test]
fn each_body_has_its_own_check() {
    let limit_of = |tag| match tag {
        tag::ARGV | tag::ENVI => Limit::ArgBytes,
        tag::CDIR | tag::NAME | tag::LINK => Limit::Name,
        tag::DOTI | tag::FILE => Limit::Source,
        tag::SYSD => Limit::SystemFiles,
        tag::SERR | tag::SOUT => Limit::Output,
        tag::DOTO => Limit::Object,
        tag::DOTD => Limit::Depfile,
        _ => panic!("{} has no body", tag.escape_ascii()),
    };
    let mut bodies = 0;
    let ten = field(*b"    ", b"0123456789")[4..].to_vec();
    let eleven = field(*b"    ", b"0123456789!")[4..].to_vec();
    for conversation in requests().into_iter().chain([outcome()]) {
        for at in 4..conversation.len() - ten.len() + 1 {
            if conversation[at..at + ten.len()] != ten {
                continue;
            }
            bodies += 1;
            let tag: [u8; 4] = conversation[at - 4..at].try_into().expect("four bytes");
            let longer = [
                &conversation[..at],
                &eleven,
                &conversation[at + ten.len()..],
            ]
            .concat();
            let limit = limit_of(tag);
            let verdict = |limits| match conversation.starts_with(b"DONE") {
                true => decode(OutcomeDecoder::new(Version::Pump, limits), &longer).err(),
                false => decode(RequestDecoder::new(limits), &longer).err(),
            };
            assert_eq!(verdict(only(limit, 11)), None);
            let over = ProtocolError::OverLimit {
                limit,
                allowed: 10,
                came: 11,
            };
            assert_eq!(
                verdict(only(limit, 10)),
                Some(over),
                "{}",
                tag.escape_ascii()
            );
        }
    }
    assert_eq!(bodies, 3 + 7 + 9 + 4);
}

#[test]
fn include_talk_has_limits_too() {
    let word = b"0123456789";
    let words = [
        head(tag::ARGC, 2),
        field(tag::ARGV, word),
        field(tag::ARGV, word),
    ]
    .concat();
    let question = [field(tag::CDIR, word), words.clone()].concat();
    for limit in [
        Limit::Name,
        Limit::Args,
        Limit::ArgBytes,
        Limit::TotalArgBytes,
    ] {
        let allowed = needed(limit);
        let ask = |value| decode(QuestionDecoder::new(only(limit, value)), &question);
        assert!(ask(allowed).is_ok());
        assert!(
            matches!(ask(allowed - 1), Err(ProtocolError::OverLimit { limit: came, .. }) if came == limit)
        );
    }
    for (field, allowed) in [(Limit::Files, 2), (Limit::Name, 10), (Limit::Closure, 20)] {
        let ask = |value| decode(AnswerDecoder::new(only(field, value)), &words);
        assert!(ask(allowed).is_ok());
        assert!(matches!(
            ask(allowed - 1),
            Err(ProtocolError::OverLimit { .. })
        ));
    }
}

#[test]
fn unpacked_length_is_limited_by_ratio_and_in_all() {
    let limits = Limits::for_daemon();
    assert_eq!(limits.unpacked(0), limits::FREE_UNPACKED);
    assert_eq!(
        limits.unpacked(1 << 20),
        limits::FREE_UNPACKED + (limits::MAX_RATIO << 20)
    );
    assert_eq!(limits.unpacked(usize::MAX), limits::MAX_UNPACKED);
    let launcher = Limits::for_launcher();
    assert_eq!(
        launcher.unpacked(1 << 20),
        limits::FREE_UNPACKED + (limits::MAX_OBJECT_RATIO << 20)
    );
    assert_eq!(launcher.unpacked(usize::MAX), (1 << 31) - 1);
    assert_eq!(launcher.max_object, (1 << 31) - 1);
    let zeros = vec![0; 1 << 20];
    let mut block = Vec::new();
    lzo::compress(&zeros, &mut block);
    let mut out = Vec::new();
    assert_eq!(lzo::decompress(&block, &mut out, zeros.len()), Ok(()));
    assert!(out == zeros);
    let max = zeros.len() - 1;
    assert_eq!(
        lzo::decompress(&block, &mut out, max),
        Err(lzo::Error::TooLarge { max })
    );
}

/// Announces 2 GiB, sends a little, and asks what is held for it.
fn announce<D: Decoder>(mut decoder: D, before: &[u8], tag: [u8; 4]) {
    let announced = 1 << 31;
    support::feed(&mut decoder, &[before, &head(tag, announced)].concat()).unwrap();
    assert!(
        decoder.held() <= 64 << 10,
        "{} bytes for nothing",
        decoder.held()
    );
    assert!(decoder.space().len() <= 64 << 10);
    let mut sent = 0;
    for piece in [1, 10, 100_000, 3_000_000] {
        assert_eq!(
            support::feed(&mut decoder, &vec![b'x'; piece]),
            Ok(Progress::More)
        );
        sent += piece;
        decoder.space();
        assert!(decoder.held() > sent);
        assert!(
            decoder.held() <= (2 * sent).max(64 << 10),
            "{} bytes for {sent}",
            decoder.held()
        );
    }
    let expected = protocol::During::Body {
        tag,
        got: sent,
        len: announced as usize,
    };
    assert_eq!(decoder.eof(), ProtocolError::Truncated { during: expected });
}

#[test]
fn an_announced_length_costs_nothing() {
    let without = Limits {
        max_source: u32::MAX,
        max_arg_bytes: u32::MAX,
        max_total_arg_bytes: u64::MAX,
        max_output: u32::MAX,
        max_object: u32::MAX,
        ..Limits::for_daemon()
    };
    let words = [
        head(tag::DIST, 2),
        head(tag::ARGC, 1),
        field(tag::ARGV, b"gcc"),
    ]
    .concat();
    announce(RequestDecoder::new(without), &words, tag::DOTI);
    announce(RequestDecoder::new(without), &words[..24], tag::ARGV);
    let status = [head(tag::DONE, 2), head(tag::STAT, 0)].concat();
    announce(
        OutcomeDecoder::new(Version::Lzo, without),
        &status,
        tag::SERR,
    );
    let outputs = [status, head(tag::SERR, 0), head(tag::SOUT, 0)].concat();
    announce(
        OutcomeDecoder::new(Version::Lzo, without),
        &outputs,
        tag::DOTO,
    );
}

#[test]
fn a_large_body_takes_few_reads() {
    let len = 20 << 20;
    let before = [
        head(tag::DIST, 1),
        head(tag::ARGC, 1),
        field(tag::ARGV, b"gcc"),
        head(tag::DOTI, len),
    ];
    let mut decoder = support::request();
    assert_eq!(
        support::feed(&mut decoder, &before.concat()),
        Ok(Progress::More)
    );
    let mut reads = 0;
    loop {
        let space = decoder.space().len();
        reads += 1;
        if decoder.filled(space) == Ok(Progress::Done) {
            break;
        }
    }
    assert!(reads <= 10, "{reads} reads");
    let body = match decoder.finish().unwrap().source {
        Source::Preprocessed(body) => body,
        Source::Closure(_) | Source::Tree { .. } => panic!("version 1 has one source"),
    };
    assert_eq!(body.wire().len(), len as usize);
}

#[test]
fn a_small_block_costs_little_whatever_is_allowed() {
    let mut out = Vec::new();
    lzo::decompress(b"\x1d#define K 7\n\x11\0\0", &mut out, usize::MAX).unwrap();
    assert_eq!(out, b"#define K 7\n");
    assert!(out.capacity() < 100);
    // A run of literals that announces 2 MB and brings none of them.
    let run = [vec![0; 8000], vec![1, b'A']].concat();
    assert_eq!(
        lzo::decompress(&run, &mut out, usize::MAX),
        Err(lzo::Error::Truncated)
    );
    // A match that goes on for 2 MB must be written, but no more than that.
    let long = [
        vec![0x12, 0, 0x20],
        vec![0; 8000],
        vec![1, 0, 0, 0x11, 0, 0],
    ]
    .concat();
    lzo::decompress(&long, &mut out, usize::MAX).unwrap();
    assert_eq!(out.len(), 1 + 33 + 8000 * 255 + 1);
    assert!(out.capacity() < 2 * out.len());
}
