//! What is to be run in the box, and how it gets there: one memory file with everything, read by the warden.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::MemfdFlags;

use crate::codec::{Reader, Writer};
use crate::limits::Limits;
use crate::paths::{c_string, is_plain};
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

const VIEW: u64 = 0;
const TREE: u64 = 1;
const FOLDER: u64 = 2;

impl Job<'_> {
    /// Writes the job to a memory file: the length of its head, the head, the files' bytes.
    ///
    /// # Errors
    /// A name is not plain and absolute, or the system has no memory.
    pub(crate) fn write(&self) -> io::Result<OwnedFd> {
        let names = self.files.iter().map(|(path, _)| path);
        let names = names
            .chain(self.outputs)
            .map(PathBuf::as_path)
            .chain([self.cwd]);
        if let Some(name) = names.into_iter().find(|name| !is_plain(name)) {
            let what = format!("not a plain absolute name: {}", name.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let head = self.head();
        let file = File::from(rustix::fs::memfd_create("job", MemfdFlags::CLOEXEC)?);
        let len = (head.len() as u64).to_le_bytes();
        let texts = self.files.iter().map(|(_, text)| *text);
        let parts = [&len[..], &head]
            .into_iter()
            .chain(texts)
            .collect::<Vec<_>>();
        write_all(&file, &parts)?;
        Ok(file.into())
    }

    fn head(&self) -> Vec<u8> {
        let mut head = Writer::default();
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
        head.0
    }
}

fn write_all(mut file: &File, parts: &[&[u8]]) -> io::Result<()> {
    // Small parts in one call; what it left over, and large ones, by themselves.
    let small: usize = parts.iter().take(3).map(|part| part.len()).sum();
    let first: Vec<IoSlice<'_>> = parts
        .iter()
        .take(3)
        .map(|part| IoSlice::new(part))
        .collect();
    let mut written = file.write_vectored(&first)?;
    if written < small {
        for part in parts.iter().take(3) {
            let done = written.min(part.len());
            file.write_all(&part[done..])?;
            written -= done;
        }
    }
    parts
        .iter()
        .skip(3)
        .try_for_each(|part| file.write_all(part))
}

/// Where the warden finds a job's files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    View,
    Tree {
        number: u64,
        merged: Vec<PathBuf>,
        hidden: Vec<PathBuf>,
    },
    Folder(PathBuf),
}

/// A job as the warden reads it.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) program: CString,
    pub(crate) words: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) cwd: PathBuf,
    pub(crate) location: Location,
    /// Names and lengths, in the order in which the bytes follow.
    pub(crate) files: Vec<(PathBuf, u64)>,
    pub(crate) outputs: Vec<PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) nice: i32,
    pub(crate) oom_score_adj: Option<i32>,
    /// Where the files' bytes begin.
    pub(crate) texts_at: u64,
}

/// Most jobs' heads fit in here.
const USUAL: usize = 8 << 10;

impl Order {
    /// # Errors
    /// The file is not one that [`Job::write`] made.
    pub(crate) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = vec![0; USUAL];
        let mut have = file.read_at(&mut bytes, 0)?;
        let broken = || io::Error::from(io::ErrorKind::InvalidData);
        let len = bytes.first_chunk::<8>().map(|len| u64::from_le_bytes(*len));
        let len = len
            .and_then(|len| usize::try_from(len).ok())
            .ok_or_else(broken)?;
        let end = len.checked_add(8).ok_or_else(broken)?;
        if have < end {
            let all = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
            bytes.resize(end.min(all), 0);
            file.read_exact_at(&mut bytes[have..], have as u64)?;
            have = bytes.len();
        }
        let head = bytes.get(8..end.min(have)).ok_or_else(broken)?;
        let order = Self::decode(&mut Reader(head), end as u64);
        order.ok_or_else(broken)?
    }

    /// `Err` for a NUL in a word.
    fn decode(head: &mut Reader<'_>, texts_at: u64) -> Option<io::Result<Self>> {
        let program = head.word()?;
        let words = head.all(Reader::word)?;
        let environment = head.all(Reader::word)?;
        let cwd = head.path()?;
        let location = match head.number()? {
            VIEW => Location::View,
            TREE => Location::Tree {
                number: head.number()?,
                merged: head.all(Reader::path)?,
                hidden: head.all(Reader::path)?,
            },
            _ => Location::Folder(head.path()?),
        };
        let files = head.all(|head| Some((head.path()?, head.number()?)))?;
        let outputs = head.all(Reader::path)?;
        let limits = Limits {
            memory: head.maybe()?,
            processes: head.maybe()?,
            seconds: head.maybe()?,
            disk: head.number()?,
        };
        let nice = i32::try_from(head.number()?.cast_signed()).ok()?;
        let score = head
            .maybe()?
            .map(|score| i32::try_from(score.cast_signed() - 1000));
        let oom_score_adj = score.transpose().ok()?;
        let strings = |words: Vec<OsString>| words.iter().map(c_string).collect::<io::Result<_>>();
        Some((|| {
            Ok(Self {
                program: CString::new(program.as_bytes())?,
                words: strings(words)?,
                environment: strings(environment)?,
                cwd,
                location,
                files,
                outputs,
                limits,
                nice,
                oom_score_adj,
                texts_at,
            })
        })())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_as_it_was_written() {
        let long = "w".repeat(20_000);
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
            place: Place::Folder(Path::new("/tmp/x")),
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
        let file = File::from(job.write().unwrap());
        let order = Order::read(&file).unwrap();
        assert_eq!(order.words[2].to_str().unwrap(), long);
        assert_eq!(order.environment, [c"PATH=/usr/bin".to_owned()]);
        assert_eq!(order.location, Location::Folder("/tmp/x".into()));
        assert_eq!(order.files, [("/w/a.c".into(), 7), ("/w/b.h".into(), 0)]);
        assert_eq!((order.limits, order.nice), (job.limits, -3));
        assert_eq!(
            (order.oom_score_adj, &order.outputs[..]),
            (Some(-1000), &outputs[..])
        );
        let mut text = [0; 7];
        file.read_exact_at(&mut text, order.texts_at).unwrap();
        assert_eq!(&text, b"int x;\n");
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
        assert!(Order::read(&File::from(nothing)).is_err());
    }
}
