//! Which Debian packages the tasks need, and how they come onto the machine.

use anyhow::{Context as _, Result, bail};
use std::process::{Command, Stdio};

/// A package, a program that shows it is there on systems without dpkg, and what it is for.
pub(crate) struct Package {
    name: &'static str,
    program: Option<&'static str>,
    why: &'static str,
}

const fn package(name: &'static str, program: Option<&'static str>, why: &'static str) -> Package {
    Package { name, program, why }
}

#[rustfmt::skip]
pub(crate) static DEMO: &[Package] = &[
    package("gcc",           Some("gcc"),       "the compiler, here and behind the daemons"),
    package("libc6-dev",     None,              "headers, and the C library that static binaries contain"),
    package("cmake",         Some("cmake"),     "configures the project"),
    package("ninja-build",   Some("ninja"),     "builds it"),
];

#[rustfmt::skip]
pub(crate) static TEST: &[Package] = &[
    package("gcc",           Some("gcc"),       "what tests compile with, and what local results are compared with"),
    package("g++",           Some("g++"),       "the same for C++"),
    package("gobjc",         None,              "the same for Objective-C"),
    package("gobjc++",       None,              "the same for Objective-C++"),
    package("libc6-dev",     None,              "headers, and the C library that static binaries contain"),
    package("binutils",      Some("readelf"),   "objects for other machines and versions are made with objcopy"),
    package("clang",         Some("clang"),     "the second compiler family"),
    package("clang-16",      Some("clang-16"),  "C++20 modules as CMake builds them"),
    package("clang-tools-16", None,             "scans sources for modules (clang-scan-deps)"),
    package("distcc",        Some("distccd"),   "stock client and daemon, for every test of dropping in"),
    package("distcc-pump",   Some("distcc-pump"), "stock include server, which needs a module of ours to answer"),
    package("libboost-dev",  None,              "headers that no include server but ours gets through"),
    package("cmake",         Some("cmake"),     "integrations/cmake builds its example"),
    package("ninja-build",   Some("ninja"),     "integrations/ninja and cmake build their examples"),
    package("make",          Some("make"),      "builds through make, and its jobserver"),
    package("ccache",        Some("ccache"),    "the launcher behind ccache"),
    package("lzop",          Some("lzop"),      "an LZO1X implementation that is not ours"),
    package("liblzo2-dev",   None,              "another one, whose speed ours is measured beside"),
    package("python3",       Some("python3"),   "tests/data/tools"),
    package("python3-venv",  None,              "where newer build tools from PyPI go"),
    package("strace",        Some("strace"),    "system calls of the launch path"),
    package("valgrind",      Some("valgrind"),  "instructions of the launch path"),
    package("iproute2",      Some("ip"),        "network namespaces for hosts that drop packets"),
    package("avahi-daemon",  Some("avahi-daemon"), "multicast DNS of stock's client and daemon"),
    package("dbus",          Some("dbus-daemon"), "how they talk with it"),
    package("procps",        Some("ps"),        "who is still running after a test"),
    package("util-linux",    Some("unshare"),   "namespaces"),
];

#[rustfmt::skip]
pub(crate) static BENCH: &[Package] = &[
    package("gcc",           Some("gcc"),       "compiles the workload"),
    package("g++",           Some("g++"),       "compiles the C++ part of it"),
    package("libc6-dev",     None,              "static helper programs"),
    package("clang",         Some("clang"),     "the second compiler family"),
    package("libclang-dev",  None,              "bindgen, when RocksDB's compile commands are recorded"),
    package("distcc",        Some("distccd"),   "stock, measured in the same run"),
    package("liblzo2-dev",   None,              "an LZO1X implementation that is not ours"),
    package("python3",       Some("python3"),   "the measuring scripts"),
    package("strace",        Some("strace"),    "system calls"),
    package("valgrind",      Some("valgrind"),  "instructions"),
    package("iproute2",      Some("ip"),        "network namespaces"),
    package("util-linux",    Some("nsenter"),   "network namespaces"),
];

/// Installs those of `packages` that are missing, or says how and fails.
pub(crate) fn ensure(packages: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = packages
        .iter()
        .filter(|package| !is_there(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("Missing here:");
    for package in &missing {
        eprintln!("  {:14} {}", package.name, package.why);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if which::which("apt-get").is_err() {
        bail!(
            "this system has no apt-get; install what it calls these Debian packages: {}",
            names.join(" ")
        );
    }
    let Some(prefix) = root_prefix() else {
        bail!(
            "run this once, then the same command again:\n\n    sudo apt-get install {}\n",
            names.join(" ")
        );
    };
    let apt = |words: &[&str]| {
        let mut command = Command::new(prefix.first().copied().unwrap_or("apt-get"));
        command.args(prefix.iter().skip(1));
        if !prefix.is_empty() {
            command.arg("apt-get");
        }
        // Questions of packages have nobody to answer them here; standard output stays the task's own.
        command
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(std::io::stderr());
        crate::workspace::run(&mut command)
    };
    eprintln!("Installing them with apt-get.");
    apt(&["-q", "update"]).context("could not refresh the package lists; is there a network?")?;
    let install = ["-q", "install", "-y", "--no-install-recommends"];
    apt(&[&install[..], &names[..]].concat()).context("could not install the packages")
}

/// What goes before `apt-get` so that it runs as root without a question; none where that cannot be had.
fn root_prefix() -> Option<&'static [&'static str]> {
    if rustix::process::geteuid().is_root() {
        return Some(&[]);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let works = sudo.status().is_ok_and(|status| status.success());
    works.then_some(&["sudo", "-n"])
}

fn is_there(package: &Package) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status}", package.name]);
    match query.output() {
        Ok(output) => output.stdout == b"installed",
        // No dpkg, so the program has to speak for its package; a package without one is taken on trust.
        Err(_) => package
            .program
            .is_none_or(|program| which::which(program).is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_stands_once_in_a_table_and_says_why() {
        for table in [DEMO, TEST, BENCH] {
            for (at, package) in table.iter().enumerate() {
                assert!(!package.why.is_empty(), "{}", package.name);
                assert!(
                    table[at + 1..]
                        .iter()
                        .all(|other| other.name != package.name),
                    "{}",
                    package.name
                );
            }
        }
    }

    #[test]
    fn a_package_that_no_archive_has_is_missing() {
        assert!(!is_there(&package(
            "distcc-launch-no-such-package",
            Some("distcc-launch-no-such-program"),
            "a test"
        )));
    }
}
