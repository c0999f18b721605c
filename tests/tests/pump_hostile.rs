//! Hostile requests with files (tree jobs): whatever names, links, words and lists they bring, nothing outside of the job is
//! read, written or replaced, and the daemon serves the next one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tests::{Daemon, Make, literal_lzo, token};

const VERSION: usize = 0x6463_6c02;
const SECRET: &str = "the-secret-nobody-sent";

/// A request in the making; what is not set is that of a good one.
#[derive(Clone)]
struct Tree {
    directory: Vec<u8>,
    words: Vec<String>,
    environment: Vec<u8>,
    system: Vec<u8>,
    entries: Vec<Vec<u8>>,
}

fn text(tag: &str, bytes: &[u8]) -> Vec<u8> {
    [token(tag, bytes.len()), bytes.to_vec()].concat()
}

fn file(name: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [
        text("NAME", name.as_ref()),
        text("FILE", &literal_lzo(bytes.as_ref())),
    ]
    .concat()
}

fn link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Vec<u8> {
    [text("NAME", name.as_ref()), text("LINK", target.as_ref())].concat()
}

fn folder(name: impl AsRef<[u8]>) -> Vec<u8> {
    [text("NAME", name.as_ref()), token("FOLD", 0)].concat()
}

impl Tree {
    fn good() -> Tree {
        Tree {
            directory: b"/w".to_vec(),
            words: ["gcc", "-O1", "-c", "a.c", "-o", "a.o"]
                .map(String::from)
                .to_vec(),
            environment: b"LC_ALL=C\0".to_vec(),
            system: Vec::new(),
            entries: vec![file("/w/a.c", "int good = 1;\n")],
        }
    }

    fn with(mut self, entry: Vec<u8>) -> Tree {
        self.entries.push(entry);
        self
    }

    fn source(mut self, source: &str) -> Tree {
        self.entries[0] = file("/w/a.c", source);
        self
    }

    fn word(mut self, word: impl Into<String>) -> Tree {
        self.words.push(word.into());
        self
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = token("DIST", VERSION);
        bytes.extend(text("CDIR", &self.directory));
        bytes.extend(token("ARGC", self.words.len()));
        for word in &self.words {
            bytes.extend(text("ARGV", word.as_bytes()));
        }
        bytes.extend(text("ENVI", &self.environment));
        bytes.extend(text("SYSD", &literal_lzo(&self.system)));
        bytes.extend(token("NFIL", self.entries.len()));
        bytes.extend(self.entries.concat());
        bytes
    }
}

/// What came back: the wait status, all text, and the object. None when there was no whole reply.
#[derive(Debug, Default)]
struct Answer {
    status: Option<u32>,
    raw: Vec<u8>,
    object: Vec<u8>,
}

fn ask(daemon: &Daemon, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.port())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    // It may close before all is said.
    let _ = stream.write_all(request);
    let mut answer = Answer::default();
    let _ = stream.read_to_end(&mut answer.raw);
    let mut at = 0;
    while let Some(head) = answer.raw.get(at..at + 12) {
        let value = std::str::from_utf8(&head[4..]).unwrap();
        let value = u32::from_str_radix(value, 16).unwrap();
        at += 12;
        match &head[..4] {
            b"DONE" => {}
            b"STAT" => answer.status = Some(value),
            tag => {
                let body = &answer.raw[at..at + value as usize];
                if tag == b"DOTO" {
                    answer.object = body.to_vec();
                }
                at += value as usize;
            }
        }
    }
    answer
}

#[track_caller]
fn refused(daemon: &Daemon, what: &str, tree: &Tree) {
    let answer = ask(daemon, &tree.encode());
    assert_ne!(answer.status, Some(0), "{what}: {answer:?}");
    assert!(answer.object.is_empty(), "{what}");
}

/// The object of a good request.
fn good(daemon: &Daemon) -> Vec<u8> {
    let answer = ask(daemon, &Tree::good().encode());
    assert_eq!(answer.status, Some(0), "{answer:?}");
    assert!(!answer.object.is_empty());
    answer.object
}

