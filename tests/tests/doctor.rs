//! `distcc-launch doctor`: each fault, made as it comes about, gets its own right answer.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use serde_json::Value;
use tests::{
    BlackHole, Client, Daemon, Farm, Greeting, LyingServer, Make, Reply, Request, Running, Space,
    for_machine, launcher, run, script, stand_in_ssh, start, token, until, wrapped_cc,
};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A report, with the code that the doctor ended with.
struct Report {
    code: i32,
    whole: Value,
}

impl Report {
    fn lines(&self) -> impl Iterator<Item = &Value> {
        self.whole["layers"].as_array().expect("layers").iter()
    }

    fn failed(&self) -> Vec<&Value> {
        self.lines()
            .filter(|line| line["state"] == "failed")
            .collect()
    }

    fn state(&self, layer: &str) -> &str {
        let mut lines = self.lines().filter(|line| line["layer"] == layer);
        lines
            .next()
            .and_then(|line| line["state"].as_str())
            .unwrap_or("missing")
    }

    /// One thing is wrong, and it is this; the way to mend it has these words.
    #[track_caller]
    fn assert_only(&self, fault: &str, fix: &str) -> &Report {
        let faults: Vec<_> = self.failed().iter().map(|line| &line["fault"]).collect();
        assert_eq!(faults, [fault], "{:#?}", self.failed());
        let found = self.failed()[0]["fix"].as_str().expect("a fix").to_owned();
        assert!(found.contains(fix), "{fix}: {found}");
        assert_eq!(self.code, 1);
        assert_eq!(self.whole["well"], false);
        self
    }

    #[track_caller]
    fn assert_well(&self) -> &Report {
        assert!(self.failed().is_empty(), "{:#}", self.whole);
        assert_eq!((self.code, &self.whole["well"]), (0, &Value::Bool(true)));
        self
    }
}

/// Lets the doctor look, in a project that is as it was at first.
fn examine(space: &Space) -> Report {
    space.renew();
    examine_with(space, "")
}

/// The same with a compiler of its own, in the project as it is.
fn examine_with(space: &Space, compiler: &str) -> Report {
    // Other tests run beside this one, and only where somebody is silent there is to be an end.
    let words = match compiler {
        "" => "doctor --json --limit 30".to_owned(),
        compiler => format!("doctor --json --limit 30 -- {compiler}"),
    };
    look(space, &words)
}

/// The same in the time that it usually has.
fn examine_in_time(space: &Space) -> Report {
    look(space, "doctor --json")
}

fn look(space: &Space, words: &str) -> Report {
    if !space.work().exists() {
        space.renew();
    }
    let ran = run(&mut space.command(words));
    let whole = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.out(), ran.err()));
    assert_eq!(ran.err(), "");
    let left = fs::read_dir(space.root().join("tmp")).expect("a folder");
    assert_eq!(left.count(), 0, "temporary files are left");
    Report {
        code: ran.code(),
        whole,
    }
}

/// A space whose PATH has the launcher.
fn space() -> Space {
    let space = Space::new([("a.c", "int a;\n")]);
    let tools = space.root().join("home/tools");
    fs::create_dir(&tools).unwrap();
    symlink(launcher(), tools.join("distcc-launch")).unwrap();
    let path = path_with(&space, &[]);
    space.client_env("PATH", path)
}

/// The usual PATH with these folders of the space's home in front.
fn path_with(space: &Space, folders: &[&str]) -> String {
    let home = space.root().join("home");
    let folders = folders.iter().chain(&["tools"]);
    let mut path: Vec<String> = folders
        .map(|folder| home.join(folder).display().to_string())
        .collect();
    path.push(PATH.to_owned());
    path.join(":")
}

/// A space whose hosts are well.
fn well() -> (Farm, Space) {
    let farm = Farm::ours(1);
    let space = space().hosts(&farm.hosts(""));
    (farm, space)
}

/// A folder first in PATH.
fn with_path(space: Space) -> (Space, std::path::PathBuf) {
    let folder = space.root().join("home/bin");
    fs::create_dir(&folder).unwrap();
    let path = path_with(&space, &["bin"]);
    (space.client_env("PATH", path), folder)
}

