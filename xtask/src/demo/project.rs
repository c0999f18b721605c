//! libgit2: its source out of a crate that cargo downloads, its build folder, its units.

use super::say;
use crate::workspace;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version is fixed so that everybody sees the same demo.
const MANIFEST: &str = "\
[package]
name = \"demo-source\"
version = \"0.0.0\"
edition = \"2021\"

[lib]
path = \"lib.rs\"

[dependencies]
libgit2-sys = { version = \"=0.18.8\", default-features = false }

[workspace]
";

/// Release without `-g`, and nothing that would need libraries of the system's.
const SETTINGS: &[&str] = &[
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_CLI=OFF",
    "-DUSE_SSH=OFF",
    "-DUSE_HTTPS=OFF",
    "-DUSE_BUNDLED_ZLIB=ON",
    "-DREGEX_BACKEND=builtin",
];

/// What would make the two builds differ from each other, or one person's from another's.
const CLEARED: &[&str] = &[
    "CC",
    "CXX",
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "CMAKE_GENERATOR",
    "CMAKE_TOOLCHAIN_FILE",
    "CMAKE_C_COMPILER_LAUNCHER",
    "CMAKE_CXX_COMPILER_LAUNCHER",
    "CMAKE_BUILD_PARALLEL_LEVEL",
    "CCACHE_PREFIX",
    "MAKEFLAGS",
    "CARGO_MAKEFLAGS",
    "SOURCE_DATE_EPOCH",
    "LD_LIBRARY_PATH", // `cargo run` sets it, and every program would search there for its libraries
    "TMPDIR",
];

/// A project's source, copied to where it may be built.
pub(super) struct Project {
    folder: PathBuf,
    name: String,
}

/// A configured build folder.
pub(super) struct Tree(PathBuf);

/// One C file that is compiled.
pub(super) struct Unit {
    pub(super) source: PathBuf,
    /// Relative to the build folder.
    pub(super) object: PathBuf,
    /// Where the command runs.
    pub(super) directory: PathBuf,
    pub(super) command: Vec<OsString>,
}

impl Project {
    /// Lets cargo download the crate, and copies the C source in it into `folder`.
    pub(super) fn fetch(folder: &Path) -> Result<Project> {
        let (crate_folder, version) = crate_source(&folder.join("crate"))?;
        let from = crate_folder.join("libgit2");
        if !from.join("CMakeLists.txt").is_file() {
            bail!(
                "the crate libgit2-sys {version} in {} has no CMakeLists.txt",
                from.display()
            );
        }
        let to = folder.join("source");
        // Afresh each time: a copy that was stopped half-way would be a puzzle.
        replace(&to, |to| copy_tree(&from, to)).context("could not copy libgit2's source")?;
        let name = format!("libgit2 (libgit2-sys {version})");
        Ok(Project {
            folder: folder.to_owned(),
            name,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Configures a new build folder, at the same path each time; through `launcher` by way of our CMake module.
    pub(super) fn configure(&self, launcher: Option<&Path>, hosts: &str) -> Result<Tree> {
        let tree = self.folder.join("build");
        remove_tree(&tree)?;
        let mut cmake = Command::new("cmake");
        cmake
            .arg("-S")
            .arg(self.folder.join("source"))
            .arg("-B")
            .arg(&tree);
        cmake
            .args(["-G", "Ninja", "-DCMAKE_C_COMPILER=gcc"])
            .args(SETTINGS);
        clear(&mut cmake);
        if let Some(launcher) = launcher {
            let module = workspace::root().join("integrations/cmake/DistccLaunch.cmake");
            cmake
                .args(integration_cmake::configure_args(launcher, &module))
                .env("DISTCC_HOSTS", hosts);
        }
        let said = workspace::output(&mut cmake).context("could not configure libgit2")?;
        for line in said
            .lines()
            .filter(|line| line.starts_with("-- distcc-launch"))
        {
            say(line);
        }
        Ok(Tree(tree))
    }
}

impl Tree {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The command that builds everything, `width` jobs at a time; what it prints goes to standard error.
    pub(super) fn ninja(&self, width: usize) -> Command {
        let mut ninja = Command::new("ninja");
        ninja
            .arg("-C")
            .arg(&self.0)
            .arg(format!("-j{width}"))
            .stdout(io::stderr());
        clear(&mut ninja);
        ninja
    }

    /// All C files of the project, as CMake lists them: the rule for what could be distributed is not the launcher's.
    pub(super) fn units(&self) -> Result<Vec<Unit>> {
        #[derive(Deserialize)]
        struct Entry {
            directory: PathBuf,
            command: String,
            file: PathBuf,
        }
        let path = self.0.join("compile_commands.json");
        let text = fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        let entries: Vec<Entry> = serde_json::from_slice(&text)
            .with_context(|| format!("{} is broken", path.display()))?;
        let unit = |entry: Entry| -> Result<Unit> {
            let command = shlex::split(&entry.command).context("a command has an open quote")?;
            let output = command
                .iter()
                .position(|word| word == "-o")
                .and_then(|at| command.get(at + 1));
            let object = output
                .with_context(|| format!("no -o in: {}", entry.command))?
                .into();
            let command = command.into_iter().map(OsString::from).collect();
            Ok(Unit {
                source: entry.file,
                object,
                directory: entry.directory,
                command,
            })
        };
        let is_c = |entry: &Entry| {
            entry
                .file
                .extension()
                .is_some_and(|extension| extension == "c")
        };
        entries.into_iter().filter(is_c).map(unit).collect()
    }

    /// Moves the build folder aside, so that the next one can have its path.
    pub(super) fn keep_as(self, name: &str) -> Result<PathBuf> {
        let kept = self.0.with_file_name(name);
        remove_tree(&kept)?;
        fs::rename(&self.0, &kept)
            .with_context(|| format!("could not rename {}", self.0.display()))?;
        Ok(kept)
    }
}

/// The folder and the version of the crate, downloaded if it is not here yet.
fn crate_source(folder: &Path) -> Result<(PathBuf, String)> {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        manifest_path: PathBuf,
    }
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("Cargo.toml"), MANIFEST)?;
        fs::write(folder.join("lib.rs"), "")
    };
    write().with_context(|| format!("could not write into {}", folder.display()))?;
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(folder)
        .args(["metadata", "--format-version", "1"]);
    let text = workspace::output(&mut cargo)
        .context("could not download libgit2-sys; is crates.io reachable?")?;
    let metadata: Metadata =
        serde_json::from_str(&text).context("cargo metadata printed something unexpected")?;
    let found = metadata
        .packages
        .into_iter()
        .find(|package| package.name == "libgit2-sys");
    let package = found.context("cargo metadata does not list libgit2-sys")?;
    let source = package
        .manifest_path
        .parent()
        .context("a manifest lies in no folder")?;
    Ok((source.to_owned(), package.version))
}

/// Leaves in the environment of `command` only what the demo means to be there.
pub(super) fn clear(command: &mut Command) {
    workspace::without_distcc_settings(command);
    for name in CLEARED {
        command.env_remove(name);
    }
}

fn remove_tree(tree: &Path) -> Result<()> {
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", tree.display()))
        }
        _ => Ok(()),
    }
}

/// Makes `tree` anew with `fill`.
fn replace(tree: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    remove_tree(tree)?;
    fill(tree).with_context(|| format!("could not fill {}", tree.display()))
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
