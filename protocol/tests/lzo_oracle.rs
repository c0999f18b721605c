//! Our LZO1X beside Debian's liblzo2: each unpacks what the other packed, and of damaged blocks both think the same.

#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "support/oracle.rs"]
mod oracle;

use std::{path::PathBuf, process::Command};

use oracle::Oracle;
use protocol::lzo::{self, Compressor};

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// What g++ makes of a source with some of the library's headers: a preprocessed source and an object.
fn compiled() -> [Vec<u8>; 2] {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = folder.join("lzo-sample.cpp");
    std::fs::write(
        &source,
        "#include <map>\n#include <string>\nstd::map<std::string, int> words;\n",
    )
    .unwrap();
    [
        (&["-E"][..], "lzo-sample.ii"),
        (&["-g", "-c"], "lzo-sample.o"),
    ]
    .map(|(options, name)| {
        let output = folder.join(name);
        let status = Command::new("g++")
            .args(options)
            .arg(&source)
            .arg("-o")
            .arg(&output)
            .status();
        assert!(status.expect("g++ can be run").success());
        std::fs::read(output).unwrap()
    })
}

fn samples() -> Vec<Vec<u8>> {
    let mut numbers = Numbers(1);
    let [text, object] = compiled();
    let mut samples = vec![
        vec![0; 300_000],
        numbers.bytes(100_000),
        vec![b'a'; 49_151 * 2 + 5],
    ];
    // Matches at and around every bound of the forms' distances, and of every length around the forms' bounds.
    for distance in [
        2047, 2048, 2049, 16383, 16384, 16385, 32767, 32768, 49150, 49151, 49152,
    ] {
        let mut far = numbers.bytes(distance);
        for length in [3, 4, 5, 8, 9, 10, 33, 34, 264, 265, 288, 289, 600] {
            let from = far.len() - distance;
            far.extend_from_within(from..from + length);
            far.extend(numbers.bytes(1 + length % 5));
            let from = far.len() - distance;
            far.extend_from_within(from..from + length);
        }
        samples.push(far);
    }
    // Few different bytes, so that everything is a match; and runs of literals of every length around their forms' bounds.
    for len in 0..=300 {
        samples.push(numbers.bytes(len));
        samples.push(numbers.bytes(len).iter().map(|byte| byte % 3).collect());
        samples.push(
            [
                b"0123456789abcdef0123456789abcdef".to_vec(),
                numbers.bytes(len),
                vec![7; 20],
            ]
            .concat(),
        );
        let start = numbers.below(text.len() - len);
        samples.push(text[start..start + len].to_vec());
    }
    samples.extend([text, object]);
    samples
}

#[test]
fn each_unpacks_what_the_other_packed() {
    let mut oracle = Oracle::start();
    let mut compressor = Compressor::new();
    let (mut block, mut content) = (Vec::new(), Vec::new());
    for sample in samples() {
        let theirs = oracle.compress(&sample);
        assert_eq!(
            lzo::decompress(&theirs, &mut content, sample.len()),
            Ok(()),
            "{} bytes",
            sample.len()
        );
        assert!(content == sample);
        compressor.compress(&sample, &mut block);
        assert!(
            oracle.decompress(&block, sample.len()).as_ref() == Ok(&sample),
            "{} bytes",
            sample.len()
        );
        assert_eq!(lzo::decompress(&block, &mut content, sample.len()), Ok(()));
        assert!(content == sample);
        assert!(
            block.len() <= sample.len() + sample.len() / 64 + 19,
            "{} for {}",
            block.len(),
            sample.len()
        );
    }
}

/// Our verdict must be theirs, and so must the content.
fn agree(oracle: &mut Oracle, block: &[u8], max: usize) -> bool {
    let mut content = Vec::new();
    let ours = lzo::decompress(block, &mut content, max);
    let theirs = oracle.decompress(block, max);
    match (&ours, &theirs) {
        (Ok(()), Ok(expected)) => assert!(content == *expected, "{}", block.escape_ascii()),
        (Err(_), Err(_)) => {}
        _ => panic!(
            "ours {ours:?}, theirs {:?}: {}",
            theirs.map(|content| content.len()),
            block.escape_ascii()
        ),
    }
    ours.is_ok()
}