#[test]
fn all_is_well_with_daemons_of_both_makes() {
    let (ours, stock) = (Farm::ours(2), Farm::stock(1));
    let list = format!("{} {} localhost/2", ours.hosts("/2,lzo"), stock.hosts("/4"));
    let space = space().hosts(&list);
    for compiler in ["", "gcc -O2", "g++", "clang", "clang++ -O1 -g", "gcc -flto"] {
        let report = examine_with(&space, compiler);
        report.assert_well();
        for layer in [
            "host list",
            "folder",
            "compiler",
            "connect",
            "access",
            "daemon",
            "compile",
            "link",
            "clock",
        ] {
            assert_eq!(report.state(layer), "ok", "{compiler}: {layer}");
        }
    }
    assert!(
        !space.journal().exists(),
        "what the doctor tries is no build"
    );
    let text = run(&mut space.command("doctor"));
    assert_eq!(text.code(), 0);
    assert!(text.out().ends_with("all is well\n"), "{}", text.out());
}

#[test]
fn all_is_well_through_ssh() {
    let space = space().hosts(&format!("me@far/2:{}", tests::launcher_daemon().display()));
    let ssh = stand_in_ssh(&space.root().join("home"));
    examine(&space.client_env("DISTCC_SSH", ssh)).assert_well();
}

#[test]
fn one_bad_host_does_not_hide_the_good_one() {
    let farm = Farm::ours(1);
    let space = space().hosts(&format!("no-such-host.invalid {}", farm.hosts("")));
    let report = examine(&space);
    report.assert_only("no-address", "getent ahosts no-such-host.invalid");
    assert_eq!(report.failed()[0]["host"], "no-such-host.invalid:3632");
    assert_eq!(
        (report.state("compile"), report.state("link")),
        ("ok", "ok")
    );
}

// Hosts and the way to them.

