//! Jobs in boxes with all layers, with few and with none, as this user and, for root, as nobody.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sandbox::{Ended, Excess, Job, Layer, Layers, Limits, Place, Sandbox, Setup, Stage, Stray};

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
        };
        let sandbox = Sandbox::start(&setup).unwrap();
        let name = format!("{wanted} as {become_user:?}");
        Self {
            name,
            sandbox,
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
        "cat src/a.c > out/a.o; echo said; echo so >&2; ln -s /etc/passwd link; exit 3",
    ];
    let words = words.map(OsString::from);
    let mut ended = boxed
        .job(
            &words,
            &[("src/a.c", "int x;\n"), ("big", &"b".repeat(300_000))],
            &["out/a.o", "none", "link", "src", "big"],
            LIMITS,
        )
        .unwrap();
    assert_eq!(ended.status, 3 << 8);
    assert_eq!(text(&mut ended.stdout), "said\n");
    assert_eq!(text(&mut ended.stderr), "so\n");
    let mut outputs = ended.outputs;
    assert_eq!(text(outputs[0].as_mut().unwrap()), "int x;\n");
    // What is not there, what is a link, what is a folder.
    assert!(outputs[1..4].iter().all(Option::is_none), "{outputs:?}");
    assert_eq!(text(outputs[4].as_mut().unwrap()).len(), 300_000);
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
            "pwd; echo x > /tmp/x; cat /tmp/x; head -c4 /dev/zero | wc -c; echo > /dev/null",
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
    assert_eq!(excess("cat /dev/zero > big", full), Some(Excess::Disk));
    if boxed.has(Layer::Mount) {
        // Many files that are each small, and what is printed.
        assert_eq!(
            excess(
                "set -e; i=0; while :; do i=$((i+1)); head -c 65536 /dev/zero > f$i; done",
                full
            ),
            Some(Excess::Disk)
        );
        assert_eq!(
            excess("set -e; while :; do head -c 65536 /dev/zero; done", full),
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
    assert_eq!(ok(boxed.shell("echo next", LIMITS)), "next\n");
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
    ("a_program_cannot_reach_its_warden", a_program_cannot_reach_its_warden),
    ("what_cannot_start_says_why", what_cannot_start_says_why),
    ("many_at_once_are_kept_apart", many_at_once_are_kept_apart),
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
