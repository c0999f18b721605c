//! How wide builds are: all remote slots are filled, by `run` and by lending tokens alone, and this machine never does more than its
//! local slots allow.
//!
//! Hosts are sleepers with 12 slots in all; the list gives this machine two.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tests::{
    Ran, Sleepers, data, fake_cc, launcher, newest, read_journal, run, script, start, until,
};

const SOURCE: &str = "int answer(void) { return 42; }\n";
const UNITS: usize = 40;
const SLOTS: usize = 12;
/// What token lending alone has to reach with two local slots.
const LENT: usize = 10;

/// A project of many units, and a farm of sleepers.
struct Project {
    folder: TempDir,
    farm: Sleepers,
    path: OsString,
}

impl Project {
    /// One whose sleepers wait until `wanted` of them are there.
    fn waiting_for(wanted: usize) -> Project {
        let folder = tempfile::Builder::new().prefix("width-").tempdir().unwrap();
        for name in ["project", "state", "tools", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("project/a.c"), SOURCE).unwrap();
        let mut path = folder.path().join("tools").into_os_string();
        path.push(":");
        path.push(launcher().parent().unwrap());
        path.push(":/usr/local/bin:/usr/bin:/bin");
        Project {
            folder,
            farm: Sleepers::until(wanted, SOURCE),
            path,
        }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root().join("project").join(name)
    }

    /// Its sleepers do not sleep for ever: ninja looks for tokens only when a job has ended.  The longer they sleep, the less a busy
    /// machine matters.
    fn napping(mut self) -> Project {
        self.farm = Sleepers::napping(Duration::from_secs(6), LENT, SOURCE);
        self
    }

    /// With a Ninja file whose compiles go through the launcher.
    fn with_ninja(self) -> Project {
        let mut text = String::from("rule cc\n  command = distcc-launch gcc -c $in -o $out\n");
        for unit in 0..UNITS {
            text += &format!("build {unit}.o: cc a.c\n");
        }
        fs::write(self.file("build.ninja"), text).unwrap();
        self
    }

    /// With a Makefile; `before` stands before each compile.
    fn with_make(self, before: &str) -> Project {
        let mut text = format!("all: $(patsubst %,%.o,$(shell seq {UNITS})); @:\n");
        text += &format!("%.o: a.c\n\t{before}distcc-launch gcc -c a.c -o $@\n");
        fs::write(self.file("Makefile"), text).unwrap();
        self
    }

    /// With a crate that compiles C.
    fn with_cargo(self) -> Project {
        let manifest = "[package]\nname = \"wide\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                        [lib]\npath = \"lib.rs\"\n[build-dependencies]\n\
                        cc = { version = \"1\", features = [\"parallel\"] }\n[workspace]\n";
        let build = format!(
            "fn main() {{ let mut build = cc::Build::new();\n for unit in 0..{UNITS} {{ build.file(format!(\"{{unit}}.c\")); }}\n\
             build.compile(\"units\"); }}\n"
        );
        for (name, text) in [
            ("Cargo.toml", manifest),
            ("build.rs", &build),
            ("lib.rs", ""),
        ] {
            fs::write(self.file(name), text).unwrap();
        }
        for unit in 0..UNITS {
            fs::write(self.file(&format!("{unit}.c")), "").unwrap();
        }
        self
    }

    /// With a make that says it is new, and does as the shell script `text` says.
    fn with_new_make(self, text: &str) -> Project {
        let text = format!("case $1 in --version) echo 'GNU Make 4.4.1'; exit ;; esac\n{text}");
        for name in ["make", "gmake"] {
            script(&self.root().join("tools").join(name), &text);
        }
        self
    }

