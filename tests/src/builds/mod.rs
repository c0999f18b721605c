//! Real projects, built by real build tools through the launcher and again without, and the two compared.
//!
//! Both builds run at the same path.  The one without us runs under strace, which tells every compile command that was
//! run; [`rule`] says which of them could have been sent away, and the launcher's journal which of them were.

mod rule;
mod sources;
mod trace;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

pub use self::sources::{copy_tree, crate_source, crates_manifest};
use crate::{
    daemon::{Daemon, Make},
    farm::Farm,
    journal::{Row, read_journal},
    programs,
    run::start,
};

/// A build of a big project on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(1800);

/// The least share of the distributable commands that has to go out, in percent.
const WANTED: usize = 99;

/// One of the two runs of a build, in `work`.
#[derive(Debug)]
pub struct Site<'a> {
    /// The project's folder: the same path in both runs.
    pub work: PathBuf,
    /// Is the launcher to be used?
    pub ours: bool,
    root: &'a Path,
    hosts: String,
    /// Where newer tools than the system's are, if they are wanted.
    tools: Option<PathBuf>,
    step: std::cell::Cell<u32>,
}

impl Site<'_> {
    /// A command in `work` that knows the farm, if it is ours, and nothing else of the environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.work)
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", self.root)
            .env("LC_ALL", "C.UTF-8");
        if self.ours {
            command
                .env("DISTCC_HOSTS", &self.hosts)
                .env("DISTCC_DIR", self.root.join("state"))
                .env("DISTCC_LAUNCH_JOURNAL", self.root.join("journal.jsonl"))
                .env("DISTCC_LAUNCH_LOCAL", "0");
        }
        command
    }

    /// `PATH` of those commands.
    pub fn path(&self) -> OsString {
        let mut path = OsString::new();
        for folder in self.tools.iter().cloned().chain(self.launcher_folder()) {
            path.push(folder);
            path.push(":");
        }
        path.push("/usr/local/bin:/usr/bin:/bin");
        path
    }

    fn launcher_folder(&self) -> Option<PathBuf> {
        let launcher = programs::launcher();
        launcher.parent().filter(|_| self.ours).map(Path::to_owned)
    }

    /// Runs a step of the build, which must end with 0; gives what it printed.
    pub fn step(&self, command: &mut Command) -> String {
        let mut traced;
        let command = if self.ours {
            command
        } else {
            self.step.set(self.step.get() + 1);
            traced = trace::under_strace(command, &self.trace(self.step.get()));
            &mut traced
        };
        let name = format!("{command:?}");
        let ran = start(command).finish_within(LIMIT);
        let out = ran.out();
        assert_eq!(ran.code(), 0, "{name}\n{out}\n{}", ran.err());
        out
    }

    /// Runs a shell script, a step of the build.
    pub fn script(&self, script: &str) -> String {
        self.step(self.command("sh").args(["-ec", script]))
    }

    fn trace(&self, step: u32) -> PathBuf {
        self.root.join(format!("trace.{step}"))
    }
}

/// What a comparison found.
#[derive(Debug)]
pub struct Comparison {
    name: String,
    /// Objects, archives, libraries and programs, equal and not.
    pub equal: usize,
    pub differing: Vec<PathBuf>,
    /// Commands of the build without us that could have been sent, by the test's own rule.
    pub distributable: usize,
    /// Those of them that were sent away and came back, with the same words.
    pub remote: usize,
    /// Those that were.
    there: Vec<String>,
    /// Those that were not, and what the journal says of them.
    here: Vec<String>,
    /// All commands that the launcher was given.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// Both products are the same bytes, and [`WANTED`] percent went out.
    #[track_caller]
    pub fn assert_good(&self) -> &Comparison {
        println!("{self}");
        assert!(self.differing.is_empty(), "{self}");
        assert!(self.equal > 0, "{self}: no product was compared");
        assert!(self.distributable > 0, "{self}: nothing to distribute");
        assert!(self.remote * 100 >= self.distributable * WANTED, "{self}");
        self
    }

    /// The share of those commands alone whose text has `part` in it is good, too.
    #[track_caller]
    pub fn assert_good_for(&self, part: &str) {
        let count = |commands: &[String]| commands.iter().filter(|one| one.contains(part)).count();
        let (there, here) = (count(&self.there), count(&self.here));
        println!("  of {part}: {there} of {}", there + here);
        assert!(there > 0, "{self}: nothing of {part} went out");
        assert!(
            there * 100 >= (there + here) * WANTED,
            "{part}: {here} stayed here\n{self}"
        );
    }

    /// Not one probe was sent away.
    #[track_caller]
    pub fn assert_probes_stayed_here(&self) {
        for row in &self.rows {
            let words = words(row);
            assert!(
                row.place != "remote" || !rule::is_probe(&words[1..]),
                "{}: a probe went out: {words:?}",
                self.name
            );
        }
    }

    /// The launcher was given no command for which `rule` holds.
    #[track_caller]
    pub fn assert_never(&self, what: &str, rule: impl Fn(&[String]) -> bool) {
        for row in &self.rows {
            let words = words(row);
            assert!(!rule(&words), "{}: {what}: {words:?}", self.name);
        }
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} of {} distributable commands went out ({:.1} %), {} products are equal, {} differ {:?}",
            self.name,
            self.remote,
            self.distributable,
            100.0 * self.remote as f64 / self.distributable.max(1) as f64,
            self.equal,
            self.differing.len(),
            &self.differing[..self.differing.len().min(10)]
        )?;
        let here = self.here.iter().take(10);
        here.into_iter()
            .try_for_each(|line| write!(f, "\n  here: {line}"))
    }
}

