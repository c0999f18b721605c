//! Recorded requests of stock clients get what the local compiler makes of the same text.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{Daemon, bytes, decode, text};
use protocol::{Limits, Request, RequestDecoder, Source};

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captures")
}

fn recorded(name: &str) -> Vec<u8> {
    fs::read(captures().join(format!("{name}.request.bin"))).unwrap()
}

fn decode_request(bytes: &[u8]) -> Request {
    RequestDecoder::new(Limits::for_daemon())
        .decode_all(bytes)
        .unwrap()
}

/// Compiles the text of a request here, under the name that a daemon must give it.
fn compile_here(request: &Request) -> (Output, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let Source::Preprocessed(body) = request.source.clone() else {
        panic!("a plain request")
    };
    let mut words: Vec<String> = request
        .argv
        .iter()
        .map(|word| String::from_utf8(word.clone()).unwrap())
        .collect();
    let source = words.iter().position(|word| word.ends_with(".c")).unwrap();
    let name = words[source].replace(".c", ".i");
    fs::write(folder.path().join(&name), bytes(body)).unwrap();
    words[source] = name;
    let output = words.iter().position(|word| word == "-o").unwrap() + 1;
    let run = Command::new(&words[0])
        .args(&words[1..])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output();
    let product = fs::read(folder.path().join(&words[output])).unwrap_or_default();
    (run.unwrap(), product)
}

#[test]
fn recorded_requests_equal_local_compiles() {
    let daemon = Daemon::start();
    for name in [
        "v1-MD",
        "v1-S",
        "v1-abs-usrbin",
        "v1-clang",
        "v1-compile-error",
        "v1-compile-error-skipretry",
        "v1-no-o",
        "v1-ok",
        "v1-ok-norewrite",
        "v1-warning",
        "v2-compile-error",
        "v2-ok",
        "v2-warning",
    ] {
        let raw = recorded(name);
        let request = decode_request(&raw);
        let answer = daemon.talk(&raw);
        let outcome = decode(request.version, &answer);
        let stock = fs::read(captures().join(format!("{name}.response.bin"))).unwrap();
        assert_eq!(
            outcome.status,
            decode(request.version, &stock).status,
            "{name}"
        );
        let (here, product) = compile_here(&request);
        assert_eq!(
            text(outcome.stderr),
            String::from_utf8(here.stderr).unwrap(),
            "{name}"
        );
        assert_eq!(
            text(outcome.stdout),
            String::from_utf8(here.stdout).unwrap(),
            "{name}"
        );
        let expected = if here.status.success() {
            product
        } else {
            Vec::new()
        };
        assert_eq!(outcome.status.success(), here.status.success(), "{name}");
        assert!(bytes(outcome.object) == expected, "{name}: another object");
    }
    daemon.end();
}

/// The clients' own preprocessors failed, so that the source never came.
#[test]
fn abandoned_requests_are_closed() {
    let daemon = Daemon::start();
    for name in ["v1-fplugin", "v1-compiler-missing-on-server"] {
        assert!(daemon.talk_and_stop(&recorded(name)).is_empty(), "{name}");
    }
    daemon.assert_serves();
    daemon.end();
}

