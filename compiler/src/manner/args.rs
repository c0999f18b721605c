//! The words for each side in each manner. What a daemon of ours makes of them is in [`crate::launch`].

use super::Manner;
use crate::remote;
use crate::table::Effect;
use crate::words::{Meaning, Word};
use crate::{Family, Job, Language, Product, names};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The folder below the job's own that holds the text: no source of a project is named so.
const LABEL: &[u8] = b"_d/";

/// clang counts how often each part of the source runs.
const COUNTS: &str = "-fprofile-instr-generate";

const BYTE_COLUMNS: &str = "-fdiagnostics-column-unit=byte";

/// Other charsets than UTF-8 are done with once the text is out.
pub(super) const CHARSET: &str = "-finput-charset=";

impl Job<'_> {
    /// The words after the compiler's name that make the local compiler write the text for `manner` to standard output, and the dependency
    /// file where a local compile leaves it, or to `depfile`; `None` when the source goes as it is.
    pub fn preprocess_args_for(
        &self,
        manner: Manner,
        depfile: Option<&OsStr>,
    ) -> Option<Vec<OsString>> {
        let mut args = match depfile {
            Some(depfile) => self.preprocess_args_with(depfile),
            None => self.preprocess_args(),
        }?;
        match manner {
            Manner::Expanded => {}
            Manner::Directives | Manner::Whole => args.insert(1, "-fdirectives-only".into()),
            Manner::Rewritten => args.insert(1, "-frewrite-includes".into()),
        }
        Some(args)
    }

    /// The words after the compiler's name for a daemon that is given the text. But for [`Manner::Expanded`] they are for our own job, in
    /// which the source's word, a relative path, says where below the job's folder the text is stored, and in which the daemon itself adds
    /// that this folder is called [`Job::debug_dir`].
    pub fn remote_args_for(&self, manner: Manner) -> Vec<OsString> {
        if manner == Manner::Expanded {
            return self.remote_args();
        }
        let preprocessed = self.is_taken_for_preprocessed(manner);
        let mut args: Vec<OsString> = Vec::with_capacity(self.args.len() + 10);
        args.extend(["-x".into(), self.language.x_name().into()]);
        args.push(self.label());
        args.push(stop(self.product).into());
        args.extend(["-o".into(), self.output().to_owned()]);
        for word in &self.words {
            // Such a text defines them itself.
            let defined = preprocessed && defines(word);
            if goes(self.family, word) && !defined {
                args.extend_from_slice(&self.args[word.at..word.at + word.span]);
            }
        }
        // Last, so that they come before the command's own maps.
        match self.family {
            // Its markers name all files as they are named here.
            Family::Gcc if preprocessed => {
                args.extend(["-fpreprocessed", "-fdirectives-only"].map(OsString::from));
            }
            Family::Gcc => {
                if manner == Manner::Directives {
                    args.push("-nostdinc".into());
                }
                let maps = Maps::of(&self.words);
                args.push(self.map(DEBUG_MAP, &maps.debug(self.source)));
                args.push(self.map(MACRO_MAP, &maps.macros(self.source)));
                args.push("-fno-diagnostics-show-caret".into());
                if self.words.iter().any(is_pedantic) {
                    // gcc is pedantic about line markers, too; any other message has the job compiled here.
                    args.push("-Wno-error".into());
                }
                if self.may_ask_for_bytes() {
                    args.push(BYTE_COLUMNS.into());
                }
            }
            Family::Clang => {
                if self.draft.debug {
                    let maps = Maps::of(&self.words);
                    let named = without_dot_slash(self.source);
                    args.push(self.map(DEBUG_MAP, &maps.debug(named)));
                    if !self.draft.debug_dir {
                        let option = b"-fdebug-compilation-dir=";
                        args.push(OsString::from_vec(
                            [&option[..], self.cwd.as_bytes()].concat(),
                        ));
                    }
                }
            }
        }
        args
    }

    /// May gcc be asked for columns in bytes, which it counts without a look at files of that machine? Debug information records the option.
    pub(crate) fn may_ask_for_bytes(&self) -> bool {
        let recorded = |word: &Word<'_>| matches!(word.meaning, Meaning::Option(opt) if opt.name == "-frecord-gcc-switches");
        let records = self.draft.debug || self.draft.lto || self.words.iter().any(recorded);
        self.family == Family::Gcc && !records
    }

    /// What debug information of a local compile calls the command's folder: the folder itself, unless the command maps it to another name.
    pub fn debug_dir(&self) -> OsString {
        OsString::from_vec(Maps::of(&self.words).debug(self.cwd.as_bytes()))
    }

    /// The name under which the text is stored, relative to the job's folder: one that no source of a project has, so that a compiler that
    /// looks for the source does not take the text for it. What writes this name into the object gets the true one.
    pub(crate) fn label(&self) -> OsString {
        if self.writes_label() && is_plain(self.source) {
            return self.source().to_owned();
        }
        OsString::from_vec([LABEL, names::base(self.source)].concat())
    }

    /// Address sanitizers do, all that holds clang's bitcode, and its profiles.
    pub(super) fn writes_label(&self) -> bool {
        let writes = |word: &Word<'_>| {
            let names = ["-fembed-bitcode", "-fprofile", "-funique-internal"];
            let named = matches!(word.meaning, Meaning::Option(opt) if opt.name != COUNTS
                && names.iter().any(|name| opt.name.starts_with(name)));
            let sanitizes = word.meaning.has(Effect::Columns)
                && word.value.windows(7).any(|kind| kind == b"address");
            sanitizes || self.family == Family::Clang && named
        };
        !self.expects_elf() || self.words.iter().any(writes)
    }

    /// Does the object hold the last part of the name of the file that the compiler reads, whatever line markers say? clang's names of
    /// counters do.
    pub(super) fn writes_base_name(&self) -> bool {
        let counts =
            |word: &Word<'_>| matches!(word.meaning, Meaning::Option(opt) if opt.name == COUNTS);
        self.family == Family::Clang && self.words.iter().any(counts)
    }

    /// Does the object name the source in a way that only the text's own name makes right?
    pub(super) fn needs_its_name(&self) -> bool {
        self.writes_label() && !is_plain(self.source)
    }

    fn map(&self, option: &str, name: &[u8]) -> OsString {
        OsString::from_vec([option.as_bytes(), self.label().as_bytes(), b"=", name].concat())
    }
}

