//! The conversation with one daemon: connect, send the words, send the source, take in the reply.
//!
//! Owns the sockets and nothing else: what is in a request or a reply is `protocol`'s business, and how it is encrypted for a
//! host with a key `keyed`'s.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hosts::list::{Host, Transport};
use protocol::{Limits, Outcome, OutcomeDecoder, Progress, ProtocolError, Version, token};

use crate::keyed::{self, KeyError, Keyed};
use crate::os::{self, Ending, Group};
use crate::resolve;
use crate::settings::Settings;

/// The longest wait for one address of a host to answer at all.  One lost SYN is sent again after 1 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest single wait for a reply, so that whoever watches this job sees it is alive.
const PULSE: Duration = Duration::from_secs(30);

/// Bytes of a file that are sent at a time where they have to be copied.
const PIECE: usize = 256 << 10;

/// Why a host gave no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("could not find an address for {host}")]
    Resolve { host: String, source: io::Error },
    #[error("could not connect to {host}")]
    Connect { host: String, source: io::Error },
    #[error("could not start {program}, which leads to {host}")]
    Transport {
        host: String,
        program: String,
        source: io::Error,
    },
    #[error("could not talk with {host} by its key")]
    Key { host: String, source: KeyError },
    #[error("could not send to {host}")]
    Send { host: String, source: io::Error },
    #[error("could not receive from {host}")]
    Receive { host: String, source: io::Error },
    #[error("{host} closed the connection without an answer")]
    Closed { host: String },
    #[error("{host} broke the protocol")]
    Protocol { host: String, source: ProtocolError },
    #[error("the request cannot be sent")]
    Unsendable(#[from] ProtocolError),
}

impl WireError {
    /// The stable code that the journal holds.
    pub(crate) fn code(&self) -> &'static str {
        let by_kind = |error: &io::Error, timed_out, otherwise| match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => timed_out,
            _ => otherwise,
        };
        match self {
            WireError::Resolve { .. } => "no-address",
            WireError::Connect { source, .. }
                if source.kind() == io::ErrorKind::ConnectionRefused =>
            {
                "connect-refused"
            }
            WireError::Connect { source, .. } => {
                by_kind(source, "connect-timeout", "connect-failed")
            }
            WireError::Transport { .. } => "transport-failed",
            WireError::Key { source, .. } => source.code(),
            WireError::Send { source, .. } => by_kind(source, "send-timeout", "send-failed"),
            WireError::Receive { source, .. } => match source.kind() {
                // Only `keyed` says so.
                io::ErrorKind::InvalidData => "key-forged",
                io::ErrorKind::UnexpectedEof => "truncated",
                _ => by_kind(source, "receive-timeout", "receive-failed"),
            },
            WireError::Closed { .. } => "closed",
            WireError::Protocol {
                source: ProtocolError::Truncated { .. },
                ..
            } => "truncated",
            WireError::Protocol { .. } => "protocol",
            WireError::Unsendable(_) => "unsendable",
        }
    }
}

/// An open conversation.
#[derive(Debug)]
pub(crate) struct Link {
    stream: Stream,
    /// What everything goes through, if the host has a key.
    keyed: Option<Box<Keyed>>,
    host: String,
    /// The longest silence.
    io_timeout: Duration,
    /// Bytes sent and received so far.
    pub sent: u64,
    pub received: u64,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    /// The other end is a transport program's standard input and output.
    Program {
        stream: UnixStream,
        child: Child,
        _ending: Ending,
    },
}

