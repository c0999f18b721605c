//! The source of a job as it travels in plain mode: preprocessed here, once for a manner, however many hosts are tried.
//!
//! The preprocessor writes into memory files: its text, its messages and the dependency file.  Nothing lands in the file system
//! before the whole job is known to be good.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use compiler::{Family, Job, Manner};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::io::FdFlags;

use crate::find::Program;
use crate::os::{self, Ending, Group, Mapped};

/// What went wrong before anything was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("could not start the preprocessor {}", program.display())]
    Start {
        program: std::path::PathBuf,
        source: io::Error,
    },
    #[error("the preprocessor failed")]
    Failed,
    #[error("could not read the source")]
    Read(#[source] io::Error),
}

/// The text of a source.
#[derive(Debug)]
pub(crate) enum Text {
    Mapped(Mapped),
    Read(Vec<u8>),
}

impl std::ops::Deref for Text {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Text::Mapped(bytes) => bytes,
            Text::Read(bytes) => bytes,
        }
    }
}

/// The preprocessor at work, or what it left.
#[derive(Debug)]
pub(crate) struct Source {
    state: State,
    text: File,
    /// What the preprocessor said on standard error.
    said: Option<File>,
    /// The dependency file's content.
    depfile: Option<File>,
    /// How the preprocessor was called.
    call: Option<Call>,
}

/// A run of the preprocessor.
#[derive(Debug)]
struct Call {
    program: Program,
    args: Vec<OsString>,
    dependencies_output: Option<OsString>,
}

#[derive(Debug)]
enum State {
    Running {
        child: Child,
        /// A signal to us ends it too.
        _ending: Ending,
    },
    Done,
    Failed(ExitStatus),
}

impl Source {
    /// Starts the preprocessor for `job`, or opens the source if it goes as it is.
    pub(crate) fn start(
        job: &Job<'_>,
        manner: Manner,
        program: &Program,
        dependencies_output: Option<&OsStr>,
    ) -> Result<Source, SourceError> {
        if !job.language().wants_preprocessor() {
            let text = File::open(job.source()).map_err(SourceError::Read)?;
            return Ok(Source {
                state: State::Done,
                text,
                said: None,
                depfile: None,
                call: None,
            });
        }
        let text = memory("text").map_err(SourceError::Read)?;
        let said = memory("messages").map_err(SourceError::Read)?;
        let depfile = match job.depfile() {
            Some(wanted) => Some((inherited("depfile").map_err(SourceError::Read)?, wanted)),
            None => None,
        };
        let mut redirected_output = None;
        let mut args = match &depfile {
            None => job.preprocess_args_for(manner, None),
            Some((file, wanted)) if wanted.appended => {
                let value = redirected(dependencies_output.unwrap_or_default(), &name_of(file));
                redirected_output = Some(value);
                job.preprocess_args_for(manner, None)
            }
            Some((file, _)) => job.preprocess_args_for(manner, Some(name_of(file).as_ref())),
        }
        .unwrap_or_default();
        if job.family() == Family::Gcc {
            // So that a precompiled header is taken, and the depfile names it, whenever a compile would: the text then says so.
            args.push("-fpch-preprocess".into());
        }
        let call = Call {
            program: program.clone(),
            args,
            dependencies_output: redirected_output,
        };
        Ok(Source {
            state: call.start(&text, &said)?,
            text,
            said: Some(said),
            depfile: depfile.map(|(file, _)| file),
            call: Some(call),
        })
    }

