//! Waiting for conditions, and running many things side by side.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `holds` says so.  Panics with `what` after a minute.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    let mut pause = Duration::from_micros(200);
    while !holds() {
        assert!(
            started.elapsed() < LIMIT,
            "waited {LIMIT:?} in vain: {what}"
        );
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Calls `each` with every item, a few at a time; a panic in one is a panic here, after the others ended.
pub fn side_by_side<T: Send>(items: impl IntoIterator<Item = T>, each: impl Fn(T) + Sync) {
    many_side_by_side(4, items, each);
}

/// The same, `width` at a time, as a build with `-j` does.
pub fn many_side_by_side<T: Send>(
    width: usize,
    items: impl IntoIterator<Item = T>,
    each: impl Fn(T) + Sync,
) {
    let waiting = Mutex::new(items.into_iter().collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for _ in 0..width {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no holder of this lock panics").pop();
                    match next {
                        Some(item) => each(item),
                        None => break,
                    }
                }
            });
        }
    });
}

/// True when the whole of a long table is wanted (`LONG=1`) and not just the places where it is likely to break.
pub fn long() -> bool {
    std::env::var_os("LONG").is_some_and(|value| value == "1")
}
