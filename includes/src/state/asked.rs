//! A question, as far as it can be understood without any file.

use super::State;
use crate::closure::Refusal;
use crate::disk::{FolderId, Found, ROOT, Trail};
use crate::names::hash;
use crate::probe::{self, Ask};
use crate::{Family, Question};
use compiler::inclusion::{Inclusion, InclusionError, inclusion};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// A question as it was understood.
pub(super) struct Asked<'q> {
    pub(super) question: &'q Question<'q>,
    /// Without response files.
    pub(super) words: &'q [OsString],
    pub(super) cwd: FolderId,
    pub(super) cwd_trail: Trail,
    pub(super) program: PathBuf,
    pub(super) family: Family,
    pub(super) said_family: bool,
    pub(super) inclusion: Inclusion<'q>,
    pub(super) environment: Vec<(OsString, OsString)>,
}

impl State {
    pub(super) fn understand<'q>(
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
            words,
            cwd,
            cwd_trail,
            program,
            family,
            said_family: known.is_some(),
            inclusion,
        })
    }

    /// The compiler's program, as it is started.
    pub(super) fn program(
        &mut self,
        name: &OsStr,
        question: &Question<'_>,
        cwd: FolderId,
    ) -> Option<PathBuf> {
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
    pub(super) fn compiler_key(&mut self, asked: &Asked<'_>) -> Vec<u8> {
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

    pub(super) fn ask(&self, asked: &Asked<'_>, source: Vec<u8>) -> Ask {
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
}

/// The variables that a compiler sees when it is asked; those that only name folders are followed here.
pub(super) fn environment(question: &Question<'_>) -> Vec<(OsString, OsString)> {
    question
        .environment
        .iter()
        .filter(|(name, _)| !name.as_bytes().ends_with(b"INCLUDE_PATH") && name != "CPATH")
        .cloned()
        .collect()
}

pub(super) fn has_relative_path(inclusion: &Inclusion<'_>) -> bool {
    inclusion.probe.iter().any(|word| {
        let word = word.as_bytes();
        let value = memchr::memchr(b'=', word).map_or(word, |equals| &word[equals + 1..]);
        value.first() != Some(&b'-') && value.first() != Some(&b'/') && value.contains(&b'/')
            || word.starts_with(b"-B")
            || word.starts_with(b"-specs")
    }) || inclusion.sysroot.is_some()
        || inclusion.header_sysroot.is_some()
}

pub(super) fn place_key(asked: &Asked<'_>, compiler: usize) -> Vec<u8> {
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

pub(super) fn question_hash(question: &Question<'_>, words: &[OsString]) -> u64 {
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
