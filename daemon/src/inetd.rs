//! One job on standard input and output, whatever they are: sockets (inetd, xinetd), socket pairs or pipes (ssh), or
//! plain files.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::pin::Pin;

use rustix::net::{AddressFamily, SocketAddrAny, SocketType, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

/// The two directions of the connection.
pub(crate) struct Ends {
    pub(crate) reader: Pin<Box<dyn AsyncRead>>,
    pub(crate) writer: Pin<Box<dyn AsyncWrite>>,
    /// Whether the end of the input means that the peer went away: not when it is a file.
    pub(crate) watched: bool,
}

/// Is standard input a socket, as inetd leaves it?
pub(crate) fn stdin_is_socket() -> bool {
    sockopt::socket_type(rustix::stdio::stdin()).is_ok_and(|kind| kind == SocketType::STREAM)
}

/// Is standard error the connection itself? inetd leaves it so, and a log line there would break the protocol.
pub(crate) fn stderr_is_peer() -> bool {
    let id = |fd: BorrowedFd<'_>| {
        rustix::fs::fstat(fd)
            .ok()
            .map(|about| (about.st_dev, about.st_ino))
    };
    let stderr = id(rustix::stdio::stderr());
    stderr.is_none()
        || stderr == id(rustix::stdio::stdin())
        || stderr == id(rustix::stdio::stdout())
}

/// The peer's network address, if it has one.
pub(crate) fn peer() -> Option<SocketAddr> {
    let name: SocketAddrAny = rustix::net::getpeername(rustix::stdio::stdin()).ok()??;
    let address = SocketAddr::try_from(name).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// What the log calls the peer.
pub(crate) fn peer_name() -> String {
    match peer() {
        Some(address) => address.to_string(),
        None if stdin_is_socket() => "UNIX-DOMAIN".into(),
        None => "NOTSOCKET".into(),
    }
}

/// The address for the access list.
pub(crate) fn peer_ip() -> Option<IpAddr> {
    peer().map(|address| address.ip())
}

/// Takes standard input and output for the connection.
///
/// # Errors
/// One of them is closed, or the system refuses to watch it.
pub(crate) fn ends() -> io::Result<Ends> {
    let input = own(rustix::stdio::stdin())?;
    let output = own(rustix::stdio::stdout())?;
    let watched = is_stream(&input)?;
    Ok(Ends {
        reader: reader(input)?,
        writer: writer(output)?,
        watched,
    })
}

fn own(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?)
}

fn is_stream(fd: &OwnedFd) -> io::Result<bool> {
    let kind = File::from(fd.try_clone()?).metadata()?.file_type();
    Ok(kind.is_socket() || kind.is_fifo())
}

fn is_fifo(fd: &OwnedFd) -> io::Result<bool> {
    Ok(File::from(fd.try_clone()?)
        .metadata()?
        .file_type()
        .is_fifo())
}

fn reader(fd: OwnedFd) -> io::Result<Pin<Box<dyn AsyncRead>>> {
    if is_fifo(&fd)? {
        return Ok(Box::pin(pipe::Receiver::from_owned_fd(fd)?));
    }
    match sockopt::socket_domain(fd.as_fd()) {
        Ok(AddressFamily::UNIX) => Ok(Box::pin(unix_stream(fd)?)),
        Ok(_) => Ok(Box::pin(tcp_stream(fd)?)),
        Err(_) => Ok(Box::pin(tokio::io::stdin())),
    }
}

fn writer(fd: OwnedFd) -> io::Result<Pin<Box<dyn AsyncWrite>>> {
    if is_fifo(&fd)? {
        return Ok(Box::pin(pipe::Sender::from_owned_fd(fd)?));
    }
    match sockopt::socket_domain(fd.as_fd()) {
        Ok(AddressFamily::UNIX) => Ok(Box::pin(unix_stream(fd)?)),
        Ok(_) => Ok(Box::pin(tcp_stream(fd)?)),
        Err(_) => Ok(Box::pin(tokio::io::stdout())),
    }
}

fn unix_stream(fd: OwnedFd) -> io::Result<tokio::net::UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(fd);
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}

fn tcp_stream(fd: OwnedFd) -> io::Result<tokio::net::TcpStream> {
    let stream = std::net::TcpStream::from(fd);
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}