fn free_port(address: &str) -> u16 {
    TcpListener::bind((address, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn nothing_listens() {
    let port = free_port("127.0.0.1");
    let report = examine(&space().hosts(&format!("127.0.0.1:{port}/8")));
    report.assert_only(
        "connect-refused",
        &format!("distcc-launchd --daemon --port {port} --allow 127.0.0.1"),
    );
    assert_eq!(report.state("compile"), "skipped");
}

#[test]
fn the_access_list_does_not_let_us_in() {
    for make in [Make::Ours, Make::Stock] {
        // Only 127.0.0.0/8 is let in, and we come from ::1.
        let daemon = Daemon::start(make, "::1", &[]);
        let report = examine(&space().hosts(&daemon.host()));
        report.assert_only("access-refused", "--allow ::1");
    }
}

/// Says `banner` to all who come, and closes when they do.
fn banner(banner: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(banner.as_bytes());
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    port
}

#[test]
fn another_service_has_the_port() {
    let speaks_first = format!("127.0.0.1:{}", banner("SSH-2.0-OpenSSH_9.2\r\n"));
    let answers = LyingServer::greeting(
        Greeting::Says(b"HTTP/1.0 400 Bad Request\r\n\r\n".to_vec()),
        |talk| {
            talk.stall();
        },
    );
    for host in [speaks_first, answers.host()] {
        let report = examine(&space().hosts(&host));
        report.assert_only("another-service", "HOST:PORT");
        let what = report.failed()[0]["what"].to_string();
        assert!(
            what.contains("SSH-2.0") || what.contains("HTTP/1.0 400"),
            "{what}"
        );
    }
    // One that only the job brings to light.
    let silent = LyingServer::answering(b"<html>what?</html>".to_vec());
    examine(&space().hosts(&silent.host())).assert_only("another-service", "HOST:PORT");
}

#[test]
fn the_daemon_listens_on_ipv6_only() {
    let daemon = Daemon::start(Make::Ours, "::1", &["--allow", "::1"]);
    let report = examine(&space().hosts(&format!("127.0.0.1:{}", daemon.port())));
    report.assert_only("ipv6-only", &format!("[::1]:{}", daemon.port()));
}

#[test]
fn the_daemon_listens_on_ipv4_only() {
    let daemon = Daemon::start(Make::Ours, "127.0.0.1", &[]);
    let report = examine(&space().hosts(&format!("[::1]:{}", daemon.port())));
    report.assert_only("ipv4-only", &format!("127.0.0.1:{}", daemon.port()));
}

/// The doctor in a network of its own, which `setup` makes.
fn examine_in_network(space: &Space, setup: &str) -> Report {
    space.renew();
    let plain = space.command("doctor --json");
    let mut inside = Command::new("unshare");
    inside
        .args(["-n", "sh", "-ec"])
        .arg(format!("{setup}; exec \"$0\" doctor --json"))
        .arg(plain.get_program())
        .current_dir(space.work())
        .env_clear();
    for (name, value) in plain.get_envs() {
        inside.env(name, value.unwrap_or_default());
    }
    inside.env("PATH", format!("{PATH}:/usr/sbin:/sbin"));
    let ran = run(&mut inside);
    let whole = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.out(), ran.err()));
    Report {
        code: ran.code(),
        whole,
    }
}

#[test]
fn packets_vanish() {
    let nobody = BlackHole::here();
    let report = examine_in_time(&space().hosts(&nobody.host()));
    report.assert_only("connect-timeout", &format!("{},down", nobody.host()));
}

#[test]
fn there_is_no_way_to_the_host() {
    let report = examine_in_network(&space().hosts("192.0.2.7"), "ip link set lo up");
    report.assert_only("no-route", "ip route get 192.0.2.7");
    let report = examine_in_network(&space().hosts("[2001:db8::7]"), "ip link set lo up");
    report.assert_only("ipv6-only", "ip -6 route get 2001:db8::7");
}

#[test]
fn a_host_stalls() {
    let silent = LyingServer::greeting(Greeting::Stalls, |talk| {
        talk.stall();
    });
    examine_in_time(&space().hosts(&silent.host())).assert_only("stalls", ",down");
    let halfway = LyingServer::start(|talk| {
        if talk.request().is_some() {
            talk.stall();
        }
    });
    let report = examine_in_time(&space().hosts(&halfway.host()));
    report.assert_only("stalls", "journalctl");
    assert_eq!(report.failed()[0]["layer"], "compile");
}

#[test]
fn ssh_does_not_get_there() {
    let space = space().hosts("me@far/2");
    let ssh = space.root().join("home/ssh");
    script(&ssh, "echo 'Permission denied (publickey).' >&2; exit 255");
    let space = space.client_env("DISTCC_SSH", &ssh);
    examine(&space).assert_only("ssh-closed", "ssh me@far distccd --version");
    let space = space.client_env("DISTCC_SSH", "/no/such/ssh");
    examine(&space).assert_only("transport-failed", "DISTCC_SSH");
}

#[test]
fn clocks_differ() {
    let hello = b"daemon distcc-launchd 9\njobs 4\nclock 1000000000\n";
    let answer = [token("HELO", hello.len()).as_slice(), hello].concat();
    let server = LyingServer::greeting(Greeting::Says(answer), move |talk| {
        if let Some(request) = talk.request() {
            talk.send(&reply(0, object(&request)).encode());
        }
    });
    let report = examine(&space().hosts(&server.host()));
    report.assert_only("clock-skew", "timedatectl set-ntp true");
    assert!(report.failed()[0]["what"].to_string().contains("behind"));

    let (_farm, space) = well();
    let space = space.setup("touch -d '+1 hour' a.c");
    let report = examine(&space);
    report.assert_only("clock-skew", "-newermt now");
    assert!(report.failed()[0]["what"].to_string().contains("a.c"));
}

// Compilers there.

/// What the unit that was asked for compiles to here.
fn object(request: &Request) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("unit.i"), &request.body).unwrap();
    let compiled = run(Command::new("gcc")
        .args(["-g0", "-c", "unit.i", "-o", "unit.o"])
        .current_dir(folder.path()));
    assert_eq!(compiled.code(), 0, "{}", compiled.err());
    fs::read(folder.path().join("unit.o")).unwrap()
}

