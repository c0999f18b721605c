//! The journal read back: what commands left in it, newest first, or since a moment.
//!
//! Knows nothing of what the codes in it mean.  Lines that are torn, foreign or from a later version are passed over; strings
//! are bytes (docs/journal.md).  A journal that has moved to `NAME.1` is read on there.

mod text;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
pub(crate) use text::Text;

/// How much is read at a time, at first.
const CHUNK: u64 = 64 << 10;

/// One command.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Record {
    /// When it came, in seconds since 1970.
    #[serde(default)]
    pub(crate) time: f64,
    #[serde(default)]
    pub(crate) cwd: Text,
    /// Its words, the compiler's name first.
    #[serde(default)]
    pub(crate) command: Vec<Text>,
    pub(crate) place: Place,
    /// `None` only where nobody did it.
    pub(crate) host: Option<Text>,
    /// How it was sent; `None` here.
    pub(crate) mode: Option<Text>,
    /// Why it ran here: a code of docs/journal.md.
    pub(crate) reason: Option<Text>,
    /// Why a host that takes a source with its files got preprocessed text.
    #[serde(default)]
    pub(crate) not_pumped: Option<Text>,
    #[serde(default)]
    pub(crate) fell_back: bool,
    #[serde(default)]
    pub(crate) attempts: Vec<Attempt>,
    /// Exit code; `None` where the launcher became the compiler.
    pub(crate) status: Option<i32>,
    pub(crate) wall_ms: Option<f64>,
    /// Processor time of this machine.
    pub(crate) cpu_ms: Option<f64>,
    #[serde(default)]
    pub(crate) queue_ms: f64,
    #[serde(default)]
    pub(crate) sent: u64,
    #[serde(default)]
    pub(crate) received: u64,
    /// The `distcc-launch run` that it was part of.
    #[serde(default)]
    pub(crate) run: Option<Text>,
}

/// Where a command ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    Remote,
    Local,
}

/// One try at one host.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) host: Text,
    #[serde(default)]
    pub(crate) ms: f64,
    /// A code of docs/journal.md.
    pub(crate) error: Option<Text>,
    /// Was it a second try beside one that was under way?
    #[serde(default)]
    pub(crate) hedge: bool,
}

/// A journal and its predecessor.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    path: PathBuf,
    /// Where it goes when it is full.
    old: PathBuf,
}

/// A moment in a journal's life.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    /// The file, and its length.
    now: Option<(FileId, u64)>,
    old: Option<FileId>,
}

type FileId = (u64, u64);

impl Journal {
    pub(crate) fn at(path: &Path) -> Journal {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        Journal {
            path: path.to_owned(),
            old: old.into(),
        }
    }

    /// The records from the newest to the oldest that is kept.  Reads no more than is asked for.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = Record> {
        self.newest_first_with(b"")
    }

    /// Those of them in whose lines `needle` stands.
    pub(crate) fn newest_first_with(&self, needle: &[u8]) -> impl Iterator<Item = Record> {
        let finder = memchr::memmem::Finder::new(needle).into_owned();
        let files = [&self.path, &self.old].map(|path| open(path).ok());
        files
            .into_iter()
            .flatten()
            .flat_map(Backwards::new)
            .filter(move |line| finder.find(line).is_some())
            .filter_map(|line| parse(&line))
    }

    /// This moment.
    pub(crate) fn mark(&self) -> Mark {
        let id = |path: &Path| {
            let file = open(path).ok()?;
            let found = file.metadata().ok()?;
            Some(((found.dev(), found.ino()), found.len()))
        };
        Mark {
            now: id(&self.path),
            old: id(&self.old).map(|(id, _)| id),
        }
    }

    /// The records that came after `mark`, in the order of their ends.  Of a journal that has moved aside twice since,
    /// the older ones are gone.
    pub(crate) fn since(&self, mark: &Mark) -> Vec<Record> {
        let mut found = Vec::new();
        let now = self.mark();
        let from = |id: Option<FileId>| match mark.now {
            Some((marked, length)) if Some(marked) == id => length,
            _ => 0,
        };
        let moved = now.old.is_some() && now.old != mark.old;
        if moved {
            read_from(&self.old, from(now.old), &mut found);
        }
        let id = now.now.map(|(id, _)| id);
        read_from(&self.path, from(id), &mut found);
        found
    }
}

/// Opens a journal.  A pipe in its place is none, and is not waited for.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no file")),
    }
}

fn read_from(path: &Path, mut at: u64, found: &mut Vec<Record>) {
    let Ok(file) = open(path) else { return };
    let mut text = Vec::new();
    let mut chunk = vec![0; CHUNK as usize];
    while let Ok(count @ 1..) = file.read_at(&mut chunk, at) {
        text.extend_from_slice(&chunk[..count]);
        at += count as u64;
    }
    found.extend(text.split(|byte| *byte == b'\n').filter_map(parse));
}

fn parse(line: &[u8]) -> Option<Record> {
    // Only objects, and seldom anything else.
    (line.first() == Some(&b'{'))
        .then(|| serde_json::from_slice(line).ok())
        .flatten()
}

/// The lines of a file from the last to the first.
struct Backwards {
    file: File,
    /// Where in the file `tail` begins.
    at: u64,
    /// What was read and not given out.
    tail: Vec<u8>,
    chunk: u64,
}

