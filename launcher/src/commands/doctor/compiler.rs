//! The compiler on this machine: found, no launcher behind its name, understood, and able to link what comes back.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use compiler::{compdb, names};

use super::finding::{Finding, Layer};
use super::pace::{HERE, Pace, VERSION};
use super::run::{Ran, run};
use crate::about::About;
use crate::commands::database::{self, Judge};
use crate::commands::reasons;
use crate::find::{self, Inode, Program};
use crate::settings::{self, BuildEnvironment, Settings};

/// A compiler that can be tried.
pub(super) struct Tried {
    pub(super) program: Program,
    pub(super) about: About,
    /// Its name as the command has it, and the words behind it.
    pub(super) words: Vec<OsString>,
    /// The unit's name: what it is called says its language.
    pub(super) source: &'static str,
}

/// The command to try: the one asked for, else `CC`, else the default.
pub(super) fn words(
    settings: &Settings,
    environment: &BuildEnvironment,
    asked: &[OsString],
) -> Vec<OsString> {
    let split = |text: &OsStr| -> Vec<OsString> {
        let words = text.as_bytes().split(u8::is_ascii_whitespace);
        let words = words.filter(|word| !word.is_empty());
        words
            .map(|word| OsStr::from_bytes(word).to_owned())
            .collect()
    };
    let mut words = match asked {
        [] => environment.get("CC").map_or_else(Vec::new, split),
        asked => asked.to_vec(),
    };
    words.drain(..compdb::launchers(&words));
    match words.first() {
        None => split(&settings.cc),
        Some(word) if word.as_bytes().starts_with(b"-") => {
            split(&settings.cc).into_iter().chain(words).collect()
        }
        Some(_) => words,
    }
}

/// Finds and asks the compiler of `words`.
pub(super) fn look(
    settings: &Settings,
    words: Vec<OsString>,
    pace: &Pace,
) -> Result<(Tried, Finding), Finding> {
    let word = words.first().cloned().unwrap_or_else(|| "cc".into());
    let shown = word.display();
    let failed =
        |fault, what: String, fix: &str| Finding::failed(Layer::Compiler, fault, what, fix);
    let Some(program) = find::compiler(&word, &settings.path, Inode::ours()) else {
        return Err(match which(&word, &settings.path) {
            Some(path) => calls_itself(&format!(
                "{} is a launcher, and there is no {shown} behind it in PATH",
                path.display()
            )),
            None => failed(
                "no-compiler",
                format!("there is no {shown} in PATH"),
                "sudo apt-get install gcc g++      # or name another: distcc-launch doctor -- clang",
            ),
        });
    };
    let asked = run(
        Command::new(&program.path)
            .arg0(&program.argv0)
            .arg("--version")
            .env_remove(settings::LEVEL)
            .env("LC_ALL", "C"),
        pace.end_of(VERSION),
    );
    let path = program.path.display();
    match &asked {
        Ok(ran) if is_recursion(ran) => {
            return Err(calls_itself(&format!(
                "{path} is a script that calls the launcher, which finds the script again"
            )));
        }
        Ok(Ran { status: None, .. }) => {
            return Err(failed(
                "compiler-stalls",
                format!("{path} --version does not end"),
                "distcc-launch doctor -- /usr/bin/gcc      # and see what that program waits for",
            ));
        }
        Err(error) => {
            let what = format!("{path} cannot be run: {error}");
            let fix = "distcc-launch doctor -- /usr/bin/gcc      # or mend that program";
            return Err(failed("no-compiler", what, fix));
        }
        Ok(_) => {}
    }
    let folder = settings.folder.as_deref();
    let about = About::of(&program, &word, &settings.path, folder).map_err(|reason| {
        let advice = reasons::advice(reason.code()).unwrap_or("distcc-launch doctor -- gcc");
        let what = format!("{path}: {}, so its commands run here", reason.sentence());
        failed(reason.code(), what, advice)
    })?;
    let tried = Tried {
        source: if about.cxx { "probe.cc" } else { "probe.c" },
        program,
        about,
        words,
    };
    judge(settings, tried)
}

/// Would a plain compile be sent?
fn judge(settings: &Settings, tried: Tried) -> Result<(Tried, Finding), Finding> {
    let command = database::Command {
        compiler: tried.words[0].clone(),
        args: tried.words[1..]
            .iter()
            .cloned()
            .chain(["-c", tried.source].map(OsString::from))
            .collect(),
    };
    let judged = Judge::new(settings).judge(command, Path::new("/"));
    if let Some(reason) = judged.here {
        let advice = reasons::advice(reason.code());
        let what = format!("its commands run here: {}", reasons::spelled(reason.code()));
        let fix = advice.unwrap_or("distcc-launch doctor -- gcc      # without that option");
        return Err(Finding::failed(Layer::Compiler, reason.code(), what, fix));
    }
    let About {
        ident,
        triple,
        remote,
        ..
    } = &tried.about;
    let ok = Finding::ok(
        Layer::Compiler,
        format!(
            "{}: {}, for {}, called {} on hosts",
            tried.program.path.display(),
            String::from_utf8_lossy(ident),
            String::from_utf8_lossy(triple),
            remote.display()
        ),
    );
    Ok((tried, ok))
}

