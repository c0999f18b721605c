//! What std and rustix do not offer in safe words.
#![expect(
    unsafe_code,
    reason = "closing descriptors by number and forking have no safe interface"
)]

use std::io;

/// Closes every descriptor but the standard three.  To be called before anything of ours is open.
pub(crate) fn close_inherited() {
    // Safety: a plain system call; nothing in this process owns a descriptor above 2 yet.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// Copies this process; true in the copy.  To be called while there is one thread.
///
/// # Errors
/// The system has no room for another process.
pub(crate) fn fork() -> io::Result<bool> {
    // Safety: `main` calls it before any thread is started, so the copy's locks and allocator are consistent.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(true),
        _ => Ok(false),
    }
}
