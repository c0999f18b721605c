//! Real compilers: the manners that keep directives give the object and the messages that a local compile gives.
//!
//! "There" is an empty folder that cannot see the files here, as with a daemon of ours.

mod collection;
mod messages;
mod objects;
mod there;
mod traps;

use compiler::diagnostics::{Charset, Said, as_local};
use compiler::manner::Trap;
use compiler::{Family, Manner, Surroundings, Verdict, classify, names, response};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Output;

/// A folder of sources, and an empty one beside it.
struct Place {
    root: tempfile::TempDir,
}

/// A command compiled here, and there.
struct Tried {
    local: Output,
    wanted: Vec<u8>,
    got: Vec<u8>,
    /// Did the compiler there end well?
    well: bool,
    said: Said,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Place {
        let place = Place {
            root: tempfile::tempdir().expect("a temporary folder"),
        };
        for (name, text) in files {
            place.write(name, text);
        }
        std::fs::create_dir_all(place.here()).expect("a new folder");
        place
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.here().join(name);
        std::fs::create_dir_all(path.parent().expect("below here")).expect("a new folder");
        std::fs::write(path, text).expect("a new file");
    }

    fn here(&self) -> PathBuf {
        self.root.path().join("here")
    }

    /// Compiles `line` here and, in its best manner, there.
    fn compile(&self, line: &str) -> Result<Tried, Trap> {
        self.compile_as(line, Charset::Ascii, None)
    }

    /// As `compile`; in `manner` even if a trap forbids it.
    fn compile_as(
        &self,
        line: &str,
        charset: Charset,
        manner: Option<Manner>,
    ) -> Result<Tried, Trap> {
        let here = self.here();
        let line = line.replace("$PWD", here.to_str().expect("UTF-8"));
        let mut words = response::split(line.as_bytes());
        let program = words.remove(0);
        let guess = names::guess(program.as_encoded_bytes()).expect("a compiler");
        let about = Surroundings::new(here.as_os_str());
        let family = guess.family.unwrap_or(Family::Gcc);
        let job = match classify(family, guess.cxx, &words, &about) {
            Verdict::Distribute(job) => job,
            Verdict::RunHere(reason) => panic!("{line} stays: {}", reason.code()),
        };
        let forced = manner.is_some();
        let manner = manner.unwrap_or_else(|| {
            let manners = job.manners(true, there::IDENT);
            let manners =
                manners.unwrap_or_else(|reason| panic!("{line} stays: {}", reason.code()));
            let keeping = manners.iter().copied().find(|manner| manner.needs_ours());
            keeping.unwrap_or(Manner::Expanded)
        });
        assert_ne!(manner, Manner::Expanded, "{line}");
        let _ = std::fs::remove_file(here.join(job.output()));
        let locale = match charset {
            Charset::Utf8 => "C.UTF-8",
            _ => "C",
        };
        let local = there::run(&program, &words, &here, locale);
        let wanted = std::fs::read(here.join(job.output())).unwrap_or_default();
        let there = self.root.path().join("there");
        let outcome = there::compile(&program, &job, manner, &there, forced);
        let outcome = outcome.map_err(|trap| trap.expect("the preprocessor does not fail"))?;
        let mut read = |name: &OsStr| std::fs::read(here.join(name)).ok();
        let said = as_local(
            &job,
            manner,
            charset,
            &outcome.here,
            &outcome.there.stderr,
            &mut read,
        );
        Ok(Tried {
            local,
            wanted,
            got: outcome.product,
            well: outcome.there.status.success(),
            said,
        })
    }

    /// Is there no manner in which `line` is equal with a daemon of ours?
    fn stays(&self, line: &str) -> bool {
        let mut words = response::split(line.as_bytes());
        let program = words.remove(0);
        let guess = names::guess(program.as_encoded_bytes()).expect("a compiler");
        let here = self.here();
        let about = Surroundings::new(here.as_os_str());
        let family = guess.family.unwrap_or(Family::Gcc);
        match classify(family, guess.cxx, &words, &about) {
            Verdict::Distribute(job) => job.manners(true, there::IDENT).is_err(),
            Verdict::RunHere(_) => true,
        }
    }

    /// Is the object of `line`, made there, the one of a local compile, which ends well?
    fn is_equal(&self, line: &str) -> Result<bool, Trap> {
        let tried = self.compile(line)?;
        let messages = tried.local.stderr.escape_ascii().to_string();
        assert!(tried.local.status.success(), "{line}: {messages}");
        Ok(tried.got == tried.wanted)
    }
}

/// gcc's messages without the lines of the source under them.
fn without_excerpts(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let is_excerpt = |line: &str| {
        let rest = line.trim_start_matches(' ');
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        line.starts_with(' ') && rest.trim_start_matches(' ').starts_with('|')
    };
    text.split_inclusive('\n')
        .filter(|line| !is_excerpt(line))
        .collect()
}
