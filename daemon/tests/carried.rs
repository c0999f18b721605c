//! Options that carry other options, and what these would run: without the box, the table of options is all that stands between a client
//! and a program or plugin that is on the machine already.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Daemon, NO_BOX, folder, request, script};
use compiler::table::{Effect, Opt, Shape, Table};
use compiler::{Family, remote};
use protocol::Version;

/// Things that leave a mark when they are run or loaded, in places where a client can name them.
struct Traps {
    folder: tempfile::TempDir,
    mark: PathBuf,
}

impl Traps {
    fn set() -> Self {
        let folder = folder();
        let mark = folder.path().join("mark");
        let place = folder.path();
        let trap = format!("echo \"$0\" >> {}\n", mark.display());
        for name in ["program", "as", "cc1", "cc1plus", "gcc", "collect2", "ld"] {
            script(&place.join(name), &trap);
        }
        // A gcc of its own, as clang looks for it.
        let own = place.join("lib/gcc/x86_64-linux-gnu/12");
        let tools = place.join("x86_64-linux-gnu/bin");
        fs::create_dir_all(&own).unwrap();
        fs::create_dir_all(&tools).unwrap();
        fs::write(own.join("crtbegin.o"), "").unwrap();
        script(&tools.join("as"), &trap);
        let plugin = place.join("plugin.c");
        let text = format!(
            "#include <stdio.h>\nint plugin_is_GPL_compatible;\n__attribute__((constructor)) static void loaded(void) {{ fclose(fopen(\"{}\", \"a\")); }}\n",
            mark.display()
        );
        fs::write(&plugin, text).unwrap();
        let built = Command::new("gcc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&place.join("x.so"), &plugin])
            .status();
        assert!(built.unwrap().success());
        let so = place.join("x.so");
        fs::write(place.join("words"), format!("-fplugin={}", so.display())).unwrap();
        let specs = format!("*invoke_as:\n{}\n", place.join("program").display());
        fs::write(place.join("specs"), specs).unwrap();
        Self { folder, mark }
    }

    fn is_sprung(&self) -> bool {
        self.mark.exists()
    }

    /// `line` with the traps' names in it: `SO`, `PROGRAM`, `DIR`, `WORDS`, `SPECS`. A tilde is a space within a word.
    fn words(&self, line: &str) -> Vec<String> {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let names = [
            ("PROGRAM", at("program")),
            ("WORDS", at("words")),
            ("SPECS", at("specs")),
            ("DIR", self.folder.path().display().to_string()),
            ("SO", at("x.so")),
        ];
        let named = |word: &str| {
            let plain = word.replace('~', " ");
            names
                .iter()
                .fold(plain, |word, (name, path)| word.replace(name, path))
        };
        line.split(' ').map(named).collect()
    }
}

const KINDS: [(&str, &str); 42] = [
    ("gcc", "-fplugin=SO"),
    ("gcc", "-fcompare-debug=-fplugin=SO"),
    ("gcc", "-fcompare-debug=-gtoggle~-fplugin=SO"),
    ("gcc", "--compare-debug=-fplugin=SO"),
    ("gcc", "-fcompare-debug -fcompare-debug=-wrapper~PROGRAM"),
    ("gcc", "-wrapper PROGRAM"),
    ("gcc", "-wrapper PROGRAM,x"),
    ("gcc", "-BDIR"),
    ("gcc", "-B DIR/"),
    ("gcc", "--prefix=DIR/"),
    ("gcc", "--prefix DIR/"),
    ("gcc", "-no-integrated-cpp -BDIR/"),
    ("gcc", "-specs=SPECS"),
    ("gcc", "-specs SPECS"),
    ("gcc", "--specs=SPECS"),
    ("gcc", "@WORDS"),
    ("gcc", "-Wp,-fplugin=SO"),
    ("gcc", "-Wp,@WORDS"),
    ("gcc", "-Xpreprocessor -fplugin=SO"),
    ("gcc", "-Xpreprocessor @WORDS"),
    ("gcc", "-Wa,@WORDS"),
    ("gcc", "-iplugindir=DIR -fplugin=x"),
    ("g++", "-std=c++20 -fmodules-ts -fmodule-mapper=|PROGRAM"),
    ("g++", "-fmodule-mapper=|PROGRAM"),
    ("clang", "-fplugin=SO"),
    ("clang", "-fpass-plugin=SO"),
    ("clang", "-Xclang -load -Xclang SO"),
    ("clang", "-Xclang -fpass-plugin=SO"),
    ("clang", "-Xclang -mllvm -Xclang -load=SO"),
    ("clang", "-mllvm -load=SO"),
    ("clang", "-mllvm --load=SO"),
    ("clang", "-Wp,-load,SO"),
    ("clang", "-Xpreprocessor -load -Xpreprocessor SO"),
    ("clang", "-Xarch_x86_64 -fplugin=SO"),
    ("clang", "-Xarch_host -fplugin=SO"),
    ("clang", "--config WORDS"),
    ("clang", "@WORDS"),
    ("clang", "-cc1 -load SO"),
    ("clang", "-BDIR -fno-integrated-as"),
    ("clang", "--prefix=DIR -fno-integrated-as"),
    ("clang", "--gcc-toolchain=DIR -fno-integrated-as"),
    ("clang", "-ccc-gcc-name PROGRAM"),
];

#[test]
fn nothing_is_run_or_loaded_that_words_carry() {
    let traps = Traps::set();
    // The traps work: this is what a client's words would do.
    let direct = Command::new("gcc")
        .args(traps.words("-fcompare-debug=-fplugin=SO -c -x c /dev/null -o DIR/a.o"))
        .output();
    assert!(direct.is_ok() && traps.is_sprung(), "{direct:?}");
    fs::remove_file(&traps.mark).unwrap();
    let daemon = Daemon::with(&[NO_BOX], &[]);
    for (name, line) in KINDS {
        let mut words = vec![name.to_owned()];
        words.extend(traps.words(line));
        let source = if name == "g++" { "a.ii" } else { "a.i" };
        words.extend(["-c", source, "-o", "a.o"].map(str::to_owned));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = daemon.compile(&request(Version::Plain, &words, "int x;\n"));
        assert!(!traps.is_sprung(), "{name} {line}: {outcome:?}");
    }
    daemon.assert_serves();
    daemon.end();
    assert!(!traps.is_sprung());
}

/// What a row's option could be written with, if it took a plugin along.
fn spellings(row: &Opt, plugin: &str) -> Vec<Vec<String>> {
    let name = row.name.to_owned();
    match row.shape {
        Shape::Flag => Vec::new(),
        Shape::Separate => vec![vec![name, plugin.into()]],
        Shape::Either => vec![vec![name.clone(), plugin.into()], vec![name + plugin]],
        Shape::Joined if name.ends_with(['=', ',']) => vec![vec![name + plugin]],
        Shape::Joined => vec![vec![name + "=" + plugin]],
    }
}

/// Each option that is let through is written with a plugin behind it, and the driver says what it would run.
fn sweep(family: Family, program: &str) {
    // What a driver makes of the option for a plugin.
    let loads = match family {
        Family::Gcc => "-fplugin=/x/trap.so",
        Family::Clang => "-load",
    };
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("a.i");
    fs::write(&source, "").unwrap();
    let plugin = "-fplugin=/x/trap.so";
    let mut looked = 0;
    for row in Table::of(family).rows() {
        // What is for the linker is not read in a compile.
        if row.effect == Effect::Link {
            continue;
        }
        for spelling in spellings(row, plugin) {
            let mut args: Vec<OsString> = spelling.iter().map(OsString::from).collect();
            args.extend(["-c", "a.i", "-o", "a.o"].map(OsString::from));
            let Ok(job) = remote::check(family, false, &args) else {
                continue;
            };
            looked += 1;
            let words = job.args_for(&args, "a.i".as_ref(), "a.o".as_ref());
            let carried = runs_with(program, place.path(), &words, loads);
            assert!(!carried, "{program} {spelling:?}");
        }
    }
    let plain = ["-fplugin=/x/trap.so", "-c", "a.i", "-o", "a.o"].map(OsString::from);
    assert!(runs_with(program, place.path(), &plain, loads));
    assert!(looked > 50, "{program}: {looked}");
}

/// Whether the driver would start something with this word.
fn runs_with(program: &str, place: &Path, words: &[OsString], wanted: &str) -> bool {
    let said = Command::new(program)
        .arg("-###")
        .args(words)
        .current_dir(place)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stderr);
    let run = said.lines().filter(|line| line.starts_with(' '));
    let mut words = run.flat_map(str::split_whitespace);
    words.any(|word| word.trim_matches('"') == wanted)
}

#[test]
fn no_option_of_gcc_hands_a_plugin_on() {
    sweep(Family::Gcc, "gcc");
}

#[test]
fn no_option_of_clang_hands_a_plugin_on() {
    sweep(Family::Clang, "clang");
}
