//! Real units, laid out as trees at their true paths and compiled in the box, come out as the local compiler makes them: object,
//! dependency file and messages, byte for byte.
//!
//! A few by default; all with LONG=1. The sources are those of crates that cargo downloads.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use sandbox::{Closure, Content, Entry, Job, Layers, Limits, Place, Sandbox, Setup, Tree, Trees};

const FLAGS: [&str; 3] = ["-O2", "-O2 -g", "-O0 -g3 -gdwarf-4"];
const LIMITS: Limits = Limits {
    memory: None,
    processes: Some(64),
    seconds: Some(600),
    disk: 256 << 20,
};

/// One unit: how it is compiled but for what all have in common, and the source.
struct Unit {
    program: &'static str,
    words: Vec<OsString>,
    source: PathBuf,
}

/// The source of a crate, by name and version.
fn crate_source(place: &Path, name: &str, version: &str) -> PathBuf {
    let folder = place.join(name);
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("src/lib.rs"), "").unwrap();
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n{name} = \"={version}\"\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--quiet"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let start = format!("/{name}-{version}");
    let at = text
        .find(&start)
        .unwrap_or_else(|| panic!("cargo does not name {start}"));
    let from = text[..at].rfind('"').unwrap() + 1;
    let to = at + 1 + text[at + 1..].find(['/', '"']).unwrap();
    PathBuf::from(&text[from..to])
}

fn sources(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries
        .filter(|path| path.extension() == Some(OsStr::new(suffix)))
        .collect();
    found.sort();
    found
}

fn words(line: &str, folders: &[&Path]) -> Vec<OsString> {
    let words = line.split_whitespace().map(OsString::from);
    let folders = folders
        .iter()
        .flat_map(|folder| [OsString::from("-I"), (*folder).into()]);
    words.chain(folders).collect()
}

/// C: zstd, some of whose headers are reached by `..`.
fn c_units(place: &Path, count: usize) -> Vec<Unit> {
    let lib = crate_source(place, "zstd-sys", "2.1.2").join("zstd/lib");
    let folders = ["common", "decompress", "compress", "dictBuilder"].map(|name| lib.join(name));
    let all = folders.iter().flat_map(|folder| sources(folder, "c"));
    all.take(count)
        .map(|source| Unit {
            program: "/usr/bin/gcc",
            words: words(
                "-DZSTD_MULTITHREAD",
                &[&lib, &lib.join("common"), &lib.join("no-such-folder")],
            ),
            source,
        })
        .collect()
}

/// C++: RocksDB's.
fn cxx_units(place: &Path, count: usize) -> Vec<Unit> {
    let lib = crate_source(place, "librocksdb-sys", "0.17.3").join("rocksdb");
    let defines = "-std=c++20 -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX";
    sources(&lib.join("util"), "cc")
        .into_iter()
        .filter(|source| !source.to_str().unwrap().contains("test"))
        .take(count)
        .map(|source| Unit {
            program: "/usr/bin/g++",
            words: words(defines, &[&lib, &lib.join("include")]),
            source,
        })
        .collect()
}

