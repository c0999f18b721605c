//! The few things that need `unsafe`: a fork, a signal's disposition, a socket option that rustix lacks, and watching a
//! descriptor.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Which side of a fork this is.
pub(crate) enum Forked {
    Parent,
    Child,
}

/// Copies this process.
///
/// # Errors
/// The system has no room for another process.
///
/// # Panics
/// When other threads run: their locks would stay held in the child forever.
pub(crate) fn fork() -> std::io::Result<Forked> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    assert_eq!(
        threads, 1,
        "the daemon goes to the background before any thread starts"
    );
    #[expect(unsafe_code, reason = "neither std nor rustix offers fork")]
    // Safety: no other thread exists (checked above), so the child's copy of every lock and allocator is consistent.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        _ => Ok(Forked::Parent),
    }
}

/// Becomes another user with all threads, for good: real, effective and saved ids, and no groups but `gid`.
///
/// # Errors
/// This is not root.
pub(crate) fn become_user(uid: u32, gid: u32) -> std::io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "rustix changes one thread only; the C library changes all"
    )]
    // Safety: a list of no groups is never read.
    let done = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(gid, gid, gid) == 0
            && libc::setresuid(uid, uid, uid) == 0
    };
    if done {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Lets compilers be waited for, also where whoever started this process ignores the end of his children.
pub(crate) fn heed_children() {
    #[expect(unsafe_code, reason = "neither std nor rustix sets a disposition")]
    // Safety: no handler is involved.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL)
    };
}

/// Lets memory of large bodies go back to the system with them. The C library would keep it for the next one, once for each of
/// many arenas, and the processes of the box would start with it.
pub(crate) fn return_large_memory() {
    #[cfg(target_env = "gnu")]
    {
        const LARGE: libc::c_int = 128 << 10;
        #[expect(unsafe_code, reason = "neither std nor rustix sets up the allocator")]
        // Safety: numbers only, before there is a second thread.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
            libc::mallopt(libc::M_ARENA_MAX, 2);
        }
    }
}

/// Keeps from compilers whatever descriptors this process was started with.
pub(crate) fn close_inherited_on_exec() {
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    #[expect(unsafe_code, reason = "rustix does not have this call")]
    // Safety: no descriptor is closed here; all stay valid for whoever owns them.
    let result = unsafe { libc::close_range(3, libc::c_uint::MAX, flags) };
    if result != 0 {
        crate::log::debug!(
            "inherited descriptors stay open: {}",
            std::io::Error::last_os_error()
        );
    }
}

/// Takes over a descriptor that this process was started with. Once for each, before anything opens others.
///
/// # Errors
/// No such descriptor is open.
pub(crate) fn take_descriptor(fd: i32) -> std::io::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "a descriptor that came as a number")]
    // Safety: the call reads the flags of a number, whatever that is.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    if flags == -1 {
        return Err(std::io::Error::last_os_error());
    }
    #[expect(unsafe_code, reason = "a descriptor that came as a number")]
    // Safety: it is open, and whoever started us left it to this call alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Leaves connections with the kernel until their first bytes are there (or it gives up waiting).
///
/// # Errors
/// The socket is not a TCP socket, or the system does not know the option.
pub(crate) fn set_defer_accept(socket: BorrowedFd<'_>) -> std::io::Result<()> {
    set_tcp_option(socket, libc::TCP_DEFER_ACCEPT, 1)
}

/// Lets the kernel take no more than so many bytes that it cannot send yet, so that it shows how fast the peer takes
/// them. Connections inherit it from the socket that listens.
///
/// # Errors
/// As [`set_defer_accept`].
pub(crate) fn set_unsent_limit(socket: BorrowedFd<'_>, bytes: i32) -> std::io::Result<()> {
    set_tcp_option(socket, libc::TCP_NOTSENT_LOWAT, bytes)
}

fn set_tcp_option(socket: BorrowedFd<'_>, option: i32, value: libc::c_int) -> std::io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    #[expect(unsafe_code, reason = "rustix does not have these options")]
    // Safety: the pointer and the length are those of `value`, which outlives the call; the descriptor is open.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            len,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// What owns one open descriptor, the same for as long as it lives.
pub(crate) trait Owned: AsRawFd {}
impl Owned for OwnedFd {}
impl Owned for sandbox::Running {}

/// Waits for `fd` to become readable, in the runtime that this is called in.
///
/// # Errors
/// The kernel cannot watch such a descriptor.
pub(crate) fn watch<T: Owned>(fd: T) -> std::io::Result<AsyncFd<T>> {
    #[expect(
        unsafe_code,
        reason = "AsyncFd trusts its owner to keep the descriptor open"
    )]
    // Safety: `Owned` says that it is open and stays the same description until it is dropped, which `AsyncFd` does last.
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    Ok(watched?)
}
