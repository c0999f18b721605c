//! A job as its warden reads it, from a message or a memory file. What is in there is what [`crate::job`] wrote.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::codec::Reader;
use crate::job::{LEN, TREE, VIEW};
use crate::limits::Limits;
use crate::paths::c_string;

/// Bytes of texts that are copied at a time.
const PIECE: usize = 32 << 10;
/// The bytes of a job, as they came.
#[derive(Debug)]
pub(crate) enum Parcel<'a> {
    Bytes(&'a [u8]),
    File(File),
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

/// The heads of most jobs that are files fit in here.
const USUAL: usize = 8 << 10;

fn broken() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Parcel<'_> {
    /// # Errors
    /// It is not what [`Job::write`] made.
    pub(crate) fn order(&self) -> io::Result<Order> {
        match self {
            Self::Bytes(bytes) => Order::read(bytes),
            Self::File(file) => {
                let mut bytes = vec![0; USUAL];
                let have = file.read_at(&mut bytes, 0)?;
                bytes.truncate(have);
                let end = Order::end(&bytes).ok_or_else(broken)?;
                if have < end {
                    let all = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
                    bytes.resize(end.min(all), 0);
                    file.read_exact_at(&mut bytes[have..], have as u64)?;
                }
                Order::read(&bytes)
            }
        }
    }

    /// Hands out `len` bytes of texts from `from` on, in pieces.
    ///
    /// # Errors
    /// There are not so many, or `take` fails.
    pub(crate) fn texts(
        &self,
        from: u64,
        len: u64,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = from.checked_add(len).ok_or_else(broken)?;
        match self {
            Self::Bytes(bytes) => {
                let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
                take(bytes.get(at(from)..at(end)).ok_or_else(broken)?)
            }
            Self::File(file) => {
                let mut from = from;
                let count = usize::try_from(len).unwrap_or(usize::MAX).min(PIECE);
                let mut piece = vec![0; count];
                while from < end {
                    // By hand: sendfile makes a pipe first.
                    let count = usize::try_from(end - from).unwrap_or(usize::MAX).min(count);
                    file.read_exact_at(&mut piece[..count], from)?;
                    take(&piece[..count])?;
                    from += count as u64;
                }
                Ok(())
            }
        }
    }
}

impl Order {
    /// Where the head ends that `bytes` begin with.
    fn end(bytes: &[u8]) -> Option<usize> {
        let len = bytes
            .first_chunk::<LEN>()
            .map(|len| u64::from_le_bytes(*len))?;
        usize::try_from(len).ok()?.checked_add(LEN)
    }

    fn read(bytes: &[u8]) -> io::Result<Self> {
        let end = Self::end(bytes).ok_or_else(broken)?;
        let head = bytes.get(LEN..end).ok_or_else(broken)?;
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
