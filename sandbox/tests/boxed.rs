//! Jobs in boxes with all layers, with few and with none, as this user and, for root, as nobody.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sandbox::{
    Bytes, Closure, Content, Ended, Entry, Excess, Job, Layer, Layers, Limits, Misfit, Place,
    Sandbox, Setup, Stage, Stray, Tree,
};

const LIMITS: Limits = Limits {
    memory: Some(1 << 30),
    processes: Some(64),
    seconds: Some(60),
    disk: 64 << 20,
};

/// A box and a folder that its user can write to.
struct Boxed {
    name: String,
    sandbox: Sandbox,
    own_user: bool,
    place: tempfile::TempDir,
}

impl Boxed {
    fn start(wanted: Layers, become_user: Option<(u32, u32)>) -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let setup = Setup {
            wanted,
            folders: Vec::new(),
            become_user,
            cgroup: None,
            processes: Some(4096),
            store_bytes: 64 << 20,
            kept_trees: 4,
            kept_wardens: 4,
        };
        let sandbox = Sandbox::start(&setup).unwrap();
        let name = format!("{wanted} as {become_user:?}");
        Self {
            name,
            sandbox,
            own_user: become_user.is_none(),
            place,
        }
    }

    fn has(&self, layer: Layer) -> bool {
        self.sandbox.layers().has(layer)
    }

    /// A shell's words in a view if there are any, else in a folder of its own.
    fn shell(&self, script: &str, limits: Limits) -> Result<Ended, Stray> {
        let words = ["sh", "-c", script].map(OsString::from);
        self.job(&words, &[], &[], limits)
    }

    fn job(
        &self,
        words: &[OsString],
        files: &[(&str, &str)],
        outputs: &[&str],
        limits: Limits,
    ) -> Result<Ended, Stray> {
        self.running(words, files, outputs, limits).wait()
    }

    fn running(
        &self,
        words: &[OsString],
        files: &[(&str, &str)],
        outputs: &[&str],
        limits: Limits,
    ) -> sandbox::Running {
        let view = self.has(Layer::Mount);
        let folder = self.folder();
        let cwd = if view {
            Path::new("/home/ann/build")
        } else {
            folder.as_path()
        };
        let at = |name: &str| {
            if name.starts_with('/') {
                PathBuf::from(name)
            } else {
                cwd.join(name)
            }
        };
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (at(name), text.as_bytes()))
            .collect();
        let outputs: Vec<_> = outputs.iter().map(|name| at(name)).collect();
        let environment = [("PATH".into(), "/usr/bin:/bin".into())];
        let job = Job {
            program: Path::new("/bin/sh"),
            words,
            environment: &environment,
            cwd,
            place: if view {
                Place::View
            } else {
                Place::Folder(cwd)
            },
            files: &files,
            outputs: &outputs,
            limits,
            nice: 1,
            oom_score_adj: Some(500),
        };
        self.sandbox.run(&job).unwrap()
    }

    fn folder(&self) -> PathBuf {
        let folder = self.place.path().join("job");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        folder
    }
}

