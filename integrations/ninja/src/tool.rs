//! What a build command understands of widths: which tool it starts, in which version, and whether its user chose one already.
//!
//! Starts nothing and reads nothing itself: it asks [`Surroundings`].  Measured with ninja 1.11 to 1.14, make 4.3 and 4.4, cargo 1.95,
//! CMake 3.25 and 4.4, Meson 1.12 (docs/build-systems.md).
//!
//! - make joins a jobserver that it is told of: a fifo from 4.4 on, before that only descriptors.  make 4.3 *ends* where it
//!   meets a fifo, even far below the tool that was offered one.  So a fifo is offered only where no such make is in `PATH`.
//! - ninja joins a fifo from 1.13 on, and knows nothing of jobservers before.
//! - cargo joins both.
//! - A `-j` of the user's wins in all of them but cargo, which ignores its own where there is a jobserver.  So there is none
//!   for who chose a width.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::jobserver::Style;

/// What `cmake --build` takes its `-j` from.
pub const CMAKE_VARIABLE: &str = "CMAKE_BUILD_PARALLEL_LEVEL";

/// Major and minor.
pub type Version = (u32, u32);

/// What is asked of the machine.
pub trait Surroundings {
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The first line that `program --version` prints; `None` where there is no such program.
    fn version(&self, program: &OsStr) -> Option<String>;
    /// The content of a file.
    fn read(&self, path: &Path) -> Option<Vec<u8>>;
}

/// How a command is told its width.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// A jobserver of this kind is offered.
    pub jobserver: Option<Style>,
    /// `-jN` goes before the word of this number.
    pub option_before: Option<usize>,
    /// [`CMAKE_VARIABLE`] is set.
    pub variable: bool,
}

/// A build tool whose ways are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Ninja,
    Make,
    Cargo,
    Cmake,
    Meson,
}

impl Tool {
    fn of(program: &OsStr) -> Option<Tool> {
        let name = Path::new(program).file_name()?.to_str()?;
        Some(match name {
            "ninja" | "ninja-build" => Tool::Ninja,
            "make" | "gmake" => Tool::Make,
            "cargo" => Tool::Cargo,
            "cmake" | "cmake3" => Tool::Cmake,
            "meson" | "meson.py" => Tool::Meson,
            _ => return None,
        })
    }
}

/// The plan for `command`, program and arguments; `None` where its user chose a width.
pub fn plan(command: &[OsString], around: &dyn Surroundings) -> Option<Plan> {
    let skipped = before_tool(command);
    let (program, args) = command[skipped..].split_first()?;
    let tool = Tool::of(program);
    if chose(tool, args, around) {
        return None;
    }
    let option = |at| Plan {
        option_before: Some(skipped + at),
        ..Plan::default()
    };
    Some(match tool {
        Some(Tool::Ninja) if takes_fifo(program, around) => served(Style::Fifo),
        Some(Tool::Ninja) => option(1),
        Some(Tool::Make) => served(style_of_make(program, around)),
        Some(Tool::Cargo) => served(any_style(around)),
        Some(Tool::Cmake) => cmake(args, around),
        Some(Tool::Meson) if args.first().is_some_and(|word| word == "compile") => {
            let ninja = around.variable("NINJA").unwrap_or_else(|| "ninja".into());
            match takes_fifo(&ninja, around) {
                true => served(Style::Fifo),
                false => option(2),
            }
        }
        Some(Tool::Meson) | None => Plan {
            // What a script starts is not known; a ninja behind `cmake --build` may not see the jobserver.
            variable: around.version(OsStr::new("ninja")).is_some()
                && !takes_fifo(OsStr::new("ninja"), around),
            ..served(any_style(around))
        },
    })
}

/// How many words stand before the tool's: those of `env NAME=VALUE…`, `nice -n N`, `nohup` and the like.
fn before_tool(command: &[OsString]) -> usize {
    let Some(name) = command.first().and_then(|word| Path::new(word).file_name()) else {
        return 0;
    };
    let rest = &command[1..];
    let own = match name.to_str() {
        Some("env") => {
            let named = |word: &&OsString| word.as_bytes().contains(&b'=');
            rest.iter().take_while(named).count()
        }
        Some("nice" | "ionice") => match rest.first().map(|word| word.as_bytes()) {
            Some(b"-n" | b"-c") => 2,
            Some(word) if word.starts_with(b"-") => 1,
            _ => 0,
        },
        Some("nohup" | "setsid" | "time") => 0,
        _ => return 0,
    };
    match rest.get(own..) {
        Some(rest) if !rest.is_empty() => 1 + own + before_tool(rest),
        _ => 0,
    }
}

fn served(style: Style) -> Plan {
    Plan {
        jobserver: Some(style),
        ..Plan::default()
    }
}

