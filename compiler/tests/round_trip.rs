//! Real compilers: preprocess here, compile there as a stock daemon does it, and compare with a local compile of the same command.
//!
//! "There" is an empty folder, the text under a temporary name, the words those of `remote_args` with source and output replaced.

use compiler::{
    Family, Job, Manner, Reason, Surroundings, Verdict, classify, messages, names, object, remote,
    response, target, text,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cases whose result may differ in plain mode; what is left of each is named.
fn may_differ(id: &str) -> Option<&'static str> {
    let debug = ["g:", "clg:", "g-sub"]
        .iter()
        .any(|start| id.starts_with(start));
    match id {
        "more:ubsan" | "more:clang-ubsan" => Some("columns that sanitizers write"),
        _ if debug => Some("columns in debug information: the text is preprocessed"),
        "fallthrough-Werror" | "clang-parens" => Some("warnings by comments and macros"),
        "warn-col" | "warn-macro" | "gcc-colors" | "cl:-Rpass=inline" => {
            Some("columns and excerpts in messages")
        }
        _ => None,
    }
}

/// Lines of our own, in the form of the collection.
const MORE: &str = r#"{"id": "more:wrong-language", "argv": ["g++", "-Wstrict-prototypes", "-Wall", "-c", "x.cc", "-o", "x.o"]}
{"id": "more:wrong-language-colour", "argv": ["g++", "-fdiagnostics-color=always", "-Wstrict-prototypes", "-c", "x.cc", "-o", "x.o"]}
{"id": "more:gxx-c-text", "argv": ["g++", "-x", "c", "-c", "x.c", "-o", "x.o"]}
{"id": "more:clangxx-c-text", "argv": ["clang++", "-x", "c", "-O2", "-c", "x.c", "-o", "x.o"]}
{"id": "more:clang-unused", "argv": ["clang", "-Wl,-z,now", "-lm", "-L.", "-Wno-frobnicate", "-c", "x.c", "-o", "x.o"]}
{"id": "more:clang-unused-i", "argv": ["clang", "-I.", "-MD", "-DX", "-c", "e.i", "-o", "x.o"]}
{"id": "more:clang-stats", "argv": ["clang", "-fcs-profile-generate", "-O2", "-c", "x.c"]}
{"id": "more:m32", "argv": ["gcc", "-m32", "-c", "noinc.c"]}
{"id": "more:mx32", "argv": ["gcc", "-mx32", "-c", "noinc.c", "-o", "q.lo"]}
{"id": "more:clang-m32", "argv": ["clang", "-m32", "-c", "noinc.c"]}
{"id": "more:latin1", "argv": ["gcc", "-finput-charset=latin1", "-c", "x.c"]}
{"id": "more:charset", "argv": ["gcc", "-fexec-charset=UTF-16", "-fwide-exec-charset=UTF-16", "-c", "noinc.c"]}
{"id": "more:env-deps", "argv": ["gcc", "-c", "x.c", "-o", "sub/x.o"]}
{"id": "more:long-f", "argv": ["gcc", "--omit-frame-pointer", "--machine-avx2", "--std=gnu99", "-c", "noinc.c"]}
{"id": "more:seed", "argv": ["gcc", "-O2", "-frandom-seed=x.c", "-flto", "-c", "x.c"]}
{"id": "more:fat", "argv": ["gcc", "-O2", "-frandom-seed=x.c", "-flto", "-ffat-lto-objects", "-c", "x.c"]}
{"id": "more:verbose", "argv": ["gcc", "-O2", "-fverbose-asm", "-c", "x.c"]}
{"id": "more:switches", "argv": ["gcc", "-O2", "-frecord-gcc-switches", "-DQ", "-c", "x.c"]}
{"id": "more:clang-S", "argv": ["clang", "-O2", "-S", "x.c"]}
{"id": "more:clang-ll", "argv": ["clang", "-O2", "-S", "-emit-llvm", "x.c"]}
{"id": "more:objcxx", "argv": ["g++", "-x", "objective-c++", "-c", "x.cc", "-o", "x.o"]}
{"id": "more:ubsan", "argv": ["gcc", "-fsanitize=undefined", "-c", "x.c"]}
{"id": "more:asan", "argv": ["gcc", "-fsanitize=address", "-O1", "-c", "x.c"]}
{"id": "more:clang-ubsan", "argv": ["clang", "-fsanitize=undefined", "-c", "x.c"]}
{"id": "more:sancov", "argv": ["clang", "-fsanitize=address", "-fsanitize-coverage=trace-pc-guard", "-O1", "-c", "x.c"]}
{"id": "more:i-no-marker", "argv": ["gcc", "-x", "cpp-output", "-c", "noinc.c"]}
{"id": "more:clang-i-no-marker", "argv": ["clang", "-x", "cpp-output", "-c", "noinc.c"]}
{"id": "more:no-ident", "argv": ["clang", "-fno-ident", "-c", "x.c"]}
{"id": "more:archive", "argv": ["gcc", "-c", "x.c", "liba.a"]}"#;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/cases/equivalence")
}

