//! Who compiles next. Complete requests wait for one of the slots, and of those that wait the client with the fewest
//! compiles at work is served first, so that nobody can keep the others waiting by asking much.
//!
//! So many wait as are worth waiting for: four for each slot. More are borne for a moment, because a burst of small
//! jobs is over sooner than a client has found another host; after that, who has most in line loses what came last.
//! Knows nothing of requests.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Requests that may wait for each slot.
pub(crate) const DEPTH: usize = 4;
/// How long one more than that is borne.
const GRACE: Duration = Duration::from_secs(2);
/// Between two looks whether one is still too many.
const AGAIN: Duration = Duration::from_millis(500);

/// How long somebody who has nothing at work waits until a slot is taken from who has most. Honest long jobs free one sooner; none comes free
/// when somebody fills them all with what never ends.
const TOO_LONG: Duration = Duration::from_secs(120);

/// Whom a share belongs to: an address, or a network of IPv6, whose hosts have as many addresses as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client(Option<IpAddr>);

impl Client {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(Some(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = v6.to_bits() >> 64 << 64;
                Ipv6Addr::from_bits(if v6.is_loopback() { 1 } else { network }).into()
            }
            v4 => v4,
        }))
    }

    /// Another for each client.
    pub(crate) fn name(&self) -> Vec<u8> {
        self.0
            .map_or_else(Vec::new, |ip| ip.to_string().into_bytes())
    }

    /// Who came by no network.
    pub(crate) fn nameless() -> Self {
        Self(None)
    }
}

/// All slots and who waits for them.
#[derive(Debug)]
pub(crate) struct Queue {
    limit: usize,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    free: usize,
    waiting: usize,
    tickets: u64,
    /// Slots given so far, by which turns are taken.
    given: u64,
    /// Those who have something at work or in line.
    clients: HashMap<Client, Share>,
}

#[derive(Debug, Default)]
struct Share {
    /// By the value of `given`, the youngest last.
    running: BTreeMap<u64, Arc<Recall>>,
    /// The value of `given` when it was last its turn.
    turn: u64,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    call: oneshot::Sender<Slot>,
}

/// The right to run one compile; free for the next when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Nothing once it was given on.
    queue: Option<Arc<Queue>>,
    client: Client,
    number: u64,
    recall: Arc<Recall>,
}

/// How a slot is asked back.
#[derive(Debug, Default)]
struct Recall {
    asked: AtomicBool,
    told: Notify,
}

/// Too many were waiting for longer than is worth it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} requests waited already, {limit} are let in")]
pub(crate) struct Full {
    waiting: usize,
    limit: usize,
}

impl Queue {
    pub(crate) fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: DEPTH.saturating_mul(slots),
            line: Mutex::new(Line {
                free: slots,
                ..Line::default()
            }),
        })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Slots that nobody has, and requests that wait.
    pub(crate) fn free_and_waiting(&self) -> (usize, usize) {
        let line = self.line();
        (line.free, line.waiting)
    }

    /// A slot, if one is free and nobody waits for it.
    pub(crate) fn try_take(self: &Arc<Self>, client: Client) -> Option<Slot> {
        let mut line = self.line();
        if line.free == 0 {
            return None;
        }
        line.free -= 1;
        Some(line.begin(self, client))
    }

    /// Waits for a slot. May be dropped at any time.
    ///
    /// # Errors
    /// Too many wait, and this client has its share in line.
    pub(crate) async fn take(self: &Arc<Self>, client: Client) -> Result<Slot, Full> {
        if let Some(slot) = self.try_take(client) {
            return Ok(slot);
        }
        let (place, mut call) = self.stand_in_line(client);
        let mut patience = GRACE;
        let began = Instant::now();
        loop {
            if began.elapsed() >= TOO_LONG {
                self.line().recall_for(client);
            }
            match tokio::time::timeout(patience, &mut call).await {
                Ok(Ok(slot)) => return Ok(slot),
                // Nobody drops a waiter who did not leave; were it so, it would be out of the line.
                Ok(Err(_)) => return Err(self.full()),
                Err(_) if place.is_too_many() => return Err(self.full()),
                Err(_) => patience = AGAIN,
            }
        }
    }

    fn full(&self) -> Full {
        Full {
            waiting: self.line().waiting,
            limit: self.limit,
        }
    }

    fn stand_in_line(self: &Arc<Self>, client: Client) -> (Standing<'_>, oneshot::Receiver<Slot>) {
        let (call, called) = oneshot::channel();
        let mut line = self.line();
        let ticket = line.tickets;
        line.tickets += 1;
        line.waiting += 1;
        let share = line.clients.entry(client).or_default();
        share.waiting.push_back(Waiter { ticket, call });
        let standing = Standing {
            queue: self,
            client,
            ticket,
        };
        (standing, called)
    }

    /// Gives a free slot to the next in line.
    fn next(self: &Arc<Self>) {
        let mut line = self.line();
        line.free += 1;
        while let Some(client) = line.whose_turn() {
            let Some(waiter) = line.leave(client, 0) else {
                return;
            };
            let slot = line.begin(self, client);
            match waiter.call.send(slot) {
                Ok(()) => {
                    line.free -= 1;
                    return;
                }
                // It went away just now.
                Err(mut slot) => {
                    slot.queue = None;
                    line.end(client, slot.number);
                }
            }
        }
    }
}