fn calls_itself(what: &str) -> Finding {
    Finding::failed(
        Layer::Compiler,
        "calls-itself",
        format!("the launcher would call itself: {what}"),
        "export PATH=\"$PATH:/usr/bin\"      # where the compiler is; in a script, its whole path: exec distcc-launch /usr/bin/gcc \"$@\"",
    )
}

/// Did a launcher, ours or stock's, give up on finding itself again?
fn is_recursion(ran: &Ran) -> bool {
    ran.code() == Some(111) || ran.stderr.contains("leads back to the launcher")
}

/// The first executable of this name in `path`.
fn which(word: &OsStr, path: &OsStr) -> Option<PathBuf> {
    let folders = path.as_bytes().split(|byte| *byte == b':');
    folders
        .map(|folder| Path::new(OsStr::from_bytes(folder)).join(word))
        .find(|path| path.is_file())
}

impl Tried {
    /// The words of the test compile, run in a folder of its own.  Without debug information, which would name the folder.
    pub(super) fn compile_words(&self) -> Vec<OsString> {
        let rest = ["-g0", "-c", self.source, "-o", "probe.o"].map(OsString::from);
        self.words.iter().cloned().chain(rest).collect()
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program.path);
        command.arg0(&self.program.argv0).current_dir(folder);
        command
    }

    /// Writes the unit into `folder`.
    pub(super) fn write_source(&self, folder: &Path) -> std::io::Result<()> {
        fs::write(folder.join(self.source), unit())
    }

    /// The unit compiled here, in `folder`; its object.
    pub(super) fn compile_here(&self, folder: &Path, pace: &Pace) -> Result<Vec<u8>, String> {
        let words = self.compile_words();
        let mut command = self.command(folder);
        command.args(&words[1..]);
        let ran = self
            .write_source(folder)
            .and_then(|()| run(&mut command, pace.end_of(HERE)))
            .map_err(|error| error.to_string())?;
        match ran.succeeded() {
            true => fs::read(folder.join("probe.o")).map_err(|error| error.to_string()),
            false => Err(first_line(&ran.stderr).to_owned()),
        }
    }

    /// Links `object`, which a host made, and runs the program.
    pub(super) fn link(&self, folder: &Path, object: &[u8], until: Instant) -> Finding {
        let linked = fs::write(folder.join("there.o"), object).and_then(|()| {
            let mut command = self.command(folder);
            command
                .args(&self.words[1..])
                .args(["there.o", "-o", "probe"]);
            run(&mut command, until)
        });
        let failed =
            |fault, what: String, fix: &str| Finding::failed(Layer::Link, fault, what, fix);
        match linked {
            Ok(ran) if ran.succeeded() => {}
            Ok(ran) => {
                let what = format!("it does not link here: {}", first_line(&ran.stderr));
                let fix = "sudo apt-get install libc6-dev binutils      # what the linker needs";
                return failed("does-not-link", what, fix);
            }
            Err(error) => return failed("does-not-link", error.to_string(), "df -h"),
        }
        match run(&mut Command::new(folder.join("probe")), until) {
            Ok(ran) if ran.succeeded() => {
                Finding::ok(Layer::Link, "the object links here, and the program runs")
            }
            Ok(ran) => failed(
                "does-not-run",
                format!("the program that was linked ends with {:?}", ran.status),
                "distcc-launch doctor -- gcc      # another compiler",
            ),
            // A cross compiler's, or a folder from which nothing may be run.
            Err(error) => Finding::ok(
                Layer::Link,
                format!(
                    "the object links here; the program cannot be run on this machine ({error})"
                ),
            ),
        }
    }
}

/// A program, and so many numbers that neither its text nor its object, also when packed, fits into one packet: a way that lets only
/// small ones through looks well until then.
fn unit() -> String {
    let mut text = String::from("unsigned char filler[] = {");
    let mut state = 1u32;
    for at in 0..4096 {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let end = if at % 16 == 15 { "\n" } else { "" };
        text.push_str(&format!("{},{end}", state >> 24));
    }
    text.push_str("0};\nint main(void) { return filler[4096]; }\n");
    text
}

/// What a program said first, or that it said nothing.
pub(super) fn first_line(text: &str) -> &str {
    let mut lines = text.lines().map(str::trim);
    lines
        .find(|line| !line.is_empty())
        .unwrap_or("it says nothing")
}

/// Is this word one of the launchers' names?
pub(super) fn base_of(word: &OsStr) -> String {
    String::from_utf8_lossy(names::base(word.as_bytes())).into_owned()
}
