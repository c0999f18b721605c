//! Runs `cases.txt`: commands, what becomes of them, and the words for each side.

use compiler::{Family, Surroundings, Verdict, classify, names, response};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

fn joined(words: &[OsString]) -> String {
    words
        .iter()
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What the case's lines after the command should read.
fn told(command: &str, asked: &[&str]) -> Vec<String> {
    let words = response::split(command.as_bytes());
    let guess = names::guess(words[0].as_bytes()).expect("cases name compilers");
    let about = Surroundings::new(OsStr::new("/w"));
    let job = match classify(
        guess.family.expect("gcc or clang"),
        guess.cxx,
        &words[1..],
        &about,
    ) {
        Verdict::RunHere(reason) => return vec![format!("here: {}", reason.code())],
        Verdict::Distribute(job) => job,
    };
    let (source, output) = (job.source().display(), job.output().display());
    let mut lines = vec![format!("distribute {source} -> {output}")];
    for line in asked {
        match line.split(':').next() {
            Some("depfile") => lines.push(format!(
                "depfile: {}",
                job.depfile().expect("a depfile").path.display()
            )),
            Some("cpp") => lines.push(format!(
                "cpp: {}",
                job.preprocess_args()
                    .map_or("none".into(), |args| joined(&args))
            )),
            Some("remote") => lines.push(format!("remote: {}", joined(&job.remote_args()))),
            _ => {}
        }
    }
    lines
}

#[test]
fn commands_mean_what_the_cases_say() {
    let text = include_str!("cases.txt");
    let mut count = 0;
    let mut wrong = String::new();
    for case in text.split("\n\n") {
        let mut lines = case
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let Some(command) = lines.next() else {
            continue;
        };
        let wanted: Vec<&str> = lines.collect();
        let told = told(command, &wanted);
        if told != wanted {
            wrong += &format!("{command}\n  wanted {wanted:#?}\n  told {told:#?}\n");
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 100);
}

#[test]
fn depfiles_of_the_environment_are_gcc_s_only() {
    let args = ["-c", "a.c"].map(OsString::from);
    let mut about = Surroundings::new(OsStr::new("/w"));
    about.dependencies_output = Some(OsStr::new("d.d target"));
    let depfile = |family| match classify(family, false, &args, &about) {
        Verdict::Distribute(job) => job.depfile(),
        Verdict::RunHere(reason) => panic!("{}", reason.code()),
    };
    let found = depfile(Family::Gcc).expect("gcc heeds the variable");
    assert_eq!(
        (found.path.as_os_str(), found.appended),
        (OsStr::new("d.d"), true)
    );
    assert_eq!(depfile(Family::Clang), None);
}

#[test]
fn tries_of_cmake_stay_here() {
    let args = ["-c", "src.c"].map(OsString::from);
    let about = Surroundings::new(OsStr::new("/b/CMakeFiles/CMakeScratch/TryCompile-a1B2c3"));
    let verdict = classify(Family::Gcc, false, &args, &about);
    assert!(matches!(verdict, Verdict::RunHere(compiler::Reason::Probe)));
}
