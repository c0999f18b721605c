//! `cargo build` of crates with C and C++ in them: the objects are those of a build without us, which also means that each
//! question about a flag was answered as without us.

use std::{fs, path::Path};

use tests::{
    builds::{Comparison, Project, Site, copy_tree, crates_manifest},
    long,
};

fn build(crates: &[&str]) -> Comparison {
    let project = Project::new(format!("cargo build: {}", crates.join(", "))).below("out");
    let fill = |work: &Path| {
        let from = crates_manifest();
        copy_tree(from.parent().expect("it lies in a folder"), work);
    };
    project.compare(fill, |site| {
        if site.ours {
            site.step(
                site.command("distcc-launch")
                    .args(["setup", "cargo", "--write"]),
            );
            let config = fs::read_to_string(site.work.join(".cargo/config.toml")).unwrap();
            assert!(config.contains("distcc-launch cc"), "{config}");
        }
        cargo(site, crates);
    })
}

fn cargo(site: &Site<'_>, crates: &[&str]) {
    let mut cargo = site.command(env!("CARGO"));
    // The toolchain and the registry are the person's own.
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(name) {
            cargo.env(name, value);
        }
    }
    // The folder of the toolchain before rustup's: in the folder of a crate that has a rust-toolchain.toml (quote has), rustup's
    // rustc would download and install what that asks for.
    let toolchain = Path::new(env!("CARGO")).parent();
    let path = site.path();
    let own = std::env::var_os("PATH").unwrap_or_default();
    let folders = toolchain
        .map(Path::to_owned)
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain(std::env::split_paths(&own));
    let path = std::env::join_paths(folders).unwrap();
    cargo
        .env("PATH", path)
        .env("RUSTUP_AUTO_INSTALL", "0")
        .args(["build", "--locked", "-j4", "--target-dir", "target"])
        .args(["--features", &crates.join(",")]);
    site.step(&mut cargo);
}

/// cc-rs asks which flags there are, and what the compiler is, beside the launcher.
fn is_probe(words: &[String]) -> bool {
    words
        .iter()
        .any(|word| word.contains("flag_check") || word.contains("detect_compiler_family"))
}

#[test]
fn two_crates() {
    let found = build(&["zstd-sys", "bzip2-sys"]);
    found
        .assert_good()
        .assert_never("a probe came through us", is_probe);
    assert!(found.distributable > 35, "{found}");
}

#[test]
fn ten_more_crates() {
    if !long() {
        return;
    }
    let rest: [&[&str]; 4] = [
        &[
            "libz-sys",
            "libdeflate-sys",
            "lz4-sys",
            "onig_sys",
            "libgit2-sys",
        ],
        &["ring", "libsqlite3-sys"],
        &["libz-ng-sys"],
        &["aws-lc-sys"],
    ];
    for crates in rest {
        build(crates)
            .assert_good()
            .assert_never("a probe came through us", is_probe);
    }
}
