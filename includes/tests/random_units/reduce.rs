//! Makes a unit that differs small: takes away words and lines as long as it differs.

use super::command::Command;
use std::fs;
use std::path::Path;

/// Takes away from the command's words and from the lines of `files` what `differs` does without.
pub(crate) fn reduce<'f>(
    command: &mut Command,
    files: impl Iterator<Item = &'f Path> + Clone,
    mut differs: impl FnMut(&Command) -> bool,
) {
    let mut at = 1;
    while at < command.words.len() {
        let kept = command.words.clone();
        let len = 1 + usize::from(
            command
                .words
                .get(at + 1)
                .is_some_and(|word| !word.to_string_lossy().starts_with('-')),
        );
        command.words.drain(at..at + len);
        if !differs(command) {
            command.words = kept;
            at += 1;
        }
    }
    // What a file does without may depend on what another holds.
    for path in files.clone().chain(files) {
        let Ok(text) = fs::read(path) else { continue };
        let mut lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        let mut len = lines.len();
        while len > 0 {
            let mut at = 0;
            while at < lines.len() {
                let rest = [&lines[..at], &lines[(at + len).min(lines.len())..]].concat();
                fs::write(path, rest.concat()).expect("it can be written");
                if differs(command) {
                    lines = rest;
                } else {
                    at += len;
                }
            }
            len /= 2;
        }
        fs::write(path, lines.concat()).expect("it can be written");
    }
}
