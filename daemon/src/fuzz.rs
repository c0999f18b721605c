//! Changed seeds for what the daemon itself reads of strangers, beside the parsers of the crates `protocol` and `compiler`.

#[allow(dead_code, unreachable_pub, reason = "shared with other crates' tests")]
#[path = "../../fuzz/src/mutate.rs"]
mod mutate;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::{log, scratch, watch};

fn seeds(texts: &[&[u8]]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.to_vec()).collect()
}

#[test]
fn requests_for_statistics() {
    let seeds = seeds(&[
        b"GET /metrics HTTP/1.1\r\nHost: localhost:3633\r\nAccept: */*\r\n\r\n",
        b"GET /slots?x=1 HTTP/1.0\n\n",
        b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
    ]);
    mutate::run("http", &seeds, |bytes| {
        if let Ok(path) = watch::path(bytes) {
            assert!(path.starts_with('/') && !path.contains([' ', '\n', '?']));
        }
    });
}

#[test]
fn words_of_clients_in_the_log() {
    let seeds = seeds(&[
        b"gcc\x1b[2J\nroot",
        "\u{9b}31m\u{202e}ä\u{7f}".as_bytes(),
        b"\"\\u0041\"",
    ]);
    mutate::run("log", &seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for line in [
            log::Escaped(&text).to_string(),
            log::json(log::Level::Info, &text, &[("x", log::Value::Text(&text))]),
        ] {
            assert!(!line.chars().any(log::steers), "{line:?}");
        }
    });
}

#[test]
fn names_of_sources() {
    let seeds = seeds(&[
        b"dir/a.c",
        b"../../x.cc",
        b"-o.c",
        b"@x",
        b"a\0b.c",
        &[b'n'; 300],
    ]);
    mutate::run("name", &seeds, |bytes| {
        let name = scratch::source_name(OsStr::from_bytes(bytes), "ii");
        let name = name.as_bytes();
        assert!(!name.contains(&b'/') && name.ends_with(b".ii") && name.len() <= 255);
        assert!(
            !matches!(name, b"." | b"..") && !name.starts_with(b"-") && !name.starts_with(b"@")
        );
    });
}
