//! Release binaries in one place, and onto a machine.

use crate::workspace;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

const BINARIES: &[&str] = &[
    "distcc-launch",
    "distcc-launchd",
    "include-server",
    "zeroconf-browser",
];

/// Where in the clone a file lies, and where below PREFIX it goes.
const SHARED: &[(&str, &str)] = &[
    (
        "daemon/systemd/distcc-launchd.service",
        "share/distcc-launch/systemd/distcc-launchd.service",
    ),
    (
        "daemon/systemd/distcc-launchd.socket",
        "share/distcc-launch/systemd/distcc-launchd.socket",
    ),
];
/// Where the files of the CMake module lie below PREFIX: there `find_package` looks.
const MODULE_FOLDER: &str = "share/cmake/DistccLaunch";

/// Pages; they keep their places to each other, so that their links hold.
const PAGES: &[&str] = &[
    "README.md",
    "NEWS.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "docs/build-systems.md",
    "docs/compile-commands.md",
    "docs/daemon.md",
    "docs/hosts.md",
    "docs/includes.md",
    "docs/journal.md",
    "docs/options.md",
    "docs/protocol.md",
    "docs/pump.md",
    "docs/results.md",
    "docs/security.md",
    "docs/seeing.md",
    "integrations/cmake/README.md",
    "integrations/ninja/README.md",
    "integrations/cargo-cc/README.md",
];
const PAGES_FOLDER: &str = "share/doc/distcc-launch";

/// Builds the release binaries and collects them in `target/dist/bin`, whose path comes back.
///
/// Static where the platform allows: a launcher starts in two thirds of the time, and a daemon's machine needs no
/// matching C library.  The flags go with `--target`, because proc macros cannot be built with them.
pub(crate) fn build() -> Result<PathBuf> {
    let host = workspace::host_triple()?;
    let target = workspace::target_dir()?;
    let mut cargo = workspace::cargo();
    cargo.args([
        "build",
        "--release",
        "--target",
        &host,
        "--package",
        "launcher",
        "--package",
        "daemon",
        "--package",
        "include-server",
        "--package",
        "zeroconf-browser",
    ]);
    cargo.stdout(io::stderr());
    match static_flags(&host) {
        Ok(flags) => {
            let (name, value) = with_flags(&host, flags);
            cargo.env(name, value);
        }
        Err(why) => eprintln!("Linking dynamically: {why}."),
    }
    workspace::run(&mut cargo)?;
    let bin = target.join("dist/bin");
    fs::create_dir_all(&bin).with_context(|| format!("could not create {}", bin.display()))?;
    for name in BINARIES {
        place(
            &target.join(&host).join("release").join(name),
            &bin.join(name),
        )?;
    }
    eprintln!("{} are in {}", BINARIES.join(", "), bin.display());
    Ok(bin)
}

/// The flags that make a static program on `host`, or why there is none.
fn static_flags(host: &str) -> Result<&'static str, String> {
    if host.ends_with("-linux-musl") {
        return Ok("-C target-feature=+crt-static -C relocation-model=static");
    }
    if !host.contains("-linux-gnu") {
        return Err(format!("{host} has no static C library"));
    }
    let linker = Command::new("cc").arg("-print-file-name=libc.a").output();
    match linker {
        // The compiler repeats the bare name of a file that it does not find.
        Ok(output) if Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute() => {
            Ok("-C target-feature=+crt-static -C relocation-model=static")
        }
        Ok(_) => Err("the C library's static half (libc.a) is not installed".to_owned()),
        Err(error) => Err(format!("cc, which links, does not start: {error}")),
    }
}

/// The variable that hands `flags` to rustc for `host`, beside what the person set already.
fn with_flags(host: &str, flags: &str) -> (String, OsString) {
    // Cargo reads RUSTFLAGS alone when it is set, and the variable of the target otherwise.
    let of_target = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        host.to_uppercase().replace(['-', '.'], "_")
    );
    let name = if env::var_os("RUSTFLAGS").is_some() {
        "RUSTFLAGS".to_owned()
    } else {
        of_target
    };
    let mut value = env::var_os(&name).unwrap_or_default();
    value.push(" ");
    value.push(flags);
    (name, value)
}

/// Builds, and copies the binaries side by side into `prefix/bin`, the rest below `prefix/share`.
pub(crate) fn install(prefix: &Path) -> Result<()> {
    let prefix = absolute(prefix).with_context(|| format!("{} is no path", prefix.display()))?;
    for folder in ["bin", "share"] {
        writable(&prefix.join(folder), &prefix)?;
    }
    let built = build()?;
    for name in BINARIES {
        place(&built.join(name), &prefix.join("bin").join(name))?;
    }
    let modules = workspace::root().join("integrations/cmake");
    for (name, _) in integration_cmake::FILES {
        place(&modules.join(name), &prefix.join(MODULE_FOLDER).join(name))?;
    }
    for (from, to) in SHARED {
        place(&workspace::root().join(from), &prefix.join(to))?;
    }
    let pages = prefix.join(PAGES_FOLDER);
    for page in PAGES {
        place(&workspace::root().join(page), &pages.join(page))?;
    }
    let bin = prefix.join("bin");
    eprintln!(
        "Installed in {}; pages are in {}.",
        bin.display(),
        pages.display()
    );
    let path = env::var_os("PATH").unwrap_or_default();
    if !env::split_paths(&path).any(|folder| folder == bin) {
        eprintln!(
            "{0} is not in PATH; a shell learns it by: export PATH=\"{0}:$PATH\"",
            bin.display()
        );
    }
    Ok(())
}

/// Fails before minutes of building when the files could not be put there anyway.
fn writable(folder: &Path, prefix: &Path) -> Result<()> {
    let probe = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    match probe {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => bail!(
            "may not write into {}; choose a PREFIX of your own, such as ~/.local, or run: \
             sudo env \"PATH=$PATH\" cargo xtask install {}",
            folder.display(),
            prefix.display()
        ),
        Err(error) => {
            Err(error).with_context(|| format!("could not write into {}", folder.display()))
        }
    }
}

/// Copies a file over another one by rename, so that a program that runs keeps its own.
fn place(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().expect("a file is in a folder");
    let copy = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let temporary = tempfile::NamedTempFile::new_in(folder)?;
        fs::copy(from, temporary.path())?; // the mode too
        temporary.persist(to)?;
        Ok(())
    };
    copy().with_context(|| format!("could not copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_to_install_exists() {
        for file in PAGES.iter().chain(SHARED.iter().map(|(from, _)| from)) {
            assert!(workspace::root().join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn an_existing_file_is_replaced_and_the_mode_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("sub/to"));
        fs::write(&from, "new").unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o755)).unwrap();
        place(&from, &to).unwrap();
        place(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&to).unwrap().permissions().mode() & 0o777,
            0o755
        );
        assert_eq!(fs::read_dir(folder.path().join("sub")).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_before_building() {
        let error = writable(Path::new("/dev/null/bin"), Path::new("/dev/null")).unwrap_err();
        assert!(format!("{error:#}").contains("/dev/null/bin"), "{error:#}");
    }
}
