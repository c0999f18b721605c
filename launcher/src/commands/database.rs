//! A `compile_commands.json` on this machine: found, read, and its commands judged as the launch path judges them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use compiler::compdb::{self, Entry};
use compiler::{Family, Job, Reason, Surroundings, Verdict, classify, names, response, words};
use hosts::pace::Work;

use crate::about::About;
use crate::find::{self, Inode, Program};
use crate::native;
use crate::settings::Settings;
use crate::work;

/// Where CMake and Meson leave the file, as seen from the project and from the build folder.
const USUAL: [&str; 2] = ["compile_commands.json", "build/compile_commands.json"];

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(
        "there is neither ./compile_commands.json nor build/compile_commands.json; name the file, or have it written: \
         cmake -DCMAKE_EXPORT_COMPILE_COMMANDS=ON (Meson always writes it, for make there is bear)"
    )]
    Missing,
    #[error("could not read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}:{}:{}: {}; have the file written anew by the build tool", path.display(), at.line, at.column, at.what)]
    Malformed {
        path: PathBuf,
        at: compdb::CompdbError,
    },
}

/// The text of a file, which its entries borrow.
pub(super) struct Database {
    pub(super) path: PathBuf,
    /// The folder that the file lies in, absolute: what relative directories are relative to.
    folder: PathBuf,
    text: Vec<u8>,
}

impl Database {
    /// Reads the file at `path`, or in the folder `path`.
    pub(super) fn open(path: &Path) -> Result<Database, Unusable> {
        let path = match path.is_dir() {
            true => path.join(USUAL[0]),
            false => path.to_owned(),
        };
        match std::fs::read(&path) {
            Ok(text) => Ok(Database {
                folder: std::path::absolute(path.parent().unwrap_or(Path::new("")))
                    .or_else(|_| std::env::current_dir())
                    .unwrap_or_default(),
                path,
                text,
            }),
            Err(source) => Err(Unusable::Read { path, source }),
        }
    }

    /// Reads the file where it usually lies.
    pub(super) fn usual() -> Result<Database, Unusable> {
        let found = USUAL.iter().map(Path::new).find(|path| path.exists());
        Database::open(found.ok_or(Unusable::Missing)?)
    }

    pub(super) fn entries(&self) -> Result<Vec<Entry<'_>>, Unusable> {
        compdb::read(&self.text).map_err(|at| Unusable::Malformed {
            path: self.path.clone(),
            at,
        })
    }

    /// The entries for `source`, each with its number, from 0, and the absolute path of its file: those of this very file if there
    /// are some, else those whose path ends so.
    pub(super) fn entries_for(
        &self,
        source: &Path,
    ) -> Result<Vec<(usize, PathBuf, Entry<'_>)>, Unusable> {
        let wanted = tidy(&std::env::current_dir().unwrap_or_default().join(source));
        let mut exact = false;
        let mut found: Vec<_> = self
            .entries()?
            .into_iter()
            .enumerate()
            .map(|(number, entry)| {
                let folder = self.folder_of(&entry);
                let path = tidy(&folder.join(OsStr::from_bytes(&entry.file)));
                exact |= path == wanted;
                (number, path, entry)
            })
            .collect();
        found.retain(|(_, path, entry)| match exact {
            true => *path == wanted,
            false => path.ends_with(source) || *entry.file == *source.as_os_str().as_bytes(),
        });
        Ok(found)
    }

    /// The folder that an entry's command runs in, absolute.
    pub(super) fn folder_of(&self, entry: &Entry<'_>) -> PathBuf {
        self.folder.join(OsStr::from_bytes(&entry.directory))
    }
}

/// What an entry's command is, launchers left out.
#[derive(Debug)]
pub(super) struct Command {
    /// The compiler as the entry names it, or the default one behind a launcher that names none.
    pub(super) compiler: OsString,
    /// The words after it, response files not expanded.
    pub(super) args: Vec<OsString>,
}

/// What the launch path would say of a command.
#[derive(Debug)]
pub(super) struct Judged {
    /// Why it would run here; `None` when it would be sent.
    pub(super) here: Option<Reason>,
    /// A response file that is not there (yet): build tools write some during the build.
    pub(super) lacks: Option<PathBuf>,
    /// What it writes, in the command's folder, as far as the words tell.
    pub(super) output: Option<OsString>,
    /// What its time depends on, where it would be sent.
    pub(super) work: Option<Work>,
}

/// Judges commands.  Each compiler is asked once, however many commands name it.
pub(super) struct Judge<'a> {
    settings: &'a Settings,
    known: HashMap<OsString, Option<Rc<Known>>>,
}

