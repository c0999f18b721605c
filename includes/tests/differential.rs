//! Closures beside what the compiler itself says it includes (`-M`).
//!
//! Standard headers and Boost's in the compilers and languages that are there, and real projects out of crates that cargo downloads.
//! `LONG=1`: every unit of the projects, RocksDB, and every header of /usr/include, which takes half an hour of two processors.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use includes::{Config, Includes, Question, Role};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

fn long() -> bool {
    std::env::var_os("LONG").is_some_and(|value| value == "1")
}

/// One compile.
struct Unit {
    directory: PathBuf,
    words: Vec<OsString>,
}

fn words(command: &str) -> Vec<OsString> {
    command.split_whitespace().map(OsString::from).collect()
}

/// What the compiler opens, by real names; `None` when it does not compile.
fn opened(unit: &Unit) -> Option<BTreeSet<PathBuf>> {
    let mut command = Command::new(&unit.words[0]);
    command
        .current_dir(&unit.directory)
        .env("PATH", &Config::default().path);
    let mut rest = unit.words.iter().skip(1);
    while let Some(word) = rest.next() {
        match word.to_str() {
            Some("-c" | "-MD" | "-MMD") => {}
            Some("-o" | "-MF" | "-MT" | "-MQ") => {
                rest.next();
            }
            _ => {
                command.arg(word);
            }
        }
    }
    let output = command.arg("-M").stdin(Stdio::null()).output().unwrap();
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.split_once(": ").unwrap().1.replace("\\\n", " ");
    let names = names.replace("\\ ", "\u{1}").replace("$$", "$");
    Some(
        names
            .split_whitespace()
            .map(|name| {
                let name = name.replace('\u{1}', " ").replace("\\#", "#");
                unit.directory.join(name).canonicalize().unwrap()
            })
            .collect(),
    )
}

enum Verdict {
    Equal,
    /// The compiler does not take the unit.
    Refused,
    /// How the closure differs.
    Wrong(String),
}

/// Holds the closure of `unit` against what the compiler opens.
fn verdict(includes: &Includes, unit: &Unit) -> Verdict {
    let Some(theirs) = opened(unit) else {
        return Verdict::Refused;
    };
    let closure = includes.closure(&Question {
        directory: &unit.directory,
        words: &unit.words,
        environment: &[],
    });
    let closure = match closure {
        Ok(closure) => closure,
        Err(refusal) => return Verdict::Wrong(format!("{:?}: refused, {refusal}", unit.words)),
    };
    let (mut read, mut probed) = (BTreeSet::new(), BTreeSet::new());
    for file in &closure.files {
        match file.role {
            Role::Source | Role::Header => read.insert(&file.real),
            // What is only looked for, clang names and gcc does not.
            _ => probed.insert(&file.real),
        };
    }
    let missing: Vec<&PathBuf> = theirs
        .iter()
        .filter(|name| !read.contains(name) && !probed.contains(name))
        .collect();
    let extra: Vec<&&PathBuf> = read
        .iter()
        .filter(|name| !theirs.contains(**name))
        .collect();
    if missing.is_empty() && extra.is_empty() && closure.unsure == 0 {
        return Verdict::Equal;
    }
    Verdict::Wrong(format!(
        "{:?}: missing {missing:?}, extra {extra:?}, unsure {}",
        unit.words, closure.unsure
    ))
}

/// What came of many units.
#[derive(Default)]
struct Tally {
    equal: usize,
    /// The places of those that the compiler does not take.
    refused: Vec<usize>,
    wrong: Vec<String>,
}

/// Fails where a closure differs; returns the places of the units that the compiler does not take. As many compilers run at once as there are processors.
fn assert_all(units: &[Unit]) -> Vec<usize> {
    let includes = Includes::new(Config::default());
    let tally = Mutex::new(Tally::default());
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(unit) = units.get(place) else { break };
                    let verdict = verdict(&includes, unit);
                    note(&mut tally.lock().unwrap(), verdict, place, units.len());
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    assert!(
        tally.wrong.is_empty(),
        "{} of {} differ:\n{}",
        tally.wrong.len(),
        units.len(),
        tally.wrong.join("\n")
    );
    tally.refused
}

/// Counts a verdict, and shows in a long run how far it is.
fn note(tally: &mut Tally, verdict: Verdict, place: usize, of: usize) {
    match verdict {
        Verdict::Equal => tally.equal += 1,
        Verdict::Refused => tally.refused.push(place),
        Verdict::Wrong(how) => {
            eprintln!("{how}");
            tally.wrong.push(how);
        }
    }
    let (equal, refused) = (tally.equal, tally.refused.len());
    let done = equal + refused + tally.wrong.len();
    if done.is_multiple_of(1000) || done == of {
        eprintln!("{done} of {of}: {equal} equal, {refused} not taken by the compiler");
    }
}

