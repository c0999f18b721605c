//! Manners of making a source independent of the files here, and which of them give what a local compile gives.
//!
//! [`Manner::Expanded`] is what stock distcc does; it loses columns, macros and comments. The others keep them, so that debug information and
//! messages equal local ones; they need a daemon of ours, which compiles the text as ordinary source under the name that its words give.
//! `args` has the words for each side, `text` what is cut from the text before it travels, `trap` what forbids a manner, `blank` what
//! makes the text shorter. Measured on gcc 12 and on clang 14 and 16; `compiler/tests/manners.rs` repeats the measurements.

mod active;
mod args;
mod blank;
mod empty;
pub mod preincluded;
mod text;
mod trap;

pub(crate) use args::is_macro;
pub use blank::blank;
pub use text::{files, prepare};
pub use trap::{Trap, trap_in_file};

use crate::table::{Effect, Tool};
use crate::words::{Meaning, Word};
use crate::{Family, Job, Language, Reason};
use std::os::unix::ffi::OsStrExt;

/// How a source is made independent of the files here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manner {
    /// `-E`; the compiler there takes the text for preprocessed.
    Expanded,
    /// gcc: `-E -fdirectives-only`, compiled there as ordinary source. Columns and macros stay. A source that is preprocessed already
    /// goes as it is.
    Directives,
    /// gcc with `-g3`: as `Directives`, with all that comes before the source's first line left to the compiler there.
    Whole,
    /// clang: `-E -frewrite-includes`, compiled there as ordinary source.
    Rewritten,
}

use Manner::*;

impl Manner {
    pub const ALL: [Manner; 4] = [Expanded, Directives, Whole, Rewritten];

    /// The name that settings and journal use.
    pub fn name(self) -> &'static str {
        match self {
            Expanded => "expanded",
            Directives => "directives",
            Whole => "whole",
            Rewritten => "rewritten",
        }
    }

    pub fn from_name(name: &[u8]) -> Option<Manner> {
        Manner::ALL
            .into_iter()
            .find(|manner| manner.name().as_bytes() == name)
    }

    /// Is the text ordinary source, which only a daemon of ours compiles?
    pub fn needs_ours(self) -> bool {
        self != Expanded
    }
}

impl Job<'_> {
    /// The manners in which this job gives what a local compile gives, best first: when a [`Trap`] forbids one, the next may serve. `ours`: is the
    /// daemon ours (or a stock one)? `ident`: what the compiler calls itself in its objects
    /// (`GCC: (Debian 12.2.0-14+deb12u1) 12.2.0`).
    ///
    /// A stock daemon gets what carries debug information all the same: its folders and names are right, its columns are not.
    ///
    /// # Errors
    /// The reason to compile here, when no manner is known to give the same.
    pub fn manners(&self, ours: bool, ident: &[u8]) -> Result<&'static [Manner], Reason> {
        let words = || self.words.iter();
        let module = self.language == Language::CxxModule;
        let only_expanded = if module {
            Err(Reason::Modules)
        } else if self.writes_base_name() {
            Err(Reason::NamesSource)
        } else if ours && self.writes_columns() && self.language.wants_preprocessor() {
            Err(Reason::SourceColumns)
        } else {
            Ok(&[Expanded][..])
        };
        // The few warnings that are on by themselves look at neither columns nor comments; what they say is said here again.
        let quiet = !self.asks_for_warnings();
        let silent = self.is_silent() && only_expanded.is_ok() && !self.writes_columns();
        // A module's object is made from an intermediate file, which then names itself.
        let hidden = module && (self.draft.debug || self.writes_label());
        let unmappable = !self.is_mappable() && (self.family == Family::Gcc || self.draft.debug);
        // What is kept for the linker names the folder, which only text that counts as preprocessed can say. Debug information would
        // record that, and a text that is not of our making does not say it. The numbers of such an object vary by chance, unless a seed
        // is given: 9 of 16 real units were equal then.
        let names_folder = self.family == Family::Gcc && self.draft.lto;
        let seeded = || {
            words().any(|word| matches!(word.meaning, Meaning::Option(opt) if opt.name.starts_with("-frandom-seed")))
        };
        if ours && names_folder && (self.draft.debug || self.is_preprocessed() || seeded()) {
            return Err(Reason::NamesSource);
        }
        if ours && self.is_preprocessed() && self.draft.debug && !unmappable {
            // The text goes as it is; but its folder has a name only in a job of ours.
            return Ok(&[Directives]);
        }
        let as_it_is = !self.language.wants_preprocessor() || self.language.is_assembler();
        if !ours
            || silent
            || as_it_is
            || unmappable
            || hidden
            || self.needs_its_name()
            || words().any(|word| wants_expanded(self.family, word))
        {
            return only_expanded;
        }
        let both = only_expanded.is_ok();
        match self.family {
            Family::Clang if self.draft.debug && !self.draft.dwarf_4 => only_expanded,
            Family::Clang if both => Ok(&[Rewritten, Expanded]),
            Family::Clang => Ok(&[Rewritten]),
            Family::Gcc if !keeps_directives(ident) => only_expanded,
            Family::Gcc if self.draft.debug_macros && words().any(ties_head) => only_expanded,
            Family::Gcc if self.draft.debug_macros => Ok(&[Whole]),
            Family::Gcc if both && quiet => Ok(&[Expanded, Directives]),
            Family::Gcc if both => Ok(&[Directives, Expanded]),
            Family::Gcc => Ok(&[Directives]),
        }
    }

    /// Is there such a text of this source at all? The interface of a module, once expanded, is none any more.
    pub fn can_go_in(&self, manner: Manner) -> bool {
        manner != Expanded || self.language != Language::CxxModule
    }

    /// Is the text with its directives to be taken for preprocessed, so that it says in which folder it was made? Debug information
    /// would record that.
    fn is_taken_for_preprocessed(&self, manner: Manner) -> bool {
        manner == Directives && self.family == Family::Gcc && self.draft.lto
    }

    /// Is the source gcc's text without directives, `.i` or `.ii`?
    fn is_preprocessed(&self) -> bool {
        self.family == Family::Gcc
            && !self.language.wants_preprocessor()
            && !self.language.is_assembler()
    }

    /// Are warnings switched on?
    fn asks_for_warnings(&self) -> bool {
        self.words.iter().any(|word| {
            let Meaning::Option(opt) = word.meaning else {
                return false;
            };
            let spelled = self.args[word.at].as_bytes();
            let warns = opt.effect == Effect::Everywhere && spelled.starts_with(b"-W");
            warns && !spelled.starts_with(b"-Wno-")
                || opt.name.contains("pedantic")
                || opt.name.contains("-warnings")
                || opt.name == "-fanalyzer"
        })
    }

    /// Are all warnings switched off?
    pub(crate) fn is_silent(&self) -> bool {
        self.words.iter().any(is_no_warnings)
    }

    /// Some versions take the first equals sign of a map for the one that divides it, others the last.
    fn is_mappable(&self) -> bool {
        let own = [self.cwd.as_bytes(), self.source];
        let maps = self.words.iter().filter(|word| args::is_map(word));
        !own.iter().any(|name| name.contains(&b'='))
            && maps
                .map(|word| word.value.iter().filter(|&&b| b == b'=').count())
                .all(|equals| equals == 1)
    }
}

