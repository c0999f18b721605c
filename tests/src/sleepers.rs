//! A host whose compilers sleep until enough of them do: how wide a build is, is how many of its jobs lie there at once.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{liar::LyingServer, wire::Reply};

/// How long the sleepers wait for one another.  A build that never gets so wide is as slow as this.
const LIMIT: Duration = Duration::from_secs(40);

/// A host that sleeps.
pub struct Sleepers {
    server: LyingServer,
    beds: Arc<Beds>,
}

#[derive(Default)]
struct Beds {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    asleep: usize,
    most: usize,
    /// How many have come.
    came: u32,
    awake: bool,
    dead: bool,
}

impl Sleepers {
    /// All jobs are answered, with the object of `source` (C), once `wanted` of them have come and not been answered.
    pub fn until(wanted: usize, source: &str) -> Sleepers {
        Sleepers::napping(LIMIT, wanted, source)
    }

    /// The same, but none sleeps longer than `nap`: for build tools that start no job before another has ended.  Some sleep less, since
    /// jobs that all end at once are nobody's build.
    pub fn napping(nap: Duration, wanted: usize, source: &str) -> Sleepers {
        let reply = Reply {
            version: 1,
            object: object(source),
            ..Reply::default()
        }
        .encode();
        let beds = Arc::<Beds>::default();
        let shared = Arc::clone(&beds);
        let server = LyingServer::start(move |talk| {
            if talk.request().is_some() && shared.sleep(wanted, nap) {
                talk.send(&reply);
            }
        });
        Sleepers { server, beds }
    }

    pub fn host(&self) -> String {
        self.server.host()
    }

    /// How many slept at once.
    pub fn most(&self) -> usize {
        self.beds.lock().most
    }

    /// How many sleep now.
    pub fn asleep(&self) -> usize {
        self.beds.lock().asleep
    }

    /// Ends the wait of all, now and later.
    pub fn wake(&self) {
        self.beds.lock().awake = true;
        self.beds.changed.notify_all();
    }
}

impl Drop for Sleepers {
    /// Whoever sleeps now gets no answer any more.
    fn drop(&mut self) {
        self.beds.lock().dead = true;
        self.wake();
    }
}

impl Beds {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True for who has slept well.
    fn sleep(&self, wanted: usize, nap: Duration) -> bool {
        let begun = Instant::now();
        let mut state = self.lock();
        state.asleep += 1;
        state.most = state.most.max(state.asleep);
        let nap = match nap < LIMIT {
            true => nap * (state.came % 5 + 1) / 5,
            false => nap,
        };
        state.came += 1;
        if state.asleep >= wanted {
            state.awake = true;
            self.changed.notify_all();
        }
        while !state.awake && begun.elapsed() < nap {
            let waited = self
                .changed
                .wait_timeout(state, Duration::from_millis(100))
                .unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
        }
        state.awake |= begun.elapsed() >= LIMIT;
        state.asleep -= 1;
        !state.dead
    }
}

/// What the compiler of this machine makes of `source`.
fn object(source: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("a.c"), source).expect("a file can be written");
    let made = Command::new("/usr/bin/gcc")
        .args(["-c", "a.c"])
        .current_dir(folder.path())
        .status();
    assert!(made.is_ok_and(|status| status.success()), "gcc fails");
    read(&folder.path().join("a.o"))
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("gcc leaves an object")
}
