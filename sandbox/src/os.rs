//! System calls that neither std nor rustix offers, or not safely: processes that share memory or start in new
//! namespaces, filters, Landlock, attributes of mounts.
#![expect(unsafe_code, reason = "this is the module of what needs it")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

pub(crate) use libc::pid_t;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Which side of a copy this is.
pub(crate) enum Forked {
    Parent(pid_t),
    Child,
}

/// Copies this process, into new namespaces where `flags` say so. The C library is not told: only what needs no
/// thread and no number of its own may be called of it afterwards.
///
/// # Panics
/// When other threads run: their locks would stay held in the child forever.
pub(crate) fn fork(flags: libc::c_int) -> io::Result<Forked> {
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // Safety: without CLONE_VM and a stack this is fork; the child has a copy of everything, and callers see to it
    // that there is no other thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize) };
    Ok(match check(pid)? {
        0 => Forked::Child,
        pid => Forked::Parent(pid as pid_t),
    })
}

/// How many threads this process has.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Ends this process without telling anybody in it.
pub(crate) fn exit(code: i32) -> ! {
    // Safety: nothing runs any more.
    unsafe { libc::_exit(code) }
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

/// A child that was reaped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaped {
    pub(crate) pid: pid_t,
    /// As `wait` gives it.
    pub(crate) status: u32,
}

/// Reaps one child: `pid`, or any for -1. `None`: none has ended, or there is none.
pub(crate) fn reap(pid: pid_t, wait: bool) -> Option<Reaped> {
    let mut status = 0;
    let flags = if wait { 0 } else { libc::WNOHANG };
    loop {
        // Safety: the status outlives the call.
        let pid = unsafe { libc::waitpid(pid, &raw mut status, flags) };
        if pid > 0 {
            return Some(Reaped {
                pid,
                status: status.cast_unsigned(),
            });
        }
        if pid == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return None;
        }
    }
}

/// Whether there are children, ended or not.
pub(crate) fn has_children() -> bool {
    let flags = libc::WNOHANG | libc::WNOWAIT | libc::WEXITED;
    // Safety: the structure is written before anything reads it; nothing is reaped.
    unsafe {
        let mut about: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_ALL, 0, &raw mut about, flags) == 0
    }
}

/// Sends SIGKILL to `pid`; to all that can be reached for -1, to a group for other negative numbers.
pub(crate) fn kill(pid: pid_t) {
    // Safety: numbers only. A process that is gone already is no error.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Seconds of processor time that reaped children and theirs used, and the most memory that one of them had in bytes.
pub(crate) fn used_by_children() -> (f64, u64) {
    // Safety: the structure is written before it is read.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let memory = u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10;
    (seconds(usage.ru_utime) + seconds(usage.ru_stime), memory)
}

/// A program with its words, in the form that the kernel takes.
pub(crate) struct Exec {
    program: CString,
    words: Vec<CString>,
    environment: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
    /// Where in `pointers` the environment begins.
    environment_at: usize,
}

impl Exec {
    /// # Errors
    /// A word holds a NUL.
    pub(crate) fn new(program: CString, words: Vec<CString>, environment: Vec<CString>) -> Self {
        let mut exec = Self {
            program,
            words,
            environment,
            pointers: Vec::new(),
            environment_at: 0,
        };
        let end = [std::ptr::null()];
        exec.pointers = exec
            .words
            .iter()
            .map(|word| word.as_ptr())
            .chain(end)
            .collect();
        exec.environment_at = exec.pointers.len();
        let environment = exec.environment.iter().map(|word| word.as_ptr()).chain(end);
        exec.pointers.extend(environment);
        exec
    }

    /// Becomes the program. Comes back only with an error.
    pub(crate) fn run(&self) -> io::Error {
        let environment = &self.pointers[self.environment_at..];
        // Safety: both rows end with a null pointer and point to strings that `self` owns.
        unsafe {
            libc::execve(
                self.program.as_ptr(),
                self.pointers.as_ptr(),
                environment.as_ptr(),
            )
        };
        io::Error::last_os_error()
    }
}

/// Bytes of stack for a child that borrows our memory; it calls little, and pages that it does not touch cost nothing.
const STACK: usize = 64 << 10;

struct Borrowed<'a> {
    body: &'a mut dyn FnMut(),
}

extern "C" fn borrowed_main(argument: *mut libc::c_void) -> libc::c_int {
    // Safety: `spawn` gives this pointer, and waits until the child is done with it.
    let borrowed = unsafe { &mut *argument.cast::<Borrowed<'_>>() };
    (borrowed.body)();
    127
}

/// Starts a child that runs `body` in this process's memory, while this process stands still, until it becomes another program or
/// ends. Cheaper than a copy. Gives its number and a descriptor that is readable when it has ended.
///
/// `body` may set its own process's limits, directories and descriptors, and write to what it borrows; it may not
/// allocate or panic.
pub(crate) fn spawn(body: &mut dyn FnMut()) -> io::Result<(pid_t, OwnedFd)> {
    // Not zeroed: that would touch each of its pages.
    let mut stack = Vec::<u128>::with_capacity(STACK / 16);
    let mut borrowed = Borrowed { body };
    let mut pidfd: libc::c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // Safety: the stack is the child's alone and outlives it, since CLONE_VFORK lets us go on only when it has left our memory; its end is
    // aligned to 16 bytes. There is no other thread.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(STACK / 16);
        libc::clone(
            borrowed_main,
            top.cast(),
            flags,
            (&raw mut borrowed).cast(),
            &raw mut pidfd,
        )
    };
    check(pid.into())?;
    // Safety: the kernel made it for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok((pid, pidfd))
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

/// What Landlock is asked to decide (linux/landlock.h).
#[repr(C)]
pub(crate) struct RulesetAttributes {
    pub(crate) files: u64,
    pub(crate) network: u64,
    pub(crate) scoped: u64,
}

/// The version of Landlock that the kernel has.
pub(crate) fn landlock_version() -> io::Result<u32> {
    let none = std::ptr::null::<RulesetAttributes>();
    // Safety: the flag asks for a number; nothing is read.
    let version =
        check(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, 1u32) })?;
    u32::try_from(version).map_err(io::Error::other)
}

pub(crate) fn landlock_ruleset(attributes: &RulesetAttributes, size: usize) -> io::Result<OwnedFd> {
    let size = size.min(size_of::<RulesetAttributes>());
    // Safety: the structure outlives the call and is not shorter than `size`.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::from_ref(attributes),
            size,
            0u32,
        )
    })?;
    // Safety: a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Allows `access` below a folder.
pub(crate) fn landlock_allow(
    ruleset: BorrowedFd<'_>,
    folder: BorrowedFd<'_>,
    access: u64,
) -> io::Result<()> {
    #[repr(C, packed)]
    struct PathBeneath {
        access: u64,
        folder: i32,
    }
    let rule = PathBeneath {
        access,
        folder: folder.as_raw_fd(),
    };
    // Safety: the structure outlives the call; 1 is the kind of rule that it is.
    check(unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            1,
            &raw const rule,
            0u32,
        )
    })
    .map(|_| ())
}

/// Holds this process and its children to the rules for good.
pub(crate) fn landlock_restrict(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // Safety: a descriptor and a number.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0u32) })
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
