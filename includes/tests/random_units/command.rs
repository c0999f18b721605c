//! Commands: compilers, languages, and options that say what is included.

use super::chance::Chance;
use super::layout::UNITS;
use super::text::Dialect;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(crate) struct Command {
    pub(crate) directory: PathBuf,
    pub(crate) words: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
}

/// A language as compilers are told it.
#[derive(Clone, Copy)]
pub(crate) struct Language {
    std: &'static str,
    pub(crate) dialect: Dialect,
}

const C: Dialect = Dialect {
    cxx: false,
    gcc_only: false,
    trigraphs: false,
    separators: false,
    wide: true,
    utf8: false,
    elifdef: false,
    va_opt: false,
    line_comments: true,
    comma: true,
    has_include: true,
    digraphs: true,
};
const CXX: Dialect = Dialect {
    cxx: true,
    comma: false,
    ..C
};

/// Languages and what may be written in all of their compilers.
pub(crate) fn language(chance: &mut Chance) -> Language {
    let mut dialect = C;
    let std = if chance.one_in(2) {
        let std = chance.of(&[
            "",
            "",
            "-std=c89",
            "-ansi",
            "-std=c99",
            "-std=c11",
            "-std=c17",
            "-std=gnu11",
            "-std=c2x",
            "-std=gnu89",
            "-std=gnu2x",
        ]);
        let old = matches!(std, "-std=c89" | "-ansi" | "-std=gnu89" | "-std=c99");
        dialect.wide = !old;
        dialect.line_comments = !matches!(std, "-std=c89" | "-ansi");
        dialect.trigraphs = std.starts_with("-std=c") && std != "-std=c2x" || std == "-ansi";
        dialect.separators = std.ends_with("2x");
        dialect.elifdef = std.ends_with("2x");
        dialect.comma = !old;
        dialect.digraphs = !matches!(std, "-std=c89" | "-ansi");
        std
    } else {
        dialect = CXX;
        let std = chance.of(&[
            "",
            "",
            "-std=c++98",
            "-std=c++11",
            "-std=c++14",
            "-std=c++17",
            "-std=c++20",
            "-std=gnu++17",
            "-std=gnu++20",
            "-std=c++2b",
            "-std=gnu++98",
        ]);
        let old = std.ends_with("98");
        dialect.wide = !old;
        dialect.separators = !old && !std.ends_with("11");
        dialect.utf8 = std.ends_with("17") || std.ends_with("20") || std.ends_with("2b");
        dialect.trigraphs = matches!(std, "-std=c++98" | "-std=c++11" | "-std=c++14");
        dialect.elifdef = std.ends_with("2b");
        dialect.va_opt = std.ends_with("20") || std.ends_with("2b");
        std
    };
    if chance.one_in(3) {
        dialect.gcc_only = true;
        dialect.va_opt |= !matches!(std, "-std=c89" | "-ansi" | "-std=c++98");
    }
    Language { std, dialect }
}

/// Options, with `@` before a name below the root.
const OPTIONS: &[&str] = &[
    "-I @inc1",
    "-I@inc2",
    "-iquote @quo",
    "-isystem @sys",
    "-isystem @inc1",
    "-idirafter @aft",
    "-I@ln",
    "-I@ln2/../inc2",
    "-I@sub",
    "-I@inc1/",
    "-I@abs",
    "-iquote @inc1",
    "-iquote @ln",
    "-idirafter @inc1",
    "-isystem @inc0",
    "-I@nothere",
    "-I@sp_ace",
    "-I@é",
    "-iprefix @pre- -iwithprefix x",
    "-iprefix @pre- -iwithprefixbefore x",
    "-isysroot @root -I=/inc",
    "--sysroot=@root",
    "--sysroot @root -isystem =/inc",
    "-isysroot @root",
    "-nostdinc",
    "-undef",
    "-DO1=3",
    "-DO2",
    "-DO3=(1+2)",
    "-D O4=O5",
    "-U O1",
    "-UO0",
    "-DO5=__LINE__",
    "-DO6=__COUNTER__",
    "-D O7(x)=1",
    "-O2",
    "-fPIC",
    "-pthread",
    "-march=haswell",
    "-m32",
    "-funsigned-char",
    "-ffreestanding",
    "-fms-extensions",
    "-fshort-wchar",
    "-fexceptions",
    "-trigraphs",
    "-Wp,-DO2=5",
    "-Wp,-I,@inc2",
    "-Wp,-I@sub",
    "-Xpreprocessor -DO4",
    "-include @inc1/h4.h",
    "-include h5.h",
    "-imacros @inc0/h4.h",
    "-include limits.h",
    "-pedantic",
    "-Wall -Wundef",
    "-H",
    "-fno-builtin",
    "-g3",
    "-w",
    "-I @inc0/d",
    "-I@inc0/../inc1",
    "--include-directory=@inc2",
    "--define-macro=O1=4",
    "-iquote @",
    "-isystem @sub/ln",
    "-I@lnq",
    "-iquote @sub",
    "-fmax-include-depth=12",
    "-P",
    "-MP",
    "-dD",
    "-I-",
    "-nostdinc++",
    "-iwithprefix inc1",
];