/// A source for each of `headers` alone, in `folder`, compiled by `command`.
fn alone(folder: &Path, headers: &[String], command: &str, suffix: &str) -> Vec<Unit> {
    headers
        .iter()
        .enumerate()
        .map(|(number, header)| {
            let tag: String = command
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect();
            let name = format!("{tag}{number}.{suffix}");
            fs::write(folder.join(&name), format!("#include <{header}>\n")).unwrap();
            let mut words = words(command);
            words.extend(["-c".into(), name.into()]);
            Unit {
                directory: folder.to_owned(),
                words,
            }
        })
        .collect()
}

/// The folder of the standard C++ headers of `g++`.
fn cxx_folder() -> PathBuf {
    let version = Command::new("g++").arg("-dumpversion").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    Path::new("/usr/include/c++").join(version.trim())
}

fn cxx_headers() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(cxx_folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() > 60, "{names:?}");
    names
}

fn every<T>(step: usize, list: Vec<T>) -> Vec<T> {
    list.into_iter()
        .step_by(if long() { 1 } else { step })
        .collect()
}

#[test]
fn standard_cxx_headers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let mut units = Vec::new();
    for (command, step) in [
        ("g++", 3),
        ("g++ -std=c++20 -O2", 12),
        ("g++ -std=c++98 -pedantic", 12),
        ("clang++", 12),
        ("clang++ -std=c++20", 12),
    ] {
        units.extend(alone(&folder, &every(step, cxx_headers()), command, "cc"));
    }
    assert_all(&units);
}

#[test]
fn standard_c_headers() {
    const HEADERS: &[&str] = &[
        "assert.h",
        "complex.h",
        "ctype.h",
        "errno.h",
        "fenv.h",
        "float.h",
        "inttypes.h",
        "iso646.h",
        "limits.h",
        "locale.h",
        "math.h",
        "setjmp.h",
        "signal.h",
        "stdalign.h",
        "stdarg.h",
        "stdatomic.h",
        "stdbool.h",
        "stddef.h",
        "stdint.h",
        "stdio.h",
        "stdlib.h",
        "string.h",
        "tgmath.h",
        "threads.h",
        "time.h",
        "uchar.h",
        "wchar.h",
        "wctype.h",
        "unistd.h",
        "fcntl.h",
        "pthread.h",
        "dirent.h",
        "sys/stat.h",
        "sys/types.h",
        "sys/socket.h",
        "netinet/in.h",
        "immintrin.h",
        "linux/fs.h",
    ];
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let headers: Vec<String> = HEADERS.iter().map(|&name| name.to_owned()).collect();
    let mut units = Vec::new();
    for (command, step) in [
        ("gcc", 1),
        ("gcc -std=c89 -pedantic", 4),
        ("gcc -O2 -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 -pthread", 2),
        ("clang", 4),
        ("clang -std=c11 -ffreestanding", 6),
    ] {
        units.extend(alone(&folder, &every(step, headers.clone()), command, "c"));
    }
    assert_all(&units);
}

#[test]
fn boost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let headers: Vec<String> = [
        "boost/asio.hpp",
        "boost/spirit/include/qi.hpp",
        "boost/variant.hpp",
        "boost/preprocessor.hpp",
        "boost/fusion/include/vector.hpp",
    ]
    .map(str::to_owned)
    .into();
    assert!(
        Path::new("/usr/include/boost/asio.hpp").exists(),
        "libboost-dev is installed by cargo xtask test"
    );
    let mut units = alone(&folder, &headers, "g++", "cc");
    units.extend(alone(&folder, &headers[..2], "clang++", "cc"));
    assert_all(&units);
}

/// Every header below `folder`, by its name there.
fn headers_below(folder: &Path, prefix: &str, out: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            // A link to a folder leads to names that are met elsewhere.
            if entry.file_type().unwrap().is_dir() {
                headers_below(&entry.path(), &format!("{path}/"), out);
            }
        } else if is_header(&name) {
            out.push(path);
        }
    }
}

fn is_header(name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((_, suffix)) => matches!(suffix, "h" | "hpp" | "hh" | "hxx" | "ipp" | "tcc"),
        None => true,
    }
}

/// The folder below `/usr/include` that the header's package is written for, as `pkg-config --cflags` would name it.
fn package(header: &str) -> Option<String> {
    let (top, _) = header.split_once('/')?;
    Some(format!("/usr/include/{top}"))
}

/// Each header alone in a source, as `#include <it>` finds it; with its package's folder where it needs that.
#[test]
fn everything_in_usr_include() {
    let mut headers = Vec::new();
    headers_below(Path::new("/usr/include"), "", &mut headers);
    headers.sort();
    // Some thousands: a few of each kind every day, all when there is time.
    let step = if long() { 1 } else { headers.len() / 40 + 1 };
    let headers: Vec<String> = headers.into_iter().step_by(step).collect();
    assert!(headers.len() > 20);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let units = alone(&folder, &headers, "g++", "cc");
    let refused = assert_all(&units);
    assert!(refused.len() < units.len() / 2);
    let mut again = Vec::new();
    for place in refused {
        if let Some(package) = package(&headers[place]) {
            let mut words = units[place].words.clone();
            words.insert(1, format!("-I{package}").into());
            again.push(Unit {
                directory: folder.clone(),
                words,
            });
        }
    }
    assert_all(&again);
}

