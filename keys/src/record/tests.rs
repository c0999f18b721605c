use super::*;
use crate::handshake::Initiator;
use crate::secret::{ClientKey, DaemonKeys, Label};
use proptest::prelude::*;

/// Two ends that know each other.
fn pair() -> (Session, Session) {
    let mut keys = DaemonKeys::generate().unwrap();
    let key = ClientKey::generate(Label::new("a").unwrap(), &keys).unwrap();
    assert!(keys.add(key.label.clone(), key.secret.clone()));
    let (initiator, opening) = Initiator::new(&key).unwrap();
    let (there, answer, _) = keys.answer(&opening).unwrap();
    (initiator.finish(&answer).unwrap(), there)
}

/// All that `opener` makes of `line`, given in pieces of `size`, and how that ended.
fn open(opener: &mut Opener, line: &[u8], size: usize) -> (Vec<u8>, Result<(), RecordError>) {
    let mut got = Vec::new();
    let mut out = [0; 777];
    for piece in line.chunks(size) {
        let mut rest = piece;
        while !rest.is_empty() {
            let space = opener.space();
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            opener.filled(count);
            rest = &rest[count..];
            loop {
                match opener.take(&mut out) {
                    Ok(0) => break,
                    Ok(count) => got.extend_from_slice(&out[..count]),
                    Err(error) => {
                        assert_eq!(
                            opener.take(&mut out),
                            Err(error),
                            "once broken, always broken"
                        );
                        return (got, Err(error));
                    }
                }
            }
        }
    }
    let end = opener.eof();
    (got, end)
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 253) as u8).collect()
}

fn sealed(sealer: &mut Sealer, text: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    sealer.seal(text, &mut line).unwrap();
    sealer.end(&mut line).unwrap();
    line
}

#[test]
fn any_text_in_any_pieces() {
    for length in [
        0,
        1,
        15,
        16,
        17,
        MAX_TEXT - 1,
        MAX_TEXT,
        MAX_TEXT + 1,
        3 * MAX_TEXT + 5,
    ] {
        for size in [1, 2, 19, 4096, 1 << 20] {
            let (mut here, mut there) = pair();
            let text = text(length);
            let line = sealed(&mut here.sealer, &text);
            let records = length.div_ceil(MAX_TEXT) + 1;
            assert_eq!(line.len(), length + records * (LENGTH_LEN + TAG_LEN));
            let (got, end) = open(&mut there.opener, &line, size);
            assert!(
                got == text && end.is_ok() && there.opener.ended(),
                "{length} {size}"
            );
        }
    }
}

