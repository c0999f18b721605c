//! The examples of the integrations, built by the tools that they are for: what their pages promise must be so.

use std::{fs, process::Command};

use tests::{Example, Farm, assert_all_remote, launcher, module, succeeds, through_the_module};

#[test]
fn cmake_builds_the_same_through_each_way_in() {
    let farm = Farm::ours(1);
    for example in Example::old_and_new("cmake", &farm.hosts("/4")) {
        builds_through_each_way_in(&example);
    }
}

fn builds_through_each_way_in(example: &Example) {
    example.configure("Ninja", &[]);
    let alone = example.build_with_cmake("example");
    assert_eq!(alone.len(), 2);
    assert_all_remote(&example.rows(), 0);
    for way in [
        "CMAKE_PROJECT_INCLUDE",
        "CMAKE_PROJECT_TOP_LEVEL_INCLUDES",
        "DISTCC_LAUNCH_MODULE",
    ] {
        let said = example.configure("Ninja", &[format!("-D{way}={}", module())]);
        assert_eq!(
            said.matches("-- distcc-launch: ").count(),
            1,
            "{way}: {said}"
        );
        assert!(!example.journal().exists(), "{way}: a probe went through");
        assert!(example.build_with_cmake("example") == alone, "{way}");
        assert_all_remote(&example.rows(), 2);
        fs::remove_file(example.journal()).unwrap();
    }
}

#[test]
fn cmake_builds_with_each_generator() {
    let farm = Farm::ours(1);
    for (generator, program) in [
        ("Ninja Multi-Config", "Debug/example"),
        ("Unix Makefiles", "example"),
    ] {
        for example in Example::old_and_new("cmake", &farm.hosts("/4")) {
            example.configure(generator, &through_the_module());
            example.build_with_cmake(program);
            assert_all_remote(&example.rows(), 2);
        }
    }
}

#[test]
fn cmake_pools_are_as_wide_as_the_host_list() {
    let example = Example::of("cmake", "203.0.113.1/16 203.0.113.2/8 localhost/2");
    let said = example.configure("Ninja", &through_the_module());
    assert!(said.contains("build with -j 26"), "{said}");
    let rules = example.rules();
    assert!(
        rules.contains("pool distcc_compile\n  depth = 26\n"),
        "{rules}"
    );
    assert!(
        rules.contains("pool distcc_precompile_header\n  depth = 2\n"),
        "{rules}"
    );
    assert!(rules.contains("pool distcc_link\n"), "{rules}");
    assert!(!said.contains("no hosts"), "{said}");

    let alone = Example::of("cmake", "");
    let said = alone.configure("Ninja", &through_the_module());
    assert!(
        said.contains(" (no hosts: everything is compiled here)"),
        "{said}"
    );
    alone.build_with_cmake("example");
    assert_all_remote(&alone.rows().split_off(2), 0);
}

/// A project that sets the property without APPEND would drop our pools, and Ninja stops at a pool nobody declares.
#[test]
fn cmake_pools_of_the_project_and_ours_live_together() {
    let example = Example::of("cmake", "203.0.113.1/16");
    let list = example.project().join("CMakeLists.txt");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(
        &list,
        text + "set_property(GLOBAL PROPERTY JOB_POOLS theirs=3)\n",
    )
    .unwrap();
    let mut arguments = through_the_module();
    arguments.push("-DCMAKE_JOB_POOL_LINK=theirs".to_owned());
    example.configure("Ninja", &arguments);
    let rules = example.rules();
    assert!(rules.contains("pool theirs\n  depth = 3\n"), "{rules}");
    assert!(rules.contains("pool distcc_compile\n"), "{rules}");
    assert!(!rules.contains("pool distcc_link\n"), "{rules}");
    let ninja = fs::read_to_string(example.build().join("build.ninja")).unwrap();
    assert!(ninja.contains("pool = theirs\n"), "{ninja}");
    succeeds(
        example
            .command("ninja")
            .arg("-C")
            .arg(example.build())
            .arg("-n"),
    );
}

/// CMake looks at CMAKE_JOB_POOLS only while the property is empty; filling it must not lose the person's pools.
#[test]
fn cmake_pools_of_the_command_line_stay() {
    let example = Example::of("cmake", "203.0.113.1/16");
    let mut arguments = through_the_module();
    arguments.push("-DCMAKE_JOB_POOLS=mine=5;distcc_compile=7".to_owned());
    example.configure("Ninja", &arguments);
    let rules = example.rules();
    assert!(rules.contains("pool mine\n  depth = 5\n"), "{rules}");
    assert!(
        rules.contains("pool distcc_compile\n  depth = 7\n"),
        "{rules}"
    );
    assert_eq!(rules.matches("pool distcc_compile\n").count(), 1, "{rules}");
}

