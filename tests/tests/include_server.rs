//! The include server as a process: it comes up, serves whoever behaves, bears whoever does not, and leaves nothing behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use tests::{IncludeServer, include_server, question, until};

/// A source with one header.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.c"), "#include \"a.h\"\nint a = A;\n").unwrap();
    fs::write(folder.path().join("a.h"), "#define A 1\n").unwrap();
    folder
}

const COMPILE: [&str; 3] = ["gcc", "-c", "a.c"];

/// The files of an answer by their names at the client.
fn files(paths: &[PathBuf]) -> Vec<String> {
    let files = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "lzo"));
    let names = files.map(|path| {
        let name: PathBuf = path.components().skip(4).collect();
        format!("/{}", name.display())
            .trim_end_matches(".lzo")
            .to_owned()
    });
    names.collect()
}

#[test]
fn a_source_is_answered_with_its_files() {
    let (server, project) = (IncludeServer::start(&[]), project());
    let root = project.path().canonicalize().unwrap();
    let wanted = ["a.c", "a.h"].map(|name| root.join(name).display().to_string());
    let paths = server.ask(&root, &COMPILE);
    assert_eq!(files(&paths), wanted);
    assert!(paths.iter().all(|path| path.symlink_metadata().is_ok()));
    // The compiler's own folders are the daemon's, by a way out of its folder.
    let system = paths
        .iter()
        .find(|path| path.ends_with("usr/include"))
        .unwrap();
    assert!(
        fs::read_link(system)
            .unwrap()
            .starts_with("../../../../../..")
    );
}

#[test]
fn every_signal_that_asks_for_the_end_leaves_nothing() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let (server, project) = (IncludeServer::start(&[]), project());
        assert!(!server.ask(project.path(), &COMPILE).is_empty());
        assert_eq!(server.mirrors().len(), 1);
        server.signal(signal);
        until("it ends", || !server.lives());
        assert!(
            server.mirrors().is_empty() && !server.socket().exists(),
            "{signal:?}"
        );
        assert!(!server.folder().join("launch").exists());
    }
}

#[test]
fn what_a_killed_server_left_is_cleared_by_the_next() {
    let (killed, project) = (IncludeServer::start(&[]), project());
    assert!(!killed.ask(project.path(), &COMPILE).is_empty());
    killed.signal(Signal::KILL);
    until("it is gone", || !killed.lives());
    let living = IncludeServer::start(&[]);
    assert!(!living.ask(project.path(), &COMPILE).is_empty());
    until("the next clears", || killed.mirrors().is_empty());
    let third = IncludeServer::start(&[]);
    assert!(!third.ask(project.path(), &COMPILE).is_empty());
    assert_eq!(living.mirrors().len(), 1, "what lives stays");
}

#[test]
fn peers_who_misbehave_harm_only_themselves() {
    let (server, project) = (IncludeServer::start(&[]), project());
    let asked = question(project.path(), &COMPILE);
    let mut silent = Vec::new();
    for _ in 0..150 {
        silent.push(server.connect());
        let mut half = server.connect();
        half.write_all(&asked[..40]).unwrap();
        silent.push(half);
        server.connect().write_all(&asked).unwrap();
        drop(server.connect());
    }
    for garbage in [
        &b"GARBAGE! GARBAGE!"[..],
        b"CDIRffffffff",
        b"ARGC00000001ARGV00000003gcc",
        b"CDIR00000001/ARGC00000000",
        b"\0\xff\0\xff\0\xff\0\xff\0\xff\0\xff\0\xff",
    ] {
        let mut stream = server.connect();
        stream.write_all(garbage).unwrap();
        let mut reply = Vec::new();
        // A reset is as good an answer as none.
        let _ = stream.read_to_end(&mut reply);
        assert!(reply.is_empty() || reply == b"ARGC00000000", "{garbage:?}");
    }
    let odd: [&[&str]; 5] = [
        &["gcc", "-c", ""],
        &[""],
        &["gcc"],
        &["no such compiler", "-c", "a.c"],
        &["gcc", "-c", "gone.c"],
    ];
    for words in odd {
        assert!(server.ask(project.path(), words).is_empty(), "{words:?}");
    }
    assert!(
        server
            .ask(Path::new("/no/such/folder"), &COMPILE)
            .is_empty()
    );
    assert!(!server.ask(project.path(), &COMPILE).is_empty());
    drop(silent);
}

#[test]
fn a_server_that_cannot_listen_says_so_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("socket")).unwrap();
    let output = said(&mut IncludeServer::command(folder.path(), &[]));
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("socket is a folder"),
        "{output:?}"
    );
    let bad = said(IncludeServer::command(folder.path(), &[]).env("DISTCC_CLIENT_TMP", "/tmp/a/b"));
    assert!(!bad.status.success());
    assert!(
        String::from_utf8_lossy(&bad.stderr).contains("DISTCC_CLIENT_TMP"),
        "{bad:?}"
    );
    for words in [&["--nonsense"][..], &["-dx"], &["--simple_algorithm"]] {
        let output = said(&mut IncludeServer::command(folder.path(), words));
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(
            !output.stdout.is_empty(),
            "{words:?}: stock says it on standard output"
        );
    }
}

fn said(command: &mut Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.output().unwrap()
}

/// Does a resident server live in this folder?
fn is_held(folder: &Path) -> bool {
    let lock = fs::File::open(folder.join("lock")).unwrap();
    lock.try_lock().is_err()
}

#[test]
fn one_resident_server_serves_a_folder_and_ends_when_idle() {
    let above = tempfile::tempdir().unwrap();
    // Longer than a socket's name may be.
    let folder = above.path().join("x".repeat(120)).join("pump");
    let start = || {
        let mut command = Command::new(include_server());
        command.arg("--resident").arg(&folder).args(["--idle", "4"]);
        // It must not hold what the build tool waits for.
        said(&mut command)
    };
    let started: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(start)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        started.iter().all(|output| output.status.success()),
        "{started:?}"
    );
    assert!(folder.join("launch").exists() && folder.join("socket").exists());
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    until("it ends by itself", || !is_held(&folder));
    assert!(!folder.join("launch").exists() && !folder.join("socket").exists());
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = start();
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("chmod 700"),
        "{output:?}"
    );
}

#[test]
fn a_write_through_a_mapping_is_seen() {
    const WRITE: &str = "import mmap, sys\nwith open(sys.argv[1], 'r+b') as f:\n    m = mmap.mmap(f.fileno(), 0)\n    m[10:11] = b'c'\n    m.close()\n";
    let (server, project) = (IncludeServer::start(&[]), project());
    let root = project.path().canonicalize().unwrap();
    for (name, text) in [("a.h", "#include \"b.h\"\n"), ("b.h", ""), ("c.h", "")] {
        fs::write(root.join(name), text).unwrap();
    }
    let header = root.join("a.h");
    // Younger ones are read again in any case.
    until("the header is no longer young", || {
        let age = fs::metadata(&header).unwrap().modified().unwrap().elapsed();
        age.is_ok_and(|age| age > std::time::Duration::from_secs(3))
    });
    let has = |name: &str| {
        let wanted = root.join(name).display().to_string();
        files(&server.ask(&root, &COMPILE)).contains(&wanted)
    };
    assert!(has("b.h") && !has("c.h"));
    let written = Command::new("python3")
        .args(["-c", WRITE])
        .arg(&header)
        .status();
    assert!(written.unwrap().success());
    assert!(has("c.h") && !has("b.h"));
}
