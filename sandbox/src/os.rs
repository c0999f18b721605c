//! System calls that neither std nor rustix offers, or not safely: processes that share memory or start in new
//! namespaces, filters, Landlock, attributes of mounts.
#![expect(unsafe_code, reason = "this is the module of what needs it")]

mod landlock;
mod process;

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicU64;

pub(crate) use landlock::{
    RulesetAttributes, landlock_allow, landlock_restrict, landlock_ruleset, landlock_version,
};
pub(crate) use process::{
    Exec, Forked, Stack, exit, fork, has_children, hold_all, kill, let_all_go, pid_t, reap, spawn,
    threads, used_by_children,
};

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Becomes another user for good: real, effective and saved ids, and no groups but `gid`.
pub(crate) fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    // Safety: a list of no groups is never read.
    let done = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(gid, gid, gid) == 0
            && libc::setresuid(uid, uid, uid) == 0
    };
    if done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Leaves namespaces of the caller behind.
pub(crate) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // Safety: only this process's own namespaces change; no descriptors are shared with another thread.
    check(unsafe { libc::unshare(flags) }.into()).map(|_| ())
}

/// Programs that are started from here on gain no capability by being root, and no bit of this can be changed back.
pub(crate) fn lock_capabilities() -> io::Result<()> {
    // SECBIT_NOROOT, NO_SETUID_FIXUP off, NO_CAP_AMBIENT_RAISE, each with its lock (linux/securebits.h).
    const BITS: libc::c_ulong = 0b1 | 0b10 | 0b0100_0000 | 0b1000_0000;
    // Safety: numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, BITS, 0, 0, 0) }.into()).map(|_| ())
}

/// Lets these signals be ignored or not; programs inherit what is ignored.
pub(crate) fn ignore_signals(signals: &[libc::c_int], ignore: bool) {
    let disposition = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    for signal in signals {
        // Safety: no handler is involved.
        unsafe { libc::signal(*signal, disposition) };
    }
}

/// No signal is held back any more, as programs expect it.
pub(crate) fn unblock_signals() {
    // Safety: the set is filled in before it is read.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// A descriptor that is readable while a child waits to be reaped.
pub(crate) fn watch_children() -> io::Result<OwnedFd> {
    // Safety: the set is filled in before it is read; the descriptor is new.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Puts `fds` (the first may be 0 itself) at 0, 1 and 2 and closes all others. For a child that is about to become a program.
pub(crate) fn keep_only(fds: [BorrowedFd<'_>; 3]) -> io::Result<()> {
    for (at, fd) in (0..).zip(fds) {
        // Safety: callers hold descriptors above 2, so that none is overwritten before it is copied.
        check(unsafe { libc::dup2(fd.as_raw_fd(), at) }.into())?;
    }
    // Safety: this process uses no other from here on.
    check(unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) }).map(|_| ())
}

/// Closes all above 2 but one.
pub(crate) fn close_but(fd: i32) -> io::Result<()> {
    let fd = fd.cast_unsigned();
    for (first, last) in [(3, fd.wrapping_sub(1)), (fd + 1, libc::c_uint::MAX)] {
        if first <= last && last != fd {
            // Safety: this process, a fresh copy, uses none of them.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
    }
    Ok(())
}

/// The same descriptor under a number above 2.
pub(crate) fn above_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?)
}

/// Makes everything below a mount read-only and without set-uid programs.
pub(crate) fn make_read_only(path: &Path) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        namespace: u64,
    }
    const RDONLY: u64 = 1;
    const NOSUID: u64 = 2;
    let attributes = Attributes {
        set: RDONLY | NOSUID,
        clear: 0,
        propagation: 0,
        namespace: 0,
    };
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    // Safety: path and structure outlive the call, and the size is the structure's.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    })
    .map(|_| ())
}

/// Puts a filter before all system calls from here on.
pub(crate) fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    // Safety: the kernel copies the program, whose length is given, and writes nothing.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    })
    .map(|_| ())
}

/// Enters a directory, for a child that is about to become a program.
pub(crate) fn enter(folder: &CStr) -> io::Result<()> {
    // Safety: a string.
    check(unsafe { libc::chdir(folder.as_ptr()) }.into()).map(|_| ())
}

/// A limit of this process and its children, hard and soft.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // Safety: the structure outlives the call.
    check(unsafe { libc::setrlimit(resource, &raw const limit) }.into()).map(|_| ())
}

/// Numbers, all 0, that this process shares with those that are copied from it, for as long as one of them is there.
pub(crate) fn shared_numbers(count: usize) -> io::Result<&'static [AtomicU64]> {
    let len = count * size_of::<AtomicU64>();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // Safety: a fresh mapping of `len` bytes, aligned to a page and zeroed, that nobody ever takes away.
    unsafe {
        let memory = libc::mmap(std::ptr::null_mut(), len, access, flags, -1, 0);
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(std::slice::from_raw_parts(
            memory.cast::<AtomicU64>(),
            count,
        ))
    }
}
