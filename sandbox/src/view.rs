//! A job's view of the file system: a root in memory of the job's own, with the toolchain's folders in it, read-only.
//!
//! Where the client's files lie below a toolchain's folder, the two are laid over each other there (overlayfs), what the job writes
//! going to its own memory. A tree that outlives the job is under all of it and is never written to.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::order::{Location, Order};
use crate::paths::{below, c_string, make_folders};
use crate::template::{BOX, JOB, STORE, Template, mount_tmpfs};

/// Files that a job may have at a time, folders among them.
const MAX_FILES: u32 = 200_000;

/// Folders of the toolchain that something is laid over, or hidden: each costs a mount, and nobody looks at the job's time yet.
const MAX_OVERLAYS: usize = 256;

/// Where a job's own things are, outside of its root.
fn own(name: &str) -> PathBuf {
    Path::new(JOB).join(name)
}

/// Mounts a job's memory.
pub(crate) fn mount_own(disk: u64) -> io::Result<()> {
    mount_tmpfs(
        Path::new(JOB),
        &format!("size={disk},nr_inodes={MAX_FILES},mode=755"),
    )
}

/// Builds the view and enters it: afterwards `/` is the job's. Needs a mount namespace of the job's own, and [`mount_own`].
pub(crate) fn enter(template: &Template, order: &Order) -> io::Result<()> {
    let (root, tree) = match &order.location {
        Location::Tree { number, .. } => {
            let tree = Path::new(STORE).join(number.to_string());
            (over_tree(&tree)?, Some(tree))
        }
        _ => {
            let root = own("root");
            rustix::fs::mkdir(&root, Mode::from_raw_mode(0o755))?;
            (root, None)
        }
    };
    let tmp = root.join("tmp");
    make_folders(&tmp)?;
    rustix::fs::chmod(&tmp, Mode::from_raw_mode(0o1777))?;
    for (link, target) in &template.links {
        match rustix::fs::symlink(target, below(&root, link)) {
            Err(rustix::io::Errno::EXIST) => {}
            made => made?,
        }
    }
    for folder in &template.folders {
        let at = below(&root, folder);
        make_folders(&at)?;
        rustix::mount::mount_bind_recursive(below(Path::new(BOX), folder), &at)?;
    }
    let mut wanted: Vec<&Path> = order
        .files
        .iter()
        .filter_map(|(path, _)| path.parent())
        .collect();
    wanted.extend(order.outputs.iter().filter_map(|path| path.parent()));
    wanted.push(&order.cwd);
    if let Location::Tree { merged, .. } = &order.location {
        wanted.extend(merged.iter().map(PathBuf::as_path));
    }
    let mut hides: &[PathBuf] = &[];
    if let Location::Tree { hidden, .. } = &order.location {
        hides = hidden;
    }
    let meetings = meetings(template, &wanted);
    let is_here = |folder: &&PathBuf| below(Path::new(BOX), folder).is_dir();
    let hides: Vec<&PathBuf> = hides.iter().filter(is_here).collect();
    if meetings.len() + hides.len() > MAX_OVERLAYS {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    for (at, folder) in meetings.iter().enumerate() {
        merge(&root, tree.as_deref(), folder, at)?;
    }
    for (at, folder) in hides.iter().enumerate() {
        hide(&root, tree.as_deref(), folder, at)?;
    }
    rustix::process::chroot(&root)?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// Leaves a job's view for `home`, the root that was there before, and takes away all that was mounted for it.
pub(crate) fn leave(home: &OwnedFd) -> io::Result<()> {
    rustix::process::fchdir(home)?;
    rustix::process::chroot(".")?;
    // All that is mounted below goes with it, even where something is still open.
    Ok(rustix::mount::unmount(JOB, UnmountFlags::DETACH)?)
}

/// The root over a tree: all that the job writes goes to its own memory.
fn over_tree(tree: &Path) -> io::Result<PathBuf> {
    let root = own("root");
    rustix::fs::mkdir(&root, Mode::from_raw_mode(0o755))?;
    overlay(&[tree], "0", &root)?;
    Ok(root)
}

/// Mounts `lower` folders, the first on top, with a fresh folder over them for what is written.
fn overlay(lower: &[&Path], name: &str, at: &Path) -> io::Result<()> {
    let (upper, work) = (own(&format!("up{name}")), own(&format!("work{name}")));
    for folder in [&upper, &work] {
        rustix::fs::mkdir(folder, Mode::from_raw_mode(0o755))?;
    }
    let mut options = std::ffi::OsString::from("userxattr,lowerdir=");
    for (at, folder) in lower.iter().enumerate() {
        if folder
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .any(|byte| b":,\\\"".contains(byte))
        {
            let what = "a folder's name has a character that divides options of mounts";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        options.push(if at == 0 { "" } else { ":" });
        options.push(folder);
    }
    options.push(",upperdir=");
    options.push(upper);
    options.push(",workdir=");
    options.push(work);
    let options = c_string(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount(
        "none",
        at,
        "overlay",
        flags,
        options.as_c_str(),
    )?)
}

/// Lays the client's part of a toolchain's folder over it.
fn merge(root: &Path, tree: Option<&Path>, folder: &Path, at: usize) -> io::Result<()> {
    let machine = below(Path::new(BOX), folder);
    let client = tree
        .map(|tree| below(tree, folder))
        .filter(|client| client.is_dir());
    let lower: Vec<&Path> = client
        .iter()
        .map(PathBuf::as_path)
        .chain([machine.as_path()])
        .collect();
    overlay(&lower, &format!("-{at}"), &below(root, folder))
}

/// Shows of a toolchain's folder, which is there, nothing but the client's part.
fn hide(root: &Path, tree: Option<&Path>, folder: &Path, at: usize) -> io::Result<()> {
    let client = tree
        .map(|tree| below(tree, folder))
        .filter(|client| client.is_dir());
    let none = own("none");
    make_folders(&none)?;
    overlay(
        &[&client.unwrap_or(none)],
        &format!("-hide{at}"),
        &below(root, folder),
    )
}

/// The folders in which `wanted` ones leave what the template has: for each that lies below a folder of the template, the last on the
/// way that is there. Only the topmost, since what is below is laid over each other too.
fn meetings(template: &Template, wanted: &[&Path]) -> Vec<PathBuf> {
    let mut found = std::collections::BTreeSet::new();
    for path in wanted {
        let path = template.real(path);
        let Some(folder) = template
            .folders
            .iter()
            .find(|folder| path.starts_with(folder))
        else {
            continue;
        };
        let mut at = folder.clone();
        for name in path.strip_prefix(folder).into_iter().flatten() {
            let next = at.join(name);
            let about = below(Path::new(BOX), &next).symlink_metadata();
            if !about.is_ok_and(|about| about.is_dir()) {
                break;
            }
            at = next;
        }
        found.insert(at);
    }
    let mut top: Vec<PathBuf> = Vec::new();
    for folder in found {
        if !top.iter().any(|above| folder.starts_with(above)) {
            top.push(folder);
        }
    }
    top
}
