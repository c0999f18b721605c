//! The life of a daemon that is started for one connection: no port, no background, no threads.

use tokio::sync::watch as told;

use super::{Settled, prepare};
use crate::connection::Peer;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::options::{LogTo, Options};
use crate::queue::Client;
use crate::server::Phase;
use crate::signals::Signals;
use crate::{DaemonError, cannot, gate, inetd, log, user};

/// One job on standard input and output.
pub(crate) fn serve_stdin(
    options: &Options,
    environment: &Environment,
) -> Result<Exit, DaemonError> {
    let settled = Settled::new(options, environment)?;
    let (phase, receiver) = told::channel(Phase::Serving);
    let mut options = options.clone();
    if options.log_to == LogTo::Stderr && inetd::stderr_is_peer() {
        options.log_to = LogTo::Syslog;
    }
    user::give_up_gaining();
    let boxed = settled.start_box(&options, environment)?;
    let (server, _) = prepare(&options, environment, settled, boxed, receiver)?;
    // Whoever started us chose who may connect; a list is obeyed all the same.
    let listed = options.allow_private || !options.allow.is_empty() || options.allow_file.is_some();
    if let Some(ip) = inetd::peer_ip()
        && listed
        && !server.access.get().allows(ip)
    {
        log::warning!("{ip} is not on the access list: closed");
        return Ok(Exit::Ok);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot("prepare to serve"))?;
    let result = runtime.block_on(async {
        let inetd::Ends {
            reader,
            writer,
            watched,
        } = inetd::ends().map_err(cannot("use standard input and output"))?;
        let mut signals = Signals::new(options.lifetime).map_err(cannot("wait for signals"))?;
        let client = inetd::peer_ip().map_or_else(Client::nameless, Client::of);
        let peer = Peer {
            name: inetd::peer_name(),
            client,
            place: server.crowd.enter(client),
            watched,
        };
        let serving = gate::serve(&server, reader, writer, peer, inetd::peer_ip());
        tokio::pin!(serving);
        tokio::select! {
            _ = &mut serving => {}
            why = signals.end() => {
                log::notice!("ending: {why}");
                let _ = phase.send(Phase::Ending);
                serving.await;
            }
        }
        Ok(Exit::Ok)
    });
    // A thread that still waits for standard input must not keep the process.
    runtime.shutdown_background();
    result
}
