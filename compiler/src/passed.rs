//! Words that the driver passes on to another program: the preprocessor (`-Wp,`), the assembler (`-Wa,`), clang's own compiler
//! (`-Xclang`) and its code generator (`-mllvm`).
//!
//! Each of these programs has options of its own, so only what is known to be harmless goes out.

use crate::draft::Draft;
use crate::table::{Dep, Effect, Table, Tool, guess_is_harmless};
use crate::words::{self, Meaning, Word};
use crate::{Family, Reason};

/// The words passed to each program, in their order, with the index of the word that passed them.
#[derive(Debug, Default)]
pub(crate) struct Passed<'a> {
    preprocessor: Vec<(&'a [u8], usize)>,
    assembler: Vec<(&'a [u8], usize)>,
    frontend: Vec<(&'a [u8], usize)>,
    backend: Vec<(&'a [u8], usize)>,
}

impl<'a> Passed<'a> {
    pub(crate) fn add(&mut self, tool: Tool, word: &Word<'a>, index: usize) {
        let split = !word.is_pair()
            && matches!(tool, Tool::Preprocessor | Tool::Assembler)
            && !is_long(word);
        let list = match tool {
            Tool::Preprocessor => &mut self.preprocessor,
            Tool::Assembler => &mut self.assembler,
            Tool::Frontend => &mut self.frontend,
            Tool::Backend => &mut self.backend,
        };
        if split {
            list.extend(word.value.split(|&b| b == b',').map(|part| (part, index)));
        } else {
            list.push((word.value, index));
        }
    }

    pub(crate) fn of(&self, tool: Tool) -> &[(&'a [u8], usize)] {
        match tool {
            Tool::Preprocessor => &self.preprocessor,
            Tool::Assembler => &self.assembler,
            Tool::Frontend => &self.frontend,
            Tool::Backend => &self.backend,
        }
    }
}

/// `--for-assembler=X` passes one word, commas and all.
fn is_long(word: &Word<'_>) -> bool {
    matches!(word.meaning, Meaning::Option(opt) if opt.name.starts_with("--"))
}

/// Notes in `draft` what the passed words ask for.
pub(crate) fn weigh<'a>(family: Family, passed: &Passed<'a>, draft: &mut Draft<'a>) {
    match family {
        Family::Gcc => weigh_preprocessor_gcc(&passed.preprocessor, draft),
        Family::Clang => weigh_preprocessor_clang(&passed.preprocessor, draft),
    }
    weigh_assembler(&passed.assembler, draft);
    weigh_frontend(&passed.frontend, draft);
    for (word, index) in &passed.backend {
        if let Some(reason) = backend_reason(word) {
            draft.stay(reason, *index);
        }
    }
}

/// gcc hands these to `cc1`, where `-MD` and `-MMD` take the file as their argument.
fn weigh_preprocessor_gcc<'a>(words: &[(&'a [u8], usize)], draft: &mut Draft<'a>) {
    let table = Table::of(Family::Gcc);
    let mut rest = words.iter();
    while let Some(&(arg, index)) = rest.next() {
        let next = rest.as_slice().first().map(|&(next, _)| next);
        let word = words::read_one(table, arg, next);
        match (word.effect(), next) {
            (Some(Effect::Deps(Dep::All | Dep::User)), Some(file)) => {
                draft.deps.passed_file = Some(file);
                rest.next();
            }
            (Some(Effect::Deps(Dep::All | Dep::User)), None) => {
                draft.stay(Reason::Malformed, index)
            }
            (Some(Effect::Deps(Dep::File)), _) => draft.deps.passed_file = Some(word.value),
            (Some(Effect::Cpp | Effect::Search | Effect::Deps(_)), _) => {}
            (Some(Effect::Here(reason)), _) => draft.stay(reason, index),
            // Anything else reaches the compiler proper here, and would not there.
            _ => draft.stay(Reason::UnknownOption, index),
        }
        if word.is_pair() {
            rest.next();
        }
    }
}

/// clang's driver itself takes `-Wp,-MD,FILE` for `-MD -MF FILE`; the rest goes to its compiler.
fn weigh_preprocessor_clang<'a>(words: &[(&'a [u8], usize)], draft: &mut Draft<'a>) {
    for group in words.chunk_by(|a, b| a.1 == b.1) {
        let index = group[0].1;
        match group {
            [(kind @ (b"-MD" | b"-MMD"), _), file @ ..] if file.len() < 2 => {
                let dep = if *kind == b"-MD" { Dep::All } else { Dep::User };
                draft.deps.note(dep, b"");
                match (file, draft.deps.file) {
                    // The last one counts, of all words, whose order is not known here.
                    ([_], Some(_)) => draft.stay(Reason::Malformed, index),
                    ([(file, _)], None) => draft.deps.note(Dep::File, file),
                    _ => {}
                }
            }
            _ if group.iter().all(|(word, _)| is_macro_or_folder(word)) => {}
            _ => draft.stay(Reason::UnknownOption, index),
        }
    }
}

fn is_macro_or_folder(word: &[u8]) -> bool {
    word.len() > 2 && matches!(word[..2], [b'-', b'D' | b'U' | b'I'])
}

