//! The seccomp filter: what no compiler asks for, and what would lead out of the box.
//!
//! A deny list, since what compilers, assemblers and their shells use is wide and changes. Refused calls fail as on a
//! kernel that does not allow them to anybody (EPERM); `clone3`, whose flags a filter cannot see, as on one that does
//! not have it (ENOSYS), after which every C library uses `clone`.
//!
//! Installing a filter costs more than most of what is done for a job (the kernel compiles it, and goes through it for each number
//! that there is). So the keeper holds itself to nearly all of it, which whatever it starts inherits. Only what the box itself is
//! made with is refused to each program by a second, short filter.

use std::io;

use libc::{SYS_clone, SYS_clone3, SYS_socket, c_long, sock_filter};

use crate::layers::{Layer, Layers};
use crate::os;

#[rustfmt::skip]
const DENIED: &[c_long] = &[
    // Other processes.
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise,
    libc::SYS_kcmp, libc::SYS_pidfd_getfd, libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal, libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Namespaces and mounts.
    libc::SYS_unshare, libc::SYS_setns, libc::SYS_pivot_root, libc::SYS_move_mount, libc::SYS_open_tree,
    libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount,
    libc::SYS_fspick, libc::SYS_mount_setattr, libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at,
    libc::SYS_quotactl, libc::SYS_quotactl_fd, libc::SYS_fanotify_init,
    // What of the kernel has been broken most.
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_keyctl, libc::SYS_add_key,
    libc::SYS_request_key, libc::SYS_memfd_secret,
    // The machine.
    libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_kexec_load, libc::SYS_kexec_file_load,
    libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_acct, libc::SYS_syslog,
    libc::SYS_vhangup, libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_clock_adjtime, libc::SYS_adjtimex,
    libc::SYS_sethostname, libc::SYS_setdomainname, libc::SYS_lookup_dcookie, libc::SYS_nfsservctl,
    // What jobs would share with each other.
    libc::SYS_shmget, libc::SYS_shmat, libc::SYS_shmctl, libc::SYS_semget, libc::SYS_semop, libc::SYS_semctl,
    libc::SYS_semtimedop, libc::SYS_msgget, libc::SYS_msgsnd, libc::SYS_msgrcv, libc::SYS_msgctl, libc::SYS_mq_open,
    libc::SYS_mq_unlink, libc::SYS_ioprio_set,
];
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[c_long] = &[];

/// What a program may do to itself only: to a process that it names it may not, nor to all of a user's. Its warden serves others after it,
/// and has no other limits then. With the number of arguments that are 0 for oneself.
const OF_ONESELF: &[(c_long, u8)] = &[
    (libc::SYS_prlimit64, 1),
    (libc::SYS_sched_setaffinity, 1),
    (libc::SYS_sched_setscheduler, 1),
    (libc::SYS_sched_setparam, 1),
    (libc::SYS_sched_setattr, 1),
    (libc::SYS_setpriority, 2),
];

/// What a job's view is made with.
const FOR_VIEWS: &[c_long] = &[libc::SYS_mount, libc::SYS_umount2, libc::SYS_chroot];

/// Flags of `clone` that make namespaces.
const NAMESPACES: u32 = 0x7e02_0080;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_00b7);
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_00f3);
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const ARCHITECTURE: Option<u32> = None;

// Of linux/bpf_common.h and linux/seccomp.h.
const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const ANY_BIT: u16 = 0x45;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
/// The lower half of the first argument, and from one to the next.
const FIRST: u32 = 16;
const EACH: u32 = 8;
/// Of mmap the flags.
const FOURTH: u32 = FIRST + 3 * EACH;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// Calls of the x32 way of calling have this bit.
const X32: u32 = 0x4000_0000;

#[derive(Debug)]
pub(crate) struct Filter {
    /// For the keeper and all that comes of it.
    common: Vec<sock_filter>,
    /// For programs, beside it: what the keeper and its wardens need and programs do not.
    more: Vec<sock_filter>,
}

