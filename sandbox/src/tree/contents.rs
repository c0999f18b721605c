//! The contents of trees' files. Each is written once for an owner and stands in trees by further names of the same file (hard
//! links); what no tree names any more is kept for a while, since units of a client alternate and bring the same headers again.
//!
//! A tree never has two names for one file: compilers take those for one, as they do files of the same bytes and time. So each has a
//! time of its own, and equal contents at two names are two files. Knows nothing of names and folders: files are numbers here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Stands for the bytes of a file.
pub(super) type Digest = [u8; 16];

/// Whose files they are.
pub(super) type Owner = Arc<[u8]>;

/// The first file's time of modification, in seconds; long ago, so that nothing is younger than its reader.
const EPOCH: i64 = 1_000_000_000;
/// So many files later times come again. No tree has so many.
const TIMES: u64 = 500_000_000;

/// Files of the same content that are looked at for one that a tree has not named yet. A tree may want one content under each of its
/// names, and all owners wait meanwhile.
const LOOKED_AT: usize = 64;

#[derive(Debug)]
struct Stored {
    owner: Owner,
    digest: Digest,
    bytes: u64,
    /// Trees that name it.
    named: usize,
    /// While none does: its place in the order of what goes first.
    since: u64,
}

#[derive(Debug, Default)]
struct Share {
    trees: usize,
    bytes: u64,
    files: HashMap<Digest, BTreeSet<u64>>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    clock: u64,
    stored: HashMap<u64, Stored>,
    owners: HashMap<Owner, Share>,
    /// What no tree names, longest ago first.
    spare: BTreeMap<u64, u64>,
    /// Of all files, and of those that no tree names.
    bytes: u64,
    spare_bytes: u64,
}

/// Which files there are. Making and removing them is the caller's.
#[derive(Debug)]
pub(super) struct Contents {
    /// Bytes above which nothing is kept that no tree names.
    room: u64,
    /// Bytes, and how many, of what no tree names.
    spare_bytes: u64,
    spare: usize,
    state: Mutex<State>,
}

/// A file that is to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct New {
    pub(super) number: u64,
    pub(super) time: i64,
}

