//! One line for each command: where it ran, why, how long, how many bytes.
//!
//! JSON lines, appended by one write each and written by hand (the launch path has no serde); readers use serde.  Bytes that
//! are no UTF-8 are kept as U+DC80..U+DCFF escapes (as Python's surrogateescape does), so that nothing is lost.  A journal that
//! cannot be written is no error.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::os;

/// A journal that has grown past this many bytes is moved to `NAME.1`.
const ROTATE_AT: u64 = 16 << 20;

/// What is known of a command so far; written once, at its end or just before it becomes the compiler.
#[derive(Debug)]
pub(crate) struct Entry {
    started: Instant,
    time: SystemTime,
    cwd: OsString,
    command: Vec<OsString>,
    pub host: Option<String>,
    pub mode: Option<&'static str>,
    pub reason: Option<&'static str>,
    /// Why a host that takes a source with its files got preprocessed text.
    pub not_pumped: Option<&'static str>,
    pub fell_back: bool,
    pub attempts: Vec<Attempt>,
    /// The `distcc-launch run` that the command is part of.
    pub run: Option<OsString>,
    pub queue_ms: f64,
    pub sent: u64,
    pub received: u64,
}

/// The error of a try that was given up because another host came first.
pub(crate) const OUTRUN: &str = "outrun";

/// One try at one host.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub host: String,
    pub ms: f64,
    pub error: Option<&'static str>,
    /// Was it a second try beside one that was still under way?
    pub hedge: bool,
}

/// How a command ended, as far as the launcher lives to see it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// The launcher ends with this exit code.
    Status(i32),
    /// The process goes on as the compiler.
    Exec,
}

impl Entry {
    pub(crate) fn begin(cwd: OsString, command: Vec<OsString>) -> Entry {
        Entry {
            started: Instant::now(),
            time: SystemTime::now(),
            cwd,
            command,
            host: None,
            mode: None,
            reason: None,
            not_pumped: None,
            fell_back: false,
            attempts: Vec::new(),
            run: None,
            queue_ms: 0.0,
            sent: 0,
            received: 0,
        }
    }

    /// Appends the line to the journal at `path`.
    pub(crate) fn write(&self, path: &Path, end: End) {
        append(path, self.line(end).as_bytes());
    }

    fn line(&self, end: End) -> String {
        let mut out = String::with_capacity(512);
        let since = self.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let _ = write!(
            out,
            "{{\"time\":{}.{:03},\"cwd\":",
            since.as_secs(),
            since.subsec_millis()
        );
        text(&mut out, &self.cwd);
        out.push_str(",\"command\":[");
        for (index, word) in self.command.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            text(&mut out, word);
        }
        let place = if self.mode.is_some() {
            "remote"
        } else {
            "local"
        };
        let _ = write!(out, "],\"place\":\"{place}\",\"host\":");
        optional(&mut out, self.host.as_deref());
        out.push_str(",\"mode\":");
        optional(&mut out, self.mode);
        out.push_str(",\"reason\":");
        optional(&mut out, self.reason);
        if let Some(code) = self.not_pumped {
            out.push_str(",\"not_pumped\":");
            text(&mut out, OsStr::new(code));
        }
        let _ = write!(out, ",\"fell_back\":{},\"attempts\":[", self.fell_back);
        for (index, attempt) in self.attempts.iter().enumerate() {
            out.push_str(if index > 0 {
                ",{\"host\":"
            } else {
                "{\"host\":"
            });
            text(&mut out, OsStr::new(&attempt.host));
            out.push_str(",\"ms\":");
            tenths(&mut out, attempt.ms);
            out.push_str(",\"error\":");
            optional(&mut out, attempt.error);
            out.push_str(match attempt.hedge {
                true => ",\"hedge\":true}",
                false => ",\"hedge\":false}",
            });
        }
        out.push_str("],\"status\":");
        match end {
            End::Exec => out.push_str("null,\"wall_ms\":null,\"cpu_ms\":null"),
            End::Status(status) => {
                let _ = write!(out, "{status},\"wall_ms\":");
                tenths(&mut out, self.started.elapsed().as_secs_f64() * 1e3);
                out.push_str(",\"cpu_ms\":");
                tenths(&mut out, os::cpu_ms());
            }
        }
        out.push_str(",\"queue_ms\":");
        tenths(&mut out, self.queue_ms);
        let _ = write!(
            out,
            ",\"sent\":{},\"received\":{}",
            self.sent, self.received
        );
        if let Some(run) = &self.run {
            out.push_str(",\"run\":");
            text(&mut out, run);
        }
        out.push_str("}\n");
        out
    }
}

/// Appends whole lines to the journal at `path`.
pub(crate) fn append(path: &Path, lines: &[u8]) {
    let Some(mut file) = open(path) else { return };
    // A journal is a help, never a reason to fail.
    let _ = file.write_all(lines);
}

