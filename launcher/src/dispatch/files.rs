//! The other way to send a job: with the files of its source (pump), in the form that the daemon takes.

use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use hosts::Phase;
use protocol::closure_talk::Form;
use protocol::{Outcome, Version};

use super::leg::{Gathered, Leg};
use super::{Dispatch, Stop};
use crate::peer::{OtherHeaders, Peer};
use crate::pump::{self, Files, NotPumped};
use crate::source::SourceError;
use crate::wire::{Exchange, Link, Part, WireError};

impl Dispatch<'_> {
    /// May the job go with its files, if a daemon like `peer` takes them?
    pub(super) fn may_bring_files(&self, peer: &Peer) -> bool {
        // Where the compiler there prints the dependency file, it does so as here.
        let printed = self.job.depfile().is_some_and(|it| it.is_printed());
        let needs_text = printed && !peer.tree_jobs || compiler::text::may_name_inode(self.job);
        // Who forces a manner wants it seen.
        !needs_text && self.command.settings.preprocess.is_none()
    }

    /// Asks for the job's files in the form that the leg's daemon takes, and connects; false when it has to go in plain mode.
    pub(super) fn choose_files(&mut self, leg: &mut Leg) -> Result<bool, Stop> {
        let form = match &leg.peer {
            Peer {
                tree_jobs: true, ..
            } if leg.whole_tree || self.has_other_headers(leg) => Form::WholeTree,
            Peer {
                tree_jobs: true, ..
            } => Form::Tree,
            Peer {
                pump_jobs: true, ..
            } => Form::Stock,
            _ => return Ok(false),
        };
        self.show(Phase::Preprocess, "localhost", 0);
        let files = match &self.files {
            Some(files) if files.form == form => Rc::clone(files),
            _ => match pump::files(self.command, self.about, self.job, form) {
                Ok(files) => Rc::new(files),
                Err(NotPumped(code)) => {
                    self.not_pumped = Some(code);
                    return Ok(false);
                }
            },
        };
        self.files = Some(Rc::clone(&files));
        leg.gathered = Some(Gathered::Files(files));
        self.connect(leg)?;
        Ok(true)
    }

    pub(super) fn send_files(
        &self,
        leg: &Leg,
        files: &Files,
        mut link: Link,
    ) -> Result<Exchange, Stop> {
        let version = match files.form {
            Form::Stock => Version::Pump,
            Form::Tree | Form::WholeTree => Version::Tree,
        };
        let args = self.with_target(files.args.clone());
        let words = std::iter::once(&self.about.remote)
            .chain(&args)
            .map(|word| word.as_bytes());
        let head = protocol::request::encode_head(version, Some(files.cwd.as_bytes()), words);
        link.push(Part::Bytes(head.map_err(WireError::from)?));
        if version == Version::Tree {
            let variables = pump::environment(self.command.settings);
            let variables = protocol::request::encode_environment(&variables);
            link.push(Part::Bytes(variables.map_err(WireError::from)?));
        }
        let body = files.body.try_clone().map_err(SourceError::Read);
        let body = body.map_err(|error| super::text::no_source(self.command, &error))?;
        link.push(Part::File(body, files.size));
        Ok(Exchange::new(link, version, self.patience(leg)))
    }

    /// Does the host, going by its answer, need files that are its own machine's otherwise?  Then the leg sets out again.
    pub(super) fn wants_more_files(
        &mut self,
        leg: &mut Leg,
        outcome: &Outcome,
    ) -> Result<bool, Stop> {
        let form = match leg.pumped() {
            Some(form @ (Form::Tree | Form::WholeTree)) if other_headers(outcome) => form,
            _ => return Ok(false),
        };
        if form == Form::WholeTree {
            // It has one that hides what was sent, or that a source asks for in vain here.
            self.not_pumped = Some("other-headers");
            self.choose_text(leg)?;
            return Ok(true);
        }
        self.headers_of(leg).iter().for_each(OtherHeaders::note);
        leg.whole_tree = true;
        if !self.choose_files(leg)? {
            self.choose_text(leg)?;
        }
        Ok(true)
    }

    fn headers_of(&self, leg: &Leg) -> Option<OtherHeaders> {
        let folder = self.command.settings.folder.as_deref()?;
        Some(OtherHeaders::of(&self.list.hosts[leg.index], folder))
    }

    fn has_other_headers(&self, leg: &Leg) -> bool {
        self.headers_of(leg).is_some_and(|headers| headers.noted())
    }
}

/// Did a daemon of ours find other system headers on its machine?
fn other_headers(outcome: &Outcome) -> bool {
    const EXIT: u8 = 113;
    let said = || outcome.stderr.clone().unpack(64 << 10).ok();
    outcome.status.exit_code() == Some(EXIT)
        && said()
            .is_some_and(|text| memchr::memmem::find(&text, b"system headers differ").is_some())
}
