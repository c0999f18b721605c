//! What all connections share, and the loop that accepts them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::access::AccessList;
use crate::compilers::Compilers;
use crate::connection::{Close, Peer};
use crate::crowd::{Crowd, Place};
use crate::gate::{self, Gate};
use crate::idents::Idents;
use crate::job::Conditions;
use crate::listen;
use crate::log;
use crate::scratch::Scratch;
use crate::stats::{self, Stats};

/// How long connections have to end once they were told to; they only kill and unlink.
const LAST_MOMENTS: Duration = Duration::from_secs(3);

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) access: AccessList,
    /// With `--keys`, nobody comes in without one.
    pub(crate) gate: Option<Gate>,
    pub(crate) compilers: Compilers,
    pub(crate) idents: Idents,
    /// Where specs files that clients may name are.
    pub(crate) sysroot: Option<PathBuf>,
    pub(crate) conditions: Conditions,
    pub(crate) scratch: Scratch,
    /// As many permits as compiles may run at once; first come, first served.
    pub(crate) slots: Semaphore,
    pub(crate) jobs: usize,
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) stats: Stats,
    /// How long a client may preprocess.
    pub(crate) io_timeout: Duration,
    pub(crate) ends: watch::Receiver<bool>,
}

impl Server {
    /// Ends when the daemon does.
    pub(crate) async fn ending(&self) {
        // An error means that the sender is gone, and with it the daemon.
        let _ = self.ends.clone().wait_for(|ends| *ends).await;
    }
}

/// Accepts connections until the daemon ends; then waits until all are closed, their compilers gone and their files
/// removed.
pub(crate) async fn run(server: Arc<Server>, listener: TcpListener, stats: Option<TcpListener>) {
    // Every connection holds a sender; the receiver ends when the last one is gone.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    if let Some(stats) = stats {
        tokio::spawn(stats::serve(Arc::clone(&server), stats));
    }
    loop {
        let next = async {
            server.crowd.open().await;
            listen::accept(&listener).await
        };
        let (stream, peer) = tokio::select! {
            accepted = next => accepted,
            () = server.ending() => break,
        };
        if !server.access.allows(peer.ip()) {
            log::warning!("{peer} is not on the access list: closed");
            continue;
        }
        let (server, alive) = (Arc::clone(&server), alive.clone());
        let place = server.crowd.enter();
        tokio::spawn(async move {
            serve(&server, stream, peer, place).await;
            drop(alive);
        });
    }
    drop((listener, alive));
    if tokio::time::timeout(LAST_MOMENTS, all_gone.recv())
        .await
        .is_err()
    {
        log::warning!("some connections did not end in time");
    }
}

async fn serve(server: &Server, mut stream: TcpStream, address: SocketAddr, place: Place) {
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("{address}: {error}");
    }
    let peer = Peer {
        name: address.to_string(),
        place,
        watched: true,
    };
    let (reader, writer) = stream.split();
    let close = gate::serve(server, reader, writer, peer, Some(address.ip())).await;
    if close == Close::Abort
        && let Err(error) = stream.set_zero_linger()
    {
        log::debug!("{address}: {error}");
    }
}
