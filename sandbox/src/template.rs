//! What every job's view is made from: toolchain folders, read-only, in a place that the host's file system cannot be reached from.
//!
//! ```text
//! /box      what is shown of the machine, under its own names: /box/usr, /box/etc, /box/dev …
//! /store    trees that outlive a job
//! /job      where each job mounts a file system of its own
//! ```

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::os;
use crate::paths::{below, make_folders, rest};
use crate::toolchain::{ETC, SYSTEM, topmost};

pub(crate) const BOX: &str = "/box";
pub(crate) const STORE: &str = "/store";
pub(crate) const JOB: &str = "/job";
/// Not `zero`: what is mapped of it is memory that no process need have.
const DEVICES: &[&str] = &["null", "full", "random", "urandom"];

/// What is shown of this machine, by the names that it has there.
#[derive(Debug, Default)]
pub(crate) struct Template {
    /// Folders, parents before what is below them.
    pub(crate) folders: Vec<PathBuf>,
    /// Links at the top, with their targets.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
}

impl Template {
    /// What there is of the system's folders and of `folders`.
    pub(crate) fn of(folders: &[PathBuf]) -> Self {
        let mut template = Self::default();
        for path in SYSTEM.iter().map(PathBuf::from) {
            match fs::read_link(&path) {
                Ok(target) => template.links.push((path, target)),
                Err(_) if path.is_dir() => template.folders.push(path),
                Err(_) => {}
            }
        }
        template.folders.extend(["/etc".into(), "/dev".into()]);
        let others = topmost(folders.iter().cloned());
        let shown = others
            .into_iter()
            .filter(|folder| folder.is_dir() && !folder.starts_with("/etc"));
        template.folders.extend(shown);
        template
    }

    /// A name as it is without the links at the top: `/lib/x` is `/usr/lib/x` where `/lib` leads there.
    pub(crate) fn real(&self, path: &Path) -> PathBuf {
        for (link, target) in &self.links {
            if let Some(rest) = rest(path, link) {
                let real = Path::new("/").join(target).join(rest);
                return real.components().collect();
            }
        }
        path.to_owned()
    }

    /// Whether a name (without links at the top) is in one of the folders.
    pub(crate) fn shows(&self, path: &Path) -> bool {
        self.folders
            .iter()
            .any(|folder| rest(path, folder).is_some())
    }

    /// Whether one of the folders or links is at this name or below it.
    pub(crate) fn is_above(&self, path: &Path) -> bool {
        let links = self.links.iter().map(|(link, _)| link);
        self.folders
            .iter()
            .chain(links)
            .any(|shown| rest(shown, path).is_some())
    }

    /// Makes the place, leaves the host's file system for it and opens the store. Needs a mount namespace of one's own.
    ///
    /// # Errors
    /// The system does not allow one of the mounts.
    pub(crate) fn build(&self, store_bytes: u64) -> io::Result<OwnedFd> {
        rustix::mount::mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )?;
        let place = mount_memory(&["/proc", "/sys", "/mnt", "/tmp"])?;
        for folder in [BOX, STORE, JOB, "/old"] {
            make_folders(&below(&place, Path::new(folder)))?;
        }
        let shown = below(&place, Path::new(BOX));
        for folder in &self.folders {
            let at = below(&shown, folder);
            make_folders(&at)?;
            match folder.to_str() {
                Some("/etc") => {
                    copy_etc(&at)?;
                    rustix::mount::mount_bind(&at, &at)?;
                }
                Some("/dev") => {
                    rustix::mount::mount_bind(&at, &at)?;
                    bind_devices(&at)?;
                }
                _ => rustix::mount::mount_bind_recursive(folder, &at)?,
            }
            os::make_read_only(&at)?;
        }
        let size = format!("size={store_bytes},mode=755");
        mount_tmpfs(&below(&place, Path::new(STORE)), &size)?;
        rustix::process::pivot_root(&place, below(&place, Path::new("/old")))?;
        rustix::process::chdir("/")?;
        rustix::mount::unmount("/old", UnmountFlags::DETACH)?;
        rustix::fs::rmdir("/old")?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(CWD, STORE, flags, Mode::empty())?)
    }
}

/// A file system in memory over the first of `places` that takes one; what they hide is not needed any more.
fn mount_memory(places: &[&str]) -> io::Result<PathBuf> {
    let mut last = io::Error::from_raw_os_error(libc::ENOENT);
    for place in places {
        match mount_tmpfs(Path::new(place), "size=16m,mode=755") {
            Ok(()) => return Ok(PathBuf::from(place)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(crate) fn mount_tmpfs(at: &Path, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount(
        "none",
        at,
        "tmpfs",
        flags,
        options.as_c_str(),
    )?)
}

fn bind_devices(at: &Path) -> io::Result<()> {
    for name in DEVICES {
        let (device, own) = (Path::new("/dev").join(name), at.join(name));
        if device.exists() {
            fs::write(&own, "")?;
            rustix::mount::mount_bind(&device, &own)?;
        }
    }
    Ok(())
}

/// Copies, since binding each would cost every job more.
fn copy_etc(at: &Path) -> io::Result<()> {
    for name in ETC {
        copy(&Path::new("/etc").join(name), &at.join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(about) = fs::symlink_metadata(from) else {
        return Ok(());
    };
    if about.is_symlink() {
        let target = fs::read_link(from)?;
        // Into what is shown anyhow the link stays; else what it leads to is copied.
        let whole = from.parent().unwrap_or(Path::new("/")).join(&target);
        let shown = whole.starts_with("/usr") || from.starts_with("/etc/alternatives");
        if shown {
            return std::os::unix::fs::symlink(target, to);
        }
    }
    if from.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    match fs::read(from) {
        Ok(bytes) => fs::write(to, bytes),
        // Not ours to read, so not the compilers' either.
        Err(_) => Ok(()),
    }
}
