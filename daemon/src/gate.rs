//! The gate of a daemon with `--keys`: who comes in, and the streams of those who did.
//!
//! A stranger is closed without a byte. What a client sends is taken for its own only once a first record of it has been
//! opened, and everybody who does not come that far has failed (see [`crate::attempts`]). Behind the gate a connection is as any
//! other. Knows nothing of requests and jobs.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use keys::{DaemonKeys, Label, Opener, OpeningReader, RecordError, Refused, Sealer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::attempts::{Attempts, Next};
use crate::connection::{self, Close, Peer};
use crate::log;
use crate::server::{Exchanged, Server};
use crate::stats::{Ended, Event};

/// How long an opening may take, and how long its answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long the sealed end of a connection may take.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Text that is sealed in one go. Small, since senders count what was sealed as taken.
const PIECE: usize = 32 << 10;

/// The keys, and who tried others.
#[derive(Debug)]
pub(crate) struct Gate {
    keys: Exchanged<DaemonKeys>,
    attempts: Attempts,
    refused: AtomicU64,
    /// Connections by the label of their key; as many as there were keys.
    admitted: Mutex<BTreeMap<Label, u64>>,
}

/// Why somebody did not come in.
#[derive(Debug, thiserror::Error)]
enum Turned {
    #[error("connected and left")]
    Nothing,
    #[error("sent no opening in time")]
    TooSlow,
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("too many wrong keys came from there; no more are looked at for a while")]
    TooMany,
}

/// One who knows a key of ours, or has recorded somebody who does.
struct Admitted<'a, R, W> {
    reader: KeyedReader<'a, R>,
    writer: KeyedWriter<W>,
    label: Label,
}

/// Serves a connection until it can be closed: by its key, where keys are needed. `ip`: where from, if that is known.
pub(crate) async fn serve<R, W>(
    server: &Server,
    reader: R,
    writer: W,
    mut peer: Peer,
    ip: Option<IpAddr>,
) -> Close
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Some(gate) = &server.gate else {
        return connection::serve(server, reader, writer, &peer).await;
    };
    let admitted = tokio::select! {
        admitted = gate.admit(reader, writer, ip) => admitted,
        () = peer.place.sent_away() => Err(Turned::TooSlow),
        () = server.ending() => return Close::Orderly,
    };
    match admitted {
        Ok(Admitted {
            mut reader,
            mut writer,
            label,
        }) => {
            peer.name = format!("{}/{label}", peer.name);
            let close = connection::serve(server, &mut reader, &mut writer, &peer).await;
            if reader.unproven.is_some() {
                gate.refused.fetch_add(1, Ordering::Relaxed);
                return close;
            }
            gate.count(label);
            if close == Close::Orderly {
                // So that a client can tell that nobody cut the line. One that has gone needs no word.
                let _ = tokio::time::timeout(LAST_WORD, writer.shutdown()).await;
            }
            close
        }
        Err(turned) => {
            server.stats.count(Event::Accepted);
            server.stats.count(Event::Ended(Ended::BadRequest));
            gate.note(&turned, &peer.name, ip);
            Close::Orderly
        }
    }
}

impl Gate {
    pub(crate) fn new(keys: DaemonKeys) -> Self {
        Self {
            keys: Exchanged::new(keys),
            attempts: Attempts::default(),
            refused: AtomicU64::new(0),
            admitted: Mutex::default(),
        }
    }

    /// Connections that were closed for want of a key.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections of those who proved to have a key, by its label.
    pub(crate) fn admitted(&self) -> BTreeMap<Label, u64> {
        let admitted = self.admitted.lock();
        admitted.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, label: Label) {
        let admitted = self.admitted.lock();
        *admitted
            .unwrap_or_else(PoisonError::into_inner)
            .entry(label)
            .or_default() += 1;
    }

    /// How many clients may come in.
    pub(crate) fn clients(&self) -> usize {
        self.keys.get().len()
    }

    /// From now on these open it. Who is inside stays.
    pub(crate) fn exchange(&self, keys: DaemonKeys) {
        log::notice!("{} keys are served", keys.len());
        self.keys.set(keys);
    }

