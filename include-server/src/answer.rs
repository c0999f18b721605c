//! One question answered: analysed, verified and noted where that is wished, and put into the form that the asker reads.

use std::ffi::OsString;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use includes::{Closure, Includes, Question};
use protocol::{closure_talk, include_talk};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::blocks::Blocks;
use crate::bundle::{Bundle, Bundles};
use crate::mirror::Mirror;
use crate::report::Report;
use crate::verify;

/// A question, by whoever puts it.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A stock client, or ours called as one.
    Stock(include_talk::Question),
    Launcher(closure_talk::Question),
}

/// Everything that answers share.
#[derive(Debug)]
pub(crate) struct Answers {
    pub includes: Includes,
    pub blocks: Blocks,
    pub bundles: Bundles,
    pub mirror: Mutex<Mirror>,
    pub report: Report,
    pub force_folders: bool,
    pub verify: bool,
}

impl Answers {
    /// Answers over `stream`, which is closed then. A peer that does not take its answer is its own loss.
    pub(crate) fn answer(&self, asked: &Asked, stream: &UnixStream) {
        match asked {
            Asked::Stock(question) => {
                let paths = self.for_stock(question).unwrap_or_default();
                let answer = include_talk::Answer { paths }.encode();
                let mut stream = stream;
                let _ = answer.map(|bytes| stream.write_all(&bytes));
            }
            Asked::Launcher(question) => {
                let _ = match self.for_launcher(question) {
                    Ok(bundle) => send_bundle(stream, &bundle),
                    Err(why) => refuse(stream, &why),
                };
            }
        }
    }

    fn for_stock(&self, question: &include_talk::Question) -> Option<Vec<Vec<u8>>> {
        let closure = self.closure(&question.cwd, &question.argv).ok()?;
        let mut mirror = self.mirror.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = mirror.answer(&self.blocks, &closure, self.force_folders);
        match paths {
            Ok(paths) => Some(paths),
            Err(error) => {
                self.report.trouble(&error);
                None
            }
        }
    }

    fn for_launcher(&self, question: &closure_talk::Question) -> Result<Bundle, String> {
        let closure = self.closure(&question.cwd, &question.argv)?;
        let directory = PathBuf::from(OsString::from_vec(question.cwd.clone()));
        let bundle = self
            .bundles
            .get(&self.blocks, &closure, &directory, question.form);
        bundle.map_err(|error| {
            self.report.trouble(&error);
            format!("unsendable {error}")
        })
    }

    /// The closure of a command, or a code and a sentence that say why there is none.
    fn closure(&self, cwd: &[u8], argv: &[Vec<u8>]) -> Result<Arc<Closure>, String> {
        let begun = Instant::now();
        let words: Vec<OsString> = argv.iter().cloned().map(OsString::from_vec).collect();
        let directory = PathBuf::from(OsString::from_vec(cwd.to_vec()));
        let question = Question {
            directory: &directory,
            words: &words,
            environment: &[],
        };
        let found = self.includes.closure(&question);
        let closure = found.map_err(|refusal| {
            self.report.refused(&words, &refusal);
            format!("{} {refusal}", refusal.code())
        })?;
        if self.verify {
            verify::verify(&question, &closure, &self.report).map_err(|error| {
                self.report.trouble(&error);
                format!("verify {error}")
            })?;
        }
        self.report
            .answered(&question, &closure, begun.elapsed(), &self.includes);
        Ok(closure)
    }
}

/// Hands over the answer, and the memory file beside it.
fn send_bundle(stream: &UnixStream, bundle: &Bundle) -> io::Result<()> {
    let answer = closure_talk::Answer::Files {
        flags: bundle.flags,
        size: bundle.size,
    };
    let bytes = answer.encode().map_err(io::Error::other)?;
    let files = [bundle.file.as_fd()];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut room);
    if !beside.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::Error::other("no room for the memory file"));
    }
    let sent = sendmsg(
        stream,
        &[IoSlice::new(&bytes)],
        &mut beside,
        SendFlags::NOSIGNAL,
    )?;
    let mut stream = stream;
    stream.write_all(bytes.get(sent..).unwrap_or_default())
}

fn refuse(mut stream: &UnixStream, why: &str) -> io::Result<()> {
    let answer = closure_talk::Answer::Refused(why.as_bytes().to_vec());
    let bytes = answer.encode().map_err(io::Error::other)?;
    stream.write_all(&bytes)
}
