//! The layers of names and connections: where a host is, and whether something listens there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::finding::{Finding, Layer};
use super::pace::{CONNECT, Pace};
use crate::resolve;

/// The addresses that `name` has or spells.
pub(super) fn addresses(name: &str, found: &mut Vec<Finding>) -> Result<Vec<IpAddr>, Finding> {
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
pub(super) fn connect(
    name: &str,
    addresses: &[IpAddr],
    port: u16,
    pace: &Pace,
) -> Result<TcpStream, Finding> {
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
    let no_way = any(&[
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::HostUnreachable,
    ]);
    if let Some(other) = other_family(errors, port) {
        return one_family(other, port, errors, &tried);
    }
    if only_six && (no_way || any(&[io::ErrorKind::AddrNotAvailable])) {
        return failed(
            "ipv6-only",
            format!(
                "{name} has IPv6 addresses only ({tried}), and this machine has no IPv6 way to it"
            ),
            format!(
                "ip -6 route get {tried}      # mend the route, or put the host's IPv4 address into the list"
            ),
        );
    }
    if any(&[io::ErrorKind::ConnectionRefused]) {
        let other = if only_six { "IPv4" } else { "IPv6" };
        return failed(
            "connect-refused",
            format!(
                "the machine answers, but nothing listens on port {port} ({tried}): the daemon does not run, or on another port; it may listen on {other} only"
            ),
            format!(
                "on {name}: {}      # what listens there: ss -ltn",
                daemon_command(name, port)
            ),
        );
    }
    if no_way {
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

fn failed(fault: &'static str, what: String, fix: String) -> Finding {
    Finding::failed(Layer::Connect, fault, what, fix)
}

/// Something listens on `other`, and nothing on the addresses that were tried.
fn one_family(other: IpAddr, port: u16, errors: &[(IpAddr, io::Error)], tried: &str) -> Finding {
    let (fault, here, there) = match other.is_ipv6() {
        true => ("ipv6-only", "IPv4", "IPv6"),
        false => ("ipv4-only", "IPv6", "IPv4"),
    };
    let listen = errors.first().map_or(other, |(address, _)| *address);
    failed(
        fault,
        format!(
            "nothing listens on port {port} of {tried}, but something does on {other}: the daemon is reached by {there} only, and the list names an {here} address"
        ),
        format!(
            "export DISTCC_HOSTS={}:{port}      # or start the daemon with: --listen {listen}",
            bracketed(other)
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
