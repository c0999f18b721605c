//! A project folder in which a command runs plainly and again through a launcher.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        ffi::OsStringExt,
        fs::{PermissionsExt, chown, symlink},
        net::UnixStream,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    effects::{Effects, Entry, snapshot},
    journal::{Row, read_journal},
    programs,
    run::{Ran, run},
};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const NOBODY: u32 = 65534;

/// A launcher, and how it is called.
#[derive(Debug, Clone)]
pub struct Client {
    program: PathBuf,
    manner: Manner,
    stock: bool,
}

#[derive(Debug, Clone)]
enum Manner {
    Prefix,
    /// Through a link of this name.
    Called(&'static str),
    /// Through links named like compilers, in a folder before all others on `PATH`.
    Masquerade,
}

impl Client {
    /// Is it stock's own client?
    pub fn is_stock(&self) -> bool {
        self.stock
    }

    /// `distcc-launch gcc …`
    pub fn ours() -> Client {
        Client {
            program: programs::launcher(),
            manner: Manner::Prefix,
            stock: false,
        }
    }

    /// Stock's `distcc gcc …`.
    pub fn stock() -> Client {
        Client {
            program: programs::distcc(),
            manner: Manner::Prefix,
            stock: true,
        }
    }

    /// Through a link.
    pub fn called(self, name: &'static str) -> Client {
        Client {
            manner: Manner::Called(name),
            ..self
        }
    }

