//! `distcc-launchd keygen`: makes the daemon's key file, and a key for a client.
//!
//! What a client gets goes out first and into the daemon's file last, so that whatever fails in between lets nobody in.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use keys::{ClientKey, DaemonKeys, KeyFileError, Label, Refused};

use crate::log::Chain;

const ABOUT: &str = "\
Makes a key for a client.

Prints the client's key file, which belongs into ~/.distcc/key of that client with mode 0600, and adds the client to the daemon's \
file, which is made if it is not there. Give each client a key of its own: to lock one out, take its line out of the \
daemon's file and restart the daemon. Both files are secret.";

const EXAMPLES: &str = "\
Examples:
  distcc-launchd keygen --keys /etc/distcc/daemon.keys alice > alice.key
  distcc-launchd --daemon --keys /etc/distcc/daemon.keys
  DISTCC_HOSTS=build.example,lzo,key              at the client, with alice.key as ~/.distcc/key";

/// Words of the command line, as typed.
#[derive(Debug, Parser)]
#[command(name = "distcc-launchd keygen", about = ABOUT, after_help = EXAMPLES, max_term_width = 110)]
struct Words {
    /// The daemon's file
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Write the client's file here instead of printing it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What the daemon's log calls the client
    label: String,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
enum KeygenError {
    #[error("{0:?} is no label; write 1 to 64 letters, digits and ._@-")]
    Label(String),
    #[error("{} has a key for {label} already; take out its line, or choose another label", path.display())]
    There { path: PathBuf, label: Label },
    #[error(transparent)]
    File(#[from] KeyFileError),
    #[error(transparent)]
    Chance(#[from] Refused),
    #[error("could not write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("could not print the key")]
    Print(#[source] io::Error),
}

/// The words after `keygen`, if that is what was asked for. A link named `distccd` is stock's daemon and has no such thing.
pub(crate) fn asked(words: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut words = words.into_iter();
    let name = words.next()?;
    let is_ours = Path::new(&name)
        .file_name()
        .is_none_or(|name| name != "distccd");
    let is_keygen = words.next()? == "keygen";
    (is_ours && is_keygen).then(|| [name].into_iter().chain(words).collect())
}

/// Makes what was asked for, or says why not.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    let words = match Words::try_parse_from(words) {
        Ok(words) => words,
        Err(error) => {
            // Help goes to standard output, the rest to standard error; where that is closed nobody listens.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(crate::exit::Exit::BadArguments.code())
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match make(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "distcc-launchd keygen: {}", Chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn make(words: &Words) -> Result<(), KeygenError> {
    let label = Label::new(&words.label).ok_or_else(|| KeygenError::Label(words.label.clone()))?;
    let path = &words.keys;
    let cannot = |source| KeygenError::Write {
        path: path.clone(),
        source,
    };
    begin(path)?;
    let mut file = OpenOptions::new().append(true).open(path).map_err(cannot)?;
    // Two at a time must not give one label twice.
    file.lock().map_err(cannot)?;
    let keys = DaemonKeys::read(path)?;
    if keys.has(&label) {
        let path = path.clone();
        return Err(KeygenError::There { path, label });
    }
    let key = ClientKey::generate(label, &keys)?;
    let text = key.to_text();
    match &words.output {
        Some(output) => new_file(output)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| KeygenError::Write {
                path: output.clone(),
                source,
            })?,
        None => {
            let mut out = io::stdout();
            let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            printed.map_err(KeygenError::Print)?;
        }
    }
    file.write_all(DaemonKeys::line_for(&key).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(cannot)
}

/// Makes a daemon's file where there is none.
fn begin(path: &Path) -> Result<(), KeygenError> {
    let cannot = |source| KeygenError::Write {
        path: path.to_owned(),
        source,
    };
    if path.exists() {
        return Ok(());
    }
    // Whole or not at all: another keygen may be about to do the same.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(cannot)?;
    file.write_all(DaemonKeys::generate()?.to_text().as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(cannot)?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
            Err(cannot(error.error))
        }
        _ => Ok(()),
    }
}

/// A file that was not there and that only its owner can read.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn keygen(line: &str) -> Result<(), KeygenError> {
        make(&Words::try_parse_from(format!("keygen {line}").split(' ')).unwrap())
    }

    #[test]
    fn a_daemon_and_two_clients() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let line = |label: &str| {
            format!(
                "--keys {} --output {} {label}",
                path("daemon").display(),
                path(label).display()
            )
        };
        keygen(&line("alice")).unwrap();
        keygen(&line("bob")).unwrap();
        let keys = DaemonKeys::read(&path("daemon")).unwrap();
        assert_eq!(keys.len(), 2);
        for label in ["alice", "bob"] {
            let key = ClientKey::read(&path(label)).unwrap();
            assert_eq!((key.label.as_str(), key.daemon), (label, keys.public()));
            let (_, opening) = keys::Initiator::new(&key).unwrap();
            assert_eq!(keys.answer(&opening).unwrap().2.as_str(), label);
        }
        for name in ["daemon", "alice"] {
            let mode = std::fs::metadata(path(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(matches!(
            keygen(&line("alice")),
            Err(KeygenError::There { .. })
        ));
        assert!(matches!(keygen(&line("a/b")), Err(KeygenError::Label(_))));
        // A file that is there is not written over, and then nobody is let in.
        std::fs::write(path("carol"), "mine").unwrap();
        assert!(matches!(
            keygen(&line("carol")),
            Err(KeygenError::Write { .. })
        ));
        assert_eq!(std::fs::read(path("carol")).unwrap(), b"mine");
        assert_eq!(DaemonKeys::read(&path("daemon")).unwrap().len(), 2);
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 4, "nothing else is left");
    }

    #[test]
    fn only_the_word_itself_asks_for_it() {
        let asks = |line: &str| asked(line.split(' ').map(OsString::from)).is_some();
        assert!(asks("distcc-launchd keygen --keys x y") && asks("/usr/bin/distcc-launchd keygen"));
        assert!(
            !asks("distccd keygen x")
                && !asks("distcc-launchd --keys keygen")
                && !asks("distcc-launchd")
        );
    }
}
