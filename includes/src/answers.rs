//! Whole answers, for questions that are asked again.

use crate::Question;
use crate::closure::Closure;
use crate::disk::FileId;
use crate::disk::Map;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// An answer, and what has to be unchanged for it to hold.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) directory: PathBuf,
    pub(crate) words: Box<[OsString]>,
    pub(crate) environment: Box<[(OsString, OsString)]>,
    pub(crate) generation: u64,
    pub(crate) unit: FileId,
    /// Files whose changes are not reported.
    pub(crate) volatile: Arc<[FileId]>,
    pub(crate) closure: Arc<Closure>,
}

impl Answer {
    fn memory(&self) -> usize {
        let unit = self
            .closure
            .files
            .first()
            .map_or(0, |unit| unit.bytes.len());
        let words: usize = self.words.iter().map(|word| word.len() + 24).sum();
        unit + words + self.closure.files.len() * 8 + self.closure.directories.len() * 16 + 512
    }
}

/// Answers by the hash of their question.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    all: Map<u64, Answer>,
    memory: usize,
}

/// Memory for answers, in bytes; beyond it all are forgotten.
const MAX_MEMORY: usize = 8 << 20;

impl Answers {
    pub(crate) fn get(
        &self,
        key: u64,
        question: &Question<'_>,
        words: &[OsString],
    ) -> Option<&Answer> {
        self.all.get(&key).filter(|answer| {
            *answer.words == *words
                && answer.directory == question.directory
                && *answer.environment == *question.environment
        })
    }

    pub(crate) fn peek(&self, key: u64) -> Option<&Answer> {
        self.all.get(&key)
    }

    pub(crate) fn put(&mut self, key: u64, answer: Answer) {
        let memory = answer.memory();
        if memory > MAX_MEMORY / 4 {
            return;
        }
        if self.memory + memory > MAX_MEMORY {
            self.all.clear();
            self.memory = 0;
        }
        self.memory += memory;
        if let Some(before) = self.all.insert(key, answer) {
            self.memory -= before.memory().min(self.memory);
        }
    }
}
