//! All that is remembered between questions, and how one question is answered with it.

use crate::answers::{Answer, Answers};
use crate::closure::{Closure, Link, Member, Refusal, Role};
use crate::disk::{FileId, FolderId, Found, ROOT, System, Trail, Tree};
use crate::lex::scan;
use crate::macros::{Builtin, Library, MacroId, Scratch, SourceId, Table};
use crate::names::{self, Name, hash};
use crate::probe::{self, Ask, QUESTIONS, Said};
use crate::search::{self, Place, Plan};
use crate::unit::{MAX_DEPTH, Machine, Outcome, Start};
use crate::{Config, Family, Question, Statistics};
use compiler::inclusion::{Forced, Inclusion, InclusionError, MacroWord, inclusion};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
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

/// A question as it was understood.
struct Asked<'q> {
    question: &'q Question<'q>,
    cwd: FolderId,
    cwd_trail: Trail,
    program: PathBuf,
    family: Family,
    said_family: bool,
    inclusion: Inclusion<'q>,
    environment: Vec<(OsString, OsString)>,
}

impl State {
    pub(crate) fn new(config: Config) -> State {
        let mut library = Library::new();
        let builtins = add_builtins(&mut library);
        let tree = Tree::new(Box::new(System::new(config.watch)));
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
        self.tree.begin(&mut self.library.names);
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

    /// Takes in what a compiler answered.
    pub(crate) fn learn(
        &mut self,
        learn: Learn,
        result: Result<(Vec<u8>, Vec<u8>), String>,
        compiler: &Path,
    ) -> Result<(), Refusal> {
        self.statistics.probes += 1;
        let refuse = |why: String| Refusal::Probe {
            compiler: compiler.to_owned(),
            why,
        };
        let (out, err) = result.map_err(refuse)?;
        let said = probe::said(&out, &err);
        match learn {
            Learn::Compiler { key, path } => {
                let said = said.ok_or_else(|| {
                    let first = err.split(|&b| b == b'\n').next().unwrap_or_default();
                    refuse(format!("it says {:?}", String::from_utf8_lossy(first)))
                })?;
                self.families.insert(path, said.family());
                self.by_key.insert(key, self.compilers.len());
                self.compilers.push(Compiler {
                    said,
                    predefined: None,
                    answers: HashMap::new(),
                });
            }
            Learn::Texts { key, texts } => {
                let said = said.unwrap_or_default();
                if let Some(&at) = self.by_key.get(&key) {
                    let answers = &mut self.compilers[at].answers;
                    for (number, text) in texts.into_iter().enumerate() {
                        let answer = said.answers.iter().find(|(at, _)| *at == number);
                        // What it does not answer it takes for an error, which holds nothing.
                        answers.insert(text, answer.map_or(0, |&(_, value)| value));
                    }
                }
            }
        }
        Ok(())
    }

    fn understand<'q>(
        &mut self,
        question: &'q Question<'q>,
        words: &'q [OsString],
    ) -> Result<Asked<'q>, Refusal> {
        let (name, args) = words
            .split_first()
            .ok_or(Refusal::NotOneSource("it has no words"))?;
        let not_compiler = || Refusal::NotACompiler { name: name.clone() };
        let guess = compiler::names::guess(compiler::names::base(name.as_bytes()))
            .ok_or_else(not_compiler)?;
        let mut cwd_trail = Trail::default();
        let folder = question.directory.as_os_str().as_bytes();
        let found = self
            .tree
            .resolve(ROOT, folder, &mut self.library.names, &mut cwd_trail);
        let Some(Found::Folder(cwd)) = found.filter(|_| folder.first() == Some(&b'/')) else {
            return Err(Refusal::NoFolder {
                path: question.directory.to_owned(),
            });
        };
        let program = self.program(name, question, cwd).ok_or_else(not_compiler)?;
        let known = self.families.get(&program).copied();
        let family = known.or(guess.family).unwrap_or(Family::Gcc);
        let inclusion = inclusion(family, guess.cxx, args).map_err(|error| match error {
            InclusionError::NoSource => Refusal::NotOneSource("it names none"),
            InclusionError::ManySources => Refusal::NotOneSource("it names several"),
            InclusionError::Option { option } => Refusal::Option { option },
        })?;
        Ok(Asked {
            environment: environment(question),
            question,
            cwd,
            cwd_trail,
            program,
            family,
            said_family: known.is_some(),
            inclusion,
        })
    }

    /// The compiler's program, as it is started.
    fn program(&mut self, name: &OsStr, question: &Question<'_>, cwd: FolderId) -> Option<PathBuf> {
        probe::candidates(name, &self.config.path)
            .into_iter()
            .find(|path| {
                let mut trail = Trail::default();
                let bytes = path.as_os_str().as_bytes();
                let found = self
                    .tree
                    .resolve(cwd, bytes, &mut self.library.names, &mut trail);
                matches!(found, Some(Found::File(_)))
            })
            .map(|path| question.directory.join(path))
    }

    /// What an answer of the compiler's depends on.
    fn compiler_key(&mut self, asked: &Asked<'_>) -> Vec<u8> {
        let mut key = Vec::with_capacity(256);
        let mut add = |part: &[u8]| {
            key.extend_from_slice(part);
            key.push(0);
        };
        let program = asked.program.as_os_str().as_bytes();
        add(program);
        let mut trail = Trail::default();
        if let Some(Found::File(file)) =
            self.tree
                .resolve(ROOT, program, &mut self.library.names, &mut trail)
        {
            let stat = self.tree.stat(file);
            add(&stat.inode.to_le_bytes());
            add(&stat.size.to_le_bytes());
            add(&stat.changed.0.to_le_bytes());
            add(&stat.changed.1.to_le_bytes());
        }
        add(asked.inclusion.language.x_name().as_bytes());
        for word in &asked.inclusion.probe {
            add(word.as_bytes());
        }
        for (name, value) in &asked.environment {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        if has_relative_path(&asked.inclusion) {
            add(asked.question.directory.as_os_str().as_bytes());
        }
        key
    }

    fn ask(&self, asked: &Asked<'_>, source: Vec<u8>) -> Ask {
        Ask {
            compiler: asked.program.clone(),
            directory: asked.question.directory.to_owned(),
            words: asked
                .inclusion
                .probe
                .iter()
                .map(|&word| word.to_owned())
                .collect(),
            language: asked.inclusion.language.x_name(),
            environment: asked.environment.clone(),
            path: self.config.path.clone(),
            source,
        }
    }

    /// Is one of the folders there now that the compiler would have searched?
    fn absent_appeared(&mut self, compiler: usize) -> bool {
        let absent = &self.compilers[compiler].said.absent;
        absent.iter().any(|path| {
            let mut trail = Trail::default();
            let found = self
                .tree
                .resolve(ROOT, path, &mut self.library.names, &mut trail);
            matches!(found, Some(Found::Folder(_)))
        })
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
            Some(place) if place.generation == self.tree.names_generation => place,
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

    /// Lexes what the compiler predefines.
    fn predefine(&mut self, compiler: usize) {
        if self.compilers[compiler].predefined.is_some() {
            return;
        }
        let said = &self.compilers[compiler].said;
        let text: Arc<[u8]> = said.macros.clone().into();
        let source = scan(&text, said.mode, &mut self.library.names);
        let mut list: Vec<(Name, MacroId)> = self
            .builtins
            .iter()
            .filter(|(name, _)| said.builtins.contains(name))
            .copied()
            .collect();
        let definitions: Vec<Name> = source.definitions.iter().map(|d| d.name).collect();
        let id = self.library.add(source, false);
        let first = self.library.loaded(id).macros;
        for (number, name) in definitions.into_iter().enumerate() {
            list.retain(|&(known, _)| known != name);
            list.push((name, first.offset(number as u32)));
        }
        list.push((names::EMPTY, MacroId::token(compiler as u32)));
        self.compilers[compiler].predefined = Some(list);
    }

    fn new_place(&mut self, asked: &Asked<'_>, compiler: usize) -> Place {
        let generation = self.tree.names_generation;
        let own = &self.compilers[compiler].said.folders;
        let plan = Plan {
            family: asked.family,
            inclusion: &asked.inclusion,
            environment: asked.question.environment,
            own,
        };
        let folders = search::folders(&plan, asked.cwd, &mut self.tree, &mut self.library.names);
        let sysroot = asked.inclusion.header_sysroot.or(asked.inclusion.sysroot);
        let sysroot = sysroot.and_then(|path| {
            let mut trail = Trail::default();
            let found = self
                .tree
                .resolve(asked.cwd, path, &mut self.library.names, &mut trail);
            match found {
                Some(Found::Folder(folder)) if folder != ROOT => {
                    Some(vec![path_of(self.tree.path(folder))])
                }
                _ => None,
            }
        });
        let mut system: Vec<PathBuf> = Vec::new();
        for path in own {
            let mut trail = Trail::default();
            let found = self
                .tree
                .resolve(asked.cwd, path, &mut self.library.names, &mut trail);
            if let Some(Found::Folder(folder)) = found {
                let path = self.tree.path(folder);
                let given = sysroot
                    .as_ref()
                    .is_some_and(|sysroot| search::is_below(path, sysroot));
                if !given {
                    system.push(path_of(path));
                }
            }
        }
        Place::new(asked.family, asked.cwd, folders, system.into(), generation)
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

    /// Runs the unit in `place`.
    fn run(
        &mut self,
        asked: &Asked<'_>,
        compiler: usize,
        place: &mut Place,
    ) -> Result<(FileId, Outcome), Refusal> {
        let unit_name = asked.inclusion.source.as_bytes();
        let unreadable = |why: &str| Refusal::Unreadable {
            path: PathBuf::from(asked.inclusion.source),
            why: why.to_owned(),
        };
        refuse_overlays(asked, &mut self.tree)?;
        let mut unwatched = false;
        let unit = place
            .open(
                unit_name,
                search::Origin::Command,
                &mut self.tree,
                &mut self.library.names,
                &mut unwatched,
            )
            .ok_or_else(|| unreadable("it is not there"))?;
        place.get_mut(unit).system = false;
        let file = place
            .get(unit)
            .file
            .ok_or_else(|| unreadable("it is a device"))?;
        let bytes = self
            .tree
            .content(file, true)
            .map_err(|error| unreadable(&error.to_string()))?
            .clone();
        let said = &self.compilers[compiler].said;
        let language = asked.inclusion.language;
        let mode = if language.wants_preprocessor() {
            said.mode
        } else {
            crate::lex::Mode {
                assembler: true,
                ..said.mode
            }
        };
        let mut source = scan(&bytes, mode, &mut self.library.names);
        if !language.wants_preprocessor() {
            source
                .ops
                .retain(|op| matches!(op, crate::lex::Op::Text(_) | crate::lex::Op::End));
        }
        self.statistics.files += 1;
        let unit_source = self.library.add(source, true);
        let command = self.command(&asked.inclusion.macros, compiler);
        let forced = |wanted: bool| -> Vec<&[u8]> {
            let names = asked.inclusion.forced.iter();
            names
                .filter_map(|forced| match *forced {
                    Forced::Macros(name) if wanted => Some(name),
                    Forced::Include(name) if !wanted => Some(name),
                    _ => None,
                })
                .collect()
        };
        let (macros, includes) = (forced(true), forced(false));
        let angle: Vec<&[u8]> = asked
            .inclusion
            .search
            .iter()
            .filter(|(chain, _)| *chain == compiler::inclusion::Chain::Angle)
            .map(|&(_, name)| name)
            .collect();
        let start = Start {
            family: asked.family,
            mode,
            unit,
            unit_source,
            unit_path: PathBuf::from(asked.inclusion.source),
            command,
            macros: &macros,
            includes: &includes,
            preinclude: said_preinclude(&self.compilers[compiler].said, language),
            max_depth: asked.inclusion.max_depth.unwrap_or(MAX_DEPTH),
            angle: &angle,
        };
        for &(name, id) in self.compilers[compiler].predefined.iter().flatten() {
            self.table.set(name, id);
        }
        let reads = self.tree.reads;
        let machine = Machine::new(
            &mut self.library,
            &mut self.tree,
            place,
            &mut self.table,
            &mut self.scratch,
            &self.compilers[compiler].answers,
            &start,
        );
        let result = machine.run();
        self.statistics.files += self.tree.reads - reads;
        self.table.clear();
        self.library.clear_own();
        result.map(|outcome| (file, outcome))
    }

    /// The source that `-D` and `-U` stand for.
    fn command(&mut self, macros: &[MacroWord<'_>], compiler: usize) -> Option<SourceId> {
        if macros.is_empty() {
            return None;
        }
        let mut text = Vec::new();
        for word in macros {
            let (directive, value) = match word {
                MacroWord::Define(value) => (&b"#define "[..], *value),
                MacroWord::Undefine(value) => (&b"#undef "[..], *value),
            };
            let value = value.split(|&b| b == b'\n').next().unwrap_or_default();
            text.extend_from_slice(directive);
            match value.iter().position(|&b| b == b'=') {
                Some(equals) => {
                    text.extend_from_slice(&value[..equals]);
                    text.push(b' ');
                    text.extend_from_slice(&value[equals + 1..]);
                }
                None => {
                    text.extend_from_slice(value);
                    if matches!(word, MacroWord::Define(_)) {
                        text.extend_from_slice(b" 1");
                    }
                }
            }
            text.push(b'\n');
        }
        let mut key = text.clone();
        key.extend_from_slice(&(compiler as u32).to_le_bytes());
        if let Some(&id) = self.commands.get(&key) {
            return Some(id);
        }
        let mode = self.compilers[compiler].said.mode;
        let source = scan(&text.into(), mode, &mut self.library.names);
        let id = self.library.add(source, false);
        self.commands.insert(key, id);
        Some(id)
    }

    /// The closure that a run's outcome is.
    fn closure(
        &mut self,
        asked: &Asked<'_>,
        place: &mut Place,
        outcome: Outcome,
    ) -> Result<Arc<Closure>, Refusal> {
        let mut files: Vec<Arc<Member>> = Vec::with_capacity(outcome.files.len() + 2);
        let mut links: Vec<crate::disk::LinkId> = asked.cwd_trail.links.clone();
        let mut left: Vec<FolderId> = asked.cwd_trail.left.clone();
        for folder in &place.folders.all {
            left.push(folder.id);
            left.extend_from_slice(&folder.trail.left);
            links.extend_from_slice(&folder.trail.links);
        }
        for (opened, role) in outcome.files {
            let entry = place.get_mut(opened);
            links.extend_from_slice(&entry.trail.links);
            left.extend_from_slice(&entry.trail.left);
            let Some(file) = entry.file else { continue };
            let bytes = match self.tree.content(file, false) {
                Ok(bytes) => bytes.clone(),
                Err(error) => {
                    return Err(Refusal::Unreadable {
                        path: path_of(&self.tree.file(file).path),
                        why: error.to_string(),
                    });
                }
            };
            files.extend(search::member(
                entry,
                role,
                &bytes,
                &self.tree,
                &self.library.names,
            ));
        }
        self.add_read_by_driver(asked, place, &mut files);
        links.sort_unstable();
        links.dedup();
        left.sort_unstable();
        left.dedup();
        let directories = left
            .into_iter()
            .filter(|&folder| {
                let path = self.tree.path(folder);
                !place
                    .system
                    .iter()
                    .any(|own| own.as_os_str().as_bytes() == &path[..])
                    && !search::is_below(path, &place.system)
            })
            .map(|folder| Arc::from(path_of(self.tree.path(folder)).as_path()))
            .collect();
        let links = links
            .into_iter()
            .map(|link| self.link(link, place))
            .collect();
        self.statistics.unsure += u64::from(outcome.unsure > 0);
        Ok(Arc::new(Closure {
            files,
            links,
            directories,
            system_directories: place.system.clone(),
            dates: outcome.dates,
            unsure: outcome.unsure,
            missing: outcome.missing.map(OsString::from_vec),
        }))
    }

    /// Files that the command names for the driver.
    fn add_read_by_driver(
        &mut self,
        asked: &Asked<'_>,
        place: &mut Place,
        files: &mut Vec<Arc<Member>>,
    ) {
        let inclusion = &asked.inclusion;
        for name in inclusion.read.iter().chain(&inclusion.overlays) {
            let mut unwatched = false;
            let opened = place.open(
                name,
                search::Origin::Beside,
                &mut self.tree,
                &mut self.library.names,
                &mut unwatched,
            );
            let Some(opened) = opened else { continue };
            let entry = place.get_mut(opened);
            if let Some(file) = entry.file
                && let Ok(bytes) = self.tree.content(file, false).cloned()
            {
                files.extend(search::member(
                    entry,
                    Role::Option,
                    &bytes,
                    &self.tree,
                    &self.library.names,
                ));
            }
        }
    }

    fn link(&mut self, link: crate::disk::LinkId, place: &Place) -> Arc<Link> {
        let node = self.tree.link(link);
        let (path, target) = (node.path.clone(), node.target.clone());
        let mut trail = Trail::default();
        let found = self
            .tree
            .resolve(ROOT, &path, &mut self.library.names, &mut trail);
        let real = match found {
            Some(Found::File(file)) => path_of(&self.tree.file(file).path),
            Some(Found::Folder(folder)) => path_of(self.tree.path(folder)),
            _ => path_of(&target),
        };
        let at_root = memchr::memrchr(b'/', &path) == Some(0);
        Arc::new(Link {
            system: at_root || search::is_below(&path, &place.system),
            path: path_of(&path),
            target: path_of(&target),
            real,
        })
    }

    /// The answer to the same question, when nothing has changed since.
    fn remembered(&mut self, question: &Question<'_>, words: &[OsString]) -> Option<Arc<Closure>> {
        let key = question_hash(question, words);
        let answer = self.answers.get(key, question, words)?;
        if answer.generation != self.tree.generation {
            return None;
        }
        let closure = answer.closure.clone();
        let (unit, volatile) = (answer.unit, answer.volatile.clone());
        let first = closure.files.first()?;
        let same = self
            .tree
            .content(unit, true)
            .is_ok_and(|bytes| bytes[..] == first.bytes[..]);
        let same = same && self.tree.modified(unit) == first.modified;
        if self.tree.file(unit).sources.is_empty() {
            self.tree.drop_content(unit);
        }
        if !same {
            return None;
        }
        for &file in volatile.iter() {
            self.tree.content(file, false).ok()?;
        }
        (answer_generation(&self.answers, key) == Some(self.tree.generation)).then_some(closure)
    }

    fn remember(
        &mut self,
        asked: &Asked<'_>,
        words: &[OsString],
        unit: FileId,
        place: &Place,
        closure: &Arc<Closure>,
    ) {
        let question = self.tree.question;
        let listed = place
            .opened
            .iter()
            .filter(|opened| opened.listed.0 == question);
        let mut volatile = Vec::new();
        let mut watched = !asked.cwd_trail.unwatched && !place.folders.unwatched;
        for opened in listed {
            watched &= !opened.trail.unwatched;
            volatile.extend(
                opened
                    .file
                    .filter(|&file| file != unit && self.tree.is_volatile(file)),
            );
        }
        if watched {
            self.answers.put(
                question_hash(asked.question, words),
                Answer {
                    directory: asked.question.directory.to_owned(),
                    words: words.into(),
                    environment: asked.question.environment.into(),
                    generation: self.tree.generation,
                    unit,
                    volatile: volatile.into(),
                    closure: closure.clone(),
                },
            );
        }
        if self.tree.file(unit).sources.is_empty() {
            self.tree.drop_content(unit);
        }
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
            bytes: bytes.into(),
            system: false,
            modified,
            role: Role::Option,
        }))
    }
}

