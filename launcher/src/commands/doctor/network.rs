//! The layers between this machine and a host's daemon: name, connection, access, whose daemon it is.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hosts::{Host, Transport};
use protocol::hello::{Hello, Question};
use protocol::{HelloDecoder, Limits, Progress};

use super::finding::{Finding, Layer};
use super::machine::SKEW;
use super::pace::{ACCESS, ASKED, CONNECT, Pace};
use crate::resolve;
use crate::say::chain;
use crate::settings::Settings;
use crate::wire::{Link, WireError};

/// Whose daemon a host runs.
pub(super) enum Daemon {
    Ours(Hello),
    Stock,
}

/// What was seen of a host.
pub(super) struct Seen {
    pub(super) findings: Vec<Finding>,
    /// `None` where it is no use to send a job.
    pub(super) daemon: Option<Daemon>,
}

/// Looks at `host` up to its daemon; sets `named` when its address is known, which is all that has no limit of its own.
pub(super) fn look(host: &Host, settings: &Settings, pace: &Pace, named: &AtomicBool) -> Seen {
    let name = host.name();
    let mut findings = Vec::new();
    let daemon = steps(host, settings, pace, named, &mut findings);
    if let Err(failed) = &daemon {
        findings.push(failed.clone());
    }
    Seen {
        findings: findings.into_iter().map(|found| found.at(&name)).collect(),
        daemon: daemon.ok(),
    }
}

fn steps(
    host: &Host,
    settings: &Settings,
    pace: &Pace,
    named: &AtomicBool,
    found: &mut Vec<Finding>,
) -> Result<Daemon, Finding> {
    let mut peer = None;
    if let Transport::Tcp { host: name, port } = &host.transport {
        let addresses = addresses(name, found)?;
        named.store(true, Relaxed);
        let stream = connect(name, &addresses, *port, pace)?;
        found.push(Finding::ok(Layer::Connect, "something listens"));
        peer = stream.peer_addr().ok();
    }
    let said = hello(host, settings, pace)?;
    if let Some(peer) = peer {
        // Who answers has let us in; who closes may not have.
        if let Daemon::Stock = said {
            access(peer, host.short_name(), pace)?;
        }
        found.push(Finding::ok(Layer::Access, "this machine is let in"));
    }
    found.push(match &said {
        Daemon::Stock => Finding::ok(
            Layer::Daemon,
            "no daemon of ours, so it is taken for stock's",
        ),
        Daemon::Ours(hello) => Finding::ok(
            Layer::Daemon,
            format!(
                "{}, {} jobs at a time",
                String::from_utf8_lossy(&hello.daemon),
                hello.jobs.map_or("any".to_owned(), |jobs| jobs.to_string())
            ),
        ),
    });
    Ok(said)
}

fn addresses(name: &str, found: &mut Vec<Finding>) -> Result<Vec<IpAddr>, Finding> {
    if let Some(address) = resolve::numeric(name) {
        return Ok(vec![address]);
    }
    match resolve::addresses(name, None) {
        Ok(addresses) => {
            found.push(Finding::ok(Layer::Name, "the name has an address"));
            Ok(addresses)
        }
        Err(error) => Err(no_address(name, &error.to_string())),
    }
}

/// The name is nobody's, or nobody says whose.
pub(super) fn no_address(name: &str, error: &str) -> Finding {
    Finding::failed(
        Layer::Name,
        "no-address",
        format!("the name {name} has no address on this machine: {error}"),
        format!(
            "getent ahosts {name}      # asks as the launcher does; write the address into the host list, or: echo 'ADDRESS {name}' | sudo tee -a /etc/hosts"
        ),
    )
}

/// A connection to the first address that takes one.
fn connect(name: &str, addresses: &[IpAddr], port: u16, pace: &Pace) -> Result<TcpStream, Finding> {
    let until = pace.end_of(CONNECT);
    let mut errors = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        // What time there is, is shared: the first may be the one that nobody answers.
        let shares = (addresses.len() - index) as u32;
        let left = until.saturating_duration_since(Instant::now()) / shares;
        match try_connect(*address, port, left.max(Duration::from_millis(50))) {
            Ok(stream) => return Ok(stream),
            Err(error) => errors.push((*address, error)),
        }
    }
    Err(no_connection(name, port, &errors))
}

fn try_connect(address: IpAddr, port: u16, patience: Duration) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::new(address, port), patience)
}

