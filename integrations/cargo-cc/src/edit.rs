//! Our variables in somebody's `.cargo/config.toml`: put there in place, with all comments kept.

use std::path::Path;

use toml_edit::{DocumentMut, Item, TableLike, TomlError, Value};

use crate::Variables;

/// Why a file is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the file is no TOML")]
    Broken(#[from] TomlError),
    #[error("env is no table there; cargo would not take it either")]
    NoTable,
    #[error(
        "{name} is {value} there, which is not ours to replace; take it out, or write {instead} yourself"
    )]
    Foreign {
        name: String,
        value: String,
        instead: String,
    },
}

/// The text of a configuration file with `variables` in its `[env]`.
///
/// What is ours already, by the first word, gets its new value; what names anything else stops the edit.
///
/// # Errors
/// [`Refusal`], and then nothing is to be written.
pub fn add_to(text: &str, variables: &Variables) -> Result<String, Refusal> {
    let mut file: DocumentMut = text.parse()?;
    let env = file
        .entry("env")
        .or_insert_with(toml_edit::table)
        .as_table_like_mut()
        .ok_or(Refusal::NoTable)?;
    for (name, value) in &variables.rows {
        set(env, name, value, variables)?;
    }
    Ok(file.to_string())
}

fn set(
    env: &mut dyn TableLike,
    name: &str,
    value: &str,
    variables: &Variables,
) -> Result<(), Refusal> {
    let Some(item) = env.get_mut(name) else {
        env.insert(name, toml_edit::value(value));
        return Ok(());
    };
    let place = value_in(item).ok_or(Refusal::NoTable)?;
    let there = place.as_str().unwrap_or_default();
    if there == value {
        return Ok(());
    }
    let first = there.split_whitespace().next().unwrap_or_default();
    if !is_launcher(first, variables.launcher()) {
        let there = there.to_owned();
        return Err(Refusal::Foreign {
            instead: instead(name, &there, variables),
            name: name.to_owned(),
            value: format!("{there:?}"),
        });
    }
    // The compiler behind us is the person's choice, if one is named.
    let value = match there.split_once(char::is_whitespace) {
        Some((_, compiler)) => format!("{} {}", variables.launcher(), compiler.trim_start()),
        None => value.to_owned(),
    };
    let decor = place.decor().clone();
    *place = Value::from(value);
    *place.decor_mut() = decor;
    Ok(())
}

/// The value itself of `X = "…"` or `X = { value = "…", force = true }`.
fn value_in(item: &mut Item) -> Option<&mut Value> {
    if item.is_table_like() {
        return item.as_table_like_mut()?.get_mut("value")?.as_value_mut();
    }
    item.as_value_mut()
}

fn is_launcher(word: &str, ours: &str) -> bool {
    let stem = Path::new(word).file_stem().and_then(|stem| stem.to_str());
    word == ours || stem == Some(super::NAME)
}

/// What would keep what is there, and bring us in.
fn instead(name: &str, there: &str, variables: &Variables) -> String {
    let launcher = variables.launcher();
    let (first, rest) = there.split_once(char::is_whitespace).unwrap_or((there, ""));
    match Path::new(first).file_stem().and_then(|stem| stem.to_str()) {
        _ if name.starts_with("CMAKE_") => format!("{name} = \"{there};{launcher}\""),
        // One wrapper of one's own is all that cc-rs knows, but `distcc` it knows besides.
        _ if name == "CC_KNOWN_WRAPPER_CUSTOM" => {
            "CC = \"DIR/distcc cc\" (see distcc-launch shims DIR)".to_owned()
        }
        // One wrapper is all that cc-rs looks behind; ccache starts us by itself.
        Some("ccache") => format!("CCACHE_PREFIX = \"{launcher}\""),
        Some("sccache") => format!("{name} = \"{launcher} {}\"", rest.trim_start()),
        _ => format!("{name} = \"{launcher} {there}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Variables {
        Variables::new("distcc-launch", None)
    }

    #[test]
    fn a_new_file_is_the_fragment() {
        assert_eq!(add_to("", &ours()).expect("made"), ours().fragment());
    }

    #[test]
    fn comments_and_order_stay() {
        let text = "# mine\n[build]\njobs = 3 # few\n\n[env] # more\nA = \"b\" # c\n\n[net]\noffline = true\n";
        let edited = add_to(text, &ours()).expect("edited");
        for line in text.lines() {
            assert!(edited.contains(line), "{line} is gone from\n{edited}");
        }
        let env = edited.split("[env]").nth(1).expect("env");
        let (env, _) = env.split_once("[net]").expect("net");
        assert!(env.contains("CC = \"distcc-launch cc\"\n"), "{edited}");
        assert_eq!(add_to(&edited, &ours()).expect("again"), edited);
    }

    #[test]
    fn every_spelling_of_env_takes_them() {
        for text in [
            "env.A = \"1\"\n",
            "env = { A = \"1\" }\n",
            "[env.A]\nvalue = \"1\"\n",
        ] {
            let edited = add_to(text, &ours()).expect(text);
            let file: DocumentMut = edited.parse().expect(&edited);
            assert_eq!(
                file["env"]["CC"].as_str(),
                Some("distcc-launch cc"),
                "{edited}"
            );
            assert!(file["env"]["A"].is_str() || file["env"]["A"]["value"].is_str());
        }
        assert!(matches!(
            add_to("env = 1\n", &ours()),
            Err(Refusal::NoTable)
        ));
        assert!(matches!(
            add_to("env = [\n", &ours()),
            Err(Refusal::Broken(_))
        ));
    }

    #[test]
    fn what_was_ours_gets_its_new_value_in_place() {
        let text = "[env]\nCC = { value = \"/old/distcc-launch cc\", force = true } # forced\nCXX = \"/old/distcc-launch  g++\" # gnu\n";
        let edited = add_to(text, &ours()).expect("edited");
        assert!(
            edited.contains("CC = { value = \"distcc-launch cc\", force = true } # forced\n"),
            "{edited}"
        );
        assert!(
            edited.contains("CXX = \"distcc-launch g++\" # gnu\n"),
            "{edited}"
        );
    }

    #[test]
    fn what_is_not_ours_stops_the_edit_and_says_how_to_go_on() {
        for (line, instead) in [
            ("CC = \"clang\"", "CC = \"distcc-launch clang\""),
            ("CXX = \"ccache g++\"", "CCACHE_PREFIX = \"distcc-launch\""),
            (
                "CMAKE_C_COMPILER_LAUNCHER = \"ccache\"",
                "CMAKE_C_COMPILER_LAUNCHER = \"ccache;distcc-launch\"",
            ),
            (
                "CC_KNOWN_WRAPPER_CUSTOM = \"goma\"",
                "CC = \"DIR/distcc cc\"",
            ),
        ] {
            let error = add_to(&format!("[env]\n{line}\n"), &ours()).expect_err(line);
            assert!(error.to_string().contains(instead), "{error}");
        }
    }
}
