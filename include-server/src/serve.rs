//! Listening: many peers at once, each of which harms only itself.
//!
//! One thread takes in questions as they come, in pieces of any size; a few others answer those that are whole. A peer that says nothing, or
//! half of something, is let go after a while; garbage is answered like a source that cannot be followed.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::{Limits, Progress, ProtocolError, closure_talk, include_talk};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::answer::{Answers, Asked};

/// How long a peer may take for its question, and for taking its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Peers that have not said all; beyond, those that have waited longest are let go.
const MOST_PEERS: usize = 500;
/// Threads that answer.
const MOST_THREADS: usize = 8;

/// The sockets, and for whom they are.
#[derive(Debug)]
pub(crate) struct Doors {
    pub stock: Option<UnixListener>,
    pub launcher: UnixListener,
    /// Where they are.
    pub paths: Vec<PathBuf>,
}

/// Why serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Signal,
    Idle,
}

enum Decoder {
    Stock(include_talk::QuestionDecoder),
    Launcher(closure_talk::QuestionDecoder),
}

impl Decoder {
    fn space(&mut self) -> &mut [u8] {
        match self {
            Decoder::Stock(decoder) => decoder.space(),
            Decoder::Launcher(decoder) => decoder.space(),
        }
    }

    fn filled(&mut self, count: usize) -> Result<Progress, ProtocolError> {
        match self {
            Decoder::Stock(decoder) => decoder.filled(count),
            Decoder::Launcher(decoder) => decoder.filled(count),
        }
    }

    fn finish(self) -> Result<Asked, ProtocolError> {
        match self {
            Decoder::Stock(decoder) => decoder.finish().map(Asked::Stock),
            Decoder::Launcher(decoder) => decoder.finish().map(Asked::Launcher),
        }
    }
}

struct Peer {
    stream: UnixStream,
    decoder: Decoder,
    until: Instant,
}

/// What became of a peer that had something to read.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Heard {
    More(Peer),
    Question(UnixStream, Asked),
    Gone,
}

/// Serves until `signals` can be read, or nothing has been asked for `idle`.
pub(crate) fn serve(
    doors: &Doors,
    answers: &Arc<Answers>,
    signals: &UnixStream,
    idle: Option<Duration>,
) -> io::Result<End> {
    let busy = Arc::new(AtomicUsize::new(0));
    let questions = start_threads(answers, &busy)?;
    let mut peers: Vec<Peer> = Vec::new();
    let mut last = Instant::now();
    loop {
        let wait = nearest(&peers, idle.map(|idle| last + idle));
        let ready = wait_for(doors, signals, &peers, wait)?;
        if ready.first() == Some(&true) {
            return Ok(End::Signal);
        }
        let now = Instant::now();
        let mut speaks = ready.iter().skip(3);
        let (speaking, silent): (Vec<_>, Vec<_>) = peers
            .into_iter()
            .partition(|_| speaks.next().copied().unwrap_or(false));
        peers = silent;
        peers.retain(|peer| peer.until > now);
        for peer in speaking {
            match hear(peer) {
                Heard::More(peer) => peers.push(peer),
                Heard::Gone => {}
                Heard::Question(stream, asked) => {
                    last = now;
                    busy.fetch_add(1, Ordering::Relaxed);
                    // The threads live as long as we do.
                    let _ = questions.send((stream, asked));
                }
            }
        }
        if ready.get(1) == Some(&true)
            && let Some(door) = &doors.stock
        {
            accept(door, &mut peers, || {
                Decoder::Stock(include_talk::QuestionDecoder::new(Limits::for_daemon()))
            });
        }
        if ready.get(2) == Some(&true) {
            accept(&doors.launcher, &mut peers, || {
                Decoder::Launcher(closure_talk::QuestionDecoder::new(Limits::for_daemon()))
            });
        }
        if busy.load(Ordering::Relaxed) > 0 {
            last = now;
        }
        if idle.is_some_and(|idle| now - last >= idle) {
            return Ok(End::Idle);
        }
    }
}

