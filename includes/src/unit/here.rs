//! What an expansion asks of the run that it is part of.

use super::machine::{Frame, Machine, Outcome, Start};
use crate::Family;
use crate::closure::Role;
use crate::disk::Tree;
use crate::lex::{Inclusion, Mode, Token};
use crate::macros::{Expansion, Facts, Library, Parts};
use crate::names::Names;
use crate::search::{OpenedId, Place, Skip, Wish};
use std::collections::HashMap;

/// How far `__COUNTER__` is.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub(super) next: u32,
    /// Text may have taken numbers too.
    pub(super) uncertain: bool,
}

/// The place in the run where an expansion happens.
pub(super) struct Here<'h> {
    frame: Option<&'h Frame>,
    /// The file at the bottom, which is the unit but for what the command includes.
    base: Option<&'h Frame>,
    depth: usize,
    offset: u32,
    start: &'h Start<'h>,
    tree: &'h mut Tree,
    place: &'h mut Place,
    answers: &'h HashMap<Vec<u8>, i64>,
    outcome: &'h mut Outcome,
    counting: &'h mut Counting,
}

impl Machine<'_> {
    /// Has `work` expand the tokens that `fill` puts in, which stand at `offset` of the file that is being run.
    pub(super) fn expand<T>(
        &mut self,
        offset: u32,
        mode: Mode,
        fill: impl FnOnce(&mut Library, &mut Vec<Token>),
        work: impl FnOnce(&mut Expansion<'_>) -> T,
    ) -> T {
        let mut here = Here {
            frame: self.frames.last(),
            base: self.frames.first(),
            depth: self.frames.len(),
            offset,
            start: self.start,
            tree: self.tree,
            place: self.place,
            answers: self.answers,
            outcome: &mut self.outcome,
            counting: &mut self.counting,
        };
        let parts = Parts {
            library: self.library,
            table: self.table,
            scratch: self.scratch,
            facts: &mut here,
        };
        let mut expansion = Expansion::new(parts, mode, self.start.family, self.steps, fill);
        let result = work(&mut expansion);
        let budget = expansion.budget;
        drop(expansion);
        self.steps = budget.max(1);
        result
    }
}

impl Here<'_> {
    fn from(&self) -> OpenedId {
        self.frame.map_or(self.start.unit, |frame| frame.opened)
    }

    fn path_of(&self, opened: OpenedId, names: &Names) -> Vec<u8> {
        names.get(self.place.get(opened).path).to_vec()
    }

    fn probe(&mut self, kind: Inclusion, quote: bool, name: &[u8], names: &mut Names) -> bool {
        let kind = if kind == Inclusion::Next && self.from() == self.start.unit {
            Inclusion::Include
        } else {
            kind
        };
        let wish = Wish {
            from: self.from(),
            kind,
            quote,
            name: names.add(name),
        };
        let Some(opened) = self.place.find(wish, self.tree, names) else {
            let missed = self.place.missed_by(wish);
            self.outcome.missed.extend_from_slice(missed);
            let vain = (wish.name, self.place.start_of(wish));
            self.outcome.vain.push(vain);
            return false;
        };
        let number = self.outcome.files.len() as u32;
        let question = self.tree.question;
        let entry = self.place.hot(opened);
        if entry.listed.0 != question {
            entry.listed = (question, number);
            entry.skip = Skip::Never;
            self.outcome.files.push((opened, Role::Probed));
        }
        true
    }
}

impl Facts for Here<'_> {
    fn line(&mut self, place: u8, derived: bool) -> Option<u32> {
        let Some(frame) = self.frame else {
            return Some(1);
        };
        // To clang a macro begins with the splices before its name.
        let before = derived && self.start.family == Family::Clang;
        let down = frame.source.lines_down(self.offset, place, before)?;
        let line = frame.source.line(self.offset) + down;
        Some(match frame.line {
            Some((behind, number)) => number + line.saturating_sub(frame.source.line(behind)),
            None => line,
        })
    }

    fn file(&mut self, names: &Names) -> Vec<u8> {
        match self.frame.and_then(|frame| frame.file.clone()) {
            Some(file) => file,
            None => self.path_of(self.from(), names),
        }
    }

    fn base_file(&mut self, names: &Names) -> Vec<u8> {
        // To clang `#line` renames it too.
        let renamed = self.base.and_then(|base| base.file.clone());
        match renamed.filter(|_| self.start.family == Family::Clang) {
            Some(file) => file,
            None => self.path_of(self.start.unit, names),
        }
    }

    fn level(&mut self) -> u32 {
        self.depth.saturating_sub(1) as u32
    }

    fn counter(&mut self) -> Option<u32> {
        let number = self.counting.next;
        self.counting.next += 1;
        self.outcome.wants_text |= self.counting.uncertain;
        (!self.counting.uncertain).then_some(number)
    }

    fn has_include(&mut self, next: bool, quote: bool, name: &[u8], names: &mut Names) -> bool {
        let kind = if next {
            Inclusion::Next
        } else {
            Inclusion::Include
        };
        self.probe(kind, quote, name, names)
    }

    fn has_embed(&mut self, quote: bool, name: &[u8], names: &mut Names) -> u32 {
        if !self.probe(Inclusion::Embed, quote, name, names) {
            return 0;
        }
        let number = self.outcome.files.len();
        let empty = self
            .outcome
            .files
            .get(number.wrapping_sub(1))
            .and_then(|&(opened, _)| self.place.get(opened).file)
            .is_some_and(|file| self.tree.file(file).stat.size == 0);
        if empty { 2 } else { 1 }
    }

    fn asserted(&mut self, text: &[u8]) -> Option<bool> {
        let about = |said: &[u8]| {
            text.strip_prefix(said)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"("))
        };
        let said = self.outcome.asserted.iter().rev().find(|(said, holds)| {
            about(said)
                || (*holds && !text.contains(&b'(') && said.starts_with(&[text, b"("].concat()))
        });
        match said {
            Some(&(_, holds)) => Some(holds),
            None => self.ask(text).map(|value| value != 0),
        }
    }

    fn ask(&mut self, text: &[u8]) -> Option<i64> {
        if let Some(&value) = self.answers.get(text) {
            return Some(value);
        }
        if !self.outcome.pending.iter().any(|known| known == text) {
            self.outcome.pending.push(text.to_vec());
        }
        None
    }
}
