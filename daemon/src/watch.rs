//! The statistics port: HTTP for those who watch. `GET /` is stock's page, `/metrics` Prometheus', `/slots` one line.
//!
//! A request is read to its first empty line, 8 KiB and five seconds at most; nothing in it but the method and the path
//! is looked at, and no path leads to a job. Stock answers before it is asked anything, so that who asks nothing for a
//! moment gets stock's page.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::server::Server;
use crate::{access, listen, log, metrics};

/// How long a reader of a page may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long somebody may be silent who will be given stock's page for it.
const SILENCE: Duration = Duration::from_millis(500);
/// Bytes of a request.
const MAX_REQUEST: usize = 8 << 10;
/// Pages that are being read at the same time.
const READERS: usize = 32;

/// Who may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The port is on loopback only.
    ThisMachine,
    /// Who may send jobs too.
    AccessList,
}

/// Gives everybody who may look what he asks for.
pub(crate) async fn serve(server: Arc<Server>, listener: TcpListener, whom: Whom) {
    let readers = Arc::new(Semaphore::new(READERS));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listen::accept(&listener) => accepted,
            () = server.ending() => return,
        };
        if !may_look(&server, whom, peer.ip()) {
            log::warning!("{peer} is not on the access list: no statistics");
            continue;
        }
        // The oldest readers are gone after five seconds in any case.
        let Ok(place) = Arc::clone(&readers).try_acquire_owned() else {
            log::info!("{peer}: too many read statistics: closed");
            continue;
        };
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let answered = tokio::time::timeout(PATIENCE, answer(&server, stream)).await;
            if !matches!(answered, Ok(Ok(()))) {
                log::debug!("{peer}: did not take the statistics");
            }
            drop(place);
        });
    }
}

fn may_look(server: &Server, whom: Whom, peer: IpAddr) -> bool {
    match whom {
        Whom::ThisMachine => peer.to_canonical().is_loopback(),
        // Networks that are let in only because they need keys see nothing that is not encrypted.
        Whom::AccessList => {
            server.access.get().allows(peer) && (server.gate.is_none() || access::is_private(peer))
        }
    }
}

async fn answer(server: &Server, mut stream: TcpStream) -> std::io::Result<()> {
    let asked = read_request(&mut stream).await?;
    let page = match asked {
        Asked::Nothing => server.stats.page(server.jobs, server.scratch.place()),
        Asked::Whole(request) => answer_to(server, &request),
        Asked::TooMuch => whole("431 Request Header Fields Too Large", TEXT, "too long\n"),
    };
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would reset the connection and could take the page with it.
    let mut rest = stream.take(MAX_REQUEST as u64);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

/// What a peer sent.
enum Asked {
    Nothing,
    /// To its empty line, or to the end of what came.
    Whole(Vec<u8>),
    TooMuch,
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Asked> {
    let mut request = Vec::with_capacity(1 << 10);
    loop {
        let silent = request.is_empty();
        let read = stream.read_buf(&mut request);
        let count = if silent {
            match tokio::time::timeout(SILENCE, read).await {
                Ok(count) => count?,
                Err(_) => return Ok(Asked::Nothing),
            }
        } else {
            read.await?
        };
        if count == 0 && silent {
            return Ok(Asked::Nothing);
        }
        if request.len() > MAX_REQUEST {
            return Ok(Asked::TooMuch);
        }
        if count == 0 || ends_head(&request) {
            return Ok(Asked::Whole(request));
        }
    }
}

fn ends_head(request: &[u8]) -> bool {
    let has = |end: &[u8]| request.windows(end.len()).any(|window| window == end);
    has(b"\r\n\r\n") || has(b"\n\n")
}

const TEXT: &str = "text/plain; charset=utf-8";

fn answer_to(server: &Server, request: &[u8]) -> String {
    match path(request) {
        Err(status) => whole(status, TEXT, &format!("{status}\n")),
        // Stock's own bytes, line ends included.
        Ok("/") => server.stats.page(server.jobs, server.scratch.place()),
        Ok("/metrics") => whole("200 OK", metrics::CONTENT_TYPE, &metrics::page(server)),
        Ok("/slots") => whole("200 OK", TEXT, &metrics::slots(server)),
        Ok(_) => whole("404 Not Found", TEXT, "there are /, /metrics and /slots\n"),
    }
}

/// The path of a request's first line, without what follows a question mark; else what to answer.
pub(crate) fn path(request: &[u8]) -> Result<&str, &'static str> {
    const BAD: &str = "400 Bad Request";
    let line = request.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    let line = str::from_utf8(line).map_err(|_| BAD)?.trim_end();
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(BAD);
    };
    let version = words.next().unwrap_or("HTTP/0.9");
    if !version.starts_with("HTTP/") || words.next().is_some() || !target.starts_with('/') {
        return Err(BAD);
    }
    if method != "GET" {
        return Err("405 Method Not Allowed");
    }
    Ok(target.split('?').next().unwrap_or(target))
}

fn whole(status: &str, content_type: &str, body: &str) -> String {
    let allow = if status.starts_with("405") {
        "Allow: GET\r\n"
    } else {
        ""
    };
    format!(
        "HTTP/1.0 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_get_of_a_path_is_understood() {
        assert_eq!(path(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Ok("/"));
        assert_eq!(path(b"GET /metrics?x=1 HTTP/1.0\r\n\r\n"), Ok("/metrics"));
        assert_eq!(path(b"GET /slots\n\n"), Ok("/slots"));
        assert_eq!(
            path(b"POST / HTTP/1.0\r\n\r\n"),
            Err("405 Method Not Allowed")
        );
        for line in [
            &b""[..],
            b"GET",
            b"GET \r\n",
            b"GET metrics HTTP/1.0\r\n",
            b"GET http://x/ HTTP/1.0\r\n",
            b"GET / FTP/1.0\r\n",
            b"GET / HTTP/1.0 more\r\n",
            b"GET /\xff HTTP/1.0\r\n",
            b"DIST00000001",
        ] {
            assert_eq!(
                path(line),
                Err("400 Bad Request"),
                "{}",
                line.escape_ascii()
            );
        }
    }

    #[test]
    fn a_head_ends_at_its_empty_line() {
        assert!(ends_head(b"GET / HTTP/1.0\r\n\r\n") && ends_head(b"GET /\n\n"));
        assert!(!ends_head(b"GET / HTTP/1.0\r\n") && !ends_head(b""));
    }
}
