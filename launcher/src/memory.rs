//! What a compiler once answered, in a small file of `$DISTCC_DIR/compilers/`.
//!
//! Valid for one identity of the program only (path, device, inode, size, change time): a compiler that was updated is asked again.
//! Knows nothing of what the answers mean.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::find::Program;
use crate::remember;

/// Layout of the file; another number is as good as no file.
const LAYOUT: &str = "distcc-launch compiler 1";

/// The place for the answers to one question.
pub(crate) struct Memory {
    file: PathBuf,
    /// First lines of the file: layout, path, question and identity must be these.
    key: Vec<u8>,
}

impl Memory {
    /// The answers of `program` to `question`.
    pub(crate) fn new(folder: &Path, program: &Program, question: &OsStr) -> Memory {
        let stat = &program.stat;
        let mut key = LAYOUT.as_bytes().to_vec();
        let numbers = format!(
            "{} {} {} {}.{}",
            stat.st_dev, stat.st_ino, stat.st_size, stat.st_ctime, stat.st_ctime_nsec
        );
        for part in [
            program.path.as_os_str().as_bytes(),
            question.as_bytes(),
            numbers.as_bytes(),
        ] {
            key.push(b'\n');
            // A line end in a name would shift the lines; such a compiler is asked each time.
            key.extend(one_line(part, 0));
        }
        key.push(b'\n');
        let file = folder.join("compilers").join(format!("{:016x}", fnv(&key)));
        Memory { file, key }
    }

    /// The lines that were kept, if they are whole and the program is the same.
    pub(crate) fn recall(&self) -> Option<Vec<Vec<u8>>> {
        let (text, _) = remember::read(&self.file)?;
        let mut lines: Vec<Vec<u8>> = text
            .strip_prefix(&self.key[..])?
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        // The line that ends the file tells a whole one from a cut one.
        (lines.pop()? == b"" && lines.pop()? == END).then_some(lines)
    }

    /// Keeps `lines`; without it the compiler is asked again.
    pub(crate) fn keep(&self, lines: &[&[u8]]) {
        let mut text = self.key.clone();
        for line in lines.iter().copied().chain([END]) {
            text.extend(one_line(line, b' '));
            text.push(b'\n');
        }
        remember::write(&self.file, &text);
    }
}

const END: &[u8] = b"end";

fn one_line(text: &[u8], instead: u8) -> impl Iterator<Item = u8> + '_ {
    text.iter()
        .map(move |byte| if *byte == b'\n' { instead } else { *byte })
}

/// FNV-1a, for file names only.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find;
    use std::fs;

    #[test]
    fn memory_holds_for_one_identity_and_whole_files_only() {
        let folder = tempfile::tempdir().expect("folder");
        let program =
            find::compiler("sh".as_ref(), "/bin".as_ref(), None).expect("every system has it");
        let memory = Memory::new(folder.path(), &program, "question".as_ref());
        assert_eq!(memory.recall(), None);
        memory.keep(&[b"one", b"", b"two\nlines"]);
        let kept = [&b"one"[..], b"", b"two lines"]
            .map(<[u8]>::to_vec)
            .to_vec();
        assert_eq!(memory.recall(), Some(kept));

        let mut changed = program.clone();
        changed.stat.st_size += 1;
        let other = Memory::new(folder.path(), &changed, "question".as_ref());
        assert_eq!(other.recall(), None);

        let text = fs::read(&memory.file).expect("file");
        for cut in 0..text.len() {
            fs::write(&memory.file, &text[..cut]).expect("cut");
            assert_eq!(memory.recall(), None, "cut at {cut}");
        }
    }
}
