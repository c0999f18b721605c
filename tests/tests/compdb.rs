//! `distcc-launch classify` and `compile`: compile_commands.json files of real projects, broken ones, and projects compiled from one.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::symlink, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    Farm, Ran, Row, data, launcher, read_journal, run, script, start, until, with_default_signals,
};

/// A folder with a project, and what a launcher needs besides.
struct Project {
    folder: TempDir,
    hosts: String,
    path: String,
}

impl Project {
    /// Sources that compile, and no database yet.
    fn new(hosts: &str) -> Project {
        let folder = tempfile::Builder::new()
            .prefix("compdb-")
            .tempdir()
            .unwrap();
        for name in ["work/src", "bin"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            folder.path().join("bin").display()
        );
        Project {
            folder,
            hosts: hosts.to_owned(),
            path,
        }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.work().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A program in a folder that comes first in `PATH`.
    fn program(&self, name: &str, text: &str) {
        script(&self.folder.path().join("bin").join(name), text);
    }

    /// `compile_commands.json` of these commands, each with its source.
    fn database(&self, commands: &[(&str, &str)]) {
        let entries: Vec<Value> = commands
            .iter()
            .map(|(file, command)| json!({"directory": self.work(), "file": file, "command": command}))
            .collect();
        self.write(
            "compile_commands.json",
            &serde_json::to_string_pretty(&entries).unwrap(),
        );
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(launcher());
        command
            .args(words)
            .current_dir(self.work())
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.folder.path())
            .env("DISTCC_DIR", self.folder.path().join("state"))
            .env("DISTCC_LAUNCH_JOURNAL", self.journal())
            .env("MARKS", self.marks())
            .env("DISTCC_HOSTS", &self.hosts);
        command
    }

    fn run(&self, words: &[&str]) -> Ran {
        run(&mut self.command(words))
    }

    /// Where stand-ins leave word of what they do.
    fn marks(&self) -> PathBuf {
        let marks = self.folder.path().join("marks");
        fs::create_dir_all(&marks).unwrap();
        marks
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal.jsonl")
    }

    fn rows(&self) -> Vec<Row> {
        read_journal(&self.journal())
    }

    /// `n` small sources, a database for them, and the names of the objects.
    fn with_units(&self, n: usize) -> Vec<String> {
        self.write("src/common.h", "#define TWICE(x) (2 * (x))\n");
        let units: Vec<(String, String)> = (0..n)
            .map(|at| {
                let text = format!(
                    "#include \"common.h\"\nint f{at}(int x) {{ return TWICE(x) + {at}; }}\n"
                );
                self.write(&format!("src/u{at}.c"), &text);
                let words = format!("gcc -O2 -Wall -o out/deep/u{at}.o -c src/u{at}.c");
                (format!("src/u{at}.c"), words)
            })
            .collect();
        let each: Vec<(&str, &str)> = units
            .iter()
            .map(|(f, c)| (f.as_str(), c.as_str()))
            .collect();
        self.database(&each);
        (0..n).map(|at| format!("out/deep/u{at}.o")).collect()
    }

    fn object(&self, name: &str) -> Vec<u8> {
        fs::read(self.work().join(name)).unwrap_or_default()
    }
}

fn corpus(name: &str) -> PathBuf {
    data("cases/compdb").join(format!("{name}.json"))
}

/// What `classify` says of each command: counts by reason, "remote" among them.
fn reasons(project: &Project, files: &[&str]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in lines(project, files) {
        let reason = line["reason"].as_str().unwrap_or("remote").to_owned();
        *counts.entry(reason).or_default() += 1;
    }
    counts
}

fn lines(project: &Project, files: &[&str]) -> Vec<Value> {
    let ran = project.run(&[&["classify", "--json"], files].concat());
    assert_eq!((ran.code(), ran.err()), (0, String::new()));
    let lines = ran.out();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines
        .inspect(|line: &Value| {
            let local = line["place"] == "local";
            assert!(local || line["place"] == "remote", "{line}");
            assert_eq!(local, line["reason"].is_string(), "{line}");
            assert!(line["file"].is_string() && line["directory"].is_string());
            assert_eq!(line.as_object().unwrap().len(), 4, "{line}");
        })
        .collect()
}

fn counts(of: &[(&str, usize)]) -> BTreeMap<String, usize> {
    of.iter()
        .map(|(name, n)| ((*name).to_owned(), *n))
        .collect()
}

