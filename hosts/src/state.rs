//! State files: what each client is doing just now, for monitors, ours and stock's (facts 4.5).
//!
//! Nothing here can fail a build: what cannot be written is not shown.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::Pid;

use crate::folder::Folder;

/// Bytes of a state file: a C struct in the machine's own byte order, LP64.
pub const SIZE: usize = 296;
const MAGIC: u64 = 0x4449_4800;
/// Bytes of a name in it, with its NUL.
const NAME: usize = 128;
/// A file that was not written for so long belongs to nobody: monitors remove it. Long jobs [`Monitor::refresh`].
pub const STALE: Duration = Duration::from_secs(60);

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Phase {
    Startup = 0,
    Blocked = 1,
    Connect = 2,
    Preprocess = 3,
    Send = 4,
    Compile = 5,
    Receive = 6,
    Done = 7,
}

impl Phase {
    const ALL: [Phase; 8] = [
        Phase::Startup,
        Phase::Blocked,
        Phase::Connect,
        Phase::Preprocess,
        Phase::Send,
        Phase::Compile,
        Phase::Receive,
        Phase::Done,
    ];

    /// The word that monitors show.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Startup => "Startup",
            Phase::Blocked => "Blocked",
            Phase::Connect => "Connect",
            Phase::Preprocess => "Preprocess",
            Phase::Send => "Send",
            Phase::Compile => "Compile",
            Phase::Receive => "Receive",
            Phase::Done => "Done",
        }
    }
}

/// What a state file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub pid: u32,
    /// Name of the input file, without its folder; at most 127 bytes, no NUL.
    pub file: Vec<u8>,
    /// Name of the host, without its port; at most 127 bytes, no NUL.
    pub host: Vec<u8>,
    pub slot: u32,
    pub phase: Phase,
}

impl State {
    /// The file's bytes. Names that are too long are cut.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[0..8].copy_from_slice(&(SIZE as u64).to_ne_bytes());
        bytes[8..16].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[16..24].copy_from_slice(&u64::from(self.pid).to_ne_bytes());
        put_name(&mut bytes[24..24 + NAME], &self.file);
        put_name(&mut bytes[152..152 + NAME], &self.host);
        bytes[280..284].copy_from_slice(&self.slot.to_ne_bytes());
        bytes[284..288].copy_from_slice(&(self.phase as u32).to_ne_bytes());
        bytes
    }

    /// What the bytes say; `None` where they are no state file of this kind of machine.
    pub fn decode(bytes: &[u8]) -> Option<State> {
        let bytes: &[u8; SIZE] = bytes.try_into().ok()?;
        let long = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let int = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        if long(0) != SIZE as u64 || long(8) != MAGIC {
            return None;
        }
        Some(State {
            pid: u32::try_from(long(16)).ok()?,
            file: name(&bytes[24..24 + NAME]),
            host: name(&bytes[152..152 + NAME]),
            slot: int(280),
            // As stock's monitors do with what they do not know.
            phase: Phase::ALL
                .get(int(284) as usize)
                .copied()
                .unwrap_or(Phase::Compile),
        })
    }
}

fn put_name(field: &mut [u8], name: &[u8]) {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let len = name.len().min(NAME - 1);
    field[..len].copy_from_slice(&name[..len]);
}

fn name(field: &[u8]) -> Vec<u8> {
    field
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .to_vec()
}

/// This process's state file. Appears with the first note, goes when the value is dropped.
#[derive(Debug)]
pub struct Monitor {
    folder: Folder,
    file: Option<(File, PathBuf)>,
    /// A file could not be opened; do not try again.
    off: bool,
    last: State,
}

impl Monitor {
    pub fn new(folder: &Folder) -> Monitor {
        let pid = rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        let last = State {
            pid,
            file: Vec::new(),
            host: Vec::new(),
            slot: 0,
            phase: Phase::Startup,
        };
        Monitor {
            folder: folder.clone(),
            file: None,
            off: false,
            last,
        }
    }