/// `cmake --build`: what the generator's tool takes.
fn cmake(args: &[OsString], around: &dyn Surroundings) -> Plan {
    let folder = args
        .iter()
        .position(|word| word == "--build")
        .and_then(|at| args.get(at + 1));
    let cache =
        folder.and_then(|folder| around.read(&PathBuf::from(folder).join("CMakeCache.txt")));
    let entry = |name: &str| cache.as_deref().and_then(|cache| cached(cache, name));
    let program = entry("CMAKE_MAKE_PROGRAM");
    match (entry("CMAKE_GENERATOR"), program) {
        (Some(generator), Some(ninja)) if generator.as_bytes().starts_with(b"Ninja") => {
            match takes_fifo(&ninja, around) {
                true => served(Style::Fifo),
                false => Plan {
                    variable: true,
                    ..Plan::default()
                },
            }
        }
        (Some(generator), Some(make)) if generator == "Unix Makefiles" => {
            served(style_of_make(&make, around))
        }
        // A preset's folder, or a generator of its own kind: all of them listen to the variable.
        _ => Plan {
            variable: true,
            ..Plan::default()
        },
    }
}

/// The value of an entry `NAME:TYPE=VALUE` of a CMake cache.
fn cached(cache: &[u8], name: &str) -> Option<OsString> {
    cache.split(|byte| *byte == b'\n').find_map(|line| {
        let typed = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
        let at = typed.iter().position(|byte| *byte == b'=')?;
        Some(OsStr::from_bytes(typed[at + 1..].trim_ascii_end()).to_owned())
    })
}

/// A ninja that joins a fifo, with no make around that ends at the sight of it.
fn takes_fifo(ninja: &OsStr, around: &dyn Surroundings) -> bool {
    let version = around.version(ninja).and_then(|line| version(&line));
    version.is_some_and(|version| version >= (1, 13)) && any_style(around) == Style::Fifo
}

fn style_of_make(make: &OsStr, around: &dyn Surroundings) -> Style {
    match around.version(make).and_then(|line| version(&line)) {
        Some(version) if version < (4, 4) => Style::Pipe,
        _ => any_style(around),
    }
}

/// The style that hurts nobody below.
fn any_style(around: &dyn Surroundings) -> Style {
    let old = ["make", "gmake"].iter().any(|make| {
        let line = around.version(OsStr::new(make));
        line.is_some_and(|line| version(&line).is_none_or(|version| version < (4, 4)))
    });
    if old { Style::Pipe } else { Style::Fifo }
}

/// The first `N.M` of a line: `GNU Make 4.3`, `1.13.2.git`, `cmake version 3.25.1`.
fn version(line: &str) -> Option<Version> {
    line.split_whitespace().find_map(|word| {
        let mut parts = word.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

/// Did the user choose a width, in the command or in the tool's own variable?
fn chose(tool: Option<Tool>, args: &[OsString], around: &dyn Surroundings) -> bool {
    let set = |name: &str| around.variable(name).is_some_and(|value| !value.is_empty());
    let own = |args, valued, long: &[&str]| names_width(args, valued, long);
    match tool {
        Some(Tool::Ninja) => own(args, b"Cdfjklptw", &[]),
        Some(Tool::Make) => own(args, b"CfIoWEj", &["--jobs"]) || flags_width(around),
        Some(Tool::Cargo) => own(args, b"jpFZC", &["--jobs"]) || set("CARGO_BUILD_JOBS"),
        Some(Tool::Cmake) => {
            let cut = args
                .iter()
                .position(|word| word == "--")
                .unwrap_or(args.len());
            let native = args.get(cut + 1..).unwrap_or_default();
            own(&args[..cut], b"j", &["--parallel"])
                || own(native, b"CdfjkltwIoWE", &["--jobs"])
                || set(CMAKE_VARIABLE)
        }
        Some(Tool::Meson) => own(args, b"Cj", &["--jobs"]),
        None => false,
    }
}

/// Is there a `-j` among `MAKEFLAGS`, set by hand?  (With a jobserver it is that one's, and no choice of anybody's.)
fn flags_width(around: &dyn Surroundings) -> bool {
    let flags = around.variable("MAKEFLAGS").unwrap_or_default();
    let flags = flags.as_bytes();
    let mut words = flags.split(u8::is_ascii_whitespace);
    let first = words.next().unwrap_or_default();
    let letters = !first.starts_with(b"-") && !first.contains(&b'=');
    let named = |word: &[u8]| word.starts_with(b"-j") || word.starts_with(b"--jobs=");
    !memmem(flags, b"--jobserver")
        && ((letters && first.contains(&b'j')) || named(first) || words.any(named))
}

fn memmem(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|part| part == wanted)
}

/// Reads `args` as `getopt` does, with single letters that take a value (`valued`), until `--`; is `-j` or one of `long`
/// among them?
fn names_width(args: &[OsString], valued: &[u8], long: &[&str]) -> bool {
    let mut words = args.iter().map(|word| word.as_bytes());
    while let Some(word) = words.next() {
        if word == b"--" {
            break;
        }
        if word.starts_with(b"--") {
            let name = word.split(|byte| *byte == b'=').next().unwrap_or(word);
            if long.iter().any(|long| long.as_bytes() == name) {
                return true;
            }
            continue;
        }
        let Some(letters) = word.strip_prefix(b"-") else {
            continue;
        };
        for (at, letter) in letters.iter().enumerate() {
            if *letter == b'j' {
                return true;
            }
            if valued.contains(letter) {
                if at + 1 == letters.len() {
                    words.next();
                }
                break;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;
