//! The sockets that the daemon listens on: systemd's, and else its own.

use std::net::TcpListener;

use crate::activation::Handed;
use crate::environment::Environment;
use crate::listen::{self, ListenError};
use crate::options::Options;
use crate::watch::Whom;

/// The port for jobs, and that of the statistics.
pub(crate) struct Sockets {
    pub(crate) listener: TcpListener,
    pub(crate) stats: Option<(TcpListener, Whom)>,
    /// Why there are no statistics though nobody forbade them.
    pub(crate) no_stats: Option<ListenError>,
}

impl Sockets {
    /// Those that systemd handed over, and else our own.
    ///
    /// # Errors
    /// The port for jobs, or with `--stats` that of the statistics, cannot be had.
    pub(crate) fn open(
        options: &Options,
        environment: &Environment,
        handed: Handed,
    ) -> Result<Self, ListenError> {
        let host = options.listen.as_deref();
        let listener = match handed.jobs {
            Some(listener) => listener,
            None => listen::bind(host, options.port, environment.defers_accept())?,
        };
        let (whom, stats_host) = if options.stats {
            (Whom::AccessList, host)
        } else {
            (Whom::ThisMachine, Some("127.0.0.1"))
        };
        // Who asks for nothing gets stock's page, so that such a connection may not wait for bytes.
        let bound = match (handed.stats, options.stats_port) {
            (Some(listener), _) => Ok(Some(listener)),
            (None, Some(port)) => listen::bind(stats_host, port.get(), false).map(Some),
            (None, None) => Ok(None),
        };
        let (stats, no_stats) = match bound {
            Ok(stats) => (stats, None),
            // Nobody asked for them: another daemon on this machine may have the port.
            Err(error) if !options.stats => (None, Some(error)),
            Err(error) => return Err(error),
        };
        Ok(Self {
            listener,
            stats: stats.map(|listener| (listener, whom)),
            no_stats,
        })
    }
}
