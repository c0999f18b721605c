//! Hosts that break off, stall or lie: the result is the local one, always.

use std::sync::{Arc, OnceLock};

use regex::Regex;
use tests::{
    BlackHole, Compared, Conversation, Effects, Farm, Greeting, LyingServer, Recorded, Reply,
    Space, for_another_compiler, for_machine, for_other_class, long, side_by_side, token,
};

const SOURCE: [(&str, &str); 2] = [
    ("a.c", "int answer(void) { return 42; }\n"),
    ("other.c", "int another(int a) { return a * 7; }\n"),
];
const COMMAND: &str = "gcc -O1 -c a.c";

/// What the compiler here makes of the command, asked once.
fn local() -> &'static Effects {
    static LOCAL: OnceLock<Effects> = OnceLock::new();
    LOCAL.get_or_init(|| Space::new(SOURCE).local(COMMAND))
}

/// A good object, but of another source: whoever places it has believed what he should not.
fn other_object() -> &'static [u8] {
    static OTHER: OnceLock<Vec<u8>> = OnceLock::new();
    OTHER.get_or_init(|| {
        Space::new(SOURCE)
            .local("gcc -O1 -c other.c -o a.o")
            .bytes("a.o")
            .to_vec()
    })
}

fn good_reply(version: u32) -> Reply {
    Reply {
        version,
        object: other_object().to_vec(),
        ..Reply::default()
    }
}

fn space(server: &LyingServer, suffix: &str) -> Space {
    // A second is short for a healthy host on a busy machine, but nothing here asks one.
    Space::new(SOURCE)
        .hosts(&format!("{}{suffix}", server.host()))
        .client_env("DISTCC_IO_TIMEOUT", "1")
}

fn suffix(version: u32) -> &'static str {
    if version == 2 { ",lzo" } else { "" }
}

/// Compiles against a server that plays `script`; the result is the local one, reached by falling back.
#[track_caller]
fn assert_harmless(
    name: &str,
    version: u32,
    script: impl Fn(&mut Conversation) + Send + Sync + 'static,
) -> Compared {
    let server = LyingServer::start(script);
    let compared = space(&server, suffix(version)).compile_against(local(), COMMAND);
    compared.assert_same_as_local();
    assert!(
        server.accepted() > 0,
        "{name}: the host was never asked\n{compared}"
    );
    compared
}

/// As [`assert_harmless`], where the host is to blame and the journal says so.
#[track_caller]
fn assert_blamed(
    name: &str,
    version: u32,
    script: impl Fn(&mut Conversation) + Send + Sync + 'static,
) {
    let compared = assert_harmless(name, version, script);
    compared.assert_fell_back();
    let error = compared.row().attempts[0].error.clone();
    let error = error.unwrap_or_else(|| panic!("{name}: no error is noted\n{compared}"));
    let kebab = Regex::new("^[a-z]+(-[a-z0-9]+)*$").unwrap();
    assert!(kebab.is_match(&error), "{name}: {error}");
}

/// Reads the request and sends `bytes`.
#[track_caller]
fn assert_reply_blamed(name: &str, version: u32, bytes: Vec<u8>) {
    assert_blamed(name, version, move |talk| {
        if talk.request().is_some() {
            talk.send(&bytes);
        }
    });
}

#[test]
fn every_prefix_of_every_recorded_reply() {
    for version in [1, 2] {
        let cases: Vec<(Arc<Recorded>, usize)> = Recorded::replies(version)
            .into_iter()
            .map(Arc::new)
            .flat_map(|recorded| {
                let cuts = recorded.cuts(long());
                cuts.into_iter()
                    .map(move |cut| (Arc::clone(&recorded), cut))
            })
            .collect();
        assert!(cases.len() > 30);
        side_by_side(cases, |(recorded, cut)| {
            let server = LyingServer::answering(recorded.response[..cut].to_vec());
            let compared = space(&server, suffix(version)).compile_against(local(), COMMAND);
            let found = compared.local.differences(&compared.via);
            assert!(
                found.is_empty(),
                "{} cut at {cut}: {found:?}\n{compared}",
                recorded.name
            );
            assert_eq!(
                compared.row().place,
                "local",
                "{} cut at {cut}: {compared}",
                recorded.name
            );
            assert!(server.accepted() > 0);
        });
    }
}

