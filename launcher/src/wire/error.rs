//! What goes wrong between a host and us, and what the journal calls it.

use std::io;

use protocol::ProtocolError;

use crate::keyed::KeyError;

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
    #[error("{host} stopped in the middle of its reply")]
    Stalled { host: String },
    #[error("{host} does not say whose daemon it runs")]
    Silent { host: String },
    #[error("the network to {host} is gone")]
    Lost { host: String, source: io::Error },
    #[error("{host} closed the connection without an answer")]
    Closed { host: String },
    #[error("{host} broke the protocol")]
    Protocol { host: String, source: ProtocolError },
    #[error("the request cannot be sent")]
    Unsendable(#[from] ProtocolError),
}

impl WireError {
    /// Is the machine there, and nothing listens on the port?
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, WireError::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Is the fault here: in the request, or in what this machine lacks for a connection?  That says nothing of the host.
    pub(crate) fn is_fault_here(&self) -> bool {
        let source = match self {
            WireError::Unsendable(_) => return true,
            WireError::Connect { source, .. } | WireError::Transport { source, .. } => source,
            _ => return false,
        };
        let want = [
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOBUFS,
            libc::ENOMEM,
            // No port is free; or no process may be made.
            libc::EADDRNOTAVAIL,
            libc::EAGAIN,
        ];
        source
            .raw_os_error()
            .is_some_and(|number| want.contains(&number))
    }

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
            WireError::Stalled { .. } => "receive-stalled",
            WireError::Silent { .. } => "hello-timeout",
            WireError::Lost { .. } => "network-lost",
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

/// Does an error of an open connection say that nothing comes through any more?
pub(super) fn is_lost(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ETIMEDOUT | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ENETDOWN)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_no_fault_of_the_host() {
        let connect = |source| WireError::Connect {
            host: "h".to_owned(),
            source,
        };
        for number in [libc::EMFILE, libc::ENOBUFS, libc::EADDRNOTAVAIL] {
            assert!(connect(io::Error::from_raw_os_error(number)).is_fault_here());
        }
        for number in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ETIMEDOUT] {
            assert!(!connect(io::Error::from_raw_os_error(number)).is_fault_here());
        }
        assert!(
            !connect(io::ErrorKind::WouldBlock.into()).is_fault_here(),
            "time is over"
        );
    }
}
