//! From what a run found to a closure, and from a closure that is remembered to an answer.

use super::asked::{Asked, question_hash};
use super::{State, path_of};
use crate::Question;
use crate::answers::{Answer, Answers};
use crate::closure::{Closure, Link, Member, Missed, Refusal, Role};
use crate::disk::{FileId, FolderId, Found, LinkId, ROOT, Trail};
use crate::names;
use crate::search::{self, Miss, Place};
use crate::unit::Outcome;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;

impl State {
    /// The closure that a run's outcome is.
    pub(super) fn closure(
        &mut self,
        asked: &Asked<'_>,
        place: &mut Place,
        mut outcome: Outcome,
    ) -> Result<Arc<Closure>, Refusal> {
        self.list_quoted(place, &mut outcome);
        let mut files: Vec<Arc<Member>> = Vec::with_capacity(outcome.files.len() + 2);
        let mut links: Vec<LinkId> = asked.cwd_trail.links.clone();
        let mut left: Vec<FolderId> = asked.cwd_trail.left.clone();
        for folder in &place.folders.all {
            left.push(folder.id);
            left.extend_from_slice(&folder.trail.left);
            links.extend_from_slice(&folder.trail.links);
        }
        let mut missed = outcome.missed;
        missed.extend_from_slice(&place.missed.no_folders);
        for (opened, role) in outcome.files {
            let entry = place.get_mut(opened);
            missed.extend_from_slice(&entry.missed);
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
            missed: self.missed(missed),
            dates: outcome.dates,
            unsure: outcome.unsure,
            missing: outcome.missing.map(OsString::from_vec),
        }))
    }

    /// The misses by their folders.
    fn missed(&self, mut missed: Vec<Miss>) -> Vec<Missed> {
        let names = &self.library.names;
        missed.sort_unstable();
        missed.dedup();
        let folders = missed.chunk_by(|(folder, _), (next, _)| folder == next);
        let by_folder = folders.map(|misses| {
            let mut list = Vec::with_capacity(misses.len() * 24);
            for &(_, name) in misses.iter().filter(|(_, name)| *name != names::EMPTY) {
                list.extend_from_slice(b"//");
                list.extend_from_slice(names.get(name));
            }
            let folder = misses.first().map_or(names::EMPTY, |&(folder, _)| folder);
            Missed {
                folder: path_of(names.get(folder)).into(),
                names: list,
            }
        });
        by_folder.collect()
    }

    /// Files that `#line` names, as far as they can be read and are not in the list for more.
    fn list_quoted(&mut self, place: &mut Place, outcome: &mut Outcome) {
        for opened in std::mem::take(&mut outcome.quoted) {
            let number = outcome.files.len() as u32;
            let file = place.get(opened).file;
            let hot = place.hot(opened);
            let is_new = hot.listed.0 != self.tree.question;
            if is_new && file.is_some_and(|file| self.tree.content(file, false).is_ok()) {
                hot.listed = (self.tree.question, number);
                outcome.files.push((opened, Role::Quoted));
            }
        }
    }

    /// Files that the command names for the driver.
    pub(super) fn add_read_by_driver(
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

    pub(super) fn link(&mut self, link: LinkId, place: &Place) -> Arc<Link> {
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
    pub(super) fn remembered(
        &mut self,
        question: &Question<'_>,
        words: &[OsString],
    ) -> Option<Arc<Closure>> {
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

    pub(super) fn remember(
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
            .zip(&place.hot)
            .filter(|(_, hot)| hot.listed.0 == question)
            .map(|(opened, _)| opened);
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
}

pub(super) fn answer_generation(answers: &Answers, key: u64) -> Option<u64> {
    answers.peek(key).map(|answer| answer.generation)
}
