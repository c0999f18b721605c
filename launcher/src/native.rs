//! What "the processor of this machine" means to a compiler, asked once and remembered.
//!
//! Which words those are is `compiler::native`'s business; here the compiler is asked, and its answer kept for as long as compiler and
//! processor are the same.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use compiler::{Family, native};

use crate::about::About;
use crate::find::Program;
use crate::memory::Memory;

/// `args` in words that mean the same on another machine; `None` when that cannot be said.
pub(crate) fn expand(
    program: &Program,
    about: &About,
    args: &[OsString],
    folder: Option<&Path>,
) -> Option<Vec<OsString>> {
    if about.family != Family::Gcc {
        return None;
    }
    let question = native::question(args)?;
    let mut key = processor()?;
    for word in &question {
        key.push(b' ');
        key.extend_from_slice(word.as_bytes());
    }
    let memory = folder.map(|folder| Memory::new(folder, program, &OsString::from_vec(key)));
    if let Some(lines) = memory.as_ref().and_then(Memory::recall) {
        let words: Vec<OsString> = lines.into_iter().map(OsString::from_vec).collect();
        return Some(native::replace(args, &words));
    }
    let mut command = Command::new(&program.path);
    command.arg0(&program.argv0).args(&question);
    command.args(["-###", "-E", "-x", "c", "/dev/null"]);
    command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let answer = native::answer(&command.output().ok()?.stderr)?;
    if let Some(memory) = &memory {
        memory.keep(
            &answer
                .iter()
                .map(|word| word.as_bytes())
                .collect::<Vec<_>>(),
        );
    }
    Some(native::replace(args, &answer))
}

/// What the kernel says of the first processor: the compiler asks the same silicon.
fn processor() -> Option<Vec<u8>> {
    let mut text = vec![0; 4096];
    let length = File::open("/proc/cpuinfo").ok()?.read(&mut text).ok()?;
    text.truncate(length);
    // Up to the blank line that ends the first; the clock's speed is no identity.
    let end = text
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .unwrap_or(text.len());
    let lines = text[..end]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"cpu MHz"));
    Some(lines.collect::<Vec<_>>().join(&b';'))
}