#[test]
fn files_of_real_projects_are_read() {
    let project = Project::new("");
    for (name, expected) in [
        ("brotli", &[("remote", 59)][..]),
        ("googletest", &[("remote", 85)]),
        ("libgit2-sys", &[("remote", 232)]),
        ("libuv", &[("remote", 441)]),
        ("zstd", &[("remote", 95)]),
        ("zstd-multiconfig-unity", &[("remote", 39)]),
        ("synthetic-pch", &[("remote", 5), ("header-unit", 2)]),
        ("synthetic-cxx20-modules", &[("response-file", 4)]),
        ("synthetic-meson-launcher", &[("remote", 2)]),
    ] {
        let path = corpus(name);
        let file = path.to_str().unwrap();
        assert_eq!(reasons(&project, &[file]), counts(expected), "{name}");

        let ran = project.run(&["classify", file]);
        assert_eq!((ran.code(), ran.err()), (0, String::new()), "{name}");
        let all: usize = expected.iter().map(|(_, count)| count).sum();
        let last = format!(
            "{} of {all} commands in {file} would be sent to hosts\n",
            expected
                .iter()
                .find(|(what, _)| *what == "remote")
                .map_or(0, |(_, count)| *count)
        );
        assert!(ran.out().ends_with(&last), "{}", ran.out());
    }
}

#[test]
fn the_table_counts_by_reason() {
    let project = Project::new("");
    project.database(&[
        ("a.c", "gcc -c a.c"),
        ("b.c", "gcc --coverage -c b.c"),
        ("c.c", "gcc --coverage -c c.c"),
        ("d.c", "gcc -E d.c"),
        ("e.cu", "nvcc -c e.cu"),
        ("f.c", "gcc -S f.c"),
        ("g.c", "gcc -fsyntax-only g.c"),
        ("h.c", "gcc -c h.c"),
    ]);
    let ran = project.run(&["classify"]);
    assert_eq!(
        ran.out(),
        "commands   share\n       3   37.5%  remote\n       2   25.0%  local: coverage          coverage notes are written beside the object\n       \
         1   12.5%  local: checks-only       it checks the source and leaves no object\n       \
         1   12.5%  local: preprocesses      it stops after preprocessing\n       \
         1   12.5%  local: unknown-compiler  the program is not a compiler that is known\n\
         3 of 8 commands in compile_commands.json would be sent to hosts\n"
    );
    // Several files count together.
    let twice = project.run(&["classify", "compile_commands.json", "compile_commands.json"]);
    assert!(
        twice.out().ends_with(
            "6 of 16 commands in compile_commands.json, compile_commands.json would be sent to hosts\n"
        ),
        "{}",
        twice.out()
    );
}

/// A file of the corpus with its neutral folder put into a project.
fn moved(project: &Project, name: &str, from: &str) {
    let text = fs::read_to_string(corpus(name)).unwrap();
    let text = text.replace(from, project.work().to_str().unwrap());
    project.write("compile_commands.json", &text);
}

#[test]
fn module_maps_are_read_when_they_are_there() {
    let project = Project::new("");
    moved(&project, "synthetic-cxx20-modules", "/build/mods");
    let map = |target: &str, text: &str| {
        project.write(&format!("b/CMakeFiles/{target}.o.modmap"), text);
    };
    map(
        "hello.dir/impl.cpp",
        "-fmodule-file=\"hello=CMakeFiles/hello.dir/hello.pcm\"\n",
    );
    map(
        "hello.dir/hello.cppm",
        "-x c++-module\n-fmodule-output=\"CMakeFiles/hello.dir/hello.pcm\"\n",
    );
    map(
        "hello.dir/part.cppm",
        "-x c++-module\n-fmodule-output=\"CMakeFiles/hello.dir/hello-part.pcm\"\n",
    );
    map("app.dir/main.cpp", "");
    assert_eq!(
        reasons(&project, &[]),
        counts(&[("modules", 3), ("remote", 1)])
    );
    let main = project.run(&["classify", "--why", "main.cpp"]);
    assert!(
        main.out().ends_with("  would be sent to a host\n"),
        "{}",
        main.out()
    );

    fs::remove_file(
        project
            .work()
            .join("b/CMakeFiles/app.dir/main.cpp.o.modmap"),
    )
    .unwrap();
    let main = project.run(&["classify", "--why", "main.cpp"]);
    let end = "  runs here: a response file could not be read (response-file); CMakeFiles/app.dir/main.cpp.o.modmap is not there, \
               some build tools write such files during the build\n";
    assert!(main.out().ends_with(end), "{}", main.out());
}

