//! What the kernel knows of a TCP connection and no safe interface tells.
#![expect(unsafe_code, reason = "TCP_INFO has no safe interface")]

use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// How the other end takes what we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It has all.
    Done,
    /// It has not all, and says that it is there.
    Waits,
    /// It has not all, and nothing has come from there for `silence`, however often it was tried.
    Unanswered { silence: Duration },
}

/// Tries without an answer that are no accident.
const TRIES: u8 = 2;

/// What became of all that was written to `stream`.
pub(super) fn delivery(stream: &TcpStream) -> Delivery {
    // Safety: a plain structure for the kernel to fill, of which it is told the size.
    let info = unsafe {
        let mut info: libc::tcp_info = std::mem::zeroed();
        let mut size = size_of::<libc::tcp_info>() as libc::socklen_t;
        let done = libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut size,
        );
        if done != 0 {
            return Delivery::Done;
        }
        info
    };
    let mut unsent: libc::c_int = 0;
    // Safety: the kernel writes one number.
    if unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut unsent) } != 0
        || unsent == 0
    {
        return Delivery::Done;
    }
    // A window that is closed is asked for again and again: an answer to that resets the count.
    match info.tcpi_retransmits.max(info.tcpi_probes) {
        tries if tries >= TRIES => Delivery::Unanswered {
            silence: Duration::from_millis(u64::from(info.tcpi_last_ack_recv)),
        },
        _ => Delivery::Waits,
    }
}
