//! A job: a command that may be sent away, and the words with which each side is called for it.

use crate::draft::Draft;
use crate::table::{Effect, Stage};
use crate::words::{Meaning, Word};
use crate::{Depfile, Family, Language, deps, names, remote};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What a job makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    Object,
    /// Assembler text (`-S`).
    Assembly,
}

/// A command that can be sent away. Exists only as part of [`crate::Verdict::Distribute`]; borrows the words it was read from.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    pub(crate) family: Family,
    pub(crate) cxx: bool,
    pub(crate) args: &'a [OsString],
    pub(crate) cwd: &'a OsStr,
    pub(crate) words: Vec<Word<'a>>,
    pub(crate) draft: Draft<'a>,
    pub(crate) source: &'a [u8],
    pub(crate) language: Language,
    pub(crate) product: Product,
    pub(crate) output: Output<'a>,
    pub(crate) depfile: Option<Depfile>,
}

/// The output's name.
#[derive(Debug, Clone)]
pub(crate) enum Output<'a> {
    Written(&'a OsStr),
    Derived(OsString),
}

impl<'a> Job<'a> {
    pub fn family(&self) -> Family {
        self.family
    }

    /// The words after the compiler's name, as received.
    pub fn args(&self) -> &'a [OsString] {
        self.args
    }

    /// The same words as the option table reads them.
    pub fn words(&self) -> &[Word<'a>] {
        &self.words
    }

    /// The folder that the command runs in.
    pub fn cwd(&self) -> &'a OsStr {
        self.cwd
    }

    /// The source as written.
    pub fn source(&self) -> &'a OsStr {
        OsStr::from_bytes(self.source)
    }

    /// What the source is, before preprocessing.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The output as written, or the name that the compiler derives, in the command's folder.
    pub fn output(&self) -> &OsStr {
        match &self.output {
            Output::Written(name) => name,
            Output::Derived(name) => name,
        }
    }

    pub fn product(&self) -> Product {
        self.product
    }

    /// The dependency file that a local compile would leave; [`Job::preprocess_args`] leaves the same.
    pub fn depfile(&self) -> Option<Depfile> {
        self.depfile.clone()
    }

    /// The words after the compiler's name that make the local compiler write the preprocessed text to standard output and the
    /// depfile where a local compile leaves it, with its target; `None` when the source goes as it is.
    pub fn preprocess_args(&self) -> Option<Vec<OsString>> {
        self.words_for_preprocessor(None)
    }

    /// The headers that the command itself includes (`-include`). clang takes a precompiled one for one of these when it lies beside it.
    pub fn included(&self) -> impl Iterator<Item = &'a OsStr> {
        self.words
            .iter()
            .filter(|word| matches!(word.meaning, Meaning::Option(opt) if opt.name.trim_end_matches('=').trim_start_matches('-') == "include"))
            .map(Word::value_os)
    }

    /// The same, with the depfile's content written to `depfile` instead, whatever way it was asked for.
    pub fn preprocess_args_with(&self, depfile: &OsStr) -> Option<Vec<OsString>> {
        self.words_for_preprocessor(Some(depfile))
    }

    fn words_for_preprocessor(&self, depfile: Option<&OsStr>) -> Option<Vec<OsString>> {
        if !self.language.wants_preprocessor() {
            return None;
        }
        let mut added = Vec::with_capacity(4);
        let written = match &self.output {
            Output::Written(name) => Some(*name),
            Output::Derived(_) => None,
        };
        deps::words_for_preprocessor(&self.draft, written, &mut added);
        if let Some(name) = depfile {
            deps::redirect(self.family, &self.draft, name, &mut added);
        }
        if self.draft.lto {
            // As with `-g`, where it is the default: the text says in which folder it was made.
            added.push("-fworking-directory".into());
        }
        if self.family == Family::Clang {
            // The compiler on the other side says these; here they would be said twice.
            added.extend([
                "-Qunused-arguments".into(),
                "-Wno-unknown-warning-option".into(),
            ]);
        }
        let mut args = Vec::with_capacity(self.args.len() + added.len() + 1);
        args.push("-E".into());
        for word in &self.words {
            if word.meaning.has(Effect::End) {
                args.append(&mut added);
            }
            // A list here and a list there would be two.
            let listed = self.draft.json && word.meaning.has(Effect::Format);
            if goes_to_preprocessor(word) && !listed {
                args.extend_from_slice(&self.args[word.at..word.at + word.span]);
            }
        }
        args.append(&mut added);
        Some(args)
    }

    /// The words after the compiler's name for a daemon that is given the preprocessed text (plain mode). A stock daemon's scanner
    /// takes them: one word that looks like a source, which comes first, then `-c` or `-S` and `-o OUTPUT`.
    pub fn remote_args(&self) -> Vec<OsString> {
        let mut args = Vec::with_capacity(self.args.len() + 7);
        remote::push_language(self.cxx, self.language, &mut args);
        args.push(remote::source_label(self.cxx, self.source, self.language));
        args.push(match self.product {
            Product::Object => "-c".into(),
            Product::Assembly => "-S".into(),
        });
        args.extend(["-o".into(), self.output().to_owned()]);
        for word in &self.words {
            if remote::goes(self.family, self.language, word) {
                remote::push(self.family, word, self.args, &mut args);
            }
        }
        if self.family == Family::Clang
            && self.draft.debug
            && !self.draft.debug_dir
            && !self.language.is_assembler()
        {
            let mut word = b"-fdebug-compilation-dir=".to_vec();
            word.extend_from_slice(self.cwd.as_bytes());
            args.push(OsString::from_vec(word));
        }
        args
    }

    /// Does an object of the local compiler name the compiler in `.comment` (or an assembly in `.ident`)? Not with `-fno-ident` or
    /// `-Qn`, not for assembler sources, not for bitcode.
    pub fn expects_ident(&self) -> bool {
        !self.draft.no_ident && !self.language.is_assembler() && self.expects_elf()
    }

    /// Does the product have an ELF header (or, with `-S`, is it assembler text)? Not bitcode (`-emit-llvm`, clang's `-flto`).
    pub fn expects_elf(&self) -> bool {
        !(self.family == Family::Clang && self.draft.bitcode)
    }

    /// The words that change for which target the code is (`-m32`, `--target=…`, `-target`, …; a separate argument follows its option).
    pub fn target_words(&self) -> Vec<&'a OsStr> {
        let mut found = Vec::new();
        for word in &self.words {
            if word.meaning.has(Effect::Target) || word.meaning.has(Effect::Cpu) {
                found.extend(
                    self.args[word.at..word.at + word.span]
                        .iter()
                        .map(OsString::as_os_str),
                );
            }
        }
        found
    }

    /// Does the product carry columns of the source, which preprocessing with a plain `-E` changes: debug information, code kept
    /// for the linker, or sanitizers that tell where?
    pub fn writes_columns(&self) -> bool {
        self.draft.debug || self.draft.columns || self.draft.lto
    }

    /// Does the product carry debug information?
    pub fn writes_debug(&self) -> bool {
        self.draft.debug
    }

    /// Is the last `-O` one that makes the compiler work longer?
    pub fn is_optimised(&self) -> bool {
        let last = self
            .words
            .iter()
            .rev()
            .find(|word| matches!(word.meaning, Meaning::Option(opt) if opt.name == "-O"));
        last.is_some_and(|word| word.value != b"0")
    }

    /// May warnings differ from local ones, because the compiler there sees no comments and no macros? (gcc's
    /// `-Wimplicit-fallthrough`, clang's rules for macros.) Says nothing of whether anything is printed.
    pub fn warnings_may_differ(&self) -> bool {
        self.language.wants_preprocessor()
            && (self.draft.fallthrough || self.family == Family::Clang)
    }
}

