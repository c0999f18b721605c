//! Reads one request under a deadline that moves with what comes: silence and drips end, slow lines do not.
//!
//! A stock client sends its head at once and the source when its preprocessor is done, so the pause between the two
//! may be long; within either part a peer has to keep up a least rate.

use std::time::Duration;

use protocol::{
    Limits, Opening, OpeningDecoder, Progress, ProtocolError, Request, RequestHead, Token, Version,
    hello::Question,
};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// How long a part of a request may take that brings nothing.
const PATIENCE: Duration = Duration::from_secs(6);
/// The most patience that bytes can earn.
const MAX_PATIENCE: Duration = Duration::from_secs(10);
/// What earns a second.
const LEAST_RATE: u64 = 16 << 10;

/// What came of a connection.
#[derive(Debug)]
pub(crate) enum Received {
    Request(Box<Request>),
    /// Wants to know whose daemon this is.
    Hello(Question),
    /// Connected and left without a byte, as probes do.
    Nothing,
}

/// Why no request came of it. None of these is answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error("the request breaks the protocol")]
    Protocol(#[from] ProtocolError),
    #[error("pump mode is not served yet")]
    Pump,
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    #[error("the request came too slowly")]
    TooSlow,
    #[error("there were too many connections, and this one was the longest incomplete")]
    TooMany,
}

/// A point in time that moves on with each byte.
struct Deadline(Instant);

impl Deadline {
    fn start() -> Self {
        Self(Instant::now() + PATIENCE)
    }

    fn earn(&mut self, bytes: u64) {
        let earned = Duration::from_secs_f64(bytes as f64 / LEAST_RATE as f64);
        self.0 = (self.0 + earned).min(Instant::now() + MAX_PATIENCE);
    }
}

/// Reads a request to its end. `pause` is how long a client may preprocess.
///
/// # Errors
/// Everything that is not a whole request of a version that is served.
pub(crate) async fn receive(
    reader: &mut (impl AsyncRead + Unpin),
    limits: Limits,
    pause: Duration,
) -> Result<Received, ReceiveError> {
    let mut decoder = OpeningDecoder::new(limits);
    let mut deadline = Deadline::start();
    let mut place = Place::Head;
    loop {
        let read = tokio::time::timeout_at(deadline.0, reader.read(decoder.space()));
        let count = read.await.map_err(|_| ReceiveError::TooSlow)??;
        if count == 0 {
            return if decoder.started() {
                Err(decoder.eof().into())
            } else {
                Ok(Received::Nothing)
            };
        }
        if decoder.filled(count)? == Progress::Done {
            // Asked here too: a request that came in one read never stopped after its head.
            refuse_pump(decoder.head())?;
            return Ok(match decoder.finish()? {
                Opening::Job(request) => Received::Request(Box::new(request)),
                Opening::Hello(question) => Received::Hello(question),
            });
        }
        refuse_pump(decoder.head())?;
        let now = place.after(&decoder);
        match (now == place, now) {
            (true, Place::Pause) => {}
            (true, _) => deadline.earn(count as u64),
            (false, Place::Pause) => deadline = Deadline(Instant::now() + pause),
            (false, _) => deadline = Deadline::start(),
        }
        place = now;
    }
}

fn refuse_pump(head: Option<&RequestHead>) -> Result<(), ReceiveError> {
    match head {
        Some(head) if head.version == Version::Pump => Err(ReceiveError::Pump),
        _ => Ok(()),
    }
}

/// Which part of a request is coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    /// All words are there, the source's length is not: the client preprocesses.
    Pause,
    Source,
}

impl Place {
    fn after(self, decoder: &OpeningDecoder) -> Self {
        match decoder.head() {
            None => Self::Head,
            Some(_) if self == Self::Source => Self::Source,
            Some(head) if decoder.received() < head_len(head) + Token::LEN as u64 => Self::Pause,
            Some(_) => Self::Source,
        }
    }
}

