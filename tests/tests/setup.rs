//! `distcc-launch setup` and `shims`: what they write, and that the build tools take it.

use std::{fs, path::Path};

use tests::{
    Example, Farm, assert_all_remote, launcher, module, run, succeeds, through_the_module,
};

fn said(example: &Example, words: &[&str]) -> String {
    succeeds(example.command("distcc-launch").args(words))
        .trim_end()
        .to_owned()
}

#[test]
fn cmake_takes_what_setup_prints() {
    let farm = Farm::ours(1);
    let example = Example::of("cmake", &farm.hosts("/4"));
    let printed = said(&example, &["setup", "cmake", "--print-args"]);
    let arguments: Vec<String> = printed.split(' ').map(str::to_owned).collect();
    let told = example.configure("Ninja", &arguments);
    assert_eq!(told.matches("-- distcc-launch: ").count(), 1, "{told}");
    example.build_with_cmake("example");
    assert_all_remote(&example.rows(), 2);

    // A second call leaves the module as it is: else every build tree would be configured anew.
    let folder = said(&example, &["setup", "cmake", "--module-dir"]);
    let file = Path::new(&folder).join("DistccLaunch.cmake");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        fs::read_to_string(module()).unwrap()
    );
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    said(&example, &["setup", "cmake", "--module-dir"]);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), time);
}

#[test]
fn cmake_finds_the_package() {
    let farm = Farm::ours(1);
    let example = Example::of("cmake", &farm.hosts("/4"));
    let list = example.project().join("CMakeLists.txt");
    let text = fs::read_to_string(&list).unwrap();
    let call = "project(example C CXX)";
    assert!(text.contains(call));
    let with = format!("{call}\nfind_package(DistccLaunch 0.1 REQUIRED)");
    fs::write(&list, text.replace(call, &with)).unwrap();
    let folder = said(&example, &["setup", "cmake", "--module-dir"]);
    // As a package; as one below a prefix; as a module, which knows no versions.
    let prefix = example.project().join("prefix");
    let installed = prefix.join("share/cmake/DistccLaunch");
    fs::create_dir_all(&installed).unwrap();
    for file in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), installed.join(file.file_name())).unwrap();
    }
    let ways = [
        format!("-DDistccLaunch_DIR={folder}"),
        format!("-DCMAKE_PREFIX_PATH={}", prefix.display()),
        format!("-DCMAKE_MODULE_PATH={folder}"),
    ];
    for way in ways {
        let told = example.configure("Ninja", std::slice::from_ref(&way));
        assert_eq!(
            told.matches("-- distcc-launch: ").count(),
            1,
            "{way}: {told}"
        );
        example.build_with_cmake("example");
        assert_all_remote(&example.rows(), 2);
        fs::remove_file(example.journal()).unwrap();
    }
}

#[test]
fn cmake_takes_the_presets() {
    let farm = Farm::ours(1);
    for example in Example::old_and_new("cmake", &(farm.hosts("/4") + " --localslots=2")) {
        takes_the_presets(&example);
    }
}

fn takes_the_presets(example: &Example) {
    let fragment = example.project().join("distcc-launch.json");
    let fragment = fragment.to_str().unwrap();
    said(
        example,
        &["setup", "cmake", "--preset", "--write", fragment],
    );
    let written = fs::read_to_string(fragment).unwrap();
    assert!(written.contains("\"jobs\": 6\n"), "{written}");
    let presets = r#"{ "version": 4, "include": ["distcc-launch.json"],
      "configurePresets": [{ "name": "wide", "inherits": "distcc-launch", "generator": "Ninja", "binaryDir": "../build" }],
      "buildPresets": [{ "name": "wide", "inherits": "distcc-launch", "configurePreset": "wide" }] }"#;
    fs::write(example.project().join("CMakePresets.json"), presets).unwrap();
    succeeds(example.command("cmake").args(["--preset", "wide"]));
    succeeds(
        example
            .command("cmake")
            .args(["--build", "--preset", "wide"]),
    );
    assert_all_remote(&example.rows(), 2);
    let pools = example.rules();
    assert!(
        pools.contains("pool distcc_compile\n  depth = 6\n"),
        "{pools}"
    );
}

