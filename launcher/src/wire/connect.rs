//! The way to a host: its addresses, a race between those, and the proof of who is there if the host has a key.
//!
//! A name may have several addresses, some of them dead (another network, IPv6 that leads nowhere). Each gets a start of 250 ms
//! before the next is tried beside it; the first that answers is taken (RFC 8305). Never waits: [`Connecting::advance`] looks
//! what has become of it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hosts::list::{Host, Transport};
use keys::ClientKey;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::stream::Stream;
use super::{Link, Traffic, WireError};
use crate::keyed::{self, Handshake, KeyError, Keyed};
use crate::resolve::{self, Lookup};
use crate::settings::Settings;

/// The longest wait for one address of a host to answer at all.  One lost SYN is sent again after 1 s.
const LIMIT: Duration = Duration::from_secs(2);
/// How long an address is alone in the race.
const START: Duration = Duration::from_millis(250);
/// A connection that is silent for so long is asked whether it is still there, and given up if it does not say so as soon.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// A host that is being connected with.
pub(crate) struct Connecting {
    host: String,
    traffic: Rc<Traffic>,
    key: Option<ClientKey>,
    /// For one address to answer at all.
    limit: Duration,
    /// For the daemon to prove who it is.
    patience: Duration,
    stage: Stage,
}

enum Stage {
    Resolving {
        lookup: Box<Lookup>,
        port: u16,
    },
    Race(Race),
    Handshake {
        stream: Stream,
        handshake: Box<Handshake>,
        until: Instant,
    },
    /// There, and handed over by the next look.
    Open(Stream),
    Over,
}

impl Connecting {
    /// Sets out for `host`, or starts the program that leads there.
    ///
    /// # Errors
    /// Its key cannot be read, or the program not started.
    pub(crate) fn begin(
        host: &Host,
        settings: &Settings,
        traffic: Rc<Traffic>,
    ) -> Result<Connecting, WireError> {
        let name = host.name();
        let no_key = |source| WireError::Key {
            host: name.clone(),
            source,
        };
        // Before anybody is connected to.
        let key = host.key.as_ref();
        let key = key.map(|file| keyed::read(file, settings.folder.as_deref()));
        let key = key.transpose().map_err(no_key)?;
        let stage = match &host.transport {
            Transport::Tcp {
                host: address,
                port,
            } => match resolve::numeric(address) {
                Some(ip) => Stage::Race(Race::of(vec![ip], *port)),
                None => Stage::Resolving {
                    lookup: Box::new(Lookup::begin(
                        address,
                        settings.folder.as_deref(),
                        LIMIT.min(settings.io_timeout),
                    )),
                    port: *port,
                },
            },
            // No list gives such a host.
            Transport::Ssh { .. } if key.is_some() => return Err(no_key(KeyError::OnlyTcp)),
            Transport::Ssh {
                user,
                host: machine,
                command,
            } => Stage::Open(Stream::program(
                &name,
                user.as_deref(),
                machine,
                command.as_deref(),
                settings,
            )?),
            Transport::Local => {
                let source =
                    io::Error::new(io::ErrorKind::Unsupported, "this machine is no daemon");
                return Err(WireError::Connect { host: name, source });
            }
        };
        Ok(Connecting {
            host: name,
            traffic,
            key,
            limit: LIMIT.min(settings.io_timeout),
            patience: keyed::PATIENCE.min(settings.io_timeout),
            stage,
        })
    }

    /// The same, with so long for an address to answer.
    pub(crate) fn within(self, limit: Duration) -> Connecting {
        let limit = limit.min(self.limit);
        Connecting { limit, ..self }
    }

