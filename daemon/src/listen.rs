//! Sockets that listen, and the connections that come in by them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use tokio::net::TcpStream;

use crate::log;
use crate::resolve;
use crate::shortage::BACK_OFF;

/// Connections that the kernel holds until they are accepted, as stock has it.
const BACKLOG: i32 = 1024;

/// Bytes of an answer that wait in the kernel to be sent.
const UNSENT: i32 = 128 << 10;

/// Why nobody can connect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("no address for {0:?}; give --listen an address of this machine")]
    NoAddress(String),
    #[error("could not listen on {address}")]
    Bind {
        address: SocketAddr,
        source: io::Error,
    },
}

/// Listens on `port` of `listen`, or of all addresses of both families. With `defer`, connections that sent nothing
/// yet stay with the kernel for a while.
///
/// # Errors
/// The port is taken or forbidden, or the address is not this machine's.
pub(crate) fn bind(
    listen: Option<&str>,
    port: u16,
    defer: bool,
) -> Result<TcpListener, ListenError> {
    let error = |address| move |source| ListenError::Bind { address, source };
    let Some(host) = listen else {
        let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        return match open(all, defer) {
            // No IPv6 here.
            Err(why)
                if why.raw_os_error() == Some(libc::EAFNOSUPPORT)
                    || why.kind() == io::ErrorKind::AddrNotAvailable =>
            {
                let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                open(all, defer).map_err(error(all))
            }
            other => other.map_err(error(all)),
        };
    };
    let ip = match host.parse::<IpAddr>() {
        Ok(ip) => Some(ip),
        Err(_) => resolve::addresses(host).and_then(|found| found.first().copied()),
    };
    let address = SocketAddr::from((
        ip.ok_or_else(|| ListenError::NoAddress(host.to_owned()))?,
        port,
    ));
    open(address, defer).map_err(error(address))
}

fn open(address: SocketAddr, defer: bool) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // Both families by one socket when all addresses are meant.
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    net::bind(&socket, &address)?;
    if defer {
        // A hint that costs nothing to lose.
        let _ = crate::os::set_defer_accept(socket.as_fd());
    }
    for_connections(socket.as_fd());
    net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// What connections of this socket shall have: answers go out at once, and how fast a peer takes them shows.
pub(crate) fn for_connections(socket: BorrowedFd<'_>) {
    let set = sockopt::set_tcp_nodelay(socket, true)
        .map_err(io::Error::from)
        .and_then(|()| crate::os::set_unsent_limit(socket, UNSENT));
    if let Err(error) = set {
        log::debug!("could not prepare the port: {error}");
    }
}

/// The next connection. Waits out shortages, so that a peer that takes all descriptors stops nobody for long.
pub(crate) async fn accept(listener: &tokio::net::TcpListener) -> (TcpStream, SocketAddr) {
    let mut short = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                return (
                    stream,
                    SocketAddr::new(peer.ip().to_canonical(), peer.port()),
                );
            }
            // The peer left between connecting and now.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                if !short {
                    log::warning!("could not accept a connection: {error}; trying again");
                }
                short = true;
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_free_port_and_a_taken_one() {
        let one = bind(Some("127.0.0.1"), 0, true).unwrap();
        let port = one.local_addr().unwrap().port();
        assert_ne!(port, 0);
        let error = bind(Some("127.0.0.1"), port, true).unwrap_err();
        assert!(matches!(error, ListenError::Bind { .. }), "{error}");
    }

    #[test]
    fn all_addresses_of_both_families() {
        let listener = bind(None, 0, false).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn an_address_of_nobody_is_an_error() {
        assert!(matches!(
            bind(Some("192.0.2.1"), 0, true),
            Err(ListenError::Bind { .. })
        ));
        assert!(matches!(
            bind(Some("300.1.1.1"), 0, true),
            Err(ListenError::NoAddress(_))
        ));
    }
}
