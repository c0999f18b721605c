//! Outcomes out of bytes.

use super::{Outcome, ends_with_depfile};
use crate::{
    Body, Limits, Progress, ProtocolError, Token, Version, WaitStatus,
    intake::{Expected, Intake, Next, Script, check, decoder_methods},
    limits::Limit,
    token::tag,
};

/// Reads the answer to one request, in reads of any size.
pub struct OutcomeDecoder {
    intake: Intake<Order>,
}

impl OutcomeDecoder {
    /// `version` is that of the request, which the answer must repeat.
    pub fn new(version: Version, limits: Limits) -> OutcomeDecoder {
        let outcome = Outcome {
            version,
            status: WaitStatus::SUCCESS,
            stderr: Body::empty(version),
            stdout: Body::empty(version),
            object: Body::empty(version),
            depfile: None,
        };
        OutcomeDecoder {
            intake: Intake::new(Order {
                limits,
                place: Place::Done,
                outcome,
            }),
        }
    }

    decoder_methods!(Outcome);
}

#[derive(Clone, Copy)]
enum Place {
    Done,
    Stat,
    Serr,
    Sout,
    Doto,
    Dotd,
    End,
}

/// Where in an outcome we are, and what has come of it.
struct Order {
    limits: Limits,
    place: Place,
    outcome: Outcome,
}

impl Script for Order {
    fn expected(&self) -> Option<Expected> {
        let (tags, name): (&'static [[u8; 4]], _) = match self.place {
            Place::Done => (&[tag::DONE], "DONE"),
            Place::Stat => (&[tag::STAT], "STAT"),
            Place::Serr => (&[tag::SERR], "SERR"),
            Place::Sout => (&[tag::SOUT], "SOUT"),
            Place::Doto => (&[tag::DOTO], "DOTO"),
            Place::Dotd => (&[tag::DOTD], "DOTD"),
            Place::End => return None,
        };
        Some(Expected { tags, name })
    }

    fn head(&mut self, Token { value, .. }: Token) -> Result<Next, ProtocolError> {
        let asked = self.outcome.version;
        match self.place {
            Place::Done if value != asked.number() => {
                return Err(ProtocolError::VersionMismatch {
                    asked,
                    answered: value,
                });
            }
            Place::Done => {
                self.place = Place::Stat;
                return Ok(Next::Head);
            }
            Place::Stat => {
                self.outcome.status = WaitStatus(value);
                self.place = Place::Serr;
                return Ok(Next::Head);
            }
            Place::Serr | Place::Sout => check(Limit::Output, self.limits.max_output, value)?,
            Place::Doto if value > 0 && !self.outcome.status.success() => {
                return Err(ProtocolError::ObjectOfFailure {
                    status: self.outcome.status,
                    len: value,
                });
            }
            Place::Doto => check(Limit::Object, self.limits.max_object, value)?,
            Place::Dotd | Place::End => check(Limit::Depfile, self.limits.max_depfile, value)?,
        }
        Ok(Next::Body(value))
    }

    fn body(&mut self, _tag: [u8; 4], bytes: Vec<u8>) -> Result<(), ProtocolError> {
        let outcome = &mut self.outcome;
        let body = Body::received(outcome.version.coding(), bytes);
        self.place = match self.place {
            Place::Serr => {
                outcome.stderr = body;
                Place::Sout
            }
            Place::Sout => {
                outcome.stdout = body;
                Place::Doto
            }
            Place::Doto => {
                outcome.object = body;
                if ends_with_depfile(outcome.version, outcome.status) {
                    Place::Dotd
                } else {
                    Place::End
                }
            }
            Place::Dotd => {
                outcome.depfile = Some(body);
                Place::End
            }
            Place::Done | Place::Stat | Place::End => self.place,
        };
        Ok(())
    }
}

impl Order {
    fn into_value(self) -> Outcome {
        self.outcome
    }
}