#[test]
fn of_damaged_blocks_both_think_the_same() {
    let mut oracle = Oracle::start();
    let mut numbers = Numbers(2);
    let [text, object] = compiled();
    let mut good = 0;
    for round in 0..20_000 {
        let from = if round % 2 == 0 { &text } else { &object };
        let len = numbers.below(600);
        let start = numbers.below(from.len() - len);
        let mut block = Vec::new();
        lzo::compress(&from[start..start + len], &mut block);
        for _ in 0..=numbers.below(3) {
            let place = numbers.below(block.len());
            match numbers.below(4) {
                0 => block[place] = numbers.next() as u8,
                1 => block[place] ^= 1 << numbers.below(8),
                2 => block.insert(place, numbers.next() as u8),
                _ if block.len() > 1 => _ = block.remove(place),
                _ => {}
            }
        }
        let max = if numbers.below(4) == 0 {
            numbers.below(700)
        } else {
            1 << 20
        };
        good += usize::from(agree(&mut oracle, &block, max));
    }
    assert!(
        (500..19_500).contains(&good),
        "{good} good blocks test only one side"
    );
}

/// A block of random instructions, forms that no encoder writes included.  Mostly good.
fn instructions(numbers: &mut Numbers) -> Vec<u8> {
    let mut block = Vec::new();
    // As the decoder counts: bytes of content, and literals just before.
    let mut len = 0;
    let mut literals = 0;
    if numbers.below(2) == 0 {
        literals = 1 + numbers.below(238);
        block.push(17 + literals as u8);
        block.extend(numbers.bytes(literals));
        len = literals;
    }
    for _ in 0..numbers.below(40) {
        if literals == 0 && (len == 0 || numbers.below(3) == 0) {
            literals = 4 + numbers.below(300);
            if literals <= 18 {
                block.push(literals as u8 - 3);
            } else {
                block.push(0);
                push_more(&mut block, literals - 18);
            }
            block.extend(numbers.bytes(literals));
            len += literals;
            continue;
        }
        let follow = numbers.below(4);
        let reach = if numbers.below(200) == 0 {
            len + 3
        } else {
            len
        };
        let mut far = |least: usize, most: usize| {
            (reach >= least).then(|| numbers.below(reach.min(most) - least + 1))
        };
        let forms = [
            if literals == 0 {
                None
            } else if literals < 4 {
                far(1, 1024)
            } else {
                far(2049, 3072)
            },
            far(1, 2048),
            far(1, 16384),
            far(16385, 49151),
        ];
        let form = numbers.below(4);
        let Some(far) = forms[form] else { continue };
        let length = match form {
            0 => {
                block.extend([(far << 2 & 12 | follow) as u8, (far >> 2) as u8]);
                if literals < 4 { 2 } else { 3 }
            }
            1 => {
                let length = 3 + numbers.below(6);
                block.extend([
                    ((length - 1) << 5 | (far & 7) << 2 | follow) as u8,
                    (far >> 3) as u8,
                ]);
                length
            }
            _ => {
                let (first, longest) = if form == 2 {
                    (32, 33)
                } else {
                    (16 | ((far + 1) >> 14 << 3) as u8, 9)
                };
                let far = if form == 2 { far } else { far + 1 };
                let length = 3 + numbers.below(longest + 600);
                if length <= longest {
                    block.push(first | (length - 2) as u8);
                } else {
                    block.push(first);
                    push_more(&mut block, length - longest);
                }
                block.extend(((far << 2) as u16 | follow as u16).to_le_bytes());
                length
            }
        };
        block.extend(numbers.bytes(follow));
        len += length + follow;
        literals = follow;
    }
    block.extend([0x11, 0, 0]);
    block
}

fn push_more(block: &mut Vec<u8>, more: usize) {
    block.extend(vec![0; (more - 1) / 255]);
    block.push(((more - 1) % 255 + 1) as u8);
}

#[test]
fn of_any_instructions_both_make_the_same() {
    let mut oracle = Oracle::start();
    let mut numbers = Numbers(3);
    let mut good = 0;
    for round in 0..10_000 {
        let block = instructions(&mut numbers);
        good += usize::from(agree(
            &mut oracle,
            &block,
            if round % 8 == 0 { 3000 } else { 1 << 20 },
        ));
        agree(&mut oracle, &numbers.bytes(round % 40), 1 << 20);
    }
    assert!(
        (7000..9990).contains(&good),
        "{good} good blocks test only one side"
    );
}
