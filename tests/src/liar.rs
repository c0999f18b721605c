//! A server that does what the test says: closes, stalls, sends what it should not.

use std::{
    io::{Read, Write},
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
    most_open: usize,
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

impl LyingServer {
    pub fn start(script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> LyingServer {
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
                let mut talk = Conversation::new(stream, Arc::clone(&shared));
                let script = Arc::clone(&script);
                talks.push(std::thread::spawn(move || script(&mut talk)));
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

    /// How many were ever connected at one time.
    pub fn most_open(&self) -> usize {
        self.state.seen().most_open
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

/// One client's connection.  Closed when the script ends.
pub struct Conversation {
    stream: TcpStream,
    number: usize,
    state: Arc<State>,
}

impl Conversation {
    fn new(stream: TcpStream, state: Arc<State>) -> Conversation {
        let number = {
            let mut seen = state.seen();
            seen.accepted += 1;
            seen.open += 1;
            seen.most_open = seen.most_open.max(seen.open);
            seen.streams
                .push(stream.try_clone().expect("a descriptor is free"));
            seen.accepted
        };
        Conversation {
            stream,
            number,
            state,
        }
    }

    /// 1 for the first client.
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
        let _ = self.stream.write_all(bytes);
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
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }
}

impl Drop for Conversation {
    /// Counted as gone before it is: a client must not be able to come for its place and find it counted.
    fn drop(&mut self) {
        {
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
