//! What all connections share, and the loop that accepts them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch as told};

use crate::access::AccessList;
use crate::answers::Answers;
use crate::compilers::Compilers;
use crate::connection::{Close, Peer};
use crate::crowd::{Crowd, Place};
use crate::gate::{self, Gate};
use crate::headers::Headers;
use crate::idents::Idents;
use crate::job::Conditions;
use crate::listen;
use crate::log;
use crate::metrics::Metrics;
use crate::queue::{Client, Queue};
use crate::scratch::Scratch;
use crate::stats::Stats;
use crate::store::Store;
use crate::watch;

/// How long connections have to end once they were told to; they only kill and unlink.
const LAST_MOMENTS: Duration = Duration::from_secs(3);

/// How much longer the daemon lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Nobody comes in any more; jobs that are here are finished.
    Draining,
    /// Jobs end now.
    Ending,
}

/// Something that a signal can exchange while others use it.
#[derive(Debug)]
pub(crate) struct Exchanged<T>(RwLock<Arc<T>>);

impl<T> Exchanged<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) access: Exchanged<AccessList>,
    /// With `--keys`, nobody comes in without one.
    pub(crate) gate: Option<Gate>,
    pub(crate) compilers: Exchanged<Compilers>,
    pub(crate) idents: Idents,
    pub(crate) headers: Arc<Headers>,
    /// Where specs files that clients may name are.
    pub(crate) sysroot: Option<PathBuf>,
    pub(crate) conditions: Conditions,
    pub(crate) scratch: Scratch,
    pub(crate) queue: Arc<Queue>,
    pub(crate) jobs: usize,
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) store: Arc<Store>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) stats: Stats,
    pub(crate) metrics: Metrics,
    /// How long a client may preprocess.
    pub(crate) io_timeout: Duration,
    pub(crate) phase: told::Receiver<Phase>,
}

impl Server {
    /// Ends when the daemon does.
    pub(crate) async fn ending(&self) {
        self.reaches(Phase::Ending).await;
    }

    /// Ends when nobody is let in any more.
    pub(crate) async fn draining(&self) {
        self.reaches(Phase::Draining).await;
    }

    async fn reaches(&self, phase: Phase) {
        // An error means that the sender is gone, and with it the daemon.
        let _ = self.phase.clone().wait_for(|now| *now >= phase).await;
    }
}

/// Accepts connections until the daemon drains; then waits until all are closed, their compilers gone and their files
/// removed.
pub(crate) async fn run(
    server: Arc<Server>,
    listener: TcpListener,
    page: Option<(TcpListener, watch::Whom)>,
) {
    // Every connection holds a sender; the receiver ends when the last one is gone.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    if let Some((listener, whom)) = page {
        tokio::spawn(watch::serve(Arc::clone(&server), listener, whom));
    }
    loop {
        let next = async {
            server.crowd.open().await;
            listen::accept(&listener).await
        };
        let (stream, peer) = tokio::select! {
            accepted = next => accepted,
            () = server.draining() => break,
        };
        if !server.access.get().allows(peer.ip()) {
            log::warning!("{peer} is not on the access list: closed");
            server.metrics.stranger();
            continue;
        }
        let (server, alive) = (Arc::clone(&server), alive.clone());
        let place = server.crowd.enter(Client::of(peer.ip()));
        tokio::spawn(async move {
            serve(&server, stream, peer, place).await;
            drop(alive);
        });
    }
    drop((listener, alive));
    tokio::select! {
        _ = all_gone.recv() => return,
        () = server.ending() => {}
    }
    if tokio::time::timeout(LAST_MOMENTS, all_gone.recv())
        .await
        .is_err()
    {
        log::warning!("some connections did not end in time");
    }
}

async fn serve(server: &Server, mut stream: TcpStream, address: SocketAddr, place: Place) {
    let peer = Peer {
        name: address.to_string(),
        client: Client::of(address.ip()),
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
