//! A fuzzer for the stable compiler: changes seeds blindly, and keeps what it changed when a check fails.
//!
//! It sees no coverage, so it finds less than libFuzzer in the same time; but it runs wherever tests run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long each target is tried: a moment, or with `LONG=1` a minute.
pub fn budget() -> Duration {
    match std::env::var_os("LONG").is_some_and(|value| value == "1") {
        true => Duration::from_secs(60),
        false => Duration::from_millis(300),
    }
}

/// Calls `check` with changed seeds until the time is over. Panics when a check does, with the bytes that made it.
pub fn run(target: &str, seeds: &[Vec<u8>], check: fn(&[u8])) {
    let start = Instant::now();
    let seed = start_of(target);
    let mut random = Random(seed);
    let mut bytes = Vec::new();
    let mut tries = 0_u64;
    while start.elapsed() < budget() {
        for _ in 0..64 {
            bytes.clear();
            bytes.extend_from_slice(&seeds[random.below(seeds.len())]);
            for _ in 0..=random.below(6) {
                change(&mut bytes, seeds, &mut random);
            }
            tries += 1;
            if catch_unwind(AssertUnwindSafe(|| check(&bytes))).is_err() {
                let file = std::env::temp_dir().join(format!("crash-{target}-{seed:x}"));
                let kept = std::fs::write(&file, &bytes).is_ok();
                panic!(
                    "{target} fails after {tries} tries (seed {seed}); {} has the bytes: {kept}",
                    file.display()
                );
            }
        }
    }
    println!("{target}: {tries} changed seeds");
}

/// Where the random numbers of this run begin: `FUZZ_SEED` repeats one.
fn start_of(target: &str) -> u64 {
    let named = std::env::var("FUZZ_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    named.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let salt: u64 = target.bytes().map(u64::from).sum();
        now.map_or(1, |now| now.as_nanos() as u64 ^ salt) | 1
    })
}

/// All files of a folder of the corpus.
pub fn seeds(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("each target has seeds");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).expect("a seed can be read"))
        .collect()
}

/// xorshift64*: no more than a fuzzer needs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 for 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end.max(1)
    }
}

/// Words that matter to one parser or another.
const WORDS: &[&[u8]] = &[
    b"00000000",
    b"00000001",
    b"7fffffff",
    b"80000000",
    b"ffffffff",
    b"fffffff0",
    b"0x000001",
    b"-0000001",
    b"DIST",
    b"ARGC",
    b"ARGV",
    b"DOTI",
    b"DONE",
    b"STAT",
    b"SERR",
    b"SOUT",
    b"DOTO",
    b"NFIL",
    b"NAME",
    b"FILE",
    b"LINK",
    b"CDIR",
    b"HELO",
    b"DOTD",
    b"\x11\x00\x00",
    b"\0",
    b"\n",
    b"..",
    b"/",
    b"-o",
    b"-x",
    b"@",
];

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(9) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
        2 => bytes.insert(at, random.next() as u8),
        3 if !bytes.is_empty() => {
            let end = (at + 1 + random.below(16)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => bytes.truncate(at),
        5 => {
            let word = WORDS[random.below(WORDS.len())];
            let end = (at + word.len()).min(bytes.len());
            bytes.splice(at..end, word.iter().copied());
        }
        6 => {
            let word = WORDS[random.below(WORDS.len())];
            bytes.splice(at..at, word.iter().copied());
        }
        7 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(other.get(from..).unwrap_or_default());
        }
        _ => {
            let end = (at + 1 + random.below(32)).min(bytes.len());
            let piece = bytes.get(at..end).unwrap_or_default().to_vec();
            bytes.splice(at..at, piece);
        }
    }
}
