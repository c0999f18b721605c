//! Including: finds a file, lists it, and begins to run it unless it is one that is run only once.

use super::machine::Machine;
use crate::Family;
use crate::closure::{Refusal, Role};
use crate::disk::FileId;
use crate::lex::{Inclusion, Kind, Named, Site, Source, scan, scan_with_text};
use crate::macros::{MacroId, SourceId};
use crate::search::{OpenedId, Origin, Skip, Wish};
use std::sync::Arc;

impl Machine<'_> {
    /// Does what an `#include` or one of its kin says.
    pub(super) fn include(&mut self, source: &Arc<Source>, site: u32) -> Result<(), Refusal> {
        let site = &source.sites[site as usize];
        let Some(frame) = self.frames.last() else {
            return Ok(());
        };
        let from = frame.opened;
        let key = u64::from(self.place.serial) << 32 | u64::from(from.0);
        let plain = matches!(site.kind, Inclusion::Include | Inclusion::Next);
        if plain && let Some(found) = site.last.get(key) {
            let opened = OpenedId(found);
            if self.is_skipped(opened) {
                return Ok(());
            }
            return self.enter(opened, Inclusion::Include);
        }
        let Some((quote, name)) = self.named(site) else {
            // Not the name of a file: an error, after which gcc goes on.
            return Ok(());
        };
        let mut kind = site.kind;
        if kind == Inclusion::Next && from == self.start.unit {
            kind = Inclusion::Include;
        }
        if kind == Inclusion::Embed && !self.knows_embed() {
            return Ok(());
        }
        let wish = Wish {
            from,
            kind,
            quote,
            name,
        };
        match self
            .place
            .find_lasting(wish, self.tree, &mut self.library.names)
        {
            (Some(opened), lasts) => {
                if lasts && plain && !matches!(site.file, Named::Computed(_)) {
                    site.last.set(key, opened.0);
                }
                self.enter(opened, kind)
            }
            (None, _) if matches!(kind, Inclusion::Dependency) => {
                let missed = self.place.missed_by(wish);
                self.outcome.missed.extend_from_slice(missed);
                Ok(())
            }
            (None, _)
                if self.start.family == Family::Gcc
                    && (self.outcome.vain).contains(&(name, self.place.start_of(wish))) =>
            {
                Ok(())
            }
            (None, _) => {
                self.outcome.missing = Some(self.library.names.get(name).to_vec());
                self.stopped = true;
                Ok(())
            }
        }
    }

    /// Was the file run for this question, and would it do nothing if it were run again?
    fn is_skipped(&mut self, opened: OpenedId) -> bool {
        let hot = self.place.hot[opened.0 as usize];
        hot.listed.0 == self.tree.question
            && match hot.skip {
                Skip::Never => false,
                Skip::Always => true,
                Skip::Guarded(name) => self.table.get(name) != MacroId::NONE,
            }
    }

    fn knows_embed(&self) -> bool {
        self.table.get(crate::names::HAS_EMBED) != MacroId::NONE
    }

    /// Lists a file that was found, and begins to run it.
    pub(super) fn enter(&mut self, opened: OpenedId, kind: Inclusion) -> Result<(), Refusal> {
        let role = match kind {
            Inclusion::Embed => Role::Data,
            Inclusion::Dependency => Role::Probed,
            _ => Role::Header,
        };
        let is_first = self.outcome.files.len() == self.before;
        if is_first && self.start.family == Family::Gcc && role == Role::Header {
            self.refuse_precompiled(opened)?;
        }
        self.list(opened, role)?;
        let Some(file) = self.place.get(opened).file else {
            return Ok(());
        };
        if role != Role::Header || self.frames.len() as u32 >= self.start.max_depth {
            return Ok(());
        }
        if self.is_done(opened, file, kind == Inclusion::Import) {
            return Ok(());
        }
        let id = self.source_of(file)?;
        if let Some(guard) = self.library.source(id).guard {
            self.place.hot(opened).skip = Skip::Guarded(guard);
            if self.table.get(guard) != MacroId::NONE {
                return Ok(());
            }
        }
        self.push(id, opened);
        Ok(())
    }

    /// Puts a file into the list of what is read, and sees to it that its bytes are there.
    pub(super) fn list(&mut self, opened: OpenedId, role: Role) -> Result<(), Refusal> {
        let question = self.tree.question;
        let number = self.outcome.files.len() as u32;
        let entry = self.place.hot(opened);
        let (when, at) = entry.listed;
        if when == question {
            let listed = &mut self.outcome.files[at as usize].1;
            if *listed == Role::Probed {
                *listed = role;
            }
        } else {
            entry.listed = (question, number);
            entry.skip = Skip::Never;
            self.outcome.files.push((opened, role));
        }
        Ok(())
    }

    /// The program of a file, lexed now if it was not before.
    fn source_of(&mut self, file: FileId) -> Result<SourceId, Refusal> {
        let mode = self.start.mode;
        let bytes = match self.tree.content(file, false) {
            Ok(bytes) => bytes.clone(),
            Err(error) => {
                use std::os::unix::ffi::OsStrExt as _;
                let path = std::ffi::OsStr::from_bytes(&self.tree.file(file).path);
                return Err(Refusal::Unreadable {
                    path: path.into(),
                    why: error.to_string(),
                });
            }
        };
        if self.start.text {
            if let Some(&id) = self.with_text.get(&file.0) {
                return Ok(id);
            }
            let source = scan_with_text(&bytes, mode, &mut self.library.names);
            let id = self.library.add(source, true);
            self.with_text.insert(file.0, id);
            return Ok(id);
        }
        let node = &mut self.tree.files[file.0 as usize];
        if let Some(&(_, id)) = node.sources.iter().find(|(known, _)| *known == mode) {
            return Ok(id);
        }
        let source = scan(&bytes, mode, &mut self.library.names);
        let id = self.library.add(source, false);
        self.tree.files[file.0 as usize].sources.push((mode, id));
        Ok(id)
    }

    /// Is this file one that was read and is not to be read again?
    fn is_done(&mut self, opened: OpenedId, file: FileId, import: bool) -> bool {
        let question = self.tree.question;
        let node = self.tree.file(file);
        if node.once == question {
            return true;
        }
        let before = node.entered == question;
        if import {
            self.mark_once(opened);
            if before || (self.start.family == Family::Gcc && self.is_known(opened, file)) {
                return true;
            }
        }
        if !before && !self.alike.is_empty() && self.is_alike(file) {
            return true;
        }
        self.tree.files[file.0 as usize].entered = question;
        false
    }

    /// Has gcc seen these bytes and this time under another name, be it that it only looked whether that is there?
    fn is_known(&mut self, opened: OpenedId, file: FileId) -> bool {
        let files = std::mem::take(&mut self.outcome.files);
        let known = files.iter().any(|&(other, _)| {
            let other_file = self.place.get(other).file;
            other != opened && other_file.is_some_and(|other| self.are_equal(file, other))
        });
        self.outcome.files = files;
        known
    }

    fn are_equal(&mut self, one: FileId, other: FileId) -> bool {
        let mut state = |file| {
            let bytes = self.tree.content(file, false).cloned().ok()?;
            Some((self.tree.file(file).stat.modified.0, bytes))
        };
        one == other || state(one).is_some_and(|one| Some(one) == state(other))
    }

    /// Has a file been marked that the compiler takes for this one? To gcc that is one with these bytes and this time, to clang the same file
    /// under another name.
    fn is_alike(&mut self, file: FileId) -> bool {
        let gcc = self.start.family == Family::Gcc;
        if self.tree.content(file, false).is_err() {
            return false;
        }
        let node = self.tree.file(file);
        let key = (node.stat.size as u32, node.stat.modified.0 as u32);
        let same = |&other: &FileId| {
            let other = self.tree.file(other);
            match gcc {
                true => other.bytes == node.bytes,
                false => {
                    (other.stat.device, other.stat.inode) == (node.stat.device, node.stat.inode)
                }
            }
        };
        self.alike
            .get(&key)
            .is_some_and(|others| others.iter().any(|other| *other != file && same(other)))
    }

    /// `#pragma once`
    pub(super) fn mark_once(&mut self, opened: OpenedId) {
        let Some(file) = self.place.get(opened).file else {
            return;
        };
        self.place.hot(opened).skip = Skip::Always;
        let question = self.tree.question;
        let node = &mut self.tree.files[file.0 as usize];
        if node.once != question {
            node.once = question;
            let key = (node.stat.size as u32, node.stat.modified.0 as u32);
            self.alike.entry(key).or_default().push(file);
        }
    }

    /// A header that was compiled before would be read in place of this one.
    pub(super) fn refuse_precompiled(&mut self, opened: OpenedId) -> Result<(), Refusal> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = self.library.names.get(self.place.get(opened).path).to_vec();
        let suffixes: &[&[u8]] = match self.start.family {
            Family::Gcc => &[b".gch"],
            Family::Clang => &[b".pch", b".gch"],
        };
        for suffix in suffixes {
            let compiled = [&path[..], suffix].concat();
            let mut trail = crate::disk::Trail::default();
            let cwd = self.place.cwd;
            let found = self
                .tree
                .resolve(cwd, &compiled, &mut self.library.names, &mut trail);
            if found.is_some() {
                return Err(Refusal::Precompiled {
                    path: std::ffi::OsStr::from_bytes(&path).into(),
                });
            }
            let names = &mut self.library.names;
            self.place.missed.begin();
            self.place.missed.beside(&compiled, cwd, self.tree, names);
            self.place.missed.give_to(&mut self.outcome.missed);
        }
        Ok(())
    }

    /// `#line 7 "name"` or `# 7 "name"`.
    pub(super) fn line_directive(&mut self, source: &Arc<Source>, site: &Site) {
        let Named::Computed(span) = site.file else {
            return;
        };
        let Some(id) = self.frames.last().map(|frame| frame.id) else {
            return;
        };
        let words = self.expand(
            site.at,
            source.mode,
            |library, out| library.span_tokens(id, span, out),
            |expansion| [expansion.next(), expansion.next()],
        );
        let text = |at: usize| (words[at].kind, self.library.names.get(words[at].name));
        let number = match text(0) {
            (Kind::Number, digits) => std::str::from_utf8(digits)
                .ok()
                .and_then(|d| d.parse().ok()),
            _ => None,
        };
        let file = match text(1) {
            (Kind::String, quoted) if quoted.len() >= 2 => {
                Some(quoted[1..quoted.len() - 1].to_vec())
            }
            _ => None,
        };
        if let Some(name) = &file
            && self.start.family == Family::Gcc
        {
            let quoted = self.open_named(name);
            self.outcome.quoted.extend(quoted);
        }
        if let Some(frame) = self.frames.last_mut() {
            if let Some(number) = number {
                frame.line = Some((source.behind(site.at), number));
            }
            if file.is_some() {
                frame.file = file;
            }
        }
    }

    /// The name under which a file that no directive names is listed.
    pub(super) fn open_data(&mut self, name: &[u8]) -> Option<OpenedId> {
        let found = self.open_named(name);
        if found.is_some() || name.first() == Some(&b'/') {
            return found;
        }
        let mut unwatched = false;
        self.start.angle.iter().find_map(|folder| {
            let path = [folder, &b"/"[..], name].concat();
            self.place.open(
                &path,
                Origin::Beside,
                self.tree,
                &mut self.library.names,
                &mut unwatched,
            )
        })
    }

    /// What a name stands for in the folder of the command.
    fn open_named(&mut self, name: &[u8]) -> Option<OpenedId> {
        let origin = match name.first() {
            Some(b'/') => Origin::Absolute,
            _ => Origin::Beside,
        };
        self.place
            .open(name, origin, self.tree, &mut self.library.names, &mut false)
    }
}