    /// Waits for the preprocessor.
    pub(crate) fn finish(&mut self) -> Result<(), SourceError> {
        self.wait()?;
        let Some(call) = self.call.take() else {
            return Ok(());
        };
        let precompiled = Mapped::of(&self.text)
            .is_ok_and(|text| compiler::text::names_precompiled_header(&text));
        if !precompiled {
            return Ok(());
        }
        // Messages and depfile are those of a compile that takes the precompiled header; the text has to be whole.
        let depfile = content(self.depfile.as_mut()).map_err(SourceError::Read)?;
        let unheard = memory("unheard").map_err(SourceError::Read)?;
        self.text = memory("text").map_err(SourceError::Read)?;
        self.state = call.without_precompiled().start(&self.text, &unheard)?;
        self.wait()?;
        if let Some(file) = &mut self.depfile {
            file.rewind()
                .and_then(|()| file.set_len(0))
                .and_then(|()| file.write_all(&depfile))
                .map_err(SourceError::Read)?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), SourceError> {
        if let State::Running { child, .. } = &mut self.state {
            let ended = child.wait().map_err(SourceError::Read)?;
            self.state = if ended.success() {
                State::Done
            } else {
                State::Failed(ended)
            };
        }
        match self.state {
            State::Failed(_) => Err(SourceError::Failed),
            _ => Ok(()),
        }
    }

    /// How the preprocessor ended, if that was in failure.
    pub(crate) fn failure(&self) -> Option<ExitStatus> {
        match self.state {
            State::Failed(status) => Some(status),
            _ => None,
        }
    }

    /// All of the text.
    pub(crate) fn text(&mut self) -> Result<Text, SourceError> {
        let read = match self.said {
            Some(_) => Mapped::of(&self.text).map(Text::Mapped),
            // The user's own file may change under a mapping.
            None => content(Some(&mut self.text)).map(Text::Read),
        };
        read.map_err(SourceError::Read)
    }

    /// The file that holds the text.
    pub(crate) fn file(&self) -> &File {
        &self.text
    }

    /// Has the preprocessor said anything?
    pub(crate) fn complained(&self) -> bool {
        let length = |file: &File| file.metadata().map_or(0, |data| data.len());
        self.said.as_ref().is_some_and(|said| length(said) > 0)
    }

    /// What the preprocessor said on standard error.
    pub(crate) fn said(&mut self) -> io::Result<Vec<u8>> {
        content(self.said.as_mut())
    }

    pub(crate) fn depfile(&mut self) -> io::Result<Option<Vec<u8>>> {
        match &mut self.depfile {
            None => Ok(None),
            some => content(some.as_mut()).map(Some),
        }
    }
}

impl Call {
    fn start(&self, text: &File, said: &File) -> Result<State, SourceError> {
        let out = text
            .try_clone()
            .and_then(|out| Ok((out, said.try_clone()?)))
            .map_err(SourceError::Read)?;
        let mut command = Command::new(&self.program.path);
        if let Some(value) = &self.dependencies_output {
            command.env("DEPENDENCIES_OUTPUT", value);
        }
        command
            .arg0(&self.program.argv0)
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(out.0))
            .stderr(OwnedFd::from(out.1));
        let (child, ending) =
            os::start(&mut command, Group::Own).map_err(|source| SourceError::Start {
                program: self.program.path.clone(),
                source,
            })?;
        Ok(State::Running {
            child,
            _ending: ending,
        })
    }

    fn without_precompiled(mut self) -> Call {
        self.args.push("-fno-pch-preprocess".into());
        self
    }
}

impl Drop for Source {
    /// Nobody waits for a preprocessor that nobody needs: its group is ended and its process collected.
    fn drop(&mut self) {
        if let State::Running { child, .. } = &mut self.state {
            if let Some(group) = i32::try_from(child.id())
                .ok()
                .and_then(rustix::process::Pid::from_raw)
            {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
            }
            let _ = child.wait();
        }
    }
}

fn content(file: Option<&mut File>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(file) = file {
        file.rewind()?;
        let length = file.metadata()?.len();
        bytes.reserve_exact(usize::try_from(length).unwrap_or(0) + 1);
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// A file in memory; closed on exec.
fn memory(name: &str) -> io::Result<File> {
    match rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC) {
        Ok(fd) => Ok(fd.into()),
        // A sandbox or a setting (vm.memfd_noexec) may forbid them.
        Err(error) => nameless().ok_or_else(|| error.into()),
    }
}

/// A file without a name, most likely in memory too.
fn nameless() -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    ["/dev/shm", "/tmp", "/var/tmp"]
        .into_iter()
        .find_map(|folder| rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).ok())
        .map(File::from)
}

/// A file in memory that a child can open by [`name_of`].
fn inherited(name: &str) -> io::Result<File> {
    let file = memory(name)?;
    rustix::io::fcntl_setfd(&file, FdFlags::empty())?;
    Ok(file)
}

fn name_of(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// The value of DEPENDENCIES_OUTPUT, a file and perhaps a target, with the file replaced.
fn redirected(value: &OsStr, name: &str) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    let mut out = OsString::from(name);
    if let Some(space) = value.as_bytes().iter().position(|byte| *byte == b' ') {
        out.push(OsStr::from_bytes(&value.as_bytes()[space..]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameless_file_does_what_a_memory_file_does() {
        use std::io::Write as _;
        let mut file = nameless().expect("one of the folders is there");
        file.write_all(b"text").expect("written");
        assert_eq!(&*Mapped::of(&file).expect("mapped"), b"text");
        std::fs::write(name_of(&file), b"deps").expect("opened again by its name");
        assert_eq!(content(Some(&mut file)).expect("read"), b"deps");
    }

    #[test]
    fn the_dependency_file_goes_to_memory_first() {
        assert_eq!(redirected(OsStr::new("x.d a.o b"), "N"), "N a.o b");
        assert_eq!(redirected(OsStr::new("x.d"), "N"), "N");
    }
}