fn nearest(peers: &[Peer], idle: Option<Instant>) -> Option<Duration> {
    let ends = peers.iter().map(|peer| peer.until).chain(idle);
    ends.min()
        .map(|end| end.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
}

/// Whether each has something for us: the signals, the doors (stock's, the launcher's), the peers.
fn wait_for(
    doors: &Doors,
    signals: &UnixStream,
    peers: &[Peer],
    wait: Option<Duration>,
) -> io::Result<Vec<bool>> {
    // A door that is not there is never ready: the other one, asked for nothing.
    let (stock, flags) = match &doors.stock {
        Some(door) => (door.as_fd(), PollFlags::IN),
        None => (doors.launcher.as_fd(), PollFlags::empty()),
    };
    let mut fds = vec![
        PollFd::new(signals, PollFlags::IN),
        PollFd::from_borrowed_fd(stock, flags),
        PollFd::new(&doors.launcher, PollFlags::IN),
    ];
    fds.extend(
        peers
            .iter()
            .map(|peer| PollFd::new(&peer.stream, PollFlags::IN)),
    );
    let limit = wait.map(|wait| Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    });
    match poll(&mut fds, limit.as_ref()) {
        Ok(_) => {}
        // The pipe of signals will say.
        Err(rustix::io::Errno::INTR) => return Ok(vec![false; fds.len()]),
        Err(error) => return Err(error.into()),
    }
    Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect())
}

/// Takes in all who wait at the door and may.
fn accept(door: &UnixListener, peers: &mut Vec<Peer>, decoder: impl Fn() -> Decoder) {
    while let Ok((stream, _)) = door.accept() {
        if !may_ask(&stream) || stream.set_nonblocking(true).is_err() {
            continue;
        }
        if peers.len() >= MOST_PEERS {
            // The first has waited longest.
            peers.remove(0);
        }
        peers.push(Peer {
            stream,
            decoder: decoder(),
            until: Instant::now() + PATIENCE,
        });
    }
}

/// This user's processes, and root's.
fn may_ask(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream)
        .is_ok_and(|peer| peer.uid == rustix::process::geteuid() || peer.uid.is_root())
}

/// Reads what a peer has said.
fn hear(mut peer: Peer) -> Heard {
    loop {
        let count = match peer.stream.read(peer.decoder.space()) {
            Ok(0) => return Heard::Gone,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::More(peer),
            Err(_) => return Heard::Gone,
        };
        match peer.decoder.filled(count) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => break,
            Err(_) => {
                // As for a source that is not followed; a client then preprocesses.
                let _ = peer.stream.write_all(b"ARGC00000000");
                return Heard::Gone;
            }
        }
    }
    let calm = peer.stream.set_nonblocking(false).is_ok()
        && peer.stream.set_write_timeout(Some(PATIENCE)).is_ok();
    match peer.decoder.finish() {
        Ok(asked) if calm => Heard::Question(peer.stream, asked),
        _ => Heard::Gone,
    }
}

type Question = (UnixStream, Asked);

fn start_threads(answers: &Arc<Answers>, busy: &Arc<AtomicUsize>) -> io::Result<Sender<Question>> {
    let (sender, receiver) = channel::<Question>();
    let receiver = Arc::new(Mutex::new(receiver));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..processors.clamp(2, MOST_THREADS) {
        let (receiver, answers, busy) =
            (Arc::clone(&receiver), Arc::clone(answers), Arc::clone(busy));
        // Deep nests of headers need room.
        let thread = std::thread::Builder::new().stack_size(8 << 20);
        thread.spawn(move || {
            while let Some((stream, asked)) = next(&receiver) {
                let answer = || answers.answer(&asked, &stream);
                // A mistake of ours costs one source its pump mode.
                let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(answer));
                if ended.is_err() {
                    answers
                        .report
                        .warn("a question could not be answered, by a mistake in this program");
                }
                drop(stream);
                busy.fetch_sub(1, Ordering::Relaxed);
            }
        })?;
    }
    Ok(sender)
}

fn next(receiver: &Mutex<Receiver<Question>>) -> Option<Question> {
    let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
    receiver.recv().ok()
}
