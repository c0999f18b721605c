//! Hello: a client asks whose daemon it is, and what it can do.
//!
//! ```text
//! question:  DIST 64636c00  HELO    "client distcc-launch 0.3.0\n"
//! answer:    HELO                   "daemon distcc-launchd 0.3.0\njob 64636c01\n…"
//! ```
//!
//! Both texts are lines `key value`.  Keys that a reader does not know, it passes over.  A stock daemon closes on the
//! number in `DIST`.

use crate::{
    Limits, Progress, ProtocolError, Request, RequestHead, Token, Version,
    intake::{Expected, Intake, Next, Script, check, check_no_nul, decoder_methods},
    limits::Limit,
    request::Order,
    token::{self, tag},
};

/// The first of the numbers after `DIST` that are ours: `64636c00` to `64636cff`.
pub const FIRST: u32 = 0x6463_6c00;
/// The number after `DIST` that says: this is a question, not a job.
pub const NUMBER: u32 = FIRST;

/// What a client says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Its program and version: `distcc-launch 0.3.0`.
    pub client: Vec<u8>,
}

/// What a daemon says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Its program and version: `distcc-launchd 0.3.0`.
    pub daemon: Vec<u8>,
    /// The versions of ours that it takes jobs in; 1 and 2 go without saying.
    pub versions: Vec<u32>,
    /// Compiles that it runs at a time.
    pub jobs: Option<u32>,
    /// Its compilers, each by every name that it answers to.
    pub compilers: Vec<Compiler>,
    /// Whether it runs no other compilers than these.
    pub all_compilers: bool,
    /// What time it has, in seconds since 1970.
    pub clock: Option<u64>,
    /// How busy it was when it answered; soon no longer true.
    pub load: Option<Load>,
}

/// How busy a daemon is at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Slots that no compile has.
    pub free: u32,
    /// Whole requests that wait for a slot.
    pub queue: u32,
}

/// A compiler that a daemon runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiler {
    /// As it stands in a command: `gcc`, `/opt/cross/bin/arm-gcc`.
    pub name: Vec<u8>,
    /// What its objects say in `.comment`: `GCC: (Debian 12.2.0-14+deb12u1) 12.2.0`.
    pub ident: Vec<u8>,
    /// The target that it compiles for by itself: `x86_64-linux-gnu`.
    pub triple: Vec<u8>,
    /// What it includes before every source by itself: nothing, or 16 hex digits, a blank and the file's name (section 13 of
    /// docs/protocol.md). `None` when that is not known.
    pub preincluded: Option<Vec<u8>>,
}

impl Question {
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        let dist = Token {
            tag: tag::DIST,
            value: NUMBER,
        };
        let mut text = Vec::new();
        push_line(&mut text, "client", &[&self.client])?;
        Ok([
            &dist.encode()[..],
            &token::head(&tag::HELO, text.len())?,
            &text,
        ]
        .concat())
    }

    fn read(text: &[u8]) -> Result<Question, ProtocolError> {
        check_no_nul(tag::HELO, text)?;
        let client = lines(text).find(|(key, _)| *key == b"client");
        let client = client.ok_or(ProtocolError::Nameless)?.1.to_vec();
        Ok(Question { client })
    }
}

impl Hello {
    /// Does it take jobs in this version?
    pub fn takes(&self, version: Version) -> bool {
        version.number() <= 2 || self.versions.contains(&version.number())
    }