/// Written here, for when RocksDB is not downloaded, and with what only some projects have.
fn own_units(place: &Path) -> Vec<Unit> {
    let folder = place.join("own project/src");
    fs::create_dir_all(folder.join("inc")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write(
        "inc/one.h",
        "#pragma once\nstatic int one(void) { return __LINE__; }\n",
    );
    write(
        "inc/two.h",
        "#pragma once\nstatic int one(void) { return __LINE__; }\n",
    );
    write("blob.bin", "some bytes");
    // Two files of the same content; gcc would take them for one if they had the same time as well.
    write(
        "twice.c",
        "#define one first\n#include \"inc/one.h\"\n#undef one\n#define one second\n#include \"inc/two.h\"\n\
        #undef one\nint sum(void) { return first() + second(); }\n#if __has_include(\"inc/none.h\")\n#error none\n#endif\n\
        __asm__(\".incbin \\\"../src/blob.bin\\\"\");\nconst char *file = __FILE__;\n",
    );
    write(
        "warns.cc",
        "#include <map>\n#include <regex>\n#include <string>\nint f(int unused) { std::map<std::string, int> m; m[\"x\"] = 1;\n\
        return m.size() == std::regex_match(\"a\", std::regex(\"b\")); }\n",
    );
    write(
        "wrong.cc",
        "#include <vector>\nint f() { std::vector<int> v; v.push_back(\"x\"); }\n#include \"missing.h\"\n",
    );
    // As they would be if they had not been written by one program in one moment.
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    fs::File::open(folder.join("inc/one.h"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    let at = |name: &str| folder.join(name);
    let unit = |program, name: &str| Unit {
        program,
        words: words("-frecord-gcc-switches", &[Path::new("../src/inc")]),
        source: at(name),
    };
    vec![
        unit("/usr/bin/gcc", "twice.c"),
        unit("/usr/bin/g++", "warns.cc"),
        unit("/usr/bin/g++", "wrong.cc"),
    ]
}

/// Files that a compile of `unit` opens, and folders that its words name.
struct Laid {
    files: Vec<(PathBuf, Vec<u8>)>,
    folders: Vec<PathBuf>,
}

fn lay(unit: &Unit, cwd: &Path) -> Laid {
    let output = Command::new(unit.program)
        .args(&unit.words)
        .arg("-M")
        .arg("-MG")
        .arg(&unit.source)
        .current_dir(cwd)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout)
        .unwrap()
        .replace("\\\n", " ")
        .replace("\\ ", "\u{1}");
    let names = text
        .split_whitespace()
        .skip(1)
        .map(|name| cwd.join(name.replace('\u{1}', " ")));
    let blob = unit.source.with_file_name("blob.bin");
    let mut files = std::collections::BTreeMap::new();
    let mut folders: Vec<PathBuf> = Vec::new();
    for name in names.chain([blob]) {
        // As it was spelled it goes through folders that have to be there as well.
        let above = name.parent().unwrap().to_owned();
        if let Ok(path) = name.canonicalize()
            && !path.starts_with("/usr")
        {
            folders.extend(plain(&above));
            files
                .entry(path.clone())
                .or_insert_with(|| fs::read(path).unwrap());
        }
    }
    folders.extend(
        unit.words
            .iter()
            .map(|word| cwd.join(word))
            .filter(|path| path.is_dir())
            .filter_map(|path| path.canonicalize().ok()),
    );
    Laid {
        files: files.into_iter().collect(),
        folders,
    }
}

/// The folders that a name with `..` in it passes through.
fn plain(path: &Path) -> Vec<PathBuf> {
    let mut at = PathBuf::new();
    let mut passed = Vec::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            passed.push(at.clone());
            at.pop();
        } else {
            at.push(part);
        }
    }
    passed.push(at);
    passed
}

fn digest(bytes: &[u8]) -> [u8; 16] {
    let part = |seed: u64| {
        let mut hasher = DefaultHasher::new();
        (seed, bytes).hash(&mut hasher);
        hasher.finish().to_le_bytes()
    };
    [part(1), part(2)].concat().try_into().unwrap()
}

fn tree(trees: &Trees, laid: &Laid) -> Tree {
    let files = laid.files.iter().map(|(name, bytes)| Entry {
        name,
        content: Content::File {
            digest: digest(bytes),
            bytes,
        },
    });
    let folders = laid
        .folders
        .iter()
        .filter(|folder| folder.components().count() > 1);
    let folders = folders.map(|name| Entry {
        name,
        content: Content::Folder,
    });
    let closure = Closure {
        entries: files.chain(folders).collect(),
        hidden: Vec::new(),
    };
    trees.lay_out(b"client", &closure).unwrap()
}

fn compile_here(
    unit: &Unit,
    words: &[OsString],
    cwd: &Path,
    environment: &[(OsString, OsString)],
) -> Output {
    let mut command = Command::new(unit.program);
    command
        .args(&words[1..])
        .current_dir(cwd)
        .env_clear()
        .envs(environment.iter().cloned());
    command.output().unwrap()
}

