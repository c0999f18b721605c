//! One job to one host: preprocess here, send, take in what comes back.
//!
//! Knows nothing of which host is next or of what a result is worth.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use compiler::manner::{self, Manner, Trap};
use compiler::{Family, Job, Reason};
use hosts::{Host, HostList, LocalPool, Monitor, Phase, Slot};
use protocol::closure_talk::Form;
use protocol::{Body, Outcome, ProtocolError, Version};

use crate::about::About;
use crate::driver::Command;
use crate::here::{Why, take_local};
use crate::os;
use crate::peer::{OtherHeaders, Peer};
use crate::pump::{self, Files, NotPumped};
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
    /// How the source was preprocessed last.
    pub manner: Manner,
    /// The source's files as they were last wanted, and whether the last host was given these instead of preprocessed text.
    files: Option<Files>,
    pub pumped: Option<Form>,
    /// Why a host that takes files was not given any.
    pub not_pumped: Option<&'static str>,
    /// Manners that would make something else of this source.
    trapped: Vec<(Manner, Trap)>,
    /// The right to preprocess here, while the preprocessor is at work.
    cpp_slot: Option<Slot>,
    /// Bytes over all hosts.
    pub sent: u64,
    pub received: u64,
}

/// Why a conversation ended without an outcome.
pub(crate) enum Stop {
    /// The host's doing.
    Wire(WireError),
    /// The host has another compiler.
    Unfit,
    /// This host does not take such jobs; another may.
    NotThere(Why),
    /// This source needs another manner.
    Trap(Trap),
    /// Nothing that another host could mend.
    Here(Why),
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Stop {
        Stop::Wire(error)
    }
}

