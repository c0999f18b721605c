//! What the table says to somebody who only looks: takes no lock and creates no file.

use super::{Kind, Moment, Paces, Store, Table, Window};
use crate::folder::Folder;

/// Second copies of late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copies {
    pub copies: u32,
    /// Of so many jobs: the last thousand at most.
    pub of: u32,
}

impl Paces<Table> {
    /// The table in the folder as it is. Nothing is noted in it.
    pub fn to_look_at(folder: &Folder) -> Paces<Table> {
        Paces::new(Table::to_look_at(folder))
    }
}

impl<S: Store> Paces<S> {
    /// ln of the host's pace for jobs as they came of late, whatever their kind; `None` where it did none.
    pub fn usual(&self, key: u64, now: Moment) -> Option<f32> {
        let host = self.host(key, now);
        let (mut sum, mut jobs) = (0.0, 0.0);
        for kind in Kind::all() {
            let count = self.kind(kind).count as f32;
            sum += count * host.pace(kind, 0.0, now);
            jobs += count;
        }
        (host.count > 0 && jobs > 0.0).then(|| sum / jobs)
    }

    /// How many of the last jobs had a second copy.
    pub fn copies(&self) -> Copies {
        let window: Window = self.store.read(0).unwrap_or_default();
        Copies {
            copies: window.copies(),
            of: window.jobs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::{Unit, Work};

    fn work(language: u8) -> Work {
        Work {
            kind: Kind::new(language, true, false),
            unit: Unit::of([&[language][..]]),
            bytes: None,
        }
    }

    #[test]
    fn looking_creates_nothing_and_notes_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(temp.path().join("new"));
        let looked = Paces::to_look_at(&folder);
        assert_eq!(looked.usual(1, 1000), None);
        assert_eq!(looked.copies(), Copies::default());
        assert_eq!(looked.expect(&work(0)), None);
        assert!(!folder.root().exists());

        let paces = Paces::in_folder(&folder);
        assert!(paces.begin_copy(8));
        for round in 0..10 {
            paces.finished(1, &work(0), 1000.0, 1, round == 0, 1000);
            paces.finished(2, &work(0), 4000.0, 1, false, 1000);
        }
        let file = folder.lock().join("paces");
        let before = std::fs::read(&file).unwrap();
        let looked = Paces::to_look_at(&folder);
        let ratio = (looked.usual(2, 1000).unwrap() - looked.usual(1, 1000).unwrap()).exp();
        assert!((3.0..5.0).contains(&ratio), "{ratio}");
        assert_eq!(looked.usual(3, 1000), None);
        assert_eq!(looked.copies(), Copies { copies: 1, of: 20 });
        looked.answered(1, Some(4), Some((1, 2)), 1000);
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }

    #[test]
    fn what_a_daemon_said_is_told_with_its_age() {
        let paces = Paces::new(crate::pace::InMemory::default());
        assert_eq!(paces.host(7, 5000).load(5000), None);
        paces.answered(7, Some(4), Some((1, 2)), 5000);
        let load = paces.host(7, 8000).load(8000).unwrap();
        assert_eq!(
            (load.jobs, load.free, load.queue, load.age),
            (4, 1, 2, 3000)
        );
    }
}