fn step(code: u16, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        code,
        jt: yes,
        jf: no,
        k,
    }
}

fn fail(code: i32) -> sock_filter {
    step(RETURN, ERRNO | code.cast_unsigned(), 0, 0)
}

/// What becomes of a range of numbers, from this one on to the next range.
type Segment = (u32, Verdict);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allow,
    Fail(i32),
    /// By its flags: none of these.
    Clone(u32),
    /// Where so many arguments, from the first on, are 0.
    Zero(u8),
    /// By its flags: no memory that is shared and of no file. No process need have it for it to be there, so that none could be
    /// held to account.
    Mapping,
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

fn denied(calls: &[c_long]) -> impl Iterator<Item = Segment> {
    let fail = Verdict::Fail(libc::EPERM);
    calls.iter().map(move |call| (number(*call), fail))
}

/// All numbers, in ranges, from single ones that are not allowed.
fn segments(single: impl Iterator<Item = Segment>) -> Vec<Segment> {
    let mut single: Vec<Segment> = single.collect();
    single.sort_unstable_by_key(|(number, _)| *number);
    let mut segments = vec![(0, Verdict::Allow)];
    for (number, verdict) in single {
        match segments.last_mut() {
            // A range of one number that goes back to what is allowed.
            Some(last) if last.0 == number => last.1 = verdict,
            _ => segments.push((number, verdict)),
        }
        segments.push((number + 1, Verdict::Allow));
    }
    if cfg!(target_arch = "x86_64") {
        segments.push((X32, Verdict::Fail(libc::ENOSYS)));
    }
    segments.dedup_by_key(|(_, verdict)| *verdict);
    segments
}

/// A binary search, since the kernel goes through the program for each number there is whenever one is installed.
fn decide(segments: &[Segment]) -> Vec<sock_filter> {
    match segments {
        [] => vec![step(RETURN, ALLOW, 0, 0)],
        [(_, Verdict::Allow)] => vec![step(RETURN, ALLOW, 0, 0)],
        [(_, Verdict::Fail(code))] => vec![fail(*code)],
        [(_, Verdict::Clone(flags))] => vec![
            step(LOAD, FIRST, 0, 0),
            step(ANY_BIT, *flags, 0, 1),
            fail(libc::EPERM),
            step(RETURN, ALLOW, 0, 0),
        ],
        [(_, Verdict::Zero(count))] => {
            let each = (0..u32::from(*count)).flat_map(|at| {
                let argument = step(LOAD, FIRST + at * EACH, 0, 0);
                [argument, step(EQUAL, 0, 1, 0), fail(libc::EPERM)]
            });
            each.chain([step(RETURN, ALLOW, 0, 0)]).collect()
        }
        [(_, Verdict::Mapping)] => vec![
            step(LOAD, FOURTH, 0, 0),
            step(ANY_BIT, libc::MAP_ANONYMOUS.cast_unsigned(), 0, 2),
            // This bit is in both kinds of sharing and not in MAP_PRIVATE.
            step(ANY_BIT, libc::MAP_SHARED.cast_unsigned(), 0, 1),
            fail(libc::EPERM),
            step(RETURN, ALLOW, 0, 0),
        ],
        _ => {
            let (below, above) = segments.split_at(segments.len() / 2);
            let (left, right) = (decide(below), decide(above));
            let skip = u8::try_from(left.len()).expect("half of some hundred ranges");
            let at = above.first().map_or(0, |(number, _)| *number);
            [vec![step(AT_LEAST, at, skip, 0)], left, right].concat()
        }
    }
}

