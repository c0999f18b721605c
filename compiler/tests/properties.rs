//! What holds for every command, odd bytes included.

use compiler::{
    Family, Surroundings, Verdict, classify, names, object, remote, response, table, target, text,
    words,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The rules by which a stock daemon takes a command, and the place where it would put its own source file.
mod stock {
    /// Why a stock daemon closes the connection on these words, or nothing.
    pub(crate) fn refuses(args: &[&[u8]]) -> Option<&'static str> {
        let (mut object, mut assembly, mut source, mut output) = (false, false, None, None);
        let mut at = 0;
        while let Some(&arg) = args.get(at) {
            at += 1;
            match arg {
                b"-E" => return Some("-E"),
                b"-MD" | b"-MMD" | b"-MG" | b"-MP" => {}
                b"-MF" | b"-MT" | b"-MQ" => at += 1,
                b"-march=native" | b"-mtune=native" => return Some("native"),
                b"-S" => assembly = true,
                b"-c" => object = true,
                b"-flto" | b"-frepo" => return Some("an option that 3.4 refuses"),
                b"-fprofile-arcs"
                | b"-ftest-coverage"
                | b"--coverage"
                | b"-fprofile-correction" => return Some("coverage"),
                b"-x"
                    if args.get(at).is_some_and(|next| {
                        next.starts_with(b"c") || next.starts_with(b"objective-c")
                    }) =>
                {
                    at += 1
                }
                b"-o" => {
                    if output.replace(args.get(at)?).is_some() {
                        return Some("two outputs");
                    }
                    at += 1;
                }
                _ if [&b"-MF"[..], b"-MT", b"-MQ"]
                    .iter()
                    .any(|start| arg.starts_with(start)) => {}
                _ if arg.starts_with(b"-M") => return Some("-M…"),
                _ if arg.starts_with(b"-Wa,") => {
                    let contains = |part: &[u8]| arg.windows(part.len()).any(|w| w == part);
                    if contains(b",-a") || contains(b"--MD") {
                        return Some("a listing");
                    }
                }
                _ if [
                    &b"-fprofile-generate"[..],
                    b"-fprofile-use",
                    b"-fauto-profile",
                    b"-specs=",
                    b"-dr",
                    b"-x",
                ]
                .iter()
                .any(|start| arg.starts_with(start)) =>
                {
                    return Some("an option that stays");
                }
                _ if arg.starts_with(b"-o") => return Some("read as an output"),
                _ if arg.starts_with(b"-") => {}
                _ if is_source(arg) && source.replace(arg).is_some() => return Some("two sources"),
                _ if is_source(arg) => {}
                _ if arg.ends_with(b".o") => return Some("two outputs"),
                _ => {}
            }
        }
        let base = source?.rsplit(|&b| b == b'/').next()?;
        match () {
            _ if !object && !assembly => Some("no -c"),
            _ if base.starts_with(b"conftest.") || base.starts_with(b"tmp.conftest.") => {
                Some("conftest")
            }
            _ if output == Some(&&b"-"[..]) => Some("-o -"),
            _ => None,
        }
    }

    pub(crate) fn is_source(arg: &[u8]) -> bool {
        const SUFFIXES: &[&[u8]] = &[
            b"i", b"ii", b"c", b"cc", b"cpp", b"cxx", b"cp", b"c++", b"C", b"m", b"mm", b"mi",
            b"mii", b"M",
        ];
        let dot = arg.iter().rposition(|&b| b == b'.');
        dot.is_some_and(|dot| SUFFIXES.contains(&&arg[dot + 1..]))
    }
}

/// A word of a command: an option that some table knows, with or without something after it, a file, or anything at all.
fn word() -> impl Strategy<Value = OsString> {
    let rows: Vec<&'static str> = [Family::Gcc, Family::Clang]
        .iter()
        .flat_map(|f| table::Table::of(*f).rows())
        .map(|row| row.name)
        .collect();
    let tail = prop_oneof![
        Just(""),
        Just("x"),
        Just("=1"),
        Just("a.c"),
        Just("native"),
        Just(",-a"),
        Just("-MD,x.d"),
        Just("0")
    ];
    let file = prop_oneof![
        Just("a.c"),
        Just("b.cc"),
        Just("x.o"),
        Just("-"),
        Just("dir/a.i"),
        Just("a"),
        Just("m.mm"),
        Just(".c"),
        Just("lib.a"),
        Just("@r"),
        Just("c"),
        Just("c++"),
        Just("none"),
        Just("-c"),
        Just("-S"),
        Just("-o"),
        Just("-x"),
        Just("-E"),
        Just("--"),
    ];
    prop_oneof![
        3 => (prop::sample::select(rows), tail).prop_map(|(name, tail)| OsString::from(format!("{name}{tail}"))),
        4 => file.prop_map(OsString::from),
        1 => prop::collection::vec(any::<u8>(), 0..12).prop_map(OsString::from_vec),
    ]
}