/// A compiler.
struct Known {
    family: Family,
    cxx: bool,
    /// Itself, when it is on this machine, and what it says of itself.
    found: Option<(Program, About)>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Judge {
            settings,
            known: HashMap::new(),
        }
    }

    /// The command behind all launchers.  Takes the entry's words.
    pub(super) fn command(&self, entry: &mut Entry<'_>) -> Command {
        let mut words = std::mem::take(&mut entry.words);
        let launchers = compdb::launchers(&words);
        words.drain(..launchers);
        if launchers > 0 && names::is_implicit(words[0].as_bytes()) {
            // As on the launch path: a default compiler of several words brings arguments of its own.
            let default = self.settings.cc.as_bytes().split(u8::is_ascii_whitespace);
            let default = default.filter(|word| !word.is_empty());
            words.splice(0..0, default.map(|word| OsStr::from_bytes(word).to_owned()));
        }
        let args = words.split_off(1.min(words.len()));
        Command {
            compiler: words.pop().unwrap_or_default(),
            args,
        }
    }

    /// Whether `command`, run in `folder`, would be sent away.
    pub(super) fn judge(&mut self, command: Command, folder: &Path) -> Judged {
        let stays = |reason| Judged {
            here: Some(reason),
            lacks: None,
            output: None,
            work: None,
        };
        let Some(known) = self.compiler(&command.compiler, folder) else {
            return stays(Reason::UnknownCompiler);
        };
        let Known { family, cxx, .. } = *known;
        let mut read = |name: &OsStr| {
            let path = folder.join(name);
            // Never waits for a pipe that nobody fills.
            path.is_file().then(|| std::fs::read(path).ok()).flatten()
        };
        let Ok(args) = response::expand(command.args, &mut read) else {
            return stays(Reason::ResponseFile);
        };
        let surroundings = Surroundings {
            dependencies_output: self.settings.dependencies_output.as_deref(),
            sunpro_dependencies: self.settings.sunpro_dependencies,
            search_environment: self.settings.search_environment,
            // As on the launch path: daemons of ours take it.
            assembler_goes: true,
            ..Surroundings::new(folder.as_os_str())
        };
        match classify(family, cxx, &args, &surroundings) {
            Verdict::Distribute(job) => distributed(&job, folder),
            Verdict::RunHere(reason) => {
                if reason == Reason::NativeCpu
                    && let Some((program, about)) = &known.found
                    && let Some(args) =
                        native::expand(program, about, &args, self.settings.folder.as_deref())
                    && let Verdict::Distribute(job) = classify(family, cxx, &args, &surroundings)
                    && !job.writes_debug()
                {
                    return distributed(&job, folder);
                }
                let words = words::read(family, &args);
                let lacks = compdb::missing_response_file(&words);
                Judged {
                    // To the scanner a word `@file` is one more file; what is wrong is that its words are not known.
                    here: Some(lacks.map_or(reason, |_| Reason::ResponseFile)),
                    lacks: lacks.map(PathBuf::from),
                    output: compdb::written_output(&words).map(OsStr::to_owned),
                    work: None,
                }
            }
        }
    }

    /// What tells the compiler `word` of a command in `folder` from others; `None` where it is not on this machine.
    pub(super) fn compiler_id(&mut self, word: &OsStr, folder: &Path) -> Option<String> {
        let known = self.compiler(word, folder)?;
        known.found.as_ref().map(|(_, about)| about.id())
    }

    /// What `word` is: asked as on the launch path; one that is not on this machine is judged by its name.
    fn compiler(&mut self, word: &OsStr, folder: &Path) -> Option<Rc<Known>> {
        // A path with a slash is relative to the entry's folder, so it means another file in each.
        let relative = word.as_bytes().contains(&b'/') && !word.as_bytes().starts_with(b"/");
        let named = match relative {
            true => Cow::Owned(tidy(&folder.join(word)).into_os_string()),
            false => Cow::Borrowed(word),
        };
        if let Some(known) = self.known.get(&*named) {
            return known.clone();
        }
        let known = self.meet(&named).map(Rc::new);
        self.known.insert(named.into_owned(), known.clone());
        known
    }

    /// Looks for a compiler that was not named before.
    fn meet(&self, word: &OsStr) -> Option<Known> {
        let guess = names::guess(names::base(word.as_bytes()))?;
        let settings = self.settings;
        let Some(program) = find::compiler(word, &settings.path, Inode::ours()) else {
            return Some(Known {
                family: guess.family.unwrap_or(Family::Gcc),
                cxx: guess.cxx,
                found: None,
            });
        };
        let about = About::of(&program, word, &settings.path, settings.folder.as_deref()).ok()?;
        Some(Known {
            family: about.family,
            cxx: about.cxx,
            found: Some((program, about)),
        })
    }
}

/// The verdict on a command that can be sent, but for what lies beside its files.
fn distributed(job: &Job<'_>, folder: &Path) -> Judged {
    let here = reads_precompiled(job, folder).then_some(Reason::PrecompiledHeader);
    Judged {
        here,
        lacks: None,
        output: Some(job.output().to_owned()),
        work: here.is_none().then(|| work::of(job)),
    }
}

/// Does a precompiled header lie beside one that the command includes first?  The launch path sees it in the preprocessed text.
fn reads_precompiled(job: &Job<'_>, folder: &Path) -> bool {
    let suffixes: &[&str] = match job.family() {
        Family::Gcc => &[".gch"],
        Family::Clang => &[".pch", ".gch"],
    };
    compdb::included(job.words()).any(|header| {
        suffixes.iter().any(|suffix| {
            let mut beside = folder.join(header).into_os_string();
            beside.push(suffix);
            Path::new(&beside).exists()
        })
    })
}

/// The same path without `.` and doubled slashes.
pub(super) fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}