#[test]
fn readers_of_precompiled_headers_stay() {
    let project = Project::new("");
    moved(&project, "synthetic-pch", "/build/cm1");
    project.write("b-4-Ninja/CMakeFiles/lib.dir/cmake_pch.h.gch", "");
    let expected = counts(&[("remote", 4), ("header-unit", 2), ("precompiled-header", 1)]);
    assert_eq!(reasons(&project, &[]), expected);
    let ran = project.run(&["classify", "--why", "a.c"]);
    let out = ran.out();
    assert_eq!(out.matches("a.c: command ").count(), 2, "{out}");
    assert!(
        out.contains(
            "  runs here: a precompiled header of this machine is read (precompiled-header)\n"
        ) && out.contains("  would be sent to a host\n"),
        "{out}"
    );
}

#[test]
fn launchers_in_front_and_both_forms_make_no_difference() {
    let project = Project::new("");
    let words = ["-O2", "-DX=\"a b\"", "-c", "a.c", "-o", "a.o"];
    let mut entries = Vec::new();
    for front in [
        &["gcc"][..],
        &["distcc-launch", "gcc"],
        &["/usr/bin/ccache", "gcc"],
        &["ccache", "/opt/x/distcc", "sccache", "icecc", "gcc"],
        &["distcc-launch"],
    ] {
        let all = [front, &words].concat();
        let spelled = shlex::try_join(all.iter().copied()).unwrap();
        entries.push(json!({"directory": "/", "file": "a.c", "arguments": all}));
        // CMake leaves two blanks where the launcher ends.
        entries.push(json!({"directory": "/", "file": "a.c", "output": "a.o", "command": spelled.replacen(' ', "  ", 1)}));
    }
    project.write("build/compile_commands.json", &json!(entries).to_string());
    assert_eq!(reasons(&project, &[]), counts(&[("remote", 10)]));
    let why = project.run(&["classify", "--why", "/a.c"]).out();
    assert_eq!(
        why.matches("in /: gcc -O2 '-DX=\"a b\"' -c a.c -o a.o\n")
            .count(),
        8,
        "{why}"
    );
    assert_eq!(why.matches("in /: cc -O2 ").count(), 2, "{why}");
}

#[test]
fn each_compiler_is_asked_once() {
    let project = Project::new("");
    // A program and no script: what a script adds to the words nobody knows.
    let note = "echo \"$*\" >> \"$MARKS/asked\"\nexec /usr/bin/gcc \"$@\"";
    tests::wrapped_cc(&project.folder.path().join("bin/cc"), note);
    let commands: Vec<(&str, &str)> = (0..50).map(|_| ("a.c", "cc -c a.c")).collect();
    project.database(&commands);
    assert_eq!(reasons(&project, &[]), counts(&[("remote", 50)]));
    let asked = fs::read_to_string(project.marks().join("asked")).unwrap();
    assert_eq!(asked, "--version\n-dumpmachine\n");
}

#[test]
fn a_compiler_of_another_machine_is_judged_by_its_name() {
    let project = Project::new("");
    project.database(&[
        ("a.c", "/opt/sdk/bin/mips-none-elf-gcc-9 -c a.c"),
        ("b.cc", "./wrap/riscv-clang++ -c b.cc"),
        ("c.rs", "/opt/rustc c.rs"),
    ]);
    assert_eq!(
        reasons(&project, &[]),
        counts(&[("remote", 2), ("unknown-compiler", 1)])
    );
}

#[test]
fn this_machines_processor_can_be_spelled_out() {
    let project = Project::new("");
    project.database(&[
        ("a.c", "gcc -O2 -march=native -c a.c"),
        ("b.c", "gcc -O2 -march=native -g -c b.c"),
        ("c.c", "/opt/none/mips-none-elf-gcc -march=native -c c.c"),
    ]);
    assert_eq!(
        reasons(&project, &[]),
        counts(&[("remote", 1), ("native-cpu", 2)])
    );
}

/// Runs `classify` and `compile` on a text that is no database; gives what they complain of.
fn refused(text: &str) -> String {
    let project = Project::new("");
    project.write("c.json", text);
    let classify = project.run(&["classify", "c.json"]);
    let compile = project.run(&["compile", "-p", "c.json"]);
    for ran in [&classify, &compile] {
        assert_eq!((ran.code(), ran.out()), (2, String::new()), "{text}");
    }
    assert_eq!(classify.err(), compile.err());
    let said = classify.err();
    let end = "; have the file written anew by the build tool\n";
    said.strip_prefix("distcc-launch: c.json:")
        .and_then(|said| said.strip_suffix(end))
        .unwrap_or_else(|| panic!("{said}"))
        .to_owned()
}

