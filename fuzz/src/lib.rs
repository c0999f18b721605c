//! What must hold of any bytes, one function for each fuzz target.
//!
//! The targets in `fuzz_targets` call these with bytes that libFuzzer makes up; `protocol/tests/fuzz_corpus.rs`
//! includes this very file and calls them with `corpus/`, so that every `cargo test` repeats what was once found.

use protocol::{
    Body, Content, Decoded, Entry, HelloDecoder, Limits, OpeningDecoder, Outcome, OutcomeDecoder,
    Progress, ProtocolError, RequestDecoder, Source, SystemFiles, Token, Version, closure_talk,
    include_talk::{AnswerDecoder, QuestionDecoder},
    lzo::{self, Compressor},
};

/// As much as a body may become here.
const MAX: usize = 1 << 20;

pub fn token(bytes: &[u8]) {
    match Token::decode(bytes) {
        Ok(Decoded::More) => assert!(bytes.len() < Token::LEN),
        Ok(Decoded::Done { value, used }) => {
            assert_eq!(used, Token::LEN);
            assert!(value.encode().eq_ignore_ascii_case(&bytes[..used]));
            assert_eq!(
                Token::decode(&value.encode()),
                Ok(Decoded::Done { value, used })
            );
        }
        Err(ProtocolError::NotHex { digits, .. }) => assert_eq!(digits, bytes[4..12]),
        Err(other) => panic!("{other}"),
    }
}

/// Decodes in one piece and in several, which must give the same; then what was decoded must encode to bytes that
/// decode to it.
macro_rules! decode_and_encode {
    ($bytes:expr, $new:expr) => {{
        let bytes: &[u8] = $bytes;
        let whole = $new.decode_all(bytes);
        let mut decoder = $new;
        let mut progress = Ok(Progress::More);
        let mut rest = bytes;
        let mut size = bytes.len() % 7;
        while !rest.is_empty() && progress.is_ok() {
            size = (size * 5 + 3) % 61;
            let space = decoder.space();
            assert!(!space.is_empty());
            let n = space.len().min(rest.len()).min(size + 1);
            space[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            progress = decoder.filled(n);
            assert!(decoder.held() <= (2 * bytes.len()).max(64 << 10));
        }
        let trailing = decoder.trailing() as usize;
        let pieces = decoder.finish();
        assert_eq!(pieces, whole);
        if let Ok(value) = &whole {
            let encoded = value.encode().expect("what came can be sent");
            assert!(encoded.eq_ignore_ascii_case(&bytes[..bytes.len() - trailing]));
            assert_eq!($new.decode_all(&encoded).as_ref(), Ok(value));
        }
        whole
    }};
}

pub fn request(bytes: &[u8]) {
    let Ok(request) = decode_and_encode!(bytes, RequestDecoder::new(Limits::for_daemon())) else {
        return;
    };
    match request.source {
        Source::Preprocessed(body) => unpack(body),
        Source::Closure(entries) => unpack_entries(entries),
        Source::Tree {
            system, entries, ..
        } => {
            if let Ok(bytes) = system.clone().unpack(MAX)
                && let Ok(list) = SystemFiles::read(bytes)
            {
                let mut again = SystemFiles::default();
                list.iter()
                    .for_each(|(digest, name)| again.push(name, digest));
                assert_eq!(again, list);
            }
            unpack(system);
            unpack_entries(entries);
        }
    }
}

fn unpack_entries(entries: Vec<Entry>) {
    for entry in entries {
        if let Content::File(body) = entry.content {
            unpack(body);
        }
    }
}

/// Both sides of the talk between our launcher and our include server.
pub fn closure_talk(bytes: &[u8]) {
    let limits = Limits::for_daemon();
    let _ = decode_and_encode!(bytes, closure_talk::QuestionDecoder::new(limits));
    let _ = decode_and_encode!(bytes, closure_talk::AnswerDecoder::default());
}

pub fn outcome(bytes: &[u8]) {
    // The version that these bytes would answer.
    let version = match Token::decode(bytes) {
        Ok(Decoded::Done { value, .. }) => {
            Version::from_number(value.value).unwrap_or(Version::Plain)
        }
        _ => Version::Plain,
    };
    let decoded = decode_and_encode!(bytes, OutcomeDecoder::new(version, Limits::for_launcher()));
    if let Ok(Outcome {
        stderr,
        stdout,
        object,
        depfile,
        ..
    }) = decoded
    {
        [stderr, stdout, object]
            .into_iter()
            .chain(depfile)
            .for_each(unpack);
    }
}

/// The question and the answer.  Lines that are not understood are lost, so only what was understood goes round.
pub fn hello(bytes: &[u8]) {
    macro_rules! goes_round {
        ($new:expr) => {{
            let whole = $new.decode_all(bytes);
            let mut decoder = $new;
            for byte in bytes {
                decoder.space()[0] = *byte;
                if decoder.filled(1).is_err() {
                    break;
                }
            }
            assert!(decoder.held() <= (2 * bytes.len()).max(64 << 10));
            assert_eq!(decoder.finish(), whole);
            if let Ok(value) = whole {
                let encoded = value.encode().expect("what came can be sent");
                assert_eq!($new.decode_all(&encoded), Ok(value));
            }
        }};
    }
    goes_round!(OpeningDecoder::new(Limits::for_daemon()));
    goes_round!(HelloDecoder::new(Limits::for_launcher()));
}

pub fn include_talk(bytes: &[u8]) {
    let _ = decode_and_encode!(bytes, QuestionDecoder::new(Limits::for_daemon()));
    let _ = decode_and_encode!(bytes, AnswerDecoder::new(Limits::for_launcher()));
}

fn unpack(body: Body) {
    match body {
        Body::Lzo(block) if !block.is_empty() => lzo_decode(&block),
        other => assert!(other.clone().unpack(MAX).is_ok() || other.wire().len() > MAX),
    }
}

pub fn lzo_decode(block: &[u8]) {
    let mut content = Vec::new();
    if lzo::decompress(block, &mut content, MAX).is_ok() {
        assert!(content.len() <= MAX);
        assert_eq!(
            lzo::decompress(block, &mut Vec::new(), content.len()),
            Ok(())
        );
        if let Some(max) = content.len().checked_sub(1) {
            assert_eq!(
                lzo::decompress(block, &mut Vec::new(), max),
                Err(lzo::Error::TooLarge { max })
            );
        }
        lzo_round_trip(&content);
    } else {
        assert!(content.is_empty());
    }
}

pub fn lzo_round_trip(content: &[u8]) {
    let (mut block, mut again, mut back) = (Vec::new(), Vec::new(), Vec::new());
    let mut compressor = Compressor::new();
    compressor.compress(content, &mut block);
    compressor.compress(&content[content.len() / 2..], &mut again);
    compressor.compress(content, &mut again);
    assert!(block == again, "the same content gives the same block");
    assert!(block.len() <= content.len() + content.len() / 64 + 19);
    assert_eq!(lzo::decompress(&block, &mut back, content.len()), Ok(()));
    assert!(back == content);
}
