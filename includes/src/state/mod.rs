//! All that is remembered between questions, and how one question is answered with it.

mod answer;
mod asked;
mod learn;
mod run;
#[cfg(test)]
mod tests;

use crate::answers::Answers;
use crate::closure::{Closure, Member, Refusal, Role};
use crate::disk::{Disk, System, Trail, Tree};
use crate::macros::{Library, MacroId, Scratch, SourceId, Table};
use crate::names::Name;
use crate::probe::{self, Ask, Said};
use crate::search::Place;
use crate::{Config, Family, Question, Statistics};
use asked::{Asked, place_key};
use learn::add_builtins;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is remembered.
#[derive(Debug)]
pub(crate) struct State {
    config: Config,
    library: Library,
    tree: Tree,
    table: Table,
    scratch: Scratch,
    builtins: Vec<(Name, MacroId)>,
    compilers: Vec<Compiler>,
    by_key: HashMap<Vec<u8>, usize>,
    /// Families of compilers whose names do not say it.
    families: HashMap<PathBuf, Family>,
    places: HashMap<Vec<u8>, Place>,
    /// `-D` and `-U`, as sources.
    commands: HashMap<Vec<u8>, SourceId>,
    answers: Answers,
    /// Places made so far.
    serial: u32,
    pub(crate) statistics: Statistics,
}

/// A compiler with words that matter, and what it said.
#[derive(Debug)]
struct Compiler {
    said: Said,
    predefined: Option<Vec<(Name, MacroId)>>,
    /// What it made of texts.
    answers: HashMap<Vec<u8>, i64>,
}

/// How far an attempt came.
pub(crate) enum Attempt {
    Done(Arc<Closure>),
    /// A compiler has to be asked; what it says is to be learned under this key.
    Ask(Box<Ask>, Learn),
}

/// What an answer of a compiler's is for.
pub(crate) enum Learn {
    Compiler { key: Vec<u8>, path: PathBuf },
    Texts { key: Vec<u8>, texts: Vec<Vec<u8>> },
}

impl State {
    pub(crate) fn new(config: Config) -> State {
        let disk = Box::new(System::new(config.watch));
        State::with_disk(config, disk)
    }

    pub(crate) fn with_disk(config: Config, disk: Box<dyn Disk>) -> State {
        let mut library = Library::new();
        let builtins = add_builtins(&mut library);
        let tree = Tree::new(disk);
        State {
            config,
            library,
            tree,
            table: Table::default(),
            scratch: Scratch::default(),
            builtins,
            compilers: Vec::new(),
            by_key: HashMap::new(),
            families: HashMap::new(),
            places: HashMap::new(),
            commands: HashMap::new(),
            answers: Answers::default(),
            serial: 0,
            statistics: Statistics::default(),
        }
    }

    /// Answers `question`, whose response files are expanded in `words`, or says which compiler has to be asked first.
    pub(crate) fn attempt(
        &mut self,
        question: &Question<'_>,
        words: &[OsString],
    ) -> Result<Attempt, Refusal> {
        self.forget_if_large();
        self.tree.begin(&self.library.names);
        if let Some(closure) = self.remembered(question, words) {
            self.statistics.repeated += 1;
            return Ok(Attempt::Done(closure));
        }
        let asked = self.understand(question, words)?;
        let key = self.compiler_key(&asked);
        let Some(&compiler) = self.by_key.get(&key) else {
            let ask = self.ask(&asked, probe::first_source());
            let path = asked.program.clone();
            return Ok(Attempt::Ask(Box::new(ask), Learn::Compiler { key, path }));
        };
        if self.absent_appeared(compiler) {
            self.by_key.remove(&key);
            let ask = self.ask(&asked, probe::first_source());
            let path = asked.program.clone();
            return Ok(Attempt::Ask(Box::new(ask), Learn::Compiler { key, path }));
        }
        let family = self.compilers[compiler].said.family();
        if family != asked.family && !asked.said_family {
            self.families.insert(asked.program.clone(), family);
            return self.attempt(question, words);
        }
        self.answer(&asked, words, compiler, key)
    }

