//! Signals that come as bytes of a pipe to a thread of their own, between whole steps of the others.
//!
//! By handlers and not by a mask: children inherit masks, and would then outlive what is meant to end them.
#![expect(unsafe_code, reason = "signal handlers have no safe interface")]

use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::os::on_signals;

/// The end of the pipe that the handler writes to; open as long as the process.
static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note(signal: libc::c_int) {
    let byte = signal as u8;
    // Safety: write is async-signal-safe, errno is put back, and the byte outlives the call.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(PIPE.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
        *libc::__errno_location() = errno;
    }
}

/// Calls `came` with each SIGINT, SIGTERM and SIGHUP from now on, on a thread of its own.  One that our parent chose to ignore
/// (`nohup`) stays ignored.
///
/// # Errors
/// When there is no descriptor for a pipe; signals then do what they always do.
pub(super) fn listen(came: impl Fn(i32) + Send + 'static) -> io::Result<()> {
    let (mut heard, told) = io::pipe()?;
    PIPE.store(told.as_raw_fd(), Ordering::Relaxed);
    // The handler may write at any time.
    std::mem::forget(told);
    std::thread::Builder::new().spawn(move || {
        let mut signal = [0];
        while heard.read_exact(&mut signal).is_ok() {
            came(i32::from(signal[0]));
        }
    })?;
    let signals = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
    on_signals(&signals, note, libc::SA_RESTART);
    Ok(())
}