impl Link {
    /// Connects to `host`, or starts the program that does.  If the host has a key, its daemon has proved by the end of this that
    /// it is the one that the key file names; nothing of the job has gone out.
    pub(crate) fn open(host: &Host, settings: &Settings) -> Result<Link, WireError> {
        let name = host.name();
        let no_key = |source| WireError::Key {
            host: name.clone(),
            source,
        };
        // Before anybody is connected to.
        let key = host.key.as_ref();
        let key = key.map(|file| keyed::read(file, settings.folder.as_deref()));
        let key = key.transpose().map_err(no_key)?;
        let mut stream = match &host.transport {
            Transport::Tcp {
                host: address,
                port,
            } => Stream::Tcp(connect(&name, address, *port, settings)?),
            Transport::Ssh {
                user,
                host: machine,
                command,
            } => transport(
                &name,
                user.as_deref(),
                machine,
                command.as_deref(),
                settings,
            )?,
            Transport::Local => {
                let source =
                    io::Error::new(io::ErrorKind::Unsupported, "this machine is no daemon");
                return Err(WireError::Connect { host: name, source });
            }
        };
        let keyed = match (&key, &mut stream) {
            (None, _) => None,
            (Some(key), Stream::Tcp(stream)) => {
                let keyed = Keyed::open(stream, key, settings.io_timeout).map_err(no_key)?;
                // The greeting had a patience of its own.
                let usual = stream.set_read_timeout(Some(settings.io_timeout.min(PULSE)));
                usual.map_err(|error| no_key(error.into()))?;
                Some(Box::new(keyed))
            }
            // No list gives such a host.
            (Some(_), Stream::Program { .. }) => return Err(no_key(KeyError::OnlyTcp)),
        };
        Ok(Link {
            stream,
            keyed,
            host: name,
            io_timeout: settings.io_timeout,
            sent: 0,
            received: 0,
        })
    }

    /// Sends the version and the words, while the preprocessor may still be at work.
    pub(crate) fn send(&mut self, head: &[u8]) -> Result<(), WireError> {
        self.send_parts(&[head])
    }

    /// Sends the source, in the form that it has on the wire.
    pub(crate) fn send_source(&mut self, body: &[u8]) -> Result<(), WireError> {
        self.send_parts(&[&token::head(&token::tag::DOTI, body.len())?, body])
    }

    /// Sends the source as it is out of `file`, without a copy through this process.
    pub(crate) fn send_file(&mut self, file: &File, length: usize) -> Result<(), WireError> {
        self.send_parts(&[&token::head(&token::tag::DOTI, length)?])?;
        self.send_rest(file, length as u64)
    }

    /// Sends the first `length` bytes of `file` as they are.
    pub(crate) fn send_rest(&mut self, file: &File, length: u64) -> Result<(), WireError> {
        if self.keyed.is_some() {
            return self.send_copied(file, length);
        }
        let mut at = 0;
        while at < length {
            let socket = match &self.stream {
                Stream::Tcp(stream) => stream.as_fd(),
                Stream::Program { stream, .. } => stream.as_fd(),
            };
            let left = usize::try_from(length - at).unwrap_or(usize::MAX);
            let failed = match rustix::fs::sendfile(socket, file, Some(&mut at), left) {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(_) | Err(rustix::io::Errno::INTR) => continue,
                Err(error) => error.into(),
            };
            return Err(self.unsent(failed));
        }
        self.sent += length;
        Ok(())
    }

