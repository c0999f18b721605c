//! Tries each layer in a process that is thrown away: what a kernel says that it has is not always what it does.

use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::filter::Filter;
use crate::keeper::empty_order;
use crate::landlock::{Access, Landlock};
use crate::os::{self, Forked};
use crate::template::Template;
use crate::view;

/// Does `body` in a copy of this process, in new namespaces where `flags` say so, and gives its error.
fn apart(flags: libc::c_int, body: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match os::fork(flags)? {
        Forked::Child => {
            let code =
                body().map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
            os::exit(code)
        }
        Forked::Parent(pid) => match os::reap(pid, true)
            .map_or(libc::EIO.cast_unsigned() << 8, |reaped| reaped.status)
        {
            0 => Ok(()),
            status if status & 0x7f == 0 => {
                Err(io::Error::from_raw_os_error((status >> 8).cast_signed()))
            }
            signal => Err(io::Error::other(format!(
                "the trial ended with signal {}",
                signal & 0x7f
            ))),
        },
    }
}

pub(crate) fn processes() -> io::Result<()> {
    apart(libc::CLONE_NEWPID, || {
        let first = rustix::process::getpid().as_raw_nonzero().get() == 1;
        if first {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::ENOSYS))
        }
    })
}

/// A whole view, and that its toolchain cannot be written to.
pub(crate) fn view(template: &Template) -> io::Result<()> {
    apart(libc::CLONE_NEWNS, || {
        let order = empty_order();
        view::mount_own(order.limits.disk)?;
        view::enter(template, &order)?;
        let flags = OFlags::WRONLY | OFlags::CREATE;
        match rustix::fs::open("/usr/distccd-trial", flags, Mode::from_raw_mode(0o600)) {
            Err(_) => Ok(()),
            Ok(_) => Err(io::Error::from_raw_os_error(libc::EROFS)),
        }
    })
}

pub(crate) fn landlock(landlock: Landlock) -> io::Result<()> {
    apart(0, || {
        let rules = landlock.rules([(Path::new("/usr"), Access::Run)])?;
        os::landlock_restrict(std::os::fd::AsFd::as_fd(&rules))?;
        match rustix::fs::open("/", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Err(rustix::io::Errno::ACCESS) => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::ENOSYS)),
        }
    })
}

pub(crate) fn filter(filter: &Filter) -> io::Result<()> {
    apart(0, || {
        filter.install_common()?;
        filter.install()?;
        match os::unshare(0) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::ENOSYS)),
        }
    })
}
