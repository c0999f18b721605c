//! The arrows of ARCHITECTURE.md: who may know whom, and what must stay off the launch path.

use std::{collections::BTreeMap, collections::BTreeSet, process::Command};

use serde_json::Value;

/// Each package of the workspace, and which of the others it may use (outside its tests).
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("compiler", &[]),
    ("hosts", &[]),
    ("includes", &["compiler", "protocol"]),
    ("include-server", &["compiler", "includes", "protocol"]),
    ("zeroconf-browser", &["hosts", "protocol"]),
    ("keys", &[]),
    (
        "launcher",
        &[
            "hosts",
            "compiler",
            "protocol",
            "keys",
            "integration-cmake",
            "integration-ninja",
            "integration-cargo-cc",
        ],
    ),
    ("sandbox", &[]),
    ("daemon", &["compiler", "protocol", "keys", "sandbox"]),
    ("integration-cmake", &["hosts"]),
    ("integration-ninja", &["hosts"]),
    ("integration-cargo-cc", &["hosts"]),
    ("tests", &[]),
    ("simulation", &["hosts"]),
    (
        "xtask",
        &[
            "integration-cmake",
            "integration-ninja",
            "integration-cargo-cc",
        ],
    ),
];

/// What would make the launcher slow to start or hard to reason about.  (clap and serde belong to its sub-commands.)
const NOT_IN_THE_LAUNCHER: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "mio",
    "hyper",
    "log",
    "tracing",
    "env_logger",
    "rayon",
    "libc-print",
];

/// What no part that does no input or output has a use for.
const NOT_IN_PURE_PARTS: &[&str] = &["tokio", "rustix", "libc", "tempfile", "which", "mio", "nix"];

fn metadata() -> Value {
    let done = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "metadata",
            "--format-version=1",
            "--offline",
            "--filter-platform=x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Package name by id, and for each id the ids that it uses when it is no test.
struct Graph {
    names: BTreeMap<String, String>,
    uses: BTreeMap<String, Vec<String>>,
    members: BTreeSet<String>,
}

impl Graph {
    fn read() -> Graph {
        let metadata = metadata();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let names = metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect();
        let mut uses = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array().unwrap() {
            let deps = node["deps"].as_array().unwrap().iter().filter(|dep| {
                dep["dep_kinds"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|kind| kind["kind"].is_null())
            });
            uses.insert(
                text(&node["id"]),
                deps.map(|dep| text(&dep["pkg"])).collect(),
            );
        }
        let members = metadata["workspace_members"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect();
        Graph {
            names,
            uses,
            members,
        }
    }

    fn id(&self, name: &str) -> &str {
        let mut ids = self.members.iter().filter(|id| self.names[*id] == name);
        ids.next()
            .unwrap_or_else(|| panic!("{name} is no member of the workspace"))
    }

    /// The names of all that `name` is built from.
    fn closure(&self, name: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut next = vec![self.id(name)];
        while let Some(id) = next.pop() {
            for used in &self.uses[id] {
                if found.insert(used.as_str()) {
                    next.push(used);
                }
            }
        }
        found
            .into_iter()
            .map(|id| self.names[id].as_str())
            .collect()
    }
}

#[test]
fn every_arrow_is_drawn() {
    let graph = Graph::read();
    let drawn: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for id in &graph.members {
        let name = graph.names[id].as_str();
        let allowed = drawn.get(name).unwrap_or_else(|| {
            panic!("{name} is new: say here and in ARCHITECTURE.md what it may use")
        });
        for used in graph.uses[id]
            .iter()
            .filter(|used| graph.members.contains(*used))
        {
            let used = graph.names[used].as_str();
            assert!(
                allowed.contains(&used),
                "{name} uses {used}: the picture has no such arrow"
            );
        }
    }
}

#[test]
fn launcher_and_daemon_meet_only_in_protocol_compiler_and_keys() {
    let graph = Graph::read();
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let of =
        |name| -> BTreeSet<&str> { graph.closure(name).intersection(&ours).copied().collect() };
    let common: BTreeSet<&str> = of("launcher")
        .intersection(&of("daemon"))
        .copied()
        .collect();
    assert_eq!(common, BTreeSet::from(["compiler", "keys", "protocol"]));
}

#[test]
fn the_launcher_is_light() {
    let graph = Graph::read();
    let closure = graph.closure("launcher");
    assert!(closure.contains("protocol"));
    for heavy in NOT_IN_THE_LAUNCHER {
        assert!(
            !closure.contains(heavy),
            "the launcher is built from {heavy}"
        );
    }
}

#[test]
fn parts_without_input_and_output_have_no_means_for_it() {
    let graph = Graph::read();
    for part in ["protocol", "compiler"] {
        let closure = graph.closure(part);
        for means in NOT_IN_PURE_PARTS {
            assert!(!closure.contains(means), "{part} is built from {means}");
        }
    }
}

/// clap parses the words of our own sub-commands, and of nothing else: no other file of the launcher names it.
#[test]
fn only_the_sub_commands_know_clap() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../launcher/src");
    let mut folders = vec![sources.clone()];
    let mut users = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).unwrap().contains("clap::") {
                users.push(path.strip_prefix(&sources).unwrap().display().to_string());
            }
        }
    }
    users.retain(|name| !name.starts_with("commands"));
    assert_eq!(users, Vec::<String>::new());
}

#[test]
fn no_licence_asks_for_more_than_ours_gives() {
    let copyleft = ["GPL", "AGPL", "SSPL", "EUPL", "OSL"];
    for package in metadata()["packages"].as_array().unwrap() {
        let licence = package["license"].as_str().unwrap_or("");
        let choices: Vec<&str> = licence
            .split(" OR ")
            .flat_map(|choice| choice.split('/'))
            .collect();
        let free = choices
            .iter()
            .any(|choice| !copyleft.iter().any(|word| choice.contains(word)));
        assert!(free, "{} is under {licence}", package["name"]);
    }
}