/// Can lines be appended to the journal at `path`?
pub(crate) fn is_writable(path: &Path) -> bool {
    open(path).is_some_and(|file| file.metadata().is_ok_and(|found| found.is_file()))
}

/// A number with one decimal, without the cost of formatting floating point.
fn tenths(out: &mut String, value: f64) {
    let tenths = (value * 10.0).round() as u64;
    let _ = write!(out, "{}.{}", tenths / 10, tenths % 10);
}

fn optional(out: &mut String, value: Option<&str>) {
    match value {
        Some(value) => text(out, OsStr::new(value)),
        None => out.push_str("null"),
    }
}

/// `value` as a JSON string.
pub(crate) fn text(out: &mut String, value: &OsStr) {
    out.push('"');
    for chunk in value.as_bytes().utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest
            .bytes()
            .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
        {
            out.push_str(&rest[..at]);
            match rest.as_bytes()[at] {
                b'"' => out.push_str("\\\""),
                b'\\' => out.push_str("\\\\"),
                byte => {
                    let _ = write!(out, "\\u{byte:04x}");
                }
            }
            rest = &rest[at + 1..];
        }
        out.push_str(rest);
        for byte in chunk.invalid() {
            let _ = write!(out, "\\udc{byte:02x}");
        }
    }
    out.push('"');
}

fn open(path: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    // A pipe that nobody reads must not make a compile wait.
    options
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(path.parent()?).ok()?;
            options.open(path).ok()?
        }
        Err(_) => return None,
    };
    let found = file.metadata().ok()?;
    if !found.is_file() || found.len() < ROTATE_AT {
        return Some(file);
    }
    rotate(path, &file, &found);
    options.open(path).ok()
}

/// Moves a full journal aside.  Of many launchers that see it full, one does it: the lock is the old file's own.
fn rotate(path: &Path, file: &File, seen: &std::fs::Metadata) {
    if file.try_lock().is_err() {
        return;
    }
    let still =
        std::fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (seen.dev(), seen.ino()));
    if still {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        // If it cannot be moved it goes on growing; there is nobody to tell.
        let _ = std::fs::rename(path, old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(bytes: &[u8]) -> String {
        let mut out = String::new();
        text(&mut out, OsStr::from_bytes(bytes));
        out
    }

    #[test]
    fn strings_keep_every_byte() {
        assert_eq!(quoted(b"a b"), r#""a b""#);
        assert_eq!(quoted(b"\"\\\n\x01"), r#""\"\\\u000a\u0001""#);
        assert_eq!(quoted("ü".as_bytes()), "\"ü\"");
        assert_eq!(quoted(b"x\xff\xc3"), r#""x\udcff\udcc3""#);
    }

    #[test]
    fn a_line_is_one_object() {
        let mut entry = Entry::begin(
            "/src".into(),
            vec!["gcc".into(), "-c".into(), "a\"b.c".into()],
        );
        entry.mode = Some("plain");
        entry.host = Some("[::1]:3632".into());
        entry.attempts.push(Attempt {
            host: "h".into(),
            ms: 1.25,
            error: Some("connect-refused"),
            hedge: false,
        });
        let line = entry.line(End::Status(0));
        assert!(
            line.ends_with("}\n") && line.matches('\n').count() == 1,
            "{line}"
        );
        for part in [
            r#""command":["gcc","-c","a\"b.c"],"place":"remote","host":"[::1]:3632","mode":"plain","reason":null,"fell_back":false"#,
            r#""attempts":[{"host":"h","ms":1.3,"error":"connect-refused","hedge":false}],"status":0,"wall_ms":"#,
            r#""sent":0,"received":0"#,
        ] {
            assert!(line.contains(part), "{line}");
        }
        assert!(
            entry
                .line(End::Exec)
                .contains(r#""status":null,"wall_ms":null,"cpu_ms":null"#)
        );
    }

    #[test]
    fn a_full_journal_moves_aside_once() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("deep/journal.jsonl");
        Entry::begin("/".into(), vec!["gcc".into()]).write(&path, End::Exec);
        File::options()
            .write(true)
            .open(&path)
            .expect("journal")
            .set_len(ROTATE_AT)
            .expect("grown");
        Entry::begin("/".into(), vec!["gcc".into()]).write(&path, End::Exec);
        assert!(std::fs::metadata(&path).expect("journal").len() < 1000);
        assert_eq!(
            std::fs::metadata(folder.path().join("deep/journal.jsonl.1"))
                .expect("old")
                .len(),
            ROTATE_AT
        );
        assert_eq!(
            std::fs::metadata(&path).expect("journal").mode() & 0o777,
            0o600
        );
    }
}
