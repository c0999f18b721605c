//! The three calls of Landlock.
#![expect(unsafe_code, reason = "this is the module of what needs it")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

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
