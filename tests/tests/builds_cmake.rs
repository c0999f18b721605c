//! Real projects through real CMake, of every generator: the products are those of a build without us, and what could go
//! out went out.

use std::path::Path;

use tests::{
    Row,
    builds::{Comparison, Project, Site, copy_tree, crate_source},
    data, long, module,
};

/// Release without what would need libraries of the system's.
const LIBGIT2: &[&str] = &[
    "-DBUILD_SHARED_LIBS=OFF",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_CLI=OFF",
    "-DUSE_SSH=OFF",
    "-DUSE_HTTPS=OFF",
    "-DUSE_BUNDLED_ZLIB=ON",
    "-DREGEX_BACKEND=builtin",
];

const ZSTD: &[&str] = &["-DZSTD_BUILD_PROGRAMS=OFF", "-DZSTD_BUILD_TESTS=OFF"];

const GENERATORS: [&str; 3] = ["Ninja", "Ninja Multi-Config", "Unix Makefiles"];

/// Configures what lies in `source` and builds it.
fn cmake(site: &Site<'_>, source: &str, generator: &str, settings: &[&str]) {
    let mut configure = site.command("cmake");
    configure.args(["-S", source, "-B", "build", "-G", generator]);
    configure.args(settings);
    if site.ours {
        configure.arg(format!("-DCMAKE_PROJECT_INCLUDE={}", module()));
    }
    let said = site.step(&mut configure);
    assert_eq!(said.contains("-- distcc-launch: "), site.ours, "{said}");
    site.step(site.command("cmake").args(["--build", "build", "-j", "6"]));
}

fn libgit2(project: &Project, generator: &str, settings: &[&str]) -> Comparison {
    let settings = [LIBGIT2, settings].concat();
    project.compare(
        |work| {
            copy_tree(
                &crate_source("libgit2-sys").join("libgit2"),
                &work.join("source"),
            )
        },
        |site| cmake(site, "source", generator, &settings),
    )
}

fn zstd(project: &Project, generator: &str) -> Comparison {
    let settings = [ZSTD, &["-DCMAKE_BUILD_TYPE=Release"]].concat();
    project.compare(
        |work| copy_tree(&crate_source("zstd-sys").join("zstd"), &work.join("source")),
        |site| cmake(site, "source/build/cmake", generator, &settings),
    )
}

/// A project of our own.
fn fixture(name: &str) -> impl Fn(&Path) {
    let from = data("builds").join(name);
    move |work| copy_tree(&from, &work.join("source"))
}

#[test]
fn libgit2_with_ninja() {
    let found = libgit2(
        &Project::new("libgit2, Ninja, Debug"),
        "Ninja",
        &["-DCMAKE_BUILD_TYPE=Debug"],
    );
    assert!(found.assert_good().distributable > 150, "{found}");
}

#[test]
fn libgit2_with_every_generator_old_and_new() {
    if !long() {
        return;
    }
    for generator in GENERATORS {
        let release = ["-DCMAKE_BUILD_TYPE=Release"];
        let old = Project::new(format!("libgit2, {generator}, system's tools"));
        libgit2(&old, generator, &release).assert_good();
        let new = Project::new(format!("libgit2, {generator}, newest tools")).newest_tools();
        libgit2(&new, generator, &release).assert_good();
    }
}

#[test]
fn zstd_with_every_generator_old_and_new() {
    if !long() {
        return;
    }
    for generator in GENERATORS {
        zstd(
            &Project::new(format!("zstd, {generator}, system's tools")),
            generator,
        )
        .assert_good();
        let new = Project::new(format!("zstd, {generator}, newest tools")).newest_tools();
        zstd(&new, generator).assert_good();
    }
}

#[test]
fn precompiled_headers_stay_here_and_the_rest_goes() {
    for compilers in [["gcc", "g++"], ["clang-16", "clang++-16"]] {
        let project = Project::new(format!("precompiled headers, {}", compilers[0]));
        let settings = [
            format!("-DCMAKE_C_COMPILER={}", compilers[0]),
            format!("-DCMAKE_CXX_COMPILER={}", compilers[1]),
        ];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let found = project.compare(fixture("pch"), |site| {
            cmake(site, "source", "Ninja", &settings);
        });
        assert_eq!(found.assert_good().distributable, 2, "{found}");
        let makes_header = |row: &&Row| {
            let words = row.command.iter().map(|word| word.0.to_string_lossy());
            words.into_iter().any(|word| word.ends_with("c++-header"))
        };
        let header = found.rows.iter().find(makes_header);
        assert_eq!(header.expect("it came through us").place, "local");
    }
}

#[test]
fn modules_stay_here_and_the_rest_goes() {
    let project = Project::new("C++20 modules, clang 16").newest_tools();
    let settings = ["-DCMAKE_CXX_COMPILER=clang++-16"];
    let found = project.compare(fixture("modules"), |site| {
        cmake(site, "source", "Ninja", &settings);
    });
    assert_eq!(found.assert_good().distributable, 1, "{found}");
    let local = found.rows.iter().filter(|row| row.place == "local").count();
    assert_eq!(local, 4, "{:#?}", found.rows);
}