fn no_connection(name: &str, port: u16, errors: &[(IpAddr, io::Error)]) -> Finding {
    let failed = |fault, what, fix| Finding::failed(Layer::Connect, fault, what, fix);
    let any = |kinds: &[io::ErrorKind]| {
        errors
            .iter()
            .any(|(_, error)| kinds.contains(&error.kind()))
    };
    let tried: Vec<_> = errors
        .iter()
        .map(|(address, _)| address.to_string())
        .collect();
    let tried = tried.join(", ");
    let only_six = !errors.is_empty() && errors.iter().all(|(address, _)| address.is_ipv6());
    if let Some(other) = other_family(errors, port) {
        let (here, there) = match other.is_ipv6() {
            true => ("IPv4", "IPv6"),
            false => ("IPv6", "IPv4"),
        };
        return failed(
            if other.is_ipv6() {
                "ipv6-only"
            } else {
                "ipv4-only"
            },
            format!(
                "nothing listens on port {port} of {tried}, but something does on {other}: the daemon is reached by {there} only, and the list names an {here} address"
            ),
            format!(
                "export DISTCC_HOSTS={}:{port}      # or start the daemon with: --listen {}",
                bracketed(other),
                errors.first().map_or(other, |(address, _)| *address)
            ),
        );
    }
    if only_six
        && any(&[
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::AddrNotAvailable,
        ])
    {
        return failed(
            "ipv6-only",
            format!(
                "{name} has IPv6 addresses only ({tried}), and this machine has no IPv6 way to it"
            ),
            format!(
                "ip -6 route get {}      # mend the route, or put the host's IPv4 address into the list",
                errors[0].0
            ),
        );
    }
    if any(&[io::ErrorKind::ConnectionRefused]) {
        let both = if only_six {
            "; it may listen on IPv4 only"
        } else {
            "; it may listen on IPv6 only"
        };
        return failed(
            "connect-refused",
            format!(
                "the machine answers, but nothing listens on port {port} ({tried}): the daemon does not run, or on another port{both}"
            ),
            format!(
                "on {name}: {}      # what listens there: ss -ltn",
                daemon_command(name, port)
            ),
        );
    }
    if any(&[
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::HostUnreachable,
    ]) {
        return failed(
            "no-route",
            format!("there is no way to {name} ({tried})"),
            format!(
                "ip route get {}      # then mend the network, or mark the host in the list: {name}:{port},down",
                errors[0].0
            ),
        );
    }
    let error = errors
        .last()
        .map_or(String::new(), |(_, error)| error.to_string());
    failed(
        "connect-timeout",
        format!(
            "no answer from port {port} of {name} ({tried}) within a second ({error}): the machine is off, or a firewall drops what it is sent"
        ),
        format!(
            "ping -c1 {name}      # if it is up: on {name}: sudo ufw allow {port}/tcp; if it is off, mark it in the list: {name}:{port},down"
        ),
    )
}

/// An address of the same machine in the other family, when something listens there.  Only of this machine it is known.
fn other_family(errors: &[(IpAddr, io::Error)], port: u16) -> Option<IpAddr> {
    let all_loopback = errors.iter().all(|(address, _)| address.is_loopback());
    let (first, _) = errors.first().filter(|_| all_loopback)?;
    let other = match first {
        IpAddr::V4(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
    };
    let known = errors.iter().any(|(address, _)| *address == other);
    (!known && try_connect(other, port, Duration::from_millis(200)).is_ok()).then_some(other)
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn daemon_command(name: &str, port: u16) -> String {
    let port = match port {
        hosts::list::DEFAULT_PORT => String::new(),
        port => format!(" --port {port}"),
    };
    format!(
        "distcc-launchd --daemon{port} --allow {}",
        our_address(name)
    )
}

/// What this machine is called on the way to `name`; sends nothing.
fn our_address(name: &str) -> String {
    let ask = || -> io::Result<IpAddr> {
        let address: IpAddr = resolve::numeric(name).ok_or(io::ErrorKind::NotFound)?;
        let any: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    ask().map_or("THIS-MACHINE'S-ADDRESS".to_owned(), |address| {
        address.to_string()
    })
}

/// What the other end does with the first bytes of a job.
enum First {
    Waits,
    Closes,
    Says(Vec<u8>),
}

fn first(mut stream: &TcpStream, patience: Duration) -> First {
    let mut bytes = [0; 256];
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return First::Waits;
        }
        if stream.set_read_timeout(Some(left)).is_err() {
            return First::Closes;
        }
        return match stream.read(&mut bytes) {
            Ok(0) => First::Closes,
            Ok(count) => First::Says(bytes[..count].to_vec()),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                // Children of this process end meanwhile.
                | io::ErrorKind::Interrupted => continue,
                _ => First::Closes,
            },
        };
    }
}

