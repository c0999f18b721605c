//! How the bytes were cut into reads changes nothing.

mod support;

use proptest::prelude::*;
use support::{Capture, Decoder, captures, decode, decode_cut};

fn all_cuts<D: Decoder>(new: impl Fn() -> D, capture: &Capture) {
    let Capture { name, bytes, .. } = capture;
    let whole = decode(new(), bytes);
    for cut in 0..=bytes.len() {
        assert!(
            decode_cut(new(), bytes, &[cut]) == whole,
            "{name} cut at {cut}"
        );
    }
    let each: Vec<usize> = (1..bytes.len()).collect();
    assert!(
        decode_cut(new(), bytes, &each) == whole,
        "{name} byte by byte"
    );
}

#[test]
fn every_cut_in_two_and_every_byte_alone() {
    for capture in captures() {
        for_kind!(capture.kind, all_cuts, &capture);
    }
}

fn same<D: Decoder>(
    new: impl Fn() -> D,
    bytes: &[u8],
    cuts: &[usize],
) -> Result<(), TestCaseError> {
    prop_assert_eq!(decode_cut(new(), bytes, cuts), decode(new(), bytes));
    Ok(())
}

/// A recorded conversation with up to three bytes changed and perhaps something behind it, and where to cut it.
fn damaged() -> impl Strategy<Value = (support::Kind, Vec<u8>, Vec<usize>)> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let behind = prop::collection::vec(any::<u8>(), 0..20);
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..12);
    (prop::sample::select(recorded()), changes, behind, cuts).prop_map(
        |((kind, mut bytes), changes, behind, cuts)| {
            for (place, byte) in changes {
                if !bytes.is_empty() {
                    let place = place.index(bytes.len());
                    bytes[place] = byte;
                }
            }
            bytes.extend(behind);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            (kind, bytes, cuts)
        },
    )
}

fn recorded() -> Vec<(support::Kind, Vec<u8>)> {
    captures()
        .into_iter()
        .map(|capture| (capture.kind, capture.bytes))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_cuts_of_damaged_conversations((kind, bytes, cuts) in damaged()) {
        for_kind!(kind, same, &bytes, &cuts)?;
    }
}
