//! What our launcher and our include server say to each other, over a socket beside the one for stock clients.
//!
//! ```text
//! question:  LNCH FORM CDIR ARGC ARGV*       a command, where it runs, and for whom the files are
//! answer:    LNCH FLAG SIZE                  with a memory file: the rest of the request, ready to be sent
//!            LNCH REFU                       why not
//! ```
//!
//! The memory file comes beside the answer (`SCM_RIGHTS`) and holds, for a stock daemon, `NFIL (NAME (FILE | LINK))*`, and for ours
//! `SYSD NFIL (NAME (FILE | LINK | FOLD))*`.  Knows nothing of sockets and of how a descriptor travels.

use crate::{
    Limits, Progress, ProtocolError, Token, include_talk,
    intake::{Expected, Intake, Next, Script, check, decoder_methods},
    limits::Limit,
    request::{append_word, append_words},
    token::{self, tag},
};

/// The talk's version, in `LNCH` of both sides.
pub const VERSION: u32 = 1;
/// Longest reason for a refusal, in bytes.
const MAX_REASON: u32 = 64 << 10;

/// For whom the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A stock daemon, in version 3: links to system directories, `#line` before what was found absolutely.
    Stock,
    /// A daemon of ours, as a tree job: true names; headers of the compiler's own folders by their digest.
    Tree,
    /// A tree job with those headers as files, for a daemon that has others.
    WholeTree,
}

impl Form {
    const ALL: [Form; 3] = [Form::Stock, Form::Tree, Form::WholeTree];

    fn number(self) -> u32 {
        match self {
            Form::Stock => 0,
            Form::Tree => 1,
            Form::WholeTree => 2,
        }
    }
}

/// A command whose files are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub form: Form,
    /// Where the command runs, as it is called there (`PWD`).
    pub cwd: Vec<u8>,
    /// The compiler here by its absolute path, then the words as the daemon will run them; not empty.
    pub argv: Vec<Vec<u8>>,
}

/// What is true of an answer's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// Live text asks for `__DATE__` or `__TIME__`.
    pub const CLOCK: u32 = 1;
    /// Live text asks for `__TIMESTAMP__`.
    pub const TIMESTAMP: u32 = 2;
    /// Perhaps more files than the compiler opens.
    pub const UNSURE: u32 = 4;
    /// Something included was not found.
    pub const MISSING: u32 = 8;
    /// A file may name others in assembler text (`.incbin`, `.include`).
    pub const ASSEMBLER: u32 = 16;
    /// Live text asks for `__FILE__` in a file that is known by an absolute name.
    pub const FILE_NAMES: u32 = 32;

    pub fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}

/// The server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The memory file beside it holds this many bytes.
    Files { flags: Flags, size: u32 },
    /// A stable code in kebab-case, a blank, and a sentence.
    Refused(Vec<u8>),
}

impl Question {
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        let mut bytes = Vec::new();
        push(&mut bytes, tag::LNCH, VERSION);
        push(&mut bytes, tag::FORM, self.form.number());
        append_word(&mut bytes, tag::CDIR, &self.cwd)?;
        append_words(&mut bytes, self.argv.iter().map(Vec::as_slice), 1)?;
        Ok(bytes)
    }
}

impl Answer {
    pub fn encode(&self) -> Result<Vec<u8>, ProtocolError> {
        let mut bytes = Vec::new();
        push(&mut bytes, tag::LNCH, VERSION);
        match self {
            Answer::Files { flags, size } => {
                push(&mut bytes, tag::FLAG, flags.0);
                push(&mut bytes, tag::SIZE, *size);
            }
            Answer::Refused(reason) => {
                check(Limit::Output, MAX_REASON, reason.len() as u64)?;
                bytes.extend_from_slice(&token::head(&tag::REFU, reason.len())?);
                bytes.extend_from_slice(reason);
            }
        }
        Ok(bytes)
    }
}

fn push(bytes: &mut Vec<u8>, tag: [u8; 4], value: u32) {
    bytes.extend_from_slice(&Token { tag, value }.encode());
}

/// Reads one question, in reads of any size.
pub struct QuestionDecoder {
    intake: Intake<Asking>,
}