fn check(sandbox: &Sandbox, unit: &Unit, flags: &str, cwd: &Path) -> Result<(), String> {
    let laid = lay(unit, cwd);
    let tree = tree(sandbox.trees().unwrap(), &laid);
    let mut all: Vec<OsString> = vec![unit.program.into()];
    all.extend(
        flags
            .split(' ')
            .chain(["-Wall", "-Wextra", "-MD", "-MF", "u.d", "-c", "-o", "u.o"])
            .map(OsString::from),
    );
    all.extend(unit.words.iter().cloned());
    all.push(unit.source.clone().into());
    let environment: Vec<(OsString, OsString)> = [
        ("PATH", "/usr/bin:/bin".into()),
        ("LC_ALL", "C.UTF-8".into()),
        ("PWD", cwd.as_os_str().to_owned()),
    ]
    .map(|(name, value)| (name.into(), value))
    .to_vec();
    let (object, deps) = (cwd.join("u.o"), cwd.join("u.d"));
    for stale in [&object, &deps] {
        let _ = fs::remove_file(stale);
    }
    let local = compile_here(unit, &all, cwd, &environment);
    let mut boxed_environment = environment.clone();
    boxed_environment.push(("TMPDIR".into(), "/tmp".into()));
    let job = Job {
        program: Path::new(unit.program),
        words: &all,
        environment: &boxed_environment,
        cwd,
        place: Place::Tree(&tree),
        files: &[],
        outputs: &[object.clone(), deps.clone()],
        limits: LIMITS,
        nice: 0,
        oom_score_adj: None,
    };
    let mut ended = sandbox
        .run(&job)
        .unwrap()
        .wait()
        .map_err(|error| format!("{error:?}"))?;
    let take = |file: &mut fs::File| {
        use std::io::Seek;
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let (stderr, stdout) = (take(&mut ended.stderr), take(&mut ended.stdout));
    if stderr != local.stderr || stdout != local.stdout {
        return Err(format!(
            "messages: {}\nlocal: {}",
            String::from_utf8_lossy(&stderr),
            String::from_utf8_lossy(&local.stderr)
        ));
    }
    if (ended.status == 0) != local.status.success() {
        return Err(format!("status: {:x}", ended.status));
    }
    for (file, own) in ended.outputs.iter_mut().zip([&object, &deps]) {
        if file.as_mut().map(take) != fs::read(own).ok() {
            return Err(format!("{} differs", own.display()));
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let long = std::env::var_os("LONG").is_some_and(|value| value == "1");
    let setup = Setup {
        wanted: "mount,pid,net,seccomp,landlock".parse::<Layers>().unwrap(),
        folders: Vec::new(),
        // Trees are written by this process, so that it must be the box's user.
        become_user: None,
        cgroup: None,
        processes: Some(4096),
        store_bytes: 256 << 20,
        kept_trees: 4,
        kept_wardens: 4,
    };
    let sandbox = Sandbox::start(&setup).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut units = own_units(place.path());
    units.extend(c_units(place.path(), if long { 30 } else { 5 }));
    if long {
        // First, since they are not in the short run.
        units.splice(0..0, cxx_units(place.path(), 10));
    }
    let cwd = place.path().join("own project/build");
    fs::create_dir_all(&cwd).unwrap();
    let (mut passed, mut failed) = (0, Vec::new());
    for unit in &units {
        for flags in FLAGS {
            let name = format!("{} {flags}", unit.source.file_name().unwrap().display());
            let checked = check(&sandbox, unit, flags, &cwd);
            println!(
                "test {name} ... {}",
                if checked.is_ok() { "ok" } else { "FAILED" }
            );
            match checked {
                Ok(()) => passed += 1,
                Err(why) => failed.push(format!("{name}: {why}")),
            }
        }
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\n{}", failed.join("\n"));
    println!(
        "test result: {verdict}. {passed} passed; {} failed; 0 ignored; 0 measured; 0 filtered out",
        failed.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
