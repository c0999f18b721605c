//! Asks Debian's liblzo2, in a process of its own, what it makes of some bytes.

#![allow(dead_code, reason = "tests and the bench ask different questions")]

use std::{
    io::{Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

pub(crate) struct Oracle {
    child: Child,
    questions: Option<ChildStdin>,
    answers: ChildStdout,
}

impl Oracle {
    /// Compiles and starts it.  Needs gcc and liblzo2-dev, which `cargo xtask test` installs.
    pub(crate) fn start() -> Oracle {
        let folder =
            option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let program = folder.join(format!(
            "lzo-oracle-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/lzo_oracle.c");
        let built = Command::new("gcc")
            .args(["-O2", "-o"])
            .arg(&program)
            .args([source, "-llzo2"])
            .status()
            .expect("gcc can be run");
        assert!(
            built.success(),
            "the oracle needs Debian's liblzo2-dev (cargo xtask test installs it)"
        );
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle starts");
        std::fs::remove_file(&program).expect("the program can go once it runs");
        let answers = child.stdout.take().expect("stdout is a pipe");
        Oracle {
            questions: child.stdin.take(),
            answers,
            child,
        }
    }

    fn ask(&mut self, letter: u8, size: u32, bytes: &[u8]) -> (i32, Vec<u8>) {
        let mut question = vec![letter];
        question.extend_from_slice(&size.to_le_bytes());
        question.extend_from_slice(
            &u32::try_from(bytes.len())
                .expect("test data is small")
                .to_le_bytes(),
        );
        question.extend_from_slice(bytes);
        self.questions
            .as_mut()
            .expect("open until the end")
            .write_all(&question)
            .expect("it listens");
        let mut word = [0; 4];
        self.answers.read_exact(&mut word).expect("it answers");
        let result = i32::from_le_bytes(word);
        self.answers.read_exact(&mut word).expect("it answers");
        let mut answer = vec![0; u32::from_le_bytes(word) as usize];
        self.answers.read_exact(&mut answer).expect("it answers");
        (result, answer)
    }

    pub(crate) fn compress(&mut self, content: &[u8]) -> Vec<u8> {
        let (result, block) = self.ask(b'c', 0, content);
        assert_eq!(result, 0);
        block
    }

    /// The content, or liblzo2's error.
    pub(crate) fn decompress(&mut self, block: &[u8], max: usize) -> Result<Vec<u8>, i32> {
        match self.ask(b'd', u32::try_from(max).expect("test data is small"), block) {
            (0, content) => Ok(content),
            (error, _) => Err(error),
        }
    }

    /// Seconds that one compression of `content` takes, and one decompression of `block`, best of `times`.
    pub(crate) fn seconds(&mut self, content: &[u8], block: &[u8], times: u32) -> (f64, f64) {
        let [encode, decode] = [(b'C', content), (b'D', block)].map(|(letter, bytes)| {
            let (result, answer) = self.ask(letter, times, bytes);
            assert_eq!(result, 0);
            f64::from_le_bytes(answer.try_into().expect("a double"))
        });
        (encode, decode)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.questions.take());
        let ended = self.child.wait().expect("the oracle can be waited for");
        assert!(ended.success() || std::thread::panicking());
    }
}