impl QuestionDecoder {
    /// Applies `max_name` to the directory, `max_args`, `max_arg_bytes` and `max_total_arg_bytes` to the words.
    pub fn new(limits: Limits) -> QuestionDecoder {
        QuestionDecoder {
            intake: Intake::new(Asking {
                place: Asked::Lnch,
                form: Form::Stock,
                command: include_talk::Asking::new(limits),
            }),
        }
    }

    decoder_methods!(Question);
}

/// Reads one answer, in reads of any size.
pub struct AnswerDecoder {
    intake: Intake<Answering>,
}

impl Default for AnswerDecoder {
    fn default() -> AnswerDecoder {
        AnswerDecoder {
            intake: Intake::new(Answering {
                begun: false,
                flags: None,
                answer: None,
            }),
        }
    }
}

impl AnswerDecoder {
    decoder_methods!(Answer);
}

/// What comes before the words and where they run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Lnch,
    Form,
    Command,
}

struct Asking {
    place: Asked,
    form: Form,
    command: include_talk::Asking,
}

impl Script for Asking {
    fn expected(&self) -> Option<Expected> {
        let (tags, name): (&'static [[u8; 4]], _) = match self.place {
            Asked::Lnch => (&[tag::LNCH], "LNCH"),
            Asked::Form => (&[tag::FORM], "FORM"),
            Asked::Command => return self.command.expected(),
        };
        Some(Expected { tags, name })
    }

    fn head(&mut self, token: Token) -> Result<Next, ProtocolError> {
        let value = token.value;
        self.place = match self.place {
            Asked::Lnch => {
                known_version(value)?;
                Asked::Form
            }
            Asked::Form => {
                let form = Form::ALL.into_iter().find(|form| form.number() == value);
                self.form = form.ok_or(ProtocolError::UnknownVersion(value))?;
                Asked::Command
            }
            Asked::Command => return self.command.head(token),
        };
        Ok(Next::Head)
    }

    fn body(&mut self, tag: [u8; 4], bytes: Vec<u8>) -> Result<(), ProtocolError> {
        self.command.body(tag, bytes)
    }
}

impl Asking {
    fn into_value(self) -> Question {
        let include_talk::Question { cwd, argv } = self.command.into_value();
        Question {
            form: self.form,
            cwd,
            argv,
        }
    }
}

struct Answering {
    begun: bool,
    flags: Option<Flags>,
    answer: Option<Answer>,
}

impl Script for Answering {
    fn expected(&self) -> Option<Expected> {
        let (tags, name): (&'static [[u8; 4]], _) = match (self.begun, self.flags, &self.answer) {
            (_, _, Some(_)) => return None,
            (false, ..) => (&[tag::LNCH], "LNCH"),
            (true, None, None) => (&[tag::FLAG, tag::REFU], "FLAG or REFU"),
            (true, Some(_), None) => (&[tag::SIZE], "SIZE"),
        };
        Some(Expected { tags, name })
    }

    fn head(&mut self, Token { tag, value }: Token) -> Result<Next, ProtocolError> {
        match (tag, self.flags) {
            (tag::LNCH, _) => {
                known_version(value)?;
                self.begun = true;
            }
            (tag::FLAG, _) => self.flags = Some(Flags(value)),
            (tag::REFU, _) => {
                check(Limit::Output, MAX_REASON, value)?;
                return Ok(Next::Body(value));
            }
            (_, flags) => {
                let flags = flags.unwrap_or_default();
                self.answer = Some(Answer::Files { flags, size: value });
            }
        }
        Ok(Next::Head)
    }

    fn body(&mut self, _tag: [u8; 4], bytes: Vec<u8>) -> Result<(), ProtocolError> {
        self.answer = Some(Answer::Refused(bytes));
        Ok(())
    }
}

impl Answering {
    fn into_value(self) -> Answer {
        self.answer.expect("an answer ends when it is whole")
    }
}

fn known_version(value: u32) -> Result<(), ProtocolError> {
    match value {
        VERSION => Ok(()),
        _ => Err(ProtocolError::UnknownVersion(value)),
    }
}
