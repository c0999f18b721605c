use super::*;
use std::net::Ipv4Addr;

fn client(n: u8) -> Client {
    Client::of(Ipv4Addr::new(10, 0, 0, n).into())
}

fn waits(queue: &Arc<Queue>, client: Client) -> tokio::task::JoinHandle<Result<Slot, Full>> {
    let queue = Arc::clone(queue);
    tokio::spawn(async move { queue.take(client).await })
}

async fn in_line(queue: &Queue, many: usize) {
    while queue.free_and_waiting().1 != many {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_has_least_is_next() {
    let queue = Queue::new(2);
    let one = queue.take(client(1)).await.unwrap();
    let two = queue.take(client(1)).await.unwrap();
    let greedy: Vec<_> = (0..4).map(|_| waits(&queue, client(1))).collect();
    in_line(&queue, 4).await;
    let modest = waits(&queue, client(2));
    in_line(&queue, 5).await;
    drop(one);
    let modest = modest.await.unwrap().unwrap();
    in_line(&queue, 4).await;
    assert!(greedy.iter().all(|waiting| !waiting.is_finished()));
    drop((two, modest));
    for waiting in greedy {
        drop(waiting.await.unwrap().unwrap());
    }
    assert_eq!(queue.free_and_waiting(), (2, 0));
    assert!(queue.line().clients.is_empty());
}

#[tokio::test]
async fn equals_take_turns() {
    let queue = Queue::new(1);
    let mut slot = queue.take(client(9)).await.unwrap();
    let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
    for (at, n) in [1, 1, 1, 2, 2, 3].into_iter().enumerate() {
        let (queue, done) = (Arc::clone(&queue), done.clone());
        let waiting = at + 1;
        let line = Arc::clone(&queue);
        tokio::spawn(async move {
            let slot = queue.take(client(n)).await;
            done.send((n, slot)).unwrap();
        });
        in_line(&line, waiting).await;
    }
    let mut came = Vec::new();
    for _ in 0..6 {
        drop(slot);
        let (n, next) = order.recv().await.unwrap();
        came.push(n);
        slot = next.unwrap();
    }
    // Which of those who never had a turn is first is open; nobody is served twice before all were once.
    let mut first = came[..3].to_vec();
    first.sort_unstable();
    assert_eq!(first, [1, 2, 3]);
    assert_eq!(came[5], 1);
}

#[tokio::test]
async fn who_leaves_is_passed_over() {
    let queue = Queue::new(1);
    let slot = queue.take(client(1)).await.unwrap();
    let (gone, stays) = (waits(&queue, client(2)), waits(&queue, client(3)));
    in_line(&queue, 2).await;
    gone.abort();
    in_line(&queue, 1).await;
    drop(slot);
    drop(stays.await.unwrap().unwrap());
    assert_eq!(queue.free_and_waiting(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn too_many_leave_after_a_moment_and_none_of_the_modest() {
    let queue = Queue::new(1);
    let slot = queue.take(client(1)).await.unwrap();
    let greedy: Vec<_> = (0..10).map(|_| waits(&queue, client(1))).collect();
    in_line(&queue, 10).await;
    let modest = waits(&queue, client(2));
    in_line(&queue, 11).await;
    tokio::time::sleep(GRACE + AGAIN).await;
    assert_eq!(queue.free_and_waiting(), (0, DEPTH));
    assert!(!modest.is_finished());
    let turned_away = greedy.iter().filter(|waiting| waiting.is_finished());
    assert_eq!(turned_away.count(), 10 + 1 - DEPTH);
    drop(slot);
    drop(modest.await.unwrap().unwrap());
    let mut served = 0;
    for waiting in greedy {
        served += usize::from(waiting.await.unwrap().is_ok());
    }
    assert_eq!(served, DEPTH - 1);
}

#[test]
fn a_network_of_ipv6_is_one_client() {
    let of = |address: &str| Client::of(address.parse().unwrap());
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    assert_ne!(of("::1"), Client::nameless());
}

/// Whether the slot was asked back; told once.
async fn is_asked_back(slot: &Slot) -> bool {
    let told = tokio::time::timeout(Duration::ZERO, slot.recalled()).await;
    assert_eq!(told.is_ok(), slot.is_recalled());
    told.is_ok()
}

#[tokio::test(start_paused = true)]
async fn who_fills_all_slots_for_long_gives_one_back() {
    let queue = Queue::new(2);
    let old = queue.take(client(1)).await.unwrap();
    let young = queue.take(client(1)).await.unwrap();
    // Not for more of his own.
    let own = waits(&queue, client(1));
    tokio::time::sleep(2 * TOO_LONG).await;
    assert!(!is_asked_back(&old).await && !is_asked_back(&young).await);
    let other = waits(&queue, client(2));
    tokio::time::sleep(TOO_LONG - AGAIN).await;
    assert!(!is_asked_back(&young).await);
    tokio::time::sleep(2 * AGAIN).await;
    assert!(is_asked_back(&young).await && !is_asked_back(&old).await);
    drop(young);
    let other = other.await.unwrap().unwrap();
    // Who has one slot keeps it, however long others wait.
    let third = waits(&queue, client(3));
    tokio::time::sleep(2 * TOO_LONG).await;
    assert!(!is_asked_back(&old).await && !is_asked_back(&other).await);
    drop((old, other));
    drop((own.await.unwrap().unwrap(), third.await.unwrap().unwrap()));
    assert_eq!(queue.free_and_waiting(), (2, 0));
    assert!(queue.line().clients.is_empty());
}
