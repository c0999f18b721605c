//! The usual way to send a job: its source preprocessed here, as text.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use compiler::manner::{self, Manner, Trap, preincluded};
use compiler::words::{Meaning, Word};
use compiler::{Family, Job, Reason};
use hosts::{LocalPool, Phase};
use protocol::{Body, Version, token};

use super::leg::{Gathered, Leg};
use super::{Dispatch, Stop};
use crate::driver::Command;
use crate::here::{Why, take_local};
use crate::peer::Peer;
use crate::say::chain;
use crate::source::{Source, SourceError};
use crate::wire::{Exchange, Link, Part, WireError};

/// A source that is being preprocessed, or is ready, and how.
#[derive(Debug)]
pub(crate) struct Text {
    pub source: Source,
    pub manner: Manner,
    /// Its length, once it is ready.
    pub bytes: Option<u64>,
}

/// Why a job was not sent in one manner.
pub(super) enum NotSent {
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

impl Dispatch<'_> {
    /// Has the source preprocessed in the best manner for the leg's daemon, and connects meanwhile.
    pub(super) fn choose_text(&mut self, leg: &mut Leg) -> Result<(), Stop> {
        let host = &self.list.hosts[leg.index];
        let manner = match self.best_manner(&leg.peer) {
            Ok(manner) => manner,
            // No text would give an equal result, but the files themselves.
            Err(stop) if !host.cpp && leg.peer.tree_jobs && self.may_bring_files(&leg.peer) => {
                let before = self.not_pumped.take();
                let pumped = self.choose_files(leg);
                self.not_pumped = before;
                return match pumped? {
                    true => Ok(()),
                    false => Err(stop),
                };
            }
            Err(stop) => return Err(stop),
        };
        self.show(Phase::Preprocess, "localhost", 0);
        let text = match &self.text {
            Some(text) if text.borrow().manner == manner => Rc::clone(text),
            _ => self.start_source(manner)?,
        };
        leg.gathered = Some(Gathered::Text(text));
        self.connect(leg)
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

    fn start_source(&mut self, manner: Manner) -> Result<Rc<RefCell<Text>>, Stop> {
        let settings = self.command.settings;
        self.text = None;
        if self.job.language().wants_preprocessor() && self.cpp_slot.is_none() {
            self.cpp_slot = take_local(settings, self.command.say, LocalPool::Cpp, Some(self.list));
        }
        let dependencies_output = settings.dependencies_output.as_deref();
        let source = Source::start(self.job, manner, self.command.program, dependencies_output);
        let source = source.map_err(|error| no_source(self.command, &error))?;
        let text = Rc::new(RefCell::new(Text {
            source,
            manner,
            bytes: None,
        }));
        self.text = Some(Rc::clone(&text));
        Ok(text)
    }

    /// Sends the words and, once it is ready, the text.
    pub(super) fn send_text(
        &mut self,
        leg: &Leg,
        text: &RefCell<Text>,
        mut link: Link,
    ) -> Result<Exchange, NotSent> {
        let text = &mut *text.borrow_mut();
        let manner = text.manner;
        let version = match self.list.hosts[leg.index].lzo {
            _ if manner.needs_ours() => Version::Launch,
            true => Version::Lzo,
            false => Version::Plain,
        };
        let args = self.with_target(self.job.remote_args_for(manner));
        let words = std::iter::once(&self.about.remote)
            .chain(&args)
            .map(|word| word.as_bytes());
        let cwd = (version == Version::Launch).then(|| self.job.debug_dir());
        let cwd = cwd.as_deref().map(OsStr::as_bytes);
        let head = protocol::request::encode_head(version, cwd, words).map_err(WireError::from)?;
        link.push(Part::Bytes(head));
        // While the preprocessor may still be at work.
        link.flush()?;
        let part = self.text_part(&leg.peer, text, version)?;
        let length = usize::try_from(part.length()).unwrap_or(usize::MAX);
        let doti = token::head(&token::tag::DOTI, length).map_err(WireError::from)?;
        link.push(Part::Bytes(doti.to_vec()));
        link.push(part);
        Ok(Exchange::new(link, version, self.patience(leg)))
    }

    /// Waits for the text; gives it in the form that it has on the wire.
    fn text_part(
        &mut self,
        peer: &Peer,
        text: &mut Text,
        version: Version,
    ) -> Result<Part, NotSent> {
        let job = self.job;
        let Text {
            source,
            manner,
            bytes,
        } = text;
        let manner = *manner;
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
        *bytes = Some(text.len() as u64);
        if let Some(reason) = compiler::text::ties_job_here(job, &text) {
            return Err(Stop::Here(Why::Text(reason)).into());
        }
        if manner.needs_ours() {
            // gcc warns where it swallows a directive that it should have kept.
            if complained && job.family() == Family::Gcc {
                return Err(Trap::Form.into());
            }
            if manner == Manner::Whole
                && !begins_alike(job, &text, peer.preincluded(self.about.remote.as_bytes()))
            {
                return Err(Stop::NotThere(Why::OtherPreincluded).into());
            }
            let text = keep_directives(job, manner, &text)?;
            return Ok(Part::Body(Body::pack_slice(version, &text)));
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
        Ok(match (version, head) {
            (Version::Plain, None) => {
                let file = source.file().try_clone().map_err(SourceError::Read);
                let file = file.map_err(|error| no_source(self.command, &error))?;
                Part::File(file, text.len() as u64)
            }
            (version, Some(head)) => Part::Body(Body::pack(version, [&head, &*text].concat())),
            (version, None) => Part::Body(Body::pack_slice(version, &text)),
        })
    }

    /// clang is told its target, which on another machine may differ.
    pub(super) fn with_target(&self, args: Vec<OsString>) -> Vec<OsString> {
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

pub(super) fn no_source(command: &Command<'_>, error: &SourceError) -> Stop {
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