#[test]
fn malformed_files_are_told_with_their_place() {
    for (text, said) in [
        (
            "",
            "1:0: the text ends too early (EOF while parsing a value)",
        ),
        (
            "[\n  {\"directory\": \"/\",\n",
            "3:0: the text ends too early (EOF while parsing a value)",
        ),
        (
            "[\n{\"file\": a}]",
            "2:10: this is no JSON (expected value)",
        ),
        (
            "{\"directory\": \"/\"}",
            "1:0: invalid type: map, expected a sequence",
        ),
        (
            "[1]",
            "1:2: invalid type: integer `1`, expected an entry: {\"directory\": …, \"file\": …, \"command\": …}",
        ),
        (
            "[\n{\"directory\": \"/\",\n \"file\": \"a.c\"}]",
            "3:15: the entry that ends here lacks \"command\" and \"arguments\"",
        ),
        (
            "[{\"file\": \"a.c\", \"command\": \"gcc\"}]",
            "1:34: the entry that ends here lacks \"directory\"",
        ),
        (
            "[{\"directory\": \"/\", \"command\": \"gcc\"}]",
            "1:37: the entry that ends here lacks \"file\"",
        ),
        (
            "[{\"directory\": \"/\",\n\"command\": \"gcc '-DX\", \"file\": \"a.c\"}]",
            "2:21: a quote in this command is never closed",
        ),
        ("[{\"arguments\": []}]", "1:17: the command is empty"),
        (
            "[{\"arguments\": \"gcc\"}]",
            "1:20: invalid type: string \"gcc\", expected a list of words",
        ),
        ("[] x", "1:4: this is no JSON (trailing characters)"),
    ] {
        assert_eq!(refused(text), said, "{text}");
    }
}

#[test]
fn files_that_are_not_there_are_told() {
    let project = Project::new("");
    for words in [&["classify"][..], &["compile"]] {
        let ran = project.run(words);
        assert_eq!(ran.code(), 2);
        assert_eq!(
            ran.err(),
            "distcc-launch: there is neither ./compile_commands.json nor build/compile_commands.json; name the file, or have it \
             written: cmake -DCMAKE_EXPORT_COMPILE_COMMANDS=ON (Meson always writes it, for make there is bear)\n"
        );
    }
    for words in [&["classify", "src"][..], &["compile", "-p", "src"]] {
        let ran = project.run(words);
        assert_eq!(ran.code(), 2);
        assert_eq!(
            ran.err(),
            "distcc-launch: could not read src/compile_commands.json: No such file or directory (os error 2)\n"
        );
    }
    project.write("compile_commands.json", "[]");
    let ran = project.run(&["classify"]);
    assert_eq!(
        (ran.code(), ran.out()),
        (0, "no commands in compile_commands.json\n".into())
    );
    let ran = project.run(&["compile"]);
    assert_eq!(ran.code(), 2);
    assert_eq!(
        ran.err(),
        "distcc-launch: compile_commands.json: there is no command in it; distcc-launch classify --json lists the sources\n"
    );
}

#[test]
fn why_says_when_there_is_no_such_source() {
    let project = Project::new("");
    project.database(&[("src/a.c", "gcc -c src/a.c"), ("lib/a.c", "gcc -c lib/a.c")]);
    let ran = project.run(&["classify", "--why", "b.c"]);
    assert_eq!(ran.code(), 2);
    assert_eq!(
        ran.err(),
        "distcc-launch: no command for b.c in compile_commands.json; distcc-launch classify --json lists them all\n"
    );
    let named = |source| project.run(&["classify", "--why", source]).out();
    assert_eq!(named("a.c").matches(": command ").count(), 2);
    assert_eq!(named("src/a.c").matches(": command 1 of ").count(), 1);
    assert_eq!(named("rc/a.c"), "");
    // The exact path goes before the ends of others.
    project.database(&[
        ("x/src/a.c", "gcc -c x/src/a.c"),
        ("src/a.c", "gcc -c src/a.c"),
    ]);
    assert_eq!(named("./src/a.c").matches(": command ").count(), 1);
}

