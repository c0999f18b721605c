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
    let (program, args) = command.split_first()?;
    let tool = Tool::of(program);
    if chose(tool, args, around) {
        return None;
    }
    let option = |at| Plan {
        option_before: Some(at),
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
mod tests {
    use super::*;

    #[derive(Default)]
    struct Machine {
        make: Option<&'static str>,
        ninja: Option<&'static str>,
        variables: Vec<(&'static str, &'static str)>,
        cache: Option<&'static str>,
    }

    impl Surroundings for Machine {
        fn variable(&self, name: &str) -> Option<OsString> {
            let found = self.variables.iter().find(|(there, _)| *there == name);
            found.map(|(_, value)| value.into())
        }
        fn version(&self, program: &OsStr) -> Option<String> {
            let line = match Path::new(program).file_name()?.to_str()? {
                "make" => self.make,
                "ninja" => self.ninja,
                _ => None,
            };
            line.map(str::to_owned)
        }
        fn read(&self, path: &Path) -> Option<Vec<u8>> {
            let wanted = path == Path::new("b/CMakeCache.txt");
            self.cache.filter(|_| wanted).map(Into::into)
        }
    }

    const OLD: Machine = Machine {
        make: Some("GNU Make 4.3"),
        ninja: Some("1.11.1"),
        variables: Vec::new(),
        cache: None,
    };

    fn new() -> Machine {
        Machine {
            make: Some("GNU Make 4.4.1"),
            ninja: Some("1.13.2.git.kitware.jobserver-pipe-1"),
            ..Machine::default()
        }
    }

    fn planned(command: &str, machine: &Machine) -> Option<Plan> {
        let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
        plan(&words, machine)
    }

    fn option(at: usize) -> Option<Plan> {
        Some(Plan {
            option_before: Some(at),
            ..Plan::default()
        })
    }

    fn variable() -> Option<Plan> {
        Some(Plan {
            variable: true,
            ..Plan::default()
        })
    }

    #[test]
    fn each_tool_in_each_version() {
        let (fifo, pipe) = (Some(served(Style::Fifo)), Some(served(Style::Pipe)));
        let mixed = Machine {
            make: Some("GNU Make 4.3"),
            ..new()
        };
        let no_make = Machine {
            make: None,
            ..new()
        };
        for (command, machine, expected) in [
            ("ninja -C b", &new(), fifo.clone()),
            ("/opt/ninja all", &no_make, fifo.clone()),
            ("ninja -C b", &mixed, option(1)),
            ("ninja", &OLD, option(1)),
            ("make all", &new(), fifo.clone()),
            ("make all", &OLD, pipe.clone()),
            ("cargo build", &new(), fifo.clone()),
            ("cargo build", &OLD, pipe.clone()),
            ("meson compile -C b", &new(), fifo.clone()),
            ("meson compile -C b", &OLD, option(2)),
            ("./build.sh", &new(), fifo.clone()),
            ("cmake --build b", &OLD, variable()),
        ] {
            assert_eq!(planned(command, machine), expected, "{command}");
        }
        let script = planned("sh -c make", &OLD).unwrap();
        assert_eq!(
            (script.jobserver, script.variable),
            (Some(Style::Pipe), true)
        );
    }

    #[test]
    fn cmake_s_generator_decides() {
        let ninja = "CMAKE_GENERATOR:INTERNAL=Ninja Multi-Config\nCMAKE_MAKE_PROGRAM:FILEPATH=/usr/bin/ninja\n";
        let make = "CMAKE_MAKE_PROGRAM:FILEPATH=/usr/bin/make\r\nCMAKE_GENERATOR:INTERNAL=Unix Makefiles\r\n";
        let with = |cache, machine| Machine {
            cache: Some(cache),
            ..machine
        };
        let command = "cmake --build b --target all";
        assert_eq!(
            planned(command, &with(ninja, new())),
            Some(served(Style::Fifo))
        );
        assert_eq!(planned(command, &with(ninja, OLD)), variable());
        assert_eq!(
            planned(command, &with(make, OLD)),
            Some(served(Style::Pipe))
        );
        assert_eq!(
            planned("cmake --build elsewhere", &with(make, OLD)),
            variable()
        );
    }

    #[test]
    fn who_chose_a_width_keeps_it() {
        for command in [
            "ninja -j4",
            "ninja -C b -j 4",
            "ninja -vj4",
            "make -j",
            "make -kj4 all",
            "make --jobs=4",
            "cargo build -j4",
            "cargo build --jobs 4",
            "cmake --build b -j 4",
            "cmake --build b --parallel 4",
            "cmake --build b -- -j4",
            "meson compile -j 4",
        ] {
            assert_eq!(planned(command, &new()), None, "{command}");
        }
        for command in [
            "ninja -C j4",
            "ninja -t clean",
            "make -C -j4",
            "make -fj.mk",
            "cargo run -- -j4",
            "cargo build -p jpeg",
            "make -- -j4",
        ] {
            assert!(planned(command, &new()).is_some(), "{command}");
        }
    }

    #[test]
    fn variables_are_a_choice_too() {
        for (command, name, value, chosen) in [
            ("make", "MAKEFLAGS", "-j4", true),
            ("make", "MAKEFLAGS", "kj4", true),
            ("make", "MAKEFLAGS", "k --jobs=4", true),
            ("make", "MAKEFLAGS", "k", false),
            ("make", "MAKEFLAGS", " -j4 --jobserver-auth=3,4", false),
            ("cargo build", "CARGO_BUILD_JOBS", "4", true),
            ("cmake --build b", CMAKE_VARIABLE, "4", true),
            ("ninja", CMAKE_VARIABLE, "4", false),
        ] {
            let machine = Machine {
                variables: vec![(name, value)],
                ..new()
            };
            assert_eq!(
                planned(command, &machine).is_none(),
                chosen,
                "{name}={value}"
            );
        }
    }
}
