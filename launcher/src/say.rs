//! What the launcher says of itself, as against the compiler's own messages, and where.
//!
//! Called `distcc-launch` it is silent unless `DISTCC_VERBOSE` or `DISTCC_LOG` ask; called `distcc` it warns on standard
//! error as scripts expect: `distcc[PID] ERROR: …`, `distcc[PID] Warning: …`.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::settings::Settings;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Nothing,
    Error,
    Warning,
    Info,
    Debug,
}

#[derive(Debug)]
enum Sink {
    Stderr,
    File(File),
    /// Not opened yet: most runs never say a word.
    Later(OsString),
}

#[derive(Debug)]
pub(crate) struct Say {
    /// Called by stock's name?
    stock: bool,
    level: Cell<Level>,
    sink: RefCell<Sink>,
}

impl Say {
    /// `stock`: called by stock's name, where warnings are wanted; else build tools parse every line.
    pub(crate) fn new(settings: &Settings, stock: bool) -> Say {
        let named = settings.log.as_ref().filter(|path| !path.is_empty());
        let level = match (settings.verbose, named) {
            (true, _) => Level::Debug,
            (false, Some(_)) => Level::Info,
            (false, None) => usual(stock),
        };
        let sink = match (named, &settings.log, settings.uncached_err_fd) {
            (Some(path), ..) => Sink::Later(path.clone()),
            (None, None, Some(fd)) if fd > 0 => duplicate(fd).map_or(Sink::Stderr, Sink::File),
            _ => Sink::Stderr,
        };
        Say {
            stock,
            level: Cell::new(level),
            sink: RefCell::new(sink),
        }
    }

    /// What we call ourselves.
    pub(crate) fn program(&self) -> &'static str {
        if self.stock {
            "distcc"
        } else {
            "distcc-launch"
        }
    }
    /// Called by stock's name?
    pub(crate) fn is_stock(&self) -> bool {
        self.stock
    }

    pub(crate) fn error(&self, text: fmt::Arguments<'_>) {
        self.line(Level::Error, "ERROR: ", text);
    }
    pub(crate) fn warn(&self, text: fmt::Arguments<'_>) {
        self.line(Level::Warning, "Warning: ", text);
    }
    pub(crate) fn info(&self, text: fmt::Arguments<'_>) {
        self.line(Level::Info, "", text);
    }

    /// Opens the log now, so that a log which cannot be opened is told even by a run that says nothing.
    pub(crate) fn open(&self) {
        if self.level.get() == Level::Nothing {
            return;
        }
        let mut sink = self.sink.borrow_mut();
        let Sink::Later(path) = &*sink else { return };
        match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => *sink = Sink::File(file),
            Err(error) => {
                let text = format!(
                    "{}[{}] ERROR: failed to open logfile {path:?}: {error}\n",
                    self.program(),
                    std::process::id()
                );
                *sink = Sink::Stderr;
                // What was meant for a file is too much for a build's standard error.
                let level = self.level.get();
                if level < Level::Debug {
                    self.level.set(level.min(usual(self.stock)));
                }
                // Nowhere is left to complain of a standard error that cannot be written.
                let _ = io::stderr().write_all(text.as_bytes());
            }
        }
    }

    #[inline]
    fn line(&self, level: Level, severity: &str, text: fmt::Arguments<'_>) {
        if level <= self.level.get() {
            self.write(severity, text);
        }
    }

    #[cold]
    fn write(&self, severity: &str, text: fmt::Arguments<'_>) {
        self.open();
        // One write a line, so that the lines of many launchers do not mix.
        let line = format!(
            "{}[{}] {severity}{text}\n",
            self.program(),
            std::process::id()
        );
        let written = match &mut *self.sink.borrow_mut() {
            Sink::File(file) => file.write_all(line.as_bytes()),
            Sink::Stderr | Sink::Later(_) => io::stderr().write_all(line.as_bytes()),
        };
        // A full disk or a closed pipe under the log is no reason to fail a compile.
        drop(written);
    }
}

/// What is told where nothing asks for more.
fn usual(stock: bool) -> Level {
    if stock {
        Level::Warning
    } else {
        Level::Nothing
    }
}

/// A copy of the descriptor that ccache tells us of, if it is one.
fn duplicate(fd: i32) -> Option<File> {
    let own = OpenOptions::new()
        .append(true)
        .open(format!("/proc/self/fd/{fd}"))
        .ok()?;
    own.as_fd().try_clone_to_owned().ok().map(File::from)
}

/// An error with its causes, for one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