impl Backwards {
    fn new(file: File) -> Backwards {
        Backwards {
            at: file.metadata().map_or(0, |found| found.len()),
            file,
            tail: Vec::new(),
            chunk: CHUNK,
        }
    }

    /// Reads what lies before; `None` at the beginning of the file.
    fn more(&mut self) -> Option<()> {
        let size = self.chunk.min(self.at);
        if size == 0 {
            return None;
        }
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, self.at - size).ok()?;
        self.at -= size;
        bytes.append(&mut self.tail);
        self.tail = bytes;
        Some(())
    }
}

impl Iterator for Backwards {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        // What was searched in vain for a line's end need not be searched again.
        let mut searched = 0;
        loop {
            let unsearched = &self.tail[..self.tail.len() - searched];
            if let Some(end) = memchr::memrchr(b'\n', unsearched) {
                let line = self.tail.split_off(end + 1);
                self.tail.truncate(end);
                return Some(line);
            }
            searched = self.tail.len();
            if self.more().is_none() {
                let first = std::mem::take(&mut self.tail);
                return (!first.is_empty()).then_some(first);
            }
            if searched > 0 {
                self.chunk = (self.chunk * 2).min(16 << 20);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::journal::{End, Entry};
    use std::os::unix::ffi::OsStrExt;

    fn write(path: &Path, word: &[u8]) {
        let words = vec!["gcc".into(), OsStr::from_bytes(word).to_owned()];
        Entry::begin("/src".into(), words).write(path, End::Exec);
    }

    fn words(records: impl IntoIterator<Item = Record>) -> Vec<Vec<u8>> {
        let word = |record: Record| record.command[1].0.as_bytes().to_vec();
        records.into_iter().map(word).collect()
    }

    #[test]
    fn what_was_written_is_read_to_the_byte() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("j");
        let folder_name = OsStr::from_bytes(b"/s\xed\xb2\x80");
        let mut entry = Entry::begin(folder_name.into(), vec!["gcc".into()]);
        entry.host = Some("h:1".into());
        entry.mode = Some("plain");
        entry.write(&path, End::Status(3));
        let every: Vec<u8> = (1..=255).collect();
        write(&path, &every);
        let records: Vec<_> = Journal::at(&path).newest_first().collect();
        assert_eq!(records[0].command[1].0.as_bytes(), every);
        assert_eq!(
            (records[0].place, records[0].status),
            (Place::Local, None),
            "{records:?}"
        );
        let old = &records[1];
        assert_eq!(
            (old.place, old.status, old.host.as_ref().map(Text::code)),
            (Place::Remote, Some(3), Some("h:1"))
        );
        assert_eq!(old.cwd.0, folder_name);
        assert!(old.time > 1.6e9 && old.wall_ms.is_some());
    }

    #[test]
    fn torn_and_foreign_lines_are_passed_over() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("j");
        std::fs::write(
            &path,
            b"not ours\n\xff\xfe\n\n{}\n[1]\n{\"place\":\"moon\"}\n{\"place\":\"local\",\"new\":[{}]}\n",
        )
        .expect("written");
        write(&path, b"whole");
        crate::journal::append(&path, br#"{"place":"local","command":["gcc","to"#);
        let journal = Journal::at(&path);
        let places: Vec<_> = journal.newest_first().map(|record| record.place).collect();
        assert_eq!(places, [Place::Local, Place::Local]);
        assert_eq!(journal.since(&Mark::default()).len(), 2);
        assert_eq!(Journal::at(folder.path()).newest_first().count(), 0);
        assert_eq!(Journal::at(Path::new("/no/such")).newest_first().count(), 0);
    }

    #[test]
    fn lines_of_any_length_come_backwards() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("j");
        let lengths = [1, 70_000, 5, 64 << 10, 200_000, 3, 600_000, 1];
        for (index, length) in lengths.iter().enumerate() {
            write(&path, &vec![b'a' + index as u8; *length]);
        }
        let mut found = words(Journal::at(&path).newest_first());
        found.reverse();
        let expected: Vec<Vec<u8>> = lengths
            .iter()
            .enumerate()
            .map(|(index, length)| vec![b'a' + index as u8; *length])
            .collect();
        assert!(found == expected);
    }

    #[test]
    fn a_mark_holds_while_the_journal_moves_aside() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("j");
        let journal = Journal::at(&path);
        let nothing = journal.mark();
        write(&path, b"1");
        let one = journal.mark();
        write(&path, b"2");
        assert_eq!(words(journal.since(&nothing)), [b"1", b"2"]);
        assert_eq!(words(journal.since(&one)), [b"2"]);
        std::fs::rename(&path, &journal.old).expect("moved");
        assert_eq!(words(journal.since(&one)), [b"2"]);
        write(&path, b"3");
        assert_eq!(words(journal.since(&one)), [b"2", b"3"]);
        assert_eq!(words(journal.since(&nothing)), [b"1", b"2", b"3"]);
        let three = journal.mark();
        write(&path, b"4");
        assert_eq!(words(journal.since(&three)), [b"4"]);
        assert_eq!(words(journal.newest_first()), [b"4", b"3", b"2", b"1"]);
    }
}
