//! One connection from its first byte to its last: read the request, check it, wait for a slot, compile, answer.
//!
//! A slot is held only while a compiler runs: slow peers cannot take one. A peer that goes away takes its job with it.

use std::time::{Duration, Instant};

use protocol::{Body, Limits, Request, WaitStatus};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::answer::{Answer, End};
use crate::crowd::Place;
use crate::exit::Exit;
use crate::heavy::heavy;
use crate::hello;
use crate::job::JobError;
use crate::log::{self, Chain, Level, Value};
use crate::queue::{Client, Slot};
use crate::receive::{self, ReceiveError, Received};
use crate::send::send;
use crate::server::Server;
use crate::stats::{Ended, Event};
use crate::store::{self, Keep};
use crate::work::Work;

/// Bytes after a request that are thrown away before a peer counts as broken.
const MAX_TRAILING: u64 = 1 << 20;

/// How a connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    Orderly,
    /// Its peer takes nothing: what it was not given yet shall not stay with the kernel.
    Abort,
}

/// Who is on the other side.
#[derive(Debug)]
pub(crate) struct Peer {
    /// What the log calls it.
    pub(crate) name: String,
    /// Whose share it takes of the slots.
    pub(crate) client: Client,
    pub(crate) place: Place,
    /// Whether the end of what it sends means that it went away: not when that is a file.
    pub(crate) watched: bool,
}

/// Serves one connection until it can be closed.
pub(crate) async fn serve<R, W>(server: &Server, mut reader: R, mut writer: W, peer: &Peer) -> Close
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let start = Instant::now();
    server.stats.count(Event::Accepted);
    let Peer {
        name: peer,
        client,
        place,
        watched,
    } = peer;
    let mut keep = Keep::new(&server.store, *client);
    let received = tokio::select! {
        received = receive::receive(&mut reader, Limits::for_daemon(), server.io_timeout, &mut keep) => received,
        () = place.sent_away() => Err(ReceiveError::TooMany),
        () = server.draining() => return Close::Orderly,
    };
    let complete = Instant::now();
    let request = match received {
        Ok(Received::Request(request)) => *request,
        Ok(Received::Hello(question)) => {
            place.complete();
            log::info!("{peer}: {} says hello", hello::asker(&question));
            return hello::say(server, &mut writer, peer).await;
        }
        Ok(Received::Nothing) => {
            log::debug!("{peer} connected and left");
            return Close::Orderly;
        }
        Err(error) => {
            report_broken(server, peer, &error, start);
            return Close::Orderly;
        }
    };
    place.complete();
    let label = Label::of(&request);
    let unwanted = async {
        tokio::select! {
            () = gone(&mut reader, *watched) => {}
            () = server.ending() => {}
        }
    };
    let version = request.version;
    let waiting = Waiting {
        client: *client,
        keep,
        ready: complete,
    };
    let answer = compile(server, request, waiting, unwanted).await;
    let compiled = answer.compiled();
    let end = answer.end(peer);
    // Before the answer: who has one also finds it in the log and the counters.
    summary(server, peer, &end, start.elapsed(), Some(&label));
    let size = answer.size();
    let held = server.answers.hold(*client, size);
    if let Some(reply) = heavy(size, || answer.reply(version)) {
        let sent = tokio::select! {
            sent = send(&mut writer, &reply) => sent,
            () = held.given_up() => Err(std::io::Error::other("answers fill the memory, and this client has most")),
        };
        if let Err(error) = sent {
            log::info!("{peer}: could not hand over the answer: {error}");
            return Close::Abort;
        }
    }
    if let Some(compiled) = compiled {
        server.metrics.handed_over(compiled.elapsed());
    }
    Close::Orderly
}

/// A complete request that has no slot yet.
struct Waiting {
    client: Client,
    keep: Keep,
    /// When its last byte came, or later when it got the slot that it had to wait for.
    ready: Instant,
}

impl Waiting {
    /// Waits for a slot. When all who wait need too much memory, the source waits in a file.
    async fn slot(&mut self, server: &Server, body: &mut Body) -> Result<Slot, Answer> {
        if let Some(slot) = server.queue.try_take(self.client) {
            return Ok(slot);
        }
        if self.keep.is_crowded() && body.wire().len() >= store::WORTH_A_FILE {
            self.keep.put(body.wire()).map_err(Answer::Lost)?;
            *body = Body::received(body.coding(), Vec::new());
            self.keep.holds(0);
        }
        let slot = server.queue.take(self.client).await;
        server.metrics.waited(self.ready.elapsed());
        self.ready = Instant::now();
        slot.map_err(Answer::TurnedAway)
    }
}