/// A fresh copy of the tree under a path of the same length and name as every other copy.
struct Space {
    root: tempfile::TempDir,
}

impl Space {
    fn new() -> Space {
        let root = tempfile::tempdir().expect("a temporary folder");
        Space { root }
    }

    fn fill(&self) -> PathBuf {
        let space = self.root.path().join("space");
        let _ = std::fs::remove_dir_all(&space);
        let copied = Command::new("cp")
            .arg("-r")
            .arg(folder().join("tree"))
            .arg(&space)
            .status();
        assert!(copied.expect("cp runs").success());
        space
    }
}

fn run(program: &OsStr, args: &[OsString], cwd: &Path, case: &Value) -> Output {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(cwd)
        .env("LC_ALL", "C")
        .env("PWD", cwd)
        .stdin(Stdio::null());
    if let Some(env) = case["env"].as_object() {
        command.envs(
            env.iter()
                .map(|(name, value)| (name, value.as_str().expect("values are strings"))),
        );
    }
    command.output().expect("the compiler runs")
}

/// Every file below `root` with its bytes.
fn files(root: &Path, below: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(root.join(below)).expect("a folder of the copy") {
        let name = below.join(entry.expect("an entry").file_name());
        let path = root.join(&name);
        if path.is_dir() {
            files(root, &name, found);
        } else {
            found.insert(name, std::fs::read(path).unwrap_or_default());
        }
    }
}

fn snapshot(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    files(root, Path::new(""), &mut found);
    found
}

/// What a stock daemon makes of the words: the first word with a source suffix and the first output are replaced.
fn as_stock_runs_it(words: &[OsString], there: &Path, text: &[u8]) -> (Vec<OsString>, PathBuf) {
    let mut words = words.to_vec();
    let source_at = words
        .iter()
        .position(|word| stock_suffix(word).is_some())
        .expect("a word with a source suffix");
    let suffix = stock_suffix(&words[source_at]).expect("found by it");
    let source = there.join(format!("distccd_1a2b3c4d.{suffix}"));
    std::fs::write(&source, text).expect("the text fits");
    words[source_at] = source.into();
    let output = there.join("distccd_5e6f7a8b.o");
    let output_at = words
        .iter()
        .position(|word| word == "-o")
        .expect("-o is there");
    words[output_at + 1] = output.clone().into();
    (words, output)
}

fn stock_suffix(word: &OsStr) -> Option<&'static str> {
    let suffix = word.as_bytes().rsplit(|&b| b == b'.').next()?;
    Some(match suffix {
        b"c" | b"i" => "i",
        b"cc" | b"cpp" | b"cxx" | b"cp" | b"c++" | b"C" | b"ii" => "ii",
        b"m" | b"mi" => "mi",
        b"mm" | b"mii" | b"M" => "mii",
        b"s" => "s",
        _ => return None,
    })
}

