//! Runs a compiler to ask it something.

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// A compiler, and what it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) compiler: PathBuf,
    pub(crate) directory: PathBuf,
    /// Words that may change the answer.
    pub(crate) words: Vec<OsString>,
    pub(crate) language: &'static str,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) path: OsString,
    pub(crate) source: Vec<u8>,
}

/// How long a compiler may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Standard output and standard error of the compiler's preprocessor over the source.
///
/// # Errors
/// A sentence when it could not be started, or did not answer in time.
pub(crate) fn run(ask: &Ask) -> Result<(Vec<u8>, Vec<u8>), String> {
    let mut command = Command::new(&ask.compiler);
    command
        .args(&ask.words)
        .args(["-E", "-dD", "-v", "-x", ask.language, "-"])
        .current_dir(&ask.directory)
        .env_clear()
        .env("PATH", &ask.path)
        .env("LC_ALL", "C")
        .envs(ask.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let stdin = child.stdin.take();
    let source = ask.source.clone();
    // Both are small enough for a pipe as a rule; when they are not, nobody waits for the other.
    let writer = std::thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            // A compiler that does not read to the end has said why by then.
            let _ = stdin.write_all(&source);
        }
    });
    let (out, err) = collect(&mut child)?;
    let _ = writer.join();
    let _ = child.wait();
    Ok((out, err))
}

fn collect(child: &mut Child) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (send, receive) = mpsc::channel();
    let mut stdout = child.stdout.take().ok_or("no standard output")?;
    let mut stderr = child.stderr.take().ok_or("no standard error")?;
    let second = send.clone();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.read_to_end(&mut bytes).is_ok();
        let _ = send.send((true, read.then_some(bytes)));
    });
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stderr.read_to_end(&mut bytes).is_ok();
        let _ = second.send((false, read.then_some(bytes)));
    });
    let mut out = Vec::new();
    let mut err = Vec::new();
    for _ in 0..2 {
        match receive.recv_timeout(PATIENCE) {
            Ok((true, Some(bytes))) => out = bytes,
            Ok((false, Some(bytes))) => err = bytes,
            Ok(_) => return Err("its output could not be read".to_owned()),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not answer in {} s", PATIENCE.as_secs()));
            }
        }
    }
    Ok((out, err))
}

/// The program of this name in the folders of `path`; a name with a slash is a path already.
pub(crate) fn candidates(name: &OsStr, path: &OsStr) -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    if name.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(name)];
    }
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .collect()
}