    /// The answer's bytes.  Fails when a value holds a line end, or a compiler's a tab.
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        let text = self.text()?;
        Ok([&token::head(&tag::HELO, text.len())?[..], &text].concat())
    }

    /// The lines of the answer, for who keeps it.
    pub fn text(&self) -> Result<Vec<u8>, ProtocolError> {
        let mut text = Vec::new();
        push_line(&mut text, "daemon", &[&self.daemon])?;
        for version in &self.versions {
            push_line(&mut text, "job", &[format!("{version:08x}").as_bytes()])?;
        }
        if let Some(jobs) = self.jobs {
            push_line(&mut text, "jobs", &[jobs.to_string().as_bytes()])?;
        }
        if let Some(clock) = self.clock {
            push_line(&mut text, "clock", &[clock.to_string().as_bytes()])?;
        }
        if let Some(Load { free, queue }) = self.load {
            push_line(&mut text, "load", &[format!("{free} {queue}").as_bytes()])?;
        }
        for Compiler {
            name,
            ident,
            triple,
            preincluded,
        } in &self.compilers
        {
            let mut fields = vec![&name[..], ident, triple];
            fields.extend(preincluded.as_deref());
            push_line(&mut text, "compiler", &fields)?;
        }
        if self.all_compilers {
            push_line(&mut text, "compilers", &[b"all"])?;
        }
        Ok(text)
    }

    /// Reads the lines of an answer.  What it does not understand it passes over, but for a daemon that does not say
    /// what it is.
    pub fn read(text: &[u8]) -> Result<Hello, ProtocolError> {
        check_no_nul(tag::HELO, text)?;
        let mut hello = Hello::default();
        let mut daemon = None;
        for (key, value) in lines(text) {
            match key {
                b"daemon" => daemon = daemon.or(Some(value)),
                b"job" => hello.versions.extend(hex(value)),
                b"jobs" => hello.jobs = hello.jobs.or_else(|| decimal(value)),
                b"clock" => hello.clock = hello.clock.or_else(|| decimal(value)),
                b"load" => hello.load = hello.load.or_else(|| Load::read(value)),
                b"compiler" => hello.compilers.extend(Compiler::read(value)),
                b"compilers" => hello.all_compilers |= value == b"all",
                _ => {}
            }
        }
        hello.daemon = daemon.ok_or(ProtocolError::Nameless)?.to_vec();
        Ok(hello)
    }
}

impl Load {
    /// Reads `FREE QUEUE`; further numbers may follow one day.
    fn read(value: &[u8]) -> Option<Load> {
        let mut numbers = value.split(|byte| *byte == b' ').map(decimal);
        let (free, queue) = (numbers.next()??, numbers.next()??);
        Some(Load { free, queue })
    }
}

impl Compiler {
    /// Reads `NAME TAB IDENT TAB TRIPLE`, perhaps with `TAB PREINCLUDED`; further fields may follow one day.
    fn read(value: &[u8]) -> Option<Compiler> {
        let mut fields = value.split(|byte| *byte == b'\t').map(<[u8]>::to_vec);
        let [name, ident, triple] = [fields.next()?, fields.next()?, fields.next()?];
        (!name.is_empty()).then_some(Compiler {
            name,
            ident,
            triple,
            preincluded: fields.next(),
        })
    }
}

/// Keys and values.  A line without a blank is a key with an empty value.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'\n').map(|line| {
        let blank = line.iter().position(|byte| *byte == b' ');
        blank.map_or((line, &b""[..]), |at| (&line[..at], &line[at + 1..]))
    })
}

fn push_line(text: &mut Vec<u8>, key: &str, fields: &[&[u8]]) -> Result<(), ProtocolError> {
    let unfit = |byte: &u8| matches!(byte, 0 | b'\n') || fields.len() > 1 && *byte == b'\t';
    if fields.iter().any(|field| field.iter().any(unfit)) {
        return Err(ProtocolError::Unsendable("a line end or a tab in a hello"));
    }
    text.extend_from_slice(key.as_bytes());
    text.push(b' ');
    text.extend_from_slice(&fields.join(&b'\t'));
    text.push(b'\n');
    Ok(())
}

fn hex(value: &[u8]) -> Option<u32> {
    let digits = value.len() == 8 && value.iter().all(u8::is_ascii_hexdigit);
    let text = str::from_utf8(value).ok().filter(|_| digits)?;
    u32::from_str_radix(text, 16).ok()
}

