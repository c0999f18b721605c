//! What files hold, and how long that is believed.

use super::Stat;
use super::tree::{FileId, Tree};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long after a change of its own another might have the same time, in seconds.
const RACY: i64 = 2;

impl Tree {
    /// Can the file change without a report?
    pub(crate) fn is_volatile(&self, id: FileId) -> bool {
        let file = &self.files[id.0 as usize];
        let watched = self
            .folders
            .get(file.folder.0 as usize)
            .is_some_and(|folder| folder.watched);
        file.young || !watched || file.stat.links > 1
    }

    /// The bytes of a file as they are now. With `again`, they are read even if nothing says that they changed.
    pub(crate) fn content(&mut self, id: FileId, again: bool) -> io::Result<&Arc<[u8]>> {
        let at = id.0 as usize;
        let file = &self.files[at];
        if file.checked != self.question || file.bytes.is_none() {
            let fresh = file.bytes.is_some() && !(again || file.changed || self.is_volatile(id));
            if fresh {
                self.files[at].checked = self.question;
            } else {
                self.refresh(id, again)?;
            }
        }
        Ok(self.files[at].bytes.as_ref().expect("it was read above"))
    }

    fn refresh(&mut self, id: FileId, again: bool) -> io::Result<()> {
        let at = id.0 as usize;
        let file = &self.files[at];
        let path = file.path.clone();
        let same = !again
            && !file.young
            && file.bytes.is_some()
            && self.disk.look(&path) == Some(self.files[at].stat);
        if !same {
            let (bytes, stat) = self.disk.read(&path)?;
            self.reads += 1;
            let now = self.disk.now();
            let file = &mut self.files[at];
            file.young = now.saturating_sub(stat.changed.0) < RACY;
            if file.bytes.as_deref() != Some(&bytes[..]) {
                if file.bytes.is_some() {
                    self.generation += 1;
                }
                let file = &mut self.files[at];
                file.bytes = Some(bytes);
                file.sources.clear();
            }
            self.files[at].stat = stat;
        }
        let file = &mut self.files[at];
        file.changed = false;
        file.checked = self.question;
        Ok(())
    }

    /// What a file is now, its bytes aside.
    pub(crate) fn stat(&mut self, id: FileId) -> Stat {
        let at = id.0 as usize;
        let known = !self.files[at].changed && !self.is_volatile(id);
        if !known && self.files[at].bytes.is_none() {
            let path = self.files[at].path.clone();
            if let Some(stat) = self.disk.look(&path) {
                let young = self.disk.now().saturating_sub(stat.changed.0) < RACY;
                let file = &mut self.files[at];
                file.stat = stat;
                file.changed = false;
                file.young = young;
            }
        }
        self.files[at].stat
    }

    pub(crate) fn modified(&self, id: FileId) -> SystemTime {
        let (seconds, nanoseconds) = self.files[id.0 as usize].stat.modified;
        match u64::try_from(seconds) {
            Ok(seconds) => UNIX_EPOCH + Duration::new(seconds, nanoseconds),
            Err(_) => UNIX_EPOCH,
        }
    }

    /// Lets go of what was read of a file.
    pub(crate) fn drop_content(&mut self, id: FileId) {
        let file = &mut self.files[id.0 as usize];
        file.bytes = None;
        file.sources.clear();
        file.changed = true;
    }
}