    /// A command that knows the farm, and nothing else of the environment.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.root().join("project"))
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.root())
            .env("TMPDIR", self.root().join("tmp"))
            .env(
                "DISTCC_HOSTS",
                format!("--localslots=2 {}/{SLOTS}", self.farm.host()),
            )
            .env("DISTCC_DIR", self.root().join("state"))
            .env("DISTCC_LAUNCH_LOCAL", "0");
        command
    }

    /// cargo with the compilers that the `cc` crate is to use; the toolchain and the registry are the person's own.
    fn cargo(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command(program);
        for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let mut path = self.path.clone();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command
            .env("PATH", path)
            .env("CARGO_TARGET_DIR", self.root().join("target"))
            .env("CC", "distcc-launch gcc")
            .env("CC_KNOWN_WRAPPER_CUSTOM", "distcc-launch");
        command
    }

    /// `distcc-launch run` before `words`.
    fn run(&self, words: &[&OsStr]) -> Command {
        let mut command = self.command("distcc-launch");
        command
            .args(["run", "--require-remote=99", "--"])
            .args(words);
        command
    }

    fn journal(&self) -> PathBuf {
        self.root().join("state/journal.jsonl")
    }

    /// Builds; every slot was filled.
    fn fills_all_slots(&self, command: &mut Command) -> Ran {
        let ran = succeeds(command);
        assert_eq!(self.farm.most(), SLOTS, "{command:?}\n{}", ran.err());
        ran
    }

    fn fills_by_lending(&self, command: &mut Command) -> Ran {
        let ran = succeeds(command);
        let most = self.farm.most();
        assert!(
            (LENT..=SLOTS).contains(&most),
            "{most}: {command:?}\n{}",
            ran.err()
        );
        ran
    }
}

fn succeeds(command: &mut Command) -> Ran {
    let ran = run(command);
    assert_eq!(ran.code(), 0, "{command:?}\n{}\n{}", ran.out(), ran.err());
    ran
}

