//! What the tests of the codec share: the recorded conversations, and bytes fed in pieces.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of this"
)]

use std::path::{Path, PathBuf};

use protocol::{
    Hello, HelloDecoder, Limits, Opening, OpeningDecoder, Outcome, OutcomeDecoder, Progress,
    ProtocolError, Request, RequestDecoder, Version, closure_talk,
    include_talk::{Answer, AnswerDecoder, Question, QuestionDecoder},
};

/// What the decoders have in common.
pub trait Decoder: Sized {
    type Value: std::fmt::Debug + PartialEq + Clone;
    fn space(&mut self) -> &mut [u8];
    fn filled(&mut self, n: usize) -> Result<Progress, ProtocolError>;
    fn eof(&self) -> ProtocolError;
    fn held(&self) -> usize;
    fn trailing(&self) -> u64;
    fn finish(self) -> Result<Self::Value, ProtocolError>;
    fn encode(value: &Self::Value) -> Result<Vec<u8>, ProtocolError>;
}

macro_rules! decoder {
    ($decoder:ty, $value:ty) => {
        impl Decoder for $decoder {
            type Value = $value;
            fn space(&mut self) -> &mut [u8] {
                self.space()
            }
            fn filled(&mut self, n: usize) -> Result<Progress, ProtocolError> {
                self.filled(n)
            }
            fn eof(&self) -> ProtocolError {
                self.eof()
            }
            fn held(&self) -> usize {
                self.held()
            }
            fn trailing(&self) -> u64 {
                self.trailing()
            }
            fn finish(self) -> Result<$value, ProtocolError> {
                self.finish()
            }
            fn encode(value: &$value) -> Result<Vec<u8>, ProtocolError> {
                value.encode()
            }
        }
    };
}
decoder!(RequestDecoder, Request);
decoder!(OutcomeDecoder, Outcome);
decoder!(QuestionDecoder, Question);
decoder!(AnswerDecoder, Answer);
decoder!(HelloDecoder, Hello);
decoder!(OpeningDecoder, Opening);
decoder!(closure_talk::QuestionDecoder, closure_talk::Question);
decoder!(closure_talk::AnswerDecoder, closure_talk::Answer);

/// Puts one read's bytes in.  `Done` stays `Done`.
pub fn feed<D: Decoder>(decoder: &mut D, mut bytes: &[u8]) -> Result<Progress, ProtocolError> {
    let mut progress = decoder.filled(0)?;
    while !bytes.is_empty() {
        let space = decoder.space();
        assert!(!space.is_empty());
        let n = space.len().min(bytes.len());
        space[..n].copy_from_slice(&bytes[..n]);
        bytes = &bytes[n..];
        progress = decoder.filled(n)?;
    }
    Ok(progress)
}

/// What came of bytes: the value, or why there is none; and the bytes after the end.
pub type Verdict<T> = Result<(T, u64), ProtocolError>;

/// Decodes `bytes` that come in reads that end at `cuts` (ascending).
pub fn decode_cut<D: Decoder>(mut decoder: D, bytes: &[u8], cuts: &[usize]) -> Verdict<D::Value> {
    let mut from = 0;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        feed(&mut decoder, &bytes[from..to])?;
        from = to;
    }
    let trailing = decoder.trailing();
    Ok((decoder.finish()?, trailing))
}

pub fn decode<D: Decoder>(decoder: D, bytes: &[u8]) -> Verdict<D::Value> {
    decode_cut(decoder, bytes, &[])
}

/// Which decoder a recorded file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Request,
    Outcome(Version),
    Question,
    Answer,
}

pub struct Capture {
    /// Relative to the folder.
    pub name: String,
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

pub fn captures_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captures")
}

/// Every file below the folder, relative to it.
pub fn all_files() -> Vec<String> {
    fn walk(folder: &Path, below: &str, names: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("the folder of captures can be read") {
            let entry = entry.expect("the folder of captures can be read");
            let name = format!(
                "{below}{}",
                entry.file_name().into_string().expect("plain names")
            );
            if entry.file_type().expect("a file has a type").is_dir() {
                walk(&entry.path(), &format!("{name}/"), names);
            } else {
                names.push(name);
            }
        }
    }
    let mut names = Vec::new();
    walk(&captures_folder(), "", &mut names);
    names.sort();
    names
}

/// By its name, which decoder a file is for; `None` for files that are no conversation.
pub fn kind_of(name: &str) -> Option<Kind> {
    let include_server = name.starts_with("include-server/");
    let version = || match name.rsplit('/').next().and_then(|last| last.get(..2)) {
        Some("v1") => Version::Plain,
        Some("v2") => Version::Lzo,
        Some("v3" | "in") => Version::Pump,
        _ => panic!("{name} does not tell its protocol version"),
    };
    match name {
        _ if name.ends_with(".job-request.bin") => Some(Kind::Request),
        _ if name.ends_with(".job-reply.bin") => Some(Kind::Outcome(version())),
        _ if name.ends_with(".reply.bin") => Some(Kind::Answer),
        _ if name.ends_with(".request.bin")
            && (include_server || name.starts_with("include-p")) =>
        {
            Some(Kind::Question)
        }
        _ if name.ends_with(".request.bin") => Some(Kind::Request),
        _ if name.ends_with(".response.bin") && include_server => Some(Kind::Answer),
        _ if name.ends_with(".response.bin") => Some(Kind::Outcome(version())),
        _ => None,
    }
}

/// All recorded conversations.
pub fn captures() -> Vec<Capture> {
    let captures: Vec<_> = all_files()
        .into_iter()
        .filter_map(|name| {
            let kind = kind_of(&name)?;
            let bytes =
                std::fs::read(captures_folder().join(&name)).expect("a capture can be read");
            Some(Capture { name, kind, bytes })
        })
        .collect();
    assert!(!captures.is_empty());
    captures
}

pub fn request() -> RequestDecoder {
    RequestDecoder::new(Limits::for_daemon())
}
pub fn outcome(version: Version) -> OutcomeDecoder {
    OutcomeDecoder::new(version, Limits::for_launcher())
}
pub fn hello() -> HelloDecoder {
    HelloDecoder::new(Limits::for_launcher())
}
pub fn opening() -> OpeningDecoder {
    OpeningDecoder::new(Limits::for_daemon())
}
pub fn question() -> QuestionDecoder {
    QuestionDecoder::new(Limits::for_daemon())
}
pub fn closure_question() -> closure_talk::QuestionDecoder {
    closure_talk::QuestionDecoder::new(Limits::for_daemon())
}
pub fn closure_answer() -> closure_talk::AnswerDecoder {
    closure_talk::AnswerDecoder::default()
}
pub fn answer() -> AnswerDecoder {
    AnswerDecoder::new(Limits::for_launcher())
}

/// Calls the generic function `$run` with a fresh decoder's maker for the kind.
#[macro_export]
macro_rules! for_kind {
    ($kind:expr, $run:path, $($arg:expr),*) => {
        match $kind {
            $crate::support::Kind::Request => $run($crate::support::request, $($arg),*),
            $crate::support::Kind::Outcome(version) => $run(|| $crate::support::outcome(version), $($arg),*),
            $crate::support::Kind::Question => $run($crate::support::question, $($arg),*),
            $crate::support::Kind::Answer => $run($crate::support::answer, $($arg),*),
        }
    };
}