#[test]
fn names_of_any_bytes_come_out_again() {
    let project = Project::new("");
    let text = b"[{\"directory\":\"/x\xff\",\"file\":\"\xc3(.c\",\"arguments\":[\"gcc\",\"-c\",\"\xc3(.c\"]}]";
    fs::write(project.work().join("compile_commands.json"), text).unwrap();
    let ran = project.run(&["classify", "--json"]);
    assert_eq!(
        ran.out(),
        "{\"file\":\"\\udcc3(.c\",\"directory\":\"/x\\udcff\",\"place\":\"remote\",\"reason\":null}\n"
    );
}

#[test]
fn help_teaches_with_an_example() {
    let project = Project::new("");
    for word in ["classify", "compile", "jobs", "setup"] {
        let ran = project.run(&[word, "--help"]);
        assert_eq!(ran.code(), 0);
        assert!(
            ran.out().contains(&format!(" distcc-launch {word}"))
                || ran.out().contains(&format!("(distcc-launch {word}")),
            "{}",
            ran.out()
        );
        assert!(ran.out().contains("Example"), "{}", ran.out());
    }
    let ran = project.run(&["compile", "--filter", "a("]);
    assert_eq!(ran.code(), 101);
    assert!(ran.err().contains("unclosed group"), "{}", ran.err());
    assert_eq!(project.run(&["compile", "-j", "0"]).code(), 101);
}

#[test]
fn the_words_are_reserved_under_our_own_name_only() {
    let project = Project::new("");
    project.database(&[("a.c", "gcc -c a.c")]);
    project.program("classify", "echo a program");
    let link = project.folder.path().join("distcc");
    symlink(launcher(), &link).unwrap();
    let mut command = Command::new(&link);
    command.arg("classify").current_dir(project.work());
    command
        .env_clear()
        .env("PATH", &project.path)
        .env("HOME", project.folder.path());
    let ran = run(&mut command);
    assert_eq!(
        (ran.code(), ran.out()),
        (0, "a program\n".into()),
        "{}",
        ran.err()
    );
    assert!(
        project
            .run(&["classify"])
            .out()
            .starts_with("commands   share\n")
    );
}

#[test]
fn a_project_is_compiled_on_a_farm() {
    let farm = Farm::ours(2);
    let project = Project::new(&farm.hosts("/2"));
    let objects = project.with_units(12);
    let ran = project.run(&["compile"]);
    assert_eq!(ran.code(), 0, "{ran:?}");

    let rows = project.rows();
    assert_eq!(rows.len(), 12, "the journal has them all");
    assert!(rows.iter().all(|row| row.place == "remote"), "{rows:?}");
    let out = ran.out();
    assert!(out.starts_with("12 commands in "), "{out}");
    for daemon in &farm.daemons {
        let host = daemon.host();
        let count = rows
            .iter()
            .filter(|row| row.host.as_ref() == Some(&host))
            .count();
        let line = format!("{count:>7}  on {host}\n");
        assert!(count == 0 || out.contains(&line), "{out}");
    }
    // A line for each tenth; 12 commands pass ten of them.
    assert_eq!(ran.err().lines().count(), 10, "{}", ran.err());
    assert!(
        ran.err().ends_with("distcc-launch: 12 of 12\n"),
        "{}",
        ran.err()
    );

    let there: Vec<_> = objects.iter().map(|name| project.object(name)).collect();
    assert!(there.iter().all(|object| object.starts_with(b"\x7fELF")));
    for (at, name) in objects.iter().enumerate() {
        let mut local = Command::new("gcc");
        local.args(["-O2", "-Wall", "-o", name, "-c", &format!("src/u{at}.c")]);
        assert_eq!(run(local.current_dir(project.work())).code(), 0);
        assert!(
            project.object(name) == there[at],
            "{name} differs from a local one"
        );
    }
}

#[test]
fn without_hosts_it_is_compiled_here() {
    let project = Project::new("");
    let objects = project.with_units(3);
    // From elsewhere, by the folder.
    let mut command = project.command(&["compile", "-p"]);
    command.arg(project.work()).current_dir("/");
    let ran = run(&mut command);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(
        ran.out().ends_with("\n      3  here: no-hosts\n"),
        "{}",
        ran.out()
    );
    assert!(
        objects
            .iter()
            .all(|name| project.object(name).starts_with(b"\x7fELF"))
    );
    assert!(
        project
            .rows()
            .iter()
            .all(|row| row.reason.as_deref() == Some("no-hosts"))
    );
}

