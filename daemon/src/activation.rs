//! systemd: sockets that it opened for us, and the words by which it knows how we are.
//!
//! By environment variables only (sd_listen_fds(3), sd_notify(3)); without them nothing here does anything.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::net::{SocketType, sockopt};

use crate::listen;
use crate::log;
use crate::os;

/// The first descriptor that systemd hands over.
const FIRST: i32 = 3;
/// The name (FileDescriptorName=) of the statistics' socket; every other is for jobs.
const STATS: &[u8] = b"stats";

/// Why sockets that were handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {
    #[error("LISTEN_FDS is {0:?}, which is no number of descriptors")]
    Count(OsString),
    #[error("descriptor {fd} of LISTEN_FDS is no listening stream socket of the Internet")]
    NotListening { fd: i32, source: io::Error },
    #[error(
        "LISTEN_FDS has more than one socket for jobs; one unit can listen on several addresses by one [::] socket"
    )]
    TooMany,
}

/// Sockets that listen already.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) jobs: Option<TcpListener>,
    pub(crate) stats: Option<TcpListener>,
}

/// Takes the sockets that were handed to this process, if any were.
///
/// # Errors
/// What was handed over is not what we can serve.
pub(crate) fn take(get: impl Fn(&str) -> Option<OsString>) -> Result<Handed, ActivationError> {
    let mut handed = Handed::default();
    let own = std::process::id().to_string();
    let (Some(count), Some(pid)) = (get("LISTEN_FDS"), get("LISTEN_PID")) else {
        return Ok(handed);
    };
    // Meant for another process, whose environment we inherited.
    if pid != OsStr::new(&own) {
        return Ok(handed);
    }
    let number = count.to_str().and_then(|text| text.parse::<u16>().ok());
    let Some(number) = number else {
        return Err(ActivationError::Count(count));
    };
    let names = get("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.as_bytes().split(|byte| *byte == b':');
    for fd in FIRST..FIRST + i32::from(number) {
        let is_stats = names.next() == Some(STATS);
        let listener =
            listener(fd).map_err(|source| ActivationError::NotListening { fd, source })?;
        let place = if is_stats {
            &mut handed.stats
        } else {
            &mut handed.jobs
        };
        if place.replace(listener).is_some() {
            return Err(ActivationError::TooMany);
        }
    }
    Ok(handed)
}

fn listener(fd: i32) -> io::Result<TcpListener> {
    let socket = os::take_descriptor(fd)?;
    let kind = sockopt::socket_type(&socket)?;
    if kind != SocketType::STREAM || !sockopt::socket_acceptconn(&socket)? {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let listener = TcpListener::from(socket);
    // Fails for a socket of another family.
    listener.local_addr()?;
    listener.set_nonblocking(true)?;
    listen::for_connections(listener.as_fd());
    Ok(listener)
}

/// Whom to tell how we are; nobody when we were not started by systemd.
#[derive(Debug, Clone)]
pub(crate) struct Notify(Option<OsString>);

impl Notify {
    /// `socket` is NOTIFY_SOCKET: a path, or a name after `@`.
    pub(crate) fn new(socket: Option<OsString>) -> Self {
        Self(socket.filter(|name| !name.is_empty()))
    }

    /// Says that jobs are served.
    pub(crate) fn ready(&self) {
        self.tell(&format!("READY=1\nMAINPID={}\n", std::process::id()));
    }

    pub(crate) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    fn tell(&self, words: &str) {
        let Some(name) = &self.0 else { return };
        if let Err(error) = send(name, words) {
            log::warning!("could not tell NOTIFY_SOCKET: {error}");
        }
    }
}

fn send(name: &OsStr, words: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(words.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_for_others_are_left_alone() {
        for (fds, pid) in [(None, None), (Some("1"), None), (Some("1"), Some("1"))] {
            let get = |name: &str| {
                let value = if name == "LISTEN_FDS" { fds } else { pid };
                value.map(OsString::from)
            };
            let handed = take(get).unwrap();
            assert!(handed.jobs.is_none() && handed.stats.is_none());
        }
        let own = std::process::id().to_string();
        let get = |name: &str| {
            Some(OsString::from(if name == "LISTEN_PID" {
                &own
            } else {
                "x"
            }))
        };
        assert!(matches!(take(get), Err(ActivationError::Count(_))));
    }

    #[test]
    fn the_service_manager_hears() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::new(Some(path.into_os_string()));
        notify.ready();
        let mut words = [0; 100];
        let len = manager.recv(&mut words).unwrap();
        let expected = format!("READY=1\nMAINPID={}\n", std::process::id());
        assert_eq!(std::str::from_utf8(&words[..len]).unwrap(), expected);
        notify.stopping();
        assert_eq!(manager.recv(&mut words).unwrap(), "STOPPING=1\n".len());
        Notify::new(None).ready();
    }
}
