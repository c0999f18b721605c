//! An address at which nobody answers a connection, and nobody refuses it: as behind a firewall that drops what comes.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A listener that accepts nothing and whose queue is full.
pub struct BlackHole {
    pub address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    /// On loopback.
    pub fn here() -> BlackHole {
        BlackHole::at(([127, 0, 0, 1], 0))
    }

    pub fn at(address: impl Into<SocketAddr>) -> BlackHole {
        let listener = TcpListener::bind(address.into()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queue.push(stream);
            assert!(queue.len() < 100, "the queue never fills");
        }
        BlackHole {
            address,
            _listener: listener,
            _queue: queue,
        }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }
}
