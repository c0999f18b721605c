//! How fast our LZO1X is beside Debian's liblzo2 (needs gcc and liblzo2-dev):
//!
//! ```text
//! cargo run --release -p protocol --example lzo_speed -- FILE...
//! ```

#[path = "../tests/support/oracle.rs"]
mod oracle;

use std::{hint::black_box, time::Instant};

use protocol::lzo::{self, Compressor};

const TIMES: u32 = 30;

fn main() {
    println!(
        "{:>9} {:>7} {:>7} | {:>7} {:>7} {:>5} | {:>7} {:>7} {:>5}  file",
        "bytes", "ours", "theirs", "encode", "theirs", "", "decode", "theirs", ""
    );
    for file in std::env::args_os().skip(1) {
        let content = std::fs::read(&file).expect("the file can be read");
        measure(&content, &file.to_string_lossy());
    }
}

/// Prints one line: sizes, then MB of content per second, best of many.
fn measure(content: &[u8], name: &str) {
    let mut oracle = oracle::Oracle::start();
    let theirs = oracle.compress(content);
    let (mut ours, mut back) = (Vec::new(), Vec::new());
    let mut compressor = Compressor::new();
    let (mut encode, mut decode, mut their_encode, mut their_decode) =
        (f64::MAX, f64::MAX, f64::MAX, f64::MAX);
    // In turns, since the machine's mood changes.
    for _ in 0..TIMES / 3 {
        encode = encode.min(best_of_3(|| {
            compressor.compress(black_box(content), &mut ours)
        }));
        decode = decode.min(best_of_3(|| {
            back = Vec::new();
            lzo::decompress(black_box(&theirs), &mut back, usize::MAX / 2)
                .expect("liblzo2 writes good blocks");
        }));
        let (e, d) = oracle.seconds(content, &theirs, 3);
        (their_encode, their_decode) = (their_encode.min(e), their_decode.min(d));
    }
    assert!(back == content);
    let speed = |seconds: f64| content.len() as f64 / 1e6 / seconds;
    println!(
        "{:>9} {:>7} {:>7} | {:>7.0} {:>7.0} {:>4.0}% | {:>7.0} {:>7.0} {:>4.0}%  {name}",
        content.len(),
        ours.len(),
        theirs.len(),
        speed(encode),
        speed(their_encode),
        100.0 * their_encode / encode,
        speed(decode),
        speed(their_decode),
        100.0 * their_decode / decode,
    );
}

fn best_of_3(mut work: impl FnMut()) -> f64 {
    let time = |()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    [(); 3].map(time).into_iter().fold(f64::MAX, f64::min)
}
