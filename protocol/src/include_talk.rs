//! What a client and an include server say to each other over a Unix socket.
//!
//! ```text
//! question:  CDIR ARGC ARGV*    a command and where it runs
//! answer:    ARGC ARGV*         paths of what must be sent; none means "preprocess it yourself"
//! ```

use crate::{
    Limits, Progress, ProtocolError, Token,
    intake::{Expected, Intake, Next, Script, check, check_no_nul, decoder_methods},
    limits::Limit,
    request::{append_word, append_words},
    token::tag,
    words::Words,
};

/// The name of the file that only stands for its folder, in a mirror and in requests of version 3.
pub const FORCING: &str = "forcing_technique_271828";

/// A command whose files are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub cwd: Vec<u8>,
    /// Not empty.
    pub argv: Vec<Vec<u8>>,
}

/// The files of a command, as paths below the server's mirror folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Empty when the server could not tell.
    pub paths: Vec<Vec<u8>>,
}

impl Question {
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        let mut bytes = Vec::new();
        append_word(&mut bytes, tag::CDIR, &self.cwd)?;
        append_words(&mut bytes, self.argv.iter().map(Vec::as_slice), 1)?;
        Ok(bytes)
    }
}

impl Answer {
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        let mut bytes = Vec::new();
        append_words(&mut bytes, self.paths.iter().map(Vec::as_slice), 0)?;
        Ok(bytes)
    }
}

/// Reads one question, in reads of any size.
pub struct QuestionDecoder {
    intake: Intake<Asking>,
}

impl QuestionDecoder {
    /// Applies `max_name` to the directory, `max_args`, `max_arg_bytes` and `max_total_arg_bytes` to the words.
    pub fn new(limits: Limits) -> QuestionDecoder {
        QuestionDecoder {
            intake: Intake::new(Asking::new(limits)),
        }
    }

    decoder_methods!(Question);
}

/// Reads one answer, in reads of any size.
pub struct AnswerDecoder {
    intake: Intake<Talk>,
}

impl AnswerDecoder {
    /// Applies `max_files`, `max_name` and `max_closure` to the paths.
    pub fn new(limits: Limits) -> AnswerDecoder {
        let words = Words::new(Limits {
            max_args: limits.max_files,
            max_arg_bytes: limits.max_name,
            max_total_arg_bytes: limits.max_closure,
            ..limits
        });
        AnswerDecoder {
            intake: Intake::new(Talk {
                place: Place::Argc,
                words,
                least: 0,
            }),
        }
    }

    decoder_methods!(Answer);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Cdir,
    Argc,
    Argv,
    End,
}

/// `ARGC ARGV*`, perhaps after a `CDIR` that someone else keeps.
struct Talk {
    place: Place,
    words: Words,
    least: u32,
}

impl Script for Talk {
    fn expected(&self) -> Option<Expected> {
        let (tags, name): (&'static [[u8; 4]], _) = match self.place {
            Place::Cdir => (&[tag::CDIR], "CDIR"),
            Place::Argc => (&[tag::ARGC], "ARGC"),
            Place::Argv => (&[tag::ARGV], "ARGV"),
            Place::End => return None,
        };
        Some(Expected { tags, name })
    }

    fn head(&mut self, Token { tag, value }: Token) -> Result<Next, ProtocolError> {
        if tag == tag::ARGV {
            self.words.announced(value)?;
            return Ok(Next::Body(value));
        }
        self.words.count(value)?;
        if value < self.least {
            return Err(ProtocolError::NoCommand);
        }
        self.place = if value == 0 { Place::End } else { Place::Argv };
        Ok(Next::Head)
    }

    fn body(&mut self, _tag: [u8; 4], bytes: Vec<u8>) -> Result<(), ProtocolError> {
        self.words.push(bytes)?;
        if self.words.complete() {
            self.place = Place::End;
        }
        Ok(())
    }
}

impl Talk {
    fn into_value(mut self) -> Answer {
        Answer {
            paths: self.words.take(),
        }
    }
}

/// `CDIR ARGC ARGV*`, with at least one word.
pub(crate) struct Asking {
    limits: Limits,
    cwd: Vec<u8>,
    talk: Talk,
}

impl Script for Asking {
    fn expected(&self) -> Option<Expected> {
        self.talk.expected()
    }

    fn head(&mut self, token: Token) -> Result<Next, ProtocolError> {
        if self.talk.place != Place::Cdir {
            return self.talk.head(token);
        }
        check(Limit::Name, self.limits.max_name, token.value)?;
        Ok(Next::Body(token.value))
    }

    fn body(&mut self, tag: [u8; 4], bytes: Vec<u8>) -> Result<(), ProtocolError> {
        if self.talk.place != Place::Cdir {
            return self.talk.body(tag, bytes);
        }
        check_no_nul(tag, &bytes)?;
        self.cwd = bytes;
        self.talk.place = Place::Argc;
        Ok(())
    }
}

impl Asking {
    pub(crate) fn new(limits: Limits) -> Asking {
        Asking {
            limits,
            cwd: Vec::new(),
            talk: Talk {
                place: Place::Cdir,
                words: Words::new(limits),
                least: 1,
            },
        }
    }

    pub(crate) fn into_value(mut self) -> Question {
        Question {
            cwd: self.cwd,
            argv: self.talk.words.take(),
        }
    }
}