/// How a command spells names of files.
struct Spelling<'r> {
    root: &'r Path,
    directory: &'static str,
    form: usize,
}

impl Spelling<'_> {
    fn of(&self, name: &str) -> String {
        match (self.form, self.directory) {
            (0, _) => format!("{}/{name}", self.root.display()),
            (_, "") if name.is_empty() => ".".to_owned(),
            (1, "") => format!("./{name}"),
            (_, "") => name.to_owned(),
            _ => format!("../{name}"),
        }
    }
}

/// A command for one of the case's sources.
pub(crate) fn command(chance: &mut Chance, language: Language, root: &Path) -> Command {
    let dialect = language.dialect;
    let directory = chance.of(&["", "", "", "sub", "inc1", "ln"]);
    let there = root.join(directory).is_dir();
    let spelling = Spelling {
        root,
        directory: if there { directory } else { "" },
        form: chance.below(5),
    };
    let compilers: &[&str] = match (dialect.gcc_only, dialect.cxx) {
        (true, false) => &["gcc", "cc"],
        (true, true) => &["g++", "c++"],
        (false, false) => &["gcc", "clang"],
        (false, true) => &["g++", "clang++"],
    };
    let mut words = vec![chance.of(compilers).to_owned()];
    words.extend(options(
        chance,
        language,
        &spelling,
        words[0].starts_with("clang"),
    ));
    let (suffix, name) = if dialect.cxx {
        ("cc", "c++")
    } else {
        ("c", "c")
    };
    let mut unit = chance.of(UNITS);
    if unit == "inc1/v" && root.join("ln").is_dir() && chance.one_in(2) {
        unit = "ln/v";
    }
    let source = ["-c".to_owned(), spelling.of(&format!("{unit}.{suffix}"))];
    match chance.below(16) {
        0..=1 => {
            words.extend(["-x".to_owned(), name.to_owned()]);
            words.extend(source);
        }
        2 if !dialect.cxx => {
            words.extend(["-x".to_owned(), "assembler-with-cpp".to_owned()]);
            words.extend(source);
        }
        3..=9 => words.extend(source),
        _ => drop(words.splice(1..1, source)),
    }
    Command {
        directory: root.join(spelling.directory),
        words: words.into_iter().map(OsString::from).collect(),
        environment: environment(chance),
    }
}

fn options(
    chance: &mut Chance,
    language: Language,
    spelling: &Spelling<'_>,
    clang: bool,
) -> Vec<String> {
    let mut options = Vec::new();
    for _ in 0..chance.below(7) {
        let option = chance.of(OPTIONS);
        let of_gcc = matches!(option, "-fmax-include-depth=12" | "-P" | "-I-");
        if !(clang && of_gcc) {
            options.push(option);
        }
    }
    options.insert(chance.below(options.len() + 1), "-I@inc0");
    if !language.std.is_empty() {
        options.push(language.std);
    }
    // What is included by the command needs the macros too.
    if options.iter().any(|option| option.starts_with("-imacros")) {
        options.insert(0, "-imacros @pro.h");
    }
    options.insert(0, "-include @pro.h");
    let words = options.iter().flat_map(|option| option.split(' '));
    words
        .map(|word| match word.split_once('@') {
            Some((start, name)) => format!("{start}{}", spelling.of(&name.replace('_', " "))),
            None => word.to_owned(),
        })
        .collect()
}

fn environment(chance: &mut Chance) -> Vec<(OsString, OsString)> {
    const VARIABLES: &[(&str, &str)] = &[
        ("CPATH", "inc1:sub"),
        ("C_INCLUDE_PATH", "sys:"),
        ("CPLUS_INCLUDE_PATH", "inc2:sys"),
    ];
    let mut environment = Vec::new();
    for (name, value) in VARIABLES {
        if chance.one_in(10) {
            let value = if chance.one_in(3) { ":aft" } else { value };
            environment.push((name.into(), value.into()));
        }
    }
    environment
}