/// Recorded from upstream's client and daemon, with headers of the machine that they were recorded on.
#[test]
fn pump_requests_are_answered_as_stock_answers_them() {
    for words in [&[][..], &["--sandbox=off"]] {
        let daemon = Daemon::with(words, &[]);
        for name in [
            "v3-ok",
            "v3-std",
            "v3-MD",
            "v3-MD-MT",
            "v3-MD-default",
            "v3-DEPENDENCIES_OUTPUT",
            "v3-abs-src",
            "v3-debug",
            "v3-links",
            "v3-warning",
            "v3-compile-error",
        ] {
            let raw = recorded(name);
            let request = decode_request(&raw);
            let answer = decode(request.version, &daemon.talk(&raw));
            let stock = fs::read(captures().join(format!("{name}.response.bin"))).unwrap();
            let stock = decode(request.version, &stock);
            assert_eq!(answer.status, stock.status, "{name} {words:?}");
            assert_eq!(text(answer.stderr), text(stock.stderr), "{name} {words:?}");
            assert_eq!(
                answer.object.wire().is_empty(),
                stock.object.wire().is_empty(),
                "{name} {words:?}"
            );
            let listed = |depfile: Option<protocol::Body>| {
                let listed = depfile.map(text).unwrap_or_default();
                let words = listed.split_whitespace().filter(|word| *word != "\\");
                words.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(
                listed(answer.depfile),
                listed(stock.depfile),
                "{name} {words:?}"
            );
        }
        daemon.end();
    }
}

#[test]
fn every_prefix_is_closed_without_a_byte() {
    let daemon = Daemon::start();
    for name in ["v1-ok", "v2-ok"] {
        let raw = recorded(name);
        for len in 0..raw.len() {
            assert!(
                daemon.talk_and_stop(&raw[..len]).is_empty(),
                "{name} cut at {len}"
            );
        }
        assert!(
            decode(decode_request(&raw).version, &daemon.talk(&raw))
                .status
                .success()
        );
    }
    daemon.end();
}

/// Where each token of a request begins.
fn tokens(raw: &[u8]) -> Vec<usize> {
    let mut at = 0;
    let mut starts = Vec::new();
    while at < raw.len() {
        starts.push(at);
        let digits = std::str::from_utf8(&raw[at + 4..at + 12]).unwrap();
        let value = usize::from_str_radix(digits, 16).unwrap();
        let body = !matches!(&raw[at..at + 4], b"DIST" | b"ARGC");
        at += 12 + if body { value } else { 0 };
    }
    starts
}

#[test]
fn garbage_at_every_token_is_closed_without_a_byte() {
    let daemon = Daemon::start();
    for name in ["v1-ok", "v2-ok"] {
        let raw = recorded(name);
        for at in tokens(&raw) {
            let (before, after) = raw.split_at(at);
            let damaged: [(&str, Vec<u8>); 7] = [
                ("noise", vec![0xa5; 4096]),
                ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
                ("another token", [b"DOTO".as_slice(), &after[4..]].concat()),
                ("no number", [&after[..4], b"zzzzzzzz".as_slice()].concat()),
                (
                    "a signed number",
                    [&after[..4], b"+0000001", &after[12..]].concat(),
                ),
                (
                    "a prefixed number",
                    [&after[..4], b"0x000001", &after[12..]].concat(),
                ),
                ("too much", [&after[..4], b"ffffffff".as_slice()].concat()),
            ];
            for (what, bytes) in damaged {
                let answer = daemon.talk(&[before, &bytes].concat());
                assert!(
                    answer.is_empty(),
                    "{name}, {what} at {at}: {}",
                    answer.escape_ascii()
                );
            }
        }
    }
    for bytes in [
        b"DIST00000000".as_slice(),
        b"DIST00000004",
        b"DISTffffffff",
        b"DIST00000001ARGC00000000DOTI00000000",
        b"DIST00000001ARGC00000001ARGV00000003g\0cDOTI00000000",
    ] {
        assert!(daemon.talk(bytes).is_empty(), "{}", bytes.escape_ascii());
    }
    daemon.assert_serves();
    daemon.end();
}

#[test]
fn damaged_compression_is_closed_without_a_byte() {
    let daemon = Daemon::start();
    let raw = recorded("v2-ok");
    let body = *tokens(&raw).last().unwrap() + 12;
    let mut cut = raw.clone();
    let len = cut.len();
    cut[len - 3..].fill(0);
    let mut noise = raw.clone();
    noise[body..].fill(0xff);
    for bytes in [cut, noise] {
        assert!(daemon.talk(&bytes).is_empty());
    }
    daemon.assert_serves();
    daemon.end();
}
