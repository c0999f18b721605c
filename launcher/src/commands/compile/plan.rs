//! Which commands are run, in which order.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use compiler::{Reason, names};
use regex::bytes::Regex;

use crate::commands::database::{Database, Judge, Unusable, tidy};
use crate::settings::Settings;

/// One command to run.
#[derive(Debug)]
pub(super) struct Unit {
    /// The source as the database names it, for messages.
    pub(super) file: OsString,
    pub(super) folder: PathBuf,
    /// Compiler and arguments.
    pub(super) words: Vec<OsString>,
    /// What it writes, absolute, as far as the words tell.
    pub(super) output: Option<PathBuf>,
}

/// All that a run does.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) path: PathBuf,
    /// Precompiled headers, which others may read.
    pub(super) first: Vec<Unit>,
    pub(super) rest: Vec<Unit>,
    /// Programs that are not run, each with how many commands name it and the first source.
    pub(super) unknown: Vec<(OsString, usize, OsString)>,
    /// Commands left out because another one writes the same output.
    pub(super) twice: usize,
    /// Commands left out by the filter.
    pub(super) filtered: usize,
}

/// By what two commands are one.
#[derive(PartialEq, Eq, Hash)]
enum Effect {
    Writes(PathBuf),
    Runs(PathBuf, Vec<OsString>),
}

impl Plan {
    pub(super) fn of(
        settings: &Settings,
        database: &Database,
        filter: Option<&Regex>,
    ) -> Result<Plan, Unusable> {
        let mut plan = Plan {
            path: database.path.clone(),
            first: Vec::new(),
            rest: Vec::new(),
            unknown: Vec::new(),
            twice: 0,
            filtered: 0,
        };
        let mut judge = Judge::new(settings);
        let mut seen = HashSet::new();
        for mut entry in database.entries()? {
            let folder = database.folder_of(&entry);
            let file = OsStr::from_bytes(&entry.file).to_owned();
            let path = tidy(&folder.join(&file));
            if filter.is_some_and(|filter| !filter.is_match(path.as_os_str().as_bytes())) {
                plan.filtered += 1;
                continue;
            }
            let command = judge.command(&mut entry);
            if names::guess(names::base(command.compiler.as_bytes())).is_none() {
                plan.refuse(command.compiler, file);
                continue;
            }
            let words: Vec<_> = std::iter::once(&command.compiler)
                .chain(&command.args)
                .cloned()
                .collect();
            let judged = judge.judge(command, &folder);
            let named = || entry.output.as_deref().map(OsStr::from_bytes);
            let output = judged.output.as_deref().or_else(named);
            let output = output.map(|name| tidy(&folder.join(name)));
            let effect = match &output {
                Some(output) => Effect::Writes(output.clone()),
                None => Effect::Runs(folder.clone(), words.clone()),
            };
            if !seen.insert(effect) {
                plan.twice += 1;
                continue;
            }
            let unit = Unit {
                file,
                folder,
                words,
                output,
            };
            match judged.here {
                Some(Reason::HeaderUnit) => plan.first.push(unit),
                _ => plan.rest.push(unit),
            }
        }
        Ok(plan)
    }

    fn refuse(&mut self, program: OsString, file: OsString) {
        match self.unknown.iter_mut().find(|(name, ..)| *name == program) {
            Some((_, count, _)) => *count += 1,
            None => self.unknown.push((program, 1, file)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// Is there nothing to say or do?
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0 && self.unknown.is_empty()
    }
}
