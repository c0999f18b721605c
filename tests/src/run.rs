//! Runs a program to its end, with a limit, and says what it left on its streams.
//!
//! Streams go to unnamed files and not into pipes, so that a grandchild which outlives the program holds nobody up.

use std::{
    fs::File,
    io::{Read, Seek},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Longer than anything here takes on a busy machine, and short enough to end a run that hangs.
const LIMIT: Duration = Duration::from_secs(100);

/// What a program left when it ended.
#[derive(Debug, Clone)]
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub wall: Duration,
}

impl Ran {
    /// The exit code as a shell tells it: 128 and the signal for a program that was killed.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().expect("no code means a signal"))
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A program that runs in a process group of its own; dropped, the whole group is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    started: Instant,
    ended: bool,
    name: String,
}

/// Starts `command` with no input, its streams kept aside.
pub fn start(command: &mut Command) -> Running {
    let stdout = tempfile::tempfile().expect("a temporary file can be made");
    let stderr = tempfile::tempfile().expect("a temporary file can be made");
    let name = format!("{command:?}");
    let child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().expect("a descriptor is free"))
        .stderr(stderr.try_clone().expect("a descriptor is free"))
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("could not start {name}: {error}"));
    Running {
        child,
        stdout,
        stderr,
        started: Instant::now(),
        ended: false,
        name,
    }
}

/// The same command (with an environment of its own), whose signals do what they do by default even where whoever runs the
/// tests ignores them, as a shell does for what it puts into the background.
pub fn with_default_signals(command: &Command) -> Command {
    let mut env = Command::new("env");
    env.arg("--default-signal=HUP,INT,TERM")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        env.env(name, value.unwrap_or_default());
    }
    if let Some(folder) = command.get_current_dir() {
        env.current_dir(folder);
    }
    env
}

/// Runs `command` to its end.
pub fn run(command: &mut Command) -> Ran {
    start(command).finish()
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// True once the program is gone.
    pub fn has_ended(&mut self) -> bool {
        self.ended = self.ended
            || self
                .child
                .try_wait()
                .expect("a child can be waited for")
                .is_some();
        self.ended
    }

    /// Signals the program alone, not its group.
    pub fn signal(&mut self, signal: Signal) {
        if !self.has_ended() {
            kill_process(self.group(), signal)
                .expect("a child that was not waited for can be signalled");
        }
    }

    /// Waits for the end.  Panics when the limit passes, with what was written so far.
    pub fn finish(self) -> Ran {
        self.finish_within(LIMIT)
    }

    /// As [`Running::finish`], for what takes longer.
    pub fn finish_within(mut self, limit: Duration) -> Ran {
        let mut pause = Duration::from_micros(500);
        while !self.has_ended() {
            if self.started.elapsed() > limit {
                let (stdout, stderr) = self.streams();
                panic!(
                    "{} still runs after {limit:?}; stdout {}, stderr {}",
                    self.name,
                    stdout.escape_ascii(),
                    stderr.escape_ascii()
                );
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
        let wall = self.started.elapsed();
        let status = self.child.wait().expect("a child can be waited for");
        let (stdout, stderr) = self.streams();
        Ran {
            status,
            stdout,
            stderr,
            wall,
        }
    }

    fn streams(&mut self) -> (Vec<u8>, Vec<u8>) {
        let read = |file: &mut File| {
            let mut bytes = Vec::new();
            file.rewind().expect("a file can be rewound");
            file.read_to_end(&mut bytes).expect("a file can be read");
            bytes
        };
        (read(&mut self.stdout), read(&mut self.stderr))
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Running {
    /// Ends what is left of the group, so that no test leaves a process behind.
    fn drop(&mut self) {
        let _ = kill_process_group(self.group(), Signal::KILL);
        let _ = self.child.wait();
    }
}
