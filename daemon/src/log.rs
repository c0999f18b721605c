//! Log lines in stock's shape (facts 7.6) or as JSON, to a file, standard error or syslog; control bytes are escaped, so
//! that a client's words cannot forge lines or steer terminals.
//!
//! One line a call, written in one piece. Never standard output: with `--inetd` that is the client.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::options::LogTo;

macro_rules! error { ($($part:tt)*) => { $crate::log::write($crate::log::Level::Error, format_args!($($part)*)) } }
macro_rules! warning { ($($part:tt)*) => { $crate::log::write($crate::log::Level::Warning, format_args!($($part)*)) } }
macro_rules! notice { ($($part:tt)*) => { $crate::log::write($crate::log::Level::Notice, format_args!($($part)*)) } }
macro_rules! info { ($($part:tt)*) => { $crate::log::write($crate::log::Level::Info, format_args!($($part)*)) } }
macro_rules! debug { ($($part:tt)*) => { $crate::log::write($crate::log::Level::Debug, format_args!($($part)*)) } }
pub(crate) use {debug, error, info, notice, warning};

/// How much a line matters, syslog's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

const NAMES: &[(&str, Level)] = &[
    ("emerg", Level::Emergency),
    ("emergency", Level::Emergency),
    ("panic", Level::Emergency),
    ("alert", Level::Alert),
    ("crit", Level::Critical),
    ("critical", Level::Critical),
    ("err", Level::Error),
    ("error", Level::Error),
    ("warn", Level::Warning),
    ("warning", Level::Warning),
    ("note", Level::Notice),
    ("notice", Level::Notice),
    ("info", Level::Info),
    ("debug", Level::Debug),
];

impl Level {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, level)| *level)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Alert => "alert",
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Emergency => "EMERGENCY! ",
            Self::Alert => "ALERT! ",
            Self::Critical => "CRITICAL! ",
            Self::Error => "ERROR: ",
            Self::Warning => "Warning: ",
            Self::Notice | Self::Info | Self::Debug => "",
        }
    }
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Format {
    /// As stock's.
    Text,
    /// One object a line.
    Json,
}

impl Format {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// A value of a JSON line beside its message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Number(u64),
}

enum Sink {
    Stderr,
    File(File),
    Syslog(UnixDatagram),
    /// No syslog answers: nothing to write to.
    Nowhere,
}

static SINK: OnceLock<Sink> = OnceLock::new();
static LEVEL: AtomicU8 = AtomicU8::new(Level::Notice as u8);
static FORMAT: AtomicU8 = AtomicU8::new(Format::Text as u8);

const SYSLOG: &str = "/dev/log";
/// Facility "daemon" of syslog.
const DAEMON: u8 = 3 << 3;

/// Sends lines of `level` and graver to `to` from now on. Before it is called, lines go to standard error.
///
/// A file that cannot be opened is an error on standard error, and syslog is used instead: as with stock, a daemon
/// without a log serves all the same.
pub(crate) fn open(to: &LogTo, level: Level, format: Format) {
    let sink = match to {
        LogTo::Stderr => Sink::Stderr,
        LogTo::File(path) => match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => Sink::File(file),
            Err(error) => {
                error!(
                    "failed to open log file {}: {error}; logging to syslog",
                    path.display()
                );
                syslog(Path::new(SYSLOG))
            }
        },
        LogTo::Syslog => syslog(Path::new(SYSLOG)),
    };
    LEVEL.store(level as u8, Ordering::Relaxed);
    FORMAT.store(format as u8, Ordering::Relaxed);
    // A second call keeps the first sink; there is none in this program.
    let _ = SINK.set(sink);
}

