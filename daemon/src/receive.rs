//! Reads one request under a deadline that moves with what comes: silence and drips end, slow lines do not.
//!
//! A stock client sends its head at once and the source when its preprocessor is done, so the pause between the two
//! may be long; within either part a peer has to keep up a least rate, and the whole must come before a last moment.
//! When requests need too much memory together, large ones go on in a file.

use std::time::Duration;

use protocol::{
    Limits, Opening, OpeningDecoder, Progress, ProtocolError, Request, RequestHead, Token,
    hello::Question,
};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::store::{self, Keep};

/// How long a part of a request may take that brings nothing.
const PATIENCE: Duration = Duration::from_secs(6);
/// The most patience that bytes can earn.
const MAX_PATIENCE: Duration = Duration::from_secs(10);
/// The most that a whole request may take beside its client's preprocessing.
const MAX_WHOLE: Duration = Duration::from_secs(600);
/// A request of less is never what fills the memory.
const SMALL: u64 = 1 << 20;

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
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    #[error("the request came too slowly")]
    TooSlow,
    #[error("there were too many connections, and this one was the longest incomplete")]
    TooMany,
    #[error("no room for the request: it could not be kept in a file")]
    NoRoom(#[source] std::io::Error),
    #[error("no room for the request: others fill the memory")]
    NoMemory,
}

/// Reads a request to its end. `pause` is how long a client may preprocess. What of a preprocessed source is in `keep`'s
/// file then is missing in the request.
///
/// # Errors
/// Everything that is not a whole request of a version that is served.
pub(crate) async fn receive(
    reader: &mut (impl AsyncRead + Unpin),
    limits: Limits,
    pause: Duration,
    keep: &mut Keep,
) -> Result<Received, ReceiveError> {
    let mut decoder = OpeningDecoder::new(limits);
    let mut deadline = Deadline::new(PATIENCE, MAX_PATIENCE);
    let last = Instant::now() + pause + MAX_WHOLE;
    let mut place = Place::Head;
    loop {
        let read = tokio::time::timeout_at(deadline.at().min(last), reader.read(decoder.space()));
        let count = read.await.map_err(|_| ReceiveError::TooSlow)??;
        if count == 0 {
            return if decoder.started() {
                Err(decoder.eof().into())
            } else {
                Ok(Received::Nothing)
            };
        }
        let progress = decoder.filled(count)?;
        keep.holds(decoder.received() - keep.in_file());
        if progress == Progress::Done {
            return Ok(match decoder.finish()? {
                Opening::Job(request) => Received::Request(Box::new(request)),
                Opening::Hello(question) => Received::Hello(question),
            });
        }
        if keep.is_crowded() {
            make_room(&mut decoder, keep)?;
        }
        let now = place.after(&decoder);
        match (now == place, now) {
            (true, Place::Pause) => {}
            (true, _) => deadline.earn(count as u64),
            (false, Place::Pause) => deadline = Deadline::new(pause, pause),
            (false, _) => deadline = Deadline::new(PATIENCE, MAX_PATIENCE),
        }
        place = now;
    }
}

/// Puts into a file what has come of a large source.
fn make_room(decoder: &mut OpeningDecoder, keep: &mut Keep) -> Result<(), ReceiveError> {
    if decoder.held() < store::WORTH_A_FILE {
        return Ok(());
    }
    if let Some(bytes) = decoder.spill() {
        keep.put(&bytes).map_err(ReceiveError::NoRoom)?;
        keep.holds(decoder.received() - keep.in_file());
    } else if keep.is_overfull() && decoder.received() > SMALL {
        return Err(ReceiveError::NoMemory);
    }
    Ok(())
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
    use crate::queue::Client;
    use crate::store::Store;
    use protocol::{Body, Source};
    use tokio::io::AsyncWriteExt;

    const PAUSE: Duration = Duration::from_secs(300);

    fn request() -> Request {
        Request {
            version: protocol::Version::Plain,
            cwd: None,
            argv: vec![b"gcc".to_vec(), b"-c".to_vec(), b"a.c".to_vec()],
            source: Source::Preprocessed(Body::Plain(vec![b'x'; 1000])),
        }
    }

    fn keep() -> Keep {
        Keep::new(&Store::new("/tmp".into()), Client::nameless())
    }

    async fn receive_bytes(bytes: &[u8]) -> Result<Received, ReceiveError> {
        receive(&mut &bytes[..], Limits::for_daemon(), PAUSE, &mut keep()).await
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
        let result = receive(&mut theirs, Limits::for_daemon(), PAUSE, &mut keep()).await;
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
        let result = receive(&mut theirs, Limits::for_daemon(), PAUSE, &mut keep()).await;
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
        let result = receive(&mut theirs, Limits::for_daemon(), PAUSE, &mut keep()).await;
        assert!(matches!(result, Ok(Received::Request(_))), "{result:?}");
        drop(sender.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_takes_for_ever() {
        let big = Request {
            source: Source::Preprocessed(Body::Plain(vec![b'x'; 64 << 20])),
            ..request()
        };
        let bytes = big.encode().unwrap();
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        let sender = tokio::spawn(async move {
            // Just above the least rate.
            for chunk in bytes.chunks(20 << 10) {
                if ours.write_all(chunk).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        let result = receive(&mut theirs, Limits::for_daemon(), PAUSE, &mut keep()).await;
        assert!(matches!(result, Err(ReceiveError::TooSlow)), "{result:?}");
        assert_eq!(start.elapsed().as_secs(), (PAUSE + MAX_WHOLE).as_secs());
        sender.abort();
    }

    #[tokio::test]
    async fn a_large_source_goes_to_a_file_when_memory_is_short() {
        let text: Vec<u8> = (0..3u32 << 20).map(|n| (n % 251) as u8).collect();
        let big = Request {
            source: Source::Preprocessed(Body::Plain(text.clone())),
            ..request()
        };
        let folder = tempfile::tempdir().unwrap();
        let store = Store::with_room(folder.path().to_owned(), 1 << 20, 1 << 30);
        let mut keep = Keep::new(&store, Client::nameless());
        let bytes = big.encode().unwrap();
        let received = receive(&mut &bytes[..], Limits::for_daemon(), PAUSE, &mut keep).await;
        let Ok(Received::Request(came)) = received else {
            panic!("no request")
        };
        let (in_memory, in_file) = store.kept();
        assert!(
            in_file > 1 << 20 && in_memory < 2 << 20,
            "{in_memory} {in_file}"
        );
        let Source::Preprocessed(Body::Plain(rest)) = came.source else {
            panic!("another source")
        };
        assert!(keep.take_back(rest).unwrap() == text);
        assert_eq!(store.kept(), (0, 0));
    }
}