async fn compile(
    server: &Server,
    request: Request,
    mut waiting: Waiting,
    unwanted: impl Future<Output = ()>,
) -> Answer {
    let (work, mut body) = match Work::of(server, request) {
        Ok(work) => work,
        Err(refused) => return Answer::Refused(refused),
    };
    tokio::pin!(unwanted);
    let slot = tokio::select! {
        slot = waiting.slot(server, &mut body) => slot,
        () = &mut unwanted => return Answer::Unwanted,
    };
    let slot = match slot {
        Ok(slot) => slot,
        Err(answer) => return answer,
    };
    let (coding, Body::Plain(rest) | Body::Lzo(rest)) = (body.coding(), body);
    let kept = rest.len() + usize::try_from(waiting.keep.in_file()).unwrap_or(usize::MAX);
    let body = match heavy(kept, || waiting.keep.take_back(rest)) {
        Ok(whole) => Body::received(coding, whole),
        Err(error) => return Answer::Lost(error),
    };
    let max = Limits::for_daemon().unpacked(body.wire().len());
    let text = match heavy(4 * body.wire().len(), || body.unpack(max)) {
        Ok(text) => text,
        Err(error) => return Answer::Broken(error),
    };
    let unwanted = async {
        tokio::select! {
            () = unwanted => {}
            () = slot.recalled() => {}
        }
    };
    match work.run(server, text, waiting.client, unwanted).await {
        Ok(finished) => {
            let started = finished.started.duration_since(waiting.ready);
            server.metrics.started(started);
            server
                .metrics
                .compiled(finished.ended.duration_since(finished.started));
            Answer::Finished(Box::new(finished))
        }
        Err(JobError::Unwanted) if slot.is_recalled() => Answer::Recalled,
        Err(JobError::Unwanted) => Answer::Unwanted,
        Err(error) => Answer::Failed(error),
    }
}

/// Ends when the peer has gone. Bytes that should not be there are thrown away, so that they cannot hide its going;
/// too many of them count as gone.
async fn gone(reader: &mut (impl AsyncRead + Unpin), watch: bool) {
    if !watch {
        return std::future::pending().await;
    }
    let mut trailing = 0;
    let mut waste = [0; 4096];
    loop {
        match reader.read(&mut waste).await {
            Ok(0) | Err(_) => return,
            Ok(count) => trailing += count as u64,
        }
        if trailing > MAX_TRAILING {
            return;
        }
    }
}

/// What a job is called in the log: compiler and source as the client wrote them.
struct Label {
    compiler: String,
    source: String,
}

impl Label {
    fn of(request: &Request) -> Self {
        let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let source = request
            .argv
            .iter()
            .skip(1)
            .find(|word| compiler::names::looks_like_source(word));
        Self {
            compiler: request
                .argv
                .first()
                .map_or_else(String::new, |name| word(name)),
            source: source.map_or_else(String::new, |name| word(name)),
        }
    }
}

fn report_broken(server: &Server, peer: &str, error: &ReceiveError, start: Instant) {
    let (ended, exit) = match error {
        ReceiveError::Protocol(_) => (Ended::BadRequest, Exit::Protocol),
        ReceiveError::Io(_) | ReceiveError::TooSlow => (Ended::Disconnected, Exit::Io),
        ReceiveError::TooMany | ReceiveError::NoRoom(_) | ReceiveError::NoMemory => {
            (Ended::Overload, Exit::Io)
        }
    };
    log::info!("{peer}: {}", Chain(error));
    summary(
        server,
        peer,
        &End {
            ended,
            status: WaitStatus::SUCCESS,
            exit,
        },
        start.elapsed(),
        None,
    );
}

/// The line that log scrapers of stock read (facts 7.6), and the counters.
fn summary(server: &Server, peer: &str, end: &End, took: Duration, label: Option<&Label>) {
    let End {
        ended,
        status,
        exit,
    } = end;
    server.stats.count(Event::Ended(*ended));
    let label = label.filter(|_| matches!(ended, Ended::Compiled | Ended::CompileError));
    if let Some(label) = label {
        server.stats.compiled(&label.source, &label.compiler, took);
    }
    let millis = took.as_millis();
    let mut values = vec![
        ("event", Value::Text("job")),
        ("client", Value::Text(peer)),
        ("result", Value::Text(ended.name())),
        (
            "ms",
            Value::Number(u64::try_from(millis).unwrap_or(u64::MAX)),
        ),
    ];
    if let Some(code) = status.exit_code() {
        values.push(("exit", Value::Number(u64::from(code))));
    }
    if let Some(label) = label {
        values.push(("compiler", Value::Text(&label.compiler)));
        values.push(("source", Value::Text(&label.source)));
    }
    log::write_with(
        Level::Notice,
        format_args!(
            "(dcc_job_summary) client: {peer} {} exit:{} sig:{} core:{} ret:{} time:{millis}ms{}",
            ended.name(),
            status.exit_code().unwrap_or(0),
            status.signal().unwrap_or(0),
            u8::from(status.core_dumped()),
            exit.code(),
            label.map_or_else(String::new, |label| format!(
                " {} {}",
                label.compiler, label.source
            )),
        ),
        &values,
    );
}