    async fn admit<R, W>(
        &self,
        mut reader: R,
        mut writer: W,
        ip: Option<IpAddr>,
    ) -> Result<Admitted<'_, R, W>, Turned>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let closed = || ip.is_some_and(|ip| !self.attempts.may_try(ip, Instant::now()));
        if closed() {
            return Err(Turned::TooMany);
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut opening = OpeningReader::default();
        let whole = loop {
            let read = tokio::time::timeout_at(deadline, reader.read(opening.space())).await;
            match read.map_err(|_| Turned::TooSlow)?? {
                0 if !opening.started() => return Err(Turned::Nothing),
                0 => return Err(Refused::Plain.into()),
                count => {
                    if let Some(whole) = opening.filled(count)? {
                        break *whole;
                    }
                }
            }
        };
        // Others of theirs may have failed meanwhile, and what follows costs time.
        if closed() {
            return Err(Turned::TooMany);
        }
        let keys = self.keys.get();
        let (session, answer, label) = keys.answer(&whole)?;
        let unproven = Unproven { gate: self, ip };
        let send = async {
            writer.write_all(&answer).await?;
            writer.flush().await
        };
        let sent = tokio::time::timeout(PATIENCE, send).await;
        sent.map_err(|_| Turned::TooSlow)??;
        Ok(Admitted {
            reader: KeyedReader {
                inner: reader,
                opener: session.opener,
                unproven: Some(unproven),
            },
            writer: KeyedWriter {
                inner: writer,
                sealer: session.sealer,
                out: Vec::new(),
                sent: 0,
            },
            label: label.clone(),
        })
    }

    fn note(&self, turned: &Turned, name: &str, ip: Option<IpAddr>) {
        if matches!(turned, Turned::TooMany | Turned::Refused(_)) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        match turned {
            Turned::Nothing => log::debug!("{name}: {turned}"),
            // Said when it began.
            Turned::TooMany => log::debug!("{name}: closed: {turned}"),
            Turned::TooSlow | Turned::Io(_) => log::info!("{name}: closed: {turned}"),
            Turned::Refused(_) => {
                log::warning!("{name}: closed: {turned}");
                self.failed(ip);
            }
        }
    }

    fn failed(&self, ip: Option<IpAddr>) {
        if let Some(ip) = ip
            && self.attempts.may_try(ip, Instant::now())
            && self.attempts.failed(ip, Instant::now()) == Next::Closed
        {
            log::warning!("{ip}: {}", Turned::TooMany);
        }
    }
}

/// Counts as a failure unless it is taken away.
#[derive(Debug)]
struct Unproven<'a> {
    gate: &'a Gate,
    ip: Option<IpAddr>,
}

impl Unproven<'_> {
    fn proven(mut self) {
        self.ip = None;
    }
}

impl Drop for Unproven<'_> {
    fn drop(&mut self) {
        self.gate.failed(self.ip);
    }
}

/// What a client says, opened.
struct KeyedReader<'a, R> {
    inner: R,
    opener: Opener,
    unproven: Option<Unproven<'a>>,
}

impl<R: AsyncRead + Unpin> AsyncRead for KeyedReader<'_, R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let count = this.opener.take(buffer.initialize_unfilled());
            let count = count.map_err(broken)?;
            buffer.advance(count);
            if this.opener.proven()
                && let Some(unproven) = this.unproven.take()
            {
                unproven.proven();
            }
            if count > 0 || buffer.remaining() == 0 || this.opener.ended() {
                return Poll::Ready(Ok(()));
            }
            let mut raw = ReadBuf::new(this.opener.space());
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut raw))?;
            match raw.filled().len() {
                0 => return Poll::Ready(this.opener.eof().map_err(broken)),
                count => this.opener.filled(count),
            }
        }
    }
}

fn broken(error: RecordError) -> io::Error {
    let kind = match error {
        RecordError::Cut => io::ErrorKind::UnexpectedEof,
        RecordError::Forged | RecordError::TooMany => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

/// Seals what is said to a client. What was taken may still be here until it is flushed.
struct KeyedWriter<W> {
    inner: W,
    sealer: Sealer,
    /// Sealed; the first `sent` bytes are on their way.
    out: Vec<u8>,
    sent: usize,
}

impl<W: AsyncWrite + Unpin> KeyedWriter<W> {
    fn poll_hand_over(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            let rest = &self.out[self.sent..];
            match ready!(Pin::new(&mut self.inner).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for KeyedWriter<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        text: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_hand_over(context))?;
        let piece = &text[..text.len().min(PIECE)];
        this.sealer
            .seal(piece, &mut this.out)
            .map_err(io::Error::other)?;
        // What does not go now goes with the next write or flush.
        if let Poll::Ready(Err(error)) = this.poll_hand_over(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_hand_over(context))?;
        Pin::new(&mut this.inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_hand_over(context))?;
        this.sealer.end(&mut this.out).map_err(io::Error::other)?;
        ready!(this.poll_hand_over(context))?;
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
