//! What CMake projects include to compile through the launcher.
//!
//! Knows CMake's variables and files and nothing of hosts: the module asks `distcc-launch jobs` for its numbers.

use std::path::Path;

/// The module, without what `find_package` wants besides.
pub const MODULE: &str = include_str!("../DistccLaunch.cmake");

/// The files that belong in one folder, by their names: the module, and what `find_package(DistccLaunch)` finds, as a
/// module or as a package.
pub const FILES: &[(&str, &str)] = &[
    ("DistccLaunch.cmake", MODULE),
    (
        "DistccLaunchConfig.cmake",
        include_str!("../DistccLaunchConfig.cmake"),
    ),
    (
        "DistccLaunchConfigVersion.cmake",
        include_str!("../DistccLaunchConfigVersion.cmake"),
    ),
    (
        "FindDistccLaunch.cmake",
        include_str!("../FindDistccLaunch.cmake"),
    ),
];

/// What the settings below are called where more than their names is needed.
const MODULE_VARIABLE: &str = "CMAKE_PROJECT_INCLUDE";
const LAUNCHER_VARIABLE: &str = "DISTCC_LAUNCH_EXECUTABLE";

/// The arguments that make `cmake` configure a project through `launcher`, given where [`MODULE`] lies.
///
/// `CMAKE_PROJECT_INCLUDE` and not `CMAKE_PROJECT_TOP_LEVEL_INCLUDES`: older CMake knows it too (3.15 instead of 3.24), and
/// the other one is often taken already (Conan's provider).  CMake reads its command line as UTF-8, so a path that
/// is not UTF-8 cannot be handed to it in any spelling.
pub fn configure_args(launcher: &Path, module: &Path) -> Vec<String> {
    vec![
        format!("-D{MODULE_VARIABLE}:FILEPATH={}", module.display()),
        format!("-D{LAUNCHER_VARIABLE}:FILEPATH={}", launcher.display()),
    ]
}

/// A file for the `include` of a `CMakePresets.json`: hidden presets named `distcc-launch` for others to inherit, the one
/// for building with `jobs` jobs at a time.
pub fn presets(launcher: &Path, module: &Path, jobs: u32) -> String {
    let file = |path: &Path| {
        let value = json_string(&path.display().to_string());
        format!("{{ \"type\": \"FILEPATH\", \"value\": {value} }}")
    };
    format!(
        r#"{{
  "version": 4,
  "configurePresets": [
    {{
      "name": "distcc-launch",
      "hidden": true,
      "cacheVariables": {{
        "{MODULE_VARIABLE}": {},
        "{LAUNCHER_VARIABLE}": {}
      }}
    }}
  ],
  "buildPresets": [
    {{
      "name": "distcc-launch",
      "hidden": true,
      "jobs": {jobs}
    }}
  ]
}}
"#,
        file(module),
        file(launcher)
    )
}

fn json_string(value: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in value.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            // Else ${…} would be a macro of CMake's.
            '$' => quoted.push_str("${dollar}"),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_paths_reach_cmake() {
        let args = configure_args(
            Path::new("/opt/bin/distcc-launch"),
            Path::new("/opt/D.cmake"),
        );
        assert_eq!(
            args,
            [
                "-DCMAKE_PROJECT_INCLUDE:FILEPATH=/opt/D.cmake",
                "-DDISTCC_LAUNCH_EXECUTABLE:FILEPATH=/opt/bin/distcc-launch",
            ]
        );
    }

    #[test]
    fn only_languages_with_plain_compilers_are_touched() {
        assert_eq!(MODULE.matches("IN ITEMS C CXX OBJC OBJCXX)").count(), 2);
        for language in ["CUDA", "HIP", "ISPC", "ASM", "Fortran"] {
            assert!(!MODULE.contains(language), "{language}");
        }
    }

    #[test]
    fn the_package_has_our_version() {
        let line = format!("set(PACKAGE_VERSION {})", env!("CARGO_PKG_VERSION"));
        assert!(FILES.iter().any(|(_, text)| text.contains(&line)), "{line}");
    }

    #[test]
    fn paths_are_quoted_for_json() {
        let text = presets(Path::new("/a\"b\\c"), Path::new("/d\n$e"), 7);
        assert!(text.contains(r#""value": "/a\"b\\c""#), "{text}");
        assert!(text.contains(r#""value": "/d\u000a${dollar}e""#), "{text}");
        assert!(text.contains("\"jobs\": 7\n"), "{text}");
    }
}