#[test]
fn the_reply_of_the_table_is_good_when_whole() {
    // Or else the tests here would prove nothing: what they damage must be a reply that is believed.
    for version in [1, 2] {
        let server = LyingServer::answering(good_reply(version).encode());
        let compared = space(&server, suffix(version)).compile_against(local(), COMMAND);
        compared.assert_remote();
        assert_eq!(compared.via.bytes("a.o"), other_object());
    }
}

#[test]
fn a_reply_in_single_bytes_is_a_reply() {
    let bytes = good_reply(1).encode();
    let server = LyingServer::start(move |talk| {
        if talk.request().is_some() {
            for byte in &bytes {
                talk.send(&[*byte]);
            }
        }
    });
    space(&server, "")
        .compile_against(local(), COMMAND)
        .assert_remote();
}

#[test]
fn closing_at_any_point_of_the_request() {
    side_by_side(
        [0, 1, 11, 12, 13, 24, 30, 60, 100, 130, 150, 160, 200, 250],
        |count| {
            assert_blamed(&format!("closes after {count} bytes"), 1, move |talk| {
                talk.read(count);
            });
        },
    );
    assert_blamed("closes after the request", 1, |talk| {
        talk.request();
    });
}

#[test]
fn text_instead_of_a_reply() {
    let texts: [&[u8]; 8] = [
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"220 mail.example.org ESMTP\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"\n",
        b"D",
        &[0; 4000],
        &[0xff; 4000],
    ];
    side_by_side(texts, |text| {
        assert_reply_blamed("text", 1, text.to_vec());
        assert_blamed("text before the request", 1, |talk| talk.send(text));
    });
}

#[test]
fn stalling_anywhere() {
    let reply = Arc::new(good_reply(1).encode());
    let mut cases = vec![None];
    cases.extend([0, 6, 12, 30, 60, 66, 200].map(Some));
    cases.push(Some(reply.len() - 1));
    side_by_side(cases, |sent| {
        let reply = Arc::clone(&reply);
        assert_blamed(&format!("stalls after sending {sent:?}"), 1, move |talk| {
            if let Some(sent) = sent {
                talk.request();
                talk.send(&reply[..sent]);
            }
            talk.stall();
        });
    });
}

#[test]
fn a_host_that_never_accepts() {
    let nobody = BlackHole::here();
    let space = Space::new(SOURCE)
        .hosts(&nobody.host())
        .client_env("DISTCC_IO_TIMEOUT", "1");
    space
        .compile_against(local(), COMMAND)
        .assert_same_as_local()
        .assert_fell_back();
}

#[test]
fn an_object_for_another_machine() {
    let object = local().bytes("a.o");
    for (name, object) in [
        ("aarch64", for_machine(object, 183)),
        ("i386", for_machine(object, 3)),
        ("riscv", for_machine(object, 243)),
        ("no machine", for_machine(object, 0)),
        ("32 bit", for_other_class(object)),
        ("text", b"this is no object\n".to_vec()),
        ("an archive", b"!<arch>\n".to_vec()),
        ("nothing", Vec::new()),
        ("a header alone", object[..64].to_vec()),
        ("half", object[..object.len() / 2].to_vec()),
        ("four bytes", object[..4].to_vec()),
    ] {
        for version in [1, 2] {
            let reply = Reply {
                version,
                object: object.clone(),
                ..Reply::default()
            };
            assert_reply_blamed(name, version, reply.encode());
        }
    }
}

/// The classic of distcc farms: another version on one host, and nobody notices.
#[test]
fn an_object_of_another_compiler_and_its_host_is_not_asked_again() {
    let object = for_another_compiler(local().bytes("a.o"), "GCC: (Debian 12");
    let server = LyingServer::answering(
        Reply {
            version: 1,
            object,
            ..Reply::default()
        }
        .encode(),
    );
    let space = space(&server, "");
    let first = space.compile_against(local(), COMMAND);
    first.assert_same_as_local().assert_fell_back();
    assert!(first.row().attempts[0].error.is_some(), "{first}");
    let second = space.compile_against(local(), COMMAND);
    second.assert_same_as_local().assert_here();
    assert_eq!(server.accepted(), 1, "{second}");
}

