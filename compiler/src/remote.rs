//! The words that go to a daemon, and what a daemon makes of words that came. Both sides fold with the same [`goes`].

use crate::draft::Draft;
use crate::names;
use crate::table::{Effect, Stage, Tool};
use crate::words::{self, Meaning, Word};
use crate::{Family, Language, Product, deps};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Does a daemon get this word, when the text is in (or came from) `language`? The source, the output and `-c` or `-S` are not kept but
/// written anew.
pub(crate) fn goes(family: Family, language: Language, word: &Word<'_>) -> bool {
    let Meaning::Option(opt) = word.meaning else {
        return false;
    };
    match opt.effect {
        // Debug information records the option, and this value changes nothing.
        Effect::Cpp if opt.name == "-finput-charset=" => {
            word.value.eq_ignore_ascii_case(b"UTF-8") && family == Family::Gcc
        }
        // clang names options in vain: so it shall there, when it does here.
        Effect::Cpp | Effect::Search | Effect::Deps(_) | Effect::Pass(Tool::Preprocessor) => {
            family == Family::Clang && !language.wants_preprocessor() && !looks_like_file(word)
        }
        // clang remarks on options that are for its preprocessor alone, or knows them not.
        Effect::Link | Effect::Neither => family == Family::Clang && !looks_like_file(word),
        Effect::Preprocessed
        | Effect::Aux
        | Effect::Stop(_)
        | Effect::Output
        | Effect::Language
        | Effect::End
        | Effect::LikeF
        | Effect::LikeM => false,
        Effect::Pass(_)
        | Effect::Target
        | Effect::Cpu
        | Effect::Debug
        | Effect::DebugDir
        | Effect::Ident(_)
        | Effect::Lto(_)
        | Effect::Bitcode
        | Effect::NoBitcode
        | Effect::Fallthrough
        | Effect::Annotates
        | Effect::Columns
        | Effect::Letters
        | Effect::Format
        | Effect::Records
        | Effect::Sections
        | Effect::FileAfterEquals(_)
        | Effect::Here(_)
        | Effect::Guess
        | Effect::Everywhere => true,
    }
}

/// Must a job stay because a word that has to go along would be taken for a source or an output by a stock daemon?
pub(crate) fn cannot_be_sent(family: Family, language: Language, word: &Word<'_>) -> bool {
    word.is_pair()
        && looks_like_file(word)
        // clang remarks on words for the linker, which have to go along.
        && (goes(family, language, word) || family == Family::Clang && word.meaning.has(Effect::Link))
        && !word.meaning.has(Effect::Pass(Tool::Assembler))
}

/// Would a stock daemon take the value, an argument of its own, for a source or an output?
fn looks_like_file(word: &Word<'_>) -> bool {
    let suffix = names::suffix(word.value);
    word.is_pair()
        && !word.value.starts_with(b"-")
        && suffix.is_some_and(|s| s == b"o" || stock_suffix(s).is_some() || s == b"s" || s == b"S")
}

/// Adds a word in the spelling that stock daemons take.
pub(crate) fn push(family: Family, word: &Word<'_>, args: &[OsString], out: &mut Vec<OsString>) {
    let written = &args[word.at..word.at + word.span];
    if word.meaning.has(Effect::Pass(Tool::Assembler))
        && word.is_pair()
        && !word.value.contains(&b',')
    {
        return out.push(OsString::from_vec([b"-Wa,", word.value].concat()));
    }
    // distccd 3.4 refuses exactly `-flto`.
    match (written, family) {
        ([only], Family::Gcc) if only == "-flto" => out.push("--lto".into()),
        ([only], Family::Clang) if only == "-flto" => out.push("-flto=full".into()),
        _ => out.extend_from_slice(written),
    }
}