fn text(file: &mut fs::File) -> String {
    use std::io::Seek;
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

fn ok(ended: Result<Ended, Stray>) -> String {
    let mut ended = ended.unwrap();
    let stderr = text(&mut ended.stderr);
    assert!(ended.status == 0, "{:x} {stderr}", ended.status);
    text(&mut ended.stdout)
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "waited in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn files_go_in_and_come_out(boxed: &Boxed) {
    let words = [
        "sh",
        "-c",
        "cat src/a.c > out/a.o; echo said; echo so >&2; ln -s /etc/passwd link; mv swapped old; ln -s /etc swapped; exit 3",
    ];
    let words = words.map(OsString::from);
    let mut ended = boxed
        .job(
            &words,
            &[("src/a.c", "int x;\n"), ("big", &"b".repeat(300_000))],
            &["out/a.o", "none", "link", "src", "swapped/passwd", "big"],
            LIMITS,
        )
        .unwrap();
    assert_eq!(ended.status, 3 << 8);
    assert_eq!(text(&mut ended.stdout), "said\n");
    assert_eq!(text(&mut ended.stderr), "so\n");
    let mut outputs = ended.outputs;
    assert_eq!(text(outputs[0].as_mut().unwrap()), "int x;\n");
    // What is not there, what is a link, what is a folder, what is behind a link.
    assert!(outputs[1..5].iter().all(Option::is_none), "{outputs:?}");
    assert_eq!(text(outputs[5].as_mut().unwrap()).len(), 300_000);
    assert!(ended.excess.is_none());
}

fn a_program_gets_only_what_it_needs(boxed: &Boxed) {
    let seen = ok(boxed.shell("/usr/bin/env | grep -v ^_= | sort; nice; ulimit -c", LIMITS));
    let lines: Vec<&str> = seen.lines().collect();
    assert!(
        lines.contains(&"PATH=/usr/bin:/bin") && lines.len() <= 6,
        "{seen}"
    );
    assert!(!seen.contains("CARGO") && lines.ends_with(&["0"]), "{seen}");
    let fds = ok(boxed.shell(
        "for fd in 3 4 5 6 7 8 9; do if true 2>/dev/null <&$fd; then echo $fd; fi; done",
        LIMITS,
    ));
    assert_eq!(fds, "");
}

fn a_view_holds_the_toolchain_and_the_job(boxed: &Boxed) {
    if !boxed.has(Layer::Mount) {
        return;
    }
    let seen = ok(boxed.shell("ls /; echo; ls /home /home/ann /tmp; ls /etc; ls -d /root /work /proc /store /box 2>/dev/null; true", LIMITS));
    let (top, rest) = seen.split_once("\n\n").unwrap();
    let mut own: Vec<&str> = top
        .lines()
        .filter(|name| !["bin", "lib", "lib32", "lib64", "libx32", "sbin"].contains(name))
        .collect();
    own.sort_unstable();
    assert_eq!(own, ["dev", "etc", "home", "tmp", "usr"]);
    assert!(
        !rest.contains("passwd") && !rest.contains("/root"),
        "{rest}"
    );
    for forbidden in ["/usr/x", "/usr/bin/x", "/etc/x", "/dev/x", "/lib/x"] {
        let ended = boxed.shell(&format!("echo > {forbidden}"), LIMITS).unwrap();
        assert_ne!(ended.status, 0, "{forbidden}");
    }
    assert_eq!(
        ok(boxed.shell(
            "pwd; echo x > /tmp/x; cat /tmp/x; head -c4 /dev/full | wc -c; echo > /dev/null",
            LIMITS
        )),
        "/home/ann/build\nx\n4\n"
    );
    // The next job finds nothing of it.
    assert_eq!(
        ok(boxed.shell("ls /tmp /home/ann/build", LIMITS)),
        "/home/ann/build:\n\n/tmp:\n"
    );
}

fn directories_below_the_toolchains_can_be_the_clients(boxed: &Boxed) {
    if !boxed.has(Layer::Mount) {
        return;
    }
    let outputs = [PathBuf::from("/usr/src/mine/out/a.o")];
    for (cwd, at) in [
        ("/usr/src/mine/build", "/usr/src/mine/a.c"),
        ("/usr/include", "/usr/include/mine.h"),
        ("/lib/mine", "/lib/mine/a.c"),
        ("/", "/a.c"),
        ("/etc/mine", "/etc/mine/a.c"),
    ] {
        let files = [(PathBuf::from(at), &b"text"[..])];
        let words = ["sh", "-c", "cat \"$0\"; echo > x; rm x; cat \"$0\" > /usr/src/mine/out/a.o; ls /usr/include/stdio.h /usr/bin/env /etc/alternatives > /dev/null; pwd", at].map(OsString::from);
        let job = Job {
            program: Path::new("/bin/sh"),
            words: &words,
            environment: &[("PATH".into(), "/usr/bin".into())],
            cwd: Path::new(cwd),
            place: Place::View,
            files: &files,
            outputs: &outputs,
            limits: LIMITS,
            nice: 0,
            oom_score_adj: None,
        };
        let mut ended = boxed
            .sandbox
            .run(&job)
            .unwrap()
            .wait()
            .unwrap_or_else(|error| panic!("{cwd}: {error:?}"));
        let stderr = text(&mut ended.stderr);
        assert_eq!(
            text(&mut ended.stdout).replace("/usr/lib/mine", "/lib/mine"),
            format!("text{cwd}\n"),
            "{stderr}"
        );
        assert!(ended.outputs[0].is_some(), "{cwd}: {stderr}");
    }
    assert!(!Path::new("/usr/src/mine").exists() && !Path::new("/usr/include/mine.h").exists());
}

fn the_machine_is_out_of_reach(boxed: &Boxed) {
    let secret = boxed.place.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let shielded = boxed.has(Layer::Mount) || boxed.has(Layer::Landlock);
    let tell = format!(
        "cat {0} /etc/hostname; echo > {0}.new; true",
        secret.display()
    );
    let mut ended = boxed.shell(&tell, LIMITS).unwrap();
    assert_eq!(text(&mut ended.stdout).is_empty(), shielded);
    assert_eq!(secret.with_extension("new").exists(), !shielded);
    let _ = fs::remove_file(secret.with_extension("new"));
    // A shell that is started from the job's own files.
    let own = ok(boxed.shell(
        "printf '#!/bin/sh\necho ran\n' > tool; chmod +x tool; ./tool 2>/dev/null; true",
        LIMITS,
    ));
    assert_eq!(own.is_empty(), boxed.has(Layer::Landlock), "{own}");
}

fn system_calls_are_refused(boxed: &Boxed) {
    let mut ended = boxed
        .shell(
            "unshare -U true || echo no; unshare -m true || echo no",
            LIMITS,
        )
        .unwrap();
    let said = text(&mut ended.stdout);
    if boxed.has(Layer::Seccomp) {
        assert_eq!(said, "no\nno\n");
    }
    let script = "import socket\ntry:\n socket.socket()\n print('socket')\nexcept OSError as e:\n print(e.errno)";
    let words = [
        "sh",
        "-c",
        "python3 -c \"$0\" 2>/dev/null || echo none",
        script,
    ]
    .map(OsString::from);
    let said = ok(boxed.job(&words, &[], &[], LIMITS));
    if boxed.has(Layer::Seccomp) {
        assert!(said == "97\n" || said == "none\n", "{said}");
    }
}

fn limits_end_a_job_and_are_named(boxed: &Boxed) {
    let excess = |script: &str, limits: Limits| {
        let mut ended = boxed.shell(script, limits).unwrap();
        let stderr = text(&mut ended.stderr);
        assert_ne!(ended.status, 0, "{script}: {stderr}");
        assert!(ended.excess.is_some(), "{script}: {stderr}");
        ended.excess
    };
    let short = Limits {
        seconds: Some(1),
        ..LIMITS
    };
    assert_eq!(excess("while :; do :; done", short), Some(Excess::Seconds));
    // Spread over children that each stay below it.
    assert_eq!(
        excess(
            "work() { i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; }; while :; do (work); done",
            short
        ),
        Some(Excess::Seconds)
    );
    let small = Limits {
        memory: Some(64 << 20),
        ..LIMITS
    };
    assert_eq!(
        excess(
            "exec awk 'BEGIN { s = \"x\"; while (1) s = s s }' 2>&2",
            small
        ),
        Some(Excess::Memory)
    );
    let full = Limits {
        disk: 1 << 20,
        ..LIMITS
    };
    assert_eq!(excess("cat /dev/full > big", full), Some(Excess::Disk));
    if boxed.has(Layer::Mount) {
        // Many files that are each small, and what is printed.
        assert_eq!(
            excess(
                "set -e; i=0; while :; do i=$((i+1)); head -c 65536 /dev/full > f$i; done",
                full
            ),
            Some(Excess::Disk)
        );
        assert_eq!(
            excess("set -e; while :; do head -c 65536 /dev/full; done", full),
            Some(Excess::Disk)
        );
    }
    let few = Limits {
        processes: Some(8),
        ..LIMITS
    };
    assert_eq!(
        excess(
            "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 60 & done; wait",
            few
        ),
        Some(Excess::Processes)
    );
    // Each below the last, deeper than anybody nests them.
    let deep = Limits {
        processes: Some(90),
        ..LIMITS
    };
    assert_eq!(
        excess(
            "f() { if [ $1 -gt 0 ]; then (f $(($1 - 1)); :); else sleep 60; fi; }; f 100",
            deep
        ),
        Some(Excess::Processes)
    );
    // A job that fails by itself is over no limit.
    let ended = boxed
        .shell("echo error: nothing wrong >&2; exit 1", LIMITS)
        .unwrap();
    assert_eq!(ended.excess, None);
}

/// Processes that sleep for exactly so long: no other has that number among its words.
fn sleepers(seconds: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            line.split(|byte| *byte == 0)
                .any(|word| word == seconds.as_bytes())
        })
        .count()
}