    /// `gcc …`, where `gcc` is a link to the launcher.
    pub fn masquerading(self) -> Client {
        Client {
            manner: Manner::Masquerade,
            ..self
        }
    }
}

/// A little project, and the launcher with all its surroundings: hosts, environment, folder for state.
///
/// Below its root: `work` (the project, made anew for each run), `dir` (`DISTCC_DIR`), `tmp` (`TMPDIR`), `home`,
/// `journal.jsonl`, `log`.
#[derive(Debug)]
pub struct Space {
    root: Option<TempDir>,
    files: Vec<(OsString, Vec<u8>)>,
    setup: Vec<String>,
    client: Client,
    env: Vec<(OsString, OsString)>,
    client_env: Vec<(OsString, OsString)>,
    nobody: bool,
}

impl Space {
    pub fn new<N: AsRef<str>, C: AsRef<[u8]>>(files: impl IntoIterator<Item = (N, C)>) -> Space {
        let root = tempfile::Builder::new()
            .prefix("space-")
            .tempdir()
            .expect("a folder can be made");
        for name in ["", "dir", "tmp", "home", "masquerade"] {
            let folder = root.path().join(name);
            fs::create_dir_all(&folder).expect("a folder can be made");
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))
                .expect("a mode can be set");
        }
        let files = files
            .into_iter()
            .map(|(name, bytes)| (name.as_ref().into(), bytes.as_ref().to_vec()))
            .collect();
        Space {
            root: Some(root),
            files,
            setup: Vec::new(),
            client: Client::ours(),
            env: Vec::new(),
            client_env: Vec::new(),
            nobody: false,
        }
    }

    /// One more file, of any name.
    #[must_use]
    pub fn file(mut self, name: impl AsRef<OsStr>, bytes: impl AsRef<[u8]>) -> Space {
        self.files
            .push((name.as_ref().to_owned(), bytes.as_ref().to_vec()));
        self
    }

    /// A shell script that runs in each new copy of the project.
    #[must_use]
    pub fn setup(mut self, script: &str) -> Space {
        self.setup.push(script.to_owned());
        self
    }

    #[must_use]
    pub fn client(mut self, client: Client) -> Space {
        self.client = client;
        self
    }

    #[must_use]
    pub fn hosts(self, list: &str) -> Space {
        self.client_env("DISTCC_HOSTS", list)
    }

    /// For both runs.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Space {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// For the launcher only.
    #[must_use]
    pub fn client_env(mut self, name: &str, value: impl AsRef<OsStr>) -> Space {
        self.client_env
            .push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Both runs as a user for whom file modes count.
    #[must_use]
    pub fn as_nobody(mut self) -> Space {
        self.nobody = true;
        self
    }

    pub fn root(&self) -> &Path {
        self.root
            .as_ref()
            .expect("the root stays until drop")
            .path()
    }

    /// The project folder; holds what the last run left.
    pub fn work(&self) -> PathBuf {
        self.root().join("work")
    }

    pub fn dir(&self) -> PathBuf {
        self.root().join("dir")
    }

    /// The process of the include server that launchers here have started.
    pub fn include_server(&self) -> Option<Pid> {
        let stream = UnixStream::connect(self.dir().join("pump/launch")).ok()?;
        Some(rustix::net::sockopt::socket_peercred(&stream).ok()?.pid)
    }

    /// Ends that server, and waits until it is gone.
    fn end_include_server(&self) {
        let Some(process) = self.root.as_ref().and_then(|_| self.include_server()) else {
            return;
        };
        // One that was stopped would not hear of it.
        for signal in [Signal::TERM, Signal::CONT] {
            let _ = kill_process(process, signal);
        }
        let started = Instant::now();
        while self.include_server().is_some() && started.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(2));
        }
        if self.include_server() == Some(process) {
            let _ = kill_process(process, Signal::KILL);
        }
    }

    /// Forgets slots, avoided hosts and all else that launchers remember of each other.
    pub fn forget(&self) {
        self.end_include_server();
        let _ = fs::remove_dir_all(self.dir());
        fs::create_dir(self.dir()).expect("a folder can be made");
        fs::set_permissions(self.dir(), fs::Permissions::from_mode(0o777))
            .expect("a mode can be set");
    }

    /// Keeps the folder for a person to look at, and says where it is.
    pub fn eject(&mut self) -> PathBuf {
        self.end_include_server();
        let root = self.root.take().expect("the root stays until drop").keep();
        self.root = Some(TempDir::new().expect("a folder can be made"));
        root
    }

    /// Runs `command` locally and through the launcher.
    pub fn compile(&self, command: &str) -> Compared {
        let words = shlex::split(command).expect("the command of a test is quoted well");
        let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        self.compare(command, |prefix| {
            prefix.iter().chain(&words).cloned().collect()
        })
    }

    /// Runs a command of any bytes.
    pub fn compile_words(&self, words: &[&[u8]]) -> Compared {
        let name = words.join(&b' ').escape_ascii().to_string();
        let words: Vec<OsString> = words
            .iter()
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect();
        self.compare(&name, |prefix| {
            prefix.iter().chain(&words).cloned().collect()
        })
    }

    /// Runs a shell script; `$L` stands where the launcher goes before the compiler.
    pub fn shell(&self, script: &str) -> Compared {
        self.compare(script, |prefix| {
            let launcher = prefix.first().cloned().unwrap_or_default();
            let mut with = OsString::from("L=");
            with.push(launcher);
            vec!["env".into(), with, "sh".into(), "-c".into(), script.into()]
        })
    }

    fn compare(&self, name: &str, words: impl Fn(&[OsString]) -> Vec<OsString>) -> Compared {
        let local = self.effects(&mut self.plain(&words(&[])));
        self.against(name, local, words)
    }

    /// As [`Space::compile`] with the local result known, for long tables about one command.
    pub fn compile_against(&self, local: &Effects, command: &str) -> Compared {
        let words = shlex::split(command).expect("the command of a test is quoted well");
        let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        self.against(command, local.clone(), |prefix| {
            prefix.iter().chain(&words).cloned().collect()
        })
    }

    fn against(
        &self,
        name: &str,
        local: Effects,
        words: impl Fn(&[OsString]) -> Vec<OsString>,
    ) -> Compared {
        let _ = fs::remove_file(self.journal());
        let _ = fs::remove_file(self.log_file());
        let prefix = self.prefix(&self.client);
        let via = self.effects(&mut self.launched(&self.client, &words(&prefix)));
        let left_over = fs::read_dir(self.root().join("tmp"))
            .expect("a folder can be read")
            .count();
        Compared {
            command: name.to_owned(),
            local,
            via,
            rows: read_journal(&self.journal()),
            log: self.log(),
            stock: self.client.stock,
            left_over,
        }
    }

    /// Runs `command` without the launcher, in a new copy.
    pub fn local(&self, command: &str) -> Effects {
        let words = shlex::split(command).expect("the command of a test is quoted well");
        let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        self.effects(&mut self.plain(&words))
    }

    /// `command` through the launcher, ready to start in [`Space::work`]; call [`Space::renew`] first.
    pub fn command(&self, command: &str) -> Command {
        self.command_as(&self.client, command)
    }

    /// As [`Space::command`], through another launcher than the space's own.
    pub fn command_as(&self, client: &Client, command: &str) -> Command {
        let words = shlex::split(command).expect("the command of a test is quoted well");
        let words: Vec<OsString> = self
            .prefix(client)
            .into_iter()
            .chain(words.into_iter().map(OsString::from))
            .collect();
        self.launched(client, &words)
    }

    /// Runs `command` through the launcher alone, in what the last run left.
    pub fn run(&self, command: &str) -> Ran {
        run(&mut self.command(command))
    }

    pub fn journal(&self) -> PathBuf {
        self.root().join("journal.jsonl")
    }

    pub fn rows(&self) -> Vec<Row> {
        read_journal(&self.journal())
    }

    pub fn log_file(&self) -> PathBuf {
        self.root().join("log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn effects(&self, command: &mut Command) -> Effects {
        self.renew();
        let before = snapshot(&self.work());
        let ran = run(command);
        Effects::new(ran, &before, snapshot(&self.work()))
    }

    /// Makes the project folder as it was at first.
    pub fn renew(&self) {
        let work = self.work();
        if work.exists() {
            let removed = fs::remove_dir_all(&work);
            removed.unwrap_or_else(|error| panic!("could not clear {}: {error}", work.display()));
        }
        fs::create_dir(&work).expect("a folder can be made");
        for (name, bytes) in &self.files {
            let path = work.join(name);
            fs::create_dir_all(path.parent().expect("a joined path has a parent"))
                .expect("a folder can be made");
            fs::write(&path, bytes).expect("a file can be written");
        }
        for script in &self.setup {
            let ran = run(Command::new("sh").args(["-ec", script]).current_dir(&work));
            assert!(
                ran.status.success(),
                "the set-up fails: {script}: {}",
                ran.err()
            );
        }
        if self.nobody {
            let entries: BTreeMap<PathBuf, Entry> = snapshot(&work);
            for name in entries
                .keys()
                .filter(|name| !matches!(entries[*name], Entry::Link { .. }))
            {
                chown(work.join(name), Some(NOBODY), Some(NOBODY))
                    .expect("root can give a file away");
            }
            chown(&work, Some(NOBODY), Some(NOBODY)).expect("root can give a folder away");
        }
    }

    /// The words before the compiler's.
    fn prefix(&self, client: &Client) -> Vec<OsString> {
        match client.manner {
            Manner::Prefix => vec![client.program.clone().into()],
            Manner::Called(name) => {
                let link = self.root().join("home").join(name);
                let _ = symlink(&client.program, &link);
                vec![link.into()]
            }
            Manner::Masquerade => Vec::new(),
        }
    }

    fn plain(&self, words: &[OsString]) -> Command {
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(self.work())
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env("HOME", self.root().join("home"))
            .env("TMPDIR", self.root().join("tmp"))
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        if self.nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn launched(&self, client: &Client, words: &[OsString]) -> Command {
        let mut command = self.plain(words);
        command
            .env("DISTCC_DIR", self.dir())
            .env("DISTCC_LAUNCH_JOURNAL", self.journal());
        if let Manner::Masquerade = client.manner {
            let masquerade = self.root().join("masquerade");
            for name in ["cc", "c++", "gcc", "g++", "clang", "clang++"] {
                let _ = symlink(&client.program, masquerade.join(name));
            }
            command.env("PATH", format!("{}:{PATH}", masquerade.display()));
            // `Command` looks the program up on the path that the child will have.
        }
        if client.stock {
            command
                .env("DISTCC_LOG", self.log_file())
                .env("DISTCC_VERBOSE", "1");
        }
        command.envs(self.client_env.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.end_include_server();
    }
}

/// What one command did, locally and through the launcher.
#[derive(Debug)]
pub struct Compared {
    command: String,
    pub local: Effects,
    pub via: Effects,
    pub rows: Vec<Row>,
    log: String,
    stock: bool,
    left_over: usize,
}

impl Compared {
    /// Leaves out the files that `again`, a second local run, made otherwise than the first: what a compiler varies
    /// by chance is no difference.
    #[must_use]
    pub fn ignoring_chance(mut self, again: &Effects) -> Compared {
        let by_chance: Vec<PathBuf> = self
            .local
            .files
            .iter()
            .filter(|(name, entry)| {
                again.files.get(*name) != Some(*entry) && self.via.files.contains_key(*name)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in by_chance {
            self.local.files.remove(&name);
            self.via.files.remove(&name);
        }
        self
    }

    /// Nothing differs: exit code, files with their bytes and modes, messages.
    #[track_caller]
    pub fn assert_same_as_local(&self) -> &Compared {
        self.assert_none(self.local.differences(&self.via))
    }

    /// As [`Compared::assert_same_as_local`], but gcc's excerpts of the source may be missing.
    #[track_caller]
    pub fn assert_same_but_excerpts(&self) -> &Compared {
        let mut found = self.local.differences_but_messages(&self.via);
        let (mine, theirs) = (
            self.local.stderr_but_excerpts(),
            self.via.stderr_but_excerpts(),
        );
        if mine != theirs {
            found.push(format!(
                "stderr:\n--- local\n{mine}\n--- launcher\n{theirs}"
            ));
        }
        self.assert_none(found)
    }

    /// Files and exit code are the same; what is printed may differ.
    #[track_caller]
    pub fn assert_same_files(&self) -> &Compared {
        self.assert_none(self.local.differences_but_messages(&self.via))
    }

    #[track_caller]
    fn assert_none(&self, mut found: Vec<String>) -> &Compared {
        if self.left_over > 0 {
            found.push(format!("{} temporary files are left", self.left_over));
        }
        assert!(
            found.is_empty(),
            "{}\n{}\n{self}",
            self.command,
            found.join("\n")
        );
        self
    }

    /// It went away with its files, at the first go.
    #[track_caller]
    pub fn assert_pumped(&self) -> &Compared {
        self.assert_remote();
        let pumped = match self.stock {
            true => !self.log.contains("preprocess"),
            false => self.rows.iter().all(|row| {
                row.place == "remote" && !row.fell_back && row.mode.as_deref() == Some("pump")
            }),
        };
        assert!(
            pumped,
            "{}: should have gone in pump mode\n{self}",
            self.command
        );
        self
    }

    /// It went away preprocessed although its host takes files, and for this reason.
    #[track_caller]
    pub fn assert_not_pumped(&self, code: &str) -> &Compared {
        self.assert_remote();
        let row = self.row();
        assert_eq!(
            (row.mode.as_deref(), row.not_pumped.as_deref()),
            (Some("plain"), Some(code)),
            "{}\n{self}",
            self.command
        );
        self
    }

    /// It ran away from here, at the first go.
    #[track_caller]
    pub fn assert_remote(&self) -> &Compared {
        let remote = match self.stock {
            true => self.log.contains(" completed ok") && !self.log.contains("exec on localhost"),
            false => self
                .rows
                .last()
                .is_some_and(|row| row.place == "remote" && !row.fell_back),
        };
        assert!(remote, "{}: should have run remotely\n{self}", self.command);
        self
    }

    /// It ran here, and for this reason.
    #[track_caller]
    pub fn assert_local(&self, reason: &str) -> &Compared {
        let row = self
            .rows
            .last()
            .unwrap_or_else(|| panic!("{}: no journal row\n{self}", self.command));
        assert_eq!(
            (row.place.as_str(), row.reason.as_deref()),
            ("local", Some(reason)),
            "{}\n{self}",
            self.command
        );
        self
    }

    /// It ran here, whatever the reason.
    #[track_caller]
    pub fn assert_here(&self) -> &Compared {
        let here = match self.stock {
            true => !self.log.contains(" completed ok"),
            false => self.rows.last().is_some_and(|row| row.place == "local"),
        };
        assert!(here, "{}: should have run here\n{self}", self.command);
        self
    }

    /// It was sent away in vain and ran here in the end.
    #[track_caller]
    pub fn assert_fell_back(&self) -> &Compared {
        let fell = match self.stock {
            true => self.log.contains("exec on localhost"),
            false => self
                .rows
                .last()
                .is_some_and(|row| row.place == "local" && row.fell_back),
        };
        assert!(fell, "{}: should have fallen back\n{self}", self.command);
        self
    }

    /// The journal's row.
    #[track_caller]
    pub fn row(&self) -> &Row {
        self.rows
            .last()
            .unwrap_or_else(|| panic!("{}: no journal row\n{self}", self.command))
    }
}

impl std::fmt::Display for Compared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "launcher: exit {}, files {:?}",
            self.via.code, self.via.files
        )?;
        writeln!(f, "stdout: {}", self.via.stdout.escape_ascii())?;
        writeln!(f, "stderr: {}", self.via.stderr.escape_ascii())?;
        writeln!(f, "journal: {:?}", self.rows)?;
        write!(f, "log: {}", self.log)
    }
}
