//! A server that does what the test says: closes, stalls, sends what it should not.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::wire::Request;

/// Listens on loopback and plays one script with every client.  Lets all go on drop.
pub struct LyingServer {
    port: u16,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    released: AtomicBool,
    closing: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    accepted: usize,
    open: usize,
    /// Connected, and not sent anything yet.
    waiting: usize,
    most_waiting: usize,
    requests: Vec<Request>,
    streams: Vec<TcpStream>,
}

impl State {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What becomes of a client that asks whose daemon this is, instead of sending a job.
#[derive(Debug, Clone)]
pub enum Greeting {
    /// Closed, as a stock daemon does.  Counted nowhere.
    Closed,
    /// Answered with these bytes.
    Says(Vec<u8>),
    /// Held until the client gives up.
    Stalls,
}

impl LyingServer {
    /// A server that passes for stock's until it is sent a job.
    pub fn start(script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> LyingServer {
        LyingServer::greeting(Greeting::Closed, script)
    }

    pub fn greeting(
        greeting: Greeting,
        script: impl Fn(&mut Conversation) + Send + Sync + 'static,
    ) -> LyingServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let script = Arc::new(script);
        let listener = std::thread::spawn(move || {
            let mut talks = Vec::new();
            for stream in listener.incoming() {
                if shared.closing.load(SeqCst) {
                    break;
                }
                let stream = stream.expect("a listener accepts");
                let (shared, script) = (Arc::clone(&shared), Arc::clone(&script));
                let greeting = greeting.clone();
                talks.push(std::thread::spawn(move || match is_question(&stream) {
                    true => greet(&greeting, stream, shared),
                    false => script(&mut Conversation::new(stream, shared)),
                }));
            }
            for talk in talks {
                let _ = talk.join();
            }
        });
        LyingServer {
            port,
            state,
            listener: Some(listener),
        }
    }

    /// Reads each request and answers with `reply`, then closes.
    pub fn answering(reply: Vec<u8>) -> LyingServer {
        LyingServer::start(move |talk| {
            if talk.request().is_some() {
                talk.send(&reply);
            }
        })
    }

    /// As in a host list.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many clients have come so far.
    pub fn accepted(&self) -> usize {
        self.state.seen().accepted
    }

    /// How many are connected now.
    pub fn open(&self) -> usize {
        self.state.seen().open
    }

    /// How many were ever connected at one time, before they were sent anything.
    pub fn most_waiting(&self) -> usize {
        self.state.seen().most_waiting
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.seen().requests.clone()
    }

    /// Ends every stall, now and later.
    pub fn release(&self) {
        self.state.released.store(true, SeqCst);
    }
}

impl Drop for LyingServer {
    fn drop(&mut self) {
        self.state.closing.store(true, SeqCst);
        self.release();
        for stream in &self.state.seen().streams {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// Does the client open with a version that no stock daemon knows?  Waits for its first words, and leaves them unread.
fn is_question(stream: &TcpStream) -> bool {
    let mut first = [0; 12];
    loop {
        match stream.peek(&mut first) {
            Ok(12) => return first.starts_with(b"DIST64636c00"),
            Ok(count) if count > 0 && b"DIST".starts_with(&first[..count.min(4)]) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            _ => return false,
        }
    }
}

fn greet(greeting: &Greeting, stream: TcpStream, state: Arc<State>) {
    let mut talk = Conversation {
        stream,
        number: 0,
        state,
        waiting: false,
    };
    match greeting {
        Greeting::Closed => {}
        Greeting::Says(answer) => {
            talk.read(24);
            talk.send(answer);
        }
        Greeting::Stalls => {
            talk.stall();
        }
    }
}

/// One client's connection.  Closed when the script ends.
pub struct Conversation {
    stream: TcpStream,
    number: usize,
    state: Arc<State>,
    /// Has it not been sent anything yet?
    waiting: bool,
}

impl Conversation {
    fn new(stream: TcpStream, state: Arc<State>) -> Conversation {
        let number = {
            let mut seen = state.seen();
            seen.accepted += 1;
            seen.open += 1;
            seen.waiting += 1;
            seen.most_waiting = seen.most_waiting.max(seen.waiting);
            seen.streams
                .push(stream.try_clone().expect("a descriptor is free"));
            seen.accepted
        };
        Conversation {
            stream,
            number,
            state,
            waiting: true,
        }
    }

    /// From now on the client may go, and another come for its place, before we hear of it.
    fn end_wait(&mut self) {
        if self.number > 0 && std::mem::take(&mut self.waiting) {
            self.state.seen().waiting -= 1;
        }
    }

    /// 1 for the first client, 0 for one that only asks.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Reads a whole request; none when the client breaks off.
    pub fn request(&mut self) -> Option<Request> {
        let request = Request::read(&mut self.stream).ok()?;
        self.state.seen().requests.push(request.clone());
        Some(request)
    }

    /// Reads `count` bytes, or less when the client breaks off.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = (&mut self.stream)
            .take(count as u64)
            .read_to_end(&mut bytes);
        bytes
    }

    /// Sends what the client will still take.
    pub fn send(&mut self, bytes: &[u8]) {
        self.end_wait();
        let _ = self.stream.write_all(bytes);
    }

    /// Ends the connection by a reset, as a machine does that has just started again.
    pub fn reset(&mut self) {
        self.end_wait();
        let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
        let mut seen = self.state.seen();
        let mine = self.stream.peer_addr().ok();
        seen.streams
            .retain(|stream| mine.is_none() || stream.peer_addr().ok() != mine);
    }

    /// Holds the connection until the client closes it or the test calls [`LyingServer::release`].  True if released.
    pub fn stall(&mut self) -> bool {
        let mut scrap = [0; 4096];
        self.stream
            .set_read_timeout(Some(Duration::from_millis(5)))
            .expect("five milliseconds are a valid limit");
        loop {
            if self.state.released.load(SeqCst) {
                let _ = self.stream.set_read_timeout(None);
                return true;
            }
            match self.stream.read(&mut scrap) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                    _ => return false,
                },
            }
        }
    }
}

impl Drop for Conversation {
    /// Counted as gone before it is: a client must not be able to come for its place and find it counted.
    fn drop(&mut self) {
        self.end_wait();
        if self.number > 0 {
            let mut seen = self.state.seen();
            seen.open -= 1;
            let mine = self.stream.peer_addr().ok();
            seen.streams
                .retain(|stream| mine.is_none() || stream.peer_addr().ok() != mine);
        }
        // The copy kept for the end of the server may hold the connection open.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
