//! Letting go of what a parent left open: what std and rustix do not offer in safe words.
#![expect(
    unsafe_code,
    reason = "closing descriptors by number has no safe interface"
)]

/// Closes every descriptor but the standard three. To be called before anything of ours is open.
pub(crate) fn close_inherited() {
    // Safety: a plain system call; nothing in this process owns a descriptor above 2 yet.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}
