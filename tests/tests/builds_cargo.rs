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
    let found = project.compare(fill, |site| {
        if site.ours {
            site.step(
                site.command("distcc-launch")
                    .args(["setup", "cargo", "--write"]),
            );
            let config = fs::read_to_string(site.work.join(".cargo/config.toml")).unwrap();
            assert!(config.contains("distcc-launch cc"), "{config}");
        }
        cargo_build(site, crates);
    });
    found
        .assert_good()
        .assert_never("a probe came through us", is_probe);
    // Each crate by itself: a big one must not hide a small one.
    for name in crates {
        found.assert_good_for(&format!("/build/{name}-"));
    }
    found
}

fn cargo_build(site: &Site<'_>, crates: &[&str]) {
    let mut cargo = tests::cargo(site.command(env!("CARGO")), &site.path());
    cargo
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
    assert!(found.distributable > 35, "{found}");
}

fn when_long(crates: &[&str]) {
    if long() {
        build(crates);
    }
}

#[test]
fn crates_of_many_small_files() {
    when_long(&[
        "libz-sys",
        "libdeflate-sys",
        "lz4-sys",
        "onig_sys",
        "libgit2-sys",
    ]);
}

#[test]
fn crates_with_assembly_and_of_one_big_file() {
    when_long(&["ring", "libsqlite3-sys"]);
}

/// By the cmake crate, which drops wrappers from `CC`.
#[test]
fn a_crate_that_cmake_builds() {
    when_long(&["libz-ng-sys"]);
}

#[test]
fn aws_lc() {
    when_long(&["aws-lc-sys"]);
}
