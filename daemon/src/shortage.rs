//! Waits out what passes: too few descriptors, processes or memory just now. A client whose job was refused for that
//! would compile it itself and stay away for a while.

use std::io;
use std::time::Duration;

/// Between two tries.
pub(crate) const BACK_OFF: Duration = Duration::from_millis(50);
/// After as many tries it is no passing shortage.
const TRIES: u32 = 100;

/// Does `attempt` until it succeeds or fails for another reason, or for too long.
///
/// # Errors
/// Those of `attempt`.
pub(crate) async fn wait_out<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..TRIES {
        match attempt() {
            Err(error) if is_shortage(&error) => tokio::time::sleep(BACK_OFF).await,
            result => return result,
        }
    }
    attempt()
}

/// Whether an error may pass by itself.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    const CODES: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::EAGAIN, libc::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| CODES.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shortages_pass_and_other_errors_do_not() {
        let fails = |times: u32, code: i32| {
            let mut left = times;
            wait_out(move || match left.checked_sub(1) {
                Some(fewer) => {
                    left = fewer;
                    Err(io::Error::from_raw_os_error(code))
                }
                None => Ok(()),
            })
        };
        assert!(fails(50, libc::EMFILE).await.is_ok());
        assert!(fails(1000, libc::EMFILE).await.is_err());
        assert!(fails(1, libc::ENOENT).await.is_err());
    }
}
