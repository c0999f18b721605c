//! What was reported, and what is not believed any more because of it.

use super::Change;
use super::tree::{Entry, ROOT, Tree};
use crate::names::Names;

impl Tree {
    /// Begins a question: takes in what changed since the last one.
    pub(crate) fn begin(&mut self, names: &Names) {
        self.question += 1;
        let mut changes = std::mem::take(&mut self.changes);
        self.disk.changes(&mut changes);
        for change in changes.drain(..) {
            self.note(change, names);
        }
        self.changes = changes;
    }

    fn note(&mut self, change: Change, names: &Names) {
        match change {
            Change::Name { watch, name } => {
                let Some(&folder) = self.by_watch.get(&(watch as u32)) else {
                    return;
                };
                let Some(name) = names.known(&name) else {
                    return;
                };
                match self.folders[folder.0 as usize].entries.remove(&name) {
                    None => {}
                    Some((Entry::Folder(_), _)) => self.forget_names(),
                    Some((entry, _)) => {
                        if let Entry::File(file) = entry {
                            self.files[file.0 as usize].changed = true;
                        }
                        self.generation += 1;
                        self.names_generation += 1;
                    }
                }
            }
            Change::Content { watch, name } => {
                let Some(&folder) = self.by_watch.get(&(watch as u32)) else {
                    return;
                };
                let Some(name) = names.known(&name) else {
                    return;
                };
                if let Some(&(Entry::File(file), _)) =
                    self.folders[folder.0 as usize].entries.get(&name)
                {
                    self.files[file.0 as usize].changed = true;
                    self.generation += 1;
                }
            }
            Change::Folder { watch } => {
                if self.by_watch.contains_key(&(watch as u32)) {
                    self.forget_names();
                }
            }
            Change::Everything => self.forget_names(),
        }
    }

    /// Believes nothing any more of which name leads where. What was read of files stays, to be compared.
    fn forget_names(&mut self) {
        self.generation += 1;
        self.names_generation += 1;
        self.folders.clear();
        self.by_watch.clear();
        self.watches = 0;
        for file in &mut self.files {
            file.changed = true;
        }
        self.add_folder(ROOT, b"/".to_vec());
    }
}
