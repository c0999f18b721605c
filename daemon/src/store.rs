//! Where requests are while they come and while they wait: in memory as long as all of them together are small, else in
//! files without a name, which go with the process whatever happens to it.
//!
//! Knows nothing of what is kept.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::queue::Client;

/// Bytes of memory for all requests that are not at work yet.
const MEMORY: u64 = 64 << 20;
/// Bytes of a request below which its going to a file would cost more than it saves.
pub(crate) const WORTH_A_FILE: usize = 256 << 10;
/// Bytes that all such files may have.
const DISK: u64 = 8 << 30;

/// Counts what is kept.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    memory: u64,
    disk: u64,
    all: Kept,
    /// Of each client that has a request here. When there is too much, those give way that have more than an equal part, so that nobody
    /// can lock others out by what he sends.
    clients: Mutex<HashMap<Client, Weak<Kept>>>,
}

/// Bytes in memory and in files.
#[derive(Debug, Default)]
struct Kept {
    in_memory: AtomicU64,
    in_files: AtomicU64,
}

impl Store {
    /// Files are made in `folder`, which should not be memory.
    pub(crate) fn new(folder: PathBuf) -> Arc<Self> {
        Self::with_room(folder, MEMORY, DISK)
    }

    pub(crate) fn with_room(folder: PathBuf, memory: u64, disk: u64) -> Arc<Self> {
        Arc::new(Self {
            folder,
            memory,
            disk,
            all: Kept::default(),
            clients: Mutex::default(),
        })
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Client, Weak<Kept>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, client: Client) -> Arc<Kept> {
        let mut clients = self.clients();
        clients.retain(|_, kept| kept.strong_count() > 0);
        if let Some(kept) = clients.get(&client).and_then(Weak::upgrade) {
            return kept;
        }
        let kept = Arc::default();
        clients.insert(client, Arc::downgrade(&kept));
        kept
    }

    /// Whether `own` is more than an equal part of `room`.
    fn is_too_much(&self, own: u64, room: u64) -> bool {
        let clients = self.clients();
        let here = clients.values().filter(|kept| kept.strong_count() > 0);
        own > room / here.count().max(1) as u64
    }

    /// Bytes in memory and in files.
    pub(crate) fn kept(&self) -> (u64, u64) {
        (
            self.all.in_memory.load(Ordering::Relaxed),
            self.all.in_files.load(Ordering::Relaxed),
        )
    }
}

/// What one request has in the store.
#[derive(Debug)]
pub(crate) struct Keep {
    store: Arc<Store>,
    client: Arc<Kept>,
    in_memory: u64,
    in_file: u64,
    file: Option<File>,
}

impl Keep {
    pub(crate) fn new(store: &Arc<Store>, client: Client) -> Self {
        Self {
            store: Arc::clone(store),
            client: store.of(client),
            in_memory: 0,
            in_file: 0,
            file: None,
        }
    }

    /// So much of this request is in memory now.
    pub(crate) fn holds(&mut self, bytes: u64) {
        for kept in [&self.store.all, &*self.client] {
            let counter = &kept.in_memory;
            if bytes >= self.in_memory {
                counter.fetch_add(bytes - self.in_memory, Ordering::Relaxed);
            } else {
                counter.fetch_sub(self.in_memory - bytes, Ordering::Relaxed);
            }
        }
        self.in_memory = bytes;
    }

    /// Whether all requests together have more memory than they should.
    pub(crate) fn is_crowded(&self) -> bool {
        self.store.all.in_memory.load(Ordering::Relaxed) > self.store.memory
    }

    /// The same, by so much that nothing more can be borne of this client.
    pub(crate) fn is_overfull(&self) -> bool {
        let room = 8 * self.store.memory;
        let own = &self.client.in_memory;
        self.store.all.in_memory.load(Ordering::Relaxed) > room
            && self.store.is_too_much(own.load(Ordering::Relaxed), room)
    }

