//! Manners of making a source independent of the files here, and the words for each.
//!
//! `Plain` is what stock distcc does. The others keep what plain preprocessing loses (columns, macros, comments), so that debug information
//! and messages equal local ones; they need a daemon of ours, which stores the text under the name that its words give.
//! Measured on gcc 11 and 12 and clang 14 and 16.

use crate::remote::{DaemonJob, Refusal};
use crate::table::{Effect, Stage, Tool};
use crate::words::{self, Meaning, Word};
use crate::{Family, Job, Language, Product, names, remote};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// How a source is made independent of the files here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manner {
    /// `-E`; the compiler there takes the text for preprocessed.
    Plain,
    /// gcc: `-E -fdirectives-only`, compiled there as ordinary source. Columns and macros stay.
    Directives,
    /// gcc with `-g3`: as `Directives`, with the macros of the command line left to the compiler there.
    Macros,
    /// clang: `-E -frewrite-includes`, compiled there as ordinary source.
    Includes,
}

/// Stands in the words of [`Job::remote_args_in`] for the folder there in which the source is stored under its label; the daemon
/// replaces it by that folder.
pub const FOLDER: &str = "/.distcc-launch-job";

/// The folder below [`FOLDER`] that holds the text: no source of a project is named so.
const LABEL: &[u8] = b"_d/";

impl Manner {
    pub const ALL: [Manner; 4] = [
        Manner::Plain,
        Manner::Directives,
        Manner::Macros,
        Manner::Includes,
    ];

    /// The name that settings and journal use.
    pub fn name(self) -> &'static str {
        match self {
            Manner::Plain => "plain",
            Manner::Directives => "directives",
            Manner::Macros => "macros",
            Manner::Includes => "includes",
        }
    }

    pub fn from_name(name: &[u8]) -> Option<Manner> {
        Manner::ALL
            .into_iter()
            .find(|manner| manner.name().as_bytes() == name)
    }
}

impl Job<'_> {
    /// The manner that serves this command best where the daemon is ours. Whether the text allows it is told by
    /// [`crate::directives::carry`].
    pub fn best_manner(&self) -> Manner {
        // gcc takes the last equals sign of a map for the one that divides it, clang the first.
        let unmappable = self.family == Family::Gcc
            && (self.cwd.as_bytes().contains(&b'=') || self.source.contains(&b'='));
        let plain_text =
            unmappable || !self.language.wants_preprocessor() || self.language.is_assembler();
        if plain_text || self.words.iter().any(|word| wants_plain(self.family, word)) {
            return Manner::Plain;
        }
        match self.family {
            Family::Clang => Manner::Includes,
            Family::Gcc if !self.draft.debug_macros => Manner::Directives,
            Family::Gcc if self.words.iter().any(|word| includes_by_option(word)) => Manner::Plain,
            Family::Gcc => Manner::Macros,
        }
    }

    /// As [`Job::preprocess_args`], in a manner.
    pub fn preprocess_args_in(&self, manner: Manner) -> Option<Vec<OsString>> {
        let mut args = self.preprocess_args()?;
        match manner {
            Manner::Plain => {}
            Manner::Directives | Manner::Macros => args.insert(1, "-fdirectives-only".into()),
            Manner::Includes => args.insert(1, "-frewrite-includes".into()),
        }
        Some(args)
    }

    /// The name under which the text is stored there, below the job's folder.
    pub fn label_in(&self, manner: Manner) -> OsString {
        match manner {
            Manner::Plain => remote::source_label(self.cxx, self.source, self.language),
            _ => OsString::from_vec([LABEL, names::base(self.source)].concat()),
        }
    }

    /// As [`Job::remote_args`], in a manner. The words may hold [`FOLDER`].
    pub fn remote_args_in(&self, manner: Manner) -> Vec<OsString> {
        if manner == Manner::Plain {
            return self.remote_args();
        }
        let mut args: Vec<OsString> = Vec::with_capacity(self.args.len() + 10);
        args.extend(["-x".into(), self.language.x_name().into()]);
        args.push(self.label_in(manner));
        args.push(if self.product == Product::Assembly {
            "-S".into()
        } else {
            "-c".into()
        });
        args.extend(["-o".into(), self.output().to_owned()]);
        for word in &self.words {
            if goes_in(self.family, word) {
                args.extend_from_slice(&self.args[word.at..word.at + word.span]);
            }
        }
        match self.family {
            Family::Gcc => self.push_maps(manner, &mut args),
            Family::Clang if self.draft.debug => {
                args.push(self.debug_name(manner));
                if !self.draft.debug_dir {
                    args.push(joined(b"-fdebug-compilation-dir=", self.cwd));
                }
            }
            Family::Clang => {}
        }
        args
    }

    /// The word that gives debug information the source's own name.
    fn debug_name(&self, manner: Manner) -> OsString {
        let name = Maps::of(&self.words).debug(self.source);
        OsString::from_vec(
            [
                b"-fdebug-prefix-map=",
                self.label_in(manner).as_bytes(),
                b"=",
                &name,
            ]
            .concat(),
        )
    }

    /// gcc's words that turn the names there into the names here: last, so that they come before the command's own maps.
    fn push_maps(&self, manner: Manner, args: &mut Vec<OsString>) {
        if manner == Manner::Directives {
            args.push("-nostdinc".into());
        }
        let maps = Maps::of(&self.words);
        args.push(self.debug_name(manner));
        let macros = maps.macros(self.source);
        args.push(OsString::from_vec(
            [
                b"-fmacro-prefix-map=",
                self.label_in(manner).as_bytes(),
                b"=",
                &macros,
            ]
            .concat(),
        ));
        let folder = maps.debug(self.cwd.as_bytes());
        args.push(OsString::from_vec(
            [b"-fdebug-prefix-map=", FOLDER.as_bytes(), b"=", &folder].concat(),
        ));
        args.push("-fno-diagnostics-show-caret".into());
    }
}

