//! How many connections there may be at a time, and who makes room when there are too many: of the client that has most of
//! them the one that has been sending its request for longest. Requests that are complete are never sent away here.
//!
//! Compilers need descriptors too, so that connections must not take all of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, getrlimit};
use tokio::sync::Notify;

use crate::queue::Client;

/// Descriptors that the daemon has open itself, with some to spare.
const OWN: u64 = 24;
/// Descriptors that a compile has open while it starts, its connection left out.
const PER_JOB: u64 = 7;
/// Fewest connections, however short descriptors are.
const LEAST: u64 = 4;

/// All connections that are open.
#[derive(Debug)]
pub(crate) struct Crowd {
    room: usize,
    people: Mutex<People>,
    /// Somebody left, or can be sent away now.
    changed: Notify,
}

#[derive(Debug, Default)]
struct People {
    next: u64,
    here: usize,
    /// Those whose request is still coming, oldest first.
    incomplete: BTreeMap<u64, (Client, Arc<Notify>)>,
}

impl People {
    /// Who makes room for one more.
    fn longest_of_the_most(&self) -> Option<u64> {
        let mut counts: HashMap<Client, usize> = HashMap::new();
        for (client, _) in self.incomplete.values() {
            *counts.entry(*client).or_default() += 1;
        }
        let most = counts.values().max()?;
        let has_most = |(_, (client, _)): &(&u64, &(Client, _))| counts.get(client) == Some(most);
        let (number, _) = self.incomplete.iter().find(has_most)?;
        Some(*number)
    }
}

/// One connection's place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    sent_away: Arc<Notify>,
}

/// As many connections as the limit of descriptors leaves room for beside `jobs` compiles.
pub(crate) fn room(jobs: usize) -> usize {
    let Some(descriptors) = getrlimit(Resource::Nofile).current else {
        return usize::MAX;
    };
    let jobs = u64::try_from(jobs).unwrap_or(u64::MAX);
    let taken = PER_JOB.saturating_mul(jobs).saturating_add(OWN);
    usize::try_from(descriptors.saturating_sub(taken).max(LEAST)).unwrap_or(usize::MAX)
}

impl Crowd {
    pub(crate) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self {
            room,
            people: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more can come in.
    pub(crate) async fn open(&self) {
        loop {
            {
                let people = self.people();
                if people.here < self.room || !people.incomplete.is_empty() {
                    return;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Connections that are open.
    pub(crate) fn here(&self) -> usize {
        self.people().here
    }

    /// Comes in; when it is full, an incomplete one is sent away.
    pub(crate) fn enter(self: &Arc<Self>, client: Client) -> Place {
        let mut people = self.people();
        if people.here >= self.room
            && let Some(number) = people.longest_of_the_most()
            && let Some((_, leaves)) = people.incomplete.remove(&number)
        {
            leaves.notify_one();
        }
        let sent_away = Arc::new(Notify::new());
        let number = people.next;
        people.next += 1;
        people.here += 1;
        people
            .incomplete
            .insert(number, (client, Arc::clone(&sent_away)));
        Place {
            crowd: Arc::clone(self),
            number,
            sent_away,
        }
    }
}

impl Place {
    /// Ends when this one has to make room.
    pub(crate) async fn sent_away(&self) {
        self.sent_away.notified().await;
    }

    /// The request is complete: from now on this one stays.
    pub(crate) fn complete(&self) {
        self.crowd.people().incomplete.remove(&self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut people = self.crowd.people();
        people.incomplete.remove(&self.number);
        people.here -= 1;
        self.crowd.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        let future = std::pin::pin!(future);
        future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn the_oldest_incomplete_makes_room() {
        let crowd = Crowd::new(2);
        let (one, two) = (
            crowd.enter(Client::nameless()),
            crowd.enter(Client::nameless()),
        );
        assert!(!is_ready(one.sent_away()));
        one.complete();
        let three = crowd.enter(Client::nameless());
        assert!(
            !is_ready(one.sent_away()) && is_ready(two.sent_away()) && !is_ready(three.sent_away())
        );
    }

    #[test]
    fn who_has_most_makes_room() {
        let crowd = Crowd::new(3);
        let client = |n| Client::of(std::net::Ipv4Addr::new(10, 0, 0, n).into());
        let modest = crowd.enter(client(1));
        let greedy = [crowd.enter(client(2)), crowd.enter(client(2))];
        let _newcomer = crowd.enter(client(3));
        assert!(!is_ready(modest.sent_away()));
        assert!(is_ready(greedy[0].sent_away()) && !is_ready(greedy[1].sent_away()));
        assert_eq!(crowd.here(), 4);
    }

    #[test]
    fn a_crowd_of_complete_ones_is_closed() {
        let crowd = Crowd::new(1);
        assert!(is_ready(crowd.open()));
        let one = crowd.enter(Client::nameless());
        assert!(is_ready(crowd.open()));
        one.complete();
        assert!(!is_ready(crowd.open()));
        drop(one);
        assert!(is_ready(crowd.open()));
    }

    #[test]
    fn there_is_always_some_room() {
        assert!(room(1) >= 4);
        assert_eq!(room(usize::MAX), 4);
    }
}