/// A daemon waits for the rest of a job; one that does not let this machine in closes at once, stock's only when something has come.
fn access(peer: SocketAddr, name: &str, pace: &Pace) -> Result<(), Finding> {
    let patience = pace.of(CONNECT) / 2;
    let Ok(mut stream) = TcpStream::connect_timeout(&peer, patience) else {
        // It was there a moment ago; the job will tell.
        return Ok(());
    };
    let ours = stream
        .local_addr()
        .map_or("THIS-MACHINE'S-ADDRESS".to_owned(), |address| {
            address.ip().to_string()
        });
    let refused = || {
        Finding::failed(
            Layer::Access,
            "access-refused",
            "it closes the connection at once: its access list does not let this machine in",
            format!(
                "on {name}: distcc-launchd --daemon --allow {ours}      # stock's: distccd --allow {ours}, in Debian ALLOWEDNETS in /etc/default/distcc"
            ),
        )
    };
    match first(&stream, pace.of(ACCESS[0])) {
        First::Closes => return Err(refused()),
        First::Says(bytes) => return Err(foreign(&bytes)),
        First::Waits => {}
    }
    if stream.write_all(b"DIST00000001").is_err() {
        return Err(refused());
    }
    match first(&stream, pace.of(ACCESS[1])) {
        First::Closes => Err(refused()),
        First::Says(bytes) => Err(foreign(&bytes)),
        First::Waits => Ok(()),
    }
}

/// Something else than a daemon listens there.
pub(super) fn foreign(said: &[u8]) -> Finding {
    let said: String = String::from_utf8_lossy(said)
        .chars()
        .take_while(|c| !c.is_control())
        .take(60)
        .collect();
    let said = if said.is_empty() {
        "bytes of another protocol".to_owned()
    } else {
        format!("{said:?}")
    };
    Finding::failed(
        Layer::Daemon,
        "another-service",
        format!("what listens on that port is no distcc daemon: it says {said}"),
        "ss -ltnp      # on that machine: which port has distcc-launchd (or distccd)? 3632 if nobody chose another; write it into the list: HOST:PORT",
    )
}

/// Asks whose daemon it is.
fn hello(host: &Host, settings: &Settings, pace: &Pace) -> Result<Daemon, Finding> {
    let mut link = Link::open(host, settings).map_err(|error| transport(host, &error))?;
    let question = Question {
        client: concat!("distcc-launch ", env!("CARGO_PKG_VERSION"), " doctor").into(),
    };
    let asked = question.encode().unwrap_or_default();
    // Who closes on it has said what there is to say.
    let _ = link.send(&asked);
    let mut decoder = HelloDecoder::new(Limits::for_launcher());
    let mut said = Vec::new();
    loop {
        // Some time before who waits for us gives up.
        let left = pace.left(ASKED).saturating_sub(pace.of(ASKED / 10));
        let count = match link.read_within(decoder.space(), left) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                return Err(stalls(host));
            }
            Err(_) => 0,
        };
        if count == 0 {
            // So does an ssh that was not let in; the job will tell.
            return match said.is_empty() {
                true => Ok(Daemon::Stock),
                false => Err(foreign(&said)),
            };
        }
        if said.len() < 256 {
            said.extend_from_slice(&decoder.space()[..count]);
        }
        match decoder.filled(count) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => {
                return decoder
                    .finish()
                    .map(Daemon::Ours)
                    .map_err(|_| foreign(&said));
            }
            Err(_) => return Err(foreign(&said)),
        }
    }
}

/// It is there and says nothing.
pub(super) fn stalls(host: &Host) -> Finding {
    Finding::failed(
        Layer::Daemon,
        "stalls",
        "it takes the connection and then says nothing: it hangs, or all its processes are busy",
        format!(
            "ssh {0} 'ps -C distccd,distcc-launchd -o pid,stat,etime,args'      # then start it anew there; until then mark it in the list: {1},down",
            host.short_name(),
            host.token
        ),
    )
}

/// The connection that was there a moment ago cannot be made again, or ssh not started.
fn transport(host: &Host, error: &WireError) -> Finding {
    match (error, &host.transport) {
        (WireError::Transport { program, .. }, _) => Finding::failed(
            Layer::Connect,
            "transport-failed",
            chain(error),
            format!(
                "sudo apt-get install openssh-client      # or name the program: export DISTCC_SSH=/path/to/{program}"
            ),
        ),
        _ => Finding::failed(
            Layer::Connect,
            "connect-failed",
            chain(error),
            "distcc-launch doctor      # again: it was there a moment ago",
        ),
    }
}

/// How far the host's clock is from ours, if it says what time it has.
pub(super) fn clock(hello: &Hello) -> Option<Finding> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let there = hello.clock?;
    let apart = there.abs_diff(now);
    Some(match apart <= SKEW.as_secs() {
        true => Finding::ok(Layer::Clock, "the same time as here"),
        false => skewed(apart, there > now),
    })
}

/// A host whose clock is `apart` seconds from ours.
pub(super) fn skewed(apart: u64, ahead: bool) -> Finding {
    Finding::failed(
        Layer::Clock,
        "clock-skew",
        format!(
            "its clock is {apart} s {} this machine's: on shared folders build tools compile too much or too little",
            if ahead { "ahead of" } else { "behind" }
        ),
        "sudo timedatectl set-ntp true      # there, and here too",
    )
}
