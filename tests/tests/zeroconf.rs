//! `+zeroconf` and `--zeroconf`: daemons that announce themselves are found, and only those are used that may be.
//!
//! Each test has a network of its own, of two machines: what is announced in it reaches nobody else.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::{
    Client, Lan, Machine, Ran, Running, Space, distccd, launcher_daemon, run, start, until,
    zeroconf_browser,
};

const SOURCE: [(&str, &str); 1] = [("a.c", "int answer(void) { return 42; }\n")];
const NETS: &str = "DISTCC_LAUNCH_ZEROCONF_NETS";
const BROWSER: &str = "zeroconf-browser";

/// A daemon on the other machine, which has announced itself.
struct Announcing {
    running: Running,
    folder: tempfile::TempDir,
}

impl Announcing {
    fn ours(machine: &Machine, options: &[&str]) -> Announcing {
        let folder = open_folder();
        let mut command = Command::new(launcher_daemon());
        command
            .args(["--daemon", "--no-detach", "--zeroconf"])
            .args(["--jobs", "3", "--log-level", "info", "--log-file"])
            .arg(folder.path().join("log"))
            .args(options)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TMPDIR", folder.path());
        let running = start(&mut machine.command(&command));
        let mut announcing = Announcing { running, folder };
        until("the daemon has announced itself", || {
            announcing.log().contains("announced as distcc@") || announcing.running.has_ended()
        });
        assert!(!announcing.running.has_ended(), "{}", announcing.log());
        announcing
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A folder that a daemon can write to which has given up root.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    folder
}

fn space(list: &str, nets: &str) -> Space {
    let space = Space::new(SOURCE).hosts(list);
    match nets {
        "" => space,
        nets => space.client_env(NETS, nets),
    }
}

/// A command of the launcher on that machine.
fn on(machine: &Machine, space: &Space, command: &str) -> Ran {
    if !space.work().exists() {
        space.renew();
    }
    run(&mut machine.command(&space.command(command)))
}

/// Compiles once; the object is the local one.
#[track_caller]
fn compile(machine: &Machine, space: &Space) {
    let expected = space.local("gcc -c a.c");
    space.renew();
    let ran = on(machine, space, "gcc -c a.c");
    assert_eq!(
        (ran.code(), ran.out().as_str(), ran.err().as_str()),
        (0, "", "")
    );
    let object = fs::read(space.work().join("a.o")).unwrap();
    assert_eq!(object, expected.bytes("a.o"));
}

/// Compiles until a daemon has done it: on a busy machine nobody may have answered when the first launcher stops waiting.
#[track_caller]
fn compile_there(machine: &Machine, space: &Space, host: &str) {
    until(&format!("a compile goes to {host}"), || {
        compile(machine, space);
        let row = space.rows().pop().unwrap();
        assert!(
            row.place == "local" || row.host.as_deref() == Some(host),
            "{row:?}"
        );
        row.place == "remote"
    });
}

fn status(machine: &Machine, space: &Space) -> Value {
    let ran = on(machine, space, "status --json");
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Waits until the browser has found so many; gives each with the reason why it is not used.
#[track_caller]
fn found(machine: &Machine, space: &Space, count: usize) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    until(&format!("{count} daemons are found"), || {
        let status = status(machine, space);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let lines = status["zeroconf"]["found"].as_array().unwrap();
        all = lines
            .iter()
            .map(|line| (text(&line["name"]).unwrap(), text(&line["ignored"])))
            .collect();
        all.len() == count
    });
    all
}

fn only(pids: Vec<Pid>) -> Pid {
    assert_eq!(pids.len(), 1, "{pids:?}");
    pids[0]
}

#[test]
fn a_daemon_that_announces_itself_is_used() {
    let lan = Lan::new();
    let mut daemon = Announcing::ours(&lan.there, &[]);
    let space = space("+zeroconf,lzo localhost/1", "10.77.0.0/24");
    compile_there(&lan.here, &space, "10.77.0.2:3632");
    let lock = space.dir().join("lock/cpu_tcp_10.77.0.2_3632_0");
    assert!(lock.exists(), "slots are those of a host that is listed");
    let browser = only(lan.here.processes(BROWSER));
    compile_there(&lan.here, &space, "10.77.0.2:3632");
    assert_eq!(only(lan.here.processes(BROWSER)), browser, "one is enough");

    assert_eq!(on(&lan.here, &space, "jobs").out(), "4\n");
    let status = status(&lan.here, &space);
    assert_eq!(status["hosts"][0]["name"], "10.77.0.2:3632");
    assert_eq!(status["hosts"][0]["slots"], 3);
    assert_eq!(status["zeroconf"]["found"][0]["host"], "10.77.0.2:3632");
    let doctor = on(&lan.here, &space, "doctor --json").out();
    assert!(doctor.contains("+zeroconf,lzo found 1"), "{doctor}");

    daemon.running.signal(Signal::TERM);
    assert_eq!(found(&lan.here, &space, 0), [], "it has said goodbye");
    until("the daemon ends", || daemon.running.has_ended());
}

#[test]
fn who_says_nothing_of_networks_or_keys_uses_nobody() {
    let lan = Lan::new();
    let _daemon = Announcing::ours(&lan.there, &[]);
    for list in ["+zeroconf", "+zeroconf 127.0.0.1:1"] {
        let space = space(list, "");
        compile(&lan.here, &space);
        assert_eq!(space.rows()[0].place, "local");
        assert!(!space.dir().join("zeroconf").exists(), "nobody looks");
        assert_eq!(status(&lan.here, &space)["zeroconf"]["may_use_any"], false);
        let doctor = on(&lan.here, &space, "doctor --json");
        assert!(
            doctor.out().contains("zeroconf-not-allowed"),
            "{}",
            doctor.out()
        );
    }
    assert_eq!(lan.here.processes(BROWSER), []);
}

#[test]
fn other_networks_are_not_used() {
    let lan = Lan::new();
    let _daemon = Announcing::ours(&lan.there, &[]);
    let space = space("+zeroconf", "192.168.0.0/16,10.78.0.0/16,10.77/16");
    let why = "it is in no network of DISTCC_LAUNCH_ZEROCONF_NETS";
    let all = found(&lan.here, &space, 1);
    assert_eq!(all[0].1.as_deref(), Some(why));
    compile(&lan.here, &space);
    assert_eq!(space.rows()[0].reason.as_deref(), Some("no-hosts"));
    let doctor = on(&lan.here, &space, "doctor --json").out();
    for word in ["zeroconf-nothing-found", why, "bad-setting", "10.77/16"] {
        assert!(doctor.contains(word), "{word}: {doctor}");
    }
}

#[test]
fn by_version_six() {
    let lan = Lan::new();
    let _daemon = Announcing::ours(&lan.there, &["--listen", "fd77::2", "--port", "4000"]);
    let space = space("+zeroconf", "fd77::/64");
    compile_there(&lan.here, &space, "[fd77::2]:4000");
}

#[test]
fn with_a_key_and_never_in_plain() {
    let lan = Lan::new();
    let keys = tempfile::tempdir().unwrap();
    let (file, key) = (keys.path().join("daemon"), keys.path().join("alice"));
    let made = run(Command::new(launcher_daemon())
        .args(["keygen", "--keys"])
        .arg(&file)
        .arg("--output")
        .arg(&key)
        .arg("alice"));
    assert_eq!(made.code(), 0, "{made:?}");
    let _keyed = Announcing::ours(&lan.there, &["--keys", file.to_str().unwrap()]);
    let _open = Announcing::ours(&lan.there, &["--port", "4000"]);

    let with_key = space("+zeroconf,key", "");
    fs::copy(&key, with_key.dir().join("key")).unwrap();
    compile_there(&lan.here, &with_key, "10.77.0.2:3632");
    let plain = "it knows no keys, and the list says ,key";
    let mut why = found(&lan.here, &with_key, 2);
    why.sort();
    assert_eq!(
        (why[0].1.as_deref(), why[1].1.as_deref()),
        (None, Some(plain))
    );

    let without = space("+zeroconf", "10.77.0.0/24");
    compile_there(&lan.here, &without, "10.77.0.2:4000");
    let needs = "it serves only who has a key (+zeroconf,key)";
    let why = found(&lan.here, &without, 2);
    assert!(
        why.iter().any(|(_, why)| why.as_deref() == Some(needs)),
        "{why:?}"
    );
}

/// Whatever stands in `records` is announced by the other machine.
fn forge(lan: &Lan, folder: &Path, records: &Value) -> Running {
    let (input, output) = (folder.join("records"), folder.join("ready"));
    fs::write(&input, records.to_string()).unwrap();
    let tool = tests::data("tools/mdns-forge.py");
    let script = format!(
        "exec python3 {} 10.77.0.2 < {} > {}",
        tool.display(),
        input.display(),
        output.display()
    );
    let running = lan.there.start(&script);
    until("the forger listens", || {
        fs::read_to_string(&output).is_ok_and(|text| text == "ready\n")
    });
    running
}

#[test]
fn what_is_forged_is_not_used() {
    let lan = Lan::new();
    let gcc = |question: &str| {
        let ran = run(Command::new("gcc").arg(question));
        ran.out().trim().to_owned()
    };
    let (machine, version) = (gcc("-dumpmachine"), gcc("-dumpversion"));
    let text = |jobs: &str| {
        serde_json::json!([
            "txtvers=1",
            format!("jobs={jobs}"),
            format!("cc_version={version}"),
            format!("cc_machine={machine}")
        ])
    };
    let record = |name: &str, address: &str, port: u16, text: &Value| serde_json::json!({ "name": name, "address": address, "port": port, "text": text });
    let good = text("3");
    let arm = serde_json::json!(["jobs=3", "cc_version=12", "cc_machine=aarch64-linux-gnu"]);
    let old = serde_json::json!(["jobs=3", "cc_version=4", format!("cc_machine={machine}")]);
    let huge: Vec<String> = (0..5)
        .map(|at| format!("x{at}={}", "y".repeat(240)))
        .collect();
    let records = serde_json::json!([
        record("elsewhere", "198.51.100.7", 3632, &good),
        record("loopback", "127.0.0.2", 3632, &good),
        record("ourselves", "10.77.0.1", 3632, &good),
        record("many", "10.77.0.3", 3632, &text("99999")),
        record("portless", "10.77.0.4", 0, &good),
        record("arm", "10.77.0.5", 3632, &arm),
        record("old", "10.77.0.6", 3632, &old),
        record("silent", "10.77.0.7", 3632, &serde_json::json!([])),
        record("huge", "10.77.0.8", 3632, &serde_json::json!(huge)),
        record("\u{1b}[31m\r\n\u{7}evil", "198.51.100.8", 3632, &good),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let _forger = forge(&lan, folder.path(), &records);
    let space = space("+zeroconf", "10.77.0.0/24,127.0.0.0/8");
    let mut all = found(&lan.here, &space, 8);
    all.sort();
    let (ourselves, version) = (
        "it is this machine, which needs no daemon",
        "it has another version of gcc",
    );
    let elsewhere = "it is in no network of DISTCC_LAUNCH_ZEROCONF_NETS";
    let expected = [
        ("?[31m???evil", elsewhere),
        ("arm", "it compiles for another kind of machine"),
        ("elsewhere", elsewhere),
        ("huge", version),
        ("loopback", ourselves),
        ("old", version),
        ("ourselves", ourselves),
        ("silent", version),
    ];
    let all: Vec<_> = all
        .iter()
        .map(|(name, why)| (name.as_str(), why.as_deref().unwrap_or("used")))
        .collect();
    assert_eq!(all, expected);
    compile(&lan.here, &space);
    assert_eq!(space.rows()[0].reason.as_deref(), Some("no-hosts"));
    for command in ["status", "doctor"] {
        let said = on(&lan.here, &space, command);
        let control = |char: char| char.is_control() && char != '\n';
        assert!(
            !said.out().contains(control),
            "{}",
            said.out().escape_debug()
        );
    }
}

#[test]
fn a_crowd_is_held_within_bounds() {
    let lan = Lan::new();
    let records: Vec<Value> = (0..400)
        .map(|at| {
            serde_json::json!({
                "name": format!("{at:03}{}", "n".repeat(50)),
                "address": format!("10.99.{}.{}", at / 250, at % 250 + 1),
                "port": 3632,
                "text": ["jobs=3", "launch=0.1.0"],
            })
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let _forger = forge(&lan, folder.path(), &records.into());
    let space = space("+zeroconf 127.0.0.1:1", "10.77.0.0/24");
    assert_eq!(found(&lan.here, &space, 256).len(), 256);
    compile(&lan.here, &space);
}

#[test]
fn the_browser_ends_when_nobody_asks() {
    let lan = Lan::new();
    let _daemon = Announcing::ours(&lan.there, &[]);
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Command::new(zeroconf_browser());
    browser
        .arg(folder.path())
        .args(["--stay", "--idle", "1.5"])
        .env("PATH", "/usr/bin:/bin");
    let ran = run(&mut lan.here.command(&browser));
    assert_eq!((ran.code(), ran.err().as_str()), (0, ""));
    let left = fs::read_dir(folder.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["browser"], "only the lock, which is free");
}

#[test]
fn a_browser_that_dies_is_started_again() {
    let lan = Lan::new();
    let _daemon = Announcing::ours(&lan.there, &[]);
    let space = space("+zeroconf", "10.77.0.0/24");
    compile_there(&lan.here, &space, "10.77.0.2:3632");
    let first = only(lan.here.processes(BROWSER));
    kill_process(first, Signal::KILL).unwrap();
    until("it is gone", || lan.here.processes(BROWSER).is_empty());
    // What it wrote is believed for a minute.
    compile(&lan.here, &space);
    assert_eq!(space.rows().pop().unwrap().place, "remote");
    assert_eq!(lan.here.processes(BROWSER), []);
    let file = File::options()
        .write(true)
        .open(space.dir().join("zeroconf/found"));
    let old = SystemTime::now() - Duration::from_secs(61);
    file.unwrap().set_modified(old).unwrap();
    compile_there(&lan.here, &space, "10.77.0.2:3632");
    assert_ne!(only(lan.here.processes(BROWSER)), first);

    // It ends with its folder.
    fs::remove_dir_all(space.dir().join("zeroconf")).unwrap();
    until("it has ended", || lan.here.processes(BROWSER).is_empty());
}

#[test]
fn nobody_waits_for_the_browser() {
    let lan = Lan::new();
    let _daemon = Announcing::ours(&lan.there, &[]);
    let space = space("+zeroconf", "10.77.0.0/24");
    space.renew();
    // As ninja does it: pipes, whose end it waits for, and a descriptor more for the jobserver.
    let line = format!("exec 9>&1; exec {} gcc -c a.c", tests::launcher().display());
    let mut command = space.command("gcc -c a.c");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &line]).current_dir(space.work());
    for (name, value) in command.env("X", "").get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let mut child = lan
        .here
        .command(&shell)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    // Comes back only when nobody holds the pipe any more.
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
    let browser = only(lan.here.processes(BROWSER)).as_raw_nonzero();
    let about = fs::read_to_string(format!("/proc/{browser}/stat")).unwrap();
    let fields: Vec<&str> = about.rsplit(')').next().unwrap().split(' ').collect();
    assert_eq!(
        fields[4],
        browser.to_string(),
        "a session of its own: {about}"
    );
}

#[test]
fn many_launchers_start_one_browser() {
    let lan = Lan::new();
    let _daemon = Announcing::ours(&lan.there, &[]);
    let space = space("+zeroconf", "10.77.0.0/24");
    space.renew();
    let launchers: Vec<_> = (0..20)
        .map(|at| {
            let command = space.command(&format!("gcc -c a.c -o {at}.o"));
            start(&mut lan.here.command(&command))
        })
        .collect();
    for launcher in launchers {
        assert_eq!(launcher.finish().code(), 0);
    }
    only(lan.here.processes(BROWSER));
    assert_eq!(space.rows().len(), 20);
}

#[test]
fn only_what_is_listened_on_is_announced() {
    let lan = Lan::new();
    let folder = open_folder();
    let log = folder.path().join("log");
    let mut command = Command::new(launcher_daemon());
    command
        .args(["--daemon", "--no-detach", "--zeroconf"])
        .args(["--listen", "127.0.0.1", "--log-file"])
        .arg(&log)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let _hidden = start(&mut lan.there.command(&command));
    until("the daemon says that it is not announced", || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.contains("only this machine can reach 127.0.0.1:3632")
    });
    let _seen = Announcing::ours(&lan.there, &["--listen", "10.77.0.2", "--port", "4000"]);
    let space = space("+zeroconf", "10.77.0.0/24,fd77::/64");
    compile_there(&lan.here, &space, "10.77.0.2:4000");
    let file = fs::read_to_string(space.dir().join("zeroconf/found")).unwrap();
    let lines: Vec<_> = file.lines().skip(1).collect();
    assert_eq!(lines.len(), 1, "{file}");
    assert!(lines[0].ends_with(" 10.77.0.2"), "{file}");
}

#[test]
fn without_a_network_the_daemon_serves() {
    let lan = Lan::new();
    lan.there.shell("ip link set cable down");
    let folder = open_folder();
    let log = folder.path().join("log");
    let mut command = Command::new(launcher_daemon());
    command
        .args(["--daemon", "--no-detach", "--zeroconf"])
        .args(["--log-level", "info", "--log-file"])
        .arg(&log)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let mut daemon = start(&mut lan.there.command(&command));
    let said = |what: &str| fs::read_to_string(&log).unwrap_or_default().contains(what);
    until("it says that nobody was told", || {
        said("there is no network to announce this daemon in yet")
    });
    lan.there.shell("ip link set cable up");
    until("it is announced when the network is there", || {
        said("announced as distcc@")
    });
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.finish().code(), 0);
}

/// Avahi on that machine, by which stock's programs speak; each with a message bus of its own.
fn avahi(machine: &Machine, name: &str) -> [Running; 2] {
    let bus = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/></policy></busconfig>"#;
    let settings = format!(
        "[server]\nhost-name={name}\n[wide-area]\nenable-wide-area=no\n[publish]\npublish-workstation=no\n"
    );
    machine.shell(&format!(
        "mkdir -p /run/dbus /run/avahi-daemon; cat > /run/bus.conf <<'END'\n{bus}\nEND\ncat > /run/avahi.conf <<'END'\n{settings}END"
    ));
    let dbus = machine
        .start("exec dbus-daemon --config-file=/run/bus.conf --nofork --nopidfile --nosyslog");
    machine.shell("until test -S /run/dbus/system_bus_socket; do sleep 0.05; done");
    let avahi = machine
        .start("exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f /run/avahi.conf");
    machine.shell("until test -S /run/avahi-daemon/socket; do sleep 0.05; done");
    [avahi, dbus]
}

#[test]
fn stocks_daemon_is_found() {
    let lan = Lan::new();
    let _avahi = avahi(&lan.there, "there");
    let mut command = Command::new(distccd());
    command
        .args(["--daemon", "--no-detach", "--zeroconf", "--jobs", "3"])
        .args(["--allow", "10.77.0.0/24", "--log-stderr"])
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let _stock = start(&mut lan.there.command(&command));
    let space = space("+zeroconf,lzo localhost/1", "10.77.0.0/24");
    compile_there(&lan.here, &space, "10.77.0.2:3632");
    assert_eq!(on(&lan.here, &space, "jobs").out(), "4\n");
}

#[test]
fn stocks_client_finds_ours() {
    let lan = Lan::new();
    let _avahi = avahi(&lan.here, "here");
    let _daemon = Announcing::ours(&lan.there, &[]);
    let space = Space::new(SOURCE)
        .client(Client::stock())
        .hosts("+zeroconf")
        .client_env("DISTCC_FALLBACK", "0");
    let hosts = space.dir().join("zeroconf/hosts");
    until("stock's client has found it", || {
        on(&lan.here, &space, "gcc -c a.c");
        fs::read_to_string(&hosts).is_ok_and(|text| text.trim() == "10.77.0.2:3632/3")
    });
    let ran = on(&lan.here, &space, "gcc -c a.c");
    assert_eq!((ran.code(), ran.err().as_str()), (0, ""));
    assert!(space.work().join("a.o").exists());
}
