//! What must hold of any bytes that reach the handshake, the records and the key files.
//!
//! A file of its own, since `protocol`'s tests include `lib.rs` and know no keys; `keys/tests/fuzz_corpus.rs` includes this one
//! and calls it with `corpus/keyed`.  Handshakes are never the same twice, so that bytes alone cannot be a good record: here
//! they say what is sealed, and what somebody on the line does to it.

use std::sync::OnceLock;

use keys::{
    ANSWER_LEN, ClientKey, DaemonKeys, Initiator, Label, OPENING_LEN, Opener, OpeningReader,
    RecordError, Session,
};

/// A daemon's keys and one of its clients'.
fn keys() -> &'static (DaemonKeys, ClientKey) {
    static KEYS: OnceLock<(DaemonKeys, ClientKey)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let keys = DaemonKeys::generate().expect("there is chance");
        let label = Label::new("fuzz").expect("a label");
        let client = ClientKey::generate(label, &keys).expect("there is chance");
        let text = keys.to_text().to_string() + &DaemonKeys::line_for(&client);
        let keys = DaemonKeys::parse(text.as_bytes()).expect("what we wrote");
        (keys, client)
    })
}

pub fn keyed(bytes: &[u8]) {
    files(bytes);
    opening(bytes);
    answer(bytes);
    // To a daemon that waits for the first record: anything.
    let (_, mut there) = pair();
    let (got, end) = open(&mut there.opener, bytes, 64);
    assert!(got.is_empty() && end.is_err() && !there.opener.proven());
    // What a good client says, and what the line makes of it.
    let (mut here, mut there) = pair();
    let (text, orders) = bytes.split_at(bytes.len() - bytes.len() / 4);
    let (mut line, mut sent) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some((size, after)) = rest.split_first() {
        let (part, after) = after.split_at(after.len().min(usize::from(*size) * 3));
        here.sealer.seal(part, &mut line).expect("few records");
        sent.extend_from_slice(part);
        rest = after;
    }
    here.sealer.end(&mut line).expect("few records");
    let changed = meddle(&line, orders);
    let (got, end) = open(&mut there.opener, &changed, 1 + text.len() % 97);
    assert!(sent.starts_with(&got));
    match end {
        Ok(()) => assert!(got == sent && changed.starts_with(&line)),
        Err(_) => assert!(!changed.starts_with(&line)),
    }
}

/// Each three bytes of `orders`: where, and what.
fn meddle(line: &[u8], orders: &[u8]) -> Vec<u8> {
    let mut line = line.to_vec();
    for order in orders.as_chunks::<3>().0 {
        if line.is_empty() {
            break;
        }
        let at = (usize::from(order[0]) << 8 | usize::from(order[1])) % line.len();
        match order[2] % 8 {
            0 => line.truncate(at),
            1 => drop(line.remove(at)),
            2 => line.insert(at, order[2]),
            3 => line.extend_from_within(at..),
            4 => line.rotate_left(at),
            bit => line[at] ^= 1 << bit,
        }
    }
    line
}

fn pair() -> (Session, Session) {
    let (keys, client) = keys();
    let (initiator, opening) = Initiator::new(client).expect("there is chance");
    let (there, answer, label) = keys.answer(&opening).expect("a good opening");
    assert_eq!(*label, client.label);
    (initiator.finish(&answer).expect("a good answer"), there)
}

fn open(opener: &mut Opener, line: &[u8], size: usize) -> (Vec<u8>, Result<(), RecordError>) {
    let mut got = Vec::new();
    let mut out = [0; 61];
    for piece in line.chunks(size) {
        opener.space()[..piece.len()].copy_from_slice(piece);
        opener.filled(piece.len());
        loop {
            match opener.take(&mut out) {
                Ok(0) => break,
                Ok(count) => got.extend_from_slice(&out[..count]),
                Err(error) => return (got, Err(error)),
            }
        }
    }
    let end = opener.eof();
    assert_eq!(end.is_ok(), opener.ended());
    (got, end)
}

fn opening(bytes: &[u8]) {
    let mut reader = OpeningReader::default();
    for byte in bytes.iter().take(OPENING_LEN) {
        reader.space()[0] = *byte;
        match reader.filled(1) {
            Ok(None) => {}
            Ok(Some(whole)) => assert!(keys().0.answer(whole).is_err()),
            Err(_) => break,
        }
    }
}

fn answer(bytes: &[u8]) {
    if let Some(answer) = bytes.first_chunk::<ANSWER_LEN>() {
        let (initiator, _) = Initiator::new(&keys().1).expect("there is chance");
        assert!(initiator.finish(answer).is_err());
    }
}

fn files(bytes: &[u8]) {
    if let Ok(key) = ClientKey::parse(bytes) {
        let again = ClientKey::parse(key.to_text().as_bytes()).expect("what we wrote");
        assert_eq!((&again.label, again.daemon), (&key.label, key.daemon));
    }
    if let Ok(keys) = DaemonKeys::parse(bytes) {
        let again = DaemonKeys::parse(keys.to_text().as_bytes()).expect("what we wrote");
        assert_eq!((again.len(), again.public()), (keys.len(), keys.public()));
    }
}
