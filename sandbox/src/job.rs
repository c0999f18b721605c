//! What is to be run in the box, and how it gets there: one message with everything, or a memory file where that is too much.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::MemfdFlags;

use crate::channel;
use crate::codec::Writer;
use crate::limits::Limits;
use crate::paths::is_plain;
use crate::tree::Tree;

/// Where a job's files are.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// Under their own names in a view of its own that goes with the job. Needs [`Layer::Mount`](crate::Layer::Mount).
    View,
    /// As `View`, over a tree that was laid out before and stays as it is.
    Tree(&'a Tree),
    /// In this folder of the machine's own file system, which the caller made and removes; the working directory is in it.
    Folder(&'a Path),
}

/// A program to run, and what it may use.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// Absolute.
    pub program: &'a Path,
    /// All of the program's words, its own name first.
    pub words: &'a [OsString],
    /// The whole environment.
    pub environment: &'a [(OsString, OsString)],
    /// The working directory; made if it is missing.
    pub cwd: &'a Path,
    pub place: Place<'a>,
    /// Files to write beforehand, by absolute names.
    pub files: &'a [(PathBuf, &'a [u8])],
    /// Files to bring back, by absolute names. The folders that they are in are made if they are missing, and can be written to.
    pub outputs: &'a [PathBuf],
    pub limits: Limits,
    /// Added to the niceness of who started the box.
    pub nice: i32,
    pub oom_score_adj: Option<i32>,
}

/// Bytes before a head, that tell its length.
pub(crate) const LEN: usize = 8;

// How a place is written.
pub(crate) const VIEW: u64 = 0;
pub(crate) const TREE: u64 = 1;
const FOLDER: u64 = 2;