/// The order in which most projects do it: project() first, and then ccache for the targets.
#[test]
fn cmake_follows_a_ccache_that_the_project_chooses_later() {
    let example = Example::of("cmake", "203.0.113.1/16");
    let list = example.project().join("CMakeLists.txt");
    let text = fs::read_to_string(&list).unwrap();
    let lines = "set(CMAKE_C_COMPILER_LAUNCHER env A=b ccache)\nset(CMAKE_CXX_COMPILER_LAUNCHER time)\nadd_exec";
    fs::write(&list, text.replace("add_exec", lines)).unwrap();
    example.configure("Ninja", &through_the_module());
    let commands = said_by_ninja(&example);
    let launcher = launcher().canonicalize().unwrap();
    let ours = format!(
        "env A=b env CCACHE_PREFIX={} ccache /usr/bin/cc ",
        launcher.display()
    );
    assert!(commands.contains(&ours), "{commands}");
    assert!(commands.contains("time /usr/bin/c++ "), "{commands}");
}

fn said_by_ninja(example: &Example) -> String {
    let mut ninja = example.command("ninja");
    succeeds(
        ninja
            .arg("-C")
            .arg(example.build())
            .args(["-t", "commands"]),
    )
}

#[test]
fn cmake_throttles_custom_commands_when_asked() {
    let example = Example::of("cmake", "203.0.113.1/16");
    let list = example.project().join("CMakeLists.txt");
    let text = fs::read_to_string(&list).unwrap();
    let custom = "add_custom_command(OUTPUT made.txt COMMAND ${CMAKE_COMMAND} -E touch made.txt)\n\
                  add_custom_target(made ALL DEPENDS made.txt)\n";
    fs::write(&list, text + custom).unwrap();
    let mut arguments = through_the_module();
    example.configure("Ninja", &arguments);
    assert!(!said_by_ninja(&example).contains(" local -- "));
    arguments.push("-DDISTCC_LAUNCH_WRAP_CUSTOM=ON".to_owned());
    example.configure("Ninja", &arguments);
    let commands = said_by_ninja(&example);
    assert!(
        commands.contains("distcc-launch\" local -- /usr/bin/cmake -E touch made.txt"),
        "{commands}"
    );
    succeeds(
        example
            .command("cmake")
            .arg("--build")
            .arg(example.build())
            .args(["--target", "made"]),
    );
    assert!(example.build().join("made.txt").exists());
}

#[test]
fn new_slots_reach_a_build_tree_that_is_there() {
    let farm = Farm::ours(1);
    let hosts = example_hosts(&farm, 3);
    for example in Example::old_and_new("cmake", &hosts) {
        sees_new_slots(&example, &farm, &hosts);
    }
}

fn sees_new_slots(example: &Example, farm: &Farm, hosts: &str) {
    let file = example.folder().join("state/hosts");
    for generator in ["Ninja", "Ninja Multi-Config"] {
        fs::write(&file, hosts).unwrap();
        let command = |program: &str| {
            let mut command = example.command(program);
            command.env_remove("DISTCC_HOSTS");
            command
        };
        let _ = fs::remove_dir_all(example.build());
        let mut cmake = command("cmake");
        cmake.args(["-G", generator, "-S"]).arg(example.project());
        succeeds(
            cmake
                .arg("-B")
                .arg(example.build())
                .args(through_the_module()),
        );
        let depth = |depth: u32| format!("pool distcc_compile\n  depth = {depth}\n");
        let ninja =
            |command: &mut std::process::Command| succeeds(command.arg("-C").arg(example.build()));
        assert!(example.rules().contains(&depth(5)), "{}", example.rules());
        ninja(&mut command("ninja"));
        assert!(ninja(&mut command("ninja")).contains("no work to do"));

        // Another list in the same file: Ninja sees that by itself.
        fs::write(&file, example_hosts(farm, 7)).unwrap();
        ninja(&mut command("ninja"));
        assert!(example.rules().contains(&depth(9)), "{}", example.rules());

        // Another list in the variable: noted by whoever asks for -j.
        let with = example_hosts(farm, 20);
        succeeds(
            command("distcc-launch")
                .arg("jobs")
                .env("DISTCC_HOSTS", &with),
        );
        ninja(command("ninja").env("DISTCC_HOSTS", &with));
        assert!(example.rules().contains(&depth(22)), "{}", example.rules());
        let again = ninja(command("ninja").env("DISTCC_HOSTS", &with));
        assert!(again.contains("no work to do"), "{again}");
    }
}

fn example_hosts(farm: &Farm, slots: u32) -> String {
    farm.hosts(&format!("/{slots}")) + " localhost/2"
}