/// What differs between a local compile and one that went away; `Ok(false)` when it did not go or would have fallen back.
fn compare(case: &Value, space: &Space) -> Result<bool, String> {
    let here = space.fill();
    let argv = case["argv"].as_array().expect("argv is an array").iter();
    let mut words: Vec<OsString> = argv
        .map(|word| {
            word.as_str()
                .expect("words are strings")
                .replace("$D", here.to_str().expect("UTF-8"))
                .into()
        })
        .collect();
    let program = words.remove(0);
    let mut read = |name: &OsStr| std::fs::read(here.join(name)).ok();
    let expanded = response::expand(words.clone(), &mut read).expect("response files are small");
    let Some(guess) = names::guess(names::base(program.as_bytes())) else {
        return Ok(false);
    };
    let family = guess.family.unwrap_or(Family::Gcc);
    let mut about = Surroundings::new(here.as_os_str());
    about.search_environment = case["env"].get("COMPILER_PATH").is_some();
    about.assembler_goes = true;
    let Verdict::Distribute(job) = classify(family, guess.cxx, &expanded, &about) else {
        return Ok(false);
    };
    let printed = job.depfile().is_some_and(|depfile| depfile.is_printed());
    let expanded_will_do = job
        .manners(false, b"")
        .is_ok_and(|manners| manners.contains(&Manner::Expanded))
        && job.can_go_in(Manner::Expanded);
    if printed || !expanded_will_do {
        // These need a daemon of ours, or a launcher that prints: `tests` has them.
        return Ok(false);
    }

    prepare(case, &here);
    let before = snapshot(&here);
    let local = run(&program, &words, &here, case);
    let mut wanted = snapshot(&here);
    wanted.retain(|name, bytes| before.get(name) != Some(bytes));

    space.fill();
    prepare(case, &here);
    let before = snapshot(&here);
    let Some(text) = preprocessed(&program, &job, &here, case)? else {
        return Ok(false);
    };
    let there = space.root.path().join("there");
    let _ = std::fs::remove_dir_all(&there);
    std::fs::create_dir(&there).expect("a new folder");
    let (remote_words, product) = as_stock_runs_it(&job.remote_args(), &there, &text.stdout);
    let remote = run(&program, &remote_words, &there, case);
    if !remote.status.success() {
        // A failure there is compiled again here: equal, if wasted.
        return if local.status.success() {
            Err(format!("fails there: {}", remote.stderr.escape_ascii()))
        } else {
            Ok(false)
        };
    }
    if !local.status.success() {
        return if Path::new(job.output())
            .parent()
            .is_some_and(|dir| !here.join(dir).is_dir())
            || here.join(job.output()).is_dir()
        {
            Ok(false)
        } else {
            Err("fails here only".into())
        };
    }
    std::fs::copy(&product, here.join(job.output())).expect("the product is there");
    let mut got = snapshot(&here);
    got.retain(|name, bytes| before.get(name) != Some(bytes));
    differences(&job, &wanted, &got)?;
    check_facts(&job, &got)?;
    let said = [
        messages::without_repeats(&text.stderr, &remote.stderr).concat(),
        remote.stderr,
    ]
    .concat();
    if said != local.stderr {
        return Err(format!(
            "says {:?} for {:?}",
            said.escape_ascii().to_string(),
            local.stderr.escape_ascii().to_string()
        ));
    }
    daemon_agrees(
        family,
        guess.cxx,
        &program,
        &job,
        &there,
        case,
        &text.stdout,
        &product,
    )
}

fn prepare(case: &Value, here: &Path) {
    for step in case["pre"].as_array().into_iter().flatten() {
        let step = step.as_str().expect("steps are strings");
        let done = Command::new("sh")
            .args(["-c", step])
            .current_dir(here)
            .output()
            .expect("sh runs");
        assert!(done.status.success(), "{step}");
    }
}

fn preprocessed(
    program: &OsStr,
    job: &Job<'_>,
    here: &Path,
    case: &Value,
) -> Result<Option<Output>, String> {
    let Some(args) = job.preprocess_args() else {
        let mut bytes = std::fs::read(here.join(job.source())).expect("the source is there");
        if let Some(mut head) = text::head(job, &bytes) {
            head.append(&mut bytes);
            bytes = head;
        }
        return Ok(Some(Output {
            status: Default::default(),
            stdout: bytes,
            stderr: Vec::new(),
        }));
    };
    let text = run(program, &args, here, case);
    let tied = text::ties_here(&text.stdout) == Some(Reason::SourceReadsFiles);
    Ok((text.status.success() && !tied).then_some(text))
}

fn differences(
    job: &Job<'_>,
    wanted: &BTreeMap<PathBuf, Vec<u8>>,
    got: &BTreeMap<PathBuf, Vec<u8>>,
) -> Result<(), String> {
    if let Some(depfile) = job.depfile()
        && !wanted.contains_key(
            Path::new(&depfile.path)
                .strip_prefix(".")
                .unwrap_or(Path::new(&depfile.path)),
        )
    {
        return Err(format!("no depfile at {:?}", depfile.path));
    }
    let (wanted_names, got_names): (Vec<_>, Vec<_>) =
        (wanted.keys().collect(), got.keys().collect());
    if wanted_names != got_names {
        return Err(format!("leaves {got_names:?} for {wanted_names:?}"));
    }
    match wanted.iter().find(|(name, bytes)| got[*name] != **bytes) {
        // gcc gives link-time optimization sections random names.
        Some((name, _)) if lto(job) && name.as_os_str() == job.output() => Ok(()),
        Some((name, _)) => Err(format!("bytes of {name:?}")),
        None => Ok(()),
    }
}