fn nothing_outlives_a_job(boxed: &Boxed) {
    let number = format!("{}.{}", 7000 + std::process::id(), boxed.sandbox.layers());
    let number = number.replace(|c: char| !c.is_ascii_digit() && c != '.', "1");
    // Left behind in the background, in a session of its own, by somebody who ended.
    let script = format!(
        "setsid sh -c 'sleep {number} & sleep {number}' > /dev/null 2>&1 < /dev/null & sleep 0.05; exit 0"
    );
    ok(boxed.shell(&script, LIMITS));
    assert_eq!(sleepers(&number), 0, "after its end");
    let words = [
        "sh",
        "-c",
        &format!("setsid sleep {number} & (setsid sleep {number} &); sleep {number}"),
    ]
    .map(OsString::from);
    let running = boxed.running(&words, &[], &[], LIMITS);
    wait_for("three sleepers", || sleepers(&number) >= 3);
    assert!(matches!(running.take_report(), Err(Stray::NotYet)));
    let start = Instant::now();
    drop(running);
    wait_for("their end", || sleepers(&number) == 0);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

fn a_program_has_no_capabilities_and_its_own_score(boxed: &Boxed) {
    let number = format!("{}.5", 8000 + std::process::id());
    let words = ["sh", "-c", &format!("exec sleep {number}")].map(OsString::from);
    let running = boxed.running(&words, &[], &[], LIMITS);
    let mut folder = None;
    wait_for("the sleeper", || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let sleeps = |folder: &PathBuf| {
            let line = fs::read(folder.join("cmdline")).unwrap_or_default();
            line == format!("sleep\0{number}\0").as_bytes()
        };
        folder = entries.map(|entry| entry.path()).find(sleeps);
        folder.is_some()
    });
    let read = |name: &str| fs::read_to_string(folder.as_ref().unwrap().join(name)).unwrap();
    let status = read("status");
    let says = |line: &str| assert!(status.contains(line), "{line} is not in {status}");
    says("NoNewPrivs:\t1\n");
    if boxed.has(Layer::Seccomp) {
        says("Seccomp:\t2\n");
    }
    if boxed.has(Layer::Mount) || boxed.has(Layer::Pid) {
        says("CapEff:\t0000000000000000\n");
        says("CapPrm:\t0000000000000000\n");
    }
    assert_eq!(read("oom_score_adj"), "500\n");
    drop(running);
}