fn decimal<N: std::str::FromStr>(value: &[u8]) -> Option<N> {
    let digits = value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// Reads one answer, in reads of any size.
pub struct HelloDecoder {
    intake: Intake<Answer>,
}

impl HelloDecoder {
    /// Applies `max_hello`.
    pub fn new(limits: Limits) -> HelloDecoder {
        HelloDecoder {
            intake: Intake::new(Answer {
                limits,
                hello: None,
            }),
        }
    }

    decoder_methods!(Hello);
}

struct Answer {
    limits: Limits,
    hello: Option<Hello>,
}

const HELO: Expected = Expected {
    tags: &[tag::HELO],
    name: "HELO",
};

impl Script for Answer {
    fn expected(&self) -> Option<Expected> {
        self.hello.is_none().then_some(HELO)
    }

    fn head(&mut self, token: Token) -> Result<Next, ProtocolError> {
        check(Limit::Hello, self.limits.max_hello, token.value)?;
        Ok(Next::Body(token.value))
    }

    fn body(&mut self, _tag: [u8; 4], bytes: Vec<u8>) -> Result<(), ProtocolError> {
        self.hello = Some(Hello::read(&bytes)?);
        Ok(())
    }
}

impl Answer {
    fn into_value(self) -> Hello {
        self.hello.expect("an answer ends after its text")
    }
}

/// What a client wants of a daemon of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    Job(Request),
    Hello(Question),
}

impl Opening {
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        match self {
            Opening::Job(request) => request.encode(),
            Opening::Hello(question) => question.encode(),
        }
    }
}

/// Reads a request or a question, in reads of any size.
pub struct OpeningDecoder {
    intake: Intake<Opener>,
}

impl OpeningDecoder {
    pub fn new(limits: Limits) -> OpeningDecoder {
        OpeningDecoder {
            intake: Intake::new(Opener {
                limits,
                order: Order::new(limits),
                asked: Asked::Nothing,
            }),
        }
    }

    decoder_methods!(Opening);

    /// As [`RequestDecoder::head`](crate::RequestDecoder::head).
    pub fn head(&self) -> Option<&RequestHead> {
        self.intake.script.order.seen_head()
    }

    /// Takes out what has come of a preprocessed source that is still coming, for who has no memory for all of it. The
    /// request that comes of it in the end has the rest only.
    pub fn spill(&mut self) -> Option<Vec<u8>> {
        self.intake.spill(tag::DOTI)
    }
}

/// A request's order, with another way to go on after `DIST`.
struct Opener {
    limits: Limits,
    order: Order,
    asked: Asked,
}

enum Asked {
    /// No question, or not yet.
    Nothing,
    /// Its `DIST` is there.
    Begun,
    All(Question),
}

impl Script for Opener {
    fn expected(&self) -> Option<Expected> {
        match self.asked {
            Asked::Nothing => self.order.expected(),
            Asked::Begun => Some(HELO),
            Asked::All(_) => None,
        }
    }

    fn head(&mut self, token: Token) -> Result<Next, ProtocolError> {
        match (&self.asked, token) {
            (Asked::Begun, Token { value, .. }) => {
                check(Limit::Hello, self.limits.max_hello, value)?;
                Ok(Next::Body(value))
            }
            (
                _,
                Token {
                    tag: tag::DIST,
                    value: NUMBER,
                },
            ) => {
                self.asked = Asked::Begun;
                Ok(Next::Head)
            }
            (_, token) => self.order.head(token),
        }
    }

    fn body(&mut self, tag: [u8; 4], bytes: Vec<u8>) -> Result<(), ProtocolError> {
        if tag != tag::HELO {
            return self.order.body(tag, bytes);
        }
        self.asked = Asked::All(Question::read(&bytes)?);
        Ok(())
    }
}

impl Opener {
    fn into_value(self) -> Opening {
        match self.asked {
            Asked::All(question) => Opening::Hello(question),
            _ => Opening::Job(self.order.into_value()),
        }
    }
}