#[test]
fn an_object_of_another_clang() {
    let plain = Space::new(SOURCE).local("clang -c a.c");
    let object = for_another_compiler(plain.bytes("a.o"), "clang version 14");
    let server = LyingServer::answering(
        Reply {
            version: 1,
            object,
            ..Reply::default()
        }
        .encode(),
    );
    space(&server, "")
        .compile_against(&plain, "clang -c a.c")
        .assert_same_as_local()
        .assert_fell_back();
}

#[test]
fn an_object_without_a_signature_is_the_compilers_own_wish() {
    let farm = Farm::ours(1);
    let space = Space::new(SOURCE).hosts(&farm.hosts(""));
    space
        .compile("gcc -fno-ident -c a.c")
        .assert_same_as_local()
        .assert_remote();
}

#[test]
fn a_compiler_that_died_there_is_run_here() {
    side_by_side(1..=31, |signal| {
        for core in [0, 0x80] {
            let reply = Reply {
                status: signal | core,
                stderr: b"internal compiler error\n".to_vec(),
                version: 1,
                ..Reply::default()
            };
            let bytes = reply.encode();
            assert_harmless(&format!("signal {signal}"), 1, move |talk| {
                talk.request();
                talk.send(&bytes);
            })
            .assert_here();
        }
    });
}

#[test]
fn a_failure_there_is_repeated_here() {
    // The codes that a daemon uses for its own troubles among them.
    side_by_side(
        [1, 2, 4, 77, 100, 105, 107, 110, 113, 118, 127, 128, 255],
        |code| {
            let reply = Reply {
                status: code << 8,
                stderr: b"a.c:1:1: error: no\n".to_vec(),
                version: 1,
                ..Reply::default()
            };
            let bytes = reply.encode();
            assert_harmless(&format!("exit {code}"), 1, move |talk| {
                talk.request();
                talk.send(&bytes);
            })
            .assert_here();
        },
    );
}

#[test]
fn an_object_beside_a_failure_is_not_placed() {
    let bytes = Reply {
        status: 0x100,
        ..good_reply(1)
    }
    .encode();
    assert_harmless("object and failure", 1, move |talk| {
        talk.request();
        talk.send(&bytes);
    })
    .assert_here();
}

#[test]
fn strange_wait_statuses() {
    side_by_side(
        [
            0x7f,
            0xff,
            0xffff,
            0x1_0000,
            0x8000_0000,
            0xffff_ffff,
            0x137f,
        ],
        |status| {
            let bytes = Reply {
                status,
                ..good_reply(1)
            }
            .encode();
            assert_harmless(&format!("status {status:x}"), 1, move |talk| {
                talk.request();
                talk.send(&bytes);
            })
            .assert_here();
        },
    );
}

/// Announces more than it sends, and more than anybody should take.
#[test]
fn oversized_lengths() {
    let mut cases = Vec::new();
    for version in [1, 2] {
        for (position, tag) in [(2, "SERR"), (3, "SOUT"), (4, "DOTO")] {
            for len in [0x7fff_ffff_usize, 0x8000_0000, 0xffff_ffff, 0x1000_0000] {
                cases.push((version, position, tag, len));
            }
        }
    }
    side_by_side(cases, |(version, position, tag, len)| {
        let mut bytes = good_reply(version).encode()[..12 * position].to_vec();
        bytes.extend(token(tag, len));
        bytes.extend([b'x'; 1000]);
        assert_reply_blamed(&format!("{tag} of {len} bytes"), version, bytes);
    });
}

#[test]
fn a_body_that_never_ends() {
    for tag in ["SERR", "DOTO"] {
        let zeros = vec![0; 1 << 20];
        assert_blamed(tag, 1, move |talk| {
            talk.request();
            talk.send(&token("DONE", 1));
            talk.send(&token("STAT", 0));
            if tag == "DOTO" {
                talk.send(&token("SERR", 0));
                talk.send(&token("SOUT", 0));
            }
            talk.send(&token(tag, 0xffff_ffff));
            for _ in 0..200 {
                talk.send(&zeros);
            }
            talk.stall();
        });
    }
}

