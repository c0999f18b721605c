//! What CMake projects include to compile through the launcher.
//!
//! Knows CMake's variables and nothing of hosts: the module asks `distcc-launch jobs` for its numbers.

use std::path::Path;

/// The text of `DistccLaunch.cmake`, which `distcc-launch setup cmake` writes out.
pub const MODULE: &str = include_str!("../DistccLaunch.cmake");

/// The arguments that make `cmake` configure a project through `launcher`, given where [`MODULE`] lies.
///
/// `CMAKE_PROJECT_INCLUDE` and not `CMAKE_PROJECT_TOP_LEVEL_INCLUDES`: older CMake knows it too (3.15 instead of 3.24), and
/// the other one is often taken already (Conan's provider).  CMake reads its command line as UTF-8, so a path that
/// is not UTF-8 cannot be handed to it in any spelling.
pub fn configure_args(launcher: &Path, module: &Path) -> Vec<String> {
    vec![
        format!("-DCMAKE_PROJECT_INCLUDE:FILEPATH={}", module.display()),
        format!("-DDISTCC_LAUNCH_EXECUTABLE:FILEPATH={}", launcher.display()),
    ]
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
        assert!(MODULE.contains("IN ITEMS C CXX OBJC OBJCXX)"));
        for language in ["CUDA", "HIP", "ISPC", "ASM", "Fortran"] {
            assert!(!MODULE.contains(language), "{language}");
        }
    }
}
