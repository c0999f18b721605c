//! `bad-requests.py` against our daemon: hostile requests, and what they leave. With `LONG=1` all of them, and the
//! daemon's own life; else a selection of each kind.
//!
//! The script plants secrets and traps, watches them, and looks after each request whether the daemon still serves,
//! whether anything runs or lies around, and how much memory it took.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use tests::{launcher_daemon, long};

/// What a few seconds show: requests that break the protocol, name what is not allowed, want too much, or read the
/// machine's files by their sources.
const QUICK: &[&str] = &[
    "frame-*",
    "hex-*",
    "order-*",
    "argc-*",
    "argv-nul",
    "argv-last-*",
    "cc-abs-*",
    "cc-newline",
    "doti-*",
    "lzo-*",
    "opt-wrapper*",
    "opt-out-*",
    "opt-src-*",
    "compile-forkbomb-asm",
    "disconnect-mid-job",
    "pump-name-*",
    "pump-link-*",
    "pump-bomb",
];

/// Whom root lets run the daemon: an ordinary user who exists everywhere.
fn ordinary_user() -> Option<&'static str> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let exists = |name: &&str| {
        passwd
            .lines()
            .any(|line| line.starts_with(&format!("{name}:")))
    };
    ["distccd", "nobody"].into_iter().find(exists)
}

#[test]
fn hostile_requests_escape_nothing_and_leave_nothing() {
    let user = ordinary_user();
    attack(user);
    // And once as root, which gives its rights up by itself.
    if long() && user.is_some() && rustix::process::geteuid().is_root() {
        attack(None);
    }
}

fn attack(user: Option<&str>) {
    // Where every user may go: the harness starts the daemon as an ordinary one.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = folder.path().join("distcc-launchd");
    fs::copy(launcher_daemon(), &daemon).unwrap();
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    fs::set_permissions(&work, fs::Permissions::from_mode(0o755)).unwrap();
    // A job that outlasts the drain is ended by it, on a slow machine as on a fast one.
    let spawn = format!(
        "{} --no-detach --daemon --allow 127.0.0.1 --listen 127.0.0.1 --port {{port}} --log-file {{log}} \
         --log-level info --stats-port 0 --drain 2",
        daemon.display()
    );
    let table = folder.path().join("table.json");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/data/tools/bad-requests.py");
    let mut harness = Command::new("python3");
    harness
        .arg(script)
        .args(["--spawn", &spawn, "--work"])
        .arg(&work)
        .arg("--json")
        .arg(&table);
    if let Some(user) = user {
        harness.args(["--user", user]);
    }
    if long() {
        harness.arg("--lifecycle");
    } else {
        for name in QUICK {
            harness.args(["--only", name]);
        }
    }
    let ran = harness
        .env_remove("LC_ALL")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout);
    let rows = fs::read(&table).unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&ran.stderr));
    });
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&rows).unwrap();
    let failed: Vec<&str> = text.lines().filter(|line| line.contains("FAIL")).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(rows.len() > 35, "{} cases ran: {text}", rows.len());
    assert!(rows.iter().all(|row| row["verdict"] == "pass"));
}
