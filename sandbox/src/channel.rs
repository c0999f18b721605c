//! Messages with descriptors between processes.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sockopt::Timeout,
};

/// Most descriptors in one message.
const MAX_FDS: usize = 32;
/// Bytes of a message; none of ours is longer.
pub(crate) const MAX_BYTES: usize = 16 << 10;
/// A message in whose place a file comes.
pub(crate) const IN_A_FILE: [u8; 1] = [1];
/// How long who waits for a message does so at most before it looks around.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two ends of a job's channel, which keeps messages apart and tells when the other end is gone. Nobody waits in it.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    ends(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
}

/// The caller's and the keeper's end of the channel in which jobs come.
pub(crate) fn control() -> io::Result<(OwnedFd, OwnedFd)> {
    let (own, theirs) = ends(SocketFlags::CLOEXEC)?;
    rustix::net::sockopt::set_socket_timeout(&theirs, Timeout::Recv, Some(PATIENCE))?;
    Ok((own, theirs))
}

fn ends(flags: SocketFlags) -> io::Result<(OwnedFd, OwnedFd)> {
    let kind = SocketType::SEQPACKET;
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        kind,
        flags,
        None,
    )?)
}

/// Sends one message, whole.
pub(crate) fn send(to: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let parts = [IoSlice::new(bytes)];
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(to, &parts, &mut control, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// A message and what came with it.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// Empty: the other end is gone.
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Takes one message of any length.
pub(crate) fn receive(from: BorrowedFd<'_>) -> io::Result<Message> {
    let mut bytes = vec![0; MAX_BYTES];
    let (len, fds) = receive_into(from, &mut bytes)?;
    bytes.truncate(len);
    Ok(Message { bytes, fds })
}

/// Takes one message into a buffer: how much came, and what with it.
pub(crate) fn receive_into(
    from: BorrowedFd<'_>,
    bytes: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(bytes)];
        match rustix::net::recvmsg(from, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            result => break result?,
        }
    };
    let mut all = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = part {
            all.extend(fds);
        }
    }
    Ok((received.bytes, all))
}
