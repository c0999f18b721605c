//! "For the processor of this machine" in words that mean the same on another one.
//!
//! gcc's driver turns `-march=native` into options for its own compiler proper, which it prints when asked (`-###`). Given as they stand
//! they make the same code anywhere. Debug information names them in another order, so that such jobs stay here; and so do commands that
//! add or take away single features, since the order in which those count cannot be seen.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Words that mean "this machine". `-mcpu=native` is not among them: on x86 gcc warns of it.
const NATIVE: [&[u8]; 2] = [b"-march=native", b"-mtune=native"];

/// The words of `args` to ask the driver about; `None` when there are none, or others that shape the instruction set.
pub fn question(args: &[OsString]) -> Option<Vec<OsString>> {
    let mut native = Vec::new();
    for arg in args {
        let bytes = arg.as_bytes();
        if NATIVE.contains(&bytes) {
            native.push(arg.clone());
        } else if bytes.starts_with(b"-m") && bytes != b"-m64" || bytes.starts_with(b"--param") {
            return None;
        }
    }
    (!native.is_empty()).then_some(native)
}

/// The options that the driver would give its compiler proper, out of what `-###` printed; `None` when it does not read like that.
pub fn answer(printed: &[u8]) -> Option<Vec<OsString>> {
    let line = printed
        .split(|byte| *byte == b'\n')
        .find(|line| line.windows(4).any(|part| part == b"/cc1"))?;
    let mut words = split(line).into_iter().skip(1);
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if word == b"--param" {
            let value = words.next()?;
            found.push(OsString::from_vec([b"--param=", &value[..]].concat()));
        } else if word.starts_with(b"-m") {
            if NATIVE.contains(&&word[..]) {
                return None;
            }
            found.push(OsString::from_vec(word));
        }
    }
    (!found.is_empty()).then_some(found)
}

/// `args` with `answer` in the place of the first of its native words, and without the others.
pub fn replace(args: &[OsString], answer: &[OsString]) -> Vec<OsString> {
    let mut out = Vec::with_capacity(args.len() + answer.len());
    let mut answer = Some(answer);
    for arg in args {
        if NATIVE.contains(&OsStr::as_bytes(arg)) {
            out.extend_from_slice(answer.take().unwrap_or_default());
        } else {
            out.push(arg.clone());
        }
    }
    out
}

/// The words of a line that `-###` printed: blanks between, some in double quotes.
fn split(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut quoted = false;
    let mut inside = false;
    let mut bytes = line.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                if !inside {
                    words.push(Vec::new());
                    inside = true;
                }
                continue;
            }
            b' ' if !quoted => {
                inside = false;
                continue;
            }
            _ => {}
        }
        let byte = match byte {
            b'\\' => bytes.next().copied().unwrap_or(b'\\'),
            byte => byte,
        };
        if !inside {
            words.push(Vec::new());
            inside = true;
        }
        if let Some(word) = words.last_mut() {
            word.push(byte);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn only_commands_whose_order_is_known_are_asked_about() {
        assert_eq!(
            question(&words("-O2 -march=native -c a.c")),
            Some(words("-march=native"))
        );
        assert_eq!(
            question(&words("-mtune=native -m64 -march=native")),
            Some(words("-mtune=native -march=native"))
        );
        for other in [
            "-O2 -c a.c",
            "-march=native -mno-avx",
            "-march=native -mtune=generic",
            "-march=native --param=x=1",
            "-mcpu=native",
        ] {
            assert_eq!(question(&words(other)), None, "{other}");
        }
    }

    #[test]
    fn what_the_driver_prints_is_read() {
        let printed = b"COLLECT_GCC=gcc\n /usr/lib/gcc/x/12/cc1 -E -quiet /dev/null \"-march=znver3\" -mmmx --param \"l1-cache-size=32\" \"-mtune=znver3\" -dumpbase null\nX\n";
        assert_eq!(
            answer(printed),
            Some(words(
                "-march=znver3 -mmmx --param=l1-cache-size=32 -mtune=znver3"
            ))
        );
        for other in [
            &b""[..],
            b"/cc1",
            b"/cc1 -E",
            b" /cc1 --param",
            b" /cc1 -march=native",
            b" /cc1 \"\\",
        ] {
            assert_eq!(answer(other), None, "{}", other.escape_ascii());
        }
        assert_eq!(
            replace(
                &words("-O2 -march=native -mtune=native -c"),
                &words("-mx -my")
            ),
            words("-O2 -mx -my -c")
        );
    }

    #[test]
    fn code_is_the_same_as_for_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let source = "int f(int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i] * i; return s; }\n";
        std::fs::write(folder.path().join("a.c"), source).unwrap();
        for native in [
            "-march=native",
            "-mtune=native",
            "-march=native -mtune=native",
        ] {
            let args = words(&format!("-O3 {native} -c a.c -o"));
            let mut ask = Command::new("gcc");
            ask.args(question(&args).unwrap())
                .args(["-###", "-E", "-x", "c", "/dev/null"]);
            let said = ask.output().unwrap().stderr;
            let expanded = replace(&args, &answer(&said).expect("gcc answers"));
            let object = |args: &[OsString], name: &str| {
                let status = Command::new("gcc")
                    .args(args)
                    .arg(name)
                    .current_dir(folder.path())
                    .status();
                assert!(status.unwrap().success());
                std::fs::read(folder.path().join(name)).unwrap()
            };
            assert_eq!(
                object(&args, "here.o"),
                object(&expanded, "there.o"),
                "{native}"
            );
        }
    }
}
