//! Real builds by autotools and Meson, and with ccache in front.

use std::path::{Path, PathBuf};

use tests::{
    builds::{Comparison, Project, Site, copy_tree, crate_source},
    data, long, module,
};

fn source(krate: &'static str, folder: &'static str) -> impl Fn(&Path) {
    move |work| copy_tree(&crate_source(krate).join(folder), &work.join("source"))
}

fn pch_fixture(work: &Path) {
    copy_tree(&data("builds/pch"), &work.join("source"));
}

/// A small library with all of it: configure, libtool, make, and recipes of make for C and for assembler.
#[test]
fn libffi_with_autotools() {
    if !long() {
        return;
    }
    let project = Project::new("libffi, configure and make");
    let found = project.compare(source("libffi-sys", "libffi"), |site| {
        let compilers = match site.ours {
            true => r#"CC="distcc-launch gcc" CXX="distcc-launch g++""#,
            false => "CC=gcc CXX=g++",
        };
        site.script(&format!(
            "mkdir build; cd build; ../source/configure --disable-docs {compilers}"
        ));
        site.step(site.command("make").args(["-C", "build", "-j6"]));
    });
    assert!(found.assert_good().distributable >= 10, "{found}");
    found.assert_probes_stayed_here();
}

/// What configure finds out is what it finds out without us.
#[test]
fn jemalloc_s_answers_are_the_same() {
    if !long() {
        return;
    }
    let project = Project::new("jemalloc, configure and make");
    let answers = std::cell::RefCell::new(Vec::new());
    let fill = |work: &Path| {
        let from = crate_source("tikv-jemalloc-sys");
        copy_tree(&from.join("jemalloc"), &work.join("source"));
        copy_tree(&from.join("configure"), &work.join("source"));
    };
    let found = project.compare(fill, |site| {
        let cc = if site.ours {
            "distcc-launch gcc"
        } else {
            "gcc"
        };
        site.script(&format!(
            "cd source; ./configure --disable-cxx CC='{cc}' CFLAGS=-O1"
        ));
        let defs = site
            .work
            .join("source/include/jemalloc/internal/jemalloc_internal_defs.h");
        answers
            .borrow_mut()
            .push(std::fs::read_to_string(defs).unwrap());
        site.step(
            site.command("make")
                .args(["-C", "source", "-j6", "build_lib_static"]),
        );
    });
    let answers = answers.into_inner();
    assert_eq!(answers[0], answers[1]);
    assert!(found.assert_good().distributable >= 50, "{found}");
    found.assert_probes_stayed_here();
}

#[test]
fn freetype_with_meson() {
    if !long() {
        return;
    }
    let project = Project::new("freetype, Meson").newest_tools();
    let found = project.compare(source("freetype-sys", "freetype2"), |site| {
        let mut setup = site.command("meson");
        setup.args(["setup", "build", "source", "--wrap-mode=nodownload"]);
        // Meson asks for colours always; what prints a warning in colour is compiled here again, since gcc's are not retold
        // (two of 41 units of this project).
        setup.arg("-Db_colorout=auto");
        let off = ["png", "zlib", "bzip2", "brotli", "harfbuzz"];
        setup.args(off.map(|name| format!("-D{name}=disabled")));
        if site.ours {
            setup.env("CC", "distcc-launch gcc");
        } else {
            setup.env("CC", "gcc");
        }
        site.step(&mut setup);
        site.step(
            site.command("meson")
                .args(["compile", "-C", "build", "-j", "6"]),
        );
    });
    assert!(found.assert_good().distributable >= 30, "{found}");
    found.assert_probes_stayed_here();
}

/// How ccache is put before us.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    /// `CCACHE_PREFIX` in the environment.
    Prefix,
    /// A ccache that is there, and our module.
    Module,
    /// `ccache;distcc-launch`, with which ccache works but caches nothing: it takes the compiler's name for a source.
    List,
}

impl Before {
    /// Does ccache do its work?
    fn caches(self) -> bool {
        self != Before::List
    }

    fn configure(self, site: &Site<'_>, source: &str, settings: &[&str]) -> PathBuf {
        let cache = match site.ours {
            true => "cache-ours",
            false => "cache",
        };
        let cache = site.work.with_file_name(cache);
        let mut cmake = site.command("cmake");
        cmake
            .args(["-S", source, "-B", "build", "-G", "Ninja"])
            .args(settings)
            .env("CCACHE_DIR", &cache);
        let launchers = match (self, site.ours) {
            (Before::List, true) => "ccache;distcc-launch",
            // The words of its commands are those of ours then.
            (Before::List, false) => "",
            _ => "ccache",
        };
        cmake
            .args(["C", "CXX"].map(|lang| format!("-DCMAKE_{lang}_COMPILER_LAUNCHER={launchers}")));
        if site.ours && self == Before::Module {
            cmake.arg(format!("-DCMAKE_PROJECT_INCLUDE={}", module()));
        }
        site.step(&mut cmake);
        cache
    }

    fn build(self, site: &Site<'_>, cache: &Path) {
        let mut ninja = site.command("ninja");
        ninja.args(["-C", "build", "-j6"]).env("CCACHE_DIR", cache);
        if site.ours && self == Before::Prefix {
            ninja.env("CCACHE_PREFIX", "distcc-launch");
        }
        site.step(&mut ninja);
    }

    /// Builds a project, and where there is a cache, once more out of that.
    fn compare(
        self,
        name: &str,
        fill: impl Fn(&Path),
        source: &str,
        settings: &[&str],
    ) -> Comparison {
        let project = Project::new(format!("{name} behind ccache, {self:?}"));
        let found = project.compare(fill, |site| {
            let cache = self.configure(site, source, settings);
            self.build(site, &cache);
            if self.caches() {
                site.step(site.command("ninja").args(["-C", "build", "-t", "clean"]));
                self.build(site, &cache);
            }
        });
        // The second time nothing is compiled, so nothing comes through us.
        let compiles = found.rows.iter().filter(|row| row.place == "remote");
        assert_eq!(compiles.count(), found.assert_good().remote, "{found}");
        found
    }
}

const BEFORE: [Before; 3] = [Before::Prefix, Before::Module, Before::List];

#[test]
fn ccache_in_front() {
    for before in BEFORE {
        let settings = ["-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON"];
        let found = before.compare("a small project", pch_fixture_plain, "source", &settings);
        assert_eq!(found.distributable, 4, "{found}");
    }
}

#[test]
fn libgit2_with_ccache_in_front() {
    if !long() {
        return;
    }
    let settings = [
        "-DCMAKE_BUILD_TYPE=Debug",
        "-DBUILD_SHARED_LIBS=OFF",
        "-DBUILD_TESTS=OFF",
        "-DBUILD_CLI=OFF",
        "-DUSE_SSH=OFF",
        "-DUSE_HTTPS=OFF",
        "-DUSE_BUNDLED_ZLIB=ON",
        "-DREGEX_BACKEND=builtin",
    ];
    for before in BEFORE {
        let fill = source("libgit2-sys", "libgit2");
        let found = before.compare("libgit2", fill, "source", &settings);
        assert!(found.distributable > 150, "{found}");
    }
}

/// The project with a precompiled header, whose sources then have to include it themselves.
fn pch_fixture_plain(work: &Path) {
    pch_fixture(work);
    let main = work.join("source/main.cpp");
    let text = std::fs::read_to_string(&main).unwrap();
    std::fs::write(&main, format!("#include \"common.hpp\"\n{text}")).unwrap();
}
