//! May this command be sent away?

use crate::draft::Draft;
use crate::job::{self, Job, Product};
use crate::manner::is_macro;
use crate::table::{Effect, Stage, Tool};
use crate::words::{self, Meaning, Word};
use crate::{Family, Language, Reason, deps, names, remote};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What a pure function must be told about the place that a command runs in.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The folder that the command runs in, absolute, as a compiler finds it: `PWD` when that is the current folder, else `getcwd`.
    pub cwd: &'a OsStr,
    /// `DEPENDENCIES_OUTPUT`.
    pub dependencies_output: Option<&'a OsStr>,
    /// Is `SUNPRO_DEPENDENCIES` set?
    pub sunpro_dependencies: bool,
    /// Is one of [`SEARCH_VARIABLES`] set (even to nothing)?
    pub search_environment: bool,
    /// Do the hosts take assembler (`-c a.s`)? Stock daemons do not.
    pub assembler_goes: bool,
}

/// Variables that change where a compiler finds its own programs, or its options, or that make it write reports.
pub const SEARCH_VARIABLES: &[&str] = &[
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "CCC_OVERRIDE_OPTIONS",
    "CCC_ADD_ARGS",
    "QA_OVERRIDE_GCC3_OPTIONS",
    "GCC_COMPARE_DEBUG",
    "CC_LOG_DIAGNOSTICS",
    "CC_PRINT_HEADERS",
    "CC_PRINT_INTERNAL_STAT",
    "CC_PRINT_OPTIONS",
    "CC_PRINT_PROC_STAT",
    "FORCE_CLANG_DIAGNOSTICS_CRASH",
];

/// Whether a command may be sent away.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and a box would cost an allocation"
)]
#[derive(Debug, Clone)]
pub enum Verdict<'a> {
    Distribute(Job<'a>),
    RunHere(Reason),
}

impl<'a> Surroundings<'a> {
    /// A command in folder `cwd` with none of the variables set.
    pub fn new(cwd: &'a OsStr) -> Self {
        Surroundings {
            cwd,
            dependencies_output: None,
            sunpro_dependencies: false,
            search_environment: false,
            assembler_goes: false,
        }
    }
}

/// Whether the command `args` (after the compiler's name, response files expanded) may be sent away. `cxx`: was the compiler called as a
/// C++ compiler ([`names::Guess::cxx`])?
pub fn classify<'a>(
    family: Family,
    cxx: bool,
    args: &'a [OsString],
    about: &Surroundings<'a>,
) -> Verdict<'a> {
    let words = words::read(family, args);
    let draft = Draft::of(family, cxx, &words);
    match weigh(family, cxx, &words, draft, args, about) {
        Ok(job) => Verdict::Distribute(Job { words, ..job }),
        Err(reason) => Verdict::RunHere(reason),
    }
}

fn weigh<'a>(
    family: Family,
    cxx: bool,
    words: &[Word<'a>],
    draft: Draft<'a>,
    args: &'a [OsString],
    about: &Surroundings<'a>,
) -> Result<Job<'a>, Reason> {
    let product = product(&draft)?;
    let (source_at, language) = draft.source.ok_or(match draft.linker_input {
        Some(_) => Reason::LinkerInput,
        None => Reason::NoSource,
    })?;
    let source = words[source_at].value;
    let language = if draft.preprocessed {
        language.preprocessed()
    } else {
        language
    };
    check_files(family, words, &draft)?;
    check_source(source, language, about)?;
    check_remarks(family, cxx, words, source, language)?;
    let output_word = draft.output;
    let written = output_word.map(|at| words[at].value);
    if written == Some(b"-") {
        return Err(Reason::OutputToStdout);
    }
    if written.is_some_and(|written| plain(written, about.cwd) == plain(source, about.cwd)) {
        // gcc refuses, in its own words; clang puts its object in the source's place.
        return Err(Reason::Malformed);
    }
    if draft.records && words.iter().any(is_recorded_here) {
        return Err(Reason::RecordsCommand);
    }
    let depfile = deps::depfile(family, &draft, language, source, written, about)?;
    if about.search_environment {
        return Err(Reason::SearchEnvironment);
    }
    if words
        .iter()
        .any(|word| remote::cannot_be_sent(family, language, word))
    {
        return Err(Reason::UnknownOption);
    }
    let output = match written {
        Some(name) => job::Output::Written(OsStr::from_bytes(name)),
        None => job::Output::Derived(job::derived_output(
            family,
            source,
            product,
            draft.emits_llvm,
        )),
    };
    Ok(Job {
        family,
        cxx,
        args,
        cwd: about.cwd,
        words: Vec::new(),
        draft,
        source,
        language,
        product,
        output,
        depfile,
    })
}