/// Each token of a good reply in turn replaced.
#[test]
fn garbage_tokens_at_every_position() {
    let empty = good_reply(1);
    let heads = |skip: usize| -> Vec<Vec<u8>> {
        let tokens = ["DONE", "STAT", "SERR", "SOUT"];
        tokens[..skip]
            .iter()
            .map(|tag| token(tag, usize::from(*tag == "DONE")))
            .collect()
    };
    let tags = ["DONE", "STAT", "SERR", "SOUT", "DOTO"];
    let whole = empty.encode();
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for (position, tag) in tags.iter().enumerate() {
        let mut bad: Vec<Vec<u8>> = vec![
            b"XXXX00000000".to_vec(),
            format!("{tag}0000000g").into_bytes(),
            format!("{tag}        ").into_bytes(),
            format!("{tag}-0000001").into_bytes(),
            format!("{}00000001", tag.to_lowercase()).into_bytes(),
            vec![0; 12],
            vec![0xff; 12],
        ];
        bad.extend(
            tags.iter()
                .filter(|other| *other != tag)
                .map(|other| token(other, 1)),
        );
        for bad in bad {
            let mut bytes = heads(position).concat();
            let name = format!("{} in place of {tag}", bad.escape_ascii());
            bytes.extend(&bad);
            bytes.extend(&whole[(12 * (position + 1)).min(whole.len())..]);
            cases.push((name, bytes));
        }
    }
    for (name, tokens) in [
        ("DONE twice", [token("DONE", 1), token("DONE", 1)].concat()),
        ("STAT first", [token("STAT", 0), token("DONE", 1)].concat()),
        ("version 0", token("DONE", 0)),
        ("version 2 for 1", token("DONE", 2)),
        ("version 3 for 1", token("DONE", 3)),
        (
            "a byte too many",
            [token("DONE", 1), b" ".to_vec()].concat(),
        ),
    ] {
        cases.push((name.to_owned(), [tokens, whole[12..].to_vec()].concat()));
    }
    side_by_side(cases, |(name, bytes)| assert_reply_blamed(&name, 1, bytes));
}

#[test]
fn damaged_compressed_bodies() {
    let reply = good_reply(2).encode();
    let body = 60;
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, packed) in [
        ("no end marker", reply[body..reply.len() - 3].to_vec()),
        ("bytes behind the end", [&reply[body..], b"more"].concat()),
        ("the end marker alone", vec![0x11, 0, 0]),
        (
            "a distance before the start",
            vec![0x15, 1, 2, 3, 4, 0x21, 0xff, 0xff, 0x11, 0, 0],
        ),
        ("zeros", vec![0; 300]),
        ("ones", vec![0xff; 300]),
        ("raw", other_object().to_vec()),
        ("a bomb", bomb(1 << 20)),
    ] {
        let bytes = [reply[..48].to_vec(), token("DOTO", packed.len()), packed].concat();
        cases.push((name.to_owned(), bytes));
    }
    side_by_side(cases, |(name, bytes)| assert_reply_blamed(&name, 2, bytes));
}

/// Four literals and then one match of 255 times `zeros` bytes.
fn bomb(zeros: usize) -> Vec<u8> {
    let mut packed = vec![0x15, 0x7f, b'E', b'L', b'F', 0x20];
    packed.extend(vec![0; zeros]);
    packed.extend([1, 0, 0, 0x11, 0, 0]);
    packed
}

#[test]
fn an_answer_before_the_question() {
    // The bytes are good and of the right object, so both verdicts are right.
    let reply = Reply {
        version: 1,
        object: local().bytes("a.o").to_vec(),
        ..Reply::default()
    };
    let bytes = reply.encode();
    assert_harmless("at once", 1, move |talk| {
        talk.send(&bytes);
        talk.request();
    });
}

#[test]
fn more_bytes_behind_the_reply() {
    let reply = Reply {
        version: 1,
        object: local().bytes("a.o").to_vec(),
        ..Reply::default()
    };
    let bytes = [reply.encode(), b"and so on".to_vec()].concat();
    assert_harmless("more bytes", 1, move |talk| {
        talk.request();
        talk.send(&bytes);
    });
}

