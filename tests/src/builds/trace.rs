//! The compile commands that a build ran, from the kernel.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The same command, with every program that it starts written to `log`.
pub(super) fn under_strace(command: &Command, log: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace
        // A filter in the kernel stops the build at these calls only; -z leaves out those that failed.
        .args(["-f", "-qq", "-z", "--seccomp-bpf", "-e", "trace=execve"])
        .args(["-e", "signal=none", "-s", "1000000", "-o"])
        .arg(log)
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        strace.env(name, value.unwrap_or_default());
    }
    if let Some(folder) = command.get_current_dir() {
        strace.current_dir(folder);
    }
    strace
}

/// The words of each compiler that was started, by the log.
pub(super) fn compile_commands(log: &PathBuf) -> Vec<Vec<String>> {
    let text = fs::read(log).expect("strace wrote its log");
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter_map(|line| {
        let (_, call) = line.split_once("execve(")?;
        let words = strings(call);
        let (path, words) = words.split_first()?;
        is_compiler(path).then(|| words.to_vec())
    });
    lines.filter(|words| !words.is_empty()).collect()
}

/// Is it a driver of gcc's or clang's?
fn is_compiler(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_version = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let name = match name.rsplit_once('-') {
        Some((name, version)) if is_version(version) => name,
        _ => name,
    };
    let name = name.rsplit("linux-gnu-").next().unwrap_or(name);
    ["cc", "c++", "gcc", "g++", "clang", "clang++"].contains(&name)
}

/// The strings of a call, in order, up to the end of the list of words.
fn strings(call: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = call.chars();
    loop {
        match rest.next() {
            Some('"') => found.push(string(&mut rest)),
            Some(']') | None => return found,
            Some(_) => {}
        }
    }
}

/// A string as C spells it, up to its closing quote.
fn string(rest: &mut std::str::Chars<'_>) -> String {
    let mut bytes = Vec::new();
    let mut push =
        |letter: char| bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    while let Some(letter) = rest.next() {
        match letter {
            '"' => break,
            '\\' => match rest.next() {
                Some('n') => push('\n'),
                Some('t') => push('\t'),
                Some('r') => push('\r'),
                Some('v') => push('\x0b'),
                Some('f') => push('\x0c'),
                Some(other) => push(other),
                None => break,
            },
            other => push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_told_from_their_parts() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let lines = "7 execve(\"/usr/bin/cc\", [\"cc\", \"-DA=\\\"b c\\\"\", \"-c\", \"x.c\"], 0x1 /* 3 vars */) = 0\n\
                     8 execve(\"/usr/lib/gcc/cc1\", [\"cc1\", \"x.c\"], 0x1 /* 3 vars */) = 0\n\
                     9 execve(\"/usr/bin/x86_64-linux-gnu-g++-12\", [\"g++\", \"y]\"], 0x1 /* 3 vars */) = 0\n";
        fs::write(log.path(), lines).unwrap();
        let commands = compile_commands(&log.path().to_owned());
        assert_eq!(
            commands,
            [vec!["cc", "-DA=\"b c\"", "-c", "x.c"], vec!["g++", "y]"]]
        );
    }
}