/// As [`remote::check`], for a text that came in a manner: a daemon's side of [`Job::remote_args_in`].
///
/// # Errors
/// [`Refusal`] names the word: also a source under another name than the manner's label.
pub fn check_in(
    manner: Manner,
    family: Family,
    cxx: bool,
    args: &[OsString],
) -> Result<DaemonJob, Refusal> {
    let mut job = remote::check(family, cxx, args)?;
    if manner == Manner::Plain {
        return Ok(job);
    }
    let label = &args[job.source];
    let base = label.as_bytes().strip_prefix(LABEL).unwrap_or_default();
    let is_name = !base.is_empty() && !base.contains(&b'/') && base != b"." && base != b"..";
    if !is_name || !job.unprocessed.wants_preprocessor() || job.unprocessed.is_assembler() {
        return Err(Refusal::Language {
            word: label.clone(),
        });
    }
    job.language = job.unprocessed;
    Ok(job)
}

impl DaemonJob {
    /// The words to run the compiler with in `folder`, where the text is stored under the label (the source's word, relative to the folder):
    /// `args` (the same that [`check_in`] read) with the daemon's own output, and with `folder` for [`FOLDER`].
    pub fn args_in(
        &self,
        manner: Manner,
        args: &[OsString],
        folder: &OsStr,
        output: &OsStr,
    ) -> Vec<OsString> {
        let mut out: Vec<OsString> = Vec::with_capacity(args.len() + 4);
        for word in words::read(self.family, args) {
            if goes_in(self.family, &word) {
                out.extend(
                    args[word.at..word.at + word.span]
                        .iter()
                        .map(|arg| placed(arg, folder)),
                );
            }
        }
        if manner == Manner::Directives {
            out.push("-nostdinc".into());
        }
        out.extend([
            "-x".into(),
            self.language.x_name().into(),
            args[self.source].clone(),
        ]);
        out.push(if self.product == Product::Assembly {
            "-S".into()
        } else {
            "-c".into()
        });
        out.extend(["-o".into(), output.to_owned()]);
        out
    }
}

/// The map of the folder names the true one.
fn placed(arg: &OsStr, folder: &OsStr) -> OsString {
    const OPTION: &[u8] = b"-fdebug-prefix-map=";
    let mapped = arg
        .as_bytes()
        .strip_prefix(OPTION)
        .and_then(|map| map.strip_prefix(FOLDER.as_bytes()));
    match mapped {
        Some(rest) if rest.starts_with(b"=") => {
            OsString::from_vec([OPTION, folder.as_bytes(), rest].concat())
        }
        _ => arg.to_owned(),
    }
}

fn joined(option: &[u8], value: &OsStr) -> OsString {
    OsString::from_vec([option, value.as_bytes()].concat())
}

