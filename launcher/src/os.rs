//! What std and rustix do not offer: the way in, what a signal undoes, and processor time.
//!
//! Knows nothing of compile commands: it is told what to end and which file to remove.
#![expect(
    unsafe_code,
    reason = "entry point, signal handlers and the environment have no safe interface"
)]

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};

/// The C library's way in.  std's own start reads the memory map to place a guard below the stack, which costs a fifth of all
/// that a launch spends; what is worth keeping of it is done here.
#[cfg(not(test))]
// Safety: the one symbol of this name, with the signature that the C library calls.
#[unsafe(no_mangle)]
extern "C" fn main(_count: libc::c_int, _words: *const *const libc::c_char) -> libc::c_int {
    open_standard_streams();
    set_dispositions();
    crate::enter()
}

/// Standard streams that were closed when we came, a bit each; they lead to `/dev/null` now.
static CLOSED: AtomicI32 = AtomicI32::new(0);

/// A file that is opened must not become standard output because whoever started us had closed that.
#[cfg(not(test))]
fn open_standard_streams() {
    for fd in 0..3 {
        // Safety: plain system calls on numbers.
        unsafe {
            if libc::fcntl(fd, libc::F_GETFD) == -1 {
                libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
                CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
            }
        }
    }
}

/// Signals whose disposition is ours while we run: a peer that goes away and a journal past `ulimit -f` are errors, not our
/// end, and children can be waited for even where our parent ignores the end of its own.
const OURS: [(libc::c_int, libc::sighandler_t); 3] = [
    (libc::SIGPIPE, libc::SIG_IGN),
    (libc::SIGXFSZ, libc::SIG_IGN),
    (libc::SIGCHLD, libc::SIG_DFL),
];
/// What our parent had chosen for them.
static BEFORE: [AtomicUsize; OURS.len()] = [const { AtomicUsize::new(libc::SIG_DFL) }; OURS.len()];

#[cfg(not(test))]
fn set_dispositions() {
    for ((signal, ours), before) in OURS.into_iter().zip(&BEFORE) {
        // Safety: no handler is involved, and nothing else runs yet.
        before.store(unsafe { libc::signal(signal, ours) }, Ordering::Relaxed);
    }
}

/// Becomes `command`, with the signals and standard streams that we were started with.  Comes back only with an error.
pub(crate) fn exec(command: &mut Command) -> io::Error {
    as_we_came(command).exec()
}

/// Starts `command` as a child in our group, to end with us, with the signals and standard streams that we were started with.
pub(crate) fn start_as_we_came(command: &mut Command) -> io::Result<(Child, Ending)> {
    start(as_we_came(command), Group::Ours)
}

/// Gives `command` the signals and standard streams that we were started with.
pub(crate) fn as_we_came(command: &mut Command) -> &mut Command {
    // Safety: plain system calls; std calls this just before `exec`, in the process that becomes the command.
    unsafe {
        command.pre_exec(|| {
            for ((signal, _), before) in OURS.into_iter().zip(&BEFORE) {
                libc::signal(signal, before.load(Ordering::Relaxed));
            }
            let closed = CLOSED.load(Ordering::Relaxed);
            for fd in (0..3).filter(|fd| closed & 1 << fd != 0) {
                libc::close(fd);
            }
            Ok(())
        })
    }
}

/// Sets a variable for this process and all that it starts: cheaper than a copy of the whole environment for each.
pub(crate) fn set_variable(name: &str, value: &str) {
    // Safety: the launch path has one thread, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
}

/// What ends with us, as `kill` names it: process groups (of preprocessors) and processes (ssh), 0 where there is none.
static TARGETS: [AtomicI32; 8] = [const { AtomicI32::new(0) }; 8];
/// Files that must not outlive us, as leaked C strings, null where there is none.
static LEFTOVERS: [AtomicPtr<libc::c_char>; 2] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; 2];

const FATAL: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Is something at work that must be whole, and the signal that came meanwhile.
static BUSY: AtomicBool = AtomicBool::new(false);
static PENDING: AtomicI32 = AtomicI32::new(0);