/// Bytes of `DIST [CDIR] ARGC ARGV*`.
fn head_len(head: &RequestHead) -> u64 {
    let words: usize = head.argv.iter().map(|word| Token::LEN + word.len()).sum();
    let cwd = head.cwd.as_ref().map_or(0, |cwd| Token::LEN + cwd.len());
    (2 * Token::LEN + cwd + words) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Body, Source};
    use tokio::io::AsyncWriteExt;

    const PAUSE: Duration = Duration::from_secs(300);

    fn request() -> Request {
        Request {
            version: Version::Plain,
            cwd: None,
            argv: vec![b"gcc".to_vec(), b"-c".to_vec(), b"a.c".to_vec()],
            source: Source::Preprocessed(Body::Plain(vec![b'x'; 1000])),
        }
    }

    async fn receive_bytes(bytes: &[u8]) -> Result<Received, ReceiveError> {
        receive(&mut &bytes[..], Limits::for_daemon(), PAUSE).await
    }

    #[tokio::test]
    async fn a_whole_request_comes_back() {
        let bytes = request().encode().unwrap();
        let Ok(Received::Request(came)) = receive_bytes(&bytes).await else {
            panic!("no request")
        };
        assert_eq!(*came, request());
    }

    #[tokio::test]
    async fn every_prefix_is_cut_off() {
        let bytes = request().encode().unwrap();
        assert!(matches!(receive_bytes(&[]).await, Ok(Received::Nothing)));
        for len in 1..bytes.len() {
            assert!(
                matches!(
                    receive_bytes(&bytes[..len]).await,
                    Err(ReceiveError::Protocol(_))
                ),
                "{len}"
            );
        }
    }

    #[tokio::test]
    async fn pump_requests_are_refused_before_their_files() {
        let head =
            protocol::request::encode_head(Version::Pump, Some(b"/w"), [&b"gcc"[..]].into_iter())
                .unwrap();
        assert!(matches!(
            receive_bytes(&head).await,
            Err(ReceiveError::Pump)
        ));
    }

    /// Sends `bytes` one by one, each after `gap`; tells how long the receiver bore it (in tokio's paused time).
    async fn drip(bytes: Vec<u8>, gap: Duration) -> (Result<Received, ReceiveError>, Duration) {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let sender = tokio::spawn(async move {
            for byte in bytes {
                tokio::time::sleep(gap).await;
                if ours.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
            // Keeps the connection open without a word.
            tokio::time::sleep(Duration::from_secs(3600)).await;
        });
        let start = Instant::now();
        let result = receive(&mut theirs, Limits::for_daemon(), PAUSE).await;
        let took = start.elapsed();
        sender.abort();
        (result, took)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_drips_end() {
        let bytes = request().encode().unwrap();
        let half = bytes.len() - 500;
        for (bytes, gap) in [
            (vec![], 0),
            (b"DIST00".to_vec(), 0),
            (bytes.clone(), 1000),
            (bytes[..half].to_vec(), 1),
        ] {
            let (result, took) = drip(bytes, Duration::from_millis(gap)).await;
            assert!(matches!(result, Err(ReceiveError::TooSlow)), "{result:?}");
            assert!(took < Duration::from_secs(10), "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_preprocess_for_long() {
        let bytes = request().encode().unwrap();
        let head = bytes.len() - 1000 - Token::LEN;
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let sender = tokio::spawn(async move {
            ours.write_all(&bytes[..head]).await.unwrap();
            tokio::time::sleep(PAUSE - Duration::from_secs(1)).await;
            ours.write_all(&bytes[head..]).await.unwrap();
            ours
        });
        let result = receive(&mut theirs, Limits::for_daemon(), PAUSE).await;
        assert!(matches!(result, Ok(Received::Request(_))), "{result:?}");
        drop(sender.await.unwrap());
        let head = request().encode().unwrap()[..head].to_vec();
        let (result, took) = drip(head, Duration::ZERO).await;
        assert!(matches!(result, Err(ReceiveError::TooSlow)), "{result:?}");
        assert!(
            took >= PAUSE && took < PAUSE + Duration::from_secs(1),
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_is_served() {
        let big = Request {
            source: Source::Preprocessed(Body::Plain(vec![b'x'; 1 << 20])),
            ..request()
        };
        let bytes = big.encode().unwrap();
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        let sender = tokio::spawn(async move {
            // 32 KiB a second.
            for chunk in bytes.chunks(16 << 10) {
                ours.write_all(chunk).await.unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            ours
        });
        let result = receive(&mut theirs, Limits::for_daemon(), PAUSE).await;
        assert!(matches!(result, Ok(Received::Request(_))), "{result:?}");
        drop(sender.await.unwrap());
    }
}