impl Filter {
    /// The programs for this machine, where the keeper makes these layers.
    ///
    /// # Errors
    /// A machine whose numbers are not known here.
    pub(crate) fn new(layers: Layers) -> io::Result<Self> {
        let mut own: Vec<Segment> = Vec::new();
        let mut flags = 0;
        if layers.has(Layer::Mount) {
            own.extend(denied(FOR_VIEWS));
            flags |= libc::CLONE_NEWNS.cast_unsigned();
        }
        if layers.has(Layer::Pid) {
            flags |= libc::CLONE_NEWPID.cast_unsigned();
        }
        if flags != 0 {
            own.push((number(SYS_clone), Verdict::Clone(flags)));
        }
        // What is printed is in such files of the warden's. A job's own would be neither in its view nor in its processes.
        own.push((number(libc::SYS_memfd_create), Verdict::Fail(libc::ENOSYS)));
        own.push((number(libc::SYS_mmap), Verdict::Mapping));
        let special = [
            (number(SYS_clone3), Verdict::Fail(libc::ENOSYS)),
            (number(SYS_socket), Verdict::Fail(libc::EAFNOSUPPORT)),
            (
                number(libc::SYS_socketpair),
                Verdict::Fail(libc::EAFNOSUPPORT),
            ),
            (number(SYS_clone), Verdict::Clone(NAMESPACES & !flags)),
        ];
        let views = denied(FOR_VIEWS).filter(|_| !layers.has(Layer::Mount));
        let oneself = OF_ONESELF.iter();
        let oneself = oneself.map(|(call, count)| (number(*call), Verdict::Zero(*count)));
        let common = denied(DENIED).chain(denied(DENIED_HERE)).chain(views);
        Ok(Self {
            common: program(common.chain(oneself).chain(special))?,
            more: program(own.into_iter())?,
        })
    }

    /// Holds this process, the keeper, and its children to the first part for good.
    pub(crate) fn install_common(&self) -> io::Result<()> {
        os::install_filter(&self.common)
    }

    /// Holds this process, which has the first part already, and its children to the rest for good.
    pub(crate) fn install(&self) -> io::Result<()> {
        os::install_filter(&self.more)
    }
}