impl Job<'_> {
    /// Puts the job into a row of bytes: the length of its head, the head, the files' bytes.
    ///
    /// # Errors
    /// A name is not plain and absolute, or the system has no memory.
    pub(crate) fn write(&self) -> io::Result<Written> {
        let names = self.files.iter().map(|(path, _)| path);
        let names = names
            .chain(self.outputs)
            .map(PathBuf::as_path)
            .chain([self.cwd]);
        if let Some(name) = names.into_iter().find(|name| !self.may_name(name)) {
            let what = format!("not a plain absolute name: {}", name.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let mut bytes = self.head();
        let texts: usize = self.files.iter().map(|(_, text)| text.len()).sum();
        if bytes.len() + texts <= channel::MAX_BYTES {
            for (_, text) in self.files {
                bytes.extend_from_slice(text);
            }
            return Ok(Written::Message(bytes));
        }
        let mut file = File::from(rustix::fs::memfd_create("job", MemfdFlags::CLOEXEC)?);
        file.write_all(&bytes)?;
        for (_, text) in self.files {
            file.write_all(text)?;
        }
        Ok(Written::File(file.into()))
    }

    /// Names are plain and absolute; the caller's own folder may be called by any name, and they are below it.
    fn may_name(&self, name: &Path) -> bool {
        match self.place {
            Place::Folder(folder) => {
                let below = name.strip_prefix(folder);
                below.is_ok_and(|below| is_plain(&Path::new("/").join(below)))
            }
            _ => is_plain(name),
        }
    }

    fn head(&self) -> Vec<u8> {
        let mut head = Writer::default();
        head.number(0);
        head.word(self.program);
        head.words(self.words.iter());
        head.number(self.environment.len() as u64);
        for (name, value) in self.environment {
            let mut variable = name.clone();
            variable.push("=");
            variable.push(value);
            head.word(variable);
        }
        head.word(self.cwd);
        match self.place {
            Place::View => head.number(VIEW),
            Place::Tree(tree) => {
                head.number(TREE);
                head.number(tree.number());
                head.words(tree.merged().iter());
                head.words(tree.hidden().iter());
            }
            Place::Folder(folder) => {
                head.number(FOLDER);
                head.word(folder);
            }
        }
        head.number(self.files.len() as u64);
        for (path, text) in self.files {
            head.word(path);
            head.number(text.len() as u64);
        }
        head.words(self.outputs.iter());
        let Limits {
            memory,
            processes,
            seconds,
            disk,
        } = self.limits;
        head.maybe(memory);
        head.maybe(processes);
        head.maybe(seconds);
        head.number(disk);
        head.number(i64::from(self.nice).cast_unsigned());
        head.maybe(
            self.oom_score_adj
                .map(|score| (i64::from(score) + 1000).cast_unsigned()),
        );
        let len = (head.0.len() - LEN) as u64;
        head.0[..LEN].copy_from_slice(&len.to_le_bytes());
        head.0
    }
}

/// A job on its way to a warden.
#[derive(Debug)]
pub(crate) enum Written {
    Message(Vec<u8>),
    /// A memory file with the same bytes, for what no message holds.
    File(OwnedFd),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Location, Parcel};

    #[test]
    fn a_job_is_read_as_it_was_written() {
        for long in [10, 9_000, 20_000, 100_000] {
            a_job_with_a_word_of(long);
        }
    }

    fn a_job_with_a_word_of(long: usize) {
        let long = "w".repeat(long);
        let words = ["gcc", "-c", &long].map(OsString::from);
        let environment = [("PATH".into(), "/usr/bin".into())];
        let files = [
            ("/w/a.c".into(), &b"int x;\n"[..]),
            ("/w/b.h".into(), &b""[..]),
        ];
        let outputs = [PathBuf::from("/w/a.o")];
        let job = Job {
            program: Path::new("/usr/bin/gcc"),
            words: &words,
            environment: &environment,
            cwd: Path::new("/w"),
            place: Place::Folder(Path::new("/./w")),
            files: &files,
            outputs: &outputs,
            limits: Limits {
                memory: Some(5),
                processes: None,
                seconds: Some(0),
                disk: 7,
            },
            nice: -3,
            oom_score_adj: Some(-1000),
        };
        let written = job.write().unwrap();
        assert_eq!(matches!(written, Written::Message(_)), long.len() < 16_000);
        let parcel = match &written {
            Written::Message(bytes) => Parcel::Bytes(bytes),
            Written::File(file) => Parcel::File(file.try_clone().unwrap().into()),
        };
        let order = parcel.order().unwrap();
        assert_eq!(order.words[2].to_str().unwrap(), long);
        assert_eq!(order.environment, [c"PATH=/usr/bin".to_owned()]);
        assert_eq!(order.location, Location::Folder("/./w".into()));
        assert_eq!(order.files, [("/w/a.c".into(), 7), ("/w/b.h".into(), 0)]);
        assert_eq!((order.limits, order.nice), (job.limits, -3));
        assert_eq!(
            (order.oom_score_adj, &order.outputs[..]),
            (Some(-1000), &outputs[..])
        );
        let mut text = Vec::new();
        let take = |piece: &[u8]| text.write_all(piece);
        parcel.texts(order.texts_at, 7, take).unwrap();
        assert_eq!(text, b"int x;\n");
        assert!(parcel.texts(order.texts_at, 8, |_| Ok(())).is_err());
    }

    #[test]
    fn names_must_be_plain() {
        for name in ["a.c", "/w/../a.c", "/w//a.c"] {
            let files = [(PathBuf::from(name), &b""[..])];
            let job = Job {
                program: Path::new("/usr/bin/gcc"),
                words: &[],
                environment: &[],
                cwd: Path::new("/w"),
                place: Place::View,
                files: &files,
                outputs: &[],
                limits: Limits {
                    memory: None,
                    processes: None,
                    seconds: None,
                    disk: 1,
                },
                nice: 0,
                oom_score_adj: None,
            };
            assert!(job.write().is_err(), "{name}");
        }
        let nothing = rustix::fs::memfd_create("x", MemfdFlags::CLOEXEC).unwrap();
        assert!(Parcel::File(nothing.into()).order().is_err());
        for bytes in [&b""[..], &[0; 7], &[9; 20], &[0; 8]] {
            assert!(Parcel::Bytes(bytes).order().is_err());
        }
    }
}