/// Names the language where the suffix of the preprocessed text does not say it: a C++ driver takes `.i` for C++.
pub(crate) fn push_language(cxx: bool, language: Language, out: &mut Vec<OsString>) {
    if needs_language(cxx, language) {
        out.extend(["-x", Language::PreprocessedC.x_name()].map(OsString::from));
    }
}

fn needs_language(cxx: bool, language: Language) -> bool {
    cxx && language.preprocessed() == Language::PreprocessedC
}

/// The suffix that a stock daemon gives its temporary file for a source of this suffix, or `None` when it takes no such source.
pub(crate) fn stock_suffix(suffix: &[u8]) -> Option<&'static str> {
    Some(match suffix {
        b"c" | b"i" => "i",
        b"cc" | b"cpp" | b"cxx" | b"cp" | b"c++" | b"C" | b"ii" => "ii",
        b"m" | b"mi" => "mi",
        b"mm" | b"mii" | b"M" => "mii",
        _ => return None,
    })
}

/// The source's word for a daemon: as written when its suffix says the language to stock daemons, else with one that does. The name is
/// a label: the text comes with the job.
pub(crate) fn source_label(cxx: bool, source: &[u8], language: Language) -> OsString {
    let wanted = language.preprocessed_suffix();
    let may_stay = language.wants_preprocessor() && !needs_language(cxx, language);
    let says_it = names::suffix(source).is_some_and(|suffix| {
        let named = names::base(source).len() > suffix.len() + 1;
        let fits = suffix == wanted.as_bytes() || may_stay && stock_suffix(suffix) == Some(wanted);
        named && fits
    });
    let named = if says_it {
        source.to_vec()
    } else {
        deps::beside(source, wanted.as_bytes())
    };
    // gcc takes a name that is nothing but a suffix for a file to link.
    let bare = named.len() == wanted.len() + 1;
    let front: &[u8] = if named.starts_with(b"-") || bare {
        b"./"
    } else {
        b""
    };
    OsString::from_vec([front, &named].concat())
}

/// A command that a daemon can run: where in its words the source and the output are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonJob {
    /// Index of the source's word.
    pub source: usize,
    /// Where the output is named.
    pub output: OutputAt,
    /// What the text is (`-x`, else the source's suffix, else the driver): never a form that wants the preprocessor in plain mode.
    pub language: Language,
    pub product: Product,
    /// Index of the first word that no table knows, if there is one: pass it only inside a sandbox.
    pub unknown: Option<usize>,
    /// What the text is if it is ordinary source, as in the manners that keep directives.
    pub(crate) unprocessed: Language,
    pub(crate) family: Family,
    cxx: bool,
}

/// How words name the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputAt {
    /// The word of this index, after `-o`.
    Word(usize),
    /// Within the word of this index, from this byte on (`-oNAME`, `--output=NAME`).
    Joined { word: usize, from: usize },
    /// Not named.
    Absent,
}

impl DaemonJob {
    /// The words to run the compiler with, after its name: `args` (the same that [`check`] read) with the daemon's own source and output, and
    /// without what a preprocessed text no longer needs. The source must carry [`Language::preprocessed_suffix`], since no `-x` is left.
    pub fn args_for(&self, args: &[OsString], source: &OsStr, output: &OsStr) -> Vec<OsString> {
        let mut out = Vec::with_capacity(args.len() + 4);
        for word in words::read(self.family, args) {
            // The source's own suffix as it came no longer counts: what clang would name in vain is left out.
            if goes(self.family, Language::C, &word) {
                out.extend_from_slice(&args[word.at..word.at + word.span]);
            }
        }
        let stop = match self.product {
            Product::Object => "-c",
            Product::Assembly => "-S",
        };
        push_language(self.cxx, self.language, &mut out);
        out.extend([
            stop.into(),
            source.to_owned(),
            "-o".into(),
            output.to_owned(),
        ]);
        out
    }
}

