//! What a command says about including: which source, which macros, where headers are looked for, and which words the compiler has to be
//! shown when it is asked what it predefines.
//!
//! Says nothing of whether the command may be sent away ([`crate::classify()`] does): a command that only preprocesses includes as well.

use crate::draft::Draft;
use crate::table::{Dep, Effect, Table, Tool};
use crate::words::{self, Meaning, Word};
use crate::{Family, Language, Reason};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

mod roles;

pub use roles::HARMLESS;
use roles::{Role, frontend_role, is_like_ascii, matters_to_probe, role};

/// What a word does with a macro, in the order of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacroWord<'a> {
    /// `NAME`, `NAME=text`, `NAME(a)=text`
    Define(&'a [u8]),
    Undefine(&'a [u8]),
}

/// A header that the command itself includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced<'a> {
    Include(&'a [u8]),
    /// Only its macros count.
    Macros(&'a [u8]),
}

/// Where in the order of search a folder belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// `-iquote`
    Quote,
    /// `-I`
    Angle,
    /// `-isystem`
    System,
    /// `-idirafter`
    After,
    /// `-iwithprefix`: behind the prefix, and searched like `After`.
    PrefixedAfter,
    /// `-iwithprefixbefore`: behind the prefix, and searched like `Angle`.
    PrefixedAngle,
    /// `-iprefix`: no folder but a prefix for what follows.
    Prefix,
    /// `-iwithsysroot`: below the system root when it is absolute.
    SysrootSystem,
    /// `-F`
    Framework,
    /// `-iframework`
    SystemFramework,
    /// `-I-`: what came before is for quotes only.
    Barrier,
}

/// What a command says about including.
#[derive(Debug, Clone)]
pub struct Inclusion<'a> {
    pub source: &'a OsStr,
    pub language: Language,
    pub macros: Vec<MacroWord<'a>>,
    pub forced: Vec<Forced<'a>>,
    pub search: Vec<(Chain, &'a [u8])>,
    /// `--sysroot`
    pub sysroot: Option<&'a [u8]>,
    /// `-isysroot`, which goes before the other where headers are looked for.
    pub header_sysroot: Option<&'a [u8]>,
    /// Words that may change what is predefined, or the compiler's own folders, in their order.
    pub probe: Vec<&'a OsStr>,
    /// Files that the compiler reads besides: specs, lists, profiles.
    pub read: Vec<&'a [u8]>,
    /// `-ivfsoverlay`
    pub overlays: Vec<&'a [u8]>,
    /// `-fmax-include-depth=`
    pub max_depth: Option<u32>,
}

/// Why a command says nothing that could be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    #[error("it names no source")]
    NoSource,
    #[error("it names more than one source")]
    ManySources,
    #[error("the option {} is not followed", option.display())]
    Option { option: OsString },
}

/// What the words `args` (after the compiler's name, response files expanded) say about including. `cxx`: was it called as a C++ compiler?
///
/// # Errors
/// [`InclusionError`] when there is not exactly one source, or an option changes in unknown ways what is included.
pub fn inclusion(
    family: Family,
    cxx: bool,
    args: &[OsString],
) -> Result<Inclusion<'_>, InclusionError> {
    let all = words::read(family, args);
    let draft = Draft::of(family, cxx, &all);
    let (at, language) = draft.source.ok_or(InclusionError::NoSource)?;
    if draft.second_source.is_some() {
        return Err(InclusionError::ManySources);
    }
    let mut inclusion = Inclusion {
        source: all[at].value_os(),
        language: if draft.preprocessed {
            language.preprocessed()
        } else {
            language
        },
        macros: Vec::new(),
        forced: Vec::new(),
        search: Vec::new(),
        sysroot: None,
        header_sysroot: None,
        probe: Vec::new(),
        read: Vec::new(),
        overlays: Vec::new(),
        max_depth: None,
    };
    let mut passed: Vec<&[u8]> = Vec::new();
    for word in &all {
        let Meaning::Option(opt) = word.meaning else {
            if matches!(word.meaning, Meaning::Unknown) {
                inclusion.probe_with(args, word);
            }
            continue;
        };
        if let Effect::Pass(tool @ (Tool::Preprocessor | Tool::Frontend)) = opt.effect {
            // Of words that one word passes, `-Wp,-MD,FILE` is for the driver where it means the dependency file.
            let split = !word.is_pair() && tool == Tool::Preprocessor;
            if split {
                passed.extend(word.value.split(|&b| b == b','));
            } else {
                passed.push(word.value);
            }
            inclusion.probe_passed(args, word);
            continue;
        }
        inclusion.take(opt.name, word.value)?;
        if matches!(
            opt.effect,
            Effect::Here(Reason::ReadsFile | Reason::Profile)
        ) && !word.value.is_empty()
        {
            inclusion
                .read
                .push(word.value.rsplit(|&b| b == b'=').next().unwrap_or_default());
        }
        let harmless = HARMLESS
            .iter()
            .any(|name| args[word.at].as_bytes() == name.as_bytes());
        if !harmless && matters_to_probe(opt.name, opt.effect) {
            inclusion.probe_with(args, word);
        }
    }
    inclusion.take_passed(family, &passed)?;
    Ok(inclusion)
}

