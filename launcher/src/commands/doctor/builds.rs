//! The layers of the build tools: what their variables and caches say, and whether that fits together.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hosts::{Capacity, HostList};

use super::compiler::base_of;
use super::finding::{Finding, Layer, State};
use super::pace::{MAKE, Pace};
use super::run::run;
use crate::find::{self, Inode};
use crate::here::processors;
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
    let mut found = vec![width(environment, list), jobserver(environment, pace)];
    found.extend(cmake(environment, &caches));
    found.extend(ccache(settings, environment, &caches));
    found.extend(cc_crate(environment));
    found
}

/// Does somebody ask for fewer jobs than the hosts have slots?
fn width(environment: &BuildEnvironment, list: &HostList) -> Finding {
    let capacity = Capacity::new(list, processors(), u64::MAX);
    if capacity.remote == 0 {
        return Finding::skipped(Layer::Width, "there are no slots to fill");
    }
    let text = |name| {
        environment
            .get(name)
            .map(|value| value.to_string_lossy().into_owned())
    };
    let number = |name| text(name).and_then(|value| value.trim().parse::<u32>().ok());
    let asked = [
        (
            "MAKEFLAGS",
            text("MAKEFLAGS").and_then(|flags| make_jobs(&flags)),
        ),
        (
            "CMAKE_BUILD_PARALLEL_LEVEL",
            number("CMAKE_BUILD_PARALLEL_LEVEL"),
        ),
        ("CARGO_BUILD_JOBS", number("CARGO_BUILD_JOBS")),
    ];
    let narrow = asked.into_iter().find_map(|(name, jobs)| {
        jobs.filter(|jobs| *jobs < capacity.remote)
            .map(|jobs| (name, jobs))
    });
    let total = capacity.total;
    match narrow {
        None => Finding::ok(
            Layer::Width,
            format!(
                "no variable asks for fewer jobs than the {} slots; -j {total} fills all",
                capacity.remote
            ),
        ),
        Some((name, jobs)) => Finding::failed(
            Layer::Width,
            "jobs-below-slots",
            format!(
                "{name} asks for {jobs} jobs at a time, and the hosts have {} slots: most of them stay empty",
                capacity.remote
            ),
            match name {
                "MAKEFLAGS" => {
                    format!("export MAKEFLAGS=-j{total}      # or: make -j $(distcc-launch jobs)")
                }
                name => format!("export {name}=$(distcc-launch jobs)"),
            },
        ),
    }
}

/// The `-j` of make's flags: `-j4`, `-j 4`, `--jobs=4`, and `j4` as a first word; `None` for none or one without a number.
fn make_jobs(flags: &str) -> Option<u32> {
    let mut words = flags.split_whitespace().peekable();
    let mut jobs = None;
    let mut first = true;
    while let Some(word) = words.next() {
        let rest = if let Some(rest) = word.strip_prefix("--jobs=") {
            Some(rest)
        } else if word == "-j" || word == "--jobs" {
            words.peek().copied()
        } else if word.starts_with("--") || word.contains('=') {
            None
        } else if let Some(letters) = word.strip_prefix('-').or(first.then_some(word)) {
            letters.split_once('j').map(|(_, rest)| rest)
        } else {
            None
        };
        jobs = rest.and_then(|rest| rest.parse().ok()).or(jobs);
        first = false;
    }
    jobs
}

/// make before 4.4 dies of a jobserver that is a fifo.
fn jobserver(environment: &BuildEnvironment, pace: &Pace) -> Finding {
    let flags = environment
        .get("MAKEFLAGS")
        .map(|value| value.to_string_lossy().into_owned());
    let fifo = flags.as_deref().and_then(|flags| {
        let words = flags.split_whitespace();
        words.rev().find_map(|word| {
            let (_, path) = word
                .strip_prefix("--jobserver-auth=")?
                .split_once("fifo:")?;
            Some(path.to_owned())
        })
    });
    let Some(fifo) = fifo else {
        return Finding::skipped(Layer::Jobserver, "MAKEFLAGS names no fifo");
    };
    if !Path::new(&fifo).exists() {
        return Finding::failed(
            Layer::Jobserver,
            "jobserver-gone",
            format!("MAKEFLAGS names the jobserver {fifo}, which is not there any more"),
            "unset MAKEFLAGS",
        );
    }
    let asked = run(
        Command::new("make")
            .arg("--version")
            .env_remove("MAKEFLAGS"),
        pace.end_of(MAKE),
    );
    let version = asked.ok().and_then(|ran| make_version(&ran.stdout));
    match version {
        None => Finding::skipped(
            Layer::Jobserver,
            "there is no GNU make that says its version",
        ),
        Some((major, minor)) if (major, minor) < (4, 4) => Finding::failed(
            Layer::Jobserver,
            "make-too-old-for-fifo",
            format!(
                "MAKEFLAGS names a jobserver that is a fifo ({fifo}), and make {major}.{minor} stops at that: it wants 4.4"
            ),
            "unset MAKEFLAGS      # then: make -j $(distcc-launch jobs), or: distcc-launch run make",
        ),
        Some((major, minor)) => Finding::ok(
            Layer::Jobserver,
            format!("make {major}.{minor} reads a fifo"),
        ),
    }
}