/// Places that are remembered at once.
const MAX_PLACES: usize = 96;

fn answer_generation(answers: &Answers, key: u64) -> Option<u64> {
    answers.peek(key).map(|answer| answer.generation)
}

fn question_hash(question: &Question<'_>, words: &[OsString]) -> u64 {
    let mut state = hash(question.directory.as_os_str().as_bytes());
    let mut add = |text: &OsStr| {
        state = (state.rotate_left(11) ^ hash(text.as_bytes())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    };
    for word in words {
        add(word);
    }
    for (name, value) in question.environment {
        add(name);
        add(value);
    }
    state
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// The variables that a compiler sees when it is asked; those that only name folders are followed here.
fn environment(question: &Question<'_>) -> Vec<(OsString, OsString)> {
    question
        .environment
        .iter()
        .filter(|(name, _)| !name.as_bytes().ends_with(b"INCLUDE_PATH") && name != "CPATH")
        .cloned()
        .collect()
}

fn said_preinclude(said: &Said, language: compiler::Language) -> Option<&[u8]> {
    said.preinclude
        .as_deref()
        .filter(|_| language.wants_preprocessor())
}

fn has_relative_path(inclusion: &Inclusion<'_>) -> bool {
    inclusion.probe.iter().any(|word| {
        let word = word.as_bytes();
        let value = memchr::memchr(b'=', word).map_or(word, |equals| &word[equals + 1..]);
        value.first() != Some(&b'-') && value.first() != Some(&b'/') && value.contains(&b'/')
            || word.starts_with(b"-B")
            || word.starts_with(b"-specs")
    }) || inclusion.sysroot.is_some()
        || inclusion.header_sysroot.is_some()
}

fn place_key(asked: &Asked<'_>, compiler: usize) -> Vec<u8> {
    let mut key = (compiler as u32).to_le_bytes().to_vec();
    let mut add = |part: &[u8]| {
        key.extend_from_slice(part);
        key.push(0);
    };
    add(asked.question.directory.as_os_str().as_bytes());
    for &(chain, name) in &asked.inclusion.search {
        add(&[chain as u8]);
        add(name);
    }
    for root in [asked.inclusion.sysroot, asked.inclusion.header_sysroot] {
        add(root.unwrap_or_default());
    }
    for (name, value) in asked.question.environment {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    key
}

/// A virtual file system is followed only where it is empty.
fn refuse_overlays(asked: &Asked<'_>, tree: &mut Tree) -> Result<(), Refusal> {
    for name in &asked.inclusion.overlays {
        let path = asked.question.directory.join(OsStr::from_bytes(name));
        let text = tree.disk.read(path.as_os_str().as_bytes());
        let empty = text.is_ok_and(|(text, _)| {
            let text: Vec<u8> = text
                .into_iter()
                .filter(|b| !b.is_ascii_whitespace())
                .collect();
            [&b"'roots':[]"[..], b"\"roots\":[]", b"roots:[]"]
                .iter()
                .any(|part| memchr::memmem::find(&text, part).is_some())
        });
        if !empty {
            let mut option = OsString::from("-ivfsoverlay ");
            option.push(OsStr::from_bytes(name));
            return Err(Refusal::Option { option });
        }
    }
    Ok(())
}

fn add_builtins(library: &mut Library) -> Vec<(Name, MacroId)> {
    QUESTIONS
        .iter()
        .map(|&(_, name)| (name, library.builtin(builtin(name))))
        .collect()
}

fn builtin(name: Name) -> Builtin {
    match name {
        names::HAS_INCLUDE => Builtin::HasInclude { next: false },
        names::HAS_INCLUDE_NEXT => Builtin::HasInclude { next: true },
        names::HAS_EMBED => Builtin::HasEmbed,
        names::FILE => Builtin::File,
        names::FILE_NAME => Builtin::FileName,
        names::LINE => Builtin::Line,
        names::COUNTER => Builtin::Counter,
        names::INCLUDE_LEVEL => Builtin::Level,
        names::BASE_FILE => Builtin::BaseFile,
        names::DATE | names::TIME => Builtin::Now,
        names::TIMESTAMP => Builtin::Stamp,
        names::PRAGMA => Builtin::Pragma,
        _ => Builtin::Asked,
    }
}