impl<'a> Dispatch<'a> {
    pub(crate) fn new(
        command: &'a Command<'a>,
        about: &'a About,
        job: &'a Job<'a>,
        list: &'a HostList,
    ) -> Dispatch<'a> {
        Dispatch {
            command,
            about,
            job,
            list,
            source: None,
            manner: Manner::Expanded,
            files: None,
            pumped: None,
            not_pumped: None,
            trapped: Vec::new(),
            cpp_slot: None,
            sent: 0,
            received: 0,
        }
    }

    /// Sends the job to `host` in the best manner that its source allows, and takes in what comes back.
    pub(crate) fn to(
        &mut self,
        host: &Host,
        slot: &Slot,
        monitor: &mut Monitor,
    ) -> Result<Outcome, Stop> {
        let settings = self.command.settings;
        let folder = settings.folder.as_deref();
        let peer = Peer::of(host, folder, settings.io_timeout, &mut || {
            Link::open(host, settings)
        })?;
        let remote = self.about.remote.as_bytes();
        if peer.has(remote, &self.about.ident, &self.about.triple) == Some(false) {
            return Err(Stop::Unfit);
        }
        // Who forces a manner wants it seen.
        if host.cpp
            && self.command.settings.preprocess.is_none()
            && let Some(outcome) = self.send_files(&peer, host, slot, monitor)?
        {
            return Ok(outcome);
        }
        self.pumped = None;
        loop {
            let manner = self.best_manner(&peer)?;
            match self.send_in(manner, host, slot, monitor) {
                Err(Stop::Trap(trap)) => {
                    let text = trap.sentence();
                    self.command.say.info(format_args!("{text}"));
                    self.trapped.push((manner, trap));
                }
                Err(Stop::Wire(error)) if manner.needs_ours() => {
                    // Perhaps another daemon listens there by now.
                    folder.iter().for_each(|folder| Peer::forget(host, folder));
                    return Err(Stop::Wire(error));
                }
                result => return result,
            }
        }
    }

    /// The manner for a daemon like `peer`, without those that the source forbids.
    fn best_manner(&self, peer: &Peer) -> Result<Manner, Stop> {
        if self.job.language().is_assembler() {
            let why = Why::Text(Reason::AssemblerSource);
            // Line tables of assembler name its file, which there is another.
            return match (self.job.writes_debug(), peer.ours) {
                (true, _) => Err(Stop::Here(why)),
                (false, true) => Ok(Manner::Expanded),
                (false, false) => Err(Stop::NotThere(why)),
            };
        }
        let manners = self.job.manners(peer.launch_jobs, &self.about.ident);
        let manners = manners.map_err(|reason| Stop::Here(Why::Text(reason)))?;
        let forced = self.command.settings.preprocess;
        let forced =
            forced.filter(|manner| *manner == Manner::Expanded || manners.contains(manner));
        let allowed = |manner: &Manner| !self.trapped.iter().any(|(trapped, _)| trapped == manner);
        let found = match forced {
            Some(manner) => Some(manner).filter(allowed),
            None => manners.iter().copied().find(allowed),
        };
        let trap = self.trapped.last().map_or(Trap::Form, |(_, trap)| *trap);
        found.ok_or(Stop::Here(Why::Trapped(trap)))
    }

    /// Sends the job with its files, in the form that `peer` takes; `None` when it has to go in plain mode.
    fn send_files(
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
            if form != Form::Tree || !other_headers(&outcome) {
                return Ok(Some(outcome));
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
            let variables = pump::environment();
            head.extend(protocol::request::encode_environment(&variables)?);
        }
        link.send(&head)?;
        link.send_rest(&files.body, files.size)?;
        monitor.phase(Phase::Compile);
        link.receive(version, &mut || monitor.refresh())
    }

    fn send_in(
        &mut self,
        manner: Manner,
        host: &Host,
        slot: &Slot,
        monitor: &mut Monitor,
    ) -> Result<Outcome, Stop> {
        let file = compiler::names::base(self.job.source().as_bytes());
        monitor.note(Phase::Preprocess, file, "localhost", 0);
        let _leftover = monitor.path().map(os::remove_on_signal);
        if self.source.is_none() || self.manner != manner {
            self.start_source(manner)?;
        }
        monitor.note(Phase::Connect, file, host.short_name(), slot.number());
        let mut link = Link::open(host, self.command.settings)?;
        let version = match host.lzo {
            _ if manner.needs_ours() => Version::Launch,
            true => Version::Lzo,
            false => Version::Plain,
        };
        let result = self.exchange(&mut link, version, monitor);
        self.sent += link.sent;
        self.received += link.received;
        result
    }

    fn start_source(&mut self, manner: Manner) -> Result<(), Stop> {
        let settings = self.command.settings;
        self.source = None;
        self.manner = manner;
        if self.job.language().wants_preprocessor() && self.cpp_slot.is_none() {
            self.cpp_slot = take_local(settings, self.command.say, LocalPool::Cpp, Some(self.list));
        }
        let dependencies_output = settings.dependencies_output.as_deref();
        let source = Source::start(self.job, manner, self.command.program, dependencies_output);
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
        let cwd = (version == Version::Launch).then(|| self.job.debug_dir());
        let cwd = cwd.as_deref().map(OsStr::as_bytes);
        let head = protocol::request::encode_head(version, cwd, words).map_err(WireError::from)?;
        link.send(&head)?;
        self.send_text(link, version)?;
        monitor.phase(Phase::Compile);
        Ok(link.receive(version, &mut || monitor.refresh())?)
    }

    /// Waits for the source's text and sends it.
    fn send_text(&mut self, link: &mut Link, version: Version) -> Result<(), Stop> {
        let (job, manner) = (self.job, self.manner);
        let source = self.source.as_mut().ok_or(Stop::Here(Why::Unreadable))?;
        let finished = source.finish();
        self.cpp_slot = None;
        let complained = source.complained();
        let text = match finished.and_then(|()| source.text()) {
            Ok(text) => text,
            // gcc keeping directives stumbles over what it would pass over otherwise.
            Err(SourceError::Failed) if manner.needs_ours() => {
                return Err(Stop::Trap(Trap::Form));
            }
            Err(error) => return Err(no_source(self.command, &error)),
        };
        if let Some(reason) = compiler::text::ties_job_here(job, &text) {
            return Err(Stop::Here(Why::Text(reason)));
        }
        if manner.needs_ours() {
            // gcc warns where it swallows a directive that it should have kept.
            if complained && job.family() == Family::Gcc {
                return Err(Stop::Trap(Trap::Form));
            }
            let text = keep_directives(job, manner, &text).map_err(Stop::Trap)?;
            link.send_source(Body::pack_slice(version, &text).wire())?;
            return Ok(());
        }
        if complained && compiler::text::speaks_twice(&text) {
            return Err(Stop::Here(Why::Text(Reason::SourceSpeaks)));
        }
        let head = if job.language().wants_preprocessor() {
            manner::prepare(job, manner, &text).map_err(Stop::Trap)?;
            None
        } else {
            compiler::text::head(job, &text)
        };
        match (version, head) {
            (Version::Plain, None) => link.send_file(source.file(), text.len())?,
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

    /// The words after the compiler's name for the daemon.
    fn remote_args(&self) -> Vec<OsString> {
        self.with_target(self.job.remote_args_for(self.manner))
    }

    /// clang is told its target, which on another machine may differ.
    fn with_target(&self, args: Vec<OsString>) -> Vec<OsString> {
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

/// Did a daemon of ours find other system headers on its machine?
fn other_headers(outcome: &Outcome) -> bool {
    const EXIT: u8 = 112;
    let said = || outcome.stderr.clone().unpack(64 << 10).ok();
    outcome.status.exit_code() == Some(EXIT)
        && said().is_some_and(|text| text.starts_with(b"system headers differ"))
}

/// The text as it travels in a manner that keeps directives, if neither it nor a file that it was made of forbids that.
fn keep_directives<'t>(
    job: &Job<'_>,
    manner: Manner,
    text: &'t [u8],
) -> Result<Cow<'t, [u8]>, Trap> {
    for name in manner::files(text) {
        // What is no file of this machine is a name that the source made up.
        if let Ok(bytes) = std::fs::read(&*name)
            && let Some(trap) = manner::trap_in_file(job, manner, text, &name, &bytes)
        {
            return Err(trap);
        }
    }
    manner::prepare(job, manner, text)
}

fn no_source(command: &Command<'_>, error: &SourceError) -> Stop {
    command.say.info(format_args!("{}", chain(error)));
    match error {
        SourceError::Failed => Stop::Here(Why::PreprocessorFailed),
        SourceError::Start { .. } | SourceError::Read(_) => Stop::Here(Why::Unreadable),
    }
}
