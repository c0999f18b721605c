//! Signals that are waited for instead of handled: they come to a thread of their own, between whole steps of the others.
#![expect(unsafe_code, reason = "signal masks have no safe interface")]

const FATAL: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Calls `came` with each SIGINT, SIGTERM and SIGHUP from now on, on a thread of its own.  Threads started later leave them to it;
/// children get them as ever.  One that our parent chose to ignore (`nohup`) stays ignored.
pub(super) fn listen(came: impl Fn(i32) + Send + 'static) {
    let set = block();
    std::thread::spawn(move || {
        loop {
            let mut signal = 0;
            // Safety: `set` is a whole set, `signal` a place to write to.
            if unsafe { libc::sigwait(&set, &mut signal) } == 0 {
                came(signal);
            }
        }
    });
}

/// Holds back the fatal signals that are not ignored, in this thread and those that it starts.
fn block() -> libc::sigset_t {
    // Safety: `set` and `before` are whole structures; the mask is this thread's own.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in FATAL {
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut before);
            if before.sa_sigaction != libc::SIG_IGN {
                libc::sigaddset(&mut set, signal);
            }
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    }
}

/// Ends this process by `signal`, so that whoever waits for us sees what happened; gives an exit code should that fail.
pub(super) fn end_by(signal: i32) -> i32 {
    // Safety: the default way is set before the signal is let through.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::raise(signal);
    }
    128 + signal
}
