//! Small files in which one run leaves for the next what that need not ask again.
//!
//! `DISTCC_DIR` may be shared with others. What is remembered decides where sources go and what is taken for an object, so only
//! what this user or root wrote is believed.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// No such file is longer.
const MOST: u64 = 1 << 16;

/// What `file` says, if somebody wrote it whom we believe.
pub(crate) fn read(file: &Path) -> Option<(Vec<u8>, Metadata)> {
    // A pipe in its place must not make us wait.
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(file)
        .ok()?;
    let found = file.metadata().ok()?;
    let owner = found.uid();
    if !found.is_file() || !(owner == 0 || owner == rustix::process::geteuid().as_raw()) {
        return None;
    }
    // One read, and one that finds the end.
    let mut text = Vec::with_capacity(found.len().min(MOST) as usize + 1);
    file.take(MOST).read_to_end(&mut text).ok()?;
    Some((text, found))
}

/// Leaves `text` in `file`, all of it or nothing. Where that is impossible the next run asks again.
pub(crate) fn write(file: &Path, text: &[u8]) {
    let write = || {
        fs::create_dir_all(file.parent()?).ok()?;
        let mut partial = file.as_os_str().to_owned();
        partial.push(format!(".{}~", std::process::id()));
        let written = File::create_new(&partial)
            .ok()?
            .write_all(text)
            .and_then(|()| fs::rename(&partial, file));
        if written.is_err() {
            fs::remove_file(&partial).ok()?;
        }
        Some(())
    };
    let _: Option<()> = write();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("new/name.of.host");
        write(&file, b"one");
        write(&file, b"two");
        assert_eq!(read(&file).expect("there").0, b"two");
        let names = fs::read_dir(folder.path().join("new")).expect("folder");
        assert_eq!(names.count(), 1, "nothing else is left");
    }

    #[test]
    fn what_others_wrote_is_not_believed() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("name");
        write(&file, b"192.0.2.66\n");
        if !rustix::process::geteuid().is_root() {
            // Nothing here belongs to anybody but us and root.
            assert!(read(Path::new("/etc/passwd")).is_some());
            return;
        }
        std::os::unix::fs::chown(&file, Some(65534), None).expect("root may");
        assert!(read(&file).is_none());
    }

    #[test]
    fn what_is_no_file_is_passed_over() {
        let folder = tempfile::tempdir().expect("folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .expect("pipe");
        assert!(read(&pipe).is_none(), "and does not wait for a writer");
        assert!(read(folder.path()).is_none());
    }

    #[test]
    fn a_link_in_the_way_of_writing_is_not_followed() {
        let folder = tempfile::tempdir().expect("folder");
        let (file, target) = (folder.path().join("name"), folder.path().join("precious"));
        let partial = folder.path().join(format!("name.{}~", std::process::id()));
        std::os::unix::fs::symlink(&target, partial).expect("link");
        write(&file, b"x");
        assert!(!target.exists());
    }
}
