#![no_main]

#[path = "../src/keyed.rs"]
mod keyed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keyed::keyed(bytes));
