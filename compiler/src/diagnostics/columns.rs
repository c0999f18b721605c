//! gcc counts columns as a terminal shows them, with tabs of eight; without the source it counts bytes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Turns columns counted in bytes into those that gcc prints where it sees the source.
pub(super) struct Recount<'r> {
    /// Were all columns counted in bytes? Else only those of files that the compiler there surely could not see.
    bytes: bool,
    read: &'r mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
    /// The file that was read last, and its name.
    file: (Vec<u8>, Option<Vec<u8>>),
}

/// What follows the place in a line that begins a message.
const KINDS: &[&[u8]] = &[b"warning: ", b"error: ", b"note: "];

impl<'r> Recount<'r> {
    pub(super) fn new(
        bytes: bool,
        read: &'r mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
    ) -> Recount<'r> {
        Recount {
            bytes,
            read,
            file: (Vec::new(), None),
        }
    }

    /// A line of messages with its column as here; `None` when that is not certain.
    pub(super) fn line(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let Some(place) = Place::of(line) else {
            return Some(line.to_vec());
        };
        let (name, number, column) = (place.file, place.line, place.column);
        if name.starts_with(b"<") {
            return Some(line.to_vec());
        }
        let source = self.source_line(name, number)?;
        // A macro's definition travels on one line and with blanks of its own.
        let first = source.trim_ascii_start().first();
        if column > source.len() + 1 || matches!(first, Some(b'#' | b'%' | b'?' | b'/')) {
            return None;
        }
        let shown = shown_column(source, column)?;
        if shown == column {
            return Some(line.to_vec());
        }
        // Places of other kinds are counted in other ways.
        let begins_message = KINDS.iter().any(|kind| place.rest.starts_with(kind));
        let unseen = self.bytes
            || !name.starts_with(b"/") && !name.split(|&b| b == b'/').any(|part| part == b"..");
        if !begins_message || !unseen {
            return None;
        }
        let mut out = place.before.to_vec();
        out.extend_from_slice(shown.to_string().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(place.rest);
        Some(out)
    }

    fn source_line(&mut self, name: &[u8], number: usize) -> Option<&[u8]> {
        if self.file.0 != name || self.file.1.is_none() {
            self.file = (name.to_vec(), (self.read)(OsStr::from_bytes(name)));
        }
        let mut lines = self.file.1.as_ref()?.split(|&b| b == b'\n');
        lines.nth(number.checked_sub(1)?)
    }
}

/// `FILE:LINE:COLUMN: ` at the start of a line.
struct Place<'l> {
    file: &'l [u8],
    line: usize,
    column: usize,
    /// Up to the column.
    before: &'l [u8],
    rest: &'l [u8],
}

impl<'l> Place<'l> {
    fn of(line: &'l [u8]) -> Option<Place<'l>> {
        memchr::memchr_iter(b':', line).find_map(|colon| {
            let (number, after) = number(&line[colon + 1..])?;
            let (column, rest) = self::number(after.strip_prefix(b":")?)?;
            let rest = rest.strip_prefix(b": ")?;
            let digits = line.len() - rest.len() - 2;
            let start = line[..digits].iter().rposition(|&b| b == b':')? + 1;
            Some(Place {
                file: &line[..colon],
                line: number,
                column,
                before: &line[..start],
                rest,
            })
        })
    }
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.iter().position(|b| !b.is_ascii_digit())?;
    let digits = str::from_utf8(&bytes[..end]).ok()?;
    Some((digits.parse().ok()?, &bytes[end..]))
}

/// The column, from 1, at which a terminal shows the byte of column `column`; `None` for characters whose width is not known here.
fn shown_column(line: &[u8], column: usize) -> Option<usize> {
    const TAB: usize = 8;
    let seen = &line[..column.min(line.len())];
    let mut shown = 0;
    let mut at = 0;
    while let Some(&byte) = seen.get(at) {
        (shown, at) = match byte {
            b'\t' => (shown / TAB * TAB + TAB, at + 1),
            b' '..=b'~' | b'\r' => (shown + 1, at + 1),
            // U+00A1 to U+02FF but for the soft hyphen, of which the first byte alone counts as one, too.
            0xc2..=0xcb if seen.get(at + 1).is_none_or(|&next| next & 0xc0 == 0x80) => {
                match seen.get(at + 1) {
                    Some(0x80..=0xa0 | 0xad) if byte == 0xc2 => return None,
                    Some(_) => (shown + 1, at + 2),
                    None => (shown + 1, at + 1),
                }
            }
            _ => return None,
        };
    }
    Some(shown + column.saturating_sub(line.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_and_letters_are_counted_as_shown() {
        assert_eq!(shown_column(b"\tint b;", 6), Some(13));
        assert_eq!(shown_column(b"int\tb;", 5), Some(9));
        assert_eq!(shown_column("é = 1;".as_bytes(), 1), Some(1));
        assert_eq!(shown_column("é = 1;".as_bytes(), 4), Some(3));
        assert_eq!(shown_column("字 = 1;".as_bytes(), 6), None);
        assert_eq!(shown_column(b"\xff", 1), None);
        assert_eq!(shown_column(b"ab", 4), Some(4));
        assert_eq!(shown_column(b"", 0), Some(0));
    }

    fn recounted(bytes: bool, line: &str) -> Option<String> {
        let mut read = |name: &OsStr| {
            let known = name == "a.c" || name == "/w/a.c" || name == "../a.c";
            known.then(|| b"int a;\n\tint b;\n #define X \\\n  Y\n".to_vec())
        };
        let line = Recount::new(bytes, &mut read).line(line.as_bytes())?;
        Some(String::from_utf8(line).expect("tests use UTF-8"))
    }

    #[test]
    fn places_keep_all_but_their_column() {
        assert_eq!(
            recounted(false, "a.c:2:6: error: x: y\n").as_deref(),
            Some("a.c:2:13: error: x: y\n")
        );
        for line in [
            "a.c:1:6: error: x\n",
            "a.c: In function 'f':\n",
            "In file included from a.c:2:\n",
            "<command-line>:2:3: note: x\n",
            "a.c:1:6:   required from here\n",
            "\n",
            "",
        ] {
            assert_eq!(recounted(false, line).as_deref(), Some(line));
        }
    }

    #[test]
    fn columns_of_files_that_were_perhaps_seen_are_not_certain() {
        for name in ["/w/a.c", "../a.c"] {
            let line = format!("{name}:2:6: error: x\n");
            assert_eq!(recounted(false, &line), None);
            assert_eq!(
                recounted(true, &line),
                Some(format!("{name}:2:13: error: x\n"))
            );
        }
        assert_eq!(recounted(true, "a.c:9:1: error: x\n"), None);
        assert_eq!(recounted(true, "b.c:1:1: error: x\n"), None);
        assert_eq!(recounted(true, "a.c:1:9: error: x\n"), None);
        assert_eq!(recounted(true, "a.c:3:9: note: in definition\n"), None);
        assert_eq!(recounted(true, "a.c:2:6:   required from here\n"), None);
    }
}