fn stop(product: Product) -> &'static str {
    match product {
        Product::Object => "-c",
        Product::Assembly => "-S",
    }
}

/// Does a word go along when the text is compiled as ordinary source? As with expanded text, and the macros of the command line.
fn goes(family: Family, word: &Word<'_>) -> bool {
    match word.meaning {
        Meaning::Option(opt) if is_map(word) || opt.name == "-nostdinc" => true,
        // Means nothing to who compiles, but debug information records it, and clang remarks on it.
        Meaning::Option(opt) if opt.effect == Effect::Neither => true,
        Meaning::Option(opt) if opt.effect == Effect::Cpp => {
            is_macro(opt.name) || family == Family::Gcc && opt.name == CHARSET
        }
        _ => remote::goes(family, Language::C, word),
    }
}

/// A source's name as clang's debug information has it.
fn without_dot_slash(mut name: &[u8]) -> &[u8] {
    while let Some(rest @ [_, ..]) = name.strip_prefix(b"./") {
        let slashes = rest.iter().take_while(|&&b| b == b'/').count();
        name = &rest[slashes..];
    }
    name
}

/// Is a name a relative path that stays below where it starts?
fn is_plain(name: &[u8]) -> bool {
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    !name.starts_with(b"-") && name.split(|&b| b == b'/').all(plain)
}

fn is_pedantic(word: &Word<'_>) -> bool {
    matches!(word.meaning, Meaning::Option(opt) if matches!(opt.name, "-pedantic" | "--pedantic")
        || opt.name == "-W" && word.value == b"pedantic")
}

pub(crate) fn is_macro(name: &str) -> bool {
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

fn defines(word: &Word<'_>) -> bool {
    matches!(word.meaning, Meaning::Option(opt) if is_macro(opt.name) && !opt.name.ends_with("trigraphs"))
}

/// `-include` and `-imacros`: their text is in the text.
pub(super) fn is_include(name: &str) -> bool {
    matches!(
        name,
        "-include" | "-imacros" | "--include" | "--include=" | "--imacros" | "--imacros="
    )
}

const DEBUG_MAP: &str = "-fdebug-prefix-map=";
const MACRO_MAP: &str = "-fmacro-prefix-map=";
const FILE_MAP: &str = "-ffile-prefix-map=";

pub(super) fn is_map(word: &Word<'_>) -> bool {
    matches!(word.meaning, Meaning::Option(opt) if matches!(opt.name, DEBUG_MAP | MACRO_MAP | FILE_MAP))
}

/// The command's own prefix maps, in their order: which, from, to.
struct Maps<'a>(Vec<(&'static str, &'a [u8], &'a [u8])>);

impl<'a> Maps<'a> {
    fn of(words: &[Word<'a>]) -> Maps<'a> {
        let map = |word: &Word<'a>| {
            let Meaning::Option(opt) = word.meaning else {
                return None;
            };
            let equals = word.value.iter().rposition(|&b| b == b'=')?;
            is_map(word).then(|| (opt.name, &word.value[..equals], &word.value[equals + 1..]))
        };
        Maps(words.iter().filter_map(map).collect())
    }

    fn debug(&self, name: &[u8]) -> Vec<u8> {
        self.mapped(DEBUG_MAP, name)
    }

    fn macros(&self, name: &[u8]) -> Vec<u8> {
        self.mapped(MACRO_MAP, name)
    }

    /// The last map that fits wins.
    fn mapped(&self, option: &str, name: &[u8]) -> Vec<u8> {
        let fits = |(kind, old, _): &&(&str, &[u8], &[u8])| {
            (*kind == option || *kind == FILE_MAP) && name.starts_with(old)
        };
        match self.0.iter().rev().find(fits) {
            Some((_, old, new)) => [new, &name[old.len()..]].concat(),
            None => name.to_vec(),
        }
    }
}
