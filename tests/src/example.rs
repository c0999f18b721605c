//! The example of an integration, in a folder of its own, and the tools that build it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    journal::{Row, read_journal},
    programs::{launcher, newest},
    run::{Ran, run},
};

/// A copy of an integration's example in a folder of its own, and what a client needs besides.
#[derive(Debug)]
pub struct Example {
    folder: TempDir,
    hosts: String,
    /// Where newer tools than the system's are, if they are wanted.
    tools: Option<PathBuf>,
}

impl Example {
    pub fn of(integration: &str, hosts: &str) -> Example {
        let folder = tempfile::Builder::new()
            .prefix("example-")
            .tempdir()
            .expect("the harness works");
        let from = integrations().join(integration).join("example");
        fs::create_dir(folder.path().join("project")).expect("the harness works");
        fs::create_dir(folder.path().join("state")).expect("the harness works");
        for file in fs::read_dir(from)
            .expect("the harness works")
            .map(Result::unwrap)
        {
            if file.file_type().expect("the harness works").is_file() {
                let to = folder.path().join("project").join(file.file_name());
                fs::copy(file.path(), to).expect("the harness works");
            }
        }
        Example {
            folder,
            hosts: hosts.to_owned(),
            tools: None,
        }
    }

    /// With the newest tools of PyPI before the system's.
    #[must_use]
    pub fn newest_tools(mut self) -> Example {
        self.tools = newest("cmake").parent().map(Path::to_owned);
        self
    }

    /// One with the system's tools, and one with the newest.
    pub fn old_and_new(integration: &str, hosts: &str) -> [Example; 2] {
        let new = Example::of(integration, hosts).newest_tools();
        [Example::of(integration, hosts), new]
    }

    /// Its root: `HOME` of its commands.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub fn build(&self) -> PathBuf {
        self.folder.path().join("build")
    }

    /// A command that knows the farm, with the launcher in `PATH`, and nothing else of the environment.
    pub fn command(&self, program: &str) -> Command {
        let mut path = OsString::from(launcher().parent().expect("the harness works"));
        if let Some(tools) = &self.tools {
            path.push(":");
            path.push(tools);
        }
        path.push(":/usr/local/bin:/usr/bin:/bin");
        let mut command = Command::new(program);
        command
            .current_dir(self.project())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("DISTCC_HOSTS", &self.hosts)
            .env("DISTCC_DIR", self.folder.path().join("state"))
            .env("DISTCC_LAUNCH_JOURNAL", self.journal())
            .env("DISTCC_LAUNCH_LOCAL", "0");
        command
    }

    pub fn journal(&self) -> PathBuf {
        self.folder.path().join("journal.jsonl")
    }

    pub fn rows(&self) -> Vec<Row> {
        read_journal(&self.journal())
    }

    /// Configures a fresh build folder; gives what CMake printed.
    pub fn configure(&self, generator: &str, arguments: &[String]) -> String {
        if self.build().exists() {
            fs::remove_dir_all(self.build()).expect("the harness works");
        }
        let mut cmake = self.command("cmake");
        cmake
            .arg("-S")
            .arg(self.project())
            .arg("-B")
            .arg(self.build());
        succeeds(cmake.args(["-G", generator]).args(arguments))
    }

    /// Builds and runs the program; gives every object, by its path in the build folder.
    pub fn build_with_cmake(&self, program: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        succeeds(self.command("cmake").arg("--build").arg(self.build()));
        let program = self.build().join(program);
        assert_eq!(succeeds(&mut Command::new(program)), "42\n");
        objects(&self.build())
    }

    /// The text of the file in which a Ninja generator declares pools.
    pub fn rules(&self) -> String {
        let single = self.build().join("CMakeFiles/rules.ninja");
        fs::read_to_string(single).expect("the harness works")
    }
}

fn integrations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../integrations")
}

/// The CMake module's path.
pub fn module() -> String {
    integrations()
        .join("cmake/DistccLaunch.cmake")
        .canonicalize()
        .expect("the harness works")
        .display()
        .to_string()
}

/// What makes CMake use the module.
pub fn through_the_module() -> Vec<String> {
    vec![format!("-DCMAKE_PROJECT_INCLUDE={}", module())]
}

/// Runs `command`, which must end with 0; gives what it printed.
pub fn succeeds(command: &mut Command) -> String {
    let ran: Ran = run(command);
    assert_eq!(ran.code(), 0, "{command:?}\n{}\n{}", ran.out(), ran.err());
    ran.out()
}

/// All objects below `folder`.
pub fn objects(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)
        .expect("the harness works")
        .map(Result::unwrap)
    {
        if entry.file_type().expect("the harness works").is_dir() {
            found.extend(objects(&entry.path()));
        } else if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "o")
        {
            found.insert(
                entry.path(),
                fs::read(entry.path()).expect("the harness works"),
            );
        }
    }
    found
}

/// Every row is a compile that went out and came back, and there are `count` of them.
pub fn assert_all_remote(rows: &[Row], count: usize) {
    let remote = |row: &&Row| row.place == "remote" && !row.fell_back && row.status == Some(0);
    assert_eq!(rows.iter().filter(remote).count(), count, "{rows:#?}");
    assert_eq!(rows.len(), count, "{rows:#?}");
}