fn syslog(path: &Path) -> Sink {
    let connected = UnixDatagram::unbound().and_then(|socket| {
        socket.connect(path)?;
        // A stuck syslog must not hold up compiles; its lines are lost then.
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    connected.map_or(Sink::Nowhere, Sink::Syslog)
}

/// Whether a line of `level` is written at all.
pub(crate) fn wants(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Writes one line. The macros of this module call it.
pub(crate) fn write(level: Level, message: fmt::Arguments<'_>) {
    write_with(level, message, &[]);
}

/// Writes one line which has these values too where lines are JSON.
pub(crate) fn write_with(level: Level, message: fmt::Arguments<'_>, values: &[(&str, Value<'_>)]) {
    if !wants(level) {
        return;
    }
    let message = message.to_string();
    let message = cut(&message);
    let sink = SINK.get().unwrap_or(&Sink::Stderr);
    let written = if FORMAT.load(Ordering::Relaxed) == Format::Json as u8 {
        sink.write(level, &json(level, message, values))
    } else {
        let pid = std::process::id();
        let escaped = Escaped(message);
        let prefix = level.prefix();
        sink.write(level, &format!("distccd[{pid}] {prefix}{escaped}"))
    };
    // A line that cannot be written has nowhere to be reported.
    drop(written);
}

/// Bytes of a message or a value. Words of clients are longer, and nobody reads them.
const LONGEST: usize = 4 << 10;

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Tells the log of a panic, which ends one connection and not the daemon. Look for `panicked at`.
pub(crate) fn panics() {
    std::panic::set_hook(Box::new(|info| error!("{info}")));
}

pub(crate) fn json(level: Level, message: &str, values: &[(&str, Value<'_>)]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    let (seconds, millis) = (now.as_secs(), now.subsec_millis());
    let (level, pid) = (level.name(), std::process::id());
    let mut line = format!(
        "{{\"time\":{seconds}.{millis:03},\"level\":\"{level}\",\"pid\":{pid},\"message\":{}",
        Quoted(message)
    );
    for (name, value) in values {
        // Writing to a string cannot fail.
        let _ = match value {
            Value::Text(text) => write!(line, ",\"{name}\":{}", Quoted(cut(text))),
            Value::Number(number) => write!(line, ",\"{name}\":{number}"),
        };
    }
    line.push('}');
    line
}

impl Sink {
    fn write(&self, level: Level, line: &str) -> io::Result<()> {
        match self {
            Self::File(file) => (&*file).write_all(format!("{line}\n").as_bytes()),
            Self::Stderr => io::stderr().write_all(format!("{line}\n").as_bytes()),
            Self::Nowhere => Ok(()),
            Self::Syslog(socket) => {
                let rank = DAEMON | level as u8;
                // Where syslog has the number and the program, text lines have theirs already.
                let own = format!("distccd[{}] ", std::process::id());
                let text = line.strip_prefix(own.as_str()).unwrap_or(line);
                let datagram = format!("<{rank}>{}: {text}", own.trim_end());
                socket.send(datagram.as_bytes()).map(drop)
            }
        }
    }
}

/// A JSON string. Everything that could steer a terminal is written as a number.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => out.write_str("\\\"")?,
                '\\' => out.write_str("\\\\")?,
                '\n' => out.write_str("\\n")?,
                c if steers(c) => write!(out, "\\u{:04x}", u32::from(c))?,
                c => out.write_char(c)?,
            }
        }
        out.write_char('"')
    }
}

/// Whether a character may change how others are shown: control characters, other ends of lines, and what turns the direction of writing.
pub(crate) fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// Text with what steers terminals written as `\xNN`.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(steers) {
            match part.chars().next_back() {
                Some(last) if steers(last) => {
                    out.write_str(&part[..part.len() - last.len_utf8()])?;
                    write!(out, "\\x{:02x}", u32::from(last))?;
                }
                _ => out.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// An error and what it came from, on one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(out, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_cannot_forge_lines() {
        assert_eq!(
            Escaped("gcc\nroot: x\u{1b}[2J\u{85}ä").to_string(),
            "gcc\\x0aroot: x\\x1b[2J\\x85ä"
        );
        assert_eq!(Escaped("").to_string(), "");
        let turned = Escaped("a\u{202e}c.exe\u{2028}x\u{2066}").to_string();
        assert_eq!(turned, "a\\x202ec.exe\\x2028x\\x2066");
    }

    #[test]
    fn long_words_are_cut() {
        let long = format!("x{}", "ä".repeat(LONGEST));
        assert_eq!(cut(&long).len(), LONGEST - 1);
        assert_eq!(cut("short"), "short");
        let line = json(Level::Notice, "m", &[("compiler", Value::Text(&long))]);
        assert!(line.len() < LONGEST + 200);
    }

    #[test]
    fn levels_have_their_usual_names() {
        assert_eq!(Level::from_name("warn"), Some(Level::Warning));
        assert_eq!(Level::from_name("debug"), Some(Level::Debug));
        assert_eq!(Level::from_name("loud"), None);
        assert!(Level::Error < Level::Notice);
    }

    #[test]
    fn syslog_gets_datagrams() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert!(matches!(syslog(&path), Sink::Nowhere));
        let receiver = UnixDatagram::bind(&path).unwrap();
        let line = format!("distccd[{}] Warning: too late", std::process::id());
        syslog(&path).write(Level::Warning, &line).unwrap();
        let mut datagram = [0; 100];
        let len = receiver.recv(&mut datagram).unwrap();
        let expected = format!("<28>distccd[{}]: Warning: too late", std::process::id());
        assert_eq!(std::str::from_utf8(&datagram[..len]).unwrap(), expected);
    }

    #[test]
    fn json_lines_are_json() {
        let line = json(
            Level::Notice,
            "a\"b\\c\n\u{1b}[2J\u{85}ä",
            &[("client", Value::Text("x\ty")), ("ms", Value::Number(7))],
        );
        let (time, rest) = line.split_once(',').unwrap();
        assert!(time.starts_with("{\"time\":1"), "{line}");
        let pid = std::process::id();
        assert_eq!(
            rest,
            format!(
                "\"level\":\"notice\",\"pid\":{pid},\
                 \"message\":\"a\\\"b\\\\c\\n\\u001b[2J\\u0085ä\",\"client\":\"x\\u0009y\",\"ms\":7}}"
            )
        );
    }

    #[test]
    fn a_chain_is_one_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("inner"));
        assert_eq!(Chain(&error).to_string(), "outer: inner");
    }
}