/// Why a daemon does not run a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("option not allowed here: {}", word.display())]
    Forbidden { word: OsString },
    #[error("option lacks its argument: {}", word.display())]
    NoArgument { word: OsString },
    #[error("word holds a NUL byte")]
    Nul,
    #[error("no source named")]
    NoSource,
    #[error("second source named: {}", word.display())]
    SecondSource { word: OsString },
    #[error("source in a language that is not compiled here: {}", word.display())]
    Language { word: OsString },
    #[error("second output named: {}", word.display())]
    SecondOutput { word: OsString },
    #[error("neither -c nor -S given")]
    NoProduct,
    #[error("asks for something other than an object: {}", word.display())]
    NotAJob { word: OsString },
}

/// Which words an honest client could send in plain mode (`args` after the compiler's name), and where in them the names are
/// that the daemon replaces. Refuses what loads code, names other files or asks for other files. This filter gives clear messages; it is not
/// a security boundary.
///
/// # Errors
/// [`Refusal`] names the word.
pub fn check(family: Family, cxx: bool, args: &[OsString]) -> Result<DaemonJob, Refusal> {
    let job = check_words(family, cxx, args)?;
    match job.unprocessed {
        // Its preprocessed form is no module any more.
        Language::CxxModule => Err(Refusal::Language {
            word: args[job.source].clone(),
        }),
        _ => Ok(job),
    }
}

/// As [`check`], for every kind of job.
pub(crate) fn check_words(
    family: Family,
    cxx: bool,
    args: &[OsString],
) -> Result<DaemonJob, Refusal> {
    if args.iter().any(|arg| arg.as_bytes().contains(&0)) {
        return Err(Refusal::Nul);
    }
    let words = words::read(family, args);
    let draft = Draft::of(family, cxx, &words);
    let named = |at: usize| args[words[at].at].clone();
    if let Some(at) = draft.question {
        return Err(Refusal::NotAJob { word: named(at) });
    }
    if let Some((reason, at)) = draft.here {
        let word = named(at);
        return Err(match words[at].meaning {
            Meaning::Lacks => Refusal::NoArgument { word },
            Meaning::Operand => Refusal::Language { word },
            _ if reason.is_question() => Refusal::NotAJob { word },
            _ => Refusal::Forbidden { word },
        });
    }
    let product = match draft.stage {
        Some(Stage::Object) => Product::Object,
        Some(Stage::Assembly) => Product::Assembly,
        Some(Stage::Check | Stage::Preprocess) => {
            let early = |word: &Word<'_>| {
                word.meaning.has(Effect::Stop(Stage::Check))
                    || word.meaning.has(Effect::Stop(Stage::Preprocess))
            };
            let at = words.iter().position(early).unwrap_or_default();
            return Err(Refusal::NotAJob { word: named(at) });
        }
        None => return Err(Refusal::NoProduct),
    };
    let (source, language) = draft.source.ok_or(Refusal::NoSource)?;
    if let Some(at) = draft.second_source {
        return Err(Refusal::SecondSource { word: named(at) });
    }
    if let Some(at) = draft.linker_input {
        return Err(Refusal::Forbidden { word: named(at) });
    }
    if let Some(at) = draft.second_output {
        return Err(Refusal::SecondOutput { word: named(at) });
    }
    let output = draft
        .output
        .map_or(OutputAt::Absent, |at| output_at(&words[at], args));
    if matches!(draft.output.map(|at| words[at].value), Some(b"-" | b"")) {
        return Err(Refusal::Forbidden {
            word: "-o -".into(),
        });
    }
    Ok(DaemonJob {
        source: words[source].at,
        output,
        language: language.preprocessed(),
        unprocessed: language,
        product,
        unknown: draft.guessed.map(|at| words[at].at),
        family,
        cxx,
    })
}

fn output_at(word: &Word<'_>, args: &[OsString]) -> OutputAt {
    if word.is_pair() {
        OutputAt::Word(word.at + 1)
    } else {
        OutputAt::Joined {
            word: word.at,
            from: args[word.at].len() - word.value.len(),
        }
    }
}