impl<'a> Inclusion<'a> {
    /// Takes in what one option says.
    fn take(&mut self, name: &'static str, value: &'a [u8]) -> Result<(), InclusionError> {
        let Some(role) = role(name) else {
            return Ok(());
        };
        match role {
            Role::Define => self.macros.push(MacroWord::Define(value)),
            Role::Undefine => self.macros.push(MacroWord::Undefine(value)),
            Role::Include => self.forced.push(Forced::Include(value)),
            Role::Macros => self.forced.push(Forced::Macros(value)),
            Role::Search(chain) => self.search.push((chain, value)),
            Role::Sysroot => self.sysroot = Some(value),
            Role::HeaderSysroot => self.header_sysroot = Some(value),
            Role::Overlay => self.overlays.push(value),
            Role::Read => self.read.push(value),
            Role::Depth => self.max_depth = str_number(value),
            Role::Charset if is_like_ascii(value) => {}
            Role::Charset | Role::Unknown => {
                let mut option = OsString::from(name);
                option.push(OsStr::from_bytes(value));
                return Err(InclusionError::Option { option });
            }
        }
        Ok(())
    }

    /// Takes in words that the driver passes to the preprocessor.
    fn take_passed(&mut self, family: Family, passed: &[&'a [u8]]) -> Result<(), InclusionError> {
        let table = Table::of(family);
        let mut rest = passed.iter();
        while let Some(&arg) = rest.next() {
            let next = rest.as_slice().first().copied();
            let word = words::read_one(table, arg, next);
            let Meaning::Option(opt) = word.meaning else {
                continue;
            };
            if matches!(opt.effect, Effect::Deps(Dep::All | Dep::User)) || word.is_pair() {
                rest.next();
            }
            if let Some(name) = frontend_role(arg) {
                self.search.push((name, next.unwrap_or_default()));
                rest.next();
                continue;
            }
            self.take(opt.name, word.value)?;
        }
        Ok(())
    }

    fn probe_with(&mut self, args: &'a [OsString], word: &Word<'a>) {
        let words = &args[word.at..word.at + word.span];
        self.probe.extend(words.iter().map(OsString::as_os_str));
    }

    /// Words for the preprocessor can define and search, which is known without asking.
    fn probe_passed(&mut self, args: &'a [OsString], word: &Word<'a>) {
        const HARMLESS: &[&[u8]] = &[b"-target-feature", b"-target-cpu", b"-fno-", b"-f"];
        let kept = word.is_pair() && HARMLESS.iter().any(|start| word.value.starts_with(start));
        if kept {
            self.probe_with(args, word);
        }
    }
}

fn str_number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &str) -> Vec<OsString> {
        command.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn what_concerns_including_is_taken_apart() {
        let args = words(
            "-O2 -Wall -DA -D B=1 -UC -Ii -iquote q -isystem s -include f.h -imacros m.h -std=c11 -MD -MF x.d \
             -Wp,-MD,x.d -Xpreprocessor -Ij -g -o t.o -c t.c --sysroot=/r -fPIC",
        );
        let inclusion = inclusion(Family::Gcc, false, &args).unwrap();
        assert_eq!(inclusion.source, "t.c");
        assert_eq!(
            inclusion.macros,
            [
                MacroWord::Define(b"A"),
                MacroWord::Define(b"B=1"),
                MacroWord::Undefine(b"C")
            ]
        );
        assert_eq!(
            inclusion.forced,
            [Forced::Include(b"f.h"), Forced::Macros(b"m.h")]
        );
        assert_eq!(
            inclusion.search,
            [
                (Chain::Angle, &b"i"[..]),
                (Chain::Quote, b"q"),
                (Chain::System, b"s"),
                (Chain::Angle, b"j"),
            ]
        );
        assert_eq!(inclusion.sysroot, Some(&b"/r"[..]));
        assert_eq!(
            inclusion.probe,
            ["-O2", "-std=c11", "--sysroot=/r", "-fPIC"]
        );
    }

    #[test]
    fn clang_passes_words_one_by_one() {
        let args = words("-Xclang -include -Xclang p.h --target=aarch64-linux-gnu -c t.c -Ffw");
        let inclusion = inclusion(Family::Clang, false, &args).unwrap();
        assert_eq!(inclusion.forced, [Forced::Include(b"p.h")]);
        assert_eq!(inclusion.search, [(Chain::Framework, &b"fw"[..])]);
        assert_eq!(inclusion.probe, ["--target=aarch64-linux-gnu"]);
    }

    #[test]
    fn one_source_it_has_to_be() {
        let error = |command: &str| inclusion(Family::Gcc, false, &words(command)).unwrap_err();
        assert_eq!(error("-c"), InclusionError::NoSource);
        assert_eq!(error("-c a.c b.c"), InclusionError::ManySources);
        let option = OsString::from("-fmodules-ts");
        assert!(
            matches!(error("-c a.cc -fmodules-ts"), InclusionError::Option { .. }),
            "{option:?}"
        );
    }
}
