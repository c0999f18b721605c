//! What cargo needs in its environment so that cc-rs compiles through the launcher.
//!
//! Knows cc-rs's and the cmake crate's variables and nothing of hosts.

use std::path::Path;

/// The name that cc-rs is told to take for a wrapper when the launcher's own path cannot be used.
const NAME: &str = "distcc-launch";

/// The `[env]` table for `.cargo/config.toml`; `launcher` is a name in `PATH` or a path.
///
/// cc-rs splits `CC` at white space and knows no quoting, so a path with white space is left out: the fragment then
/// names `distcc-launch`, which must be in `PATH`.
///
/// `cc` and `c++` are what cc-rs itself takes on Unix when nothing is set, so the compiler stays the same one.
/// `CC_KNOWN_WRAPPER_CUSTOM` is compared with the stem of the first word (cc-rs lib.rs, `env_tool`): never a path.  The
/// cmake crate drops wrappers from `CC`; CMake's own variables bring the launcher back.
pub fn env_fragment(launcher: &str) -> String {
    let usable = !launcher.is_empty() && !launcher.contains(char::is_whitespace);
    let (launcher, note) = match usable {
        true => (launcher, String::new()),
        false => (
            NAME,
            format!("# {NAME} must be in PATH: cc-rs cannot take a path with white space.\n"),
        ),
    };
    let stem = Path::new(launcher)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or(NAME);
    let rows = [
        ("CC", format!("{launcher} cc")),
        ("CXX", format!("{launcher} c++")),
        ("CC_KNOWN_WRAPPER_CUSTOM", stem.to_owned()),
        ("CMAKE_C_COMPILER_LAUNCHER", launcher.to_owned()),
        ("CMAKE_CXX_COMPILER_LAUNCHER", launcher.to_owned()),
    ];
    let mut text = format!("{note}[env]\n");
    for (name, value) in rows {
        text.push_str(&format!("{name} = {}\n", toml_string(&value)));
    }
    text
}

/// `value` as a basic TOML string.
fn toml_string(value: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in value.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)))
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
    fn a_name_in_path() {
        assert_eq!(
            env_fragment("distcc-launch"),
            "[env]\n\
             CC = \"distcc-launch cc\"\n\
             CXX = \"distcc-launch c++\"\n\
             CC_KNOWN_WRAPPER_CUSTOM = \"distcc-launch\"\n\
             CMAKE_C_COMPILER_LAUNCHER = \"distcc-launch\"\n\
             CMAKE_CXX_COMPILER_LAUNCHER = \"distcc-launch\"\n"
        );
    }

    #[test]
    fn the_known_wrapper_is_a_stem() {
        let text = env_fragment("/opt/farm/bin/distcc-launch");
        assert!(text.contains("CC = \"/opt/farm/bin/distcc-launch cc\"\n"));
        assert!(text.contains("CC_KNOWN_WRAPPER_CUSTOM = \"distcc-launch\"\n"));
    }

    #[test]
    fn a_path_that_cc_rs_would_split_is_not_written() {
        let text = env_fragment("/my tools/distcc-launch");
        assert!(text.starts_with("# distcc-launch must be in PATH"));
        assert!(text.contains("CC = \"distcc-launch cc\"\n"));
    }

    #[test]
    fn toml_escapes() {
        assert_eq!(toml_string("a\"b\\c\n"), r#""a\"b\\c\u000A""#);
    }
}