    /// Has [`Link::receive`] call back each time that so long brought nothing.
    pub(crate) fn pulse(&self, pulse: Duration) {
        // Half a minute is what it is else.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(pulse)),
            Stream::Program { stream, .. } => stream.set_read_timeout(Some(pulse)),
        };
    }

    /// As [`Link::send_rest`], where each byte has to pass through here.
    fn send_copied(&mut self, file: &File, length: u64) -> Result<(), WireError> {
        let size = |left: u64| usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let mut piece = vec![0; size(length)];
        let mut at = 0;
        while at < length {
            let piece = &mut piece[..size(length - at)];
            let read = file.read_exact_at(piece, at);
            read.map_err(|error| self.unsent(error))?;
            self.send_parts(&[piece])?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn unsent(&self, source: io::Error) -> WireError {
        WireError::Send {
            host: self.host.clone(),
            source,
        }
    }

    /// Waits for the whole reply; calls `waiting` each half minute that brings nothing.
    pub(crate) fn receive(
        &mut self,
        version: Version,
        waiting: &mut dyn FnMut(),
    ) -> Result<Outcome, WireError> {
        let mut decoder = OutcomeDecoder::new(version, Limits::for_launcher());
        let mut heard = Instant::now();
        loop {
            let count = match self.read(decoder.space()) {
                Ok(0) if decoder.started() => return Err(self.broken(decoder.eof())),
                Ok(0) => return Err(self.closed()),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock if heard.elapsed() < self.io_timeout => {
                        waiting();
                        continue;
                    }
                    io::ErrorKind::ConnectionReset if !decoder.started() => {
                        return Err(self.closed());
                    }
                    _ => {
                        let host = self.host.clone();
                        return Err(WireError::Receive {
                            host,
                            source: error,
                        });
                    }
                },
            };
            heard = Instant::now();
            self.received += count as u64;
            match decoder.filled(count) {
                Ok(Progress::Done) => return decoder.finish().map_err(|error| self.broken(error)),
                Ok(Progress::More) => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// One read that waits for `patience` at most, for conversations that are no job.
    pub(crate) fn read_within(
        &mut self,
        space: &mut [u8],
        patience: Duration,
    ) -> io::Result<usize> {
        if patience.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(patience)),
            Stream::Program { stream, .. } => stream.set_read_timeout(Some(patience)),
        }?;
        let count = self.read(space)?;
        self.received += count as u64;
        Ok(count)
    }

    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match (&mut self.keyed, &mut self.stream) {
            (Some(keyed), stream) => keyed.read(stream, space),
            (None, stream) => stream.read(space),
        }
    }

    fn closed(&self) -> WireError {
        WireError::Closed {
            host: self.host.clone(),
        }
    }

    fn broken(&self, source: ProtocolError) -> WireError {
        WireError::Protocol {
            host: self.host.clone(),
            source,
        }
    }

    fn send_parts(&mut self, parts: &[&[u8]]) -> Result<(), WireError> {
        if let Some(keyed) = &mut self.keyed {
            let sent = keyed.write(&mut self.stream, parts);
            self.sent += sent.map_err(|error| self.unsent(error))?;
            return Ok(());
        }
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = &mut slices[..];
        while rest.iter().any(|slice| !slice.is_empty()) {
            match self.stream.write_vectored(rest) {
                Ok(count) => {
                    self.sent += count as u64;
                    IoSlice::advance_slices(&mut rest, count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.unsent(source)),
            }
        }
        Ok(())
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
    /// A transport program ends when its standard input does; one that does not is ended.
    fn drop(&mut self) {
        if let Stream::Program { stream, child, .. } = self {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            let ssh = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process(ssh, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
    }
}

fn connect(
    name: &str,
    address: &str,
    port: u16,
    settings: &Settings,
) -> Result<TcpStream, WireError> {
    let open = |ip: IpAddr| -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(
            &SocketAddr::new(ip, port),
            CONNECT_TIMEOUT.min(settings.io_timeout),
        )?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(settings.io_timeout.min(PULSE)))?;
        stream.set_write_timeout(Some(settings.io_timeout))?;
        Ok(stream)
    };
    let failed = |source| WireError::Connect {
        host: name.to_owned(),
        source,
    };
    if let Some(ip) = resolve::numeric(address) {
        return open(ip).map_err(failed);
    }
    let addresses = resolve::addresses(address, settings.folder.as_deref()).map_err(|source| {
        WireError::Resolve {
            host: name.to_owned(),
            source,
        }
    })?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for ip in addresses {
        match open(ip) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// Starts `$DISTCC_SSH [-l USER] HOST COMMAND --inetd --enable-tcp-insecure`, as stock does, its standard input and output
/// being the other end of the conversation.
fn transport(
    name: &str,
    user: Option<&str>,
    machine: &str,
    command: Option<&str>,
    settings: &Settings,
) -> Result<Stream, WireError> {
    use std::os::unix::ffi::OsStrExt;
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
    ours.set_read_timeout(Some(settings.io_timeout.min(PULSE)))
        .map_err(failed)?;
    ours.set_write_timeout(Some(settings.io_timeout))
        .map_err(failed)?;
    let (child, ending) = os::start(&mut ssh, Group::Ours).map_err(failed)?;
    Ok(Stream::Program {
        stream: ours,
        child,
        _ending: ending,
    })
}