    fn answer(
        &mut self,
        asked: &Asked<'_>,
        words: &[OsString],
        compiler: usize,
        key: Vec<u8>,
    ) -> Result<Attempt, Refusal> {
        self.predefine(compiler);
        let place_key = place_key(asked, compiler);
        let mut place = match self.places.remove(&place_key) {
            Some(place) if self.is_as_it_was(&place) => place,
            _ => self.new_place(asked, compiler),
        };
        place.last_used = self.tree.question;
        let result = self.run(asked, compiler, &mut place);
        let result = match result {
            Ok((unit, outcome)) if outcome.pending.is_empty() => {
                let closure = self.closure(asked, &mut place, outcome);
                closure.map(|closure| {
                    self.remember(asked, words, unit, &place, &closure);
                    Attempt::Done(closure)
                })
            }
            Ok((_, outcome)) => {
                let ask = self.ask(asked, probe::source_of(&outcome.pending));
                let texts = outcome.pending;
                Ok(Attempt::Ask(Box::new(ask), Learn::Texts { key, texts }))
            }
            Err(refusal) => Err(refusal),
        };
        self.keep_place(place_key, place);
        result
    }

    /// Do the names of the place's folders lead where they led? Where nobody watches, they are looked at, which the tree takes note of.
    fn is_as_it_was(&mut self, place: &Place) -> bool {
        if place.folders.unwatched {
            for name in &place.folders.named {
                let names = &mut self.library.names;
                self.tree
                    .resolve(place.cwd, name, names, &mut Trail::default());
            }
        }
        place.generation == self.tree.names_generation
    }

    fn keep_place(&mut self, key: Vec<u8>, place: Place) {
        if self.places.len() >= MAX_PLACES
            && let Some(oldest) = self
                .places
                .iter()
                .min_by_key(|(_, place)| place.last_used)
                .map(|(key, _)| key.clone())
        {
            self.places.remove(&oldest);
        }
        self.places.insert(key, place);
    }

    fn forget_if_large(&mut self) {
        if !self.tree.question.is_multiple_of(64) {
            return;
        }
        let places: usize = self.places.values().map(Place::memory).sum();
        let memory = self.library.memory
            + self.library.names.memory()
            + self.table.memory()
            + self.tree.memory()
            + places;
        if memory <= self.config.memory {
            return;
        }
        self.library = Library::new();
        self.builtins = add_builtins(&mut self.library);
        let question = self.tree.question;
        self.tree = Tree::new(Box::new(System::new(self.config.watch)));
        self.tree.question = question;
        self.table = Table::default();
        self.scratch = Scratch::default();
        self.places.clear();
        self.commands.clear();
        self.answers = Answers::default();
        for compiler in &mut self.compilers {
            compiler.predefined = None;
        }
        self.statistics.forgotten += 1;
    }

    /// Empties what a run was using when it was broken off.
    pub(crate) fn recover(&mut self) {
        self.table.clear();
        self.scratch.reset();
        self.library.clear_own();
    }

    pub(crate) fn watches(&self) -> u64 {
        self.tree.watches
    }

    /// The bytes of a file that a command names, for response files; `None` when it is not there.
    pub(crate) fn read(&mut self, directory: &Path, name: &OsStr) -> Option<Arc<Member>> {
        let path = directory.join(name);
        let (bytes, stat) = self.tree.disk.read(path.as_os_str().as_bytes()).ok()?;
        let real = std::fs::canonicalize(&path).ok()?;
        let modified = std::time::UNIX_EPOCH
            + std::time::Duration::new(stat.modified.0.max(0) as u64, stat.modified.1);
        Some(Arc::new(Member {
            name: PathBuf::from(name),
            real,
            bytes,
            system: false,
            modified,
            role: Role::Option,
        }))
    }
}

/// Places that are remembered at once.
const MAX_PLACES: usize = 96;

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
