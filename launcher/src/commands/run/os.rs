//! A child that gets the signals that come to us, and an end by its signal.
#![expect(unsafe_code, reason = "signal handlers have no safe interface")]

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

const FORWARDED: [libc::c_int; 6] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
];

/// The child, 0 while there is none; and a signal that came before it.
static CHILD: AtomicI32 = AtomicI32::new(0);
static EARLY: AtomicI32 = AtomicI32::new(0);

extern "C" fn forward(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // Safety: the kernel fills `info`; kill is async-signal-safe.
    unsafe {
        // From the terminal, it came to its whole foreground group, to which the child belongs.
        if (*info).si_code == libc::SI_KERNEL {
            return;
        }
        match CHILD.load(Ordering::Relaxed) {
            0 => EARLY.store(signal, Ordering::Relaxed),
            child => {
                libc::kill(child, signal);
            }
        }
    }
}

/// Runs `command` to its end.  A signal that our parent chose to ignore (`nohup`) stays ignored, by both.
///
/// # Errors
/// Where `command` cannot be started.
pub(in crate::commands) fn run_forwarding(command: &mut Command) -> io::Result<ExitStatus> {
    for signal in FORWARDED {
        // Safety: `action` and `before` are whole structures; the handler does only what a handler may.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &raw mut before);
            if before.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            let mut action: libc::sigaction = std::mem::zeroed();
            let handler: extern "C" fn(_, _, _) = forward;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
    let mut child = crate::os::as_we_came(command).spawn()?;
    let pid = Pid::from_child(&child);
    CHILD.store(pid.as_raw_nonzero().get(), Ordering::Relaxed);
    let early = EARLY.swap(0, Ordering::Relaxed);
    if early != 0 {
        // Safety: a plain system call; the child was not waited for.
        unsafe { libc::kill(pid.as_raw_nonzero().get(), early) };
    }
    // Once it is waited for, its number may be somebody else's.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
    CHILD.store(0, Ordering::Relaxed);
    child.wait()
}
