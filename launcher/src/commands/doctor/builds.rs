//! The layers of CMake and ccache: what variables and caches say, and whether that fits together.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hosts::HostList;

use super::compiler::base_of;
use super::finding::{Finding, Layer};
use super::pace::Pace;
use super::{cargo, make};
use crate::find::{self, Inode};
use crate::settings::{BuildEnvironment, Settings};

/// The variables of the launchers for C and C++.
const LAUNCHERS: [&str; 2] = ["CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER"];

/// All that can be told without a host.
pub(super) fn look(
    settings: &Settings,
    environment: &BuildEnvironment,
    list: &HostList,
    pace: &Pace,
) -> Vec<Finding> {
    let caches = caches(Path::new("."));
    let here = std::env::current_dir().unwrap_or_default();
    let mut found = vec![
        make::width(environment, list),
        make::jobserver(environment, pace),
    ];
    found.extend(cmake(environment, &caches));
    found.extend(ccache(settings, environment, &caches));
    found.extend(cargo::cc_crate(environment, &here));
    found.push(launcher(settings, environment, &caches));
    found
}

/// Is a launcher of ours that is named without a folder in PATH?
fn launcher(settings: &Settings, environment: &BuildEnvironment, caches: &[Cache]) -> Finding {
    let mut named: Vec<(String, String)> = Vec::new();
    let mut add = |word: &str, by: String| {
        if word.starts_with("distcc-launch") && !word.contains('/') {
            named.push((word.to_owned(), by));
        }
    };
    for name in LAUNCHERS.iter().chain(&["CC", "CXX", "CCACHE_PREFIX"]) {
        let value = environment
            .get(name)
            .map(|value| value.to_string_lossy().into_owned());
        for word in value.iter().flat_map(|value| value.split([';', ' '])) {
            add(word, format!("the variable {name}"));
        }
        for cache in caches {
            for word in cache.get(name).into_iter().flat_map(|list| list.split(';')) {
                add(word, cache.path.display().to_string());
            }
        }
    }
    let Some((first, _)) = named.first() else {
        return Finding::skipped(Layer::Launcher, "nothing names it without its folder");
    };
    let gone = named
        .iter()
        .find(|(word, _)| !is_ours_in_path(word, &settings.path));
    match gone {
        None => Finding::ok(Layer::Launcher, format!("{first} is in PATH")),
        Some((word, by)) => {
            let folder = std::env::current_exe().ok();
            let folder = folder.as_deref().and_then(Path::parent);
            Finding::failed(
                Layer::Launcher,
                "launcher-not-in-path",
                format!("{by} names {word}, which is not in PATH: the build cannot start it"),
                format!(
                    "export PATH=\"{}:$PATH\"",
                    folder.unwrap_or(Path::new("/usr/local/bin")).display()
                ),
            )
        }
    }
}

/// A configured build folder.
struct Cache {
    path: PathBuf,
    text: String,
}

/// The caches of `root` and of the folders in it.
fn caches(root: &Path) -> Vec<Cache> {
    let below = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .take(1000);
    let mut folders: Vec<PathBuf> = below
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| PathBuf::from(entry.file_name()))
        .collect();
    folders.sort();
    folders.insert(0, PathBuf::new());
    let read = |folder: PathBuf| {
        let path = folder.join("CMakeCache.txt");
        let bytes = fs::read(&path).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(Cache { path, text })
    };
    folders.into_iter().filter_map(read).collect()
}

