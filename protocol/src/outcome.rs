//! Outcomes: what a daemon answers.
//!
//! ```text
//! DONE STAT SERR SOUT DOTO         versions 1 and 2, and each failed compile
//! DONE STAT SERR SOUT DOTO DOTD    version 3 and tree jobs, when the compile went well
//! ```

mod decoder;

use std::borrow::Cow;

use crate::{Body, ProtocolError, Token, Version, WaitStatus, request::push_body, token::tag};

pub use decoder::OutcomeDecoder;

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// That of the request.
    pub version: Version,
    pub status: WaitStatus,
    /// What the compiler wrote to its stderr.  Stock daemons put messages of their own into it.
    pub stderr: Body,
    pub stdout: Body,
    /// Empty when the compile failed.  After success it may be empty too: a compiler that wrote nothing.
    pub object: Body,
    /// Always and only after a successful compile in version 3 or of a tree job; empty when the words asked for none.
    pub depfile: Option<Body>,
}

impl Outcome {
    /// The outcome's bytes.  Fails when a length does not fit or parts do not belong to the version or the status.
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        Ok(self.parts()?.concat())
    }

    /// The outcome's bytes in order, without copies of the bodies, for a vectored write.
    pub fn parts(&self) -> Result<Vec<Cow<'_, [u8]>>, ProtocolError> {
        if !self.status.success() && !self.object.wire().is_empty() {
            return Err(ProtocolError::Unsendable("an object of a failed compile"));
        }
        if self.depfile.is_some() != ends_with_depfile(self.version, self.status) {
            return Err(ProtocolError::Unsendable(
                "a depfile belongs to a successful compile with a closure and to no other",
            ));
        }
        let heads = [
            Token {
                tag: tag::DONE,
                value: self.version.number(),
            }
            .encode(),
            Token {
                tag: tag::STAT,
                value: self.status.0,
            }
            .encode(),
        ];
        let mut parts = vec![Cow::Owned(heads.concat())];
        push_body(&mut parts, self.version, tag::SERR, &self.stderr)?;
        push_body(&mut parts, self.version, tag::SOUT, &self.stdout)?;
        push_body(&mut parts, self.version, tag::DOTO, &self.object)?;
        if let Some(depfile) = &self.depfile {
            push_body(&mut parts, self.version, tag::DOTD, depfile)?;
        }
        Ok(parts)
    }
}

fn ends_with_depfile(version: Version, status: WaitStatus) -> bool {
    version.has_closure() && status.success()
}