/// A project to build twice.
#[derive(Debug)]
pub struct Project {
    name: String,
    root: TempDir,
    farm: Farm,
    tools: Option<PathBuf>,
    /// Only products below folders of this name are compared, if there is one.
    below: Option<&'static str>,
}

impl Project {
    pub fn new(name: impl Into<String>) -> Project {
        let root = tempfile::Builder::new()
            .prefix("build-")
            .tempdir()
            .expect("a folder can be made");
        fs::create_dir(root.path().join("state")).expect("a folder can be made");
        Project {
            name: name.into(),
            root,
            farm: Farm::with(Make::Ours, 2, &[]),
            tools: None,
            below: None,
        }
    }

    /// With the newest tools of PyPI before the system's.
    #[must_use]
    pub fn newest_tools(mut self) -> Project {
        let ninja = programs::newest("ninja");
        self.tools = ninja.parent().map(Path::to_owned);
        self
    }

    /// Compares only products below folders of this name.
    #[must_use]
    pub fn below(mut self, name: &'static str) -> Project {
        self.below = Some(name);
        self
    }

    fn site(&self, ours: bool) -> Site<'_> {
        let host = |(at, daemon): (usize, &Daemon)| {
            format!(
                "{}/3{}",
                daemon.host(),
                if at % 2 == 1 { ",lzo" } else { "" }
            )
        };
        let hosts: Vec<String> = self.farm.daemons.iter().enumerate().map(host).collect();
        Site {
            work: self.root.path().join("work"),
            ours,
            root: self.root.path(),
            hosts: hosts.join(" "),
            tools: self.tools.clone(),
            step: std::cell::Cell::new(0),
        }
    }

    /// Builds what `fill` puts into the folder, by `build`, through the launcher and without.
    pub fn compare(&self, fill: impl Fn(&Path), build: impl Fn(&Site<'_>)) -> Comparison {
        let root = self.root.path();
        let run = |ours: bool| -> Site<'_> {
            let site = self.site(ours);
            fs::create_dir(&site.work).expect("a folder can be made");
            fill(&site.work);
            build(&site);
            site
        };
        let ours = run(true);
        let kept = root.join("through-us");
        fs::rename(&ours.work, &kept).expect("a folder can be renamed");
        let plain = run(false);
        let commands: Vec<Vec<String>> = (1..=plain.step.get())
            .flat_map(|step| trace::compile_commands(&plain.trace(step)))
            .collect();
        let rows = read_journal(&root.join("journal.jsonl"));
        let (equal, differing) = self.products(&plain.work, &kept);
        let mut comparison = Comparison {
            name: self.name.clone(),
            equal,
            differing,
            distributable: 0,
            remote: 0,
            there: Vec::new(),
            here: Vec::new(),
            rows,
        };
        comparison.count(&commands, &plain.work);
        comparison
    }

    /// How many products are the same in both folders, and which are not.
    fn products(&self, plain: &Path, ours: &Path) -> (usize, Vec<PathBuf>) {
        let mut names = Vec::new();
        list(plain, &mut names);
        let (mut equal, mut differing) = (0, Vec::new());
        for path in names {
            let name = path.strip_prefix(plain).expect("listed below it");
            let chosen = self
                .below
                .is_none_or(|below| name.components().any(|part| part.as_os_str() == below));
            if !chosen {
                continue;
            }
            let bytes = fs::read(&path).expect("a listed file can be read");
            // CMake's own question, asked in a folder of a random name.
            let is_question = name
                .to_string_lossy()
                .contains("CMakeDetermineCompilerABI_");
            if is_question || !is_product(&bytes) {
                continue;
            }
            match fs::read(ours.join(name)) {
                Ok(other) if other == bytes => equal += 1,
                _ => differing.push(name.to_owned()),
            }
        }
        (equal, differing)
    }
}

impl Comparison {
    /// Looks each distributable command up in the journal, by all its words but the compiler's name.
    fn count(&mut self, commands: &[Vec<String>], work: &Path) {
        let mut seen: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            let key = words(row).split_off(1);
            seen.entry(key).or_default().push(row);
        }
        let wanted = commands
            .iter()
            .filter(|command| rule::is_distributable(command, work));
        for command in wanted {
            self.distributable += 1;
            let key = &command[1..];
            let row = seen.get_mut(key).and_then(Vec::pop);
            match row {
                Some(row) if row.place == "remote" && !row.fell_back && row.status == Some(0) => {
                    self.remote += 1;
                    self.there.push(command.join(" "));
                }
                other => {
                    let mut line = command.join(" ");
                    let why = other.map(|row| (&row.reason, &row.attempts));
                    let _ = write!(line, "\n    {why:?}");
                    self.here.push(line);
                }
            }
        }
    }
}

fn words(row: &Row) -> Vec<String> {
    let text = |word: &crate::Text| word.0.to_string_lossy().into_owned();
    row.command.iter().map(text).collect()
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let entry = entry.expect("a folder can be read");
        let kind = entry.file_type().expect("an entry has a type");
        if kind.is_dir() {
            list(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// Objects, libraries and programs, by how they begin.
fn is_product(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"!<arch>\n")
}