impl Cache {
    /// The value of an entry that is there and says something.
    fn get(&self, name: &str) -> Option<&str> {
        let line = self
            .text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line?
            .split_once('=')
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    fn source(&self) -> &str {
        self.get("CMAKE_HOME_DIRECTORY").unwrap_or(".")
    }

    /// Configures again with `-DNAME=VALUE`.
    fn set(&self, name: &str, value: &str) -> String {
        format!(
            "cmake -S {} -B {} '-D{name}={value}'",
            self.source(),
            self.folder().display()
        )
    }

    /// Do the units of this folder go through us, as far as the cache tells?
    fn names_us(&self) -> bool {
        let entries = [
            "CMAKE_C_COMPILER",
            "CMAKE_CXX_COMPILER",
            "CMAKE_PROJECT_INCLUDE",
            "CMAKE_PROJECT_TOP_LEVEL_INCLUDES",
            "DistccLaunch_DIR",
        ];
        let mut values = LAUNCHERS
            .iter()
            .chain(&entries)
            .filter_map(|name| self.get(name));
        values.any(|value| value.contains("distcc-launch") || value.contains("DistccLaunch"))
    }
}

fn cmake(environment: &BuildEnvironment, caches: &[Cache]) -> Vec<Finding> {
    if caches.is_empty() {
        return vec![Finding::skipped(
            Layer::Cmake,
            "no CMakeCache.txt here or in a folder below",
        )];
    }
    let mut found = Vec::new();
    for cache in caches {
        let path = cache.path.display();
        for name in LAUNCHERS {
            let there = cache.get(name);
            if let Some(said) = environment.get(name).map(|value| value.to_string_lossy())
                && there != Some(&*said)
            {
                found.push(Finding::failed(
                    Layer::Cmake,
                    "cmake-cache-differs",
                    format!(
                        "{name} is {said:?} in the environment, but {} in {path}: the cache wins, the variable counts only when a folder is first configured",
                        there.map_or("not set".to_owned(), |there| format!("{there:?}"))
                    ),
                    cache.set(name, &said),
                ));
            }
            let gone = there
                .into_iter()
                .flat_map(|list| list.split(';'))
                .find(|word| word.starts_with('/') && !Path::new(word).exists());
            if let Some(gone) = gone {
                found.push(Finding::failed(
                    Layer::Cmake,
                    "cmake-launcher-gone",
                    format!("{path} names the launcher {gone}, which is not there: no unit can be compiled"),
                    cache.set(name, "distcc-launch"),
                ));
            }
        }
    }
    if found.is_empty() {
        found.extend(caches.iter().map(cmake_well));
    }
    found
}

fn cmake_well(cache: &Cache) -> Finding {
    let path = cache.path.display();
    match cache.names_us() {
        true => Finding::ok(
            Layer::Cmake,
            format!("{path}: compiles through distcc-launch"),
        ),
        false => Finding {
            fix: Some(cache.set(
                "CMAKE_C_COMPILER_LAUNCHER",
                "distcc-launch' '-DCMAKE_CXX_COMPILER_LAUNCHER=distcc-launch",
            )),
            ..Finding::skipped(
                Layer::Cmake,
                format!(
                    "{path} does not name distcc-launch, so what is built there does not go through it"
                ),
            )
        },
    }
}

/// Is a launcher of ours, or stock's.
fn is_launcher(word: &str) -> bool {
    base_of(OsStr::new(word)).starts_with("distcc")
}

/// A compiler cache, which has to come first: what it does not have it hands on.
fn is_cache(word: &str) -> bool {
    matches!(base_of(OsStr::new(word)).as_str(), "ccache" | "sccache")
}

/// In a list of launchers, does one of ours come before a cache?
fn in_wrong_order<'w>(words: impl Iterator<Item = &'w str>) -> bool {
    let mut launcher = false;
    words.into_iter().any(|word| {
        launcher |= is_launcher(word);
        launcher && is_cache(word)
    })
}

