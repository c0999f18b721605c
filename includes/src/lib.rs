//! Which files does a source include? Exactly those that its compiler opens, with the bytes that were analysed.
//!
//! Each file is lexed once into a small program of its directives; a source is answered by running it with real macros, the compiler's own
//! predefined ones, and the compiler's search path. Knows nothing of sockets, hosts or how a closure travels.

mod answers;
#[cfg(any(test, feature = "checks"))]
#[doc(hidden)]
pub mod checks;
mod closure;
mod condition;
mod disk;
mod lex;
mod macros;
mod names;
mod probe;
mod search;
mod state;
mod unit;

pub(crate) use compiler::Family;

pub use closure::{Closure, Dates, Link, Member, Missed, Refusal, Role};

use state::{Attempt, State};
use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How an [`Includes`] works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where compilers are looked for, as `PATH`.
    pub path: OsString,
    /// May inotify be used to learn of changes? Without it every file is looked at for each question.
    pub watch: bool,
    /// Memory for what is remembered, in bytes; beyond it everything is forgotten and learned anew.
    pub memory: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            path: OsString::from("/usr/local/bin:/usr/bin:/bin"),
            watch: true,
            memory: 40 << 20,
        }
    }
}

/// One compile command.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The folder that the command runs in, absolute.
    pub directory: &'a Path,
    /// The compiler's name or path, then its arguments; response files are expanded here.
    pub words: &'a [OsString],
    /// The variables of [`VARIABLES`] that the compiler would see, with their values.
    pub environment: &'a [(OsString, OsString)],
}

/// The environment variables that change what a compiler includes or predefines.
pub const VARIABLES: &[&str] = &[
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "SOURCE_DATE_EPOCH",
];

/// How much was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    pub questions: u64,
    /// Answered from memory, nothing having changed.
    pub repeated: u64,
    pub refused: u64,
    /// Answers in which a condition could not be decided.
    pub unsure: u64,
    /// Times that a compiler was asked.
    pub probes: u64,
    /// Files read and lexed.
    pub files: u64,
    /// Folders that are watched.
    pub watches: u64,
    /// Times that everything was forgotten to save memory.
    pub forgotten: u64,
}

/// Answers questions and remembers what it learned. Usable from many threads at once.
#[derive(Debug)]
pub struct Includes {
    state: Mutex<State>,
}

/// Words without response files, and the response files.
type Expanded<'q> = (Cow<'q, [OsString]>, Vec<Arc<Member>>);

/// How often one question may have a compiler asked.
const MAX_PROBES: u32 = 24;

impl Includes {
    pub fn new(config: Config) -> Includes {
        Includes {
            state: Mutex::new(State::new(config)),
        }
    }

    /// The closure of the source that the command compiles, as the files are now.
    ///
    /// # Errors
    /// [`Refusal`] when the command or the source is beyond what is followed here.
    pub fn closure(&self, question: &Question<'_>) -> Result<Arc<Closure>, Refusal> {
        self.state().statistics.questions += 1;
        let (words, read) = self.expanded(question)?;
        let result = self.answer(question, &words);
        match result {
            Ok(closure) if read.is_empty() => Ok(closure),
            Ok(closure) => {
                let mut closure = Closure::clone(&closure);
                closure.files.extend(read);
                Ok(Arc::new(closure))
            }
            Err(refusal) => {
                self.state().statistics.refused += 1;
                Err(refusal)
            }
        }
    }

    fn answer(&self, question: &Question<'_>, words: &[OsString]) -> Result<Arc<Closure>, Refusal> {
        for _ in 0..MAX_PROBES {
            let attempt = self.state().attempt(question, words)?;
            match attempt {
                Attempt::Done(closure) => return Ok(closure),
                Attempt::Ask(ask, learn) => {
                    // Others may ask meanwhile.
                    let said = probe::run(&ask);
                    self.state().learn(learn, said, &ask.compiler)?;
                }
            }
        }
        Err(Refusal::TooMuch {
            path: question.directory.to_owned(),
            limit: MAX_PROBES.into(),
            what: "questions to the compiler",
        })
    }

    /// The words with response files expanded, and these files.
    fn expanded<'q>(&self, question: &Question<'q>) -> Result<Expanded<'q>, Refusal> {
        let mut read = Vec::new();
        let any = question
            .words
            .iter()
            .any(|word| word.as_encoded_bytes().starts_with(b"@"));
        if !any {
            return Ok((Cow::Borrowed(question.words), read));
        }
        let words = compiler::response::expand(question.words.to_vec(), &mut |name| {
            let member = self.state().read(question.directory, name)?;
            let bytes = member.bytes.to_vec();
            read.push(member);
            Some(bytes)
        });
        match words {
            Ok(words) => Ok((Cow::Owned(words), read)),
            Err(_) => Err(Refusal::NotOneSource("its response files hold too much")),
        }
    }

    pub fn statistics(&self) -> Statistics {
        let state = self.state();
        Statistics {
            watches: state.watches(),
            ..state.statistics
        }
    }

    /// What a thread that panicked left half done is emptied before it is used.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            self.state.clear_poison();
            let mut state = PoisonError::into_inner(poisoned);
            state.recover();
            state
        })
    }
}