#[test]
fn every_cut_is_told_from_an_end() {
    let whole = 40 + 2 * (LENGTH_LEN + TAG_LEN);
    for cut in 0..whole {
        let (mut here, mut there) = pair();
        let line = sealed(&mut here.sealer, &text(40));
        let (got, end) = open(&mut there.opener, &line[..cut], 7);
        assert_eq!(end, Err(RecordError::Cut), "{cut}");
        assert!(!there.opener.ended());
        assert_eq!(got.len(), if cut >= 58 { 40 } else { 0 }, "{cut}");
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    for at in 0..40 + 2 * (LENGTH_LEN + TAG_LEN) {
        for bit in [0, 3, 7] {
            let (mut here, mut there) = pair();
            let mut line = sealed(&mut here.sealer, &text(40));
            line[at] ^= 1 << bit;
            let (got, end) = open(&mut there.opener, &line, 1000);
            // A longer record would still be coming: the line's end shows it.
            assert!(
                matches!(end, Err(RecordError::Forged | RecordError::Cut)),
                "{at}.{bit}: {end:?}"
            );
            assert!(text(40).starts_with(&got), "{at}.{bit}");
        }
    }
}

#[test]
fn records_cannot_be_left_out_repeated_or_moved() {
    let record = |sealer: &mut Sealer, byte| {
        let mut line = Vec::new();
        sealer.seal(&[byte], &mut line).unwrap();
        line
    };
    for (order, good) in [
        (&[0, 1, 2][..], 3),
        (&[1], 0),
        (&[0, 2], 1),
        (&[0, 0], 1),
        (&[0, 1, 1], 2),
        (&[1, 0], 0),
    ] {
        let (mut here, mut there) = pair();
        let records = [1, 2, 3].map(|byte| record(&mut here.sealer, byte));
        let line: Vec<u8> = order.iter().flat_map(|at| records[*at].clone()).collect();
        let (got, end) = open(&mut there.opener, &line, 1000);
        assert_eq!(got, (1..=good).collect::<Vec<u8>>(), "{order:?}");
        let expected = if good == 3 {
            RecordError::Cut
        } else {
            RecordError::Forged
        };
        assert_eq!(end, Err(expected), "{order:?}");
    }
}

#[test]
fn a_record_of_the_other_direction_or_connection_is_forged() {
    let (mut here, mut there) = pair();
    let (_, mut elsewhere) = pair();
    let line = sealed(&mut here.sealer, b"x");
    assert_eq!(
        open(&mut here.opener, &line, 1000).1,
        Err(RecordError::Forged)
    );
    assert_eq!(
        open(&mut elsewhere.opener, &line, 1000).1,
        Err(RecordError::Forged)
    );
    assert_eq!(
        open(&mut there.opener, &line, 1000),
        (b"x".to_vec(), Ok(()))
    );
}

#[test]
fn the_end_is_the_end() {
    let (mut here, mut there) = pair();
    let mut line = sealed(&mut here.sealer, b"x");
    let length = line.len();
    here.sealer.end(&mut line).unwrap();
    assert_eq!(line.len(), length);
    assert_eq!(here.sealer.seal(b"y", &mut line), Err(RecordError::TooMany));
    line.extend(b"more of it");
    assert_eq!(open(&mut there.opener, &line, 3), (b"x".to_vec(), Ok(())));
    assert!(there.opener.ended());
}

#[test]
fn a_length_that_fits_no_tag_is_not_waited_for() {
    for length in 0..TAG_LEN as u8 {
        let (_, mut there) = pair();
        assert_eq!(
            open(&mut there.opener, &[0, length], 2).1,
            Err(RecordError::Forged)
        );
    }
}

#[test]
fn what_is_announced_takes_no_memory() {
    let (_, mut there) = pair();
    assert_eq!(
        open(&mut there.opener, &[0xff, 0xff, 1, 2, 3], 5).1,
        Err(RecordError::Cut)
    );
    assert!(there.opener.raw.len() <= 2 * LEAST_SPACE && there.opener.text.is_empty());
}

#[test]
fn numbers_do_not_run_out() {
    let (mut here, mut there) = pair();
    here.sealer.next = MAX_RECORDS - 1;
    there.opener.next = MAX_RECORDS - 1;
    let mut line = Vec::new();
    here.sealer.seal(b"last", &mut line).unwrap();
    assert_eq!(here.sealer.seal(b"y", &mut line), Err(RecordError::TooMany));
    assert_eq!(here.sealer.end(&mut line), Err(RecordError::TooMany));
    // Another peer might not stop.
    line.extend([0, 16].iter().chain(&[0; 16]));
    assert_eq!(
        open(&mut there.opener, &line, 100),
        (b"last".to_vec(), Err(RecordError::TooMany))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_of_any_size_come_out_in_order(parts in prop::collection::vec(0..40_000_usize, 0..6), size in 1..70_000_usize) {
        let (mut here, mut there) = pair();
        let (mut line, mut whole) = (Vec::new(), Vec::new());
        for part in parts {
            let part = text(part);
            here.sealer.seal(&part, &mut line).unwrap();
            whole.extend(part);
        }
        here.sealer.end(&mut line).unwrap();
        let (got, end) = open(&mut there.opener, &line, size);
        prop_assert!(got == whole);
        prop_assert_eq!(end, Ok(()));
        prop_assert!(there.opener.raw.len() <= 4 * MAX_TEXT);
    }

    #[test]
    fn garbage_gives_nothing(line in prop::collection::vec(any::<u8>(), 0..3000), size in 1..500_usize) {
        let (_, mut there) = pair();
        let (got, end) = open(&mut there.opener, &line, size);
        prop_assert!(got.is_empty() && end.is_err() && !there.opener.proven());
    }
}