/// A path without a `./` or the current folder in front: enough to see that two words spell one file.
fn plain<'a>(path: &'a [u8], cwd: &OsStr) -> &'a [u8] {
    let inside = path
        .strip_prefix(cwd.as_bytes())
        .and_then(|rest| rest.strip_prefix(b"/"));
    let mut rest = inside.unwrap_or(path);
    while let Some(shorter) = rest.strip_prefix(b"./") {
        rest = shorter;
    }
    rest
}

/// What it makes, when it is a compile at all and nothing ties it to this machine.
fn product(draft: &Draft<'_>) -> Result<Product, Reason> {
    if draft.question.is_some() {
        return Err(Reason::Question);
    }
    if let Some((reason @ (Reason::DriverMode | Reason::Malformed), _)) = draft.here {
        return Err(reason);
    }
    let product = match draft.stage {
        Some(Stage::Preprocess) => return Err(Reason::Preprocesses),
        Some(Stage::Check) => return Err(Reason::ChecksOnly),
        Some(Stage::Assembly) if draft.annotates => return Err(Reason::AnnotatedAssembly),
        Some(Stage::Assembly) => Product::Assembly,
        Some(Stage::Object) => Product::Object,
        None if draft.source.is_none() && draft.linker_input.is_none() => {
            return Err(nothing_to_do(draft));
        }
        None => return Err(stops_without_linking(draft).unwrap_or(Reason::Links)),
    };
    match draft.here {
        Some((reason, _)) => Err(reason),
        None => Ok(product),
    }
}

/// No `-c`, no file: `gcc -v` and the like answer, others complain.
fn nothing_to_do(draft: &Draft<'_>) -> Reason {
    match draft.here {
        None => Reason::NoSource,
        Some((Reason::Verbose | Reason::Times | Reason::Dumps | Reason::Specs, _)) => {
            Reason::Question
        }
        Some((reason, _)) => reason,
    }
}

/// Options that end a compile early without being a stage in the table.
fn stops_without_linking(draft: &Draft<'_>) -> Option<Reason> {
    match draft.here {
        Some((
            reason @ (Reason::HeaderUnit
            | Reason::Modules
            | Reason::ChecksOnly
            | Reason::SourceFromStdin),
            _,
        )) => Some(reason),
        _ => None,
    }
}

fn check_files(family: Family, words: &[Word<'_>], draft: &Draft<'_>) -> Result<(), Reason> {
    if draft.second_source.is_some() {
        return Err(Reason::SeveralSources);
    }
    if draft.second_output.is_some() {
        return Err(Reason::SeveralOutputs);
    }
    // A library that is named in vain costs a warning, which the preprocessor's run gives; an object beside a source looks like a mistake.
    let in_vain = |word: &Word<'_>| {
        family == Family::Gcc
            && matches!(names::suffix(word.value), Some(b"a" | b"so"))
            && word.meaning.is_operand()
    };
    let source = draft.source.map(|(at, _)| at);
    let stray = |(at, word): (usize, &Word<'_>)| {
        word.meaning.is_operand() && Some(at) != source && !in_vain(word)
    };
    match draft.linker_input.is_some() && words.iter().enumerate().any(stray) {
        true => Err(Reason::LinkerInput),
        false => Ok(()),
    }
}

