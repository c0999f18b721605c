//! Where the projects come from: crates that carry the C or C++ sources that they wrap.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::recorded::data;

/// A crate that depends on all of them, each by a feature of its name; the versions are fixed.
pub fn crates_manifest() -> PathBuf {
    data("builds/Cargo.toml")
}

/// The folder of that crate's source, downloaded if it is not here yet.
pub fn crate_source(name: &str) -> PathBuf {
    static METADATA: OnceLock<serde_json::Value> = OnceLock::new();
    let metadata = METADATA.get_or_init(|| {
        let done = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "metadata",
                "--format-version=1",
                "--locked",
                "--all-features",
            ])
            .arg("--manifest-path")
            .arg(crates_manifest())
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo runs");
        assert!(
            done.status.success(),
            "cargo could not fetch the crates; is there a network?"
        );
        serde_json::from_slice(&done.stdout).expect("cargo prints JSON")
    });
    let packages = metadata["packages"].as_array().expect("there are packages");
    let package = packages.iter().find(|package| package["name"] == name);
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let manifest = Path::new(manifest.unwrap_or_else(|| panic!("{name} is no dependency")));
    manifest
        .parent()
        .expect("a manifest lies in a folder")
        .to_owned()
}

/// Copies a folder with all that is in it; modes come along, links are followed.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("a folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}