/// `GNU Make 4.3` → 4, 3.
fn make_version(text: &str) -> Option<(u32, u32)> {
    let rest = text.lines().next()?.strip_prefix("GNU Make ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
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
        let gone = prefix.split_whitespace().find(|word| {
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

/// The `cc` crate takes the first word of CC for the compiler unless it knows it for a wrapper.
fn cc_crate(environment: &BuildEnvironment) -> Vec<Finding> {
    let known = environment
        .get("CC_KNOWN_WRAPPER_CUSTOM")
        .map(|value| value.to_string_lossy());
    let is_cc = |name: &str| {
        [
            "CC",
            "CXX",
            "HOST_CC",
            "HOST_CXX",
            "TARGET_CC",
            "TARGET_CXX",
        ]
        .contains(&name)
            || name.starts_with("CC_")
                && name != "CC_KNOWN_WRAPPER_CUSTOM"
                && !name.starts_with("CC_ENABLE")
            || name.starts_with("CXX_")
    };
    let mut found: Vec<Finding> = environment
        .all()
        .filter(|(name, _)| name.to_str().is_some_and(is_cc))
        .filter_map(|(name, value)| {
            let value = value.to_string_lossy();
            let mut words = value.split_whitespace();
            let wrapper = words.next().filter(|_| words.next().is_some())?;
            let stem = Path::new(wrapper).file_stem()?.to_string_lossy().into_owned();
            // It knows stock's name by itself.
            if !stem.starts_with("distcc-launch") || known.as_deref() == Some(&*stem) {
                return None;
            }
            let name = name.display();
            Some(Finding::failed(
                Layer::CcCrate,
                "cc-wrapper-unknown",
                format!(
                    "{name} is {value:?}, and CC_KNOWN_WRAPPER_CUSTOM {}: cargo's cc crate takes {stem} for the compiler, its flag checks fail, and flags are dropped silently",
                    known.as_deref().map_or("is not set".to_owned(), |known| format!("is {known:?}"))
                ),
                format!("export CC_KNOWN_WRAPPER_CUSTOM={stem}      # or: distcc-launch setup cargo"),
            ))
        })
        .collect();
    found.truncate(2);
    if found.is_empty() {
        let through = |name| {
            environment
                .get(name)
                .is_some_and(|value| value.to_string_lossy().contains("distcc"))
        };
        found.push(match through("CC") || through("CXX") {
            true => Finding::ok(Layer::CcCrate, "it knows the wrapper in CC"),
            false => Finding::skipped(Layer::CcCrate, "CC names no launcher"),
        });
    }
    debug_assert!(
        found
            .iter()
            .all(|one| one.state != State::Ok || one.fix.is_none())
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_flags_are_read_as_make_writes_them() {
        for (flags, jobs) in [
            ("-j4", Some(4)),
            ("-j 4", Some(4)),
            ("j4", Some(4)),
            ("kj4 -- X=j9", Some(4)),
            ("--jobs=4", Some(4)),
            (" -j4 --jobserver-auth=3,4", Some(4)),
            (" --jobserver-auth=fifo:/tmp/j5", None),
            ("-j", None),
            ("-k", None),
            ("k", None),
            ("w -- CJ=j7", None),
        ] {
            assert_eq!(make_jobs(flags), jobs, "{flags}");
        }
        assert_eq!(make_version("GNU Make 4.4.1\nBuilt for x"), Some((4, 4)));
        assert_eq!(make_version("GNU Make 4.3\n"), Some((4, 3)));
        assert_eq!(make_version("bmake"), None);
    }

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

    #[test]
    fn the_cc_crate_knows_wrappers_by_their_stem() {
        let states = |variables: &[(&str, &str)]| {
            let found = cc_crate(&BuildEnvironment::of(variables));
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
}
