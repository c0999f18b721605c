//! A bad line to a host: now and then a reply is spoiled on the way.
//!
//! Knows nothing of what goes over it.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::JoinHandle,
};

/// What is done to a reply.
#[derive(Debug, Clone, Copy)]
pub enum Damage {
    /// The byte at this place is another.
    Changed(usize),
    /// It ends after so many bytes.
    Cut(usize),
}

/// Listens on loopback and passes everything on to one host.  Lets all go on drop.
#[derive(Debug)]
pub struct NoisyLine {
    port: u16,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    closing: AtomicBool,
    spoiled: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

impl NoisyLine {
    /// A line to `host`.  `damage` says what becomes of the reply to the connection of this number.
    pub fn to(
        host: String,
        damage: impl Fn(usize) -> Option<Damage> + Send + Sync + 'static,
    ) -> NoisyLine {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr();
        let port = address.expect("a bound listener has an address").port();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let listener = std::thread::spawn(move || {
            let mut talks = Vec::new();
            for (number, client) in listener.incoming().enumerate() {
                if shared.closing.load(SeqCst) {
                    break;
                }
                let client = client.expect("a listener accepts");
                let Ok(server) = TcpStream::connect(&host) else {
                    continue;
                };
                let copies = [&client, &server]
                    .map(|stream| stream.try_clone().expect("a descriptor is free"));
                shared
                    .streams
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(copies);
                let (damage, shared) = (damage(number), Arc::clone(&shared));
                talks.push(std::thread::spawn(move || {
                    pass_on(&client, &server, damage, &shared.spoiled);
                }));
            }
            for talk in talks {
                let _ = talk.join();
            }
        });
        NoisyLine {
            port,
            state,
            listener: Some(listener),
        }
    }

    /// As in a host list.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many replies were spoiled.
    pub fn spoiled(&self) -> usize {
        self.state.spoiled.load(SeqCst)
    }
}

impl Drop for NoisyLine {
    fn drop(&mut self) {
        self.state.closing.store(true, SeqCst);
        let streams = &self.state.streams;
        for stream in &*streams.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn pass_on(client: &TcpStream, server: &TcpStream, damage: Option<Damage>, spoiled: &AtomicUsize) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            copy(client, server, None, spoiled);
            // One that is gone needs no answer.
            let _ = server.shutdown(Shutdown::Write);
        });
        copy(server, client, damage, spoiled);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    });
}

/// Copies until one of the two is gone, or the damage is done.
fn copy(mut from: &TcpStream, mut to: &TcpStream, damage: Option<Damage>, spoiled: &AtomicUsize) {
    let mut buffer = [0; 4096];
    let mut before = 0;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut part = &mut buffer[..count];
        match damage {
            Some(Damage::Changed(at)) if (before..before + count).contains(&at) => {
                part[at - before] ^= 0x11;
                spoiled.fetch_add(1, SeqCst);
            }
            Some(Damage::Cut(at)) if before + count > at => {
                part = &mut part[..at - before];
                let _ = to.write_all(part);
                spoiled.fetch_add(1, SeqCst);
                return;
            }
            _ => {}
        }
        if to.write_all(part).is_err() {
            return;
        }
        before += count;
    }
}
