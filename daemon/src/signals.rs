//! What the daemon is told from outside: signals, and that its time is over.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the daemon is told from outside.
pub(crate) enum Told {
    End(&'static str),
    Reload,
}

/// Signals, and the time that the daemon has. Compilers do not inherit what is caught here.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    lifetime: Option<tokio::time::Instant>,
}

impl Signals {
    /// From now on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// The system refuses to tell of signals.
    pub(crate) fn new(lifetime: Option<Duration>) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            lifetime: lifetime.map(|lifetime| tokio::time::Instant::now() + lifetime),
        })
    }

    /// The next thing that the daemon is told.
    pub(crate) async fn next(&mut self) -> Told {
        let lifetime = self.lifetime;
        let over = async {
            match lifetime {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Told::End("SIGTERM"),
            _ = self.interrupt.recv() => Told::End("SIGINT"),
            () = over => Told::End("--lifetime is over"),
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// The next signal that says end.
    pub(crate) async fn end(&mut self) -> &'static str {
        self.lifetime = None;
        loop {
            if let Told::End(why) = self.next().await {
                return why;
            }
        }
    }
}