    /// Bytes of this request that are in its file.
    pub(crate) fn in_file(&self) -> u64 {
        self.in_file
    }

    /// Adds to the file, which is made when it is first wanted.
    ///
    /// # Errors
    /// The file system, or what all files may have, is full.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        let before = self.store.all.in_files.fetch_add(len, Ordering::Relaxed);
        let own = self.client.in_files.fetch_add(len, Ordering::Relaxed) + len;
        self.in_file += len;
        if before + len > self.store.disk && self.store.is_too_much(own, self.store.disk) {
            return Err(io::Error::other("the requests that wait fill their files"));
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.store.folder)?),
        };
        file.write_all(bytes)
    }

    /// What was put into the file, and then `rest`; the file is gone after that.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn take_back(mut self, rest: Vec<u8>) -> io::Result<Vec<u8>> {
        let Some(mut file) = self.file.take() else {
            return Ok(rest);
        };
        let len = usize::try_from(self.in_file).map_err(io::Error::other)?;
        let mut whole = vec![0; len];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut whole)?;
        whole.extend_from_slice(&rest);
        Ok(whole)
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        self.holds(0);
        for kept in [&self.store.all, &*self.client] {
            kept.in_files.fetch_sub(self.in_file, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_away_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::with_room(folder.path().to_owned(), 10, 100);
        let mut keep = Keep::new(&store, Client::nameless());
        keep.holds(11);
        assert!(keep.is_crowded() && !keep.is_overfull());
        keep.put(b"one ").unwrap();
        keep.put(b"two ").unwrap();
        keep.holds(5);
        assert!(!keep.is_crowded());
        assert_eq!((store.kept(), keep.in_file()), ((5, 8), 8));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(keep.take_back(b"three".to_vec()).unwrap(), b"one two three");
        assert_eq!(store.kept(), (0, 0));
    }

    #[test]
    fn what_was_never_put_away_is_not_copied() {
        let store = Store::new("/nowhere".into());
        let keep = Keep::new(&store, Client::nameless());
        assert_eq!(keep.take_back(b"x".to_vec()).unwrap(), b"x");
        assert!(Keep::new(&store, Client::nameless()).put(b"x").is_err());
        assert_eq!(store.kept(), (0, 0));
    }

    #[test]
    fn files_have_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::with_room(folder.path().to_owned(), 10, 100);
        let (mut one, mut two) = (
            Keep::new(&store, Client::nameless()),
            Keep::new(&store, Client::nameless()),
        );
        one.put(&[0; 60]).unwrap();
        assert!(two.put(&[0; 60]).is_err());
        drop(two);
        one.put(&[0; 40]).unwrap();
        drop(one);
        assert_eq!(store.kept(), (0, 0));
    }

    #[test]
    fn who_has_more_than_an_equal_part_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::with_room(folder.path().to_owned(), 10, 100);
        let client = |number| Client::of(std::net::Ipv4Addr::new(10, 0, 0, number).into());
        let mut greedy = [client(1), client(1)].map(|client| Keep::new(&store, client));
        let mut modest = Keep::new(&store, client(2));
        greedy[0].holds(30);
        greedy[1].holds(45);
        modest.holds(6);
        assert!(greedy.iter().all(Keep::is_overfull) && !modest.is_overfull());
        greedy[0].put(&[0; 90]).unwrap();
        modest.put(&[0; 40]).unwrap();
        assert!(greedy[1].put(&[0; 1]).is_err());
        drop(greedy);
        // Alone again, all is his.
        modest.holds(81);
        assert!(modest.is_overfull() && modest.put(&[0; 60]).is_ok());
        drop(modest);
        assert_eq!(store.kept(), (0, 0));
        assert_eq!(
            store
                .clients()
                .values()
                .map(Weak::strong_count)
                .sum::<usize>(),
            0
        );
    }
}
