//! What is encoded decodes to what it was.

mod support;

use proptest::prelude::*;
use protocol::{
    Body, Coding, Content, Entry, Opening, Outcome, Request, Source, Version, WaitStatus,
    closure_talk,
    include_talk::{Answer, Question},
    lzo, request,
};
use support::{Decoder, decode};

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1..=255u8, 0..40)
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(word(), 1..12)
}

/// Any bytes: the codec does not look into bodies.
fn body(coding: Coding) -> impl Strategy<Value = Body> {
    let sizes = prop_oneof![4 => 0..200usize, 1 => 4000..9000usize, 1 => 65_000..140_000usize];
    (sizes, any::<u8>()).prop_map(move |(len, seed)| {
        Body::received(
            coding,
            (0..len)
                .map(|place| (place as u8).wrapping_mul(seed))
                .collect(),
        )
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let content = prop_oneof![
        body(Coding::Lzo).prop_map(Content::File),
        word().prop_map(Content::Link)
    ];
    (word(), content).prop_map(|(name, content)| Entry { name, content })
}

fn any_request() -> impl Strategy<Value = Request> {
    let plain = |version: Version| {
        (words(), body(version.coding())).prop_map(move |(argv, body)| Request {
            version,
            cwd: None,
            argv,
            source: Source::Preprocessed(body),
        })
    };
    let pump =
        (word(), words(), prop::collection::vec(entry(), 0..5)).prop_map(|(cwd, argv, entries)| {
            Request {
                version: Version::Pump,
                cwd: Some(cwd),
                argv,
                source: Source::Closure(entries),
            }
        });
    let tree_entry = prop_oneof![
        entry(),
        word().prop_map(|name| Entry {
            name,
            content: Content::Folder
        })
    ];
    let tree = (
        word(),
        words(),
        word(),
        body(Coding::Lzo),
        prop::collection::vec(tree_entry, 0..5),
    )
        .prop_map(|(cwd, argv, environment, system, entries)| Request {
            version: Version::Tree,
            cwd: Some(cwd),
            argv,
            source: Source::Tree {
                environment,
                system,
                entries,
            },
        });
    let launch = (word(), plain(Version::Lzo)).prop_map(|(cwd, request)| Request {
        version: Version::Launch,
        cwd: Some(cwd),
        ..request
    });
    prop_oneof![
        plain(Version::Plain),
        plain(Version::Lzo),
        pump,
        launch,
        tree
    ]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let status = prop_oneof![Just(WaitStatus::SUCCESS), any::<u32>().prop_map(WaitStatus)];
    (prop::sample::select(&Version::ALL[..]), status)
        .prop_flat_map(|(version, status)| {
            let body = || body(version.coding());
            (Just(version), Just(status), body(), body(), body(), body())
        })
        .prop_map(
            |(version, status, stderr, stdout, object, depfile)| Outcome {
                version,
                status,
                stderr,
                stdout,
                object: if status.success() {
                    object
                } else {
                    Body::empty(version)
                },
                depfile: (status.success() && version.has_closure()).then_some(depfile),
            },
        )
}

fn goes_round<D: Decoder>(decoder: D, value: &D::Value) -> Result<(), TestCaseError> {
    let bytes = D::encode(value).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(decode(decoder, &bytes), Ok((value.clone(), 0)));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests(value in any_request()) {
        goes_round(support::request(), &value)?;
        goes_round(support::opening(), &Opening::Job(value.clone()))?;
        let head = request::encode_head(value.version, value.cwd.as_deref(), value.argv.iter().map(Vec::as_slice));
        prop_assert!(value.encode().is_ok_and(|bytes| head.is_ok_and(|head| bytes.starts_with(&head))));
    }

    #[test]
    fn outcomes(value in any_outcome()) {
        goes_round(support::outcome(value.version), &value)?;
    }

    #[test]
    fn questions(cwd in word(), argv in words()) {
        goes_round(support::question(), &Question { cwd, argv })?;
    }

    #[test]
    fn closure_questions(form in 0..3usize, cwd in word(), argv in words()) {
        use closure_talk::Form;
        let form = [Form::Stock, Form::Tree, Form::WholeTree][form];
        goes_round(support::closure_question(), &closure_talk::Question { form, cwd, argv })?;
    }

    #[test]
    fn closure_answers(flags: u32, size: u32, reason in word()) {
        let flags = closure_talk::Flags(flags);
        goes_round(support::closure_answer(), &closure_talk::Answer::Files { flags, size })?;
        goes_round(support::closure_answer(), &closure_talk::Answer::Refused(reason))?;
    }

    #[test]
    fn answers(paths in prop::collection::vec(word(), 0..12)) {
        goes_round(support::answer(), &Answer { paths })?;
    }

    #[test]
    fn content(content in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..1500), cut in 0..2000usize) {
        for version in Version::ALL {
            let body = Body::pack(version, content.clone());
            prop_assert_eq!(body.wire().is_empty(), content.is_empty());
            prop_assert_eq!(body.clone().unpack(content.len()), Ok(content.clone()));
            prop_assert_eq!(body.unpack(cut).is_ok(), cut >= content.len());
        }
        let mut block = Vec::new();
        lzo::compress(&content, &mut block);
        for end in 0..block.len() {
            prop_assert_eq!(lzo::decompress(&block[..end], &mut Vec::new(), 1 << 20), Err(lzo::Error::Truncated));
        }
        block.push(0);
        prop_assert_eq!(lzo::decompress(&block, &mut Vec::new(), 1 << 20), Err(lzo::Error::TrailingData));
    }
}
