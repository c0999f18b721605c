//! The words of a compile whose files travel as they are, so that the compiler there preprocesses them itself (pump).
//!
//! A daemon of ours runs the very words of the command. A stock daemon reads them with a scanner of its own, moves absolute names below a
//! folder, and leaves traces of that folder where names are kept: only what is sure to come out equal goes to it.

use crate::table::{Effect, Tool};
use crate::words::{Meaning, Word};
use crate::{Job, Language, names, remote};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Why a job does not go to a stock daemon with its files, though it might otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unfit {
    /// Its object names folders (`-g`, `-flto`, prefix maps).
    NamesFolders,
    /// It leaves a dependency file, whose lines would break at other places.
    Depfile,
    /// The scanner there takes the source for something else, or does not know an option that names a folder.
    Words,
}

impl Unfit {
    pub fn code(self) -> &'static str {
        match self {
            Unfit::NamesFolders => "names-folders",
            Unfit::Depfile => "dependency-file",
            Unfit::Words => "words-unfit",
        }
    }
}

impl Job<'_> {
    /// Does it name libraries, in vain? What a compiler says of them depends on whether they are there.
    pub fn names_libraries(&self) -> bool {
        let source = self.source;
        let mut operands = self.words.iter().filter(|word| word.meaning.is_operand());
        operands.any(|word| word.value != source)
    }

    /// The words after the compiler's name for a daemon that makes the paths here true: the command's own, and `added`.
    pub fn tree_args(&self, added: &[OsString]) -> Vec<OsString> {
        let end = self.words.iter().find(|word| word.meaning.has(Effect::End));
        let (before, after) = self
            .args
            .split_at(end.map_or(self.args.len(), |word| word.at));
        [before, added, after].concat()
    }

    /// The words after the compiler's name for a stock daemon in protocol 3: the source and the output first, then the rest as written,
    /// and `added`.
    ///
    /// # Errors
    /// Why such a daemon would not make what the compiler here makes.
    pub fn pump_args(&self, added: &[OsString]) -> Result<Vec<OsString>, Unfit> {
        if self.writes_debug() || self.draft.lto || self.words.iter().any(maps_names) {
            return Err(Unfit::NamesFolders);
        }
        if self.depfile.is_some() {
            return Err(Unfit::Depfile);
        }
        let suffix = names::suffix(self.source).unwrap_or_default();
        let cxx_would_differ = self.cxx && self.language == Language::C;
        let plain = remote::stock_suffix(suffix) == Some(self.language.preprocessed_suffix())
            && self.language.wants_preprocessor()
            && !cxx_would_differ
            && !self.source.starts_with(b"-");
        if !plain || self.words.iter().any(unknown_there) {
            return Err(Unfit::Words);
        }
        let mut args = Vec::with_capacity(self.args.len() + added.len() + 4);
        args.extend([self.source().to_owned(), "-c".into(), "-o".into()]);
        args.push(self.output().to_owned());
        if self.product == crate::Product::Assembly {
            args[1] = "-S".into();
        }
        for word in &self.words {
            let anew = matches!(
                word.effect(),
                None | Some(Effect::Stop(_) | Effect::Output | Effect::Language | Effect::End)
            );
            if !anew {
                args.extend_from_slice(&self.args[word.at..word.at + word.span]);
            }
        }
        args.extend_from_slice(added);
        Ok(args)
    }
}

/// Does it change names of files or folders that the object keeps?
fn maps_names(word: &Word<'_>) -> bool {
    let spelled = |name: &str| name.ends_with("-prefix-map=");
    matches!(word.meaning, Meaning::Option(opt) if spelled(opt.name))
        || word.meaning.has(Effect::DebugDir)
}

/// Options whose folders or files a stock daemon does not move below its own, or that its scanner refuses.
fn unknown_there(word: &Word<'_>) -> bool {
    const MOVED: &[&str] = &[
        "-I",
        "-include",
        "-imacros",
        "-idirafter",
        "-iprefix",
        "-isystem",
        "-iquote",
        "-D",
        "-U",
        "-nostdinc",
        "-nostdinc++",
        "-undef",
        "-trigraphs",
        "-C",
        "-CC",
        "-P",
        "-H",
    ];
    let Meaning::Option(opt) = word.meaning else {
        return false;
    };
    match opt.effect {
        Effect::Search | Effect::Cpp => {
            !MOVED.contains(&opt.name)
                || word.value.starts_with(b"=") && opt.effect == Effect::Search
        }
        Effect::Pass(Tool::Preprocessor) | Effect::Deps(_) | Effect::Language | Effect::End => true,
        _ => false,
    }
}

/// The search folders that variables of the environment give to a compile of `language`, as words. `get` reads a variable.
///
/// # Source
/// gcc's and clang's manuals: `CPATH` as `-I` behind all of the command's own, the others as `-isystem` behind them.
pub fn search_words(
    language: Language,
    get: &mut dyn FnMut(&str) -> Option<OsString>,
) -> Vec<OsString> {
    let Some(own) = search_variable(language) else {
        return Vec::new();
    };
    let mut words = Vec::new();
    for (variable, option) in [("CPATH", "-I"), (own, "-isystem")] {
        let Some(value) = get(variable).filter(|value| !value.is_empty()) else {
            continue;
        };
        for folder in value.as_bytes().split(|&byte| byte == b':') {
            let folder = if folder.is_empty() { &b"."[..] } else { folder };
            words.push(option.into());
            words.push(OsString::from_vec(folder.to_vec()));
        }
    }
    words
}

