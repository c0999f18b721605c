//! What became of a whole request: what its client is told, and what the log and the counters are.

use std::time::Instant;

use protocol::{Body, Outcome, Version, WaitStatus};

use crate::check::Refused;
use crate::closure::LayoutError;
use crate::exit::Exit;
use crate::job::{Finished, JobError};
use crate::log::{self, Chain};
use crate::queue::Full;
use crate::stats::Ended;

/// How a connection ended, for the log and the counters.
pub(crate) struct End {
    pub(crate) ended: Ended,
    pub(crate) status: WaitStatus,
    pub(crate) exit: Exit,
}

/// What became of a whole request.
pub(crate) enum Answer {
    Finished(Box<Finished>),
    /// Not run: the sentence goes to the client.
    Refused(Refused),
    /// Run, without anything to show for it.
    Failed(JobError),
    /// Nobody is left to answer.
    Unwanted,
    /// Somebody who had nothing at work waited too long for a slot.
    Recalled,
    /// Too many wait.
    TurnedAway(Full),
    /// Nothing is left of a request that had to wait.
    Lost(std::io::Error),
    /// The source could not be unpacked: a broken peer.
    Broken(protocol::ProtocolError),
}

impl Answer {
    /// When the compiler ended, if it did by itself.
    pub(crate) fn compiled(&self) -> Option<Instant> {
        match self {
            Self::Finished(finished) => Some(finished.ended),
            _ => None,
        }
    }

    /// Bytes of what a compiler left.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Finished(finished) => {
                let Finished {
                    product,
                    depfile,
                    stderr,
                    stdout,
                    ..
                } = &**finished;
                product.len() + depfile.len() + stderr.len() + stdout.len()
            }
            _ => 0,
        }
    }

    /// What goes over the wire; nothing when nobody is there or the peer is broken.
    pub(crate) fn reply(self, version: Version) -> Option<Outcome> {
        let own = |exit: Exit, sentence: String| {
            let text = format!("distcc-launchd: {sentence}\n");
            outcome(
                version,
                WaitStatus::exited(exit.code()),
                [text.into_bytes(), Vec::new(), Vec::new()],
                Vec::new(),
            )
        };
        Some(match self {
            Self::Finished(finished) => {
                let Finished {
                    status,
                    stderr,
                    stdout,
                    product,
                    depfile,
                    ..
                } = *finished;
                outcome(version, status, [stderr, stdout, product], depfile)
            }
            Self::Refused(refused) => own(refused.exit(), format!("refused: {refused}")),
            Self::Failed(error) => own(error.exit(), Chain(&error).to_string()),
            Self::Unwanted
            | Self::Recalled
            | Self::TurnedAway(_)
            | Self::Lost(_)
            | Self::Broken(_) => return None,
        })
    }

    /// Tells the log what is not in the summary.
    pub(crate) fn end(&self, peer: &str) -> End {
        let end = |ended, exit| End {
            ended,
            status: WaitStatus::SUCCESS,
            exit,
        };
        match self {
            Self::Finished(finished) => {
                let status = &finished.status;
                let ended = if status.success() {
                    Ended::Compiled
                } else {
                    Ended::CompileError
                };
                End {
                    ended,
                    status: *status,
                    exit: Exit::Ok,
                }
            }
            Self::Refused(refused) => {
                log::warning!("{peer}: refused: {refused}");
                end(Ended::Other, refused.exit())
            }
            Self::Failed(error) => {
                log::error!("{peer}: {}", Chain(error));
                let ended = if matches!(error, JobError::OutOfTime(_)) {
                    Ended::TimedOut
                } else {
                    Ended::Other
                };
                end(ended, error.exit())
            }
            Self::Unwanted => end(Ended::Disconnected, Exit::Io),
            Self::Recalled => {
                log::warning!(
                    "{peer}: closed: it has most slots, and another client waited for one"
                );
                end(Ended::Overload, Exit::Busy)
            }
            Self::TurnedAway(full) => {
                log::warning!("{peer}: closed: {full}");
                end(Ended::Overload, Exit::Busy)
            }
            Self::Lost(error) => {
                log::error!("{peer}: closed: the request could not wait in a file: {error}");
                end(Ended::Overload, Exit::Io)
            }
            Self::Broken(error) => {
                log::info!("{peer}: {}", Chain(error));
                end(Ended::BadRequest, Exit::Protocol)
            }
        }
    }
}

fn outcome(
    version: Version,
    status: WaitStatus,
    streams: [Vec<u8>; 3],
    depfile: Vec<u8>,
) -> Outcome {
    let [stderr, stdout, object] = streams.map(|content| Body::pack(version, content));
    let has_depfile = version.has_closure() && status.success();
    Outcome {
        version,
        status,
        stderr,
        stdout,
        object,
        depfile: has_depfile.then(|| Body::pack(version, depfile)),
    }
}

impl Refused {
    /// A missing compiler has a code of its own, by which launchers know not to ask again soon.
    fn exit(&self) -> Exit {
        match self {
            Self::Compiler { .. } => Exit::CompilerMissing,
            _ => Exit::Failed,
        }
    }
}

impl JobError {
    /// The code that stands for it in the status, as stock has it.
    fn exit(&self) -> Exit {
        match self {
            Self::Start { .. } => Exit::CompilerMissing,
            Self::OutOfTime(_) => Exit::Timeout,
            Self::Unwanted => Exit::Io,
            Self::Layout(LayoutError::Headers(_)) => Exit::Headers,
            Self::Prepare { .. }
            | Self::Layout(_)
            | Self::Box(_)
            | Self::Read { .. }
            | Self::TooLarge { .. } => Exit::Failed,
        }
    }
}