/// Where cargo unpacks the sources of crates, which it downloads now if it has to.
fn crates(dependencies: &[(&str, &str)], folder: &Path) -> Vec<PathBuf> {
    let mut manifest = String::from(
        "[package]\nname = \"sources\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n[dependencies]\n",
    );
    for (name, version) in dependencies {
        manifest.push_str(&format!(
            "{name} = {{ version = \"={version}\", default-features = false }}\n"
        ));
    }
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("lib.rs"), "").unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--quiet"])
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo could not get the sources");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    dependencies
        .iter()
        .map(|(name, _)| {
            let package = packages.iter().find(|package| package["name"] == *name);
            let manifest = package.unwrap()["manifest_path"].as_str().unwrap();
            Path::new(manifest).parent().unwrap().to_owned()
        })
        .collect()
}

fn sources_below(folder: &Path, suffix: &str, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            sources_below(&path, suffix, out);
        } else if path.to_str().is_some_and(|name| name.ends_with(suffix)) {
            out.push(path);
        }
    }
    out.sort();
}

#[test]
fn zlib_and_zstd() {
    let folder = tempfile::tempdir().unwrap();
    let found = crates(
        &[("libz-sys", "1.1.31"), ("zstd-sys", "2.1.2")],
        folder.path(),
    );
    let mut units = Vec::new();
    for (at, command) in [
        (
            0,
            "gcc -O3 -fPIC -Isrc/zlib -DSTDC -D_LARGEFILE64_SOURCE -c",
        ),
        (
            1,
            "gcc -O3 -fPIC -Izstd/lib -Izstd/lib/common -Izstd/lib/legacy -DZSTD_LIB_DEPRECATED=0 -DXXH_PRIVATE_API= -c",
        ),
    ] {
        let below = found[at].join(["src/zlib", "zstd/lib"][at]);
        let mut sources = Vec::new();
        sources_below(&below, ".c", &mut sources);
        sources_below(&below, ".S", &mut sources);
        for source in every(3, sources) {
            let mut words = words(command);
            words.push(source.strip_prefix(&found[at]).unwrap().into());
            units.push(Unit {
                directory: found[at].clone(),
                words,
            });
        }
    }
    assert!(units.len() > 15);
    assert_all(&units);
}

/// The units of a CMake project, from its compile_commands.json.
fn cmake(source: &Path, build: &Path, settings: &[&str]) -> Vec<Unit> {
    let status = Command::new("cmake")
        .arg("-S")
        .arg(source)
        .arg("-B")
        .arg(build)
        .arg("-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
        .args(settings)
        .env_remove("CC")
        .env_remove("CXX")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let text = fs::read_to_string(build.join("compile_commands.json")).unwrap();
    let entries: serde_json::Value = serde_json::from_str(&text).unwrap();
    entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let command = entry["command"].as_str().unwrap().replace("\\\"", "\"");
            Unit {
                directory: entry["directory"].as_str().unwrap().into(),
                words: words(&command),
            }
        })
        .collect()
}

#[test]
fn libgit2() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let found = crates(&[("libgit2-sys", "0.18.8")], &folder);
    let units = cmake(
        &found[0].join("libgit2"),
        &folder.join("build"),
        &[
            "-DBUILD_SHARED_LIBS=OFF",
            "-DBUILD_TESTS=OFF",
            "-DBUILD_CLI=OFF",
            "-DUSE_SSH=OFF",
            "-DUSE_HTTPS=OFF",
            "-DUSE_BUNDLED_ZLIB=ON",
            "-DREGEX_BACKEND=builtin",
        ],
    );
    assert!(units.len() > 150, "{}", units.len());
    assert_all(&every(6, units));
}

#[test]
fn rocksdb() {
    if !long() {
        // 30 MB of sources, which the other projects stand in for.
        assert!(std::env::var_os("LONG").is_none_or(|value| value != "1"));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let found = crates(&[("librocksdb-sys", "0.17.3+10.4.2")], folder.path());
    let mut sources = Vec::new();
    for part in [
        "db",
        "cache",
        "table",
        "util",
        "utilities",
        "options",
        "memtable",
    ] {
        sources_below(&found[0].join("rocksdb").join(part), ".cc", &mut sources);
    }
    let units: Vec<Unit> = sources
        .into_iter()
        .filter(|source| !source.to_string_lossy().contains("_test"))
        .map(|source| {
            let mut words = words(
                "g++ -O3 -std=c++17 -Irocksdb/include/ -Irocksdb/ -Irocksdb/third-party/gtest-1.8.1/fused-src/ -I. \
                 -DNDEBUG=1 -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX -c",
            );
            words.push(source.strip_prefix(&found[0]).unwrap().into());
            Unit {
                directory: found[0].clone(),
                words,
            }
        })
        .collect();
    assert!(units.len() > 150);
    assert_all(&units);
}
