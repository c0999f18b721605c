//! Hands answers over, as fast as a peer takes them but not as slowly as it likes. A compile's slot is free by then.

use std::time::Duration;

use protocol::Outcome;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::deadline::Deadline;

/// How long a peer may take nothing of its answer.
const PATIENCE: Duration = Duration::from_millis(4500);
/// Bytes of an answer that are handed over in one piece at most.
const CHUNK: usize = 256 << 10;
/// Hands a whole answer over.
///
/// # Errors
/// The peer went away, or takes too little.
pub(crate) async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    reply: &Outcome,
) -> std::io::Result<()> {
    let parts = reply.parts().map_err(std::io::Error::other)?;
    // Heads and small bodies go out as one packet; a large body is not copied for it.
    let mut pending = Vec::new();
    for part in parts {
        if part.len() >= CHUNK {
            send_bytes(writer, &std::mem::take(&mut pending)).await?;
            send_bytes(writer, &part).await?;
        } else {
            pending.extend_from_slice(&part);
        }
    }
    send_bytes(writer, &pending).await?;
    finish(writer).await
}

/// Sees to it that all that was sent is on its way.
pub(crate) async fn finish(writer: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    // A file's writer hands bytes to a thread, and its shutdown does not wait for them.
    tokio::time::timeout(PATIENCE, writer.flush()).await??;
    tokio::time::timeout(PATIENCE, writer.shutdown()).await?
}

/// Hands bytes over, as fast as the peer takes them but not as slowly as it likes.
pub(crate) async fn send_bytes(
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
) -> std::io::Result<()> {
    let mut deadline = Deadline::new(PATIENCE, PATIENCE);
    let mut left = bytes;
    while !left.is_empty() {
        let chunk = &left[..left.len().min(CHUNK)];
        let count = tokio::time::timeout_at(deadline.at(), writer.write(chunk)).await??;
        if count == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        deadline.earn(count as u64);
        left = &left[count..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::time::Instant;

    /// Takes so many bytes after each pause; tells how sending a MiB went, and how long it took (in paused time).
    async fn send_to_reader(step: usize, pause: Duration) -> (std::io::Result<()>, Duration) {
        let (mut ours, mut theirs) = tokio::io::duplex(64 << 10);
        let reader = tokio::spawn(async move {
            let mut taken = vec![0; step];
            loop {
                if step == 0 {
                    break;
                }
                tokio::time::sleep(pause).await;
                if matches!(theirs.read(&mut taken).await, Ok(0) | Err(_)) {
                    return;
                }
            }
            std::future::pending().await
        });
        let start = Instant::now();
        let sent = send_bytes(&mut ours, &vec![0; 1 << 20]).await;
        reader.abort();
        (sent, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_or_drips_is_left_and_slow_lines_are_served() {
        let (sent, took) = send_to_reader(0, Duration::ZERO).await;
        assert!(sent.is_err() && took <= PATIENCE, "{took:?}");
        let (sent, took) = send_to_reader(1, Duration::from_millis(100)).await;
        assert!(sent.is_err() && took < 2 * PATIENCE, "{took:?}");
        // 20 KiB a second.
        let (sent, took) = send_to_reader(40 << 10, Duration::from_secs(2)).await;
        assert!(sent.is_ok() && took > Duration::from_secs(40), "{took:?}");
    }
}
