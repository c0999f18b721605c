//! What we know of a compiler: its family, its version as objects spell it, its target, its name on other machines.
//!
//! The compiler itself is asked (`--version`, `-dumpmachine`) once; the answers are remembered in a small file of
//! `$DISTCC_DIR/compilers/`, named by the compiler's path and valid for one identity (device, inode, size, change time) only.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use compiler::{Family, names};

use crate::find::{self, Inode, Program};

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

/// Layout of the remembered file; another number is as good as no file.
const LAYOUT: &str = "distcc-launch compiler 1";

impl About {
    /// What is known of `program`, called `word`; `None` when it is no compiler of ours.
    pub(crate) fn of(
        program: &Program,
        word: &OsStr,
        path: &OsStr,
        folder: Option<&Path>,
    ) -> Option<About> {
        let guess = names::guess(names::base(word.as_bytes()))?;
        let memory = folder.map(|folder| Memory::new(folder, program, word));
        if let Some(about) = memory.as_ref().and_then(Memory::recall) {
            return Some(about);
        }
        let about = ask(program, guess.cxx, word, path)?;
        if let Some(memory) = &memory {
            memory.keep(&about);
        }
        Some(about)
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

/// Asks the compiler itself.
fn ask(program: &Program, cxx: bool, word: &OsStr, path: &OsStr) -> Option<About> {
    let version = answer(program, "--version")?;
    let first = version.split(|byte| *byte == b'\n').next()?;
    let (family, ident) = read_version(first)?;
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

/// Family and `.comment` text out of the first line of `--version`.  gcc prints its own name first, objects say `GCC: ` instead;
/// clang prints what its objects say.
fn read_version(line: &[u8]) -> Option<(Family, Vec<u8>)> {
    if contains(line, b"clang version") {
        return Some((Family::Clang, line.trim_ascii().to_vec()));
    }
    // `gcc (Debian 12.2.0-14+deb12u1) 12.2.0`: everything behind the program's name.
    let open = line.iter().position(|byte| *byte == b'(')?;
    let name = line.get(..open)?.trim_ascii();
    let gnu = names::guess(names::base(name)).is_some()
        || name.ends_with(b"gcc")
        || name.ends_with(b"g++");
    gnu.then(|| (Family::Gcc, [b"GCC: ", line[open..].trim_ascii()].concat()))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
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

/// The file that holds what a compiler once answered.
struct Memory {
    file: PathBuf,
    /// First lines of the file: layout, path, name and identity must be these.
    key: Vec<u8>,
}

impl Memory {
    fn new(folder: &Path, program: &Program, word: &OsStr) -> Memory {
        let stat = &program.stat;
        let mut key = LAYOUT.as_bytes().to_vec();
        let numbers = format!(
            "{} {} {} {}.{}",
            stat.st_dev, stat.st_ino, stat.st_size, stat.st_ctime, stat.st_ctime_nsec
        );
        for part in [
            program.path.as_os_str().as_bytes(),
            word.as_bytes(),
            numbers.as_bytes(),
        ] {
            key.push(b'\n');
            // A line end in a name would shift the lines; such a compiler is asked each time.
            key.extend(
                part.iter()
                    .map(|byte| if *byte == b'\n' { 0 } else { *byte }),
            );
        }
        key.push(b'\n');
        let file = folder.join("compilers").join(format!("{:016x}", fnv(&key)));
        Memory { file, key }
    }

    fn recall(&self) -> Option<About> {
        let text = fs::read(&self.file).ok()?;
        let mut lines = text
            .strip_prefix(&self.key[..])?
            .split(|byte| *byte == b'\n');
        let family = match lines.next()? {
            b"gcc" => Family::Gcc,
            b"clang" => Family::Clang,
            _ => return None,
        };
        let cxx = lines.next()? == b"c++";
        let ident = lines.next()?.to_vec();
        let triple = lines.next()?.to_vec();
        let remote = OsString::from_vec(lines.next()?.to_vec());
        // The line end behind the last value tells a whole file from a cut one.
        (lines.next() == Some(b"") && !remote.is_empty()).then_some(About {
            family,
            cxx,
            ident,
            remote,
            triple,
        })
    }

    fn keep(&self, about: &About) {
        let mut text = self.key.clone();
        let family = match about.family {
            Family::Gcc => "gcc",
            Family::Clang => "clang",
        };
        let cxx = if about.cxx { "c++" } else { "c" };
        for value in [
            family.as_bytes(),
            cxx.as_bytes(),
            &about.ident,
            &about.triple,
            about.remote.as_bytes(),
        ] {
            text.extend(
                value
                    .iter()
                    .map(|byte| if *byte == b'\n' { b' ' } else { *byte }),
            );
            text.push(b'\n');
        }
        let keep = || {
            let folder = self.file.parent()?;
            fs::create_dir_all(folder).ok()?;
            let partial = self.file.with_extension(std::process::id().to_string());
            fs::File::create(&partial).ok()?.write_all(&text).ok()?;
            fs::rename(&partial, &self.file).ok()
        };
        // Best effort: without it the compiler is asked again.
        let _: Option<()> = keep();
    }
}

/// FNV-1a, for file names only.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_lines_say_what_objects_say() {
        let gcc = b"gcc (Debian 12.2.0-14+deb12u1) 12.2.0";
        assert_eq!(
            read_version(gcc),
            Some((
                Family::Gcc,
                b"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0".to_vec()
            ))
        );
        let cross = b"aarch64-linux-gnu-gcc-12 (GCC) 12.3.0";
        assert_eq!(
            read_version(cross),
            Some((Family::Gcc, b"GCC: (GCC) 12.3.0".to_vec()))
        );
        let clang = b"Debian clang version 14.0.6";
        assert_eq!(read_version(clang), Some((Family::Clang, clang.to_vec())));
        for other in [
            &b""[..],
            b"tcc version 0.9.27 (x86_64 Linux)",
            b"GNU ld (GNU Binutils) 2.40",
        ] {
            assert_eq!(read_version(other), None, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn memory_holds_for_one_identity_only() {
        let folder = tempfile::tempdir().expect("folder");
        let program = find::compiler("gcc".as_ref(), "/usr/bin".as_ref(), None)
            .expect("gcc is needed to test");
        let about = About::of(
            &program,
            "gcc".as_ref(),
            "/usr/bin".as_ref(),
            Some(folder.path()),
        )
        .expect("known");
        let memory = Memory::new(folder.path(), &program, "gcc".as_ref());
        assert_eq!(memory.recall(), Some(about));

        let mut changed = program.clone();
        changed.stat.st_size += 1;
        assert_eq!(
            Memory::new(folder.path(), &changed, "gcc".as_ref()).recall(),
            None
        );

        let text = fs::read(&memory.file).expect("file");
        for cut in 0..text.len() {
            fs::write(&memory.file, &text[..cut]).expect("cut");
            assert_eq!(memory.recall(), None, "cut at {cut}");
        }
    }
}