fn ccache(settings: &Settings, environment: &BuildEnvironment, caches: &[Cache]) -> Vec<Finding> {
    let wrong = |where_: String, fix: String| {
        let what = format!(
            "{where_}: distcc-launch before ccache, so that hosts would have to run ccache and all runs here; ccache goes first"
        );
        Finding::failed(Layer::Ccache, "ccache-order", what, fix)
    };
    let mut found = Vec::new();
    for name in LAUNCHERS {
        for cache in caches {
            if let Some(list) = cache
                .get(name)
                .filter(|list| in_wrong_order(list.split(';')))
            {
                found.push(wrong(
                    format!("{name}={list} in {}", cache.path.display()),
                    cache.set(name, "ccache;distcc-launch"),
                ));
            }
        }
    }
    let lists = LAUNCHERS
        .iter()
        .chain(&["CC", "CXX", "RULE_LAUNCH_COMPILE"]);
    for name in lists {
        let Some(value) = environment.get(name) else {
            continue;
        };
        let value = value.to_string_lossy();
        if in_wrong_order(value.split([';', ' '])) {
            let right = match name.starts_with("CMAKE") {
                true => "'ccache;distcc-launch'".to_owned(),
                false => format!(
                    "'ccache {}'      # with: export CCACHE_PREFIX=distcc-launch",
                    value
                        .split(' ')
                        .rfind(|word| !is_launcher(word) && !is_cache(word))
                        .unwrap_or("gcc")
                ),
            };
            found.push(wrong(
                format!("{name}={value}"),
                format!("export {name}={right}"),
            ));
        }
    }
    found.extend(masquerade(settings).map(|(ours, cache)| {
        wrong(
            format!(
                "{} comes before {} in PATH",
                ours.display(),
                cache.display()
            ),
            format!(
                "export PATH={}:$PATH CCACHE_PREFIX=distcc-launch",
                cache
                    .parent()
                    .unwrap_or(Path::new("/usr/lib/ccache"))
                    .display()
            ),
        )
    }));
    if let Some(prefix) = environment
        .get("CCACHE_PREFIX")
        .map(|value| value.to_string_lossy())
    {
        let others = prefix
            .split_whitespace()
            .filter(|word| !word.starts_with("distcc-launch"));
        let gone = others.into_iter().find(|word| {
            find::compiler(OsStr::new(word), &settings.path, None).is_none()
                && !is_ours_in_path(word, &settings.path)
        });
        if let Some(gone) = gone {
            found.push(Finding::failed(
                Layer::Ccache,
                "ccache-prefix-gone",
                format!("CCACHE_PREFIX names {gone}, which is not in PATH: ccache cannot compile"),
                "export CCACHE_PREFIX=distcc-launch PATH=\"$PATH:/usr/local/bin\"",
            ));
        }
    }
    if found.is_empty() {
        let used = environment.get("CCACHE_PREFIX").is_some()
            || caches.iter().any(|cache| {
                LAUNCHERS.iter().any(|name| {
                    cache
                        .get(name)
                        .is_some_and(|list| list.split(';').any(is_cache))
                })
            });
        found.push(match used {
            true => Finding::ok(Layer::Ccache, "ccache comes first"),
            false => Finding::skipped(Layer::Ccache, "nothing names ccache"),
        });
    }
    found
}

fn is_ours_in_path(word: &str, path: &OsStr) -> bool {
    let mut folders = path.as_bytes().split(|byte| *byte == b':');
    folders.any(|folder| Path::new(OsStr::from_bytes(folder)).join(word).is_file())
}

/// A compiler's link to us in a folder of PATH, and one to a cache in a later folder: ours is asked first, and passes over the
/// cache's.
fn masquerade(settings: &Settings) -> Option<(PathBuf, PathBuf)> {
    let ours = Inode::ours();
    let folders = settings.path.as_bytes().split(|byte| *byte == b':');
    let links = folders.map(|folder| Path::new(OsStr::from_bytes(folder)).join("gcc"));
    let mut before: Option<PathBuf> = None;
    for link in links.filter(|link| link.is_symlink()) {
        let leads = find::links(&link);
        let inode = rustix::fs::stat(&link).ok().map(|stat| Inode::of(&stat));
        if inode.is_some() && inode == ours
            || leads
                .iter()
                .any(|path| is_launcher(&path.to_string_lossy()))
        {
            before.get_or_insert(link);
        } else if leads.iter().any(|path| is_cache(&path.to_string_lossy())) {
            return before.map(|before| (before, link));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_comes_before_launchers() {
        for (list, wrong) in [
            ("ccache;distcc-launch", false),
            ("distcc-launch;ccache", true),
            ("/opt/bin/distcc-launch;/usr/bin/ccache", true),
            ("distcc-launch", false),
            ("distcc;sccache", true),
        ] {
            assert_eq!(in_wrong_order(list.split(';')), wrong, "{list}");
        }
    }
}
