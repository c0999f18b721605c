//! What compilers said, and the macros that they predefine.

use super::{Compiler, Learn, State};
use crate::closure::Refusal;
use crate::disk::{Found, ROOT, Trail};
use crate::lex::scan;
use crate::macros::{Builtin, Library, MacroId};
use crate::names::{self, Name};
use crate::probe::{self, QUESTIONS};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

impl State {
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
                let answers: HashMap<Vec<u8>, i64> = said
                    .answers
                    .iter()
                    .filter_map(|&(at, value)| {
                        Some((probe::COMMON.get(at)?.as_bytes().to_vec(), value))
                    })
                    .collect();
                self.compilers.push(Compiler {
                    said,
                    predefined: None,
                    answers,
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

    /// Is one of the folders there now that the compiler would have searched?
    pub(super) fn absent_appeared(&mut self, compiler: usize) -> bool {
        let absent = &self.compilers[compiler].said.absent;
        absent.iter().any(|path| {
            let mut trail = Trail::default();
            let found = self
                .tree
                .resolve(ROOT, path, &mut self.library.names, &mut trail);
            matches!(found, Some(Found::Folder(_)))
        })
    }

    /// Lexes what the compiler predefines.
    pub(super) fn predefine(&mut self, compiler: usize) {
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
}

pub(super) fn add_builtins(library: &mut Library) -> Vec<(Name, MacroId)> {
    QUESTIONS
        .iter()
        .map(|&(_, name)| (name, library.builtin(builtin(name))))
        .collect()
}

pub(super) fn builtin(name: Name) -> Builtin {
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