impl Line {
    fn begin(&mut self, queue: &Arc<Queue>, client: Client) -> Slot {
        self.given += 1;
        let recall = Arc::<Recall>::default();
        let share = self.clients.entry(client).or_default();
        share.running.insert(self.given, Arc::clone(&recall));
        share.turn = self.given;
        Slot {
            queue: Some(Arc::clone(queue)),
            client,
            number: self.given,
            recall,
        }
    }

    fn end(&mut self, client: Client, number: u64) {
        if let Some(share) = self.clients.get_mut(&client) {
            share.running.remove(&number);
        }
        self.forget_idle(client);
    }

    /// Asks for a slot back for `client`, if it has none: of who has most, and more than one, the one whose job has come least far.
    fn recall_for(&self, client: Client) {
        let running = |share: &Share| share.running.len();
        if self
            .clients
            .get(&client)
            .is_some_and(|own| running(own) > 0)
        {
            return;
        }
        let most = self.clients.values().max_by_key(|share| running(share));
        let most = most.filter(|share| running(share) > 1);
        if let Some((_, recall)) = most.and_then(|share| share.running.last_key_value()) {
            recall.asked.store(true, Ordering::Relaxed);
            recall.told.notify_one();
        }
    }

    /// Fewest at work first, then who had a turn longest ago.
    fn whose_turn(&self) -> Option<Client> {
        let waiting = self
            .clients
            .iter()
            .filter(|(_, share)| !share.waiting.is_empty());
        waiting
            .min_by_key(|(_, share)| (share.running.len(), share.turn))
            .map(|(client, _)| *client)
    }

    fn leave(&mut self, client: Client, at: usize) -> Option<Waiter> {
        let waiter = self.clients.get_mut(&client)?.waiting.remove(at)?;
        self.waiting -= 1;
        Some(waiter)
    }

    fn forget_idle(&mut self, client: Client) {
        let idle = |share: &Share| share.running.is_empty() && share.waiting.is_empty();
        if self.clients.get(&client).is_some_and(idle) {
            self.clients.remove(&client);
        }
    }

    /// How many of this client's may wait: an equal share, or what the others leave.
    fn allowed(&self, client: Client, limit: usize) -> usize {
        let lines = |share: &&Share| !share.waiting.is_empty();
        let in_line = self.clients.values().filter(lines).count().max(1);
        let own = self
            .clients
            .get(&client)
            .map_or(0, |share| share.waiting.len());
        let others = self.waiting - own;
        limit.div_ceil(in_line).max(limit.saturating_sub(others))
    }
}

/// One request's place in the line, left when dropped.
struct Standing<'a> {
    queue: &'a Arc<Queue>,
    client: Client,
    ticket: u64,
}

impl Standing<'_> {
    fn position(&self, line: &Line) -> Option<usize> {
        let share = line.clients.get(&self.client)?;
        share
            .waiting
            .iter()
            .position(|waiter| waiter.ticket == self.ticket)
    }

    fn is_too_many(&self) -> bool {
        let line = self.queue.line();
        line.waiting > self.queue.limit
            && self
                .position(&line)
                .is_some_and(|at| at >= line.allowed(self.client, self.queue.limit))
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let mut line = self.queue.line();
        if let Some(at) = self.position(&line) {
            line.leave(self.client, at);
            line.forget_idle(self.client);
        }
    }
}

impl Slot {
    /// Ends when the slot is asked back.
    pub(crate) async fn recalled(&self) {
        self.recall.told.notified().await;
    }

    pub(crate) fn is_recalled(&self) -> bool {
        self.recall.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else {
            return;
        };
        queue.line().end(self.client, self.number);
        queue.next();
    }
}

#[cfg(test)]
mod tests;
