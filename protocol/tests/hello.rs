//! The hello, and the launch jobs that a daemon may offer in it.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use proptest::prelude::*;
use protocol::{
    Body, Hello, Limit, Limits, Opening, OpeningDecoder, Outcome, OutcomeDecoder, ProtocolError,
    Request, Source, Token, Version, WaitStatus,
    hello::{self, Compiler, HelloDecoder, Load, Question},
    token::tag,
};
use support::{Decoder, decode, decode_cut};

fn helo(text: &[u8]) -> Vec<u8> {
    let head = Token {
        tag: tag::HELO,
        value: text.len() as u32,
    };
    [&head.encode(), text].concat()
}

fn compiler(name: &str) -> Compiler {
    Compiler {
        name: name.into(),
        ident: b"GCC: (x y) 12".to_vec(),
        triple: b"x86_64-linux-gnu".to_vec(),
        preincluded: (name == "gcc").then(|| b"0123456789abcdef /usr/include/x.h".to_vec()),
    }
}

fn answer() -> Hello {
    Hello {
        daemon: b"distcc-launchd 0.1.0".to_vec(),
        versions: vec![Version::Launch.number()],
        jobs: Some(8),
        compilers: vec![compiler("gcc"), compiler("/opt/bin/gcc")],
        all_compilers: true,
        clock: Some(1_795_182_748),
        load: Some(Load { free: 3, queue: 0 }),
    }
}

fn launch() -> Request {
    Request {
        version: Version::Launch,
        cwd: Some(b"/home/ann/x".to_vec()),
        argv: vec![b"gcc".to_vec(), b"-c".to_vec(), b"_d/a.c".to_vec()],
        source: Source::Preprocessed(Body::pack(Version::Launch, b"int x;\n".to_vec())),
    }
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let client = b"distcc-launch 0.1.0".to_vec();
    assert_eq!(
        Question { client }.encode().unwrap(),
        b"DIST64636c00HELO0000001bclient distcc-launch 0.1.0\n"
    );
    let text = b"daemon distcc-launchd 0.1.0\njob 64636c01\njobs 8\nclock 1795182748\nload 3 0\n\
        compiler gcc\tGCC: (x y) 12\tx86_64-linux-gnu\t0123456789abcdef /usr/include/x.h\n\
        compiler /opt/bin/gcc\tGCC: (x y) 12\tx86_64-linux-gnu\ncompilers all\n";
    assert_eq!(answer().encode().unwrap(), helo(text));
    assert_eq!(Hello::read(text), Ok(answer()));
    assert!(answer().takes(Version::Launch) && answer().takes(Version::Lzo));
    assert!(!answer().takes(Version::Pump) && !Hello::default().takes(Version::Launch));
}

#[test]
fn what_is_not_understood_is_passed_over() {
    let text = b"\nsandbox bubblewrap\njob new\njob 64636c7f\njob +4636c01\njob 64636C01\njobs many\njobs -1\njobs +2\njobs 3\n\
        jobs 4\ncompiler\ncompiler gcc\ncompiler \ti\tt\ncompiler a\ti\tt\tmore\ncompilers some\nload 1\nload -1 2\nload 1\t2\nload 5 6 7\nload 8 9\ndaemon x\ndaemon y\n\xff\xfe";
    let hello = Hello::read(text).unwrap();
    assert_eq!(hello.versions, [0x6463_6c7f, Version::Launch.number()]);
    assert_eq!((hello.jobs, hello.all_compilers), (Some(3), false));
    assert_eq!(hello.daemon, b"x");
    assert_eq!(hello.load, Some(Load { free: 5, queue: 6 }));
    assert_eq!(hello.compilers.len(), 1);
    assert_eq!(hello.compilers[0].triple, b"t");
}

#[test]
fn a_hello_says_whose_it_is() {
    for text in [
        &b""[..],
        b"jobs 3\n",
        b"daemon",
        b" daemon x\n",
        b"Daemon x\n",
    ] {
        let whole = decode(support::hello(), &helo(text));
        match text {
            b"daemon" => assert_eq!(whole.map(|(hello, _)| hello.daemon), Ok(Vec::new())),
            _ => assert_eq!(whole, Err(ProtocolError::Nameless)),
        }
    }
    let asked = [&b"DIST64636c00"[..], &helo(b"daemon x\n")].concat();
    assert_eq!(
        decode(support::opening(), &asked),
        Err(ProtocolError::Nameless)
    );
    assert_eq!(
        decode(support::hello(), &helo(b"daemon a\0b\n")),
        Err(ProtocolError::NulByte { tag: tag::HELO })
    );
}

#[test]
fn garbage_is_no_hello() {
    for bytes in [
        &b"HTTP/1.0 400 Bad Request\r\n"[..],
        b"DONE64636c00STAT",
        b"HELOxxxxxxxx",
        b"SSH-2.0",
    ] {
        assert!(matches!(
            decode(support::hello(), bytes),
            Err(ProtocolError::Unexpected { .. } | ProtocolError::NotHex { .. })
        ));
    }
    // What may not come after the number is seen at once.
    assert!(matches!(
        decode(support::opening(), b"DIST64636c00ARGC00000001"),
        Err(ProtocolError::Unexpected {
            expected: "HELO",
            ..
        })
    ));
    for number in [hello::FIRST + 3, hello::FIRST + 0xff] {
        let bytes = format!("DIST{number:08x}");
        assert_eq!(
            decode(support::opening(), bytes.as_bytes()),
            Err(ProtocolError::UnknownVersion(number))
        );
    }
    // Who only serves jobs refuses the question like any other number.
    assert_eq!(
        decode(support::request(), b"DIST64636c00"),
        Err(ProtocolError::UnknownVersion(hello::NUMBER))
    );
}