/// Does the preprocessor's command here keep this word?
fn goes_to_preprocessor(word: &Word<'_>) -> bool {
    match word.meaning {
        Meaning::Option(opt) => !matches!(
            opt.effect,
            Effect::Stop(Stage::Object | Stage::Assembly)
                | Effect::Output
                | Effect::Neither
                | Effect::Preprocessed
        ),
        _ => true,
    }
}

/// The name that the compiler derives: the source's last part with the suffix of what is made, in the current folder.
pub(crate) fn derived_output(
    family: Family,
    source: &[u8],
    product: Product,
    emits_llvm: bool,
) -> OsString {
    let suffix: &[u8] = match (product, emits_llvm) {
        (Product::Object, false) => b"o",
        (Product::Object, true) => b"bc",
        (Product::Assembly, false) => b"s",
        (Product::Assembly, true) => b"ll",
    };
    OsString::from_vec(derived(family, source, suffix))
}

/// The source's last part with another suffix. gcc lets a name that begins with its only dot stand, and adds.
pub(crate) fn derived(family: Family, source: &[u8], suffix: &[u8]) -> Vec<u8> {
    let base = names::base(source);
    match base {
        [b'.', rest @ ..] if family == Family::Gcc && !rest.contains(&b'.') => {
            [base, b".", suffix].concat()
        }
        _ => deps::beside(base, suffix),
    }
}