#[test]
fn the_next_host_takes_over() {
    let farm = Farm::ours(1);
    side_by_side(0..5, |kind| {
        let server = LyingServer::start(move |talk| match kind {
            4 => {
                talk.request();
                let mut bytes = good_reply(2).encode();
                bytes.truncate(bytes.len() - 2);
                bytes.extend([0xff, 0xff]);
                talk.send(&bytes);
            }
            0 => {}
            1 => drop(talk.request()),
            2 => talk.send(b"no"),
            _ => {
                talk.request();
                talk.send(&token("DONE", 1));
                talk.stall();
            }
        });
        let space = Space::new(SOURCE)
            .hosts(&format!(
                "{}{} {}",
                server.host(),
                suffix(if kind == 4 { 2 } else { 1 }),
                farm.hosts("")
            ))
            .client_env("DISTCC_IO_TIMEOUT", if kind == 3 { "5" } else { "60" })
            .client_env("DISTCC_BACKOFF_PERIOD", "60");
        let compared = space.compile_against(local(), COMMAND);
        compared.assert_same_as_local();
        let row = compared.row();
        assert_eq!(row.place, "remote", "{kind}: {compared}");
        assert_eq!(row.attempts.len(), 2, "{kind}: {compared}");
        assert!(
            row.attempts[0].error.is_some() && row.attempts[1].error.is_none(),
            "{kind}: {compared}"
        );
        assert_eq!(
            row.host
                .as_deref()
                .map(|host| host.contains(&farm.daemons[0].host())),
            Some(true),
            "{compared}"
        );
        // And is asked at once the next time.
        let next = space.compile_against(local(), COMMAND);
        next.assert_same_as_local().assert_remote();
        assert_eq!(
            (next.row().attempts.len(), server.accepted()),
            (1, 1),
            "{kind}: {next}"
        );
    });
}

#[test]
fn a_period_of_zero_avoids_nobody() {
    let server = LyingServer::start(|_| {});
    let space = space(&server, "").client_env("DISTCC_BACKOFF_PERIOD", "0");
    let mut asked = 0;
    for _ in 0..2 {
        space
            .compile_against(local(), COMMAND)
            .assert_same_as_local()
            .assert_fell_back();
        assert!(server.accepted() > asked, "asked {asked} times and no more");
        asked = server.accepted();
    }
    assert!(
        asked < 20,
        "a dead host was asked {asked} times for two jobs"
    );
}

#[test]
fn a_host_that_failed_a_minute_ago_as_stock_notes_it_is_avoided() {
    let server = LyingServer::start(|_| {});
    let space = space(&server, "").client_env("DISTCC_BACKOFF_PERIOD", "60");
    let lock = space.dir().join("lock");
    std::fs::create_dir_all(&lock).unwrap();
    std::fs::write(
        lock.join(format!("backoff_tcp_127.0.0.1_{}_0", server.port())),
        "x",
    )
    .unwrap();
    space
        .compile_against(local(), COMMAND)
        .assert_same_as_local()
        .assert_here();
    assert_eq!(server.accepted(), 0);
}

/// Whoever answers our question with nonsense, or with promises: his jobs end well all the same.
#[test]
fn answers_to_the_hello_that_are_none() {
    let answer = |text: &str| [token("HELO", text.len()), text.as_bytes().to_vec()].concat();
    let good = "daemon distcc-launchd 9.9.9\njob 64636c01\njobs 4\n";
    let greetings = vec![
        Greeting::Stalls,
        Greeting::Says(Vec::new()),
        Greeting::Says(b"HELO".to_vec()),
        Greeting::Says(answer(good)[..20].to_vec()),
        Greeting::Says(answer(good)),
        Greeting::Says(answer("")),
        Greeting::Says(answer("daemon\n")),
        Greeting::Says(answer("job 64636c01\n")),
        Greeting::Says(answer(
            "daemon x\njob 64636cff\njob zz\njobs -1\ncompiler\ncompilers all\n",
        )),
        Greeting::Says(answer("daemon x\njobs 99999999999999999999\n\u{1}\n")),
        Greeting::Says([token("HELO", 0xffff_ffff), vec![b'x'; 100_000]].concat()),
        Greeting::Says(token("DONE", 1)),
        Greeting::Says(good_reply(1).encode()),
        Greeting::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Greeting::Says(vec![0; 5000]),
    ];
    side_by_side(greetings, |greeting| {
        // As a stock daemon, it takes a job and closes; as one that promised more, too.
        let name = format!("{greeting:?}");
        let server = LyingServer::greeting(greeting, |talk| {
            talk.request();
        });
        for command in ["gcc -c a.c", "gcc -g -c a.c"] {
            let space = space(&server, "");
            let compared = space.compile(command);
            let found = compared.local.differences(&compared.via);
            assert!(found.is_empty(), "{name}: {found:?}\n{compared}");
            compared.assert_here();
        }
    });
}
