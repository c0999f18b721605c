//! One job to one host: preprocess here, send, take in what comes back.
//!
//! Knows nothing of which host is next or of what a result is worth.

mod files;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use compiler::manner::{self, Manner, Trap, preincluded};
use compiler::words::{Meaning, Word};
use compiler::{Family, Job, Reason};
use hosts::{Host, HostList, LocalPool, Monitor, Phase, Slot};
use protocol::closure_talk::Form;
use protocol::{Body, Outcome, Version};

use crate::about::About;
use crate::driver::Command;
use crate::here::{Why, take_local};
use crate::os;
use crate::peer::Peer;
use crate::pump::Files;
use crate::say::chain;
use crate::source::{Source, SourceError};
use crate::tokens::Lender;
use crate::wire::{Link, WireError};

/// How often a job that may not lend its token tries again.
const LEND_AGAIN: Duration = Duration::from_millis(50);
/// How often a job that waits so shows monitors that it is alive.
const SHOW: Duration = Duration::from_secs(30);

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
    /// What the compiler of the host at hand includes before every source by itself, when that is known.
    preincluded: Option<Vec<u8>>,
    /// The right to preprocess here, while the preprocessor is at work.
    cpp_slot: Option<Slot>,
    /// Lends the build tool's token while a host has the job.
    pub lender: Option<Lender>,
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
    /// Nothing that another host could mend.
    Here(Why),
}

/// Why a job was not sent in one manner.
enum NotSent {
    /// This source needs another.
    Trap(Trap),
    Stop(Stop),
}

impl From<Trap> for NotSent {
    fn from(trap: Trap) -> NotSent {
        NotSent::Trap(trap)
    }
}

impl From<Stop> for NotSent {
    fn from(stop: Stop) -> NotSent {
        NotSent::Stop(stop)
    }
}

