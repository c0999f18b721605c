//! The collections of include sets (tests/data/cases/includes.json and includes-own.json): each closure holds exactly the files that the compiler opened.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use includes::{Config, Includes, Question};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A collection in tests/data.
fn collection(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/cases");
    let text = fs::read_to_string(Path::new(folder).join(name)).expect("it is in tests/data");
    serde_json::from_str(&text).expect("it is JSON")
}

fn lay_out(files: &Value, root: &Path) {
    for (name, content) in files.as_object().expect("files are an object") {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).unwrap();
        let fill =
            |text: &str| text.replace("$ROOT", root.to_str().expect("temporary paths are UTF-8"));
        if let Some(text) = content.as_str() {
            fs::write(&path, fill(text)).unwrap();
        } else if let Some(target) = content["symlink"].as_str() {
            let _ = fs::remove_file(&path);
            symlink(fill(target), &path).unwrap();
        } else if let Some(lines) = content["lines"].as_u64() {
            let text: String = (0..lines).map(|i| format!("#define X{i} {i}\n")).collect();
            fs::write(&path, text).unwrap();
        } else {
            let text = content["latin1"].as_str().expect("latin-1 text");
            let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
            fs::write(&path, bytes).unwrap();
        }
    }
}

fn words(list: &Value, root: &Path) -> Vec<OsString> {
    list.as_array()
        .expect("words are an array")
        .iter()
        .map(|word| {
            let word = word.as_str().expect("words are text");
            OsString::from(word.replace("$ROOT", root.to_str().unwrap()))
        })
        .collect()
}

/// The files of the answer that stand for themselves, by their real names, or the refusal.
fn answer(
    includes: &Includes,
    directory: &Path,
    words: &[OsString],
) -> Result<BTreeSet<PathBuf>, String> {
    let question = Question {
        directory,
        words,
        environment: &[],
    };
    let closure = includes
        .closure(&question)
        .map_err(|refusal| refusal.to_string())?;
    for file in &closure.files {
        assert_eq!(
            fs::read(&file.real).unwrap(),
            file.bytes[..],
            "{}",
            file.real.display()
        );
    }
    let own = closure.files.iter().filter(|file| !file.system);
    Ok(own.map(|file| file.real.clone()).collect())
}

#[test]
fn closures_are_exactly_what_the_compiler_opens() {
    assert_exact("includes.json", 115);
}

#[test]
fn so_are_those_of_our_own_cases() {
    assert_exact("includes-own.json", 110);
}

fn assert_exact(name: &str, least: usize) {
    let collection = collection(name);
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in collection["cases"].as_array().unwrap() {
        let skipped = case.get("files").is_none()
            || case
                .get("prep")
                .is_some_and(|prep| !prep.is_null() && prep != "")
            || case["compiler_exit"] != 0;
        if skipped {
            continue;
        }
        count += 1;
        let temporary = tempfile::tempdir().unwrap();
        let own_root = case["root"].as_str().filter(|root| !root.is_empty());
        let root = own_root.map_or_else(|| temporary.path().canonicalize().unwrap(), PathBuf::from);
        fs::create_dir_all(&root).unwrap();
        lay_out(&case["files"], &root);
        let cwd = case["cwd"].as_str().unwrap();
        let directory = if cwd == "/" {
            PathBuf::from("/")
        } else {
            root.join(cwd).canonicalize().unwrap()
        };
        let includes = Includes::new(Config::default());
        let got = answer(&includes, &directory, &words(&case["argv"], &root));
        let want: BTreeSet<PathBuf> = words(&case["truth_nonsystem"], &root)
            .into_iter()
            .map(PathBuf::from)
            .collect();
        let id = case["id"].as_str().unwrap();
        match got {
            Ok(got) if got == want => {}
            Ok(got) => wrong.push(format!("{id}: {got:?} for {want:?}")),
            Err(refusal) => wrong.push(format!("{id}: refused, {refusal}")),
        }
        if own_root.is_some() {
            fs::remove_dir_all(&root).unwrap();
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= least, "only {count} cases");
}

#[test]
fn changes_between_questions_are_noticed() {
    for watch in [true, false] {
        for sequence in collection("includes.json")["sequences"].as_array().unwrap() {
            let temporary = tempfile::tempdir().unwrap();
            let root = temporary.path().canonicalize().unwrap();
            let includes = Includes::new(Config {
                watch,
                ..Config::default()
            });
            let mut answers = Vec::new();
            for step in sequence["steps"].as_array().unwrap() {
                if let Some(write) = step.get("write") {
                    lay_out(write, &root);
                }
                for name in step["mkdir"].as_array().into_iter().flatten() {
                    fs::create_dir_all(root.join(name.as_str().unwrap())).unwrap();
                }
                for name in step["delete"].as_array().into_iter().flatten() {
                    fs::remove_file(root.join(name.as_str().unwrap())).unwrap();
                }
                for (name, target) in step["symlink"].as_object().into_iter().flatten() {
                    symlink(target.as_str().unwrap(), root.join(name)).unwrap();
                }
                if let Some(ask) = step.get("ask") {
                    let got = answer(&includes, &root, &words(ask, &root));
                    answers.push(got.unwrap_or_default());
                }
            }
            let correct: Vec<BTreeSet<PathBuf>> = sequence["correct"]
                .as_array()
                .unwrap()
                .iter()
                .map(|names| {
                    let names = names.as_array().unwrap().iter();
                    names
                        .map(|name| root.join(name.as_str().unwrap()))
                        .collect()
                })
                .collect();
            assert_eq!(answers, correct, "{}, watching: {watch}", sequence["id"]);
        }
    }
}

#[test]
fn many_threads_ask_at_once() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().canonicalize().unwrap();
    fs::write(root.join("shared.h"), "#include <stdio.h>\n").unwrap();
    for number in 0..8 {
        let text = format!("#include \"shared.h\"\n#include \"h{number}.h\"\n");
        fs::write(root.join(format!("t{number}.c")), text).unwrap();
        fs::write(root.join(format!("h{number}.h")), "").unwrap();
    }
    let includes = Includes::new(Config::default());
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (includes, root) = (&includes, &root);
            scope.spawn(move || {
                let words: Vec<OsString> =
                    ["gcc".into(), "-c".into(), format!("t{number}.c").into()].into();
                for _ in 0..20 {
                    let files = answer(includes, root, &words).unwrap();
                    let names = [
                        "shared.h".to_owned(),
                        format!("h{number}.h"),
                        format!("t{number}.c"),
                    ];
                    assert_eq!(files, names.map(|name| root.join(name)).into());
                }
            });
        }
    });
    assert_eq!(includes.statistics().questions, 160);
}
