//! The other way to send a job: with the files of its source (pump), in the form that the daemon takes.

use std::os::unix::ffi::OsStrExt;

use hosts::{Host, Monitor, Phase, Slot};
use protocol::closure_talk::Form;
use protocol::{Outcome, ProtocolError, Version};

use super::{Dispatch, Stop};
use crate::os;
use crate::peer::{OtherHeaders, Peer};
use crate::pump::{self, NotPumped};
use crate::wire::{Link, WireError};

impl Dispatch<'_> {
    /// Sends the job with its files, in the form that `peer` takes; `None` when it has to go in plain mode.
    pub(super) fn send_files(
        &mut self,
        peer: &Peer,
        host: &Host,
        slot: &Slot,
        monitor: &mut Monitor,
    ) -> Result<Option<Outcome>, Stop> {
        let headers = self.command.settings.folder.as_deref();
        let headers = headers.map(|folder| OtherHeaders::of(host, folder));
        let mut form = match peer {
            Peer {
                tree_jobs: true, ..
            } if headers.as_ref().is_some_and(OtherHeaders::noted) => Form::WholeTree,
            Peer {
                tree_jobs: true, ..
            } => Form::Tree,
            Peer {
                pump_jobs: true, ..
            } => Form::Stock,
            _ => return Ok(None),
        };
        let name = compiler::names::base(self.job.source().as_bytes());
        loop {
            monitor.note(Phase::Preprocess, name, "localhost", 0);
            let _leftover = monitor.path().map(os::remove_on_signal);
            if self.files.as_ref().is_none_or(|files| files.form != form) {
                match pump::files(self.command, self.about, self.job, form) {
                    Ok(files) => self.files = Some(files),
                    Err(NotPumped(code)) => {
                        self.not_pumped = Some(code);
                        return Ok(None);
                    }
                }
            }
            self.pumped = Some(form);
            monitor.note(Phase::Connect, name, host.short_name(), slot.number());
            let mut link = Link::open(host, self.command.settings)?;
            let result = self.exchange_files(&mut link, monitor);
            self.sent += link.sent;
            self.received += link.received;
            if result.is_err() && form != Form::Stock {
                // Perhaps another daemon listens there by now.
                let folder = self.command.settings.folder.as_deref();
                folder.iter().for_each(|folder| Peer::forget(host, folder));
            }
            let outcome = result?;
            if form == Form::Stock || !other_headers(&outcome) {
                return Ok(Some(outcome));
            }
            if form == Form::WholeTree {
                // It has one that hides what was sent, or that a source asks for in vain here.
                self.not_pumped = Some("other-headers");
                return Ok(None);
            }
            headers.iter().for_each(OtherHeaders::note);
            form = Form::WholeTree;
        }
    }

    fn exchange_files(
        &mut self,
        link: &mut Link,
        monitor: &mut Monitor,
    ) -> Result<Outcome, WireError> {
        let Some(files) = &self.files else {
            return Err(ProtocolError::NoCommand.into());
        };
        monitor.phase(Phase::Send);
        let version = match files.form {
            Form::Stock => Version::Pump,
            Form::Tree | Form::WholeTree => Version::Tree,
        };
        let args = self.with_target(files.args.clone());
        let words = std::iter::once(&self.about.remote)
            .chain(&args)
            .map(|word| word.as_bytes());
        let mut head = protocol::request::encode_head(version, Some(files.cwd.as_bytes()), words)?;
        if version == Version::Tree {
            let variables = pump::environment(self.command.settings);
            head.extend(protocol::request::encode_environment(&variables)?);
        }
        link.send(&head)?;
        link.send_rest(&files.body, files.size)?;
        self.receive(link, version, monitor)
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