#[test]
fn names_are_plain_and_fit_each_other() {
    let daemon = Daemon::start(Make::Ours, "127.0.0.1", &[]);
    let wanted = good(&daemon);
    let entries = [
        file("/w/../x", "x"),
        file("/w/./x", "x"),
        file("/w//x", "x"),
        file("/w/x/", "x"),
        file("/../x", "x"),
        file("x", "x"),
        file("../x", "x"),
        file("", "x"),
        file("/", "x"),
        file(b"/w/x\0/../../y", "x"),
        file(format!("/{}", "n".repeat(300)), "x"),
        file("/n".repeat(4000), "x"),
        file("/w/a.c", "int twice;\n"),
        file("/w/a.c/below", "x"),
        file("/w", "x"),
        folder("/w/a.c"),
        folder("/w/a.c/below"),
        folder("/w/../x"),
        folder(""),
        link("/w/a.c", "b.c"),
        link("", "b.c"),
        link("/w/../l", "b.c"),
        [text("NAME", b"/w/x"), token("FOLD", 7)].concat(),
        [text("NAME", b"/w/x"), text("DEVI", b"x")].concat(),
    ];
    for entry in entries {
        let what = entry.escape_ascii().to_string();
        refused(
            &daemon,
            &what[..what.len().min(200)],
            &Tree::good().with(entry),
        );
    }
    let mut nothing = Tree::good();
    nothing.entries.clear();
    refused(&daemon, "no file at all", &nothing);
    assert_eq!(good(&daemon), wanted);
    let below_link = Tree::good()
        .with(link("/w/l", "/etc"))
        .with(file("/w/l/x", "x"));
    refused(&daemon, "below a link", &below_link);
    for directory in [&b""[..], b"w", b"../w", b"/w/../w", b"/w\0/x", b"/w//x"] {
        let mut tree = Tree::good();
        tree.directory = directory.to_vec();
        refused(&daemon, &directory.escape_ascii().to_string(), &tree);
    }
    let counted = Tree::good().encode();
    let at = counted.windows(4).position(|four| four == b"NFIL").unwrap();
    for count in [b"ffffffff", b"00000002"] {
        let mut bytes = counted.clone();
        bytes[at + 4..at + 12].copy_from_slice(count);
        let mut stream = TcpStream::connect(("127.0.0.1", daemon.port())).unwrap();
        stream.write_all(&bytes).unwrap();
        // And goes.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        assert!(!reply.windows(12).any(|twelve| twelve == b"STAT00000000"));
    }
    assert_eq!(good(&daemon), wanted);
}

#[test]
fn the_toolchain_is_the_daemons_own() {
    let daemon = Daemon::start(Make::Ours, "127.0.0.1", &[]);
    let wanted = good(&daemon);
    let evil = "#!/bin/sh\nexit 0\n";
    let mut entries: Vec<Vec<u8>> = [
        "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
        "/usr/lib/gcc/x86_64-linux-gnu/12/specs",
        "/usr/bin/as",
        "/usr/bin/gcc",
        "/usr/bin/gcc-12",
        "/usr/bin/x86_64-linux-gnu-as",
        "/usr/local/bin/as",
        "/bin/sh",
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "/etc/ld.so.cache",
        "/etc/ld.so.preload",
        "/proc/self/mem",
        "/dev/null",
        "/dev/urandom",
        "/usr/bin/new",
    ]
    .iter()
    .map(|name| file(name, evil))
    .collect();
    entries.extend([
        link("/usr", "/w"),
        link("/usr/bin", "/w"),
        link("/usr/lib/gcc", "/w"),
        link("/bin", "/w"),
        link("/lib64", "/w"),
        link("/etc", "/w"),
        link("/dev", "/w"),
        link("/proc", "/w"),
        folder("/usr/bin/as"),
    ]);
    for entry in entries {
        let what = entry.escape_ascii().to_string();
        let answer = ask(&daemon, &Tree::good().with(entry).encode());
        // Refused, or of no effect.
        assert!(
            answer.status != Some(0) || answer.object == wanted,
            "{what}: {answer:?}"
        );
    }
    let mut tree = Tree::good();
    tree.environment =
        b"LD_PRELOAD=/w/x.so\0PATH=/w\0GCC_EXEC_PREFIX=/w/\0COMPILER_PATH=/w\0TMPDIR=/w\0".to_vec();
    let answer = ask(&daemon, &tree.encode());
    assert_eq!((answer.status, &answer.object), (Some(0), &wanted));
    assert_eq!(good(&daemon), wanted);
}