#[test]
fn a_hello_has_a_limit() {
    let question = Question {
        client: b"0123456789".to_vec(),
    };
    let with = |max_hello| Limits {
        max_hello,
        ..Limits::for_daemon()
    };
    let len = question.encode().unwrap().len() as u32 - 24;
    let over = ProtocolError::OverLimit {
        limit: Limit::Hello,
        allowed: u64::from(len - 1),
        came: u64::from(len),
    };
    let bytes = question.encode().unwrap();
    assert!(decode(OpeningDecoder::new(with(len)), &bytes).is_ok());
    assert_eq!(
        decode(OpeningDecoder::new(with(len - 1)), &bytes),
        Err(over.clone())
    );
    let bytes = helo(b"daemon 0123456789\n");
    assert!(decode(HelloDecoder::new(with(len)), &bytes).is_ok());
    assert_eq!(decode(HelloDecoder::new(with(len - 1)), &bytes), Err(over));
    // Nothing is held for what is only announced.
    let mut decoder = support::hello();
    support::feed(&mut decoder, b"HELO00030000da").unwrap();
    assert!(decoder.held() <= 64 << 10);
}

#[test]
fn every_cut_gives_the_same() {
    fn all_cuts<D: Decoder>(new: impl Fn() -> D, bytes: &[u8]) {
        let whole = decode(new(), bytes);
        assert!(whole.is_ok());
        for cut in 0..=bytes.len() {
            assert_eq!(decode_cut(new(), bytes, &[cut]), whole, "cut at {cut}");
            let short = decode(new(), &bytes[..cut]);
            assert_eq!(short.is_ok(), cut == bytes.len(), "ends at {cut}");
        }
        let each: Vec<usize> = (1..bytes.len()).collect();
        assert_eq!(decode_cut(new(), bytes, &each), whole);
    }
    all_cuts(support::hello, &answer().encode().unwrap());
    let question = Question {
        client: b"x 1".to_vec(),
    };
    all_cuts(
        support::opening,
        &Opening::Hello(question).encode().unwrap(),
    );
    all_cuts(support::opening, &Opening::Job(launch()).encode().unwrap());
    all_cuts(support::request, &launch().encode().unwrap());
}

#[test]
fn what_would_shift_the_lines_cannot_be_said() {
    for value in ["a\nb", "a\0b"] {
        let hello = Hello {
            daemon: value.into(),
            ..answer()
        };
        assert!(matches!(hello.encode(), Err(ProtocolError::Unsendable(_))));
        let client = value.into();
        assert!(Question { client }.encode().is_err());
    }
    for value in ["a\tb", "a\nb"] {
        let hello = Hello {
            compilers: vec![compiler(value)],
            ..answer()
        };
        assert!(hello.encode().is_err());
    }
}

#[test]
fn a_launch_job_has_a_directory_and_one_compressed_source() {
    let job = launch();
    let bytes = job.encode().unwrap();
    assert!(bytes.starts_with(b"DIST64636c01CDIR0000000b/home/ann/xARGC00000003ARGV00000003gcc"));
    assert_eq!(decode(support::request(), &bytes), Ok((job.clone(), 0)));
    assert!(
        Request {
            cwd: None,
            ..job.clone()
        }
        .encode()
        .is_err()
    );
    let plain = Source::Preprocessed(Body::Plain(b"int x;\n".to_vec()));
    assert!(
        Request {
            source: plain,
            ..job.clone()
        }
        .encode()
        .is_err()
    );
    assert!(
        Request {
            source: Source::Closure(Vec::new()),
            ..job
        }
        .encode()
        .is_err()
    );

    let outcome = Outcome {
        version: Version::Launch,
        status: WaitStatus::SUCCESS,
        stderr: Body::empty(Version::Launch),
        stdout: Body::empty(Version::Launch),
        object: Body::pack(Version::Launch, b"object".to_vec()),
        depfile: None,
    };
    let bytes = outcome.encode().unwrap();
    assert!(bytes.starts_with(b"DONE64636c01STAT00000000SERR00000000SOUT00000000DOTO"));
    let decoder = OutcomeDecoder::new(Version::Launch, Limits::for_launcher());
    assert_eq!(decode(decoder, &bytes), Ok((outcome, 0)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_hello_goes_round(
        daemon in "[^\0\n]{0,20}",
        versions in prop::collection::vec(any::<u32>(), 0..4),
        jobs in any::<Option<u32>>(),
        names in prop::collection::vec((("[^\0\n\t]{1,9}", "[^\0\n\t]{0,9}", "[^\0\n\t]{0,9}"), prop::option::of("[^\0\n\t]{0,9}")), 0..5),
        all_compilers in any::<bool>(),
        clock in any::<Option<u64>>(),
        load in any::<Option<(u32, u32)>>(),
    ) {
        let compilers = names.into_iter().map(|((name, ident, triple), preincluded)| Compiler {
            name: name.into(),
            ident: ident.into(),
            triple: triple.into(),
            preincluded: preincluded.map(Into::into),
        });
        let load = load.map(|(free, queue)| Load { free, queue });
        let hello = Hello { daemon: daemon.into(), load, versions, jobs, compilers: compilers.collect(), all_compilers, clock };
        prop_assert_eq!(decode(support::hello(), &hello.encode().unwrap()), Ok((hello, 0)));
    }

    #[test]
    fn any_text_is_a_hello_or_an_error(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let named = [b"daemon x\n", &text[..]].concat();
        prop_assert_eq!(Hello::read(&named).is_ok(), !text.contains(&0));
    }
}