/// Is a variable set that names folders for other languages than this? clang looks at the folders themselves for each.
pub fn is_other_search(language: Language, get: &mut dyn FnMut(&str) -> Option<OsString>) -> bool {
    let own = search_variable(language);
    let languages = [Language::C, Language::Cxx, Language::ObjC, Language::ObjCxx];
    let others = languages.into_iter().filter_map(search_variable);
    others
        .filter(|variable| Some(*variable) != own)
        .any(|variable| get(variable).is_some_and(|value| !value.is_empty()))
}

/// The variable that names folders for a compile of `language`, besides `CPATH`; `None` where nothing is preprocessed.
pub fn search_variable(language: Language) -> Option<&'static str> {
    match language {
        Language::C | Language::AssemblerWithCpp => Some("C_INCLUDE_PATH"),
        Language::Cxx => Some("CPLUS_INCLUDE_PATH"),
        Language::ObjC => Some("OBJC_INCLUDE_PATH"),
        Language::ObjCxx => Some("OBJCPLUS_INCLUDE_PATH"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, Surroundings, Verdict, classify};
    use std::ffi::OsStr;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn text(words: &[OsString]) -> String {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    /// The words for a daemon of ours, and those for stock's or why there are none.
    fn both(family: Family, line: &str) -> (String, Result<String, Unfit>) {
        let args = words(line);
        let about = Surroundings {
            assembler_goes: true,
            ..Surroundings::new(OsStr::new("/w"))
        };
        let Verdict::Distribute(job) = classify(family, false, &args, &about) else {
            panic!("{line} stays here");
        };
        let added = words("-I extra");
        let pump = job.pump_args(&added).map(|args| text(&args));
        (text(&job.tree_args(&added)), pump)
    }

    #[test]
    fn a_tree_job_has_the_words_of_the_command() {
        let line = "-g -Iinc -MD -MF x.d -x c++ -c a.c -ox.o";
        assert_eq!(both(Family::Gcc, line).0, format!("{line} -I extra"));
        let (tree, _) = both(Family::Clang, "-c -o a.o -- a.c");
        assert_eq!(tree, "-c -o a.o -I extra -- a.c");
    }

    #[test]
    fn libraries_named_in_vain_are_seen() {
        for (line, wanted) in [("-c a.c liba.a", true), ("-c ./a.c -o a.o", false)] {
            let args = words(line);
            let about = Surroundings::new(OsStr::new("/w"));
            let Verdict::Distribute(job) = classify(Family::Gcc, false, &args, &about) else {
                panic!("{line} stays here");
            };
            assert_eq!(job.names_libraries(), wanted, "{line}");
        }
    }

    #[test]
    fn a_stock_daemon_gets_source_and_output_first() {
        let (_, pump) = both(
            Family::Gcc,
            "-O2 -I/abs -Iinc -DX -include y.h -S a.cc -fPIC",
        );
        let wanted = "a.cc -S -o a.s -O2 -I/abs -Iinc -DX -include y.h -fPIC -I extra";
        assert_eq!(pump.as_deref(), Ok(wanted));
    }

    #[test]
    fn what_would_differ_does_not_go_to_a_stock_daemon() {
        let unfit = |line: &str| both(Family::Gcc, line).1;
        for line in [
            "-g -c a.c",
            "-flto -c a.c",
            "-ffile-prefix-map=/a=/b -c a.c",
            "-fmacro-prefix-map=/a=/b -c a.c",
        ] {
            assert_eq!(unfit(line), Err(Unfit::NamesFolders), "{line}");
        }
        assert_eq!(unfit("-MD -c a.c"), Err(Unfit::Depfile));
        for line in [
            "-x c++ -c a.c",
            "-c a.S",
            "-c a.i",
            "--sysroot=/x -c a.c",
            "-I=/x -c a.c",
            "-iwithprefixbefore x -c a.c",
            "-Wp,-DX -c a.c",
        ] {
            assert_eq!(unfit(line), Err(Unfit::Words), "{line}");
        }
    }

    #[test]
    fn folders_of_the_environment_become_words() {
        let mut get = |name: &str| match name {
            "CPATH" => Some("/a::b".into()),
            "CPLUS_INCLUDE_PATH" => Some("/c".into()),
            "C_INCLUDE_PATH" => Some(OsString::new()),
            _ => None,
        };
        let cxx = search_words(Language::Cxx, &mut get);
        assert_eq!(text(&cxx), "-I /a -I . -I b -isystem /c");
        let c = search_words(Language::C, &mut get);
        assert_eq!(text(&c), "-I /a -I . -I b");
        assert!(search_words(Language::PreprocessedC, &mut get).is_empty());
    }
}
