//! What a compiler opens: reported by the kernel while it runs, and said by the compiler itself (`-MD`).

use super::command::Command;
use super::layout::walk;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What came of a run of the compiler.
pub(crate) struct Opened {
    /// Files below the root, by their real names.
    pub(crate) files: BTreeSet<PathBuf>,
    /// Does the compiler take the unit?
    pub(crate) taken: bool,
    pub(crate) messages: String,
}

/// Reports of files that are opened below a folder.
struct Watch {
    inotify: OwnedFd,
    folders: HashMap<i32, PathBuf>,
}

impl Watch {
    fn below(root: &Path) -> Watch {
        let inotify =
            inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("inotify is there");
        let mut folders = HashMap::new();
        let mut add = |path: &Path| {
            let flags = WatchFlags::OPEN | WatchFlags::ONLYDIR;
            if let Ok(watch) = inotify::add_watch(&inotify, path, flags) {
                folders.insert(watch, path.to_owned());
            }
        };
        add(root);
        walk(root, &mut |path, kind| {
            if kind.is_dir() {
                add(path);
            }
        });
        Watch { inotify, folders }
    }

    fn files(self) -> BTreeSet<PathBuf> {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut files = BTreeSet::new();
        while let Ok(event) = reader.next() {
            assert!(
                !event.events().contains(ReadFlags::QUEUE_OVERFLOW),
                "reports were lost"
            );
            if let Some(name) = event.file_name()
                && !event.events().contains(ReadFlags::ISDIR)
                && let Some(folder) = self.folders.get(&event.wd())
            {
                files.insert(folder.join(OsStr::from_bytes(name.to_bytes())));
            }
        }
        files
    }
}

/// What the compiler opens below `root`; `scratch` is a file elsewhere.
pub(crate) fn opened(command: &Command, root: &Path, scratch: &Path) -> Opened {
    let _ = fs::remove_file(scratch);
    let watch = Watch::below(root);
    let output = std::process::Command::new(&command.words[0])
        // Not -M, for which gcc expands nothing in text, `_Pragma` neither.
        .args(command.words[1..].iter().filter(|word| *word != "-c"))
        // For a message the compiler opens the file that `#line` names, which need not be a part of the unit.
        .arg("-w")
        .args(["-E", "-o", "/dev/null", "-MD", "-MF"])
        .arg(scratch)
        .env_clear()
        .env("PATH", &includes::Config::default().path)
        .env("LC_ALL", "C")
        .envs(
            command
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .current_dir(&command.directory)
        .stdin(Stdio::null())
        .output()
        .expect("the compiler starts");
    let mut files = watch.files();
    if output.status.success() {
        let names = listed(&fs::read(scratch).expect("the compiler wrote it"));
        let real = |name: &PathBuf| command.directory.join(name).canonicalize().ok();
        let below = names.iter().filter_map(real);
        files.extend(below.filter(|path| path.starts_with(root)));
    }
    Opened {
        files,
        taken: output.status.success(),
        messages: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The names of a dependency file. Those that make cannot spell are left to the kernel's reports.
fn listed(text: &[u8]) -> Vec<PathBuf> {
    let colon = text
        .windows(2)
        .position(|two| two == b": ")
        .map_or(text.len(), |at| at + 2);
    let mut names: Vec<Vec<u8>> = vec![Vec::new()];
    let mut rest = text[colon..].iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match (byte, rest.peek()) {
            (b'\\', Some(b'\n')) | (b' ', _) => names.push(Vec::new()),
            (b'\n', _) => break,
            (b'\\', Some(&(b' ' | b'#'))) | (b'$', Some(b'$')) => {
                names.last_mut().expect("there is one").extend(rest.next())
            }
            _ => names.last_mut().expect("there is one").push(byte),
        }
        if byte == b'\\' && rest.peek() == Some(&b'\n') {
            rest.next();
        }
    }
    let names = names.iter().filter(|name| !name.is_empty());
    names
        .map(|name| PathBuf::from(OsStr::from_bytes(name)))
        .collect()
}
