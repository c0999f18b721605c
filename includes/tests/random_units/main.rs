//! Units put together by chance, and changes of their files: each closure holds exactly the files that the compiler opens.
//!
//! `SEED=N` tries one seed; `LONG=1` tries some thousand, `SEEDS=FROM-TO` these.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod chance;
mod changes;
mod command;
mod dress;
mod include;
mod layout;
mod number;
mod oracle;
mod reduce;
mod text;

use chance::Chance;
use command::Command;
use includes::{Config, Includes, Question, Refusal, Role};
use oracle::Opened;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Questions of one seed.
const QUESTIONS: usize = 6;
/// Seeds that are laid out at once, so that their files can grow old together.
const BATCH: usize = 50;

/// A seed's files, and how to go on with it.
struct Case {
    seed: u64,
    chance: Chance,
    language: command::Language,
    commands: Vec<Command>,
    root: PathBuf,
    /// What was done.
    story: Vec<String>,
}

/// What came of all questions.
#[derive(Default)]
struct Tally {
    equal: usize,
    /// The compiler does not take the unit.
    not_taken: BTreeMap<String, usize>,
    refused: BTreeMap<String, usize>,
    unsure: usize,
    wrong: Vec<String>,
}

impl Case {
    fn new(seed: u64, folder: &Path) -> Case {
        let root = folder.join(format!("s{seed}"));
        std::fs::create_dir(&root).unwrap();
        let mut chance = Chance::new(seed);
        let language = command::language(&mut chance);
        layout::lay_out(&mut chance, language.dialect, &root);
        let commands = (0..3)
            .map(|_| command::command(&mut chance, language, &root))
            .collect();
        Case {
            seed,
            chance,
            language,
            commands,
            root,
            story: Vec::new(),
        }
    }

    /// Asks and changes in turn.
    fn play(&mut self, askers: &[Includes], scratch: &Path, tally: &mut Tally) {
        for step in 0..QUESTIONS {
            let command = &self.commands[self.chance.below(self.commands.len())];
            if command.directory.is_dir() {
                let opened = oracle::opened(command, &self.root, scratch);
                for (asker, how) in askers.iter().zip(["watching", "looking"]) {
                    let difference = compare(asker, command, &opened, &self.root, tally);
                    if let Some(difference) = difference {
                        let difference = format!("question {step}, {how}: {difference}");
                        let number = self
                            .commands
                            .iter()
                            .position(|one| std::ptr::eq(one, command));
                        let report = self.report(number.unwrap(), &difference, scratch);
                        tally.wrong.push(report);
                        return;
                    }
                }
                self.story.push(format!("asked {:?}", command.words));
            }
            for _ in 0..1 + self.chance.below(2) {
                let change = changes::change(&mut self.chance, self.language.dialect, &self.root);
                self.story.push(change);
            }
        }
    }

    /// What is wrong with an answer to a command, and with as little as shows it if that is wrong without a memory as well.
    fn report(&mut self, number: usize, difference: &str, scratch: &Path) -> String {
        let lacks_none = difference.contains("not found None");
        let fresh = |command: &Command| {
            let opened = oracle::opened(command, &self.root, scratch);
            let asker = Includes::new(Config::default());
            compare(&asker, command, &opened, &self.root, &mut Tally::default())
                // What lacks a header differs in another way.
                .filter(|how| how.contains("not found None") == lacks_none)
                .map(|how| (how, opened))
        };
        let mut command = self.commands.swap_remove(number);
        let words = command.words.clone();
        let alone = fresh(&command);
        if let Some((_, opened)) = &alone {
            reduce::reduce(
                &mut command,
                opened.files.iter().map(PathBuf::as_path),
                |command| fresh(command).is_some(),
            );
        }
        let (what, opened) = match fresh(&command) {
            Some((how, opened)) => (format!("reduced, {how}"), opened),
            None => (
                "only after what was asked before".to_owned(),
                oracle::opened(&command, &self.root, scratch),
            ),
        };
        let listing = changes::listing(&self.root, |path| opened.files.contains(path));
        format!(
            "SEED={}: {difference}\n{words:?}\n{}\n{what}\nin {} {:?} {:?}\n{listing}",
            self.seed,
            self.story.join("\n"),
            command.directory.display(),
            command.environment,
            command.words,
        )
    }
}