/// A command that is likely to be a job: harmless options around one source.
fn likely_job() -> impl Strategy<Value = Vec<OsString>> {
    let option = prop_oneof![
        Just("-O2"),
        Just("-g"),
        Just("-DX=y.c"),
        Just("-I x.c"),
        Just("-include b.c"),
        Just("-MD"),
        Just("-MMD"),
        Just("-MF d.d"),
        Just("-Wall"),
        Just("-flto"),
        Just("-fPIC"),
        Just("-Xassembler -L"),
        Just("--param a=1"),
        Just("-Wl,-z,now"),
        Just("-lm"),
        Just("-frandom-seed=q.c"),
        Just("-Wp,-MD,y.d"),
        Just("-P"),
        Just("-m32"),
        Just("-pipe"),
        Just("-MT t.o"),
        Just("-std=c++17"),
        Just("-fnosuch"),
        Just("-Wa,--noexecstack"),
        Just("-fno-ident"),
        Just("-L x.o"),
        Just("-z now"),
        Just("-T s.c"),
    ];
    let language = prop_oneof![4 => Just(""), 1 => Just("-x c++"), 1 => Just("-xc"), 1 => Just("-x cpp-output")];
    let source = prop_oneof![
        Just("a.c"),
        Just("d/b.cpp"),
        Just("e.CPP"),
        Just("f.ii"),
        Just("noext"),
        Just(".c"),
        Just("g.mm")
    ];
    let output = prop_oneof![
        Just(""),
        Just("-o x.o"),
        Just("-oy/z.o"),
        Just("--output=w"),
        Just("-o q.c")
    ];
    (
        prop::collection::vec(option, 0..8),
        language,
        source,
        output,
        prop_oneof![Just("-c"), Just("-S")],
    )
        .prop_map(|(options, language, source, output, stage)| {
            let line = format!("{} {language} {stage} {source} {output}", options.join(" "));
            response::split(line.as_bytes())
        })
}

fn check_job(family: Family, cxx: bool, args: &[OsString]) -> Result<bool, TestCaseError> {
    let about = Surroundings::new(OsStr::new("/w/d"));
    let Verdict::Distribute(job) = classify(family, cxx, args, &about) else {
        return Ok(false);
    };
    let sent = job.remote_args();
    let bytes: Vec<&[u8]> = sent.iter().map(|word| word.as_bytes()).collect();
    prop_assert_eq!(stock::refuses(&bytes), None, "{:?}", sent);
    let first = if bytes[0] == b"-x" { 2 } else { 0 };
    prop_assert!(
        stock::is_source(bytes[first]),
        "the source comes first: {:?}",
        sent
    );

    // Stripping twice equals once.
    let Verdict::Distribute(again) = classify(family, cxx, &sent, &about) else {
        return Err(TestCaseError::fail(format!("what is sent stays: {sent:?}")));
    };
    prop_assert_eq!(again.remote_args(), sent.clone());
    prop_assert_eq!(
        again.language().preprocessed(),
        job.language().preprocessed()
    );
    prop_assert_eq!(again.output(), job.output());

    // Our daemon takes it and finds the same names.
    let checked = remote::check(family, cxx, &sent);
    let Ok(checked) = checked else {
        return Err(TestCaseError::fail(format!("{checked:?} for {sent:?}")));
    };
    prop_assert_eq!(checked.source, first);
    prop_assert_eq!(checked.output, remote::OutputAt::Word(first + 3));
    prop_assert_eq!(checked.language, job.language().preprocessed());
    prop_assert_eq!(checked.product, job.product());

    // The preprocessor's words preprocess, and name no output.
    if let Some(args) = job.preprocess_args() {
        let verdict = classify(family, cxx, &args, &about);
        prop_assert!(
            matches!(verdict, Verdict::RunHere(compiler::Reason::Preprocesses)),
            "{:?}",
            args
        );
        let outputs = words::read(family, &args)
            .iter()
            .filter(|w| w.effect() == Some(table::Effect::Output))
            .count();
        prop_assert_eq!(outputs, 0, "{:?}", args);
    }
    Ok(true)
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::Gcc), Just(Family::Clang)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_command_gets_a_verdict(family in family(), cxx: bool, args in prop::collection::vec(word(), 0..12)) {
        check_job(family, cxx, &args)?;
        let _ = remote::check(family, cxx, &args);
    }

    #[test]
    fn jobs_pass_the_scanner_of_stock_daemons(family in family(), cxx: bool, args in likely_job()) {
        check_job(family, cxx, &args)?;
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300), elf: bool) {
        let bytes = if elf { [&b"\x7fELF\x02\x01"[..], &bytes].concat() } else { bytes };
        let facts = object::inspect(&bytes);
        prop_assert!(facts.is_err() || facts.is_ok_and(|facts| facts.comments.len() <= object::MAX_COMMENTS));
        let ident = object::ident_of_assembly(&bytes);
        prop_assert!(ident.is_none_or(|ident| ident.len() < bytes.len()));
        let _ = (text::ties_here(&bytes), names::guess(&bytes), names::is_implicit(&bytes));
        let _ = target::elf_of(&bytes, &[OsStr::from_bytes(&bytes)]);
    }

    #[test]
    fn quoting_and_splitting_gives_the_words_back(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..8)) {
        let mut file = Vec::new();
        for word in &words {
            file.push(b'"');
            file.extend(word.iter().flat_map(|&b| [b'\\', b]));
            file.extend(b"\" ");
        }
        let split: Vec<Vec<u8>> = response::split(&file).into_iter().map(OsString::into_vec).collect();
        prop_assert_eq!(split, words);
    }

    #[test]
    fn expansion_ends(files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 3)) {
        let mut reads = 0;
        let mut read = |name: &OsStr| {
            reads += 1;
            let index = usize::from(*name.as_bytes().first()?);
            if reads > 1000 { None } else { files.get(index % 5).cloned() }
        };
        let words = vec![OsString::from("@\u{0}"), OsString::from("@\u{1}x"), OsString::from("plain")];
        let expanded = response::expand(words, &mut read);
        prop_assert!(expanded.is_err() || expanded.is_ok_and(|words| words.len() <= response::MAX_WORDS));
    }
}

#[test]
fn likely_jobs_are_jobs() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut jobs = 0;
    for _ in 0..200 {
        let args = likely_job()
            .new_tree(&mut runner)
            .expect("a command")
            .current();
        jobs += usize::from(check_job(Family::Gcc, false, &args).expect("holds"));
    }
    assert!(jobs > 100, "{jobs} of 200");
}
