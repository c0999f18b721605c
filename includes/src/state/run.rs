//! Sets the machine up for one unit.

use super::asked::Asked;
use super::{State, path_of};
use crate::closure::Refusal;
use crate::disk::{FileId, Found, ROOT, Trail, Tree};
use crate::lex::{Op, scan, scan_with_text};
use crate::macros::SourceId;
use crate::probe::Said;
use crate::search::{self, Missed, Place, Plan};
use crate::unit::{MAX_DEPTH, Machine, Outcome, Start};
use compiler::inclusion::{Forced, MacroWord};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

impl State {
    pub(super) fn new_place(&mut self, asked: &Asked<'_>, compiler: usize) -> Place {
        let generation = self.tree.names_generation;
        let own = &self.compilers[compiler].said.folders;
        let plan = Plan {
            family: asked.family,
            inclusion: &asked.inclusion,
            environment: asked.question.environment,
            own,
        };
        let folders = search::folders(&plan, asked.cwd, &mut self.tree, &mut self.library.names);
        let given = self.given_folders(asked);
        let mut system: Vec<PathBuf> = Vec::new();
        for path in &self.compilers[compiler].said.folders {
            let mut trail = Trail::default();
            let found = self
                .tree
                .resolve(asked.cwd, path, &mut self.library.names, &mut trail);
            if let Some(Found::Folder(folder)) = found {
                let real = path_of(self.tree.path(folder));
                let is_given = path.first() != Some(&b'/')
                    || given.contains(&real)
                    || search::is_below(self.tree.path(folder), &given);
                if !is_given {
                    system.push(real);
                }
            }
        }
        let mut missed = Missed::new(system.into());
        let own = self.compilers[compiler].said.absent.iter();
        for path in own.chain(&folders.absent) {
            missed.no_folder(path, &mut self.library.names);
        }
        self.serial += 1;
        Place::new(
            asked.family,
            asked.cwd,
            folders,
            missed,
            generation,
            self.serial,
        )
    }

    /// Folders that the command's words name in ways that make them the compiler's own (`--sysroot`, `-B`): these are the user's all the same.
    fn given_folders(&mut self, asked: &Asked<'_>) -> Vec<PathBuf> {
        let mut given = Vec::new();
        for word in &asked.inclusion.probe {
            let word = word.as_bytes();
            let value = match memchr::memchr(b'=', word) {
                Some(equals) => &word[equals + 1..],
                None => word.strip_prefix(b"-B").unwrap_or(word),
            };
            if value.is_empty() || value.starts_with(b"-") {
                continue;
            }
            let mut trail = Trail::default();
            let found = self
                .tree
                .resolve(asked.cwd, value, &mut self.library.names, &mut trail);
            if let Some(Found::Folder(folder)) = found
                && folder != ROOT
            {
                given.push(path_of(self.tree.path(folder)));
            }
        }
        given
    }

    /// Runs the unit in `place`.
    pub(super) fn run(
        &mut self,
        asked: &Asked<'_>,
        compiler: usize,
        place: &mut Place,
    ) -> Result<(FileId, Outcome), Refusal> {
        let result = self.run_once(asked, compiler, place, false);
        let again = match &result {
            Ok((_, outcome)) => outcome.wants_text && outcome.pending.is_empty(),
            Err(Refusal::DataByName { .. }) => true,
            Err(_) => false,
        };
        if again {
            self.tree.question += 1;
            return self.run_once(asked, compiler, place, true);
        }
        result
    }

    /// Runs the unit; with `text`, what stands between directives is expanded as well.
    fn run_once(
        &mut self,
        asked: &Asked<'_>,
        compiler: usize,
        place: &mut Place,
        text: bool,
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
        let mut source = if text {
            scan_with_text(&bytes, mode, &mut self.library.names)
        } else {
            scan(&bytes, mode, &mut self.library.names)
        };
        if !language.wants_preprocessor() {
            source
                .ops
                .retain(|op| matches!(op, Op::Text(_) | Op::Span(_) | Op::End));
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
            .chain(for_the_assembler(asked.words))
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
            text,
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
    pub(super) fn command(
        &mut self,
        macros: &[MacroWord<'_>],
        compiler: usize,
    ) -> Option<SourceId> {
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
}

pub(super) fn said_preinclude(said: &Said, language: compiler::Language) -> Option<&[u8]> {
    said.preinclude
        .as_deref()
        .filter(|_| language.wants_preprocessor())
}

/// A virtual file system is followed only where it is empty.
pub(super) fn refuse_overlays(asked: &Asked<'_>, tree: &mut Tree) -> Result<(), Refusal> {
    for name in &asked.inclusion.overlays {
        let path = asked.question.directory.join(OsStr::from_bytes(name));
        let text = tree.disk.read(path.as_os_str().as_bytes());
        let empty = text.is_ok_and(|(text, _)| {
            let blank = |b: &&u8| !b.is_ascii_whitespace();
            let text: Vec<u8> = text.iter().filter(blank).copied().collect();
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

/// The folders that `-Wa,-Ix` or `-Wa,-I,x` name.
fn for_the_assembler(words: &[OsString]) -> impl Iterator<Item = &[u8]> {
    let lists = words
        .iter()
        .filter_map(|word| word.as_bytes().strip_prefix(b"-Wa,"));
    lists.flat_map(|list| {
        let mut parts = list.split(|&byte| byte == b',');
        std::iter::from_fn(move || {
            let name = parts.find_map(|part| part.strip_prefix(b"-I"))?;
            match name {
                b"" => parts.next(),
                name => Some(name),
            }
        })
    })
}
