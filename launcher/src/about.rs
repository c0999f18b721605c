//! What we know of a compiler: its family, its version as objects spell it, its target, its name on other machines.
//!
//! The compiler itself is asked (`--version`, `-dumpmachine`) once; `memory` keeps the answers.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use compiler::{Family, Reason, names};

use crate::find::{self, Inode, Program};
use crate::memory::Memory;

/// A compiler that we know how to read the commands of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    pub family: Family,
    /// Does it act as a C++ driver?
    pub cxx: bool,
    /// What `.comment` of its objects says: `GCC: (Debian 12.2.0-14+deb12u1) 12.2.0`.
    pub ident: Vec<u8>,
    /// What it is called on another machine: a bare name where PATH gives this very program for it.
    pub remote: OsString,
    /// The target that it says it compiles for: `x86_64-linux-gnu`.
    pub triple: Vec<u8>,
}

impl About {
    /// What is known of `program`, called `word`; else why its commands run here.
    pub(crate) fn of(
        program: &Program,
        word: &OsStr,
        path: &OsStr,
        folder: Option<&Path>,
    ) -> Result<About, Reason> {
        let guess = names::guess(names::base(word.as_bytes())).ok_or(Reason::UnknownCompiler)?;
        let memory = folder.map(|folder| Memory::new(folder, program, word));
        if let Some(about) = memory.as_ref().and_then(Memory::recall).and_then(read) {
            return Ok(about);
        }
        if is_script(&program.path) {
            return Err(Reason::CompilerScript);
        }
        let about = ask(program, guess.cxx, word, path).ok_or(Reason::UnknownCompiler)?;
        if let Some(memory) = &memory {
            memory.keep(&about.lines());
        }
        Ok(about)
    }

    /// As [`Memory`] keeps it.
    fn lines(&self) -> [&[u8]; 5] {
        let family = match self.family {
            Family::Gcc => "gcc",
            Family::Clang => "clang",
        };
        let language = if self.cxx { "c++" } else { "c" };
        [
            family.as_bytes(),
            language.as_bytes(),
            &self.ident,
            &self.triple,
            self.remote.as_bytes(),
        ]
    }

    /// What tells this compiler from others in lists of hosts that are no good for it.
    pub(crate) fn id(&self) -> String {
        let mut id = String::from_utf8_lossy(&self.ident).into_owned();
        id.push(' ');
        id.push_str(&String::from_utf8_lossy(&self.triple));
        // Under another name a host may have the right one.
        id.push(' ');
        id.push_str(&self.remote.to_string_lossy());
        id
    }
}

/// What [`About::lines`] wrote.
fn read(lines: Vec<Vec<u8>>) -> Option<About> {
    let [family, language, ident, triple, remote] = <[Vec<u8>; 5]>::try_from(lines).ok()?;
    let family = match &family[..] {
        b"gcc" => Family::Gcc,
        b"clang" => Family::Clang,
        _ => return None,
    };
    (!remote.is_empty()).then_some(About {
        family,
        cxx: language == b"c++",
        ident,
        remote: OsString::from_vec(remote),
        triple,
    })
}

/// Is `program` a script? It answers as the compiler that it runs, but what it adds to the words no host would know.
fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    fs::File::open(program).is_ok_and(|mut file| file.read_exact(&mut start).is_ok())
        && start == *b"#!"
}

/// Asks the compiler itself.
fn ask(program: &Program, cxx: bool, word: &OsStr, path: &OsStr) -> Option<About> {
    let version = answer(program, "--version")?;
    let first = version.split(|byte| *byte == b'\n').next()?;
    let (family, ident) = compiler::version::read(first)?;
    let triple = answer(program, "-dumpmachine")?.trim_ascii().to_vec();
    let remote = remote_name(program, family, cxx, word, path, &triple);
    Some(About {
        family,
        cxx,
        ident,
        remote,
        triple,
    })
}

/// Standard output of `program question`, if it ends well.
fn answer(program: &Program, question: &str) -> Option<Vec<u8>> {
    let mut command = Command::new(&program.path);
    command
        .arg0(&program.argv0)
        .arg(question)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command.env("LC_ALL", "C");
    let output = command.output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// The name to send.  `cc` and `c++` become what their links lead to, `gcc` becomes `TRIPLE-gcc` where that is the same program, as
/// stock does; an absolute path becomes a bare name where PATH means the same program by it.
fn remote_name(
    program: &Program,
    family: Family,
    cxx: bool,
    word: &OsStr,
    path: &OsStr,
    triple: &[u8],
) -> OsString {
    let base = names::base(word.as_bytes());
    let mut name = OsStr::from_bytes(base).to_owned();
    let same = |name: &OsStr| {
        find::compiler(name, path, None)
            .is_some_and(|found| Inode::of(&found.stat) == Inode::of(&program.stat))
    };
    if names::guess(base).is_some_and(|guess| guess.family.is_none()) {
        let linked = find::links(&program.path).into_iter().find_map(|link| {
            let base = names::base(link.as_os_str().as_bytes()).to_vec();
            let guess = names::guess(&base)?;
            (guess.family == Some(family) && guess.cxx == cxx).then(|| OsString::from_vec(base))
        });
        name = linked.unwrap_or_else(|| plain_name(family, cxx).into());
    }
    if !same(&name) {
        // A path of the user's own that no bare name stands for: a daemon has it at that path or not at all.
        return if word.as_bytes().contains(&b'/') {
            word.to_owned()
        } else {
            name
        };
    }
    if family == Family::Gcc
        && names::guess(name.as_bytes()).is_some_and(|guess| guess.triple.is_none())
    {
        let full = OsString::from_vec([triple, b"-", name.as_bytes()].concat());
        if same(&full) {
            return full;
        }
    }
    name
}

fn plain_name(family: Family, cxx: bool) -> &'static str {
    match (family, cxx) {
        (Family::Gcc, false) => "gcc",
        (Family::Gcc, true) => "g++",
        (Family::Clang, false) => "clang",
        (Family::Clang, true) => "clang++",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_remembered() {
        let folder = tempfile::tempdir().expect("folder");
        let program = find::compiler("gcc".as_ref(), "/usr/bin".as_ref(), None)
            .expect("gcc is needed to test");
        let ask = || {
            About::of(
                &program,
                "gcc".as_ref(),
                "/usr/bin".as_ref(),
                Some(folder.path()),
            )
        };
        let about = ask().expect("known");
        assert_eq!(ask(), Ok(about.clone()));
        let lines = about.lines().map(<[u8]>::to_vec).to_vec();
        assert_eq!(read(lines), Some(about));
        assert_eq!(read(vec![b"gcc".to_vec()]), None);
    }
}