#[test]
fn the_filter_chooses_by_path() {
    let project = Project::new("");
    project.with_units(12);
    let ran = project.run(&["compile", "--filter", r"/src/u1\d\.c$"]);
    assert_eq!(ran.code(), 0);
    assert!(ran.out().starts_with("2 commands in "), "{}", ran.out());
    let made = fs::read_dir(project.work().join("out/deep"))
        .unwrap()
        .count();
    assert_eq!(made, 2);

    let ran = project.run(&["compile", "--filter", "(?i)/SRC/U1.C", "-j2"]);
    assert!(ran.out().starts_with("1 command in "), "{}", ran.out());
    let ran = project.run(&["compile", "--filter", "nothing"]);
    assert_eq!(ran.code(), 2);
    assert_eq!(
        ran.err(),
        "distcc-launch: compile_commands.json: no source matches --filter; distcc-launch classify --json lists the sources\n"
    );
}

/// A compiler that waits until as many of it are at work as `$TOGETHER` says, and fails when there are ever more.
const MEETING: &str = r#"
case "$1" in -*) exit 1;; esac
touch "$MARKS/in.$$"
echo "begin $1" >&2
n=0
while [ "$(ls "$MARKS" | grep -c '^in\.')" -lt "$TOGETHER" ] && [ ! -e "$MARKS/met" ]; do
    n=$((n + 1)); [ $n -lt 3000 ] || exit 7
    sleep 0.01
done
touch "$MARKS/met"
[ "$(ls "$MARKS" | grep -c '^in\.')" -le "$TOGETHER" ] || exit 8
echo "end $1" >&2
rm "$MARKS/in.$$"
"#;

#[test]
fn so_many_run_at_a_time_and_their_messages_do_not_mix() {
    for (hosts, words, together) in [
        ("--localslots=8 localhost/8", &["compile", "-j", "3"][..], 3),
        ("--localslots=8 localhost/8", &["compile", "-j", "1"], 1),
        ("localhost/4", &["compile"], 4),
    ] {
        let project = Project::new(hosts);
        project.program("gcc", MEETING);
        let names: Vec<String> = (0..8).map(|at| format!("u{at}")).collect();
        let commands: Vec<(String, String)> = names
            .iter()
            .map(|name| (format!("{name}.c"), format!("gcc {name} -o {name}.o")))
            .collect();
        let each: Vec<(&str, &str)> = commands
            .iter()
            .map(|(f, c)| (f.as_str(), c.as_str()))
            .collect();
        project.database(&each);
        let ran = run(project.command(words).env("TOGETHER", together.to_string()));
        assert_eq!(ran.code(), 0, "{words:?}: {}", ran.err());
        let err = ran.err();
        for name in names {
            assert!(
                err.contains(&format!("begin {name}\nend {name}\n")),
                "{err}"
            );
        }
    }
}

