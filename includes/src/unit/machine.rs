//! The loop over directives.

use super::MAX_STEPS;
use super::here::Counting;
use crate::closure::{Dates, Refusal, Role};
use crate::condition::{self, Decision};
use crate::disk::{FileId, Map, Tree};
use crate::lex::{Mode, Named, Op, Remarks, Site, Source};
use crate::macros::{ConditionId, Library, MacroId, OptionsPragma, Scratch, SourceId, Table};
use crate::names::Name;
use crate::search::{Miss, OpenedId, Place};
use crate::{Family, lex};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that a run works on.
pub(crate) struct Machine<'m> {
    pub(crate) library: &'m mut Library,
    pub(crate) tree: &'m mut Tree,
    pub(crate) place: &'m mut Place,
    pub(crate) table: &'m mut Table,
    pub(crate) scratch: &'m mut Scratch,
    pub(crate) answers: &'m HashMap<Vec<u8>, i64>,
    pub(crate) start: &'m Start<'m>,
    pub(crate) outcome: Outcome,
    pub(super) frames: Vec<Frame>,
    pub(super) counting: Counting,
    pub(super) steps: u64,
    /// Files that are included once, by size and second of modification: gcc takes files with equal bytes for one.
    pub(super) alike: Map<(u32, u32), Vec<FileId>>,
    pub(super) tainted: Vec<(Name, MacroId)>,
    /// Programs with text, by file.
    pub(super) with_text: Map<u32, SourceId>,
    /// Jumps that are not taken, because both branches are.
    both: Vec<(SourceId, u32)>,
    pub(super) stopped: bool,
    /// How many files were listed when the first header of the source's own comes: the source, and what the compiler puts before it.
    pub(super) before: usize,
}

/// How a run begins.
pub(crate) struct Start<'a> {
    pub(crate) family: Family,
    pub(crate) mode: Mode,
    pub(crate) unit: OpenedId,
    pub(crate) unit_source: SourceId,
    pub(crate) unit_path: PathBuf,
    /// `-D` and `-U`.
    pub(crate) command: Option<SourceId>,
    pub(crate) macros: &'a [&'a [u8]],
    pub(crate) includes: &'a [&'a [u8]],
    pub(crate) preinclude: Option<&'a [u8]>,
    pub(crate) max_depth: u32,
    /// Is text expanded too?
    pub(crate) text: bool,
    /// Folders that the assembler searches.
    pub(crate) angle: &'a [&'a [u8]],
}

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What is read, in the order in which it was opened.
    pub(crate) files: Vec<(OpenedId, Role)>,
    pub(crate) dates: Dates,
    pub(crate) unsure: u32,
    /// Only text that is expanded can tell.
    pub(crate) wants_text: bool,
    /// What `#assert` and `#unassert` said.
    pub(crate) asserted: Vec<(Vec<u8>, bool)>,
    /// Names that `__has_include` looked for in vain, and from which folder on. To gcc these are known: an `#include` of one does nothing.
    pub(super) vain: Vec<(Name, usize)>,
    pub(crate) missing: Option<Vec<u8>>,
    /// What `#line` names.
    pub(crate) quoted: Vec<OpenedId>,
    /// What was looked for by those that found nothing.
    pub(crate) missed: Vec<Miss>,
    /// What the compiler has to be asked before the run means anything.
    pub(crate) pending: Vec<Vec<u8>>,
}

/// A file that is being run.
pub(super) struct Frame {
    pub(super) source: Arc<Source>,
    pub(super) id: SourceId,
    pub(super) at: u32,
    macros: MacroId,
    conditions: ConditionId,
    pub(super) opened: OpenedId,
    /// What `#line` said: a number for the line at an offset, and a name.
    pub(super) line: Option<(u32, u32)>,
    pub(super) file: Option<Vec<u8>>,
}

/// Steps that beginning a file counts for.
const COST_OF_FILE: u64 = 100;

