//! Files that the assembler reads, by names in strings; and macros whose use in text would matter.

use super::machine::Machine;
use crate::closure::{Refusal, Role};
use crate::lex::{Remarks, Source};
use crate::names::Name;
use std::sync::Arc;

const INCBIN: &[u8] = b".incbin";
const INCLUDE: &[u8] = b".include";

/// What stands behind `.incbin` or `.include`.
#[derive(Debug, PartialEq, Eq)]
enum Named<'a> {
    File(&'a [u8]),
    /// The name is put together from other strings or macros.
    PutTogether,
    /// Not a directive of the assembler's after all.
    Nothing,
}

impl Machine<'_> {
    /// Lists the file that `.incbin` or `.include` at `at` names.
    pub(super) fn data(&mut self, source: &Arc<Source>, at: usize) -> Result<(), Refusal> {
        let text = &source.text[at..];
        let includes = text.starts_with(INCLUDE);
        let rest = &text[if includes {
            INCLUDE.len()
        } else {
            INCBIN.len()
        }..];
        match named(rest) {
            Named::File(name) => self.take_data(name, includes, 0),
            Named::Nothing => Ok(()),
            Named::PutTogether => Err(self.data_by_name()),
        }
    }

    /// Lists the files that text for the assembler names.
    pub(super) fn assembler_text(&mut self, text: &[u8]) -> Result<(), Refusal> {
        for (word, includes) in [(INCBIN, false), (INCLUDE, true)] {
            for at in memchr::memmem::find_iter(text, word) {
                match named(&text[at + word.len()..]) {
                    Named::File(name) => self.take_data(name, includes, 0)?,
                    Named::Nothing => {}
                    Named::PutTogether => return Err(self.data_by_name()),
                }
            }
        }
        Ok(())
    }

    fn data_by_name(&self) -> Refusal {
        Refusal::DataByName {
            path: self.unit_path(),
            what: ".incbin",
        }
    }

    fn take_data(&mut self, name: &[u8], includes: bool, depth: u32) -> Result<(), Refusal> {
        let Some(opened) = self.open_data(name) else {
            return Ok(());
        };
        self.list(opened, Role::Data)?;
        let Some(file) = self
            .place
            .get(opened)
            .file
            .filter(|_| includes && depth < 20)
        else {
            return Ok(());
        };
        let Ok(bytes) = self.tree.content(file, false).cloned() else {
            return Ok(());
        };
        for (word, includes) in [(INCBIN, false), (INCLUDE, true)] {
            for at in memchr::memmem::find_iter(&bytes, word) {
                if let Named::File(name) = named(&bytes[at + word.len()..]) {
                    self.take_data(name, includes, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// Asks of every macro whose body matters in text whether some text may use it.
    pub(super) fn weigh_tainted(&mut self) -> Result<(), Refusal> {
        let mut tainted = std::mem::take(&mut self.tainted);
        tainted.sort_unstable_by_key(|&(name, _)| name);
        tainted.dedup_by_key(|&mut (name, _)| name);
        for (name, id) in tainted {
            let remarks = self.library.definition(id).remarks;
            let mut matters = Remarks(Remarks::NOW.0 | Remarks::STAMP.0);
            if !self.start.text {
                matters.add(Remarks::DATA);
                matters.add(Remarks::PRAGMA);
            }
            if !remarks.has(matters) || !self.is_used(name) {
                continue;
            }
            if remarks.has(Remarks::PRAGMA) && !self.start.text {
                self.outcome.wants_text |= self.library.holds_macro_pragma(id);
            }
            if remarks.has(Remarks::DATA) && !self.start.text {
                return Err(self.data_by_name());
            }
            self.outcome.dates.now |= remarks.has(Remarks::NOW);
            self.outcome.dates.file |= remarks.has(Remarks::STAMP);
        }
        Ok(())
    }

    /// Does any file of the closure name this macro other than to define it or to ask whether it is?
    fn is_used(&mut self, name: Name) -> bool {
        let word = self.library.names.get(name).to_vec();
        let files = std::mem::take(&mut self.outcome.files);
        let used = files.iter().any(|&(opened, _)| {
            let Some(file) = self.place.get(opened).file else {
                return false;
            };
            self.tree
                .content(file, false)
                .is_ok_and(|bytes| uses(bytes, &word))
        });
        self.outcome.files = files;
        used
    }
}

fn uses(bytes: &[u8], word: &[u8]) -> bool {
    let part_of_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    memchr::memmem::find_iter(bytes, word).any(|at| {
        let before = &bytes[..at];
        let alone = !before.last().is_some_and(part_of_word)
            && !bytes.get(at + word.len()).is_some_and(part_of_word);
        let start = before.trim_ascii_end();
        let about = [
            &b"define"[..],
            b"undef",
            b"ifdef",
            b"ifndef",
            b"defined",
            b"defined(",
        ];
        alone && !about.iter().any(|directive| start.ends_with(directive))
    })
}

/// The name behind `.incbin`: in quotes, which are escaped when the whole stands in a string.
fn named(rest: &[u8]) -> Named<'_> {
    let rest = rest.trim_ascii_start();
    let (quoted, close): (&[u8], &[u8]) = match rest {
        [b'\\', b'"', inner @ ..] => (inner, b"\\\""),
        [b'"', inner @ ..] => {
            // A string that ends here goes on with something else; a raw string or assembler text has the name here.
            let Some(end) = memchr::memchr2(b'"', b'\n', inner) else {
                return Named::Nothing;
            };
            let name = &inner[..end];
            let ends_string = inner.get(end) != Some(&b'"')
                || name.is_empty()
                || name[0].is_ascii_whitespace()
                || name.contains(&b'\\');
            return if ends_string {
                Named::PutTogether
            } else {
                Named::File(name)
            };
        }
        [first, ..] if first.is_ascii_alphanumeric() || matches!(first, b'%' | b'_') => {
            return Named::PutTogether;
        }
        _ => return Named::Nothing,
    };
    match memchr::memmem::find(quoted, close) {
        Some(end) if !quoted[..end].contains(&b'"') && !quoted[..end].contains(&b'\n') => {
            Named::File(&quoted[..end])
        }
        _ => Named::PutTogether,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_the_assembler_are_read() {
        assert_eq!(named(b" \\\"b.bin\\\"\\n\""), Named::File(b"b.bin"));
        assert_eq!(named(b" \"a.inc\"\n"), Named::File(b"a.inc"));
        assert_eq!(named(b" \\\"\" FILE \"\\\"\""), Named::PutTogether);
        assert_eq!(named(b" \" FILE \"\\n\""), Named::PutTogether);
        assert_eq!(named(b" %0\""), Named::PutTogether);
        assert_eq!(named(b", x"), Named::Nothing);
    }

    #[test]
    fn a_use_is_no_definition() {
        assert!(uses(b"#define A 1\nint x = A;", b"A"));
        assert!(!uses(b"#define A 1\n#ifdef A\n#undef A\nAB", b"A"));
    }
}