/// From version 11 on gcc's `-fdirectives-only` keeps comments, and columns can be had in bytes.
fn keeps_directives(ident: &[u8]) -> bool {
    let version = ident.rsplit(|&b| b == b' ').next().unwrap_or_default();
    let major = version.split(|&b| b == b'.').next().unwrap_or_default();
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0u32, |number, digit| {
            let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        })
    };
    !major.is_empty() && number(major).is_some_and(|major| major >= 11)
}

fn is_no_warnings(word: &Word<'_>) -> bool {
    matches!(word.meaning, Meaning::Option(opt) if matches!(opt.name, "-w" | "--no-warnings"))
}

/// What comes before the source's first line must be had from the compiler there when macros go into the debug information.
fn ties_head(word: &Word<'_>) -> bool {
    matches!(word.meaning, Meaning::Option(opt) if args::is_include(opt.name)
        || opt.effect == Effect::Target
        || matches!(opt.name, "--sysroot" | "--sysroot=" | "-isysroot" | "-imultiarch"))
}

/// Does a word ask for something that only expanded text gives?
fn wants_expanded(family: Family, word: &Word<'_>) -> bool {
    let Meaning::Option(opt) = word.meaning else {
        return false;
    };
    match opt.effect {
        // What is passed to the preprocessor may be macros that the compiler there would lack.
        Effect::Pass(Tool::Preprocessor) => !word.value.starts_with(b"-M"),
        Effect::Cpp if family == Family::Clang => {
            matches!(opt.name, "-imacros" | "--imacros" | "--imacros=")
        }
        Effect::Cpp if opt.name == args::CHARSET => !word.value.eq_ignore_ascii_case(b"UTF-8"),
        // What else shapes preprocessing does not go twice.
        Effect::Cpp => {
            !args::is_macro(opt.name)
                && !args::is_include(opt.name)
                && !args::is_map(word)
                && !matches!(opt.name, "-H" | "--trace-includes")
        }
        Effect::Neither => {
            opt.name.contains("directives-only") || opt.name.contains("rewrite-includes")
        }
        Effect::Preprocessed => true,
        // The only folder that debug information records as an option.
        Effect::Search => family == Family::Gcc && opt.name == "-F",
        Effect::Everywhere if family == Family::Gcc => {
            // Pedantry about line markers is left out of the messages, unless it is an error.
            opt.name.contains("pedantic-errors")
                || opt.name == "-W" && matches!(word.value, b"error=pedantic" | b"unused-macros")
        }
        Effect::Guess => family == Family::Clang && word.value == b"debug-macro",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_name_their_manners() {
        for manner in Manner::ALL {
            assert_eq!(Manner::from_name(manner.name().as_bytes()), Some(manner));
        }
        assert_eq!(Manner::from_name(b""), None);
    }

    #[test]
    fn versions_are_read_from_what_objects_say() {
        for ident in [
            "GCC: (Debian 12.2.0-14+deb12u1) 12.2.0",
            "GCC: (GNU) 11.3.0",
            "GCC: (GNU) 14.1.1",
        ] {
            assert!(keeps_directives(ident.as_bytes()), "{ident}");
        }
        for ident in [
            "GCC: (GNU) 10.2.1",
            "GCC: (GNU) 4.8",
            "",
            "GCC: (GNU) ",
            "x",
        ] {
            assert!(!keeps_directives(ident.as_bytes()), "{ident}");
        }
    }
}
