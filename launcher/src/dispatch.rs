//! One job to one host: preprocess here, send, take in what comes back.
//!
//! Knows nothing of which host is next or of what a result is worth.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use compiler::{Family, Job, Reason};
use hosts::{Host, HostList, LocalPool, Monitor, Phase, Slot};
use protocol::{Body, Outcome, Version};

use crate::about::About;
use crate::driver::Command;
use crate::here::{Why, take_local};
use crate::say::chain;
use crate::source::{Source, SourceError};
use crate::wire::{Link, WireError};

/// A job with what is ready of it to send.
pub(crate) struct Dispatch<'a> {
    pub command: &'a Command<'a>,
    pub about: &'a About,
    pub job: &'a Job<'a>,
    pub list: &'a HostList,
    /// The preprocessed source, once a host wanted it; kept from host to host.
    pub source: Option<Source>,
    /// The right to preprocess here, while the preprocessor is at work.
    pub cpp_slot: Option<Slot>,
    /// Bytes over all hosts.
    pub sent: u64,
    pub received: u64,
}

/// Why a conversation ended without an outcome.
pub(crate) enum Stop {
    /// The host's doing.
    Wire(WireError),
    /// Nothing that another host could mend.
    Here(Why),
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Stop {
        Stop::Wire(error)
    }
}

impl Dispatch<'_> {
    /// Sends the job to `host` and takes in what comes back.
    pub(crate) fn to(
        &mut self,
        host: &Host,
        slot: &Slot,
        monitor: &mut Monitor,
    ) -> Result<Outcome, Stop> {
        let file = compiler::names::base(self.job.source().as_bytes());
        if self.source.is_none() {
            monitor.note(Phase::Preprocess, file, "localhost", 0);
            self.start_source()?;
        }
        monitor.note(Phase::Connect, file, host.short_name(), slot.number());
        let mut link = Link::open(host, self.command.settings)?;
        let version = if host.lzo {
            Version::Lzo
        } else {
            Version::Plain
        };
        let result = self.exchange(&mut link, version, monitor);
        self.sent += link.sent;
        self.received += link.received;
        result
    }

    fn start_source(&mut self) -> Result<(), Stop> {
        let settings = self.command.settings;
        if self.job.language().wants_preprocessor() {
            self.cpp_slot = take_local(settings, self.command.say, LocalPool::Cpp, Some(self.list));
        }
        let dependencies_output = settings.dependencies_output.as_deref();
        let source = Source::start(self.job, self.command.program, dependencies_output);
        self.source = Some(source.map_err(|error| no_source(self.command, &error))?);
        Ok(())
    }

    fn exchange(
        &mut self,
        link: &mut Link,
        version: Version,
        monitor: &mut Monitor,
    ) -> Result<Outcome, Stop> {
        monitor.phase(Phase::Send);
        let args = self.remote_args();
        let words = std::iter::once(&self.about.remote)
            .chain(&args)
            .map(|word| word.as_bytes());
        let head = protocol::request::encode_head(version, None, words).map_err(WireError::from)?;
        link.send(&head)?;
        self.send_text(link, version)?;
        monitor.phase(Phase::Compile);
        Ok(link.receive(version, &mut || monitor.refresh())?)
    }

    /// Waits for the source's text and sends it.
    fn send_text(&mut self, link: &mut Link, version: Version) -> Result<(), Stop> {
        let job = self.job;
        let source = self.source.as_mut().ok_or(Stop::Here(Why::Unreadable))?;
        let finished = source.finish();
        self.cpp_slot = None;
        let said = source.said().is_ok_and(|said| !said.is_empty());
        let (text, file) = match finished.and_then(|()| source.text()) {
            Ok(text) => text,
            Err(error) => return Err(no_source(self.command, &error)),
        };
        if let Some(reason) = compiler::text::ties_job_here(job, &text) {
            return Err(Stop::Here(Why::Text(reason)));
        }
        if said && compiler::text::speaks_twice(&text) {
            return Err(Stop::Here(Why::Text(Reason::SourceSpeaks)));
        }
        let head = if job.language().wants_preprocessor() {
            None
        } else {
            compiler::text::head(job, &text)
        };
        match (version, head) {
            (Version::Plain, None) => link.send_file(file, text.len())?,
            (version, head) => {
                let body = match head {
                    Some(head) => Body::pack(version, [&head, &*text].concat()),
                    None => Body::pack_slice(version, &text),
                };
                link.send_source(body.wire())?;
            }
        }
        Ok(())
    }

    /// The words after the compiler's name for the daemon.  clang is told its target, which on another machine may differ.
    fn remote_args(&self) -> Vec<OsString> {
        let args = self.job.remote_args();
        let rewrite = !self.command.settings.no_rewrite_cross;
        if self.about.family != Family::Clang || !rewrite || !self.job.target_words().is_empty() {
            return args;
        }
        let triple = OsStr::from_bytes(&self.about.triple).to_owned();
        [OsString::from("-target"), triple]
            .into_iter()
            .chain(args)
            .collect()
    }
}

fn no_source(command: &Command<'_>, error: &SourceError) -> Stop {
    command.say.info(format_args!("{}", chain(error)));
    match error {
        SourceError::Failed => Stop::Here(Why::PreprocessorFailed),
        SourceError::Start { .. } | SourceError::Read(_) => Stop::Here(Why::Unreadable),
    }
}
