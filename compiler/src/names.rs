//! What a program's name says: which compiler, which driver, for which target.

use crate::Family;

/// What a base name says about the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess<'a> {
    /// `None` for `cc` and `c++`, which are gcc here and clang there: ask the compiler.
    pub family: Option<Family>,
    /// Called as a C++ compiler (`g++`, `c++`, `clang++`)?
    pub cxx: bool,
    /// `x86_64-linux-gnu` of `x86_64-linux-gnu-gcc-12`.
    pub triple: Option<&'a [u8]>,
    /// `12` of `gcc-12`.
    pub version: Option<&'a [u8]>,
}

/// What the base name of a program says; `None` when it is no compiler driver that we know.
pub fn guess(base: &[u8]) -> Option<Guess<'_>> {
    let (rest, version) = match base.iter().rposition(|&b| b == b'-') {
        Some(dash) if is_version(&base[dash + 1..]) => (&base[..dash], Some(&base[dash + 1..])),
        _ => (base, None),
    };
    let (triple, driver) = match rest.iter().rposition(|&b| b == b'-') {
        Some(dash) if dash > 0 => (Some(&rest[..dash]), &rest[dash + 1..]),
        _ => (None, rest),
    };
    let (triple, (family, cxx)) = match (triple, driver_of(driver)) {
        (Some(b"c89" | b"c99"), Some((_, false))) => (None, (Some(Family::Gcc), false)),
        (triple, Some(said)) => (triple, said),
        (_, None) => return None,
    };
    Some(Guess {
        family,
        cxx,
        triple,
        version,
    })
}

fn is_version(word: &[u8]) -> bool {
    word.first().is_some_and(u8::is_ascii_digit)
        && word.iter().all(|b| b.is_ascii_digit() || *b == b'.')
}

fn driver_of(word: &[u8]) -> Option<(Option<Family>, bool)> {
    Some(match word {
        b"gcc" => (Some(Family::Gcc), false),
        b"g++" => (Some(Family::Gcc), true),
        b"clang" => (Some(Family::Clang), false),
        b"clang++" => (Some(Family::Clang), true),
        b"cc" | b"c89" | b"c99" => (None, false),
        b"c++" => (None, true),
        _ => return None,
    })
}

/// The part of a path after its last slash.
pub fn base(path: &[u8]) -> &[u8] {
    let start = path
        .iter()
        .rposition(|&b| b == b'/')
        .map_or(0, |slash| slash + 1);
    &path[start..]
}

/// Is a word, to look at it, a source that a compiler driver takes (so that the compiler's own name was left out)?
pub fn looks_like_source(word: &[u8]) -> bool {
    !word.starts_with(b"-") && suffix(word).is_some_and(|suffix| SOURCES.contains(&suffix))
}

/// Does the first word after the launcher's name leave the compiler's name out: an option, a source or an object?
pub fn is_implicit(word: &[u8]) -> bool {
    word.starts_with(b"-")
        || word.starts_with(b"@")
        || looks_like_source(word)
        || suffix(word) == Some(b"o")
}

/// What follows the last dot of a base name.
pub(crate) fn suffix(word: &[u8]) -> Option<&[u8]> {
    let base = base(word);
    base.iter()
        .rposition(|&b| b == b'.')
        .map(|dot| &base[dot + 1..])
}

/// Suffixes that gcc or clang take for a source to compile.
const SOURCES: &[&[u8]] = &[
    b"i", b"ii", b"c", b"cc", b"cpp", b"cxx", b"cp", b"c++", b"C", b"CPP", b"m", b"mm", b"M",
    b"mi", b"mii", b"s", b"S", b"sx",
];

#[cfg(test)]
mod tests {
    use super::*;

    type Said<'a> = (Option<Family>, bool, Option<&'a str>, Option<&'a str>);

    fn said(base: &str) -> Option<Said<'_>> {
        let text = |bytes| std::str::from_utf8(bytes).expect("tests use UTF-8");
        guess(base.as_bytes()).map(|g| (g.family, g.cxx, g.triple.map(text), g.version.map(text)))
    }

    #[test]
    fn names_of_compilers_are_read() {
        let (gcc, clang) = (Some(Family::Gcc), Some(Family::Clang));
        assert_eq!(said("gcc"), Some((gcc, false, None, None)));
        assert_eq!(said("g++-12"), Some((gcc, true, None, Some("12"))));
        assert_eq!(
            said("x86_64-linux-gnu-gcc"),
            Some((gcc, false, Some("x86_64-linux-gnu"), None))
        );
        assert_eq!(
            said("x86_64-linux-gnu-g++-12"),
            Some((gcc, true, Some("x86_64-linux-gnu"), Some("12")))
        );
        assert_eq!(said("gcc-4.8"), Some((gcc, false, None, Some("4.8"))));
        assert_eq!(said("clang++-16"), Some((clang, true, None, Some("16"))));
        assert_eq!(said("cc"), Some((None, false, None, None)));
        assert_eq!(said("c++"), Some((None, true, None, None)));
        assert_eq!(said("c99-gcc"), Some((gcc, false, None, None)));
        assert_eq!(said("c89"), Some((None, false, None, None)));
    }

    #[test]
    fn other_programs_are_not_compilers() {
        for name in [
            "",
            "-",
            "-gcc",
            "ld",
            "cpp",
            "gcc-ar",
            "clang-tidy",
            "clang-cl",
            "clang-format-16",
            "rustc",
            "gccgo",
            "distcc",
            "12",
        ] {
            assert_eq!(said(name), None, "{name}");
        }
    }

    #[test]
    fn commands_without_a_compiler_are_seen() {
        for word in [
            "-c",
            "--version",
            "a.c",
            "dir/b.cpp",
            "x.o",
            "@file.rsp",
            "-",
        ] {
            assert!(is_implicit(word.as_bytes()), "{word}");
        }
        for word in ["gcc", "/usr/bin/gcc-4.8", "ccache", "make"] {
            assert!(!is_implicit(word.as_bytes()), "{word}");
        }
    }
}
