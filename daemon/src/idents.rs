//! What the compilers here say of themselves, for the hello: asked when the daemon starts, and again when a client wants
//! to know and a program has changed.
//!
//! A compiler that cannot be asked is not named.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compiler::Family;
use compiler::manner::preincluded;
use protocol::hello;
use tokio::sync::{Notify, watch as told};

use crate::job::{self, Conditions, Plan};
use crate::log;
use crate::server::Server;
use crate::work::Workplace;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a client waits for what is being asked; launchers give a hello a second. The rest it is told next time.
const CLIENTS_PATIENCE: Duration = Duration::from_millis(600);
/// The same where there is no next time.
const ONLY_PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of an answer that are taken.
const MAX_ANSWER: u64 = 64 << 10;

/// The answers, by program: a compiler of many names is asked once.
#[derive(Debug, Default)]
pub(crate) struct Idents {
    /// `None` for those that did not say.
    known: Mutex<HashMap<Identity, Option<Facts>>>,
    /// Somebody wants to know more than is known.
    wanted: Notify,
    /// How often all were asked; `None`: nobody does that.
    rounds: told::Sender<Option<u64>>,
}

/// Device, inode, size and time of change: a program that changed is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Identity(u64, u64, u64, i64, i64);

#[derive(Debug, Clone)]
struct Facts {
    ident: Vec<u8>,
    triple: Vec<u8>,
    preincluded: Option<Vec<u8>>,
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        let about = std::fs::metadata(path).ok()?;
        Some(Self(
            about.dev(),
            about.ino(),
            about.size(),
            about.ctime(),
            about.ctime_nsec(),
        ))
    }
}

impl Idents {
    fn known(&self) -> MutexGuard<'_, HashMap<Identity, Option<Facts>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks every compiler, however long it takes; and those that changed, each time that somebody wants to know. Ends with the daemon.
    pub(crate) async fn learn(&self, server: &Server) {
        self.rounds.send_replace(Some(0));
        loop {
            let names = server.compilers.get().all();
            self.ask_missing(server, &names).await;
            self.rounds
                .send_modify(|rounds| *rounds = rounds.map(|rounds| rounds + 1));
            tokio::select! {
                () = self.wanted.notified() => {}
                () = server.ending() => return,
            }
        }
    }

    /// Waits for a moment until all is known, where somebody learns it; else asks.
    async fn wait_for_all(&self, server: &Server, names: &[(Vec<u8>, PathBuf)]) {
        let mut rounds = self.rounds.subscribe();
        let somebody_learns = rounds.borrow_and_update().is_some();
        let learnt = async {
            if !somebody_learns {
                return self.ask_missing(server, names).await;
            }
            // The round that ends first may have begun before there was what is missing.
            for _ in 0..2 {
                if self.missing(names).is_empty() {
                    return;
                }
                self.wanted.notify_one();
                if rounds.changed().await.is_err() {
                    return;
                }
            }
        };
        let patience = if somebody_learns {
            CLIENTS_PATIENCE
        } else {
            ONLY_PATIENCE
        };
        if tokio::time::timeout(patience, learnt).await.is_err() {
            log::info!("not all compilers said in time what they are");
        }
    }

    /// Every compiler that could be asked, by each of its names, and whether these are all that are run here.
    pub(crate) async fn all(&self, server: &Server) -> (Vec<hello::Compiler>, bool) {
        let compilers = server.compilers.get();
        let (names, runs_anything) = (compilers.all(), compilers.runs_anything());
        self.wait_for_all(server, &names).await;
        let known = self.known();
        let facts = |path: &Path| known.get(&Identity::of(path)?)?.as_ref();
        let compilers: Vec<_> = names
            .iter()
            .filter_map(|(name, path)| {
                facts(path).cloned().map(|facts| hello::Compiler {
                    name: name.clone(),
                    ident: facts.ident,
                    triple: facts.triple,
                    preincluded: facts.preincluded,
                })
            })
            .collect();
        let complete = compilers.len() == names.len() && !runs_anything;
        (compilers, complete)
    }