#[test]
fn unknown_programs_are_refused_by_name() {
    let project = Project::new("");
    project.with_units(1);
    project.program("nvcc", "touch \"$MARKS/ran\"");
    project.database(&[
        ("k.cu", "nvcc -c k.cu"),
        ("a.c", "gcc -c src/u0.c -o a.o"),
        ("l.cu", "ccache nvcc -c l.cu"),
        ("r.rs", "/bin/rm -rf r.rs"),
    ]);
    let ran = project.run(&["compile"]);
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(
        ran.err().contains(
            "distcc-launch: nvcc is no compiler that is known, so 2 commands are not run (the first: k.cu); --skip-unknown leaves such \
             commands out\n\
             distcc-launch: /bin/rm is no compiler that is known, so 1 command is not run (the first: r.rs); --skip-unknown leaves such \
             commands out\n"
        ),
        "{}",
        ran.err()
    );
    assert!(ran.out().contains(" s, 3 refused\n"), "{}", ran.out());
    assert!(project.object("a.o").starts_with(b"\x7fELF"));

    let ran = project.run(&["compile", "--skip-unknown"]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(ran.out().contains(" s, 3 skipped\n"), "{}", ran.out());
    assert!(!project.marks().join("ran").exists());
}

#[test]
fn the_worst_exit_code_counts() {
    let farm = Farm::ours(1);
    let project = Project::new(&farm.hosts(""));
    project.with_units(2);
    project.write("bad.c", "int f(void) { return nothing; }\n");
    project.program(
        "clang",
        "case \"$1\" in --*|-d*) exit 1;; esac\necho \"no mood\" >&2\nexit 3",
    );
    project.database(&[
        ("bad.c", "gcc -c bad.c -o bad.o"),
        ("src/u0.c", "gcc -c src/u0.c -o u0.o"),
        ("odd.c", "clang odd.c"),
        ("src/u1.c", "gcc -c src/u1.c -o u1.o"),
    ]);
    let ran = project.run(&["compile", "-j", "1"]);
    assert_eq!(ran.code(), 3, "{ran:?}");
    let mut local = Command::new("gcc");
    local
        .args(["-c", "bad.c", "-o", "bad.o"])
        .env_clear()
        .env("PATH", &project.path);
    let local = run(local.current_dir(project.work()));
    let whole = format!("distcc-launch: bad.c failed (exit code 1)\n{}", local.err());
    assert!(ran.err().contains(&whole), "{}\n{whole}", ran.err());
    assert!(
        ran.err()
            .contains("distcc-launch: odd.c failed (exit code 3)\nno mood\n"),
        "{}",
        ran.err()
    );
    assert!(
        ran.out()
            .contains(" s, 2 failed, 1 fell back to this machine\n"),
        "{}",
        ran.out()
    );
    for name in ["u0.o", "u1.o"] {
        assert!(project.object(name).starts_with(b"\x7fELF"), "{name}");
    }
    assert!(!project.work().join("bad.o").exists());
}

#[test]
fn a_folder_that_is_gone_is_told() {
    let project = Project::new("");
    project.write(
        "compile_commands.json",
        r#"[{"directory": "gone", "file": "a.c", "command": "gcc -c a.c"}]"#,
    );
    let ran = project.run(&["compile"]);
    assert_eq!(ran.code(), 126);
    let said = format!(
        "distcc-launch: a.c failed (could not be started: there is no folder {})\n",
        project.work().join("gone").display()
    );
    assert!(ran.err().contains(&said), "{}", ran.err());
}

#[test]
fn one_output_is_made_once() {
    let project = Project::new("");
    project.with_units(1);
    project.database(&[
        ("src/u0.c", "gcc -c src/u0.c -o Debug/a.o"),
        ("src/u0.c", "gcc -c -O2 src/u0.c -oRelease/a.o"),
        ("src/u0.c", "gcc -c -O1 src/u0.c -o ./Debug//a.o"),
        ("src/u0.c", "gcc -c src/u0.c"),
        ("src/u0.c", "gcc -c -O3 src/u0.c"),
        ("src/u0.c", "gcc -fsyntax-only src/u0.c"),
        ("src/u0.c", "gcc -fsyntax-only src/u0.c"),
        ("src/u0.c", "gcc -fsyntax-only -Wall src/u0.c"),
    ]);
    let ran = project.run(&["compile"]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    let out = ran.out();
    assert!(
        out.starts_with("5 commands in ")
            && out.contains(" s, 3 with an output that another one writes\n"),
        "{out}"
    );
    assert_eq!(project.rows().len(), 5);
    for name in ["Debug/a.o", "Release/a.o", "u0.o"] {
        assert!(project.object(name).starts_with(b"\x7fELF"), "{name}");
    }
}

#[test]
fn precompiled_headers_are_made_first() {
    let farm = Farm::ours(1);
    let project = Project::new(&farm.hosts(""));
    let header = "#pragma once\nstatic inline int one(void) { return 1; }\n";
    project.write("out/all.h", header);
    project.write("a.c", "int a(void) { return one(); }\n");
    project.database(&[
        (
            "a.c",
            "gcc -Winvalid-pch -Werror -include out/all.h -c a.c -o out/a.o",
        ),
        ("out/all.h", "gcc -x c-header -c out/all.h -o out/all.h.gch"),
    ]);
    let ran = project.run(&["compile", "-j", "4"]);
    assert_eq!(ran.code(), 0, "{ran:?}");
    let rows = project.rows();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].reason.as_deref(), Some("header-unit"));
    assert!(project.object("out/a.o").starts_with(b"\x7fELF"));
}

#[test]
fn a_terminal_gets_a_bar() {
    let project = Project::new("");
    project.with_units(3);
    let mut command = Command::new("script");
    let line = format!("{} compile", launcher().display());
    command.args(["-qec", &line, "/dev/null"]);
    command.current_dir(project.work()).env_clear();
    command
        .env("PATH", &project.path)
        .env("DISTCC_HOSTS", "")
        .env("TERM", "xterm");
    command
        .env("HOME", project.folder.path())
        .env("SHELL", "/bin/sh");
    let ran = run(&mut command);
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(ran.out().contains("/3  "), "{}", ran.out());
    assert!(
        !ran.out().contains("distcc-launch: 3 of 3"),
        "{}",
        ran.out()
    );
    assert!(
        ran.out().contains("      3  here: no-hosts"),
        "{}",
        ran.out()
    );
}