/// How the closure differs from what the compiler opened.
fn compare(
    asker: &Includes,
    command: &Command,
    opened: &Opened,
    root: &Path,
    tally: &mut Tally,
) -> Option<String> {
    let question = Question {
        directory: &command.directory,
        words: &command.words,
        environment: &command.environment,
    };
    let closure = asker.closure(&question);
    if !opened.taken {
        let error = opened
            .messages
            .lines()
            .find(|line| line.contains("error:"))
            .unwrap_or("?");
        let kind = error.split_once("error: ").map_or("?", |(_, kind)| kind);
        *tally.not_taken.entry(kind.to_owned()).or_default() += 1;
        return None;
    }
    let closure = match closure {
        Ok(closure) => closure,
        Err(refusal) if is_known(&refusal) => {
            *tally.refused.entry(refusal.to_string()).or_default() += 1;
            return None;
        }
        Err(refusal) => return Some(format!("refused, {refusal}")),
    };
    let (mut read, mut probed) = (BTreeSet::new(), BTreeSet::new());
    for file in closure
        .files
        .iter()
        .filter(|file| file.real.starts_with(root))
    {
        if file.system {
            return Some(format!(
                "{} is taken for one of the compiler's own",
                file.real.display()
            ));
        }
        match file.role {
            Role::Probed => probed.insert(file.real.clone()),
            // For messages, which are turned off.
            Role::Quoted => false,
            _ => read.insert(file.real.clone()),
        };
        let bytes = std::fs::read(&file.real).unwrap_or_default();
        if bytes[..] != file.bytes[..] {
            return Some(format!(
                "{} holds something else by now",
                file.real.display()
            ));
        }
    }
    let all: BTreeSet<PathBuf> = read.union(&probed).cloned().collect();
    if closure.unsure > 0 {
        tally.unsure += 1;
        return opened
            .files
            .difference(&all)
            .next()
            .map(|name| format!("unsure, and missing {}", name.display()));
    }
    if all == opened.files && closure.missing.is_none() {
        tally.equal += 1;
        return None;
    }
    Some(format!(
        "missing {:?}, extra {:?}, extra as probed {:?}, not found {:?}",
        opened.files.difference(&all).collect::<Vec<_>>(),
        read.difference(&opened.files).collect::<Vec<_>>(),
        probed.difference(&opened.files).collect::<Vec<_>>(),
        closure.missing
    ))
}

/// May a unit be refused for this?
fn is_known(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Option { .. }
            | Refusal::Precompiled { .. }
            | Refusal::Modules { .. }
            | Refusal::DataByName { .. }
    )
}

/// Waits until every file is so old that it is believed not to change unseen.
fn grow_old() {
    let end = SystemTime::now() + Duration::from_millis(2100);
    while SystemTime::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn seeds() -> Vec<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    if let Ok(seed) = std::env::var("SEED") {
        return vec![number(&seed)];
    }
    if let Ok(seeds) = std::env::var("SEEDS") {
        let (from, to) = seeds.split_once('-').expect("FROM-TO");
        return (number(from)..=number(to)).collect();
    }
    let long = std::env::var_os("LONG").is_some_and(|value| value == "1");
    (1..=if long { 3000 } else { 12 }).collect()
}

#[test]
fn closures_are_what_the_compiler_opens_whatever_changes() {
    let mut tally = Tally::default();
    let seeds = seeds();
    let askers = [true, false].map(|watch| {
        Includes::new(Config {
            watch,
            ..Config::default()
        })
    });
    for batch in seeds.chunks(BATCH) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let mut cases: Vec<Case> = batch.iter().map(|&seed| Case::new(seed, &root)).collect();
        grow_old();
        for case in &mut cases {
            let before = tally.wrong.len();
            case.play(&askers, &root.join("dependencies"), &mut tally);
            for wrong in &tally.wrong[before..] {
                eprintln!("{wrong}");
            }
        }
        if std::env::var_os("KEEP").is_some() {
            eprintln!("kept: {}", folder.keep().display());
        }
    }
    println!(
        "{} equal, unsure {}, refused {:#?}, not taken {:#?}",
        tally.equal, tally.unsure, tally.refused, tally.not_taken
    );
    assert!(
        tally.wrong.is_empty(),
        "{} of {} seeds differ",
        tally.wrong.len(),
        seeds.len()
    );
    let not_taken: usize = tally.not_taken.values().sum();
    assert!(
        seeds.len() < 12 || tally.equal > not_taken,
        "{} equal, {not_taken} not taken",
        tally.equal
    );
}
