//! Locks on single bytes, and what a signal that ends us does about a token that is lent.
#![expect(
    unsafe_code,
    reason = "byte-range locks and signal handlers have no safe interface"
)]

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};

use integration_ninja::jobserver::Tokens;

use super::record::Debt;

/// Locks the byte at `at`, if nobody else has it locked.
pub(super) fn lock(file: &File, at: u64) -> bool {
    set(file, libc::F_WRLCK as i16, at, 1)
}

pub(super) fn unlock(file: &File, at: u64) {
    set(file, libc::F_UNLCK as i16, at, 1);
}

/// Locks all bytes, if nobody else has one of them locked.
pub(super) fn lock_all(file: &File) -> bool {
    set(file, libc::F_WRLCK as i16, 0, 0)
}

pub(super) fn unlock_all(file: &File) {
    set(file, libc::F_UNLCK as i16, 0, 0);
}

fn set(file: &File, kind: i16, start: u64, length: libc::off_t) -> bool {
    let Ok(start) = libc::off_t::try_from(start) else {
        return false;
    };
    // Safety: `lock` is a whole structure, and the descriptor is open.
    unsafe {
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = kind;
        lock.l_whence = libc::SEEK_SET as i16;
        lock.l_start = start;
        lock.l_len = length;
        libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) == 0
    }
}

/// The jobserver that we owe a token; -1 while we owe none.
static JOBSERVER: AtomicI32 = AtomicI32::new(-1);
/// The record of it, and where in it our debt is.
static RECORD: AtomicI32 = AtomicI32::new(-1);
static AT: AtomicI64 = AtomicI64::new(0);

/// Has a signal take our token back from now on.
pub(super) fn owe(tokens: &Tokens, debt: &Debt) {
    let (file, at) = debt.place();
    RECORD.store(file.as_raw_fd(), Ordering::Relaxed);
    AT.store(i64::try_from(at).unwrap_or(0), Ordering::Relaxed);
    JOBSERVER.store(tokens.as_fd().as_raw_fd(), Ordering::Release);
}

pub(super) fn owe_nothing() {
    JOBSERVER.store(-1, Ordering::Release);
}

/// How long a signal that ends us waits for our token.  The tool, which got the signal too, gives back those of its other
/// commands as they end.
const PATIENCE_MS: i64 = 1000;

/// For a signal handler: takes our token back, if it is lent and comes soon.  A second signal does not wait.
pub(crate) fn repay_on_signal() {
    let jobserver = JOBSERVER.swap(-1, Ordering::Acquire);
    if jobserver < 0 {
        return;
    }
    let begun = now_ms();
    loop {
        let left = PATIENCE_MS - (now_ms() - begun);
        if left <= 0 {
            return;
        }
        let mut wanted = libc::pollfd {
            fd: jobserver,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut byte = 0u8;
        // Safety: poll, read and pwrite are async-signal-safe; both descriptors stay open as long as a debt is noted.
        unsafe {
            libc::poll(&raw mut wanted, 1, left as libc::c_int);
            if libc::read(jobserver, (&raw mut byte).cast(), 1) == 1 {
                let (record, at) = (RECORD.load(Ordering::Relaxed), AT.load(Ordering::Relaxed));
                byte = 0;
                libc::pwrite(record, (&raw const byte).cast(), 1, at);
                return;
            }
        }
    }
}

fn now_ms() -> i64 {
    // Safety: clock_gettime is async-signal-safe and fills a whole structure.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
        time
    };
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