/// A stock daemon that compiles what it is sent, and changes the object.
fn compiling(change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> LyingServer {
    LyingServer::start(move |talk| {
        if let Some(request) = talk.request() {
            talk.send(&reply(0, change(object(&request))).encode());
        }
    })
}

fn reply(status: u32, object: Vec<u8>) -> Reply {
    Reply {
        version: 1,
        status,
        object,
        ..Reply::default()
    }
}

#[test]
fn the_compiler_is_not_there_or_not_allowed() {
    for (make, fault, fix) in [
        (Make::Ours, "compiler-not-there", "DISTCCD_PATH or PATH"),
        (
            Make::Stock,
            "compiler-not-allowed",
            "update-distcc-symlinks",
        ),
    ] {
        let farm = Farm::with(make, 1, &[]);
        let (space, folder) = with_path(space().hosts(&farm.hosts("")));
        symlink("/usr/bin/gcc", folder.join("gcc-77")).unwrap();
        examine_with(&space, "gcc-77").assert_only(fault, fix);
    }
}

#[test]
fn the_compiler_there_cannot_be_run() {
    let server = LyingServer::answering(reply(110 << 8, Vec::new()).encode());
    examine(&space().hosts(&server.host()))
        .assert_only("compiler-not-there", "apt-get install gcc");
}

#[test]
fn the_compiler_there_is_another_version() {
    for make in [Make::Ours, Make::Stock] {
        let farm = Farm::with(make, 1, &[]);
        let (space, folder) = with_path(space().hosts(&farm.hosts("")));
        let other = "case \"$1\" in --version) /usr/bin/clang --version | sed 's/version /version 1/' ;;\n\
            *) exec /usr/bin/clang \"$@\" ;; esac";
        wrapped_cc(&folder.join("clang"), other);
        let report = examine_with(&space, "clang");
        report.assert_only("other-version-there", "clang --version");
        let what = report.failed()[0]["what"].to_string();
        assert!(what.matches("clang version").count() == 2, "{what}");
    }
}

#[test]
fn the_object_is_for_another_machine() {
    let server = compiling(|object| for_machine(&object, 183));
    examine(&space().hosts(&server.host())).assert_only("other-machine-there", "gcc-x86-64");
}

#[test]
fn a_wrapper_is_at_work_there() {
    let server = compiling(|mut object| {
        // In the middle of its data.
        let at = object.len() / 2;
        object[at] ^= 1;
        object
    });
    examine(&space().hosts(&server.host())).assert_only("other-object", "--version");
}

#[test]
fn what_comes_back_is_no_object() {
    for object in [b"".as_slice(), b"no ELF at all"] {
        let server = LyingServer::answering(reply(0, object.to_vec()).encode());
        examine(&space().hosts(&server.host())).assert_only("no-object", "ssh 127.0.0.1");
    }
}

#[test]
fn the_compiler_fails_there() {
    for (status, fault, fix) in [
        (1 << 8, "fails-there", "journalctl"),
        (9, "killed-there", "dmesg"),
    ] {
        let failed = Reply {
            stderr: b"cc1: error: no such thing\n".to_vec(),
            ..reply(status, Vec::new())
        };
        let server = LyingServer::answering(failed.encode());
        let report = examine(&space().hosts(&server.host()));
        report.assert_only(fault, fix);
    }
}

/// A daemon whose folder for temporary files is a small file system of its own, and full.
fn daemon_with_full_folder(make: Make, folder: &Path) -> (Running, u16) {
    let full = folder.join("full");
    fs::create_dir(&full).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    let (program, port) = match make {
        Make::Ours => (tests::launcher_daemon(), 0),
        Make::Stock => (tests::distccd(), free_port("127.0.0.1")),
    };
    let port_file = folder.join("port");
    let options = match make {
        // With the box its jobs need no such folder.
        Make::Ours => format!("--sandbox=off --port-file {}", port_file.display()),
        Make::Stock => String::new(),
    };
    let fill = "mount -t tmpfs -o size=64k,mode=1777 none $TMPDIR; dd if=/dev/zero of=$TMPDIR/x bs=1k 2>/dev/null || true";
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-ec"])
        .arg(format!(
            "{fill}; exec {} --daemon --no-detach --allow 127.0.0.0/8 --listen 127.0.0.1 --port {port} --log-file /dev/null {options}",
            program.display()
        ))
        .env_clear()
        .env("PATH", PATH)
        .env("TMPDIR", &full);
    let mut daemon = start(&mut command);
    let mut found = port;
    until("the daemon listens", || {
        if port == 0 {
            let text = fs::read_to_string(&port_file).unwrap_or_default();
            found = text.trim().parse().unwrap_or(0);
        }
        found != 0 && std::net::TcpStream::connect(("127.0.0.1", found)).is_ok()
            || daemon.has_ended()
    });
    (daemon, found)
}

#[test]
fn the_folder_for_temporary_files_there_is_full() {
    for make in [Make::Ours, Make::Stock] {
        let folder = tempfile::tempdir().unwrap();
        let (_daemon, port) = daemon_with_full_folder(make, folder.path());
        let report = examine(&space().hosts(&format!("127.0.0.1:{port}")));
        report.assert_only("temporary-full-there", "df -h /tmp");
    }
}

// This machine.

#[test]
fn the_folder_for_temporary_files_here_is_full() {
    let (_farm, space) = well();
    space.renew();
    let plain = space.command("doctor --json");
    let mut inside = Command::new("unshare");
    inside
        .args(["-m", "sh", "-ec"])
        .arg("mount -t tmpfs -o size=64k none $TMPDIR; dd if=/dev/zero of=$TMPDIR/x bs=1k 2>/dev/null || true; exec \"$0\" doctor --json")
        .arg(plain.get_program())
        .current_dir(space.work())
        .env_clear();
    for (name, value) in plain.get_envs() {
        inside.env(name, value.unwrap_or_default());
    }
    let ran = run(&mut inside);
    let report = Report {
        code: ran.code(),
        whole: serde_json::from_slice(&ran.stdout).unwrap(),
    };
    let faults: Vec<_> = report
        .failed()
        .iter()
        .map(|line| line["fault"].clone())
        .collect();
    assert!(
        faults.contains(&"temporary-full".into()),
        "{:#}",
        report.whole
    );
    assert_eq!(report.code, 1);
}

#[test]
fn the_lock_folder_cannot_be_written() {
    let (_farm, space) = well();
    fs::write(space.dir().join("lock"), "no folder").unwrap();
    examine(&space).assert_only("folder-not-writable", "chown -R");
    let (_farm, space) = well();
    examine(&space.client_env("DISTCC_DIR", "/proc/none"))
        .assert_only("folder-not-writable", "export DISTCC_DIR=");
}

#[test]
fn the_locks_are_another_users() {
    let (farm, space) = well();
    let lock = space.dir().join("lock");
    fs::create_dir(&lock).unwrap();
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(&lock, open).unwrap();
    let port = farm.daemons[0].port();
    fs::write(lock.join(format!("cpu_tcp_127.0.0.1_{port}_0")), "").unwrap();
    examine(&space.as_nobody()).assert_only("folder-not-writable", "chown -R");
}

#[test]
fn there_is_no_folder_at_all() {
    let (_farm, space) = well();
    space.renew();
    let ran = run(space
        .command("doctor --json")
        .env_remove("DISTCC_DIR")
        .env_remove("HOME"));
    let report = Report {
        code: ran.code(),
        whole: serde_json::from_slice(&ran.stdout).unwrap(),
    };
    report.assert_only("no-folder", "export DISTCC_DIR=");
}

#[test]
fn no_list_or_a_bad_one() {
    for (list, fault, fix) in [
        ("", "no-hosts", "unset DISTCC_HOSTS"),
        ("127.0.0.1/x", "bad-host-list", "DISTCC_HOSTS="),
        ("localhost/4", "no-remote-hosts", "DISTCC_HOSTS="),
        ("127.0.0.1:1,down", "no-remote-hosts", "DISTCC_HOSTS="),
    ] {
        let report = examine(&space().hosts(list));
        report.assert_only(fault, fix);
        assert_eq!(report.state("compile"), "skipped", "{list}");
    }
}

#[test]
fn the_variable_hides_the_file() {
    let (farm, space) = well();
    fs::write(space.dir().join("hosts"), "10.77.0.1/8 10.77.0.2/8\n").unwrap();
    let report = examine(&space);
    report.assert_only("hosts-file-shadowed", "unset DISTCC_HOSTS");
    assert!(
        report.failed()[0]["what"]
            .to_string()
            .contains("10.77.0.1/8 10.77.0.2/8")
    );
    // So does another folder for a file in the home.
    let home = space.root().join("home/.distcc");
    fs::create_dir(&home).unwrap();
    fs::rename(space.dir().join("hosts"), home.join("hosts")).unwrap();
    examine(&space).assert_only("hosts-file-shadowed", "unset DISTCC_HOSTS");
    fs::remove_file(home.join("hosts")).unwrap();
    // The same list in both is no contradiction.
    fs::write(space.dir().join("hosts"), farm.hosts("")).unwrap();
    examine(&space).assert_well();
}

#[test]
fn a_setting_means_nothing() {
    for (name, value) in [
        ("DISTCC_IO_TIMEOUT", "soon"),
        ("DISTCC_FALLBACK", "no"),
        ("DISTCC_LAUNCH_PREPROCESS", "both"),
    ] {
        let (_farm, space) = well();
        examine(&space.client_env(name, value))
            .assert_only("bad-setting", &format!("unset {name}"));
    }
}

#[test]
fn the_journal_cannot_be_written() {
    let (_farm, space) = well();
    let folder = space.root().join("home");
    let space = space.client_env("DISTCC_LAUNCH_JOURNAL", folder);
    examine(&space).assert_only("journal-not-writable", "DISTCC_LAUNCH_JOURNAL");
}

#[test]
fn the_journal_is_stale() {
    let (_farm, space) = well();
    space.renew();
    assert_eq!(space.run("gcc -c a.c").code(), 0);
    examine(&space).assert_well();
    let line = fs::read_to_string(space.journal()).unwrap();
    let (_, rest) = line.split_once(',').unwrap();
    fs::write(space.journal(), format!("{{\"time\":1000000000.000,{rest}")).unwrap();
    examine(&space).assert_only("journal-stale", "CMAKE_C_COMPILER_LAUNCHER=distcc-launch");
    fs::write(space.journal(), format!("{{\"time\":9000000000.000,{rest}")).unwrap();
    let report = examine(&space);
    report.assert_only("journal-from-the-future", "timedatectl");
    fs::write(space.journal(), "what is this?\n").unwrap();
    examine(&space).assert_only("journal-unreadable", ".broken");
}

#[test]
fn a_build_that_leaves_no_line() {
    let (_farm, space) = well();
    let space = space.setup(
        "mkdir build; touch build/.ninja_log; \
         echo 'CMAKE_C_COMPILER_LAUNCHER:STRING=distcc-launch' > build/CMakeCache.txt",
    );
    space.renew();
    assert_eq!(space.run("gcc -c a.c").code(), 0);
    let line = fs::read_to_string(space.journal()).unwrap();
    let (time, rest) = line
        .strip_prefix("{\"time\":")
        .unwrap()
        .split_once(',')
        .unwrap();
    let earlier = time.parse::<f64>().unwrap() - 3600.0;
    fs::write(space.journal(), format!("{{\"time\":{earlier},{rest}")).unwrap();
    examine(&space).assert_only("journal-stale", "distcc-launch");
}

#[test]
fn the_launcher_calls_itself() {
    // A script that calls us, and that we find again.
    let (_farm, space) = well();
    let (space, folder) = with_path(space);
    script(
        &folder.join("gcc"),
        &format!("exec {} gcc \"$@\"", launcher().display()),
    );
    examine_with(&space, "gcc").assert_only("calls-itself", "/usr/bin");
    // Nothing but links to us.
    let (_farm, space) = well();
    let folder = space.root().join("home/bin");
    fs::create_dir(&folder).unwrap();
    symlink(launcher(), folder.join("gcc")).unwrap();
    let space = space.client_env("PATH", &folder);
    examine_with(&space, "gcc").assert_only("calls-itself", "PATH");
}

#[test]
fn the_compiler_is_missing_a_script_or_unknown() {
    let (_farm, space) = well();
    let (space, folder) = with_path(space);
    script(&folder.join("gcc"), "exec /usr/bin/gcc -O3 \"$@\"");
    examine_with(&space, "gcc-nowhere").assert_only("no-compiler", "apt-get install");
    examine_with(&space, "gcc").assert_only("compiler-script", "exec distcc-launch /usr/bin/gcc");
    examine_with(&space, "/bin/true").assert_only("unknown-compiler", "distcc-launch gcc");
}

#[test]
fn words_that_keep_all_here() {
    let (_farm, space) = well();
    for (compiler, fault) in [
        ("gcc --coverage", "coverage"),
        ("gcc -save-temps", "keeps-temporaries"),
    ] {
        assert_eq!(
            examine_with(&space, compiler)
                .assert_only(fault, "without")
                .state("compile"),
            "skipped"
        );
    }
    let space = space.client_env("COMPILER_PATH", "/opt");
    examine(&space).assert_only("search-environment", "unset");
}

#[test]
fn a_compiler_that_does_not_compile() {
    let (_farm, space) = well();
    examine_with(&space, "gcc -fno-such-option").assert_only("fails-here", "doctor -- gcc");
}

// Build tools.

#[test]
fn cmakes_cache_has_another_launcher_than_the_environment() {
    let (_farm, space) = well();
    let space = space
        .file(
            "CMakeLists.txt",
            "cmake_minimum_required(VERSION 3.13)\nproject(p C)\nadd_library(p a.c)\n",
        )
        .setup("cmake -S . -B build -DCMAKE_C_COMPILER_LAUNCHER=ccache >/dev/null");
    examine(&space).assert_well();
    let space = space.client_env("CMAKE_C_COMPILER_LAUNCHER", "distcc-launch");
    let report = examine(&space);
    report.assert_only(
        "cmake-cache-differs",
        "-DCMAKE_C_COMPILER_LAUNCHER=distcc-launch",
    );
    let fix = report.failed()[0]["fix"].as_str().unwrap().to_owned();
    let mended = run(Command::new("sh")
        .args(["-c", &fix])
        .current_dir(space.work())
        .env("PATH", PATH));
    assert_eq!(mended.code(), 0, "{}", mended.err());
    examine_with(&space, "").assert_well();
}

#[test]
fn cmakes_launcher_is_gone() {
    let (_farm, space) = well();
    let space = space.setup("mkdir out; echo 'CMAKE_C_COMPILER_LAUNCHER:STRING=/old/distcc-launch' > out/CMakeCache.txt");
    examine(&space).assert_only("cmake-launcher-gone", "-B out");
}

#[test]
fn ccache_is_in_the_wrong_order() {
    let (_farm, space) = well();
    let space = space.setup("mkdir build; echo 'CMAKE_CXX_COMPILER_LAUNCHER:STRING=distcc-launch;ccache' > build/CMakeCache.txt");
    examine(&space).assert_only(
        "ccache-order",
        "'-DCMAKE_CXX_COMPILER_LAUNCHER=ccache;distcc-launch'",
    );
    let (_farm, space) = well();
    let space = space
        .client_env("CC", "distcc-launch ccache gcc")
        .client_env("CC_KNOWN_WRAPPER_CUSTOM", "distcc-launch");
    examine(&space).assert_only("ccache-order", "CCACHE_PREFIX=distcc-launch");
    // Links in PATH.
    let (_farm, space) = well();
    let (ours, caches) = (
        space.root().join("home/ours"),
        space.root().join("home/caches"),
    );
    for (folder, program) in [(&ours, launcher()), (&caches, "/usr/bin/ccache".into())] {
        fs::create_dir(folder).unwrap();
        symlink(program, folder.join("gcc")).unwrap();
    }
    let path = path_with(&space, &["ours", "caches"]);
    examine(&space.client_env("PATH", path)).assert_only("ccache-order", "export PATH=");
}

#[test]
fn cc_names_a_wrapper_that_the_cc_crate_does_not_know() {
    let (_farm, space) = well();
    let space = space.client_env("CC", "distcc-launch gcc");
    examine(&space).assert_only(
        "cc-wrapper-unknown",
        "export CC_KNOWN_WRAPPER_CUSTOM=distcc-launch",
    );
    let space = space.client_env("CC_KNOWN_WRAPPER_CUSTOM", "distcc-launch");
    examine(&space).assert_well();
}

#[test]
fn fewer_jobs_than_slots() {
    let farm = Farm::ours(1);
    for (name, value, fix) in [
        ("MAKEFLAGS", "-j2", "MAKEFLAGS=-j"),
        ("MAKEFLAGS", "k -j2", "make -j $(distcc-launch jobs)"),
        (
            "CMAKE_BUILD_PARALLEL_LEVEL",
            "3",
            "CMAKE_BUILD_PARALLEL_LEVEL=$(distcc-launch jobs)",
        ),
        (
            "CARGO_BUILD_JOBS",
            "1",
            "CARGO_BUILD_JOBS=$(distcc-launch jobs)",
        ),
    ] {
        let space = space().hosts(&farm.hosts("/16")).client_env(name, value);
        examine(&space).assert_only("jobs-below-slots", fix);
    }
    let space = space()
        .hosts(&farm.hosts("/16"))
        .client_env("MAKEFLAGS", "-j16");
    examine(&space).assert_well();
}

#[test]
fn make_cannot_read_a_fifo() {
    let farm = Farm::ours(1);
    for (version, well) in [("4.3", false), ("4.4.1", true)] {
        let (space, folder) = with_path(space().hosts(&farm.hosts("")));
        script(&folder.join("make"), &format!("echo GNU Make {version}"));
        let fifo = folder.join("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let flags = format!(" -j8 --jobserver-auth=fifo:{}", fifo.display());
        let space = space.client_env("MAKEFLAGS", flags);
        let report = examine(&space);
        match well {
            true => report.assert_well(),
            false => report.assert_only("make-too-old-for-fifo", "unset MAKEFLAGS"),
        };
    }
}

#[test]
fn the_launcher_that_builds_name_is_not_in_path() {
    let (_farm, space) = well();
    let space = space
        .client_env("CMAKE_C_COMPILER_LAUNCHER", "distcc-launch")
        .client_env("PATH", PATH);
    examine(&space).assert_only("launcher-not-in-path", "export PATH=");
}

// What is remembered.

#[test]
fn a_host_that_is_well_again_is_still_avoided() {
    let (farm, space) = well();
    let space = space.client_env("DISTCC_BACKOFF_PERIOD", "600");
    let host = format!("tcp_127.0.0.1_{}", farm.daemons[0].port());
    fs::create_dir(space.dir().join("lock")).unwrap();
    fs::write(space.dir().join(format!("lock/backoff_{host}_0")), "x").unwrap();
    let report = examine(&space);
    report.assert_only("still-avoided", &format!("lock/backoff_{host}_0"));
    let fix = report.failed()[0]["fix"].as_str().unwrap().to_owned();
    assert!(
        Command::new("sh")
            .args(["-c", &fix])
            .status()
            .unwrap()
            .success()
    );
    examine(&space).assert_well();
}

#[test]
fn an_answer_of_another_daemon_is_remembered() {
    let (farm, space) = well();
    space.renew();
    assert_eq!(space.run("gcc -c a.c").code(), 0);
    let file = space
        .dir()
        .join(format!("peers/tcp_127.0.0.1_{}", farm.daemons[0].port()));
    let text = fs::read_to_string(&file).unwrap();
    // As if another version had been there a while ago.
    fs::write(&file, text.replace("GCC: (", "GCC: [")).unwrap();
    let report = examine_with(&space, "gcc");
    report.assert_only("remembers-old", &format!("rm -f {}", file.display()));
}

// Several at a time, and how it is called.

#[test]
fn each_of_several_faults_is_told() {
    let refused = free_port("127.0.0.1");
    let space = space()
        .hosts(&format!("127.0.0.1:{refused} no-such-host.invalid"))
        .client_env("CC", "distcc-launch gcc")
        .client_env("MAKEFLAGS", "-j1");
    let report = examine(&space);
    let faults: Vec<_> = report
        .failed()
        .iter()
        .map(|line| line["fault"].as_str().unwrap())
        .collect();
    assert_eq!(
        faults,
        [
            "no-address",
            "connect-refused",
            "jobs-below-slots",
            "cc-wrapper-unknown"
        ]
    );
    assert_eq!(report.code, 1);
    let text = run(&mut space.command("doctor"));
    let failed: Vec<String> = text
        .out()
        .lines()
        .map(str::to_owned)
        .filter(|line| line.starts_with("FAILED"))
        .collect();
    assert_eq!((text.code(), failed.len()), (1, 4), "{}", text.out());
    assert_eq!(
        text.out().matches("-> ").count(),
        4,
        "each failure has what mends it"
    );
}

#[test]
fn a_masquerading_link_is_no_doctor() {
    // `gcc doctor` is a command of gcc's.
    let (_farm, space) = well();
    let space = space.client(Client::ours().masquerading());
    space.renew();
    let ran = space.run("gcc doctor");
    assert!(ran.err().contains("doctor: No such file"), "{}", ran.err());
}