#[test]
fn nothing_but_what_was_sent_is_read_or_written() {
    let daemon = Daemon::start(Make::Ours, "127.0.0.1", &[]);
    let wanted = good(&daemon);
    let trap = tempfile::tempdir().unwrap();
    fs::set_permissions(
        trap.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    let (secret, victim) = (trap.path().join("secret"), trap.path().join("victim"));
    fs::write(&secret, SECRET).unwrap();
    fs::write(&victim, "untouched").unwrap();
    fs::set_permissions(&victim, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let (secret_name, victim_name) = (secret.display().to_string(), victim.display().to_string());
    let up = "../".repeat(20);
    let reads = [
        Tree::good().source(&format!("#include \"{secret_name}\"\n")),
        Tree::good().source("#include \"/etc/passwd\"\n"),
        Tree::good()
            .source("#include \"s.h\"\n")
            .with(link("/w/s.h", &secret_name)),
        Tree::good()
            .source("#include \"s.h\"\n")
            .with(link("/w/s.h", "/etc/passwd")),
        Tree::good()
            .source("#include \"s.h\"\n")
            .with(link("/w/s.h", format!("{up}etc/passwd"))),
        Tree::good()
            .source("#include \"s.h\"\n")
            .with(link("/w/s.h", "s.h")),
        Tree::good()
            .source("#include \"d/passwd\"\n")
            .with(link("/w/d", "../etc")),
        Tree::good().source(&format!("asm(\".incbin \\\"{secret_name}\\\"\");\n")),
        Tree::good().source("asm(\".incbin \\\"/etc/passwd\\\"\");\n"),
        Tree::good().source("#include \"/proc/self/environ\"\n"),
        Tree::good()
            .word(format!("-I{}", trap.path().display()))
            .source("#include <secret>\n"),
    ];
    for tree in reads {
        let answer = ask(&daemon, &tree.encode());
        let shown = answer.raw.escape_ascii().to_string();
        assert_ne!(answer.status, Some(0), "{shown}");
        assert!(
            !shown.contains(SECRET) && !shown.contains("root:x"),
            "{shown}"
        );
    }
    let writes = [
        Tree::good().with(link("/w/a.o", &victim_name)),
        Tree::good()
            .with(link("/w/out", trap.path().display().to_string()))
            .word("-o")
            .word("out/victim"),
        Tree::good().word("-o").word(&victim_name),
        Tree::good().word("-o").word(format!("{up}{victim_name}")),
        Tree::good().word("-MD").word("-MF").word(&victim_name),
        Tree::good().word("-MD").word("-MF").word("/usr/bin/gcc"),
        Tree::good().word("-o").word("/usr/bin/gcc"),
        Tree::good().word("-o").word("/dev/null"),
        Tree::good().word(format!("-save-temps={}", trap.path().display())),
        Tree::good().word("-wrapper").word("/bin/sh,-c,true"),
        Tree::good()
            .word("-fplugin=/w/p.so")
            .with(file("/w/p.so", "x")),
        Tree::good()
            .word("-B/w")
            .with(file("/w/cc1", "#!/bin/sh\nexit 0\n")),
        Tree::good()
            .word("-specs=/w/s")
            .with(file("/w/s", "*invoke_as:\n/bin/true\n\n")),
        Tree::good()
            .word("@/w/args")
            .with(file("/w/args", "-wrapper /bin/true")),
    ];
    for tree in writes {
        let _ = ask(&daemon, &tree.encode());
        assert_eq!(
            fs::read_to_string(&victim).unwrap(),
            "untouched",
            "{:?}",
            tree.words
        );
        assert_eq!(
            fs::read_dir(trap.path()).unwrap().count(),
            2,
            "{:?}",
            tree.words
        );
    }
    assert_eq!(good(&daemon), wanted);
}

fn record(digest: u8, name: &str) -> Vec<u8> {
    [&[digest; 16][..], name.as_bytes(), b"\0"].concat()
}

#[test]
fn lists_of_system_headers_tell_nothing_of_other_files() {
    let daemon = Daemon::start(Make::Ours, "127.0.0.1", &[]);
    let with = |system: Vec<u8>| Tree {
        system,
        ..Tree::good()
    };
    // All zeros: that it is there is enough.
    assert_eq!(
        ask(&daemon, &with(record(0, "/usr/include/stdio.h")).encode()).status,
        Some(0)
    );
    for name in ["/usr/include/stdio.h", "/usr/include/no-such.h"] {
        let answer = ask(&daemon, &with(record(7, name)).encode());
        assert_eq!(answer.status, Some(113 << 8), "{name}");
        let raw = answer.raw.escape_ascii().to_string();
        assert!(raw.contains("system headers differ"), "{raw}");
    }
    // Files elsewhere are as good as missing, whether they are there or not.
    for name in [
        "/etc/passwd",
        "/usr/include/../../etc/passwd",
        "/no/such",
        "passwd",
        "",
    ] {
        let answer = ask(&daemon, &with(record(0, name)).encode());
        assert_ne!(answer.status, Some(0), "{name}");
    }
    for broken in [
        vec![7; 5],
        vec![7; 17],
        [record(0, "/usr/include/stdio.h"), vec![1; 20]].concat(),
    ] {
        refused(&daemon, "a broken list", &with(broken));
    }
    good(&daemon);
}