impl<'m> Machine<'m> {
    pub(crate) fn new(
        library: &'m mut Library,
        tree: &'m mut Tree,
        place: &'m mut Place,
        table: &'m mut Table,
        scratch: &'m mut Scratch,
        answers: &'m HashMap<Vec<u8>, i64>,
        start: &'m Start<'m>,
    ) -> Machine<'m> {
        Machine {
            library,
            tree,
            place,
            table,
            scratch,
            answers,
            start,
            outcome: Outcome::default(),
            frames: Vec::with_capacity(32),
            counting: Counting::default(),
            steps: MAX_STEPS,
            alike: Map::default(),
            tainted: Vec::new(),
            with_text: Map::default(),
            both: Vec::new(),
            stopped: false,
            before: 1,
        }
    }

    /// Runs the command's macros, what it includes, and the unit.
    pub(crate) fn run(mut self) -> Result<Outcome, Refusal> {
        let start = self.start;
        self.list(start.unit, Role::Source)?;
        if let Some(command) = start.command {
            self.push(command, start.unit);
            self.go()?;
        }
        for name in start.macros {
            self.forced(name)?;
        }
        if let Some(name) = start.preinclude
            && let Some(opened) = self
                .place
                .find_angle(name, self.tree, &mut self.library.names)
        {
            self.before = usize::MAX;
            self.enter(opened, lex::Inclusion::Include)?;
            self.go()?;
            self.before = self.outcome.files.len();
        }
        for name in start.includes {
            self.forced(name)?;
        }
        if !self.stopped {
            self.push(start.unit_source, start.unit);
            self.go()?;
        }
        self.weigh_tainted()?;
        Ok(self.outcome)
    }

    fn forced(&mut self, name: &[u8]) -> Result<(), Refusal> {
        if self.stopped {
            return Ok(());
        }
        match self
            .place
            .find_forced(name, self.tree, &mut self.library.names)
        {
            Some(opened) => {
                self.refuse_precompiled(opened)?;
                self.enter(opened, lex::Inclusion::Include)?;
                self.go()
            }
            None => {
                self.outcome.missing = Some(name.to_vec());
                self.stopped = true;
                Ok(())
            }
        }
    }

    pub(super) fn push(&mut self, id: SourceId, opened: OpenedId) {
        self.steps = self.steps.saturating_sub(COST_OF_FILE).max(1);
        let loaded = self.library.loaded(id);
        self.frames.push(Frame {
            source: loaded.source.clone(),
            id,
            at: 0,
            macros: loaded.macros,
            conditions: loaded.conditions,
            opened,
            line: None,
            file: None,
        });
    }

    /// Runs until no file is left.
    fn go(&mut self) -> Result<(), Refusal> {
        while let Some(frame) = self.frames.last() {
            let source = frame.source.clone();
            let (macros, conditions, source_id) = (frame.macros, frame.conditions, frame.id);
            let mut at = frame.at as usize;
            let ops = &source.ops[..];
            let depth = self.frames.len();
            loop {
                self.steps = self.steps.saturating_sub(1);
                if self.steps == 0 {
                    return Err(self.too_much());
                }
                match ops[at] {
                    Op::Define { name, number } => {
                        at += 1;
                        self.table.set(name, macros.offset(number));
                    }
                    Op::DefineRemarked(number) => {
                        at += 1;
                        let name = source.definitions[number as usize].name;
                        let id = macros.offset(number);
                        self.table.set(name, id);
                        self.taint(name, id, source.definitions[number as usize].remarks);
                    }
                    Op::Undef(name) => {
                        at += 1;
                        self.table.remove(name);
                    }
                    Op::Ifdef {
                        name,
                        negated,
                        otherwise,
                    } => {
                        if self.table.doubt.is_any() && self.is_in_doubt(name) {
                            self.outcome.unsure += 1;
                            self.both.push((source_id, otherwise.saturating_sub(1)));
                            at += 1;
                            continue;
                        }
                        let defined = self.table.get(name) != MacroId::NONE;
                        at = if defined != negated {
                            at + 1
                        } else {
                            otherwise as usize
                        };
                    }
                    Op::If {
                        condition,
                        otherwise,
                    } => match self.decide(conditions.offset(condition)) {
                        Decision::Holds(true) => at += 1,
                        Decision::Holds(false) => at = otherwise as usize,
                        Decision::Unknown => {
                            self.outcome.unsure += 1;
                            self.both.push((source_id, otherwise.saturating_sub(1)));
                            at += 1;
                        }
                    },
                    Op::Jump(target) => {
                        let here = (source_id, at as u32);
                        if !self.both.is_empty()
                            && let Some(both) = self.both.iter().rposition(|&both| both == here)
                        {
                            self.both.remove(both);
                            at += 1;
                        } else {
                            at = target as usize;
                        }
                    }
                    Op::Include(site) => {
                        at += 1;
                        self.frames[depth - 1].at = at as u32;
                        self.include(&source, site)?;
                        if self.stopped {
                            self.frames.clear();
                            return Ok(());
                        }
                        if self.frames.len() > depth {
                            break;
                        }
                    }
                    Op::End => {
                        self.frames.pop();
                        break;
                    }
                    other => {
                        at += 1;
                        self.frames[depth - 1].at = at as u32;
                        self.rare(other, &source)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn rare(&mut self, op: Op, source: &Arc<Source>) -> Result<(), Refusal> {
        let Some(frame) = self.frames.last() else {
            return Ok(());
        };
        match op {
            Op::Once => {
                let opened = frame.opened;
                self.mark_once(opened);
            }
            Op::PushMacro(name) => self.table.push(name),
            Op::PopMacro(name) => self.table.pop(name),
            Op::Options(pragma) => self.change_options(pragma),
            Op::Line(site) => self.line_directive(source, &source.sites[site as usize]),
            Op::Text(remark) => self.text(source, source.remarks[remark as usize])?,
            Op::Span(span) => self.expand_text(source, source.spans[span as usize])?,
            Op::Assert(site) => self.assert(source, site, true),
            Op::Unassert(site) => self.assert(source, site, false),
            _ => {}
        }
        Ok(())
    }

    /// May a pragma that changed options have changed this macro?
    fn is_in_doubt(&self, name: Name) -> bool {
        self.table.doubt.is_about(self.library.names.get(name))
    }

    fn decide(&mut self, id: ConditionId) -> Decision {
        let condition = self.library.condition(id);
        if !self.table.doubt.is_any()
            && let Some(holds) = self.library.recall(condition, self.table)
        {
            return Decision::Holds(holds);
        }
        let offset = condition.at;
        let (decision, repeatable) = self.expand(
            offset,
            self.start.mode,
            |library, out| library.condition_tokens(id, out),
            |expansion| (condition::decide(expansion), expansion.repeatable),
        );
        if let Decision::Holds(holds) = decision
            && repeatable
        {
            self.library.remember(id, &self.scratch.reads, holds);
        }
        decision
    }

    /// The file that a computed name gives.
    pub(super) fn computed(&mut self, site: &Site, span: lex::Span) -> Option<(bool, Name)> {
        let id = self.frames.last()?.id;
        let (header, unknown) = self.expand(
            site.at,
            self.start.mode,
            |library, out| library.header_tokens(id, span, out),
            |expansion| {
                expansion.pad();
                let first = expansion.next();
                (expansion.header(first), expansion.unknown)
            },
        );
        self.outcome.unsure += u32::from(unknown);
        let (quote, name) = header?;
        Some((quote, self.library.names.add(&name)))
    }

    /// Notes a macro whose body matters in text.
    fn taint(&mut self, name: Name, id: MacroId, remarks: Remarks) {
        self.tainted.push((name, id));
        self.counting.uncertain |= remarks.has(Remarks::COUNTER) && !self.start.text;
    }

    fn text(&mut self, source: &Arc<Source>, remark: lex::Remark) -> Result<(), Refusal> {
        let kind = remark.kind;
        if kind == Remarks::NOW {
            self.outcome.dates.now = true;
        } else if kind == Remarks::STAMP {
            self.outcome.dates.file = true;
        } else if self.start.text && kind != Remarks::MODULE {
            // The text itself is expanded.
        } else if kind == Remarks::COUNTER {
            self.counting.uncertain = true;
        } else if kind == Remarks::PRAGMA {
            self.pragma_operator(source, remark.at as usize);
        } else if kind == Remarks::DATA {
            self.data(source, remark.at as usize)?;
        } else if kind == Remarks::MODULE {
            return Err(Refusal::Modules {
                path: self.unit_path(),
            });
        }
        Ok(())
    }

    /// `_Pragma("once")` and its kin, in text.
    fn pragma_operator(&mut self, source: &Arc<Source>, at: usize) {
        let Some(text) = lex::pragma_text(&source.text[at..]) else {
            return;
        };
        self.pragma_text(&text);
    }

    /// What a pragma says that matters.
    pub(super) fn pragma_text(&mut self, text: &[u8]) {
        let word = text.trim_ascii();
        if word == b"once" {
            if let Some(opened) = self.frames.last().map(|frame| frame.opened) {
                self.mark_once(opened);
            }
        } else if let Some((push, name)) = lex::macro_pragma(word) {
            let name = self.library.names.add(&name);
            if push {
                self.table.push(name);
            } else {
                self.table.pop(name);
            }
        } else if let Some(pragma) = word
            .strip_prefix(b"GCC")
            .and_then(|rest| OptionsPragma::read(rest.trim_ascii_start()))
        {
            self.change_options(pragma);
        }
    }

    /// clang heeds none of these pragmas; gcc's own headers put all back before anything hangs on it.
    fn change_options(&mut self, pragma: OptionsPragma) {
        let frame = self.frames.last();
        let own = frame.is_some_and(|frame| !self.place.get(frame.opened).system);
        if own && self.start.family == Family::Gcc {
            self.table.doubt.heed(pragma);
        }
    }

    pub(super) fn unit_path(&self) -> PathBuf {
        self.start.unit_path.clone()
    }

    pub(super) fn too_much(&self) -> Refusal {
        Refusal::TooMuch {
            path: self.unit_path(),
            limit: MAX_STEPS,
            what: "steps",
        }
    }

    pub(super) fn named(&mut self, site: &Site) -> Option<(bool, Name)> {
        match site.file {
            Named::Quote(name) => Some((true, name)),
            Named::Angle(name) => Some((false, name)),
            Named::Computed(span) => self.computed(site, span),
        }
    }
}
