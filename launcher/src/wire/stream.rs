//! What a conversation goes over: a TCP connection, or a program that leads to the host.
//!
//! Never waits: whoever reads or writes is told when nothing can be had or taken just now.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::WireError;
use crate::os::{self, Ending, Group};
use crate::settings::Settings;

/// How long a transport program may take to end.
const ENDING: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    /// The other end is a transport program's standard input and output.
    Program {
        stream: UnixStream,
        child: Child,
        _ending: Ending,
    },
}

impl Stream {
    /// Starts `$DISTCC_SSH [-l USER] HOST COMMAND --inetd --enable-tcp-insecure`, as stock does, its standard input and output
    /// being the other end of the conversation.
    pub(super) fn program(
        name: &str,
        user: Option<&str>,
        machine: &str,
        command: Option<&str>,
        settings: &Settings,
    ) -> Result<Stream, WireError> {
        let words = settings
            .ssh
            .as_deref()
            .map_or(&b"ssh"[..], OsStrExt::as_bytes);
        let mut words = words
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty())
            .map(std::ffi::OsStr::from_bytes);
        let program = words.next().unwrap_or(std::ffi::OsStr::new("ssh"));
        let failed = |source| WireError::Transport {
            host: name.to_owned(),
            program: program.to_string_lossy().into_owned(),
            source,
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let theirs = OwnedFd::from(theirs);
        let mut ssh = Command::new(program);
        ssh.args(words);
        if let Some(user) = user {
            ssh.args(["-l", user]);
        }
        ssh.args([
            machine,
            command.unwrap_or("distccd"),
            "--inetd",
            "--enable-tcp-insecure",
        ]);
        ssh.stdin(Stdio::from(theirs.try_clone().map_err(failed)?))
            .stdout(Stdio::from(theirs));
        if !settings.ssh_speaks {
            ssh.stderr(Stdio::null());
        }
        let (child, ending) = os::start(&mut ssh, Group::Ours).map_err(failed)?;
        Ok(Stream::Program {
            stream: ours,
            child,
            _ending: ending,
        })
    }
}

/// Does the child end soon?
fn ends(child: Pid) -> bool {
    let Ok(child) = pidfd_open(child, PidfdFlags::empty()) else {
        return false;
    };
    let until = Instant::now() + ENDING;
    let mut ended = false;
    while !ended && Instant::now() < until {
        super::wait(&[(child.as_fd(), PollFlags::IN)], Some(until));
        let mut fds = [PollFd::new(&child, PollFlags::IN)];
        ended = poll(&mut fds, Some(&Timespec::default())) == Ok(1);
    }
    ended
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Program { stream, .. } => stream.as_fd(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(space),
            Stream::Program { stream, .. } => stream.read(space),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Program { stream, .. } => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(parts),
            Stream::Program { stream, .. } => stream.write_vectored(parts),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    /// A transport program ends when its standard input does; one that does not is ended, and one that does not want to, or is stopped
    /// since it asked at a terminal that is not its own, is killed.
    fn drop(&mut self) {
        if let Stream::Program { stream, child, .. } = self {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            let ssh = Pid::from_child(child);
            let _ = kill_process(ssh, Signal::TERM);
            if !ends(ssh) {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }
}