fn a_program_cannot_reach_its_warden(boxed: &Boxed) {
    let mut ended = boxed.shell(
        "kill -9 $PPID 2>/dev/null; kill -9 1 2>/dev/null; echo still here",
        LIMITS,
    );
    if boxed.has(Layer::Pid) {
        assert_eq!(text(&mut ended.as_mut().unwrap().stdout), "still here\n");
    } else {
        // It can, and then there is an error and no hang.
        drop(ended);
    }
    if boxed.has(Layer::Seccomp) {
        let script = "prlimit --pid $PPID --nofile=9:9 2>/dev/null && echo limited; echo done";
        assert_eq!(ok(boxed.shell(script, LIMITS)), "done\n");
    }
    assert_eq!(ok(boxed.shell("echo next", LIMITS)), "next\n");
}

/// Jobs one after the other have the same few wardens.
fn the_next_job_knows_nothing_of_the_last(boxed: &Boxed) {
    let few = |ended: Result<Ended, Stray>| {
        let ended = ended.unwrap();
        assert_eq!(ended.status, 0);
        (ended.peak, ended.cpu_us)
    };
    let hungry = "head -c 100000000 /dev/full | tail -n 1 > /dev/null; setsid sleep 71 & echo $! > pid; sleep 0.05";
    for _ in 0..3 {
        let (peak, cpu) = few(boxed.shell(hungry, LIMITS));
        assert!(peak > 90 << 20 && cpu > 5000, "{peak} {cpu}");
        // A failure of the view's, of the program's start, and one that nobody waits for.
        let nowhere = [OsString::from("nowhere")];
        let job = |program: &str, cwd: &str| {
            let job = Job {
                program: Path::new(program),
                words: &nowhere,
                environment: &[],
                cwd: Path::new(cwd),
                place: Place::View,
                files: &[],
                outputs: &[],
                limits: LIMITS,
                nice: 0,
                oom_score_adj: None,
            };
            boxed.sandbox.run(&job).unwrap()
        };
        assert!(job("/no/program", "/home").wait().is_err());
        assert!(job("/bin/sh", "/usr/include/stdio.h/below").wait().is_err());
        drop(job("/bin/sh", "/home"));
        let (peak, cpu) = few(boxed.shell("exit 0", LIMITS));
        assert!(peak < 48 << 20 && cpu < 1_000_000, "{peak} {cpu}");
        if boxed.has(Layer::Mount) {
            assert_eq!(ok(boxed.shell("ls -A . /tmp", LIMITS)), ".:\n\n/tmp:\n");
        }
    }
}

