//! Where the programs under test are.
//!
//! `DISTCC_LAUNCH_BIN_DIR` names their folder (`cargo xtask test` sets it); without it they are built here, so that
//! `cargo test -p tests` alone never meets stale ones.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Our launcher, `distcc-launch`.
pub fn launcher() -> PathBuf {
    ours().join("distcc-launch")
}

/// Our daemon, `distcc-launchd`.
pub fn launcher_daemon() -> PathBuf {
    ours().join("distcc-launchd")
}

/// Our include server, `include-server`.
pub fn include_server() -> PathBuf {
    ours().join("include-server")
}

/// Our browser for multicast DNS, `zeroconf-browser`.
pub fn zeroconf_browser() -> PathBuf {
    ours().join("zeroconf-browser")
}

/// The stock client of Debian's `distcc` package.
pub fn distcc() -> PathBuf {
    installed("distcc")
}

/// The stock daemon.
pub fn distccd() -> PathBuf {
    installed("distccd")
}

/// Stock's script for pump mode, as Debian calls it.
pub(crate) fn distcc_pump() -> PathBuf {
    installed("distcc-pump")
}

/// A build tool from PyPI (`cmake`, `meson`, `ninja`), newer than the system's.
///
/// `DISTCC_LAUNCH_TOOLS` names their folder (`cargo xtask test` sets it); without it `cargo xtask tools` is asked.
pub fn newest(name: &str) -> PathBuf {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| match env::var_os("DISTCC_LAUNCH_TOOLS") {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => tools_now(),
    });
    match folder {
        Ok(folder) => folder.join(name),
        Err(why) => panic!("{why}"),
    }
}

fn tools_now() -> Result<PathBuf, String> {
    let done = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet", "--package", "xtask", "--", "tools"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    let folder = String::from_utf8_lossy(&done.stdout).trim_end().to_owned();
    match done.status.success() && !folder.is_empty() {
        true => Ok(folder.into()),
        false => Err("cargo xtask tools failed; run it to see why".into()),
    }
}

/// The cargo that built these tests, with the person's toolchain and registry; `first` goes first in its `PATH`.
///
/// The toolchain's own folder goes before rustup's: in the folder of a crate with a rust-toolchain.toml, rustup's rustc would
/// install what that asks for, for everybody on this machine.
pub fn cargo(mut command: Command, first: &OsStr) -> Command {
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    let toolchain = Path::new(env!("CARGO")).parent().map(Path::to_owned);
    let own = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(first)
        .chain(toolchain)
        .chain(env::split_paths(&own));
    let path = env::join_paths(folders).expect("folders of a PATH make a PATH");
    command.env("PATH", path).env("RUSTUP_AUTO_INSTALL", "0");
    command
}

fn installed(name: &str) -> PathBuf {
    let path = Path::new("/usr/bin").join(name);
    assert!(
        path.exists(),
        "{} is missing: install Debian's packages distcc and distcc-pump",
        path.display()
    );
    path
}

fn ours() -> &'static Path {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| match env::var_os("DISTCC_LAUNCH_BIN_DIR") {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => built_now(),
    });
    match folder {
        Ok(folder) => folder,
        Err(why) => panic!("{why}"),
    }
}

/// Builds the programs.  One test process does it at a time; the later ones find all fresh.
fn built_now() -> Result<PathBuf, String> {
    let lock = File::create(env::temp_dir().join("distcc-launch-tests-build.lock"))
        .map_err(|error| format!("the temporary directory cannot be written: {error}"))?;
    lock.lock()
        .map_err(|error| format!("no file can be locked: {error}"))?;
    let done = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "-p",
            "launcher",
            "-p",
            "daemon",
            "-p",
            "include-server",
            "-p",
            "zeroconf-browser",
            "--message-format=json",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    if !done.status.success() {
        return Err("the programs under test do not build".into());
    }
    String::from_utf8_lossy(&done.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .find(|path| path.ends_with("distcc-launch"))
        .and_then(|path| path.parent().map(Path::to_owned))
        .ok_or_else(|| "cargo does not name the launcher that it built".into())
}