#[test]
fn cargo_s_file_is_edited_in_place() {
    let example = Example::of("cargo-cc", "203.0.113.1/16");
    let file = example.project().join(".cargo/config.toml");
    said(&example, &["setup", "cargo", "--write"]);
    assert_eq!(
        fs::read_to_string(&file).unwrap().trim_end(),
        said(&example, &["setup", "cargo"])
    );
    let mine = "# mine\n[build]\njobs = 2 # two\n\n[env]\nA = \"b\"\n";
    fs::write(&file, mine).unwrap();
    said(&example, &["setup", "cargo", "--write"]);
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.starts_with(mine), "{written}");
    assert!(written.contains("CC = \"distcc-launch cc\"\n"), "{written}");

    let foreign = "[env]\nCC = \"clang\"\n";
    fs::write(&file, foreign).unwrap();
    let ran = run(example
        .command("distcc-launch")
        .args(["setup", "cargo", "--write"]));
    assert_eq!(ran.code(), 1);
    assert!(
        ran.err()
            .contains("write CC = \"distcc-launch clang\" yourself"),
        "{}",
        ran.err()
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), foreign);
}

#[test]
fn shells_are_told_what_they_understand() {
    let example = Example::of("cargo-cc", "203.0.113.1/16");
    let script = "eval \"$(distcc-launch setup cargo --print-env sh)\"; echo \"$CC|$CXX|$CC_KNOWN_WRAPPER_CUSTOM\"";
    let printed = succeeds(example.command("sh").args(["-ec", script]));
    assert_eq!(
        printed,
        "distcc-launch cc|distcc-launch c++|distcc-launch\n"
    );
    let fish = said(&example, &["setup", "cargo", "--print-env", "fish"]);
    assert!(
        fish.starts_with("set -gx CC 'distcc-launch cc'\n"),
        "{fish}"
    );
    // Where PATH leads elsewhere, the file itself is named.
    let mut far = example.command(launcher().to_str().unwrap());
    let printed = succeeds(far.args(["setup", "cargo"]).env("PATH", "/usr/bin:/bin"));
    let named = format!(
        "CC = \"{} cc\"\n",
        launcher().canonicalize().unwrap().display()
    );
    assert!(printed.contains(&named), "{printed}");
}

#[test]
fn other_machines_have_variables_of_their_own() {
    let example = Example::of("cargo-cc", "203.0.113.1/16");
    let target = ["setup", "cargo", "--target"];
    let printed = said(
        &example,
        &[&target[..], &["aarch64-unknown-linux-gnu"]].concat(),
    );
    assert!(
        printed.contains("CC_aarch64_unknown_linux_gnu = \"distcc-launch aarch64-linux-gnu-gcc\""),
        "{printed}"
    );
    let unknown = [&target[..], &["mips-fancy-os"]].concat();
    let ran = run(example.command("distcc-launch").args(&unknown));
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("--cc and --cxx"), "{}", ran.err());
    let named = [&unknown[..], &["--cc", "mycc", "--cxx", "myc++"]].concat();
    assert!(said(&example, &named).contains("CXX_mips_fancy_os = \"distcc-launch myc++\""));
}

#[test]
fn shims_stand_before_every_compiler() {
    let farm = Farm::ours(1);
    let example = Example::of("ninja", &farm.hosts("/4"));
    let script = "eval \"$(distcc-launch shims \"$HOME/my shims\")\"; gcc -c main.c; c++ -x c -c twice.c; distcc gcc -c main.c -o again.o";
    for _ in 0..2 {
        succeeds(example.command("sh").args(["-ec", script]));
    }
    assert_all_remote(&example.rows(), 6);
    let folder = example.folder().join("my shims");
    for name in ["cc", "c++", "gcc", "g++", "clang", "distcc"] {
        let target = fs::read_link(folder.join(name)).unwrap();
        assert_eq!(target, launcher().canonicalize().unwrap(), "{name}");
    }
    assert!(!folder.join("gcc-ar").exists() && !folder.join("clang-format").exists());
}

#[test]
fn shims_overwrite_nothing() {
    let example = Example::of("ninja", "203.0.113.1/16");
    let folder = example.folder().join("bin");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("gcc"), "mine").unwrap();
    let ran = run(example.command("distcc-launch").arg("shims").arg(&folder));
    assert_eq!(ran.code(), 1);
    assert!(ran.err().contains("choose another folder"), "{}", ran.err());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(folder.join("gcc")).unwrap(), "mine");
}