impl Contents {
    pub(super) fn new(room: u64, spare_bytes: u64, spare: usize) -> Self {
        Self {
            room,
            spare_bytes,
            spare,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// Whether there is more than there is room for, with so many bytes of other things.
    pub(super) fn is_full(&self, others: u64) -> bool {
        self.state().bytes + others > self.room
    }

    /// `owner` has one tree more. What it is to be called, the same for all its trees.
    pub(super) fn add_tree(&self, owner: &[u8]) -> Owner {
        let mut state = self.state();
        let known = state.owners.get_key_value(owner).map(|(owner, _)| owner);
        let owner = known.cloned().unwrap_or_else(|| owner.into());
        state.owners.entry(Arc::clone(&owner)).or_default().trees += 1;
        owner
    }

    /// A file of `owner`'s that has this content and is none of `has`. From here on a tree names it.
    pub(super) fn take(&self, owner: &Owner, digest: &Digest, has: &HashSet<u64>) -> Option<u64> {
        let mut state = self.state();
        let share = state.owners.get(owner)?;
        let mut files = share.files.get(digest)?.iter().take(LOOKED_AT);
        let number = *files.find(|number| !has.contains(number))?;
        state.begin_naming(number);
        Some(number)
    }

    /// Whether `owner` may have so many bytes more: half of the room, so that nobody can lock others out.
    pub(super) fn fits(&self, owner: &Owner, bytes: u64) -> bool {
        let state = self.state();
        let own = state.owners.get(owner).map_or(0, |share| share.bytes);
        own + bytes <= self.room / 2
    }

    /// Forgets what of `owner`'s no tree names. What is to be removed.
    pub(super) fn drop_spare(&self, owner: &Owner) -> Vec<u64> {
        let mut state = self.state();
        let spare = state.spare.values().copied();
        let own = |number: &u64| {
            let stored = state.stored.get(number);
            stored.is_some_and(|stored| stored.owner == *owner)
        };
        let spare: Vec<u64> = spare.filter(own).collect();
        spare.iter().for_each(|number| state.forget(*number));
        spare
    }

    /// A number that no file has.
    pub(super) fn number(&self) -> New {
        let mut state = self.state();
        state.next += 1;
        state.clock = (state.clock + 1) % TIMES;
        New {
            number: state.next,
            time: EPOCH + i64::try_from(state.clock).unwrap_or(0),
        }
    }

    /// The file was written, whole; a tree names it. What is to be removed for it.
    pub(super) fn add(&self, owner: &Owner, digest: Digest, number: u64, bytes: u64) -> Vec<u64> {
        let mut state = self.state();
        let share = state.owners.entry(Arc::clone(owner)).or_default();
        share.files.entry(digest).or_default().insert(number);
        share.bytes += bytes;
        let stored = Stored {
            owner: Arc::clone(owner),
            digest,
            bytes,
            named: 1,
            since: 0,
        };
        state.stored.insert(number, stored);
        state.bytes += bytes;
        self.excess(&mut state)
    }

    /// A tree names these no more. What is to be removed.
    pub(super) fn release(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut state = self.state();
        for number in numbers {
            state.end_naming(number);
        }
        self.excess(&mut state)
    }

    /// `owner` has one tree less, and that named these files. What is to be removed: with its last tree, all that it has.
    pub(super) fn drop_tree(
        &self,
        owner: &Owner,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Vec<u64> {
        let mut removed = self.release(numbers);
        let mut state = self.state();
        let Some(share) = state.owners.get_mut(owner) else {
            return removed;
        };
        share.trees -= 1;
        if share.trees == 0 {
            let left: Vec<u64> = share.files.values().flatten().copied().collect();
            left.iter().for_each(|number| state.forget(*number));
            removed.extend(left);
            state.owners.remove(owner);
        }
        removed
    }

    /// Forgets what is kept beyond its bounds.
    fn excess(&self, state: &mut State) -> Vec<u64> {
        let mut removed = Vec::new();
        while state.bytes > self.room
            || state.spare_bytes > self.spare_bytes
            || state.spare.len() > self.spare
        {
            let Some((_, number)) = state.spare.first_key_value() else {
                break;
            };
            let number = *number;
            state.forget(number);
            removed.push(number);
        }
        removed
    }
}

impl State {
    fn begin_naming(&mut self, number: u64) {
        let Some(stored) = self.stored.get_mut(&number) else {
            return;
        };
        stored.named += 1;
        if stored.named == 1 {
            self.spare_bytes -= stored.bytes;
            self.spare.remove(&stored.since);
        }
    }

    fn end_naming(&mut self, number: u64) {
        let Some(stored) = self.stored.get_mut(&number) else {
            return;
        };
        stored.named -= 1;
        if stored.named == 0 {
            self.next += 1;
            stored.since = self.next;
            self.spare_bytes += stored.bytes;
            self.spare.insert(stored.since, number);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(stored) = self.stored.remove(&number) else {
            return;
        };
        self.bytes -= stored.bytes;
        if stored.named == 0 {
            self.spare_bytes -= stored.bytes;
            self.spare.remove(&stored.since);
        }
        let Some(share) = self.owners.get_mut(&stored.owner) else {
            return;
        };
        share.bytes -= stored.bytes;
        if let Some(files) = share.files.get_mut(&stored.digest) {
            files.remove(&number);
            if files.is_empty() {
                share.files.remove(&stored.digest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Digest = [1; 16];
    const TWO: Digest = [2; 16];

    fn write(contents: &Contents, owner: &Owner, digest: Digest, bytes: u64) -> (u64, Vec<u64>) {
        let number = contents.number().number;
        (number, contents.add(owner, digest, number, bytes))
    }

    #[test]
    fn what_no_tree_names_is_found_again() {
        let contents = Contents::new(100, 100, 10);
        let owner = contents.add_tree(b"ann");
        let none = HashSet::new();
        assert_eq!(contents.take(&owner, &ONE, &none), None);
        let (one, _) = write(&contents, &owner, ONE, 10);
        assert!(contents.release([one]).is_empty());
        assert_eq!(contents.take(&owner, &ONE, &none), Some(one));
        // Not for a second name in the same tree, nor for somebody else.
        assert_eq!(contents.take(&owner, &ONE, &[one].into()), None);
        let other = contents.add_tree(b"bob");
        assert_eq!(contents.take(&other, &ONE, &none), None);
        let (again, _) = write(&contents, &owner, ONE, 10);
        assert_eq!(contents.take(&owner, &ONE, &[one].into()), Some(again));
        assert_eq!(contents.bytes(), 20);
    }

    #[test]
    fn times_and_numbers_differ() {
        let contents = Contents::new(100, 100, 10);
        let new: Vec<New> = (0..3).map(|_| contents.number()).collect();
        let times: HashSet<i64> = new.iter().map(|new| new.time).collect();
        let numbers: HashSet<u64> = new.iter().map(|new| new.number).collect();
        assert_eq!((times.len(), numbers.len()), (3, 3));
    }

    #[test]
    fn what_goes_is_what_was_named_longest_ago() {
        let contents = Contents::new(100, 50, 10);
        let owner = contents.add_tree(b"ann");
        let [one, two] = [ONE, TWO].map(|digest| write(&contents, &owner, digest, 30).0);
        assert!(contents.release([two]).is_empty());
        // More than is kept without a name.
        assert_eq!(contents.release([one]), [two]);
        // More than there is room for: nothing that has a name goes.
        let (large, removed) = write(&contents, &owner, TWO, 90);
        assert_eq!(removed, [one]);
        let (small, removed) = write(&contents, &owner, ONE, 20);
        assert!(removed.is_empty() && contents.is_full(0));
        assert_eq!(contents.release([small]), [small]);
        assert_eq!(contents.bytes(), 90);
        assert_eq!(contents.take(&owner, &TWO, &HashSet::new()), Some(large));
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let contents = Contents::new(100, 100, 1);
        let owner = contents.add_tree(b"ann");
        let [one, two] = [ONE, TWO].map(|digest| write(&contents, &owner, digest, 0).0);
        assert_eq!(contents.release([one, two]), [one]);
    }

    #[test]
    fn few_of_many_equal_ones_are_looked_at() {
        let contents = Contents::new(1 << 20, 1 << 20, 1000);
        let owner = contents.add_tree(b"ann");
        let all: Vec<u64> = (0..=LOOKED_AT)
            .map(|_| write(&contents, &owner, ONE, 1).0)
            .collect();
        let named: HashSet<u64> = all[..LOOKED_AT].iter().copied().collect();
        assert_eq!(contents.take(&owner, &ONE, &named), None);
        let named: HashSet<u64> = all[1..].iter().copied().collect();
        assert_eq!(contents.take(&owner, &ONE, &named), Some(all[0]));
    }

    #[test]
    fn an_owner_has_half_of_the_room() {
        let contents = Contents::new(100, 100, 10);
        let [ann, bob] = ["ann", "bob"].map(|name| contents.add_tree(name.as_bytes()));
        let (one, _) = write(&contents, &ann, ONE, 30);
        write(&contents, &ann, TWO, 10);
        assert!(contents.fits(&ann, 10) && !contents.fits(&ann, 11));
        assert!(contents.fits(&bob, 50));
        assert!(contents.drop_spare(&ann).is_empty());
        contents.release([one]);
        assert!(!contents.fits(&ann, 11) && contents.drop_spare(&bob).is_empty());
        assert_eq!(contents.drop_spare(&ann), [one]);
        assert!(contents.fits(&ann, 40) && contents.bytes() == 10);
    }

    #[test]
    fn with_an_owners_last_tree_all_of_it_goes() {
        let contents = Contents::new(100, 100, 10);
        let owner = contents.add_tree(b"ann");
        contents.add_tree(b"ann");
        let [one, two] = [ONE, TWO].map(|digest| write(&contents, &owner, digest, 10).0);
        assert!(contents.drop_tree(&owner, [one]).is_empty());
        let mut removed = contents.drop_tree(&owner, [two]);
        removed.sort_unstable();
        assert_eq!(removed, [one, two]);
        assert_eq!(contents.bytes(), 0);
        assert!(contents.state().owners.is_empty() && contents.state().spare.is_empty());
    }
}
