//! What cargo needs in its environment so that cc-rs compiles through the launcher.
//!
//! Knows cc-rs's and the cmake crate's variables and nothing of hosts.

mod edit;
mod target;

use std::path::Path;

pub use edit::{Refusal, add_to};
pub use target::Target;

/// The name that cc-rs is told to take for a wrapper when the launcher's own path cannot be used.
const NAME: &str = "distcc-launch";

/// What a shell has to be told it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// Any shell of the Bourne family.
    Sh,
    Fish,
}

/// Variables for cargo's build scripts, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables {
    rows: Vec<(String, String)>,
    note: Option<String>,
}

impl Variables {
    /// Those that bring `launcher` (a name in `PATH` or a path) before the compilers of this machine, or of `target` alone.
    ///
    /// cc-rs splits `CC` at white space and knows no quoting, so a path with white space is left out: `distcc-launch` is
    /// named then, which must be in `PATH`.
    ///
    /// `cc` and `c++` are what cc-rs itself takes on Unix when nothing is set, so the compiler stays the same one.
    /// `CC_KNOWN_WRAPPER_CUSTOM` is compared with the stem of the first word (cc-rs lib.rs, `env_tool`): never a path.  The
    /// cmake crate drops wrappers from `CC`; CMake's own variables bring the launcher back.
    pub fn new(launcher: &str, target: Option<&Target>) -> Variables {
        let usable = !launcher.is_empty() && !launcher.contains(char::is_whitespace);
        let (launcher, note) = match usable {
            true => (launcher, None),
            false => (
                NAME,
                Some(format!(
                    "{NAME} must be in PATH: cc-rs cannot take a path with white space."
                )),
            ),
        };
        let stem = Path::new(launcher)
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or(NAME);
        let (cc, cxx, suffix) = match target {
            None => ("cc", "c++", String::new()),
            Some(target) => (
                &*target.cc,
                &*target.cxx,
                format!("_{}", target.triple.replace(['-', '.'], "_")),
            ),
        };
        let rows = [
            (format!("CC{suffix}"), format!("{launcher} {cc}")),
            (format!("CXX{suffix}"), format!("{launcher} {cxx}")),
            ("CC_KNOWN_WRAPPER_CUSTOM".to_owned(), stem.to_owned()),
            ("CMAKE_C_COMPILER_LAUNCHER".to_owned(), launcher.to_owned()),
            (
                "CMAKE_CXX_COMPILER_LAUNCHER".to_owned(),
                launcher.to_owned(),
            ),
        ];
        Variables {
            rows: rows.into(),
            note,
        }
    }

    /// The `[env]` table for `.cargo/config.toml`.
    pub fn fragment(&self) -> String {
        let mut text = String::new();
        if let Some(note) = &self.note {
            text.push_str(&format!("# {note}\n"));
        }
        text.push_str("[env]\n");
        for (name, value) in &self.rows {
            text.push_str(&format!("{name} = {}\n", toml_edit::Value::from(value)));
        }
        text
    }

    /// Commands that set them in a shell, for `eval`.
    pub fn exports(&self, shell: Shell) -> String {
        let line = |(name, value): &(String, String)| match shell {
            Shell::Sh => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
            Shell::Fish => {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                format!("set -gx {name} '{value}'\n")
            }
        };
        let note = self.note.iter().map(|note| format!("# {note}\n"));
        note.chain(self.rows.iter().map(line)).collect()
    }

    fn launcher(&self) -> &str {
        let (_, cc) = &self.rows[0];
        cc.split(' ').next().unwrap_or(NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_path() {
        assert_eq!(
            Variables::new("distcc-launch", None).fragment(),
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
        let text = Variables::new("/opt/farm/bin/distcc-launch", None).fragment();
        assert!(text.contains("CC = \"/opt/farm/bin/distcc-launch cc\"\n"));
        assert!(text.contains("CC_KNOWN_WRAPPER_CUSTOM = \"distcc-launch\"\n"));
    }

    #[test]
    fn a_path_that_cc_rs_would_split_is_not_written() {
        let text = Variables::new("/my tools/distcc-launch", None).fragment();
        assert!(text.starts_with("# distcc-launch must be in PATH"));
        assert!(text.contains("CC = \"distcc-launch cc\"\n"));
    }

    #[test]
    fn another_machine_has_variables_of_its_own() {
        let target = Target::known("aarch64-unknown-linux-gnu").expect("known");
        let text = Variables::new("distcc-launch", Some(&target)).fragment();
        assert!(
            text.contains(
                "CC_aarch64_unknown_linux_gnu = \"distcc-launch aarch64-linux-gnu-gcc\"\n"
            ),
            "{text}"
        );
        assert!(text.contains("CXX_aarch64_unknown_linux_gnu = "), "{text}");
        assert!(!text.contains("\nCC = "), "{text}");
    }

    #[test]
    fn shells_get_their_own_quotes() {
        let quoted = Variables::new("/it's/distcc\\launch", None);
        assert!(
            quoted
                .exports(Shell::Sh)
                .starts_with("export CC='/it'\\''s/distcc\\launch cc'\n")
        );
        assert!(
            quoted
                .exports(Shell::Fish)
                .starts_with("set -gx CC '/it\\'s/distcc\\\\launch cc'\n")
        );
    }
}
