//! Work that takes the processor for longer than others should wait: it is done beside the threads that serve.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Bytes that are packed, unpacked or read in a few milliseconds.
const LIGHT: usize = 1 << 20;

/// Does `work` on so many bytes.
pub(crate) fn heavy<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let threads = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    // With one thread there is one connection, and nobody who waits.
    if bytes > LIGHT && matches!(threads, Ok(RuntimeFlavor::MultiThread)) {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_thread_does_it_itself() {
        assert_eq!(heavy(2 * LIGHT, || 7), 7);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_meanwhile() {
        let (told, hears) = std::sync::mpsc::channel();
        let waiting = tokio::spawn(async move {
            // The only worker is at work until another task has run, which takes another thread.
            heavy(2 * LIGHT, || hears.recv())
        });
        tokio::spawn(async move { told.send(7) });
        assert_eq!(waiting.await.unwrap(), Ok(7));
    }
}