extern "C" fn end(signal: libc::c_int) {
    if BUSY.load(Ordering::Relaxed) {
        PENDING.store(signal, Ordering::Relaxed);
        return;
    }
    // Safety: kill, unlink, signal and raise are async-signal-safe; LEFTOVERS are null or C strings that are never freed.
    unsafe {
        for target in &TARGETS {
            let target = target.load(Ordering::Relaxed);
            if target != 0 {
                libc::kill(target, libc::SIGTERM);
            }
        }
        for leftover in &LEFTOVERS {
            let leftover = leftover.load(Ordering::Relaxed);
            if !leftover.is_null() {
                libc::unlink(leftover);
            }
        }
        crate::tokens::repay_on_signal();
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT end what we started before they end us the way they always do.  A signal that
/// our parent chose to ignore (`nohup`) stays ignored.
pub(crate) fn undo_on_signals() {
    // Unmasked when it runs, so that `raise` ends us at once.
    on_signals(&FATAL, end, libc::SA_NODEFER);
}

/// Lets `handler`, which does only what a handler may, take these signals from now on. One that our parent chose to ignore
/// (`nohup`) stays ignored.
pub(crate) fn on_signals(
    signals: &[libc::c_int],
    handler: extern "C" fn(libc::c_int),
    flags: libc::c_int,
) {
    for &signal in signals {
        // Safety: `action` and `before` are whole structures.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut before);
            if before.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = flags;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Ends this process by `signal`, as a child of ours ended; gives an exit code where that is not possible.
pub(crate) fn end_by(signal: libc::c_int) -> i32 {
    // Safety: plain system calls on numbers and whole structures.
    unsafe {
        // If there is to be a core, it is the child's and there already.
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    128 + signal
}

/// Does `work` whole: a signal that comes meanwhile waits for its end, if it is one that we undo something on.
pub(crate) fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    BUSY.store(true, Ordering::Relaxed);
    let done = work();
    BUSY.store(false, Ordering::Relaxed);
    let signal = PENDING.swap(0, Ordering::Relaxed);
    if signal != 0 {
        end(signal);
    }
    done
}

/// Something that a signal to us ends too, until this value is dropped.
#[derive(Debug)]
pub(crate) struct Ending(usize);

/// Whose process group a child is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Its own, which ends with us as a whole.
    Own,
    /// Ours: only there may it ask a person at the terminal.
    Ours,
}

/// Starts `command`, to end with us.  So many are remembered that a job can be on its way to several hosts, each with a
/// preprocessor, a transport and a question of its own.
pub(crate) fn start(command: &mut Command, group: Group) -> io::Result<(Child, Ending)> {
    if group == Group::Own {
        command.process_group(0);
    }
    // A signal that comes before the child is noted would leave it alone.  (A mask would be the child's too.)
    undisturbed(|| {
        command.spawn().map(|child| {
            let pid = i32::try_from(child.id()).unwrap_or(0);
            let ending = end_with_us(if group == Group::Own { -pid } else { pid });
            (child, ending)
        })
    })
}

fn end_with_us(target: i32) -> Ending {
    for (index, slot) in TARGETS.iter().enumerate() {
        if slot
            .compare_exchange(0, target, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            return Ending(index);
        }
    }
    Ending(TARGETS.len())
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(slot) = TARGETS.get(self.0) {
            slot.store(0, Ordering::Relaxed);
        }
    }
}

/// A file that a signal to us removes, until this value is dropped.
#[derive(Debug)]
pub(crate) struct Leftover(usize);

/// Removes `path` should a signal end us.  Two at most are remembered: the state file and an output that is being placed.
pub(crate) fn remove_on_signal(path: &Path) -> io::Result<Leftover> {
    let name = CString::new(path.as_os_str().as_bytes())?.into_raw();
    let none = std::ptr::null_mut();
    let free = LEFTOVERS.iter().position(|leftover| {
        leftover
            .compare_exchange(none, name, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    });
    Ok(Leftover(free.unwrap_or(LEFTOVERS.len())))
}

impl Drop for Leftover {
    fn drop(&mut self) {
        if let Some(leftover) = LEFTOVERS.get(self.0) {
            leftover.store(std::ptr::null_mut(), Ordering::Relaxed);
        }
    }
}

/// A file of ours in memory, seen as bytes without a copy.
#[derive(Debug)]
pub(crate) struct Mapped {
    start: *mut libc::c_void,
    length: usize,
}

impl Mapped {
    /// Maps `file`, which must be a memory file that nobody writes to any more.
    pub(crate) fn of(file: &File) -> io::Result<Mapped> {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if length == 0 {
            return Ok(Mapped {
                start: std::ptr::null_mut(),
                length,
            });
        }
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // Safety: a new mapping, read only, of a descriptor that is open.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                flags,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapped { start, length })
    }
}

impl std::ops::Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // Safety: `length` bytes are mapped at `start` as long as this value lives, and their writers have ended.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.length > 0 {
            // Safety: the mapping that `of` made, whole.
            unsafe { libc::munmap(self.start, self.length) };
        }
    }
}

/// The path that this program was started by, for where there is no /proc.
pub(crate) fn started_as() -> Option<&'static Path> {
    // Safety: the kernel's own string, which lies above the stack as long as the process lives.
    let path = unsafe {
        let path = libc::getauxval(libc::AT_EXECFN) as *const libc::c_char;
        (!path.is_null()).then(|| CStr::from_ptr(path))?
    };
    Some(Path::new(OsStr::from_bytes(path.to_bytes())))
}

/// Processor time of this process and of its children that have ended, in milliseconds.
pub(crate) fn cpu_ms() -> f64 {
    let mut total = 0.0;
    for who in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN] {
        // Safety: `usage` is a whole structure for the kernel to fill.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &mut usage);
            usage
        };
        for time in [usage.ru_utime, usage.ru_stime] {
            total += time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn we_are_known_without_proc_too() {
        let inode = |path: &Path| std::fs::metadata(path).map(|data| (data.dev(), data.ino()));
        assert_eq!(
            inode(started_as().expect("the kernel says it")).expect("there"),
            inode(Path::new("/proc/self/exe")).expect("there")
        );
    }
}
