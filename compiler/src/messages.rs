//! What two runs of a compiler say together: the preprocessor here and the compiler there both remark on the options.

use crate::names;

/// The preprocessor's messages without the lines that the compiler there says again: remarks of the driver or of the compiler on the options
/// themselves, which name no source (`cc1plus: warning: command-line option …`). Everything else is kept as it is.
pub fn without_repeats<'a>(here: &'a [u8], there: &[u8]) -> Vec<&'a [u8]> {
    let repeated = |line: &[u8]| {
        on_options(line)
            && there
                .split_inclusive(|&b| b == b'\n')
                .any(|other| other == line)
    };
    here.split_inclusive(|&b| b == b'\n')
        .filter(|line| !repeated(line))
        .collect()
}

/// The messages of a compiler that was called as `from`, as one called as `to` says them: a driver begins its own with its name.
pub fn renamed(said: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (from, to) = (names::base(from), names::base(to));
    let line = |line: &[u8]| {
        let start = line.len() - behind_colours(line).len();
        match line[start..].strip_prefix(from) {
            Some(rest) if rest.starts_with(b":") => [&line[..start], to, rest].concat(),
            _ => line.to_vec(),
        }
    };
    said.split_inclusive(|&b| b == b'\n')
        .flat_map(line)
        .collect()
}

/// Does a line remark on the command and not on a source? Colours may stand before the program's name.
pub(crate) fn on_options(line: &[u8]) -> bool {
    const SPEAKERS: &[&[u8]] = &[
        b"cc1:",
        b"cc1plus:",
        b"cc1obj:",
        b"cc1objplus:",
        b"warning:",
    ];
    let rest = behind_colours(line);
    if SPEAKERS.iter().any(|speaker| rest.starts_with(speaker)) {
        return true;
    }
    // A driver begins with its own name.
    let speaker = rest.split(|&b| b == b':').next().unwrap_or_default();
    names::guess(speaker).is_some()
}

fn behind_colours(line: &[u8]) -> &[u8] {
    let mut rest = line;
    while let Some(colour) = rest.strip_prefix(b"\x1b[") {
        let end = colour
            .iter()
            .position(u8::is_ascii_alphabetic)
            .map_or(colour.len(), |letter| letter + 1);
        rest = &colour[end..];
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_on_options_are_said_once() {
        let here = b"cc1plus: warning: command-line option '-Wx'\na.c:1:2: warning: #warning y\n";
        let there = b"cc1plus: warning: command-line option '-Wx'\na.c:1:2: warning: #warning y\n";
        assert_eq!(
            without_repeats(here, there),
            [b"a.c:1:2: warning: #warning y\n"]
        );
        assert_eq!(without_repeats(here, b"").concat(), here);
    }

    #[test]
    fn a_driver_that_was_called_otherwise_gets_its_name() {
        let renamed = |said: &str| {
            let said = renamed(said.as_bytes(), b"x86_64-linux-gnu-gcc", b"/usr/bin/gcc");
            String::from_utf8(said).unwrap()
        };
        let other = "a.c:1:1: warning: x86_64-linux-gnu-gcc: no\nx86_64-linux-gnu-gcc-12: no\ncc1: warning: y";
        assert_eq!(renamed(other), other);
        assert_eq!(
            renamed(
                "x86_64-linux-gnu-gcc: warning: x\na.c: y\n\x1b[01m\x1b[Kx86_64-linux-gnu-gcc:\x1b[m z\n"
            ),
            "gcc: warning: x\na.c: y\n\x1b[01m\x1b[Kgcc:\x1b[m z\n"
        );
    }

    #[test]
    fn a_driver_speaks_by_its_name() {
        let line = b"clang-14: warning: optimization flag '-fgcse' is not supported\n";
        assert!(without_repeats(line, line).is_empty());
        let line = b"gcc.c: In function 'f':\n";
        assert_eq!(without_repeats(line, line), [line]);
    }

    #[test]
    fn colours_do_not_hide_them() {
        let line = b"\x1b[01m\x1b[Kcc1plus:\x1b[m\x1b[K \x1b[01;35m\x1b[Kwarning: \x1b[m\x1b[Kcommand-line option\n";
        assert!(without_repeats(line, line).is_empty());
        assert_eq!(without_repeats(b"\x1b[", b"\x1b["), [b"\x1b["]);
    }
}