    /// Programs that were not asked yet, each once.
    fn missing<'n>(&self, names: &'n [(Vec<u8>, PathBuf)]) -> Vec<(&'n Path, Identity)> {
        let mut missing: Vec<(&Path, Identity)> = names
            .iter()
            .filter_map(|(_, path)| Some((path.as_path(), Identity::of(path)?)))
            .filter(|(_, program)| !self.known().contains_key(program))
            .collect();
        missing.sort_unstable_by_key(|(_, program)| *program);
        missing.dedup_by_key(|(_, program)| *program);
        missing
    }

    async fn ask_missing(&self, server: &Server, names: &[(Vec<u8>, PathBuf)]) {
        let missing = self.missing(names);
        if missing.is_empty() {
            return;
        }
        let place = match Workplace::new(server, Path::new("/tmp")).await {
            Ok(place) => place,
            Err(error) => return log::warning!("could not ask the compilers: {error}"),
        };
        let conditions = conditions(&server.conditions);
        let missing = Mutex::new(missing);
        let next = || missing.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let worker = async || {
            while let Some((path, program)) = next() {
                let facts = ask(path, &place, &conditions, server).await;
                if facts.is_none() {
                    log::info!("{} does not say what it is", path.display());
                }
                self.known().insert(program, facts);
            }
        };
        tokio::join!(worker(), worker(), worker());
    }
}

/// As for jobs, but short.
fn conditions(jobs: &Conditions) -> Conditions {
    Conditions {
        sandbox: Arc::clone(&jobs.sandbox),
        job_limits: jobs.job_limits,
        environment: jobs.environment.clone(),
        nice: jobs.nice,
        oom_score_adj: jobs.oom_score_adj,
        lifetime: Some(PATIENCE),
        max_output: MAX_ANSWER,
        max_object: 0,
    }
}

/// One line that a compiler says of itself, by a word that clients could use; nothing where there is none.
pub(crate) async fn line(server: &Server, word: &str, question: &str) -> Option<String> {
    let compiler = server.compilers.get().named(OsStr::new(word))?;
    let place = Workplace::new(server, Path::new("/tmp")).await.ok()?;
    let conditions = conditions(&server.conditions);
    let said = answer(&compiler.path, question, &place, &conditions, server).await?;
    let line = str::from_utf8(&said).ok()?.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

async fn answer(
    program: &Path,
    question: &str,
    place: &Workplace,
    conditions: &Conditions,
    server: &Server,
) -> Option<Vec<u8>> {
    let words: Vec<OsString> = question.split(' ').map(OsString::from).collect();
    let plan = Plan {
        program,
        args: &words,
        place,
        files: &[],
        outputs: &[],
        variables: &[],
        locale: Some(OsStr::new("C")),
    };
    let finished = job::run(&plan, conditions, server.ending()).await.ok()?;
    finished.status.success().then_some(finished.stdout)
}

async fn ask(
    program: &Path,
    place: &Workplace,
    conditions: &Conditions,
    server: &Server,
) -> Option<Facts> {
    let answer = async |question: &str| answer(program, question, place, conditions, server).await;
    let version = answer("--version").await?;
    let first = version.split(|byte| *byte == b'\n').next()?;
    let (family, ident) = compiler::version::read(first)?;
    let triple = answer("-dumpmachine").await?.trim_ascii().to_vec();
    let fits = |value: &[u8]| !value.is_empty() && !value.iter().any(u8::is_ascii_control);
    let preincluded = match family {
        Family::Gcc => answer("-E -x c /dev/null").await,
        Family::Clang => None,
    };
    let preincluded = preincluded.and_then(|text| read_preincluded(&text));
    (fits(&ident) && fits(&triple)).then_some(Facts {
        ident,
        triple,
        preincluded: preincluded.filter(|value| !value.iter().any(u8::is_ascii_control)),
    })
}

/// What the preprocessor of nothing included.
fn read_preincluded(text: &[u8]) -> Option<Vec<u8>> {
    match preincluded::file(text)? {
        None => Some(Vec::new()),
        Some(name) => {
            let content = std::fs::read(&*name).ok()?;
            Some(preincluded::spelled(&name, &content))
        }
    }
}