fn lto(job: &Job<'_>) -> bool {
    job.family() == Family::Gcc
        && job
            .args()
            .iter()
            .any(|arg| arg.as_bytes().starts_with(b"-flto"))
}

/// The facts of the product are those that the job foretold.
fn check_facts(job: &Job<'_>, got: &BTreeMap<PathBuf, Vec<u8>>) -> Result<(), String> {
    let bytes = &got[Path::new(job.output())];
    if job.product() == compiler::Product::Assembly {
        let named = object::ident_of_assembly(bytes).is_some();
        return if named == job.expects_ident() || !job.expects_elf() {
            Ok(())
        } else {
            Err("ident".into())
        };
    }
    let facts = match object::inspect(bytes) {
        Ok(facts) => facts,
        Err(object::ObjectError::Bitcode) if !job.expects_elf() => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if job.expects_ident() == facts.comments.is_empty() {
        return Err(format!(
            "expects_ident is {}, comments {:?}",
            job.expects_ident(),
            facts.comments
        ));
    }
    match target::elf_of(b"x86_64-linux-gnu", &job.target_words()) {
        Some(header) if header == facts.header => Ok(()),
        other => Err(format!("header {:?}, foretold {other:?}", facts.header)),
    }
}

/// Our daemon reads the same words and makes the same product.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that a daemon is given"
)]
fn daemon_agrees(
    family: Family,
    cxx: bool,
    program: &OsStr,
    job: &Job<'_>,
    there: &Path,
    case: &Value,
    text: &[u8],
    product: &Path,
) -> Result<bool, String> {
    let words = job.remote_args();
    let checked = remote::check(family, cxx, &words)
        .map_err(|error| format!("our daemon refuses: {error}"))?;
    let source = there.join(format!(
        "distccd_1a2b3c4d.{}",
        checked.language.preprocessed_suffix()
    ));
    std::fs::write(&source, text).expect("the text fits");
    let output = there.join("ours.o");
    let args = checked.args_for(&words, source.as_os_str(), output.as_os_str());
    let done = run(program, &args, there, case);
    if !done.status.success() {
        return Err(format!(
            "fails in our daemon: {}",
            done.stderr.escape_ascii()
        ));
    }
    match lto(job) || std::fs::read(output).ok() == std::fs::read(product).ok() {
        true => Ok(true),
        false => Err("our daemon's product differs from stock's".into()),
    }
}

#[test]
fn jobs_that_go_out_come_back_as_if_compiled_here() {
    let text = std::fs::read_to_string(folder().join("cases.jsonl"))
        .expect("the collection is in the tree");
    let only = std::env::var("CASES").unwrap_or_default();
    let cases: Vec<Value> = text
        .lines()
        .chain(MORE.lines())
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let next = AtomicUsize::new(0);
    let walk = || {
        let space = Space::new();
        let (mut went, mut wrong) = (0, Vec::new());
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let id = case["id"].as_str().expect("cases have ids");
            if !id.contains(&only) {
                continue;
            }
            match compare(case, &space) {
                Ok(sent) => went += usize::from(sent),
                Err(_) if may_differ(id).is_some() => went += 1,
                Err(what) => wrong.push(format!("{id}: {what}")),
            }
        }
        (went, wrong)
    };
    let walked: Vec<(usize, Vec<String>)> = std::thread::scope(|scope| {
        let walkers: Vec<_> = (0..4).map(|_| scope.spawn(walk)).collect();
        walkers
            .into_iter()
            .map(|walker| walker.join().expect("no walker panics"))
            .collect()
    });
    let went: usize = walked.iter().map(|(went, _)| went).sum();
    let wrong: Vec<String> = walked.into_iter().flat_map(|(_, wrong)| wrong).collect();
    println!("{went} went out and came back");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(went > 150 || !only.is_empty(), "only {went}");
}