/// Is a process of this number still there, and no zombie?
fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn signals_end_all_that_runs() {
    for signal in [Signal::INT, Signal::TERM] {
        let project = Project::new("--localslots=8 localhost/8");
        project.program(
            "gcc",
            "case \"$1\" in -*) exit 1;; esac\nsleep 600 &\necho $! $$ > \"$MARKS/draft.$$\"\nmv \"$MARKS/draft.$$\" \"$MARKS/in.$$\"\nwait",
        );
        let commands: Vec<String> = (0..8).map(|at| format!("gcc u{at}")).collect();
        let each: Vec<(&str, &str)> = commands
            .iter()
            .map(|words| ("u.c", words.as_str()))
            .collect();
        project.database(&each);
        let command = project.command(&["compile", "-j", "3"]);
        let mut running = start(&mut with_default_signals(&command));
        let mut pids = Vec::new();
        until("three compilers are at work", || {
            let files = fs::read_dir(project.marks())
                .unwrap()
                .map(|file| file.unwrap().path());
            let files = files.filter(|path| path.to_string_lossy().contains("/in."));
            pids = files
                .flat_map(|path| {
                    let text = fs::read_to_string(path).unwrap();
                    text.split_whitespace()
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                })
                .collect();
            pids.len() == 6
        });
        assert!(pids.iter().all(|pid| alive(pid)));
        running.signal(signal);
        let ran = running.finish();
        assert_eq!(ran.status.signal(), Some(signal.as_raw()), "{ran:?}");
        assert_eq!(
            ran.out().lines().next(),
            Some("stopped after 0 of 8 commands"),
            "{ran:?}"
        );
        until("the compilers are gone", || {
            !pids.iter().any(|pid| alive(pid))
        });
    }
}

/// A compiler that goes on until `marks/go` is there, whatever SIGTERM says.
const STUBBORN: &str = r#"
case "$1" in -*) exit 1;; esac
trap "" TERM
echo $$ > "$MARKS/draft" && mv "$MARKS/draft" "$MARKS/in"
while [ ! -e "$MARKS/go" ]; do sleep 0.01; done
"#;

fn stubborn(project: &Project) {
    project.program("gcc", STUBBORN);
    project.database(&[("u.c", "gcc u")]);
}

#[test]
fn the_second_signal_gives_no_time() {
    let project = Project::new("");
    stubborn(&project);
    let mut running = start(&mut with_default_signals(&project.command(&["compile"])));
    let pid = project.marks().join("in");
    until("the compiler is at work", || pid.exists());
    let pid = fs::read_to_string(pid).unwrap();
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    let ran = running.finish();
    assert!(
        matches!(ran.code(), 130 | 143),
        "the first that was heard: {ran:?}"
    );
    until("the compiler is gone", || !alive(pid.trim()));
}

#[test]
fn signals_that_were_ignored_stay_ignored() {
    let project = Project::new("");
    stubborn(&project);
    let command = project.command(&[]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' HUP; exec \"$0\" compile"])
        .arg(launcher());
    shell.current_dir(project.work()).env_clear();
    shell.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let mut running = start(&mut shell);
    until("the compiler is at work", || {
        project.marks().join("in").exists()
    });
    running.signal(Signal::HUP);
    fs::write(project.marks().join("go"), "").unwrap();
    let ran = running.finish();
    assert_eq!(ran.code(), 0, "{ran:?}");
}

#[test]
fn a_reader_who_leaves_early_is_no_failure() {
    let project = Project::new("");
    let commands: Vec<(&str, &str)> = (0..5000).map(|_| ("a.c", "gcc -c a.c")).collect();
    project.database(&commands);
    let mut command = Command::new("bash");
    command.args(["-c", "set -o pipefail; \"$0\" classify --json | head -n 1"]);
    command.arg(launcher()).current_dir(project.work());
    command
        .env_clear()
        .env("PATH", &project.path)
        .env("HOME", project.folder.path());
    let ran = run(&mut command);
    assert_eq!((ran.code(), ran.err()), (0, String::new()));
    assert_eq!(ran.out().lines().count(), 1);
}