fn os<'a>(words: &'a [&'a str]) -> Vec<&'a OsStr> {
    words.iter().map(OsStr::new).collect()
}

/// What a run says when all went to the farm.
fn says_all_went(ran: &Ran, project: &Project) {
    let expected = format!(
        "distcc-launch: {UNITS} units: {UNITS} remote ({} {UNITS}), 0 local, none fell back; about ",
        project.farm.host()
    );
    let text = ran.err();
    let last = text.lines().last().unwrap_or_default();
    assert!(
        last.starts_with(&expected) && last.ends_with(" saved"),
        "{text}"
    );
    assert_eq!(text.matches("distcc-launch:").count(), 1, "{text}");
}

#[test]
fn run_fills_the_slots_through_an_old_ninja() {
    let project = Project::waiting_for(SLOTS).with_ninja();
    let ran = project.fills_all_slots(&mut project.run(&os(&["/usr/bin/ninja"])));
    says_all_went(&ran, &project);
}

#[test]
fn run_fills_the_slots_through_a_new_ninja() {
    let ninja = newest("ninja");
    let seen = |project: Project| {
        // A rule that shows what ninja was told.
        let text = fs::read_to_string(project.file("build.ninja")).unwrap();
        let shows = "rule show\n  command = echo \"flags $$MAKEFLAGS\"\nbuild show: show\n";
        fs::write(project.file("build.ninja"), text + shows).unwrap();
        let ran = project.fills_all_slots(&mut project.run(&[ninja.as_os_str()]));
        says_all_went(&ran, &project);
        ran.out()
    };
    // By a fifo, if no make that would end at the sight of it is there.
    let project = Project::waiting_for(SLOTS).with_ninja();
    let out = seen(project.with_new_make(""));
    assert!(out.contains("flags  -j14 --jobserver-auth=fifo:"), "{out}");
    let out = seen(Project::waiting_for(SLOTS).with_ninja());
    assert!(out.contains("flags \n"), "{out}");
}

#[test]
fn run_fills_the_slots_through_make() {
    let project = Project::waiting_for(SLOTS).with_make("");
    let ran = project.fills_all_slots(&mut project.run(&os(&["make"])));
    says_all_went(&ran, &project);
    assert!(!ran.err().contains("jobserver"), "{}", ran.err());

    let project = Project::waiting_for(SLOTS).with_ninja();
    let joins = format!("exec {} \"$@\"", newest("ninja").display());
    let project = project.with_new_make(&joins);
    project.fills_all_slots(&mut project.run(&os(&["make"])));
}

#[test]
fn run_fills_the_slots_through_cargo() {
    let pipe = Project::waiting_for(SLOTS).with_cargo();
    let fifo = Project::waiting_for(SLOTS).with_cargo().with_new_make("");
    for project in [pipe, fifo] {
        let mut command = project.cargo("distcc-launch");
        command.args(["run", "--require-remote=99"]);
        command.arg(env!("CARGO")).arg("build");
        let ran = project.fills_all_slots(&mut command);
        says_all_went(&ran, &project);
        let state = project.root().join("state");
        assert!(!state.join("tokens").exists(), "nothing was ever lent");
    }
}

#[test]
fn run_fills_the_slots_through_cmake_and_scripts() {
    let cmake = "cmake_minimum_required(VERSION 3.16)\nproject(wide C)\nadd_library(wide OBJECT)\n\
                 foreach(unit RANGE 1 40)\n  file(WRITE ${CMAKE_BINARY_DIR}/${unit}.c \"\")\n\
                 target_sources(wide PRIVATE ${CMAKE_BINARY_DIR}/${unit}.c)\nendforeach()\n";
    for generator in ["Ninja", "Unix Makefiles"] {
        let project = Project::waiting_for(SLOTS);
        fs::write(project.file("CMakeLists.txt"), cmake).unwrap();
        succeeds(project.command("cmake").args([
            "-B",
            "build",
            "-G",
            generator,
            "-DCMAKE_C_COMPILER_LAUNCHER=distcc-launch",
        ]));
        project.fills_all_slots(&mut project.run(&os(&["cmake", "--build", "build"])));
    }
    let project = Project::waiting_for(SLOTS).with_make("");
    let script = project.run(&os(&["sh", "-c", "make all && echo made"]));
    let ran = project.fills_all_slots(&mut { script });
    assert!(ran.out().ends_with("made\n"), "{}", ran.out());
}

/// A jobserver with two slots, as make 4.4 on this machine would be one.
fn two_slots(project: &Project, style: &str) -> Command {
    let mut command = project.command("/usr/bin/python3");
    command.arg(data("tools/jobserver.py")).args(["2", style]);
    command
}

#[test]
fn lending_fills_the_slots_through_a_new_ninja() {
    let project = Project::waiting_for(LENT).napping().with_ninja();
    let mut command = two_slots(&project, "fifo");
    let ran = project.fills_by_lending(command.arg(newest("ninja")));
    assert!(ran.out().ends_with("tokens left 1 of 1\n"), "{}", ran.out());
    assert_eq!(read_journal(&project.journal()).len(), UNITS);
}

#[test]
fn lending_fills_the_slots_through_make_where_recipes_see_its_jobserver() {
    let project = Project::waiting_for(LENT).with_make("+");
    let ran = project.fills_by_lending(project.command("make").arg("-j2"));
    // make counts its tokens when it ends, and complains.
    assert!(!ran.err().contains("INTERNAL"), "{}", ran.err());
    let project = Project::waiting_for(LENT).with_make("+");
    let mut command = two_slots(&project, "pipe");
    let ran = project.fills_by_lending(command.arg("make"));
    assert!(ran.out().ends_with("tokens left 1 of 1\n"), "{}", ran.out());
}

#[test]
fn lending_keeps_what_runs_here_within_the_jobserver() {
    let project = Project::waiting_for(LENT).napping().with_ninja();
    let mut text = fs::read_to_string(project.file("build.ninja")).unwrap();
    text += "rule link\n  command = : > link.$out; ls link.* | wc -l >> links; sleep 0.05; rm link.$out; : > $out\n";
    for unit in 0..UNITS {
        text += &format!("build {unit}.out: link {unit}.o\nbuild first{unit}.out: link\n");
    }
    fs::write(project.file("build.ninja"), text).unwrap();
    let mut command = two_slots(&project, "fifo");
    let ran = succeeds(command.arg(newest("ninja")));
    assert!(ran.out().ends_with("tokens left 1 of 1\n"), "{}", ran.out());
    let links = fs::read_to_string(project.file("links")).unwrap();
    let links: Vec<usize> = links
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect();
    assert_eq!(links.len(), 2 * UNITS);
    assert_eq!(links.iter().max(), Some(&2));
    let farm = &project.farm;
    assert!(farm.most() > 2, "jobs were out meanwhile: {}", farm.most());
}

#[test]
fn lending_fills_the_slots_through_a_plain_cargo_build() {
    let project = Project::waiting_for(LENT).with_cargo();
    let mut command = project.cargo(env!("CARGO"));
    // As on a machine with two processors.
    project.fills_by_lending(command.args(["build", "-j2"]));
}

#[test]
fn a_run_inside_a_jobserver_joins_it() {
    let project = Project::waiting_for(LENT).napping().with_ninja();
    let mut command = two_slots(&project, "fifo");
    command.args(["distcc-launch", "run"]).arg(newest("ninja"));
    let ran = project.fills_by_lending(&mut command);
    assert!(ran.out().ends_with("tokens left 1 of 1\n"), "{}", ran.out());
    says_all_went(&ran, &project);
}

#[test]
fn nobody_lends_within_a_run_that_counted_the_slots() {
    // 14 jobs at a time is what was asked for; lending would make more of them.
    let project = Project::waiting_for(SLOTS).with_ninja().with_new_make("");
    let mut text = fs::read_to_string(project.file("build.ninja")).unwrap();
    text += "rule here\n  command = : > here.$out; ls here.* | wc -l > $out; until [ -e 1.o ]; do sleep 0.01; done\n";
    for unit in 0..20 {
        text += &format!("build {unit}.here: here\n");
    }
    fs::write(project.file("build.ninja"), text).unwrap();
    succeeds(&mut project.run(&[newest("ninja").as_os_str()]));
    let state = project.root().join("state");
    assert!(!state.join("tokens").exists(), "nothing was ever lent");
}

#[test]
fn local_compilers_keep_to_their_slots_when_every_daemon_dies() {
    const WIDE: usize = 200;
    let mut project = Project::waiting_for(usize::MAX);
    let cc = project.root().join("gcc");
    let seen = project.root().join("seen");
    fs::create_dir(&seen).unwrap();
    // Preprocessing is another matter.
    let text = format!(
        "case \" $* \" in *' -E '*) exec /usr/bin/gcc \"$@\" ;; esac\n\
         cd {}; : > running.$$; ls running.* | wc -l >> counts; cd - > /dev/null\n\
         /usr/bin/gcc \"$@\"; code=$?; rm {}/running.$$; exit $code",
        seen.display(),
        seen.display()
    );
    fake_cc(&cc, &text);
    let mut build = format!(
        "rule cc\n  command = distcc-launch {} -c $in -o $out\n",
        cc.display()
    );
    for unit in 0..WIDE {
        build += &format!("build {unit}.o: cc a.c\n");
    }
    fs::write(project.file("build.ninja"), build).unwrap();
    let mut running = start(project.command("ninja").args(["-j200"]));
    until("all slots are taken", || {
        assert!(!running.has_ended());
        project.farm.asleep() == SLOTS
    });
    // All connections close, and nobody listens any more.
    project.farm = Sleepers::until(0, SOURCE);
    let ran = running.finish();
    assert_eq!(ran.code(), 0, "{}\n{}", ran.out(), ran.err());
    let counts = fs::read_to_string(seen.join("counts")).unwrap();
    let counts: Vec<usize> = counts
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect();
    assert_eq!(counts.len(), WIDE);
    assert_eq!(counts.iter().max(), Some(&2));
    let rows = read_journal(&project.journal());
    assert_eq!(rows.iter().filter(|row| row.place == "local").count(), WIDE);
    assert!(rows.iter().filter(|row| row.fell_back).count() >= SLOTS);
}