/// As the keeper has them: its children, and it is the only child of this process that has any.
fn wardens() -> Vec<String> {
    let children = |pid: &str| {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let own = children(&std::process::id().to_string());
    own.iter().flat_map(|keeper| children(keeper)).collect()
}

fn wardens_that_die_are_replaced(boxed: &Boxed) {
    ok(boxed.shell("true", LIMITS));
    let first = wardens();
    assert!(!first.is_empty());
    let mut kill = std::process::Command::new("kill");
    // It fails where one was superfluous and has gone meanwhile.
    let _ = kill.arg("-9").args(&first).status().unwrap();
    // Until then one that is dying may take a job.
    wait_for("others", || {
        let now = wardens();
        !now.is_empty() && !now.iter().any(|warden| first.contains(warden))
    });
    assert_eq!(ok(boxed.shell("echo still", LIMITS)), "still\n");
}

fn what_cannot_start_says_why(boxed: &Boxed) {
    let cwd = if boxed.has(Layer::Mount) {
        PathBuf::from("/home/x")
    } else {
        boxed.folder()
    };
    let words = [OsString::from("x")];
    let job = Job {
        program: Path::new("/usr/bin/there-is-no-such-program"),
        words: &words,
        environment: &[],
        cwd: &cwd,
        place: if boxed.has(Layer::Mount) {
            Place::View
        } else {
            Place::Folder(&cwd)
        },
        files: &[],
        outputs: &[],
        limits: LIMITS,
        nice: 0,
        oom_score_adj: None,
    };
    match boxed.sandbox.run(&job).unwrap().wait() {
        Err(Stray::NotStarted(why)) => {
            assert_eq!(why.stage, Stage::Exec);
            assert_eq!(why.source.kind(), std::io::ErrorKind::NotFound);
        }
        other => panic!("{other:?}"),
    }
    assert!(
        boxed
            .sandbox
            .run(&Job {
                cwd: Path::new("relative"),
                ..job.clone()
            })
            .is_err()
    );
    if !boxed.has(Layer::Mount) {
        let no_view = boxed
            .sandbox
            .run(&Job {
                place: Place::View,
                ..job
            })
            .unwrap()
            .wait();
        assert!(matches!(no_view, Err(Stray::NotStarted(why)) if why.stage == Stage::View));
    }
}

fn many_at_once_are_kept_apart(boxed: &Boxed) {
    if !boxed.has(Layer::Mount) {
        return;
    }
    let words = |number: usize| {
        [
            "sh",
            "-c",
            &format!("echo {number} > mine; sleep 0.02; cat mine; ls"),
        ]
        .map(OsString::from)
    };
    let running: Vec<_> = (0..16)
        .map(|number| boxed.running(&words(number), &[], &[], LIMITS))
        .collect();
    for (number, job) in running.into_iter().enumerate() {
        assert_eq!(ok(job.wait()), format!("{number}\nmine\n"));
    }
}

#[derive(Clone, Copy)]
enum Item {
    File(&'static str),
    Link(&'static str),
    Folder,
}

use Item::{File, Folder, Link};

/// Trees are written by this process, so that it has to be the box's user.
fn has_trees(boxed: &Boxed) -> bool {
    boxed.sandbox.trees().is_some() && boxed.own_user
}

fn lay_out(
    boxed: &Boxed,
    owner: &str,
    entries: &[(&str, Item)],
    hidden: &[&str],
) -> Result<Tree, Misfit> {
    let content = |item: &Item| match *item {
        File(text) => {
            let mut digest = [0; 16];
            let text = text.as_bytes();
            digest
                .iter_mut()
                .zip(text)
                .for_each(|(to, from)| *to = *from);
            digest[15] = u8::try_from(text.len()).unwrap();
            Content::File {
                digest,
                bytes: Bytes::These(text),
            }
        }
        Link(target) => Content::Link(OsStr::new(target)),
        Folder => Content::Folder,
    };
    let hidden = hidden.iter().map(PathBuf::from).collect();
    let entries = entries
        .iter()
        .map(|(name, item)| Entry {
            name: Path::new(*name),
            content: content(item),
        })
        .collect();
    boxed
        .sandbox
        .trees()
        .unwrap()
        .lay_out(owner.as_bytes(), &Closure { entries, hidden })
}

/// A shell in a tree, at `/w`.
fn in_tree(boxed: &Boxed, tree: &Tree, script: &str) -> sandbox::Running {
    let words = ["sh", "-c", script].map(OsString::from);
    let outputs = [PathBuf::from("/w/out/a.o")];
    let job = Job {
        program: Path::new("/bin/sh"),
        words: &words,
        environment: &[("PATH".into(), "/usr/bin".into())],
        cwd: Path::new("/w"),
        place: Place::Tree(tree),
        files: &[],
        outputs: &outputs,
        limits: LIMITS,
        nice: 0,
        oom_score_adj: None,
    };
    boxed.sandbox.run(&job).unwrap()
}

fn a_tree_is_exactly_what_was_asked_for(boxed: &Boxed) {
    if !has_trees(boxed) {
        return;
    }
    let list = "find /w /v -printf '%y %p %l\n' 2>/dev/null | sort | sed 's/ $//'";
    let first = [
        ("/w/a.c", File("one")),
        ("/w/inc/x.h", File("x")),
        ("/w/inc/y.h", File("y")),
        ("/w/link", Link("inc")),
        ("/v/empty", Folder),
    ];
    let tree = lay_out(boxed, "exact", &first, &[]).unwrap();
    let found = ok(in_tree(boxed, &tree, list).wait());
    assert_eq!(
        found,
        "d /v\nd /v/empty\nd /w\nd /w/inc\nd /w/out\nf /w/a.c\nf /w/inc/x.h\nf /w/inc/y.h\nl /w/link inc\n"
    );
    // Times differ, so that nothing of the same content is taken for one.
    let times = ok(in_tree(
        boxed,
        &tree,
        "stat -c %Y /w/a.c /w/inc/x.h /w/inc/y.h | sort -u | wc -l; stat -c %i-%Y /w/inc/y.h",
    )
    .wait());
    let (different, kept) = times.split_once('\n').unwrap();
    assert_eq!(different, "3");
    // What a job does to its tree is gone with the job.
    let spoil = "rm /w/a.c; echo spoiled > /w/inc/y.h; mv /w/inc/x.h /w/inc/z.h; echo new > /w/new; echo object > /w/out/a.o";
    let mut ended = in_tree(boxed, &tree, spoil).wait().unwrap();
    assert_eq!(text(ended.outputs[0].as_mut().unwrap()), "object\n");
    drop(tree);
    let second = [
        ("/w/a.c", File("two")),
        ("/w/inc/y.h", File("y")),
        ("/w/link/x.h", File("x")),
    ];
    let tree = lay_out(boxed, "exact", &second, &[]).unwrap();
    assert_eq!(
        ok(in_tree(boxed, &tree, list).wait()),
        "d /w\nd /w/inc\nd /w/link\nd /w/out\nf /w/a.c\nf /w/inc/y.h\nf /w/link/x.h\n"
    );
    assert_eq!(
        ok(in_tree(
            boxed,
            &tree,
            "cat /w/a.c; cat /w/inc/y.h; stat -c -%i-%Y /w/inc/y.h"
        )
        .wait()),
        format!("twoy-{kept}")
    );
}

fn trees_are_one_jobs_at_a_time(boxed: &Boxed) {
    if !has_trees(boxed) {
        return;
    }
    // Both of one owner, and each sees its own version to its end.
    let one = lay_out(boxed, "same", &[("/w/x.h", File("one"))], &[]).unwrap();
    let waiting = in_tree(boxed, &one, "sleep 0.2; cat /w/x.h; ls /w");
    let two = lay_out(
        boxed,
        "same",
        &[("/w/x.h", File("two")), ("/w/y.h", File(""))],
        &[],
    )
    .unwrap();
    assert_eq!(
        ok(in_tree(boxed, &two, "cat /w/x.h; ls /w").wait()),
        "twoout\nx.h\ny.h\n"
    );
    assert_eq!(ok(waiting.wait()), "oneout\nx.h\n");
    // Trees that nobody uses are kept up to a number, and are no other owner's.
    drop((one, two));
    for number in 0..20 {
        drop(
            lay_out(
                boxed,
                &format!("owner {number}"),
                &[("/w/x.h", File("x"))],
                &[],
            )
            .unwrap(),
        );
    }
    let (idle, bytes) = boxed.sandbox.trees().unwrap().usage();
    assert!(idle <= 4 && bytes <= 16, "{idle} {bytes}");
}

fn contents_come_back_and_are_no_two_names_of_a_tree(boxed: &Boxed) {
    if !has_trees(boxed) {
        return;
    }
    let unit = [("/w/a.h", File("same")), ("/w/b.h", File("same"))];
    let list = "stat -c '%n %i %Y' /w/?.h; cat /w/?.h";
    let lines = |said: String| said.lines().map(str::to_owned).collect::<Vec<_>>();
    let mut tree = lay_out(boxed, "alternates", &unit, &[]).unwrap();
    let first = lines(ok(in_tree(boxed, &tree, list).wait()));
    assert_eq!(first[2..], ["samesame"]);
    let differ = |at: usize| first[0].split(' ').nth(at) != first[1].split(' ').nth(at);
    assert!(differ(1) && differ(2), "{first:?}");
    // Another unit between, and what a job writes is still its own.
    for _ in 0..2 {
        drop(tree);
        let other = [("/w/c.h", File("same")), ("/v/d.h", File("other"))];
        tree = lay_out(boxed, "alternates", &other, &[]).unwrap();
        let spoil = "echo spoiled > /w/c.h; cat /w/c.h /v/d.h; ls /w";
        let said = ok(in_tree(boxed, &tree, spoil).wait());
        assert_eq!(said, "spoiled\notherc.h\nout\n");
        drop(tree);
        tree = lay_out(boxed, "alternates", &unit, &[]).unwrap();
        let mut again = lines(ok(in_tree(boxed, &tree, list).wait()));
        let files = |lines: &mut Vec<String>| {
            lines.truncate(2);
            let which = |line: &String| line.split_once(' ').map(|(_, which)| which.to_owned());
            lines
                .iter()
                .filter_map(which)
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(again[2..], ["samesame"]);
        assert_eq!(files(&mut again), files(&mut first.clone()));
    }
    // A second tree of the same client while the first is in use.
    let second = lay_out(boxed, "alternates", &unit, &[]).unwrap();
    let waiting = in_tree(
        boxed,
        &tree,
        "echo spoiled > /w/a.h; rm /w/b.h; sleep 0.1; cat /w/a.h",
    );
    assert_eq!(
        ok(in_tree(boxed, &second, "cat /w/a.h /w/b.h").wait()),
        "samesame"
    );
    assert_eq!(ok(waiting.wait()), "spoiled\n");
}

fn headers_of_the_client_cover_the_machines(boxed: &Boxed) {
    if !has_trees(boxed) {
        return;
    }
    let entries = [
        ("/usr/include/stdio.h", File("client's")),
        ("/usr/include/only/here.h", File("new")),
        ("/lib/caml/x.h", File("lib")),
        ("/usr/src/x/a.c", File("src")),
    ];
    let tree = lay_out(boxed, "headers", &entries, &[]).unwrap();
    let seen = ok(in_tree(boxed, &tree, "cat /usr/include/stdio.h /usr/include/only/here.h /usr/lib/caml/x.h /usr/src/x/a.c; wc -l < /usr/include/stdlib.h").wait());
    let lines = seen
        .strip_prefix("client'snewlibsrc")
        .unwrap_or_else(|| panic!("{seen}"));
    assert!(lines.trim().parse::<u32>().unwrap() > 100);
    drop(tree);
    let tree = lay_out(
        boxed,
        "headers",
        &entries,
        &["/usr/include", "/usr/local/include"],
    )
    .unwrap();
    let seen = ok(in_tree(
        boxed,
        &tree,
        "find /usr/include /usr/local/include -type f | sort; ls /usr/bin/env",
    )
    .wait());
    assert_eq!(
        seen,
        "/usr/include/only/here.h\n/usr/include/stdio.h\n/usr/bin/env\n"
    );
}

fn what_does_not_fit_is_refused(boxed: &Boxed) {
    if !has_trees(boxed) {
        return;
    }
    let refused =
        |entries: &[(&'static str, Item)]| lay_out(boxed, "misfits", entries, &[]).unwrap_err();
    for name in ["/w/../etc/x", "w/x", "/", "/w//x", "/w/x/", "/w/\0x", ""] {
        assert!(
            matches!(refused(&[(name, File(""))]), Misfit::Name(_)),
            "{name:?}"
        );
    }
    for (one, two) in [
        (("/w/x", File("")), ("/w/x", File("again"))),
        (("/w/x", File("")), ("/w/x/y", File(""))),
        (("/w/x", Link("/etc")), ("/w/x/y", File(""))),
        (("/w/x/y", File("")), ("/w/x", Link("z"))),
    ] {
        assert!(
            matches!(refused(&[one, two]), Misfit::Clash(_)),
            "{} {}",
            one.0,
            two.0
        );
        assert!(
            matches!(refused(&[two, one]), Misfit::Clash(_)),
            "{} {}",
            two.0,
            one.0
        );
    }
    for (name, item) in [
        ("/usr/bin/as", File("#!/bin/sh")),
        ("/usr/lib/gcc/x86_64-linux-gnu/12/specs", File("*asm:")),
        ("/etc/ld.so.preload", File("/w/x.so")),
        ("/lib/ld-linux.so", Link("/w/x")),
        ("/usr", Link("/w")),
        ("/bin", File("")),
        ("/usr/include", Link("/w")),
        ("/usr/bin/env", Folder),
        ("/dev/null", File("")),
    ] {
        assert!(
            matches!(refused(&[(name, item)]), Misfit::Toolchain(_)),
            "{name}"
        );
    }
    // A link may say what it likes; followed, it does not leave the job's root.
    let tree = lay_out(
        boxed,
        "links",
        &[
            ("/w/up", Link("../../../../../../etc/hostname")),
            ("/w/abs", Link("/store")),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(
        ok(in_tree(boxed, &tree, "cat /w/up; ls /w/abs/; true").wait()),
        ""
    );
}

type Test = (&'static str, fn(&Boxed));

#[rustfmt::skip]
const TESTS: &[Test] = &[
    ("files_go_in_and_come_out", files_go_in_and_come_out),
    ("a_program_gets_only_what_it_needs", a_program_gets_only_what_it_needs),
    ("a_view_holds_the_toolchain_and_the_job", a_view_holds_the_toolchain_and_the_job),
    ("directories_below_the_toolchains_can_be_the_clients", directories_below_the_toolchains_can_be_the_clients),
    ("the_machine_is_out_of_reach", the_machine_is_out_of_reach),
    ("system_calls_are_refused", system_calls_are_refused),
    ("limits_end_a_job_and_are_named", limits_end_a_job_and_are_named),
    ("nothing_outlives_a_job", nothing_outlives_a_job),
    ("a_program_has_no_capabilities_and_its_own_score", a_program_has_no_capabilities_and_its_own_score),
    ("a_program_cannot_reach_its_warden", a_program_cannot_reach_its_warden),
    ("the_next_job_knows_nothing_of_the_last", the_next_job_knows_nothing_of_the_last),
    ("wardens_that_die_are_replaced", wardens_that_die_are_replaced),
    ("what_cannot_start_says_why", what_cannot_start_says_why),
    ("many_at_once_are_kept_apart", many_at_once_are_kept_apart),
    ("a_tree_is_exactly_what_was_asked_for", a_tree_is_exactly_what_was_asked_for),
    ("trees_are_one_jobs_at_a_time", trees_are_one_jobs_at_a_time),
    ("contents_come_back_and_are_no_two_names_of_a_tree", contents_come_back_and_are_no_two_names_of_a_tree),
    ("headers_of_the_client_cover_the_machines", headers_of_the_client_cover_the_machines),
    ("what_does_not_fit_is_refused", what_does_not_fit_is_refused),
];

fn main() -> ExitCode {
    let filter = std::env::args()
        .skip(1)
        .find(|word| !word.starts_with('-'))
        .unwrap_or_default();
    let root = rustix::process::geteuid().is_root();
    let users = if root {
        vec![None, Some((65534, 65534))]
    } else {
        vec![None]
    };
    let kinds = [
        "mount,pid,net,seccomp,landlock",
        "off",
        "seccomp,landlock",
        "mount,seccomp",
        "pid",
    ];
    let boxes: Vec<Boxed> = users
        .iter()
        .flat_map(|user| kinds.map(|kind| Boxed::start(kind.parse().unwrap(), *user)))
        .collect();
    let (mut passed, mut failed) = (0, Vec::new());
    for boxed in &boxes {
        assert!(
            boxed.sandbox.missing().is_empty(),
            "{}: {:?}",
            boxed.name,
            boxed.sandbox.missing()
        );
        for (name, test) in TESTS.iter().filter(|(name, _)| name.contains(&filter)) {
            let result = catch_unwind(AssertUnwindSafe(|| test(boxed)));
            println!(
                "test {name} ({}) ... {}",
                boxed.name,
                if result.is_ok() { "ok" } else { "FAILED" }
            );
            match result {
                Ok(()) => passed += 1,
                Err(_) => failed.push(format!("{name} ({})", boxed.name)),
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