fn check_source(source: &[u8], language: Language, about: &Surroundings<'_>) -> Result<(), Reason> {
    if language.is_assembler() && !about.assembler_goes {
        return Err(Reason::AssemblerSource);
    }
    let base = names::base(source);
    let cwd = about.cwd.as_bytes();
    let contains = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|w| w == part);
    let tried = contains(base, b"conftest.")
        || PROBES.contains(&base)
        || source == b"/dev/null"
        || contains(cwd, b"/CMakeScratch/TryCompile-")
        || contains(cwd, b"/CMakeTmp");
    if tried { Err(Reason::Probe) } else { Ok(()) }
}

/// Is this an option of the preprocessor's that gcc records, and that would not go out? It does not record macros and folders.
fn is_recorded_here(word: &Word<'_>) -> bool {
    const RECORDED: &[&str] = &[
        "--comments",
        "--comments-in-macros",
        "--no-line-commands",
        "--trace-includes",
        "--trigraphs",
        "-C",
        "-CC",
        "-F",
        "-H",
        "-P",
        "-remap",
        "-trigraphs",
    ];
    let of_preprocessor = [Effect::Cpp, Effect::Neither, Effect::Preprocessed]
        .iter()
        .any(|effect| word.meaning.has(*effect));
    matches!(word.meaning, Meaning::Option(opt) if of_preprocessor && opt.name.starts_with("-f") || RECORDED.contains(&opt.name))
}

/// Compilers remark on words that they have no use for, and elsewhere the words are others. clang: what a preprocessed source does not need,
/// C text given to `clang++`, a C++ library named for C; gcc: a language named behind the source.
fn check_remarks(
    family: Family,
    cxx: bool,
    words: &[Word<'_>],
    source: &[u8],
    language: Language,
) -> Result<(), Reason> {
    let remarks = match (family, language.wants_preprocessor()) {
        (Family::Clang, false) => {
            let taken_for_cxx = cxx
                && names::suffix(source) == Some(b"i")
                && !words.iter().any(|word| word.meaning.has(Effect::Language));
            taken_for_cxx || words.iter().any(is_for_the_preprocessor)
        }
        (Family::Clang, true) => {
            let names_library = |word: &Word<'_>| matches!(word.meaning, Meaning::Option(opt) if opt.name.contains("-stdlib"));
            !matches!(language, Language::Cxx | Language::ObjCxx) && words.iter().any(names_library)
        }
        (Family::Gcc, false) => words
            .iter()
            .skip_while(|word| !word.meaning.is_operand() || word.value != source)
            .any(|word| word.meaning.has(Effect::Language)),
        // The preprocessor's run here says it.
        (Family::Gcc, true) => false,
    };
    match remarks {
        true => Err(Reason::UnusedArgument),
        false => Ok(()),
    }
}

/// Has nothing but a preprocessor a use for this word?
fn is_for_the_preprocessor(word: &Word<'_>) -> bool {
    let Meaning::Option(opt) = word.meaning else {
        return false;
    };
    match opt.effect {
        Effect::Search | Effect::Deps(_) | Effect::Pass(Tool::Preprocessor) => true,
        Effect::Cpp => !is_macro(opt.name),
        _ => false,
    }
}

/// Sources that configure scripts write to try a compiler out: CMake's, Meson's, cc-rs's.
const PROBES: &[&[u8]] = &[
    b"CMakeCCompilerABI.c",
    b"CMakeCXXCompilerABI.cpp",
    b"CMakeCCompilerId.c",
    b"CMakeCXXCompilerId.cpp",
    b"testCCompiler.c",
    b"testCXXCompiler.cxx",
    b"testfile.c",
    b"testfile.cpp",
    b"sanitycheckc.c",
    b"sanitycheckcpp.cc",
    b"flag_check.c",
    b"flag_check.cpp",
    b"detect_compiler_family.c",
];

impl Meaning {
    pub(crate) fn is_operand(self) -> bool {
        matches!(self, Meaning::Operand)
    }

    pub(crate) fn has(self, wanted: Effect) -> bool {
        matches!(self, Meaning::Option(opt) if opt.effect == wanted)
    }
}
