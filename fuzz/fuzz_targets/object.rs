#![no_main]

#[allow(dead_code, reason = "each target uses one of its checks")]
#[path = "../src/foreign.rs"]
mod foreign;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| foreign::object(bytes));
