//! A job: a command that may be sent away, and the words with which each side is called for it.

use crate::{Depfile, Family, Language};
use std::ffi::{OsStr, OsString};

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
    pub(crate) args: &'a [OsString],
    pub(crate) cwd: &'a OsStr,
    pub(crate) language: Language,
}

impl<'a> Job<'a> {
    pub fn family(&self) -> Family {
        self.family
    }

    /// The words after the compiler's name, as received.
    pub fn args(&self) -> &'a [OsString] {
        self.args
    }

    /// The folder that the command runs in.
    pub fn cwd(&self) -> &'a OsStr {
        self.cwd
    }

    /// The source as written.
    pub fn source(&self) -> &'a OsStr {
        OsStr::new("")
    }

    /// What the source is, before preprocessing.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The output as written, or the name that the compiler derives, in the command's folder.
    pub fn output(&self) -> &OsStr {
        OsStr::new("")
    }

    pub fn product(&self) -> Product {
        Product::Object
    }

    /// The dependency file that a local compile would leave; [`Job::preprocess_args`] leaves the same.
    pub fn depfile(&self) -> Option<Depfile> {
        None
    }

    /// The words after the compiler's name that make the local compiler write the preprocessed text to standard output and the
    /// depfile where a local compile leaves it, with its target; `None` when the source goes as it is.
    pub fn preprocess_args(&self) -> Option<Vec<OsString>> {
        None
    }

    /// The words after the compiler's name for a daemon that is given the preprocessed text (plain mode). A stock daemon's scanner
    /// takes them.
    pub fn remote_args(&self) -> Vec<OsString> {
        Vec::new()
    }

    /// Does an object of the local compiler name the compiler in `.comment` (or an assembly in `.ident`)? Not with `-fno-ident` or
    /// `-Qn`, not for assembler sources, not for bitcode.
    pub fn expects_ident(&self) -> bool {
        true
    }

    /// Does the product have an ELF header? Not bitcode (`-emit-llvm`, clang's `-flto`).
    pub fn expects_elf(&self) -> bool {
        true
    }

    /// The words that change for which target the code is (`-m32`, `--target=…`, `-target`, …; a separate argument follows its option).
    pub fn target_words(&self) -> Vec<&'a OsStr> {
        Vec::new()
    }

    /// Does the product carry debug information?
    pub fn writes_debug(&self) -> bool {
        false
    }

    /// May warnings differ from local ones, because the compiler there sees no comments and no macros? (gcc's
    /// `-Wimplicit-fallthrough`, clang's rules for macros.) Says nothing of whether anything is printed.
    pub fn warnings_may_differ(&self) -> bool {
        false
    }
}
