//! The talk with our include server: a question, and an answer with a memory file beside it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;

use protocol::Progress;
use protocol::closure_talk::{Answer, AnswerDecoder, Flags, Form, Question};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::{BROKEN, NotPumped};

/// What a failed read or write means.
pub(super) fn failed(error: &io::Error) -> NotPumped {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => super::SLOW,
        _ => BROKEN,
    }
}

/// Puts the question over `stream`; gives the memory file, its size and what is true of it.
///
/// # Errors
/// The server refuses this source, or gave no answer in time.
pub(super) fn ask(
    mut stream: UnixStream,
    form: Form,
    cwd: &OsStr,
    compiler: &OsStr,
    args: &[OsString],
) -> Result<(File, u64, Flags), NotPumped> {
    let words = std::iter::once(compiler).chain(args.iter().map(|word| &**word));
    let question = Question {
        form,
        cwd: cwd.as_bytes().to_vec(),
        argv: words.map(|word| word.as_bytes().to_vec()).collect(),
    };
    let question = question.encode().map_err(|_| BROKEN)?;
    stream
        .write_all(&question)
        .map_err(|error| failed(&error))?;
    let mut decoder = AnswerDecoder::default();
    let mut beside = None;
    loop {
        let count = receive(&stream, decoder.space(), &mut beside)?;
        match decoder.filled(count) {
            Ok(Progress::Done) => break,
            Ok(Progress::More) if count > 0 => {}
            _ => return Err(BROKEN),
        }
    }
    match (decoder.finish(), beside) {
        (Ok(Answer::Files { flags, size }), Some(file)) => Ok((file, u64::from(size), flags)),
        (Ok(Answer::Refused(_)), _) => Err(NotPumped("include-server-refused")),
        _ => Err(BROKEN),
    }
}

/// One read, and the descriptor that came beside it.
fn receive(
    stream: &UnixStream,
    space: &mut [u8],
    beside: &mut Option<File>,
) -> Result<usize, NotPumped> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut messages = RecvAncillaryBuffer::new(&mut room);
    let mut slices = [IoSliceMut::new(space)];
    let message = loop {
        match recvmsg(stream, &mut slices, &mut messages, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            done => break done.map_err(|errno| failed(&errno.into()))?,
        }
    };
    for message in messages.drain() {
        if let RecvAncillaryMessage::ScmRights(mut files) = message {
            *beside = beside.take().or_else(|| files.next().map(File::from));
        }
    }
    Ok(message.bytes)
}
