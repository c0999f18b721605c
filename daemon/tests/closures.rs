//! Hostile trees of files: names and links that lead out, and more of both than a job may have.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::fs;
use std::path::Path;

use common::{Daemon, NO_BOX, folder, text};
use protocol::{Body, Content, Entry, Request, Source, Version};

fn file(name: &str, content: &str) -> Entry {
    let content = Body::pack(Version::Pump, content.as_bytes().to_vec());
    Entry {
        name: name.into(),
        content: Content::File(content),
    }
}

fn link(name: &str, target: &str) -> Entry {
    Entry {
        name: name.into(),
        content: Content::Link(target.into()),
    }
}

fn pump(words: &[&str], entries: Vec<Entry>) -> Request {
    Request {
        version: Version::Pump,
        cwd: Some(b"/w".to_vec()),
        argv: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
        source: Source::Closure(entries),
    }
}

const COMPILE: [&str; 5] = ["gcc", "-c", "a.c", "-o", "a.o"];

/// The most memory that the daemon has ever had, in MiB.
fn peak_mib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().split_whitespace().next().unwrap();
    kib.parse::<u64>().unwrap() >> 10
}

/// Where there are no views, the job's root is a folder like others: what goes up from it goes somewhere.
#[test]
fn links_lead_nowhere_outside_the_job() {
    let outside = folder();
    let there = outside.path().to_str().unwrap();
    fs::write(outside.path().join("secret.h"), "int secret = ;\n").unwrap();
    let up = "/..".repeat(12);
    let source = || file("/w/a.c", "#include \"s.h\"\n");
    let climbing = format!("{}{there}", "../".repeat(12));
    let kinds: Vec<(&str, Vec<Entry>)> = vec![
        (
            "in the middle",
            vec![link("/w/s.h", &format!("x{up}{there}/secret.h"))],
        ),
        (
            "from the root",
            vec![link("/w/s.h", &format!("{up}{there}/secret.h"))],
        ),
        (
            "by two steps",
            vec![
                link("/w/r", "/"),
                link("/w/s.h", &format!("r{up}{there}/secret.h")),
            ],
        ),
        (
            "a name behind it",
            vec![
                link("/w/l", &format!("x{up}{there}")),
                link("/w/l/new", "y"),
            ],
        ),
        (
            "a folder behind it",
            vec![
                link("/w/l", &format!("{up}{there}")),
                link("/w/l/new/deep/er", "y"),
            ],
        ),
        (
            "behind one to the machine's own",
            vec![link(there, &climbing), link(&format!("{there}/new"), "y")],
        ),
    ];
    for words in [&[NO_BOX][..], &["--sandbox=seccomp,landlock"]] {
        let daemon = Daemon::with(words, &[]);
        for (what, mut entries) in kinds.clone() {
            entries.extend([source(), file("/w/x/y", "")]);
            let outcome = daemon.compile(&pump(&COMPILE, entries));
            assert!(!outcome.status.success(), "{what}");
            let said = text(outcome.stderr);
            assert!(!said.contains("int secret"), "{what}: {said}");
            let left: Vec<_> = fs::read_dir(outside.path()).unwrap().flatten().collect();
            assert_eq!(left.len(), 1, "{what}: {left:?}");
        }
        // What stays inside is as good as ever.
        let entries = vec![
            link("/w/s.h", "../v/k.h"),
            link("/v/k.h", "/v/t.h"),
            file("/v/t.h", "int x;\n"),
            source(),
        ];
        let outcome = daemon.compile(&pump(&COMPILE, entries));
        assert!(outcome.status.success(), "{}", text(outcome.stderr));
        daemon.assert_serves();
        daemon.end();
    }
}

/// Names in words that one word passes on are not moved below the job's folder.
#[test]
fn what_is_passed_to_the_preprocessor_names_no_file_of_the_machine() {
    let outside = folder();
    let depfile = outside.path().join("d");
    let daemon = Daemon::with(&[NO_BOX], &[]);
    let word = format!("-Wp,-MD,{}", depfile.display());
    let words = [&COMPILE[..], &[&word]].concat();
    let outcome = daemon.compile(&pump(&words, vec![file("/w/a.c", "int x;\n")]));
    assert!(!outcome.status.success() && !depfile.exists());
    let words = [&COMPILE[..], &["-Wp,-DX=int,-UY"]].concat();
    let outcome = daemon.compile(&pump(&words, vec![file("/w/a.c", "X x;\n")]));
    assert!(outcome.status.success(), "{}", text(outcome.stderr));
    daemon.end();
}

/// Each of these names wants two thousand folders, which have names too.
#[test]
fn deep_names_cost_no_memory() {
    let daemon = Daemon::start();
    let deep = "/d".repeat(2000);
    let entries = (0..3000).map(|number| file(&format!("/{number}{deep}"), ""));
    let entries = entries.chain([file("/w/a.c", "int x;\n")]).collect();
    let outcome = daemon.compile(&pump(&COMPILE, entries));
    // Without views the machine's own file system says how deep is too deep.
    assert!(!outcome.status.success() || !has_views(&daemon));
    assert!(peak_mib(&daemon) < 300, "{} MiB", peak_mib(&daemon));
    daemon.assert_serves();
    daemon.end();
}

fn has_views(daemon: &Daemon) -> bool {
    daemon.log().contains("box: mount")
}

fn tree(system: &[u8]) -> Request {
    Request {
        version: Version::Tree,
        source: Source::Tree {
            environment: Vec::new(),
            system: Body::pack(Version::Tree, system.to_vec()),
            entries: vec![file("/w/a.c", "int x;\n")],
        },
        ..pump(&COMPILE, Vec::new())
    }
}

/// A list of a hundred KiB becomes one of a hundred MiB, and each name in it has to be looked for.
#[test]
fn long_lists_of_system_headers_are_refused() {
    let daemon = Daemon::start();
    if !has_views(&daemon) {
        return;
    }
    let present = [&[0; 16][..], b"/usr/include/stdio.h\0"].concat();
    let few = daemon.compile(&tree(&present.repeat(3)));
    assert_eq!(
        few.status.success(),
        Path::new("/usr/include/stdio.h").exists()
    );
    let many = tree(&present.repeat((48 << 20) / present.len()));
    assert!(many.encode().unwrap().len() < 1 << 20);
    let outcome = daemon.compile(&many);
    let said = text(outcome.stderr);
    assert!(
        said.contains("the list of system headers cannot be read"),
        "{said}"
    );
    assert!(peak_mib(&daemon) < 150, "{} MiB", peak_mib(&daemon));
    daemon.assert_serves();
    daemon.end();
}
