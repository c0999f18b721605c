//! Whose quotes and whose language gcc's messages have.

/// Where gcc's messages are printed, as far as it changes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// `C` or `POSIX`: quotes are ASCII.
    Ascii,
    /// `C.UTF-8`: quotes are U+2018 and U+2019.
    Utf8,
    /// Any other locale: it may translate messages, or not be there.
    Other,
}

impl Charset {
    /// By the values of `LC_ALL`, `LC_CTYPE`, `LC_MESSAGES`, `LANG` and `LANGUAGE`, which counts in every locale but `C`.
    pub fn of(get: impl Fn(&str) -> Option<Vec<u8>>) -> Charset {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let chosen = |name: &str| {
            let value = set("LC_ALL").or_else(|| set(name)).or_else(|| set("LANG"));
            match value.as_deref() {
                None | Some(b"C" | b"POSIX") => Charset::Ascii,
                Some(b"C.UTF-8" | b"C.utf8") => Charset::Utf8,
                Some(_) => Charset::Other,
            }
        };
        match (chosen("LC_CTYPE"), chosen("LC_MESSAGES")) {
            (_, Charset::Other) => Charset::Other,
            (_, Charset::Utf8) if set("LANGUAGE").is_some() => Charset::Other,
            (charset, _) => charset,
        }
    }

    /// gcc's text as it is spelled here, from a text in the spelling of `C.UTF-8` or in that of here; `None` where that is not certain.
    pub(super) fn spelled(self, text: &[u8]) -> Option<Vec<u8>> {
        const OPEN: &str = "\u{2018}";
        let quoted = memchr::memmem::find(text, OPEN.as_bytes()).is_some();
        match self {
            Charset::Other => None,
            // Without quotes of its own a text with apostrophes may be one of another locale.
            Charset::Utf8 => (quoted || !text.contains(&b'\'')).then(|| text.to_vec()),
            Charset::Ascii if text.is_ascii() => Some(text.to_vec()),
            Charset::Ascii => {
                // These quote what the source says, letter by letter.
                const QUOTERS: &[&[u8]] = &[
                    b"assertion failed",
                    b" deprecated: ",
                    b" unavailable: ",
                    b"with attribute ",
                ];
                let quotes = |part: &&[u8]| memchr::memmem::find(text, part).is_some();
                if QUOTERS.iter().any(quotes) {
                    return None;
                }
                let text = str::from_utf8(text).ok()?;
                let text = text.replace(
                    [OPEN, "\u{2019}"].map(|quote| quote.chars().next().unwrap_or('\'')),
                    "'",
                );
                text.is_ascii().then(|| text.into_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_is_that_of_messages_and_their_charset() {
        let of = |variables: &[(&str, &str)]| {
            Charset::of(|name| {
                let found = variables.iter().find(|(set, _)| *set == name);
                found.map(|(_, value)| value.as_bytes().to_vec())
            })
        };
        assert_eq!(of(&[]), Charset::Ascii);
        assert_eq!(of(&[("LANGUAGE", "de")]), Charset::Ascii);
        assert_eq!(
            of(&[("LANG", "C.UTF-8"), ("LANGUAGE", "de")]),
            Charset::Other
        );
        assert_eq!(
            of(&[
                ("LC_MESSAGES", "C"),
                ("LANG", "C.UTF-8"),
                ("LANGUAGE", "de")
            ]),
            Charset::Utf8
        );
        assert_eq!(
            of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]),
            Charset::Ascii
        );
        assert_eq!(of(&[("LC_ALL", ""), ("LANG", "C.UTF-8")]), Charset::Utf8);
        assert_eq!(of(&[("LC_CTYPE", "C.UTF-8")]), Charset::Utf8);
        assert_eq!(
            of(&[("LANG", "C.UTF-8"), ("LC_MESSAGES", "de_DE")]),
            Charset::Other
        );
        assert_eq!(of(&[("LANG", "en_US.UTF-8")]), Charset::Other);
    }

    #[test]
    fn quotes_are_spelled_as_here() {
        let there = "a.c:1:1: warning: unused ‘x’\n".as_bytes();
        let ascii = b"a.c:1:1: warning: unused 'x'\n";
        assert_eq!(Charset::Utf8.spelled(there).as_deref(), Some(there));
        assert_eq!(Charset::Ascii.spelled(there).as_deref(), Some(&ascii[..]));
        assert_eq!(Charset::Ascii.spelled(ascii).as_deref(), Some(&ascii[..]));
        assert_eq!(Charset::Utf8.spelled(ascii), None);
        assert_eq!(Charset::Other.spelled(there), None);
        assert_eq!(Charset::Ascii.spelled("unused ‘é’".as_bytes()), None);
        assert_eq!(
            Charset::Ascii.spelled("static assertion failed: ‘x’".as_bytes()),
            None
        );
        assert_eq!(Charset::Ascii.spelled(b"\xff"), None);
    }
}
