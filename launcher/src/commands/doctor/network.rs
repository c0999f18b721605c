//! The layers between a connection and a host's daemon: access, and whose daemon it is.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hosts::{Host, Transport};
use protocol::hello::{Hello, Question};
use protocol::{HelloDecoder, Limits, Progress};

use super::connect;
use super::finding::{Finding, Layer};
use super::machine::SKEW;
use super::pace::{ACCESS, ASKED, CONNECT, Pace};
use crate::say::chain;
use crate::settings::Settings;
use crate::wire::{Link, Part, WireError};

/// Whose daemon a host runs.
pub(super) enum Daemon {
    Ours(Hello),
    Stock,
}

/// What was seen of a host.
pub(super) struct Seen {
    pub(super) findings: Vec<Finding>,
    /// `None` where it is no use to send a job.
    pub(super) daemon: Option<Daemon>,
}

/// Looks at `host` up to its daemon; sets `named` when its address is known, which is all that has no limit of its own.
pub(super) fn look(host: &Host, settings: &Settings, pace: &Pace, named: &AtomicBool) -> Seen {
    let name = host.name();
    let mut findings = Vec::new();
    let daemon = steps(host, settings, pace, named, &mut findings);
    if let Err(failed) = &daemon {
        findings.push(failed.clone());
    }
    Seen {
        findings: findings.into_iter().map(|found| found.at(&name)).collect(),
        daemon: daemon.ok(),
    }
}

fn steps(
    host: &Host,
    settings: &Settings,
    pace: &Pace,
    named: &AtomicBool,
    found: &mut Vec<Finding>,
) -> Result<Daemon, Finding> {
    let mut peer = None;
    if let Transport::Tcp { host: name, port } = &host.transport {
        let addresses = connect::addresses(name, found)?;
        named.store(true, Relaxed);
        let stream = connect::connect(name, &addresses, *port, pace)?;
        found.push(Finding::ok(Layer::Connect, "something listens"));
        peer = stream.peer_addr().ok();
    }
    let said = hello(host, settings, pace)?;
    if let Some(peer) = peer {
        // Who answers has let us in; who closes may not have.
        if let (Daemon::Stock, None) = (&said, &host.key) {
            access(peer, host.short_name(), pace)?;
        }
        found.push(Finding::ok(Layer::Access, "this machine is let in"));
    }
    found.push(match &said {
        Daemon::Stock => Finding::ok(
            Layer::Daemon,
            "no daemon of ours, so it is taken for stock's",
        ),
        Daemon::Ours(hello) => Finding::ok(
            Layer::Daemon,
            format!(
                "{}, {} jobs at a time",
                String::from_utf8_lossy(&hello.daemon),
                hello.jobs.map_or("any".to_owned(), |jobs| jobs.to_string())
            ),
        ),
    });
    Ok(said)
}

/// What the other end does with the first bytes of a job.
enum First {
    Waits,
    Closes,
    Says(Vec<u8>),
}

fn first(mut stream: &TcpStream, patience: Duration) -> First {
    let mut bytes = [0; 256];
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return First::Waits;
        }
        if stream.set_read_timeout(Some(left)).is_err() {
            return First::Closes;
        }
        return match stream.read(&mut bytes) {
            Ok(0) => First::Closes,
            Ok(count) => First::Says(bytes[..count].to_vec()),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                // Children of this process end meanwhile.
                | io::ErrorKind::Interrupted => continue,
                _ => First::Closes,
            },
        };
    }
}

/// A daemon waits for the rest of a job; one that does not let this machine in closes at once, stock's only when something has come.
fn access(peer: SocketAddr, name: &str, pace: &Pace) -> Result<(), Finding> {
    let patience = pace.of(CONNECT) / 2;
    let Ok(mut stream) = TcpStream::connect_timeout(&peer, patience) else {
        // It was there a moment ago; the job will tell.
        return Ok(());
    };
    let ours = stream
        .local_addr()
        .map_or("THIS-MACHINE'S-ADDRESS".to_owned(), |address| {
            address.ip().to_string()
        });
    let refused = || {
        Finding::failed(
            Layer::Access,
            "access-refused",
            "it closes the connection at once: its access list does not let this machine in, or it serves only who has a key",
            format!(
                "on {name}: distcc-launchd --daemon --allow {ours}      # stock's: distccd --allow {ours}, in Debian ALLOWEDNETS in /etc/default/distcc"
            ),
        )
    };
    match first(&stream, pace.of(ACCESS[0])) {
        First::Closes => return Err(refused()),
        First::Says(bytes) => return Err(foreign(&bytes)),
        First::Waits => {}
    }
    if stream.write_all(b"DIST00000001").is_err() {
        return Err(refused());
    }
    match first(&stream, pace.of(ACCESS[1])) {
        First::Closes => Err(refused()),
        First::Says(bytes) => Err(foreign(&bytes)),
        First::Waits => Ok(()),
    }
}