    /// Its file, once there is one: for whoever undoes things when a signal ends the process.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(_, path)| path.as_path())
    }

    /// Shows that `file` (a name without its folder) is in `phase` on slot `slot` of `host` ([`crate::Host::short_name`]).
    pub fn note(&mut self, phase: Phase, file: &[u8], host: &str, slot: u32) {
        self.last = State {
            pid: self.last.pid,
            file: file.to_vec(),
            host: host.as_bytes().to_vec(),
            slot,
            phase,
        };
        self.write();
    }

    /// Shows that the same file is in another phase on the same host.
    pub fn phase(&mut self, phase: Phase) {
        self.last.phase = phase;
        self.write();
    }

    /// Writes the same again, so that monitors go on believing it; wanted more often than each [`STALE`].
    pub fn refresh(&mut self) {
        self.write();
    }

    fn write(&mut self) {
        if self.off {
            return;
        }
        if self.file.is_none() {
            let path = self
                .folder
                .state()
                .join(format!("binstate_{}", self.last.pid));
            self.file = self.folder.open(&path).ok().map(|file| (file, path));
        }
        match &self.file {
            Some((file, _)) => self.off = rustix::io::pwrite(file, &self.last.encode(), 0).is_err(),
            None => self.off = true,
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.file {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What all clients of the folder are doing, sorted by host and slot. Follows stock's monitors: files that were not
/// written for [`STALE`] are removed, those of processes that are gone or of another form are passed over.
pub fn read_all(folder: &Folder, now: SystemTime) -> Vec<State> {
    let Ok(entries) = std::fs::read_dir(folder.state()) else {
        return Vec::new();
    };
    let mut states: Vec<State> = entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(b"binstate_")
        })
        .filter_map(|entry| read(entry.path(), now))
        .collect();
    states.sort_by(|a, b| (&a.host, a.slot).cmp(&(&b.host, b.slot)));
    states
}

fn read(path: PathBuf, now: SystemTime) -> Option<State> {
    let written = std::fs::metadata(&path).ok()?.modified().ok()?;
    if now.duration_since(written).is_ok_and(|age| age > STALE) {
        let _ = std::fs::remove_file(&path);
        return None;
    }
    let state = State::decode(&std::fs::read(&path).ok()?)?;
    let pid = Pid::from_raw(i32::try_from(state.pid).ok()?)?;
    match rustix::process::test_kill_process(pid) {
        Ok(()) | Err(rustix::io::Errno::PERM) => Some(state),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(phase: u32) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captures");
        std::fs::read(folder.join(format!("binstate-sample-phase{phase}.bin"))).unwrap()
    }

    #[test]
    fn stocks_files_are_read_and_written_again() {
        for (phase, expected) in [(3, Phase::Preprocess), (5, Phase::Compile)] {
            let bytes = sample(phase);
            let state = State::decode(&bytes).unwrap();
            assert_eq!(state.phase, expected);
            assert!(state.pid > 0);
            // What stock leaves behind the NUL of a name is zero in the samples, and so is the pointer at the end.
            assert_eq!(state.encode().as_slice(), bytes);
        }
        let preprocess = State::decode(&sample(3)).unwrap();
        assert_eq!(
            (preprocess.host.as_slice(), preprocess.slot),
            (b"localhost".as_slice(), 0)
        );
    }

    #[test]
    fn other_bytes_are_no_state() {
        let good = sample(5);
        for len in 0..good.len() {
            assert_eq!(State::decode(&good[..len]), None);
        }
        assert_eq!(State::decode(&[good.as_slice(), b"x"].concat()), None);
        for byte in 0..16 {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            assert_eq!(State::decode(&bad), None, "byte {byte}");
        }
        let mut unknown = good;
        unknown[284..288].copy_from_slice(&77u32.to_ne_bytes());
        assert_eq!(State::decode(&unknown).unwrap().phase, Phase::Compile);
    }

    #[test]
    fn long_names_are_cut() {
        let state = State {
            pid: 7,
            file: vec![b'f'; 300],
            host: b"h\0x".to_vec(),
            slot: 3,
            phase: Phase::Send,
        };
        let read = State::decode(&state.encode()).unwrap();
        assert_eq!(
            read,
            State {
                file: vec![b'f'; 127],
                host: b"h".to_vec(),
                ..state
            }
        );
    }

    #[test]
    fn phases_have_stocks_numbers() {
        for (number, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, number);
        }
    }

    #[test]
    fn a_monitor_shows_this_process_until_it_is_dropped() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(temp.path());
        let mut monitor = Monitor::new(&folder);
        assert!(
            !folder.state().exists(),
            "nothing is written before there is something to show"
        );
        monitor.note(Phase::Connect, b"a-long-name.c", "10.0.0.1", 2);
        monitor.note(Phase::Send, b"a.c", "10.0.0.1", 2);
        monitor.phase(Phase::Compile);
        let expected = State {
            pid: std::process::id(),
            file: b"a.c".to_vec(),
            host: b"10.0.0.1".to_vec(),
            slot: 2,
            phase: Phase::Compile,
        };
        assert_eq!(read_all(&folder, SystemTime::now()), [expected]);
        drop(monitor);
        assert_eq!(std::fs::read_dir(folder.state()).unwrap().count(), 0);
    }

    #[test]
    fn a_monitor_that_cannot_write_is_silent() {
        let mut monitor = Monitor::new(&Folder::at("/proc/no/such"));
        monitor.note(Phase::Connect, b"a.c", "h", 0);
        monitor.refresh();
        assert!(monitor.off);
    }

    #[test]
    fn what_is_old_or_dead_is_not_shown() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(temp.path());
        std::fs::create_dir_all(folder.state()).unwrap();
        let put = |name: &str, pid: u32, host: &str, slot: u32| {
            let host = host.as_bytes().to_vec();
            let state = State {
                pid,
                file: Vec::new(),
                host,
                slot,
                phase: Phase::Compile,
            };
            std::fs::write(folder.state().join(name), state.encode()).unwrap();
        };
        let (own, init) = (std::process::id(), 1);
        put("binstate_1", init, "b", 1);
        put("binstate_2", own, "b", 0);
        put("binstate_3", own, "a", 5);
        put("binstate_4", 0x7fff_fff0, "a", 0);
        put("other_5", own, "a", 0);
        std::fs::write(folder.state().join("binstate_6"), "short").unwrap();
        let now = SystemTime::now();
        let shown = |now| {
            let states = read_all(&folder, now).into_iter();
            states
                .map(|state| (String::from_utf8(state.host).unwrap(), state.slot))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(now),
            [
                ("a".to_owned(), 5),
                ("b".to_owned(), 0),
                ("b".to_owned(), 1)
            ]
        );
        assert_eq!(shown(now + STALE * 2), []);
        let left: Vec<_> = std::fs::read_dir(folder.state())
            .unwrap()
            .flatten()
            .collect();
        assert_eq!(
            left.len(),
            1,
            "old files are removed, files of others are not"
        );
    }
}
