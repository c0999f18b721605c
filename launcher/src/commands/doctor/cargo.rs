//! cargo's `cc` crate: does it know the wrapper that `CC` names?
//!
//! `CC` may come from the environment or from cargo's own configuration; the environment wins, as it does for cargo.

use std::fs;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Layer};
use crate::settings::BuildEnvironment;

/// A variable, its value, and where it is set when that is a file.
type Variable = (String, String, Option<PathBuf>);

/// The crate takes the first word of CC for the compiler unless it knows it for a wrapper.
pub(super) fn cc_crate(environment: &BuildEnvironment, folder: &Path) -> Vec<Finding> {
    let all = variables(environment, folder);
    let value = |wanted: &str| {
        let found = all.iter().find(|(name, ..)| name == wanted);
        found.map(|(_, value, _)| value.as_str())
    };
    let known = value("CC_KNOWN_WRAPPER_CUSTOM");
    let compilers = || all.iter().filter(|(name, ..)| is_compiler(name));
    let unknown = compilers().find_map(|variable| {
        let mut words = variable.1.split_whitespace();
        let wrapper = words.next().filter(|_| words.next().is_some())?;
        let stem = Path::new(wrapper).file_stem()?.to_str()?;
        // It knows stock's name by itself.
        (stem.starts_with("distcc-launch") && known != Some(stem)).then_some((variable, stem))
    });
    if let Some(((name, value, file), stem)) = unknown {
        let place = file
            .as_ref()
            .map_or(String::new(), |file| format!(" in {}", file.display()));
        let known = known.map_or("is not set".to_owned(), |known| format!("is {known:?}"));
        let fix = match file {
            Some(file) => format!(
                "CC_KNOWN_WRAPPER_CUSTOM = \"{stem}\"      # below [env] in {}; or: distcc-launch setup cargo",
                file.display()
            ),
            None => format!(
                "export CC_KNOWN_WRAPPER_CUSTOM={stem}      # or: distcc-launch setup cargo"
            ),
        };
        return vec![Finding::failed(
            Layer::CcCrate,
            "cc-wrapper-unknown",
            format!(
                "{name} is {value:?}{place}, and CC_KNOWN_WRAPPER_CUSTOM {known}: cargo's cc crate takes {stem} for the compiler, its flag checks fail, and flags are dropped silently"
            ),
            fix,
        )];
    }
    let through = compilers().any(|(_, value, _)| value.contains("distcc"));
    vec![match through {
        true => Finding::ok(Layer::CcCrate, "it knows the wrapper in CC"),
        false => Finding::skipped(Layer::CcCrate, "CC names no launcher"),
    }]
}

fn is_compiler(name: &str) -> bool {
    let plain = [
        "CC",
        "CXX",
        "HOST_CC",
        "HOST_CXX",
        "TARGET_CC",
        "TARGET_CXX",
    ];
    let of_target = name.starts_with("CXX_")
        || name.starts_with("CC_")
            && name != "CC_KNOWN_WRAPPER_CUSTOM"
            && !name.starts_with("CC_ENABLE");
    plain.contains(&name) || of_target
}

/// What is set in the environment, then what cargo's configuration of `folder` and those above it sets.
fn variables(environment: &BuildEnvironment, folder: &Path) -> Vec<Variable> {
    let mut all: Vec<Variable> = environment
        .all()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
                None,
            )
        })
        .collect();
    for above in folder.ancestors() {
        for name in [".cargo/config.toml", ".cargo/config"] {
            let path = above.join(name);
            let text = fs::read_to_string(&path).unwrap_or_default();
            for (name, value) in env_table(&text) {
                if all.iter().all(|(set, ..)| *set != name) {
                    all.push((name, value, Some(path.clone())));
                }
            }
        }
    }
    all
}

/// The plain strings of a configuration's `[env]`: `NAME = "value"` and `NAME = { value = "value", … }`.
fn env_table(text: &str) -> Vec<(String, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line
                .split('#')
                .next()
                .is_some_and(|head| head.trim() == "[env]");
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside) {
            let value = match value.split_once("value") {
                Some((before, after)) if before.trim() == "{" => {
                    after.trim_start().trim_start_matches('=')
                }
                _ => value,
            };
            let value = value.trim_start();
            let quote = value
                .chars()
                .next()
                .filter(|quote| matches!(quote, '"' | '\''));
            let string = quote.and_then(|quote| value[1..].split_once(quote));
            if let Some((string, _)) = string {
                found.push((name.trim().trim_matches('"').to_owned(), string.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::State;

    #[test]
    fn the_cc_crate_knows_wrappers_by_their_stem() {
        let states = |variables: &[(&str, &str)]| {
            let found = cc_crate(&BuildEnvironment::of(variables), Path::new("/proc"));
            found.iter().map(|one| one.state).collect::<Vec<_>>()
        };
        let ours = ("CC", "/opt/distcc-launch gcc");
        assert_eq!(states(&[ours]), [State::Failed]);
        assert_eq!(
            states(&[ours, ("CC_KNOWN_WRAPPER_CUSTOM", "distcc-launch")]),
            [State::Ok]
        );
        assert_eq!(
            states(&[ours, ("CC_KNOWN_WRAPPER_CUSTOM", "/opt/distcc-launch")]),
            [State::Failed]
        );
        assert_eq!(
            states(&[(
                "CXX_aarch64-unknown-linux-gnu",
                "distcc-launch aarch64-linux-gnu-g++"
            )]),
            [State::Failed]
        );
        assert_eq!(states(&[("CC", "distcc gcc")]), [State::Ok]);
        assert_eq!(states(&[("CC", "gcc")]), [State::Skipped]);
        assert_eq!(states(&[("CC", "distcc-launch")]), [State::Ok]);
    }

    #[test]
    fn cargos_own_configuration_counts() {
        let folder = tempfile::tempdir().expect("folder");
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(folder.path().join(".cargo")).expect("folder");
        std::fs::create_dir_all(&deep).expect("folder");
        let write = |text: &str| {
            std::fs::write(folder.path().join(".cargo/config.toml"), text).expect("written");
        };
        let state = || cc_crate(&BuildEnvironment::of(&[]), &deep)[0].state;
        write("[build]\nCC = \"distcc-launch gcc\"\n[env] # ours\nX = 1\n");
        assert_eq!(state(), State::Skipped);
        for line in [
            "CC = \"distcc-launch gcc\" # C",
            "CXX = { value = 'distcc-launch g++', force = true }",
        ] {
            write(&format!("[env]\n{line}\n"));
            assert_eq!(state(), State::Failed, "{line}");
            write(&format!(
                "[env]\n{line}\nCC_KNOWN_WRAPPER_CUSTOM = \"distcc-launch\"\n"
            ));
            assert_eq!(state(), State::Ok, "{line}");
        }
    }
}