/// Something else than a daemon listens there.
pub(super) fn foreign(said: &[u8]) -> Finding {
    let said: String = String::from_utf8_lossy(said)
        .chars()
        .take_while(|c| !c.is_control())
        .take(60)
        .collect();
    let said = if said.is_empty() {
        "bytes of another protocol".to_owned()
    } else {
        format!("{said:?}")
    };
    Finding::failed(
        Layer::Daemon,
        "another-service",
        format!("what listens on that port is no distcc daemon: it says {said}"),
        "ss -ltnp      # on that machine: which port has distcc-launchd (or distccd)? 3632 if nobody chose another; write it into the list: HOST:PORT",
    )
}

/// Asks whose daemon it is.
fn hello(host: &Host, settings: &Settings, pace: &Pace) -> Result<Daemon, Finding> {
    let mut link = Link::open(host, settings).map_err(|error| transport(host, &error))?;
    let question = Question {
        client: concat!("distcc-launch ", env!("CARGO_PKG_VERSION"), " doctor").into(),
    };
    let asked = question.encode().unwrap_or_default();
    // Who closes on it has said what there is to say.
    link.push(Part::Bytes(asked));
    let _ = link.flush();
    let mut decoder = HelloDecoder::new(Limits::for_launcher());
    let mut said = Vec::new();
    loop {
        // Some time before who waits for us gives up.
        let left = pace.left(ASKED).saturating_sub(pace.of(ASKED / 10));
        let count = match link.read_within(decoder.space(), left) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                return Err(stalls(host));
            }
            Err(_) => 0,
        };
        if count == 0 {
            // So does an ssh that was not let in; the job will tell.
            return match said.is_empty() {
                true => Ok(Daemon::Stock),
                false => Err(foreign(&said)),
            };
        }
        if said.len() < 256 {
            said.extend_from_slice(&decoder.space()[..count]);
        }
        match decoder.filled(count) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => {
                return decoder
                    .finish()
                    .map(Daemon::Ours)
                    .map_err(|_| foreign(&said));
            }
            Err(_) => return Err(foreign(&said)),
        }
    }
}

/// It is there and says nothing.
pub(super) fn stalls(host: &Host) -> Finding {
    Finding::failed(
        Layer::Daemon,
        "stalls",
        "it takes the connection and then says nothing: it hangs, all its processes are busy, or it is no distcc daemon",
        format!(
            "ssh {0} 'ps -C distccd,distcc-launchd -o pid,stat,etime,args'      # then start it anew there; until then mark it in the list: {1},down",
            host.short_name(),
            host.token
        ),
    )
}

/// The connection that was there a moment ago cannot be made again, or ssh not started.
fn transport(host: &Host, error: &WireError) -> Finding {
    match (error, &host.transport) {
        (WireError::Transport { program, .. }, _) => Finding::failed(
            Layer::Connect,
            "transport-failed",
            chain(error),
            format!(
                "sudo apt-get install openssh-client      # or name the program: export DISTCC_SSH=/path/to/{program}"
            ),
        ),
        (WireError::Key { .. }, _) => Finding::failed(
            Layer::Access,
            "key-refused",
            chain(error),
            format!(
                "distcc-launchd keygen --help      # on {}; docs/security.md says which file goes where",
                host.short_name()
            ),
        ),
        _ => Finding::failed(
            Layer::Connect,
            "connect-failed",
            chain(error),
            "distcc-launch doctor      # again: it was there a moment ago",
        ),
    }
}

/// How far the host's clock is from ours, if it says what time it has.
pub(super) fn clock(hello: &Hello) -> Option<Finding> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let there = hello.clock?;
    let apart = there.abs_diff(now);
    Some(match apart <= SKEW.as_secs() {
        true => Finding::ok(Layer::Clock, "the same time as here"),
        false => skewed(apart, there > now),
    })
}

/// A host whose clock is `apart` seconds from ours.
pub(super) fn skewed(apart: u64, ahead: bool) -> Finding {
    Finding::failed(
        Layer::Clock,
        "clock-skew",
        format!(
            "its clock is {apart} s {} this machine's: on shared folders build tools compile too much or too little",
            if ahead { "ahead of" } else { "behind" }
        ),
        "sudo timedatectl set-ntp true      # there, and here too",
    )
}