fn program(single: impl Iterator<Item = Segment>) -> io::Result<Vec<sock_filter>> {
    let architecture =
        ARCHITECTURE.ok_or_else(|| io::Error::other("no filter for this processor"))?;
    let mut program = vec![
        step(LOAD, ARCH, 0, 0),
        step(EQUAL, architecture, 1, 0),
        // Another way of calling, such as 32-bit programs use: its numbers mean something else.
        fail(libc::ENOSYS),
        step(LOAD, NUMBER, 0, 0),
    ];
    program.extend(decide(&segments(single)));
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would make of a call, by the few instructions that are used here.
    fn verdict(program: &[sock_filter], call: u32, architecture: u32, first: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = program[at];
            let jump = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
            at += 1 + match step.code {
                LOAD => {
                    value = match step.k {
                        NUMBER => call,
                        ARCH => architecture,
                        _ => first,
                    };
                    0
                }
                EQUAL => jump(value == step.k),
                ANY_BIT => jump(value & step.k != 0),
                AT_LEAST => jump(value >= step.k),
                _ => return step.k,
            };
        }
    }

    /// Of several filters the kernel heeds the one that allows least; of refusals the lowest number.
    fn of_both(filter: &Filter, call: u32, architecture: u32, first: u32) -> u32 {
        let programs = [&filter.common, &filter.more];
        let verdicts = programs.map(|program| verdict(program, call, architecture, first));
        verdicts.into_iter().min().unwrap()
    }

    fn some_layers() -> [Layers; 4] {
        [
            Layers::NONE,
            Layers::ALL,
            Layers::ALL.without(Layer::Pid),
            Layers::ALL.without(Layer::Mount),
        ]
    }

    #[test]
    fn programs_calls_are_judged() {
        for layers in some_layers() {
            let filter = Filter::new(layers).unwrap();
            let own = ARCHITECTURE.unwrap();
            let judge = |call: c_long, first: u32| of_both(&filter, number(call), own, first);
            let refused = |code: i32| ERRNO | code.cast_unsigned();
            for call in [
                libc::SYS_read,
                libc::SYS_openat,
                libc::SYS_execve,
                libc::SYS_wait4,
                libc::SYS_pipe2,
            ] {
                assert_eq!(judge(call, u32::MAX), ALLOW);
            }
            for call in DENIED.iter().chain(DENIED_HERE).chain(FOR_VIEWS) {
                assert_eq!(judge(*call, 0), refused(libc::EPERM), "{call}");
            }
            assert_eq!(judge(SYS_clone3, 0), refused(libc::ENOSYS));
            for call in [SYS_socket, libc::SYS_socketpair] {
                assert_eq!(judge(call, 1), refused(libc::EAFNOSUPPORT));
            }
            for (call, _) in OF_ONESELF {
                assert_eq!(judge(*call, 0), ALLOW, "{call}");
                assert_eq!(judge(*call, 1), refused(libc::EPERM), "{call}");
            }
            let memory = |flags: i32| judge(libc::SYS_mmap, flags.cast_unsigned());
            for (kind, verdict) in [
                (libc::MAP_PRIVATE, ALLOW),
                (libc::MAP_SHARED, refused(libc::EPERM)),
                (libc::MAP_SHARED_VALIDATE, refused(libc::EPERM)),
            ] {
                assert_eq!(memory(kind | libc::MAP_ANONYMOUS), verdict, "{kind}");
                assert_eq!(memory(kind), ALLOW, "{kind} of a file");
            }
            assert_eq!(judge(libc::SYS_memfd_create, 0), refused(libc::ENOSYS));
            assert_eq!(judge(SYS_clone, libc::SIGCHLD.cast_unsigned()), ALLOW);
            assert_eq!(judge(SYS_clone, 0x3d_0f00), ALLOW, "a thread");
            for flag in [
                libc::CLONE_NEWUSER,
                libc::CLONE_NEWNS,
                libc::CLONE_NEWPID,
                libc::CLONE_NEWNET,
                libc::CLONE_NEWCGROUP,
                libc::CLONE_NEWIPC,
                libc::CLONE_NEWUTS,
                0x80,
            ] {
                let judged = judge(SYS_clone, flag.cast_unsigned());
                assert_eq!(judged, refused(libc::EPERM), "{layers} {flag:x}");
            }
            let bits_32 = of_both(&filter, 0, 0x4000_0003, 0);
            assert_eq!(bits_32, refused(libc::ENOSYS), "32 bits");
            if cfg!(target_arch = "x86_64") {
                assert_eq!(judge(c_long::from(X32), 0), refused(libc::ENOSYS), "x32");
            }
        }
    }

    #[test]
    fn the_keeper_can_do_what_it_must_and_no_more() {
        let own = ARCHITECTURE.unwrap();
        for layers in some_layers() {
            let filter = Filter::new(layers).unwrap();
            let allows = |call: c_long, first: libc::c_int| {
                let first = first.cast_unsigned();
                verdict(&filter.common, number(call), own, first) == ALLOW
            };
            for call in FOR_VIEWS {
                assert_eq!(allows(*call, 0), layers.has(Layer::Mount), "{layers}");
            }
            assert!(allows(libc::SYS_memfd_create, 0) && allows(libc::SYS_mmap, 0x21));
            assert_eq!(
                allows(SYS_clone, libc::CLONE_NEWNS),
                layers.has(Layer::Mount)
            );
            assert_eq!(
                allows(SYS_clone, libc::CLONE_NEWPID),
                layers.has(Layer::Pid)
            );
            assert!(!allows(SYS_clone, libc::CLONE_NEWUSER | libc::CLONE_NEWNS));
            assert!(!allows(libc::SYS_unshare, 0) && !allows(libc::SYS_setns, 0));
        }
    }
}