impl From<WireError> for NotSent {
    fn from(error: WireError) -> NotSent {
        NotSent::Stop(error.into())
    }
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
        let lendable = command.settings.lendable();
        Dispatch {
            lender: lendable.and_then(|(jobserver, folder)| Lender::open(jobserver, folder)),
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
            preincluded: None,
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
        self.preincluded = peer.preincluded(remote).map(<[u8]>::to_vec);
        // Where the compiler there prints the dependency file, it does so as here.
        let printed = self.job.depfile().is_some_and(|it| it.is_printed());
        let needs_text = printed && !peer.tree_jobs || compiler::text::may_name_inode(self.job);
        // Who forces a manner wants it seen.
        let may_bring_files = !needs_text && self.command.settings.preprocess.is_none();
        if host.cpp
            && may_bring_files
            && let Some(outcome) = self.send_files(&peer, host, slot, monitor)?
        {
            return Ok(outcome);
        }
        self.pumped = None;
        loop {
            let manner = match self.best_manner(&peer) {
                Ok(manner) => manner,
                // No text would give an equal result, but the files themselves.
                Err(stop) if !host.cpp && may_bring_files && peer.tree_jobs => {
                    let outcome = self.send_files(&peer, host, slot, monitor)?;
                    self.not_pumped = None;
                    return outcome.ok_or(stop);
                }
                Err(stop) => return Err(stop),
            };
            match self.send_in(manner, host, slot, monitor) {
                Err(NotSent::Trap(trap)) => {
                    let text = trap.sentence();
                    self.command.say.info(format_args!("{text}"));
                    self.trapped.push((manner, trap));
                }
                Err(NotSent::Stop(stop)) => {
                    if manner.needs_ours() && matches!(stop, Stop::Wire(_)) {
                        // Perhaps another daemon listens there by now.
                        folder.iter().for_each(|folder| Peer::forget(host, folder));
                    }
                    return Err(stop);
                }
                Ok(outcome) => return Ok(outcome),
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
        let forced = forced.filter(|manner| self.job.can_go_in(*manner));
        let allowed = |manner: &Manner| !self.trapped.iter().any(|(trapped, _)| trapped == manner);
        let found = match forced {
            Some(manner) => Some(manner).filter(allowed),
            None => manners.iter().copied().find(allowed),
        };
        let trap = self.trapped.last().map_or(Trap::Form, |(_, trap)| *trap);
        found.ok_or(Stop::Here(Why::Trapped(trap)))
    }

    fn send_in(
        &mut self,
        manner: Manner,
        host: &Host,
        slot: &Slot,
        monitor: &mut Monitor,
    ) -> Result<Outcome, NotSent> {
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
    ) -> Result<Outcome, NotSent> {
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
        Ok(self.receive(link, version, monitor)?)
    }

    /// Waits for what comes back, and lends the build tool's token meanwhile.
    fn receive(
        &mut self,
        link: &mut Link,
        version: Version,
        monitor: &mut Monitor,
    ) -> Result<Outcome, WireError> {
        monitor.phase(Phase::Compile);
        if self.lend() {
            return link.receive(version, &mut || monitor.refresh());
        }
        link.pulse(LEND_AGAIN);
        let mut shown = Instant::now();
        let mut waiting = || {
            self.lend();
            if shown.elapsed() > SHOW {
                monitor.refresh();
                shown = Instant::now();
            }
        };
        link.receive(version, &mut waiting)
    }

    /// True once there is nothing to lend.
    fn lend(&mut self) -> bool {
        let lender = self.lender.as_mut();
        lender.is_none_or(|lender| lender.lend_beside(self.list))
    }

    /// Waits for the source's text and sends it.
    fn send_text(&mut self, link: &mut Link, version: Version) -> Result<(), NotSent> {
        let (job, manner) = (self.job, self.manner);
        let source = self.source.as_mut().ok_or(Stop::Here(Why::Unreadable))?;
        let finished = source.finish();
        self.cpp_slot = None;
        let complained = source.complained();
        let text = match finished.and_then(|()| source.text()) {
            Ok(text) => text,
            // gcc keeping directives stumbles over what it would pass over otherwise.
            Err(SourceError::Failed) if manner.needs_ours() => {
                return Err(Trap::Form.into());
            }
            Err(error) => return Err(no_source(self.command, &error).into()),
        };
        if let Some(reason) = compiler::text::ties_job_here(job, &text) {
            return Err(Stop::Here(Why::Text(reason)).into());
        }
        if manner.needs_ours() {
            // gcc warns where it swallows a directive that it should have kept.
            if complained && job.family() == Family::Gcc {
                return Err(Trap::Form.into());
            }
            if manner == Manner::Whole && !begins_alike(job, &text, self.preincluded.as_deref()) {
                return Err(Stop::NotThere(Why::OtherPreincluded).into());
            }
            let text = keep_directives(job, manner, &text)?;
            link.send_source(Body::pack_slice(version, &text).wire())?;
            return Ok(());
        }
        if complained && compiler::text::speaks_twice(&text) {
            return Err(Stop::Here(Why::Text(Reason::SourceSpeaks)).into());
        }
        let head = if job.language().wants_preprocessor() {
            manner::prepare(job, manner, &text)?;
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

/// Does a compiler elsewhere that includes `there` by itself begin a source as the one here did, which wrote `text`?
fn begins_alike(job: &Job<'_>, text: &[u8], there: Option<&[u8]>) -> bool {
    let goes_without =
        |word: &Word<'_>| matches!(word.meaning, Meaning::Option(opt) if opt.name == "-nostdinc");
    let here = match preincluded::file(text) {
        None => return false,
        // Nor will it be looked for there.
        Some(None) if job.words().iter().any(goes_without) => return true,
        Some(None) => Vec::new(),
        Some(Some(name)) => match std::fs::read(&*name) {
            Ok(content) => preincluded::spelled(&name, &content),
            Err(_) => return false,
        },
    };
    there == Some(&here)
}

fn no_source(command: &Command<'_>, error: &SourceError) -> Stop {
    command.say.info(format_args!("{}", chain(error)));
    match error {
        SourceError::Failed => Stop::Here(Why::PreprocessorFailed),
        SourceError::Start { .. } | SourceError::Read(_) => Stop::Here(Why::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use compiler::{Surroundings, Verdict, classify};

    #[test]
    fn macros_of_another_c_library_are_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let header = folder.path().join("stdc-predef.h");
        std::fs::write(&header, "#define A 1\n").expect("a file");
        let head = "# 0 \"a.c\"\n# 0 \"<built-in>\"\n# 0 \"<command-line>\"\n";
        let included = format!(
            "{head}# 1 \"{}\" 1 3 4\n#define A 1\n# 0 \"<command-line>\" 2\n# 1 \"a.c\"\n",
            header.display()
        );
        let bare = format!("{head}# 1 \"a.c\"\n");
        let alike = |line: &str, text: &str, there: Option<&[u8]>| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let about = Surroundings::new(OsStr::new("/w"));
            let Verdict::Distribute(job) = classify(Family::Gcc, false, &args, &about) else {
                panic!("{line} can be sent");
            };
            begins_alike(&job, text.as_bytes(), there)
        };
        let line = "-g3 -c a.c";
        let same = preincluded::spelled(header.as_os_str(), b"#define A 1\n");
        let other = preincluded::spelled(header.as_os_str(), b"#define A 2\n");
        assert!(alike(line, &included, Some(&same)));
        assert!(alike(line, &bare, Some(b"")));
        assert!(alike("-g3 -nostdinc -c a.c", &bare, Some(&same)));
        for (text, there) in [
            (&included, Some(&other[..])),
            (&included, Some(b"")),
            (&included, None),
            (&bare, Some(&same)),
            (&bare, None),
            (&String::new(), Some(b"")),
        ] {
            assert!(!alike(line, text, there), "{text} {there:?}");
        }
    }
}
