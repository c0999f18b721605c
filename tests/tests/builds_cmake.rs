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

const DEBUG: &str = "-DCMAKE_BUILD_TYPE=Debug";

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
    let settings = [ZSTD, &[DEBUG]].concat();
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
    let found = libgit2(&Project::new("libgit2, Ninja, Debug"), "Ninja", &[DEBUG]);
    assert!(found.assert_good().distributable > 150, "{found}");
}

/// Builds with the system's tools and with the newest ones.
fn old_and_new(name: &str, generator: &str, build: fn(&Project, &str) -> Comparison) {
    if !long() {
        return;
    }
    let project = Project::new(format!("{name}, {generator}, system's tools"));
    build(&project, generator).assert_good();
    let project = Project::new(format!("{name}, {generator}, newest tools"));
    build(&project.newest_tools(), generator).assert_good();
}

fn libgit2_debug(project: &Project, generator: &str) -> Comparison {
    libgit2(project, generator, &[DEBUG])
}

#[test]
fn libgit2_optimized() {
    if !long() {
        return;
    }
    let project = Project::new("libgit2, Ninja, Release").newest_tools();
    libgit2(&project, "Ninja", &["-DCMAKE_BUILD_TYPE=Release"]).assert_good();
}

#[test]
fn libgit2_with_multi_config() {
    old_and_new("libgit2", "Ninja Multi-Config", libgit2_debug);
}

#[test]
fn libgit2_with_makefiles() {
    old_and_new("libgit2", "Unix Makefiles", libgit2_debug);
}

#[test]
fn zstd_with_ninja() {
    old_and_new("zstd", "Ninja", zstd);
}

#[test]
fn zstd_with_multi_config() {
    old_and_new("zstd", "Ninja Multi-Config", zstd);
}

#[test]
fn zstd_with_makefiles() {
    old_and_new("zstd", "Unix Makefiles", zstd);
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
