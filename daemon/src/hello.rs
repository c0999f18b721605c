//! Answers the question whose daemon this is.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::hello::{self, Hello, Question};
use protocol::{ProtocolError, Version, limits};
use tokio::io::AsyncWrite;

use crate::connection::Close;
use crate::log;
use crate::send::{finish, send_bytes};
use crate::server::Server;

/// Bytes of compilers that clients take without grumbling.
const MAX_COMPILERS: usize = 2 * limits::MAX_HELLO as usize;

/// Answers a hello: no job, so neither the summary nor the counters know of it.
pub(crate) async fn say(
    server: &Server,
    writer: &mut (impl AsyncWrite + Unpin),
    peer: &str,
) -> Close {
    let answer = tokio::select! {
        answer = answer(server) => answer,
        () = server.ending() => return Close::Orderly,
    };
    let said = match answer {
        Ok(bytes) => send_bytes(writer, &bytes).await,
        Err(error) => Err(std::io::Error::other(error)),
    };
    match said.and(finish(writer).await) {
        Ok(()) => Close::Orderly,
        Err(error) => {
            log::info!("{peer}: could not answer the hello: {error}");
            Close::Abort
        }
    }
}

async fn answer(server: &Server) -> Result<Vec<u8>, ProtocolError> {
    let (mut compilers, mut all_compilers) = server.idents.all(server).await;
    let mut room = MAX_COMPILERS;
    let length = |compiler: &hello::Compiler| {
        let fields = [&compiler.name, &compiler.ident, &compiler.triple];
        let preincluded = compiler.preincluded.as_ref().map_or(0, |it| it.len() + 1);
        let fields = fields.iter().map(|field| field.len()).sum::<usize>();
        fields + preincluded + "compiler \t\t\n".len()
    };
    let fitting = compilers
        .iter()
        .take_while(|compiler| {
            let left = room.checked_sub(length(compiler));
            room = left.unwrap_or(0);
            left.is_some()
        })
        .count();
    all_compilers &= fitting == compilers.len();
    compilers.truncate(fitting);
    Hello {
        daemon: concat!("distcc-launchd ", env!("CARGO_PKG_VERSION")).into(),
        versions: versions(server),
        jobs: u32::try_from(server.jobs).ok(),
        clock: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .map(|since| since.as_secs()),
        compilers,
        all_compilers,
        load: Some(load(server)),
    }
    .encode()
}

/// The numbers of `/slots`. Taken last, so that they are no older than the answer.
fn load(server: &Server) -> hello::Load {
    let (free, waiting) = server.queue.free_and_waiting();
    let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
    hello::Load {
        free: count(free),
        queue: count(waiting),
    }
}

/// The versions beyond 1 and 2 that jobs are taken in.
fn versions(server: &Server) -> Vec<u32> {
    let mut versions = vec![Version::Launch.number(), Version::Pump.number()];
    if server.conditions.sandbox.trees().is_some() {
        versions.push(Version::Tree.number());
    }
    versions
}

/// How the log calls who asks.
pub(crate) fn asker(question: &Question) -> String {
    String::from_utf8_lossy(&question.client)
        .chars()
        .take(80)
        .collect()
}
