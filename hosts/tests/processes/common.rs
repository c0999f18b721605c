//! Other processes for tests of locks: the test program starts itself again with an order in its environment.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use hosts::{Folder, Host, HostList, Outlook, Patience, Slot, Slots, Wish, list};
use rustix::fs::FlockOperation;

/// No test waits longer for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const ORDER: &str = "HOSTS_TEST_ORDER";

/// Another process. Killed when dropped.
pub(crate) struct Helper {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Helper {
    /// Starts the test program's test `helper` with the words of an order.
    pub(crate) fn start(order: &[&str]) -> Helper {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "slots::helper", "--nocapture"])
            .env(ORDER, order.join("\n"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Helper {
            stdin: child.stdin.take(),
            child,
            lines,
        }
    }

    /// What the helper says next.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            let line = self.lines.next().expect("the helper ended").unwrap();
            if let Some((_, said)) = line.split_once("helper: ") {
                return said.to_owned();
            }
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The order that this process was started with, if it is a helper.
pub(crate) fn order() -> Option<Vec<String>> {
    let order = std::env::var(ORDER).ok()?;
    Some(order.split('\n').map(str::to_owned).collect())
}

pub(crate) fn say(what: &str) {
    println!("helper: {what}");
}

/// Waits until the other side closes stdin.
pub(crate) fn wait_for_end() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

pub(crate) fn hosts(text: &str) -> HostList {
    list::parse(text).unwrap()
}

pub(crate) fn take(
    folder: &Path,
    list: &str,
    patience: &Patience<'_>,
) -> Result<Slot, hosts::NoSlot> {
    let list = hosts(list);
    let refs: Vec<&Host> = list.hosts.iter().collect();
    Slots::new(&Folder::at(folder)).take_remote(&Wish::of(&refs, &Outlook::blank), patience)
}

/// Patience for what must come to pass.
pub(crate) fn within_limit() -> Patience<'static> {
    Patience {
        until: Some(Instant::now() + LIMIT),
        give_up: &|| false,
    }
}

/// Waits until `condition` holds; panics after [`LIMIT`].
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Is somebody first in the queue for remote slots?
pub(crate) fn queue_is_held(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder.join("lock")).unwrap().flatten();
    let mut lanes = entries.filter(|entry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(b"queue_remote")
    });
    lanes.any(|lane| {
        let file = std::fs::File::open(lane.path()).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err()
    })
}