/// GNU as, by its manual; clang's own assembler takes a part of these.
fn weigh_assembler(words: &[(&[u8], usize)], draft: &mut Draft<'_>) {
    const PLAIN: &[&[u8]] = &[
        b"-D",
        b"-J",
        b"-K",
        b"-L",
        b"-R",
        b"-W",
        b"-Z",
        b"-f",
        b"-n",
        b"-w",
        b"-x",
        b"-k",
        b"-O",
        b"-O0",
        b"-O1",
        b"-O2",
        b"-Os",
        b"--noexecstack",
        b"--execstack",
        b"--fatal-warnings",
        b"--no-warn",
        b"--warn",
        b"--keep-locals",
        b"--gen-debug",
        b"--gstabs",
        b"--gstabs+",
        b"--gdwarf-2",
        b"--gdwarf-3",
        b"--gdwarf-4",
        b"--gdwarf-5",
        b"--gdwarf-sections",
        b"-g",
        b"--divide",
        b"--no-pad-sections",
        b"--reduce-memory-overheads",
        b"--strip-local-absolute",
        b"--traditional-format",
        b"--disp-size-default-32",
        b"--nocompress-debug-sections",
        b"--compress-debug-sections",
        b"--sectname-subst",
        b"-EL",
        b"-EB",
        b"-mthumb",
        b"-Qy",
        b"-Qn",
        b"--64",
    ];
    const WITH_VALUE: &[&[u8]] = &[
        b"-m",
        b"-I",
        b"--compress-debug-sections=",
        b"--debug-prefix-map=",
        b"--defsym=",
        b"--elf-stt-common=",
        b"--generate-missing-build-notes=",
        b"--gdwarf-cie-version=",
        b"--hash-size=",
        b"--size-check=",
        b"-march=",
        b"-mcpu=",
    ];
    let mut rest = words.iter();
    while let Some(&(word, index)) = rest.next() {
        let known = PLAIN.contains(&word)
            || WITH_VALUE
                .iter()
                .any(|start| word.starts_with(start) && word.len() > start.len());
        match word {
            b"" => {}
            b"--defsym" if rest.next().is_some() => {}
            _ if known => {}
            _ if word.starts_with(b"-a") => draft.stay(Reason::AssemblerListing, index),
            _ => draft.stay(Reason::AssemblerFiles, index),
        }
    }
}

/// clang's compiler proper has hundreds of options and takes files with many: a short list goes out.
fn weigh_frontend(words: &[(&[u8], usize)], draft: &mut Draft<'_>) {
    const PLAIN: &[&[u8]] = &[
        b"-fno-validate-pch",
        b"-fno-pch-timestamp",
        b"-fcolor-diagnostics",
        b"-disable-llvm-passes",
        b"-disable-O0-optnone",
        b"-no-opaque-pointers",
        b"-opaque-pointers",
        b"-fexperimental-assignment-tracking",
        b"-mno-constructor-aliases",
        b"-fno-dwarf-directory-asm",
        b"-fmerge-functions",
        b"-fforbid-guard-variables",
        b"-fallow-half-arguments-and-returns",
        b"-fnative-half-type",
        b"-fnative-half-arguments-and-returns",
        b"-fsanitize-address-use-after-scope",
    ];
    const PAIR: &[&[u8]] = &[b"-target-feature", b"-target-cpu", b"-tune-cpu", b"-mllvm"];
    let mut rest = words.iter();
    while let Some(&(word, index)) = rest.next() {
        if PAIR.contains(&word) {
            match rest.next() {
                Some((b"native", _)) => draft.stay(Reason::NativeCpu, index),
                Some((value, _)) if word == b"-mllvm" => {
                    if let Some(reason) = backend_reason(value) {
                        draft.stay(reason, index);
                    }
                }
                Some(_) => {}
                None => draft.stay(Reason::Malformed, index),
            }
        } else if !PLAIN.contains(&word) && !word.starts_with(b"-W") {
            draft.stay(frontend_reason(word), index);
        }
    }
}

fn frontend_reason(word: &[u8]) -> Reason {
    match word {
        b"-load" | b"-plugin" | b"-add-plugin" => Reason::Wrapper,
        b"-emit-pch" | b"-emit-header-module" => Reason::HeaderUnit,
        b"-include-pch" => Reason::PrecompiledHeader,
        b"-verify" => Reason::ChecksOnly,
        b"-dependency-file" | b"-stats-file" => Reason::WritesReport,
        _ if word.starts_with(b"-plugin") || word.starts_with(b"-fpass-plugin") => Reason::Wrapper,
        _ if word.starts_with(b"-fmodule") || word.starts_with(b"-emit-module") => Reason::Modules,
        _ if word.starts_with(b"-verify") => Reason::ChecksOnly,
        _ if word.starts_with(b"-ast-")
            || word.starts_with(b"-fdump")
            || word.starts_with(b"-debug-") =>
        {
            Reason::Dumps
        }
        _ => Reason::UnknownOption,
    }
}

/// Code generator options print and write when they are told to look.
fn backend_reason(word: &[u8]) -> Option<Reason> {
    if word
        .windows(5)
        .any(|part| part == b"debug" || part == b"stats")
    {
        return Some(Reason::Dumps);
    }
    (!guess_is_harmless(word)).then_some(Reason::UnknownOption)
}
