//! Answers that wait to be taken: how much memory they have together, and who gives way when it is too much. A slot is free before
//! its answer is sent, so that nothing else bounds how many there are.
//!
//! Knows nothing of what an answer says.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::queue::Client;

/// Bytes of all answers together. One that is alone may have more.
const MEMORY: usize = 512 << 20;

/// All answers that are not taken yet.
#[derive(Debug)]
pub(crate) struct Answers {
    room: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    bytes: usize,
    /// Oldest first.
    answers: BTreeMap<u64, (Client, usize, Arc<Notify>)>,
}

impl Waiting {
    /// Of the client with most bytes the answer that has waited for longest.
    fn longest_of_the_most(&self) -> Option<u64> {
        let mut sums: HashMap<Client, usize> = HashMap::new();
        for (client, bytes, _) in self.answers.values() {
            *sums.entry(*client).or_default() += bytes;
        }
        let most = sums.values().max()?;
        let has_most =
            |(_, (client, ..)): &(&u64, &(Client, usize, _))| sums.get(client) == Some(most);
        let (number, _) = self.answers.iter().find(has_most)?;
        Some(*number)
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Notify>> {
        let (_, bytes, leaves) = self.answers.remove(&number)?;
        self.bytes -= bytes;
        Some(leaves)
    }
}

/// One answer's place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    answers: Arc<Answers>,
    number: u64,
    given_up: Arc<Notify>,
}

impl Answers {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_room(MEMORY)
    }

    fn with_room(room: usize) -> Arc<Self> {
        Arc::new(Self {
            room,
            waiting: Mutex::default(),
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more of so many bytes; where that is too much, others are given up.
    pub(crate) fn hold(self: &Arc<Self>, client: Client, bytes: usize) -> Held {
        let mut waiting = self.waiting();
        let given_up = Arc::new(Notify::new());
        let number = waiting.next;
        waiting.next += 1;
        waiting.bytes += bytes;
        let answer = (client, bytes, Arc::clone(&given_up));
        waiting.answers.insert(number, answer);
        while waiting.bytes > self.room && waiting.answers.len() > 1 {
            let Some(oldest) = waiting.longest_of_the_most() else {
                break;
            };
            if let Some(leaves) = waiting.remove(oldest) {
                leaves.notify_one();
            }
        }
        Held {
            answers: Arc::clone(self),
            number,
            given_up,
        }
    }
}

impl Held {
    /// Ends when this one has to give way.
    pub(crate) async fn given_up(&self) {
        self.given_up.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.answers.waiting().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    fn is_given_up(held: &Held) -> bool {
        let future = std::pin::pin!(held.given_up());
        future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    fn client(number: u8) -> Client {
        Client::of(std::net::Ipv4Addr::new(10, 0, 0, number).into())
    }

    #[test]
    fn who_has_most_gives_way_with_the_oldest() {
        let answers = Answers::with_room(100);
        let modest = answers.hold(client(1), 20);
        let greedy = [30, 40].map(|bytes| answers.hold(client(2), bytes));
        assert!(!greedy.iter().chain([&modest]).any(is_given_up));
        let newcomer = answers.hold(client(3), 20);
        assert!(is_given_up(&greedy[0]) && !is_given_up(&greedy[1]));
        assert!(!is_given_up(&modest) && !is_given_up(&newcomer));
        assert_eq!(answers.waiting().bytes, 80);
        drop((modest, greedy, newcomer));
        assert_eq!(answers.waiting().bytes, 0);
        assert!(answers.waiting().answers.is_empty());
    }

    #[test]
    fn one_that_is_alone_is_served_whatever_it_has() {
        let answers = Answers::with_room(100);
        let large = answers.hold(client(1), 1000);
        assert!(!is_given_up(&large));
        let small = answers.hold(client(2), 1);
        assert!(is_given_up(&large) && !is_given_up(&small));
    }
}
