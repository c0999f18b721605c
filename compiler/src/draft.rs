//! What a command's words ask for, gathered in one walk: the middle step between [`crate::words`] and a verdict.

use crate::passed::{self, Passed};
use crate::table::{Dep, Effect, Stage, Tool, guess_is_harmless};
use crate::words::{Meaning, Word};
use crate::{Family, Language, Reason, names};

/// What the words ask for. Borrows the command's arguments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft<'a> {
    pub(crate) stage: Option<Stage>,
    /// It only asks something (`--version`), whatever else it says.
    pub(crate) question: Option<usize>,
    /// The first word that ties the command to this machine.
    pub(crate) here: Option<(Reason, usize)>,
    /// The first source: index of its word, and its language.
    pub(crate) source: Option<(usize, Language)>,
    pub(crate) second_source: Option<usize>,
    /// The first file that is no source.
    pub(crate) linker_input: Option<usize>,
    pub(crate) output: Option<usize>,
    pub(crate) second_output: Option<usize>,
    /// The first word that only the rule for unknown options let pass.
    pub(crate) guessed: Option<usize>,
    pub(crate) deps: Deps<'a>,
    pub(crate) debug: bool,
    /// `-g3`: macros go into the debug information.
    pub(crate) debug_macros: bool,
    /// DWARF of a version before 5, which holds no checksums of files.
    pub(crate) dwarf_4: bool,
    pub(crate) debug_dir: bool,
    pub(crate) no_ident: bool,
    pub(crate) lto: bool,
    pub(crate) bitcode: bool,
    pub(crate) emits_llvm: bool,
    pub(crate) fallthrough: bool,
    pub(crate) annotates: bool,
    pub(crate) columns: bool,
    pub(crate) aux: bool,
    pub(crate) records: bool,
    pub(crate) preprocessed: bool,
    /// gcc's messages are one list in JSON.
    pub(crate) json: bool,
}

/// What the words say of the dependency file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deps<'a> {
    /// `-MD` or `-MMD` of the driver.
    pub(crate) asked: bool,
    /// The last `-MF` of the driver.
    pub(crate) file: Option<&'a [u8]>,
    /// Did the driver get `-MT` or `-MQ`?
    pub(crate) target: bool,
    /// Did both `-MD` and `-MMD` occur?
    pub(crate) both: bool,
    /// Which of them came last.
    last: Option<Dep>,
    /// The file that words passed to the preprocessor itself name (`-Wp,-MD,FILE`).
    pub(crate) passed_file: Option<&'a [u8]>,
}