    /// Goes on as far as it gets without waiting; the conversation, once it is open.  If the host has a key, its daemon has proved
    /// by then that it is the one that the key file names; nothing of the job has gone out.
    ///
    /// # Errors
    /// The host was not reached, or not the one that the key names.
    pub(crate) fn advance(&mut self, now: Instant) -> Result<Option<Link>, WireError> {
        if let Stage::Resolving { lookup, port } = &mut self.stage {
            let found = lookup.advance(now).map_err(|source| WireError::Resolve {
                host: self.host.clone(),
                source,
            })?;
            let Some(addresses) = found else {
                return Ok(None);
            };
            self.stage = Stage::Race(Race::of(addresses, *port));
        }
        if let Stage::Race(race) = &mut self.stage {
            let connected = race
                .advance(now, self.limit)
                .map_err(|source| WireError::Connect {
                    host: self.host.clone(),
                    source,
                })?;
            let Some(stream) = connected else {
                return Ok(None);
            };
            let mut stream = Stream::Tcp(stream);
            self.stage = match &self.key {
                None => Stage::Open(stream),
                Some(key) => Stage::Handshake {
                    handshake: Box::new(
                        Handshake::begin(&mut stream, key).map_err(|error| self.no_key(error))?,
                    ),
                    stream,
                    until: now + self.patience,
                },
            };
        }
        let (stream, keyed) = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Open(stream) => (stream, None),
            Stage::Handshake {
                mut stream,
                mut handshake,
                until,
            } => {
                let answer = handshake.advance(&mut stream);
                match answer.map_err(|error| self.no_key(error))? {
                    Some(keyed) => (stream, Some(keyed)),
                    None if now >= until => {
                        return Err(self.no_key(KeyError::Io(io::ErrorKind::TimedOut.into())));
                    }
                    None => {
                        self.stage = Stage::Handshake {
                            stream,
                            handshake,
                            until,
                        };
                        return Ok(None);
                    }
                }
            }
            Stage::Resolving { .. } | Stage::Race(_) | Stage::Over => return Ok(None),
        };
        Ok(Some(self.link(stream, keyed)))
    }

    fn link(&self, stream: Stream, keyed: Option<Keyed>) -> Link {
        Link::new(
            stream,
            keyed.map(Box::new),
            self.host.clone(),
            Rc::clone(&self.traffic),
        )
    }

    fn no_key(&self, source: KeyError) -> WireError {
        WireError::Key {
            host: self.host.clone(),
            source,
        }
    }

    /// What [`Connecting::advance`] waits for, each with the moment that it is due at the latest.
    pub(crate) fn wants<'s>(&'s self, fds: &mut Vec<(BorrowedFd<'s>, PollFlags)>) -> Instant {
        match &self.stage {
            Stage::Resolving { lookup, .. } => lookup.wants(fds),
            Stage::Race(race) => {
                let sockets = race.underway.iter();
                fds.extend(sockets.map(|(socket, _)| (socket.as_fd(), PollFlags::OUT)));
                race.due()
            }
            Stage::Handshake { stream, until, .. } => {
                fds.push((stream.as_fd(), PollFlags::IN));
                *until
            }
            Stage::Open(_) | Stage::Over => Instant::now(),
        }
    }
}

/// Connections on their way to the addresses of one host.
#[derive(Debug)]
struct Race {
    untried: std::vec::IntoIter<SocketAddr>,
    /// Each with the address, which tells how it stands.
    underway: Vec<(OwnedFd, Runner)>,
    /// When the next address is tried, should none have answered.
    next: Instant,
    /// Why the last that failed did.
    last: io::Error,
}

#[derive(Debug, Clone, Copy)]
struct Runner {
    address: SocketAddr,
    until: Instant,
}

impl Race {
    /// To these addresses of a host.
    fn of(addresses: Vec<IpAddr>, port: u16) -> Race {
        let sockets = addresses.into_iter().map(|ip| SocketAddr::new(ip, port));
        Race {
            untried: sockets.collect::<Vec<_>>().into_iter(),
            underway: Vec::new(),
            next: Instant::now(),
            last: io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
        }
    }

    /// Looks who has arrived, and starts whose turn it is.
    fn advance(&mut self, now: Instant, limit: Duration) -> io::Result<Option<TcpStream>> {
        let mut at = 0;
        while let Some((socket, runner)) = self.underway.get(at) {
            let failed = match arrived(socket, runner.address) {
                Ok(true) => {
                    let (socket, _) = self.underway.swap_remove(at);
                    self.underway.clear();
                    return prepared(socket).map(Some);
                }
                Ok(false) if now < runner.until => {
                    at += 1;
                    continue;
                }
                Ok(false) => io::ErrorKind::TimedOut.into(),
                Err(error) => error,
            };
            self.last = failed;
            self.underway.remove(at);
            // The next need not wait for one that is out.
            self.next = now;
        }
        while self.next <= now || self.underway.is_empty() {
            let Some(address) = self.untried.next() else {
                break;
            };
            let until = now + limit;
            match start(address) {
                Ok((socket, true)) => return prepared(socket).map(Some),
                Ok((socket, false)) => {
                    self.underway.push((socket, Runner { address, until }));
                    self.next = now + START;
                }
                Err(error) => self.last = error,
            }
        }
        match self.underway.is_empty() {
            true => Err(std::mem::replace(
                &mut self.last,
                io::ErrorKind::NotConnected.into(),
            )),
            false => Ok(None),
        }
    }

    fn due(&self) -> Instant {
        let limits = self.underway.iter().map(|(_, runner)| runner.until);
        let next = (self.untried.len() > 0 || self.underway.is_empty()).then_some(self.next);
        limits.chain(next).min().unwrap_or(self.next)
    }
}

/// Sets out for `address`; true when that has arrived already.
fn start(address: SocketAddr) -> io::Result<(OwnedFd, bool)> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    let there = arrived(&socket, address)?;
    Ok((socket, there))
}

/// Has the connection to `address` come about?  (Asking for it again tells how it stands.)
fn arrived(socket: &OwnedFd, address: SocketAddr) -> io::Result<bool> {
    match rustix::net::connect(socket, &address) {
        Ok(()) | Err(Errno::ISCONN) => Ok(true),
        Err(Errno::INPROGRESS | Errno::ALREADY | Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Has the kernel notice by itself, and soon, that the other end is no longer there.
fn prepared(socket: OwnedFd) -> io::Result<TcpStream> {
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE)?;
    sockopt::set_tcp_keepcnt(&socket, 1)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    Ok(socket.into())
}