#[test]
fn cmake_keeps_ccache_first_and_leaves_other_launchers_alone() {
    let example = Example::of("cmake", "203.0.113.1/16");
    let mut arguments = through_the_module();
    arguments.push("-DCMAKE_C_COMPILER_LAUNCHER=/usr/bin/ccache".to_owned());
    arguments.push("-DCMAKE_CXX_COMPILER_LAUNCHER=/usr/bin/time".to_owned());
    let said = example.configure("Ninja", &arguments);
    assert!(
        said.contains("CMAKE_CXX_COMPILER_LAUNCHER is /usr/bin/time and stays so"),
        "{said}"
    );
    let commands = succeeds(
        example
            .command("ninja")
            .arg("-C")
            .arg(example.build())
            .args(["-t", "commands"]),
    );
    let launcher = launcher().canonicalize().unwrap().display().to_string();
    let compiles: Vec<&str> = commands
        .lines()
        .filter(|line| line.contains(" -c "))
        .collect();
    let of = |name: &str| *compiles.iter().find(|line| line.ends_with(name)).unwrap();
    assert!(
        of("main.c").starts_with(&format!(
            "env CCACHE_PREFIX={launcher} /usr/bin/ccache /usr/bin/cc "
        )),
        "{compiles:?}"
    );
    assert!(
        of("twice.cpp").starts_with("/usr/bin/time /usr/bin/c++ "),
        "{compiles:?}"
    );
}

#[test]
fn cmake_appends_the_launcher_once() {
    let example = Example::of("cmake", "203.0.113.1/16");
    let mut arguments = through_the_module();
    arguments.push(format!("-DDISTCC_LAUNCH_MODULE={}", module())); // in a second way too
    arguments.push("-DCMAKE_C_COMPILER_LAUNCHER=distcc-launch".to_owned()); // and a third one
    example.configure("Ninja", &arguments);
    let commands = succeeds(
        example
            .command("ninja")
            .arg("-C")
            .arg(example.build())
            .args(["-t", "commands"]),
    );
    for line in commands.lines().filter(|line| line.contains(" -c ")) {
        assert_eq!(
            line.split(" /usr/bin/c")
                .next()
                .unwrap()
                .matches("distcc-launch")
                .count(),
            1,
            "{line}"
        );
    }
}

#[test]
fn cmake_without_us_is_cmake_as_it_was() {
    let example = Example::of("cmake", "203.0.113.1/16");
    let mut off = through_the_module();
    off.push("-DDISTCC_LAUNCH=OFF".to_owned());
    let said = example.configure("Ninja", &off);
    assert!(!said.contains("distcc-launch"), "{said}");
    assert!(!example.rules().contains("distcc"), "{}", example.rules());

    // Configured with a launcher that is gone by now: looked for again, and the build goes on without.
    let mut gone = through_the_module();
    gone.push("-DDISTCC_LAUNCH_EXECUTABLE=/nowhere/distcc-launch".to_owned());
    fs::remove_dir_all(example.build()).unwrap();
    let mut cmake = example.command("cmake");
    cmake
        .arg("-S")
        .arg(example.project())
        .arg("-B")
        .arg(example.build());
    cmake
        .args(["-G", "Ninja"])
        .args(gone)
        .env("PATH", "/usr/bin:/bin");
    let said = succeeds(&mut cmake);
    assert!(
        said.contains("distcc-launch: not found, everything is compiled here"),
        "{said}"
    );
    example.build_with_cmake("example");
    assert_all_remote(&example.rows(), 0);
}

#[test]
fn ninja_builds_with_the_pool_file_as_it_comes_and_as_we_write_it() {
    let farm = Farm::ours(1);
    let example = Example::of("ninja", &farm.hosts("/4"));
    succeeds(&mut example.command("ninja"));
    assert_all_remote(&example.rows(), 2);
    let file = example.project().join("distcc.ninja");
    succeeds(
        example
            .command("distcc-launch")
            .args(["setup", "ninja", "--write"])
            .arg(&file),
    );
    let total = succeeds(example.command("distcc-launch").arg("jobs"));
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains(&format!("pool distcc_compile\n  depth = {total}")),
        "{text}"
    );
    succeeds(example.command("ninja").args(["-t", "clean"]));
    succeeds(&mut example.command("ninja"));
    assert_all_remote(&example.rows(), 4);
    assert_eq!(
        succeeds(&mut Command::new(example.project().join("example"))),
        "42\n"
    );
}

#[test]
fn cargo_compiles_c_through_the_launcher_and_probes_beside_it() {
    let farm = Farm::ours(1);
    let example = Example::of("cargo-cc", &farm.hosts("/4"));
    // For every machine, and for one in particular, which here is this one.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    for words in [
        &[][..],
        &["--target", &target, "--cc", "gcc", "--cxx", "g++"],
    ] {
        let _ = fs::remove_dir_all(example.project().join(".cargo"));
        let mut setup = example.command("distcc-launch");
        succeeds(setup.args(["setup", "cargo", "--write"]).args(words));
        let mut cargo = tests::cargo(
            example.command(env!("CARGO")),
            launcher().parent().unwrap().as_os_str(),
        );
        cargo.env(
            "CARGO_TARGET_DIR",
            example.build().join(words.len().to_string()),
        );
        assert_eq!(succeeds(cargo.args(["run", "--quiet"])), "42\n");
        let rows = example.rows();
        assert_all_remote(&rows, 1);
        let has = |wanted: &str| rows[0].command.iter().any(|word| *word == *wanted);
        assert!(has("twice.c"), "{rows:?}");
        assert_eq!(has("gcc"), !words.is_empty(), "{rows:?}");
        fs::remove_file(example.journal()).unwrap();
    }
}