impl<'a> Draft<'a> {
    pub(crate) fn of(family: Family, cxx: bool, words: &[Word<'a>]) -> Draft<'a> {
        let mut draft = Draft::default();
        let mut language = Chosen::BySuffix;
        let mut passed = Passed::default();
        let mut cxx = cxx;
        for (index, word) in words.iter().enumerate() {
            match word.meaning {
                Meaning::Operand => draft.file(family, cxx, &language, index, word.value),
                Meaning::Unknown => draft.stay(Reason::UnknownOption, index),
                Meaning::Lacks => draft.stay(Reason::Malformed, index),
                Meaning::Option(opt) => match opt.effect {
                    Effect::Language => {
                        language = Chosen::by_name(family, word.value);
                        // Once told a language, even `none`, g++ takes `.c` for C.
                        cxx &= family == Family::Clang;
                    }
                    Effect::Pass(tool) => passed.add(tool, word, index),
                    effect => draft.option(family, effect, word, index),
                },
            }
        }
        if !passed.is_empty() {
            passed::weigh(family, &passed, &mut draft);
        }
        draft
    }

    /// Notes a reason to stay, unless an earlier word gave one.
    pub(crate) fn stay(&mut self, reason: Reason, index: usize) {
        self.here.get_or_insert((reason, index));
    }

    fn option(&mut self, family: Family, effect: Effect, word: &Word<'a>, index: usize) {
        match effect {
            Effect::Stop(stage) => self.stage = self.stage.max(Some(stage)),
            Effect::Here(Reason::Question) => {
                self.question.get_or_insert(index);
            }
            Effect::Here(reason) => self.stay(reason, index),
            Effect::Output if self.output.is_none() => self.output = Some(index),
            Effect::Output => {
                self.second_output.get_or_insert(index);
            }
            Effect::Deps(dep) => self.deps.note(dep, word.value),
            Effect::Cpu if word.value == b"native" => self.stay(Reason::NativeCpu, index),
            Effect::Debug => self.debug(word),
            Effect::DebugDir => self.debug_dir = true,
            // `-Qn` holds against a later `-fident`.
            Effect::Ident(named) => self.no_ident |= !named,
            Effect::Lto(kept) => self.lto = kept,
            Effect::Bitcode => {
                self.bitcode = true;
                self.emits_llvm |= is_emit_llvm(word);
            }
            Effect::NoBitcode => self.bitcode = self.emits_llvm,
            Effect::Fallthrough => self.fallthrough = true,
            Effect::Annotates => self.annotates = true,
            Effect::Columns => self.columns |= writes_columns(word.value),
            Effect::Aux => self.aux = true,
            Effect::Records => self.records = true,
            Effect::Preprocessed => self.preprocessed = true,
            Effect::Letters => self.letters(word.value, index),
            Effect::Format if writes_format(family, word.value) => {
                self.stay(Reason::WritesReport, index)
            }
            Effect::Format => self.json = is_json(word.value),
            Effect::Sections if word.value.starts_with(b"list=") => {
                self.stay(Reason::ReadsFile, index)
            }
            Effect::FileAfterEquals(reason) if word.value.contains(&b'=') => {
                self.stay(reason, index)
            }
            Effect::Guess => self.guess(word, index),
            _ => {}
        }
    }

    /// gcc's `-d` with letters: some only annotate assembler text, some only change what `-E` prints; the rest dump.
    fn letters(&mut self, letters: &[u8], index: usize) {
        if letters.is_empty() || !letters.iter().all(|letter| b"AHPpx".contains(letter)) {
            self.stay(Reason::Dumps, index);
        }
    }

    fn debug(&mut self, word: &Word<'_>) {
        self.debug = word.value != b"0";
        if matches!(word.meaning, Meaning::Option(opt) if opt.name == "-gdwarf-") {
            self.dwarf_4 = matches!(word.value, b"2" | b"3" | b"4");
        } else if matches!(word.meaning, Meaning::Option(opt) if opt.name == "-gdwarf") {
            self.dwarf_4 = false;
        }
        let level = matches!(word.meaning, Meaning::Option(opt) if matches!(opt.name, "-g" | "-ggdb" | "--debug="));
        if level && !word.value.is_empty() {
            self.debug_macros = word.value == b"3";
        }
    }

    fn guess(&mut self, word: &Word<'a>, index: usize) {
        // The value lacks the two letters that the row names; none of the tell-tales begins with them.
        if guess_is_harmless(word.value) {
            self.guessed.get_or_insert(index);
        } else {
            self.stay(Reason::UnknownOption, index);
        }
    }

    fn file(&mut self, family: Family, cxx: bool, chosen: &Chosen, index: usize, name: &[u8]) {
        if name == b"-" {
            return self.stay(Reason::SourceFromStdin, index);
        }
        if name.starts_with(b"@") {
            return self.stay(Reason::ResponseFile, index);
        }
        let kind = match chosen {
            Chosen::BySuffix => Kind::of(family, cxx, name),
            Chosen::Is(language) => Kind::Source(*language),
            Chosen::Stays(reason) => Kind::Stays(*reason),
        };
        match kind {
            Kind::Source(language) if self.source.is_none() => {
                self.source = Some((index, language))
            }
            Kind::Source(_) => {
                self.second_source.get_or_insert(index);
            }
            Kind::Stays(reason) => self.stay(reason, index),
            Kind::Linked => {
                self.linker_input.get_or_insert(index);
            }
        }
    }
}

fn is_emit_llvm(word: &Word<'_>) -> bool {
    matches!(word.meaning, Meaning::Option(opt) if opt.name == "-emit-llvm")
}

/// Are messages in this format one list on standard error, which is empty when there is nothing to say?
fn is_json(format: &[u8]) -> bool {
    matches!(format, b"json" | b"json-stderr")
}

/// Do messages in this format go to a file, or come in a piece that is not retold?
fn writes_format(family: Family, format: &[u8]) -> bool {
    match family {
        Family::Gcc => format != b"text" && !is_json(format),
        Family::Clang => format.starts_with(b"sarif"),
    }
}

/// Do these sanitizers tell where in a line something went wrong? The others keep no columns.
fn writes_columns(kinds: &[u8]) -> bool {
    const NONE: &[&[u8]] = &[
        b"address",
        b"kernel-address",
        b"hwaddress",
        b"thread",
        b"leak",
        b"memory",
        b"fuzzer",
        b"fuzzer-no-link",
        b"safe-stack",
        b"shadow-call-stack",
        b"cfi",
        b"dataflow",
    ];
    kinds
        .split(|&b| b == b',')
        .any(|kind| !NONE.contains(&kind))
}

impl<'a> Deps<'a> {
    pub(crate) fn note(&mut self, dep: Dep, value: &'a [u8]) {
        match dep {
            Dep::All | Dep::User => {
                self.asked = true;
                self.both |= self.last.is_some_and(|last| last != dep);
                self.last = Some(dep);
            }
            Dep::File => self.file = Some(value),
            Dep::Target => self.target = true,
            Dep::Shape | Dep::Missing => {}
        }
    }
}

/// What `-x` said last.
enum Chosen {
    BySuffix,
    Is(Language),
    Stays(Reason),
}

impl Chosen {
    fn by_name(family: Family, name: &[u8]) -> Chosen {
        if name == b"none" {
            return Chosen::BySuffix;
        }
        match Language::from_x(name) {
            Some(Language::CxxModule) if family == Family::Gcc => Chosen::Stays(Reason::Modules),
            Some(language) => Chosen::Is(language),
            None if name.ends_with(b"-header") || name.ends_with(b"-header-unit") => {
                Chosen::Stays(Reason::HeaderUnit)
            }
            None if name.starts_with(b"c++-module") => Chosen::Stays(Reason::Modules),
            None if name == b"ir" => Chosen::Stays(Reason::IntermediateCode),
            None => Chosen::Stays(Reason::OtherLanguage),
        }
    }
}

/// What a file is to the driver.
enum Kind {
    Source(Language),
    Stays(Reason),
    Linked,
}

impl Kind {
    /// By suffix, as gcc 12 and clang 14–16 were seen to take them.
    fn of(family: Family, cxx: bool, name: &[u8]) -> Kind {
        use Language::*;
        let gcc = family == Family::Gcc;
        let suffix = match names::suffix(name) {
            // gcc takes `.c` for a file to link, and `./.c` for a source.
            Some(suffix) if !(gcc && name.len() == suffix.len() + 1) => suffix,
            _ => return Kind::Linked,
        };
        match suffix {
            b"c" if cxx => Kind::Source(Cxx),
            b"c" => Kind::Source(C),
            b"i" if cxx => Kind::Source(PreprocessedCxx),
            b"i" => Kind::Source(PreprocessedC),
            b"cc" | b"cpp" | b"cxx" | b"cp" | b"c++" | b"C" | b"CPP" => Kind::Source(Cxx),
            b"ii" => Kind::Source(PreprocessedCxx),
            b"m" => Kind::Source(ObjC),
            b"mm" | b"M" => Kind::Source(ObjCxx),
            b"mi" => Kind::Source(PreprocessedObjC),
            b"mii" => Kind::Source(PreprocessedObjCxx),
            b"s" => Kind::Source(Assembler),
            b"S" => Kind::Source(AssemblerWithCpp),
            b"sx" if gcc => Kind::Source(AssemblerWithCpp),
            b"asm" if !gcc => Kind::Source(Assembler),
            b"h" | b"hh" | b"H" | b"hxx" | b"hpp" => Kind::Stays(Reason::HeaderUnit),
            b"hp" | b"HPP" | b"h++" | b"tcc" if gcc => Kind::Stays(Reason::HeaderUnit),
            b"cppm" | b"c++m" | b"ccm" | b"cxxm" if !gcc => Kind::Source(CxxModule),
            b"cppm" | b"c++m" | b"ccm" | b"cxxm" | b"ixx" | b"pcm" | b"iim" => {
                Kind::Stays(Reason::Modules)
            }
            b"bc" | b"ll" => Kind::Stays(Reason::IntermediateCode),
            b"cu" | b"cui" | b"hip" | b"cl" => Kind::Stays(Reason::DeviceCode),
            b"f" | b"for" | b"ftn" | b"F" | b"f90" | b"f95" | b"f03" | b"f08" | b"F90" | b"F95"
            | b"ads" | b"adb" | b"d" | b"go" | b"rs" | b"java" | b"hs" => {
                Kind::Stays(Reason::OtherLanguage)
            }
            _ => Kind::Linked,
        }
    }
}

impl Passed<'_> {
    fn is_empty(&self) -> bool {
        [
            Tool::Preprocessor,
            Tool::Assembler,
            Tool::Frontend,
            Tool::Backend,
        ]
        .iter()
        .all(|tool| self.of(*tool).is_empty())
    }
}