/// Does a word go along when the text is compiled as ordinary source? As in plain mode, with the macros of the command line.
fn goes_in(family: Family, word: &Word<'_>) -> bool {
    match word.meaning {
        Meaning::Option(opt) if opt.effect == Effect::Cpp => {
            is_macro(opt.name) || family == Family::Gcc && opt.name == CHARSET
        }
        Meaning::Option(opt) if opt.effect == Effect::Link => false,
        _ => remote::goes(family, Language::C, word),
    }
}

/// Other charsets than UTF-8 are done with once the text is out.
const CHARSET: &str = "-finput-charset=";

fn is_macro(name: &str) -> bool {
    matches!(
        name,
        "-D" | "-U"
            | "--define-macro"
            | "--define-macro="
            | "--undefine-macro"
            | "--undefine-macro="
            | "-undef"
            | "-trigraphs"
            | "--trigraphs"
    )
}

/// `-include` and `-imacros`.
fn includes_by_option(word: &Word<'_>) -> bool {
    matches!(word.meaning, Meaning::Option(opt) if matches!(opt.name, "-include" | "-imacros" | "--include" | "--include=" | "--imacros" | "--imacros="))
}

/// Does a word ask for something that only plain preprocessing gives?
fn wants_plain(family: Family, word: &Word<'_>) -> bool {
    let Meaning::Option(opt) = word.meaning else {
        return false;
    };
    match opt.effect {
        // What is passed to the preprocessor may be macros that the compiler there would lack.
        Effect::Pass(Tool::Preprocessor) => !word.value.starts_with(b"-M"),
        Effect::Cpp if family == Family::Clang => {
            matches!(opt.name, "-imacros" | "--imacros" | "--imacros=")
        }
        Effect::Cpp if opt.name == CHARSET => !word.value.eq_ignore_ascii_case(b"UTF-8"),
        // What else shapes preprocessing does not go twice.
        Effect::Cpp => {
            !is_macro(opt.name)
                && !includes_by_option(word)
                && !matches!(opt.name, "-H" | "--trace-includes")
        }
        Effect::Neither => {
            opt.name.contains("directives-only") || opt.name.contains("rewrite-includes")
        }
        Effect::Preprocessed => true,
        // gcc's address sanitizer writes the name there into the object.
        Effect::Columns => {
            family == Family::Gcc && word.value.windows(7).any(|kind| kind == b"address")
        }
        Effect::Stop(Stage::Check) => true,
        Effect::Everywhere if family == Family::Gcc => {
            let pedantic = opt.name.contains("pedantic")
                || opt.name == "-W" && matches!(word.value, b"pedantic" | b"unused-macros");
            // gcc drops these pragmas in silence when it keeps directives.
            pedantic || matches!(opt.name, "-fopenmp" | "-fopenacc")
        }
        Effect::Guess => family == Family::Clang && word.value == b"debug-macro",
        _ => false,
    }
}

/// The command's own prefix maps, in their order.
struct Maps<'a> {
    maps: Vec<(&'static str, &'a [u8], &'a [u8])>,
}

impl<'a> Maps<'a> {
    fn of(words: &[Word<'a>]) -> Maps<'a> {
        let map = |word: &Word<'a>| {
            let Meaning::Option(opt) = word.meaning else {
                return None;
            };
            let option = [
                "-fdebug-prefix-map=",
                "-ffile-prefix-map=",
                "-fmacro-prefix-map=",
            ]
            .into_iter()
            .find(|name| *name == opt.name)?;
            let equals = word.value.iter().rposition(|&b| b == b'=')?;
            Some((option, &word.value[..equals], &word.value[equals + 1..]))
        };
        Maps {
            maps: words.iter().filter_map(map).collect(),
        }
    }

    fn debug(&self, name: &[u8]) -> Vec<u8> {
        self.mapped("-fdebug-prefix-map=", name)
    }

    fn macros(&self, name: &[u8]) -> Vec<u8> {
        self.mapped("-fmacro-prefix-map=", name)
    }

    /// The last map that fits wins.
    fn mapped(&self, option: &str, name: &[u8]) -> Vec<u8> {
        let fits = |(kind, old, _): &&(&str, &[u8], &[u8])| {
            (*kind == option || *kind == "-ffile-prefix-map=") && name.starts_with(old)
        };
        match self.maps.iter().rev().find(fits) {
            Some((_, old, new)) => [new, &name[old.len()..]].concat(),
            None => name.to_vec(),
        }
    }
}
