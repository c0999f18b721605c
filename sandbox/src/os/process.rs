//! Processes: copies, children that borrow memory, what they become, and their ends.
#![expect(unsafe_code, reason = "this is the module of what needs it")]

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::check;

pub(crate) use libc::pid_t;

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

/// A child that was reaped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaped {
    pub(crate) pid: pid_t,
    /// As `wait` gives it.
    pub(crate) status: u32,
    /// Bytes that it, or one of its own that it reaped, had in memory at most.
    pub(crate) peak: u64,
}

/// Reaps one child: `pid`, or any for -1. `None`: none has ended, or there is none.
pub(crate) fn reap(pid: pid_t, wait: bool) -> Option<Reaped> {
    let mut status = 0;
    let flags = if wait { 0 } else { libc::WNOHANG };
    loop {
        // Safety: status and structure outlive the call; zeros are a value of the structure.
        let (pid, usage) = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            let pid = libc::wait4(pid, &raw mut status, flags, &raw mut usage);
            (pid, usage)
        };
        if pid > 0 {
            return Some(Reaped {
                pid,
                status: status.cast_unsigned(),
                peak: u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10,
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

/// Holds all that can be reached but this process, until they are let go or killed.
pub(crate) fn hold_all() {
    // Safety: numbers only.
    unsafe { libc::kill(-1, libc::SIGSTOP) };
}

pub(crate) fn let_all_go() {
    // Safety: numbers only.
    unsafe { libc::kill(-1, libc::SIGCONT) };
}

/// Seconds of processor time that all children reaped so far and theirs used.
pub(crate) fn used_by_children() -> f64 {
    // Safety: the structure is written before it is read.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
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

/// The stack of children that borrow our memory, one after the other.
pub(crate) struct Stack(Vec<u128>);

impl Stack {
    pub(crate) fn new() -> Self {
        // Not zeroed: that would touch each of its pages.
        Self(Vec::with_capacity(STACK / 16))
    }
}

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
pub(crate) fn spawn(stack: &mut Stack, body: &mut dyn FnMut()) -> io::Result<(pid_t, OwnedFd)> {
    let mut borrowed = Borrowed { body };
    let mut pidfd: libc::c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // Safety: the stack is the child's alone and outlives it, since CLONE_VFORK lets us go on only when it has left our memory; its end is
    // aligned to 16 bytes. There is no other thread.
    let pid = unsafe {
        let top = stack.0.as_mut_ptr().add(STACK / 16);
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
