//! Did the preprocessor pass over a line of a file, because a condition around it did not hold?
//!
//! Of a group of lines between conditions that held, the preprocessor that keeps directives prints every line as it stands. So a group of which
//! one line is not in the text was passed over. Lines that could be printed in another form are not asked for.

use memchr::memmem;

/// One line of a file, and the conditional groups that it stands in, innermost last.
struct Line<'f> {
    at: usize,
    bytes: &'f [u8],
    groups: Vec<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// In the text as it stands, if its groups were taken.
    Code,
    /// `#define` of one line.
    Define,
    Other,
}

/// Was the line of `file` that holds the byte `at` surely passed over when `text` was made?
pub(super) fn is_passed_over(file: &[u8], at: usize, text: &[u8]) -> bool {
    // A raw string may hold what looks like conditions.
    if memmem::find(file, b"R\"").is_some() {
        return false;
    }
    let lines = read(file);
    let Some(asked) = lines.iter().rev().find(|line| line.at <= at) else {
        return false;
    };
    let mut witnesses: Vec<&Line<'_>> = lines
        .iter()
        .filter(|line| line.kind != Kind::Other)
        .filter(|line| asked.groups.starts_with(&line.groups) && !line.groups.is_empty())
        .collect();
    witnesses.sort_by_key(|line| line.at.abs_diff(at));
    witnesses.truncate(WITNESSES);
    witnesses.iter().any(|line| match line.kind {
        Kind::Code => !has_line(text, line.bytes),
        Kind::Define => !has_define(text, line.bytes),
        Kind::Other => false,
    })
}

/// How many lines are looked for in the text, nearest first.
const WITNESSES: usize = 100;

/// The lines with their groups. Each condition opens a group, each `#else` and `#elif` a new one in its place.
fn read(file: &[u8]) -> Vec<Line<'_>> {
    let (mut lines, mut groups, mut next_group) = (Vec::new(), Vec::new(), 0);
    let (mut at, mut in_comment, mut joined) = (0, false, false);
    for bytes in file.split_inclusive(|&b| b == b'\n') {
        let was_comment = in_comment;
        let plain = !in_comment && !joined && is_plain(bytes);
        in_comment = comment_after(bytes, in_comment);
        let directive = (!was_comment && !joined)
            .then(|| directive(bytes))
            .flatten();
        let kind = match directive {
            Some(b"if" | b"ifdef" | b"ifndef") => {
                next_group += 1;
                groups.push(next_group);
                Kind::Other
            }
            Some(b"else" | b"elif" | b"elifdef" | b"elifndef") => {
                next_group += 1;
                groups.pop();
                groups.push(next_group);
                Kind::Other
            }
            Some(b"endif") => {
                groups.pop();
                Kind::Other
            }
            Some(b"define") if plain && !in_comment => Kind::Define,
            None if plain && !in_comment && !bytes.trim_ascii().is_empty() => Kind::Code,
            _ => Kind::Other,
        };
        lines.push(Line {
            at,
            bytes,
            groups: groups.clone(),
            kind,
        });
        joined = bytes.trim_ascii_end().ends_with(b"\\");
        at += bytes.len();
    }
    lines
}

/// Neither joined to the next line nor in need of a translation, and without the start of a comment or string that may span lines.
fn is_plain(line: &[u8]) -> bool {
    line.ends_with(b"\n")
        && line
            .iter()
            .all(|b| matches!(b, b'\t' | b'\n' | b' '..=b'~') && !b"\\/?%\"'`@$".contains(b))
}

/// The name of the directive on a line.
fn directive(line: &[u8]) -> Option<&[u8]> {
    let rest = line.trim_ascii_start();
    let rest = rest
        .strip_prefix(b"#")
        .or_else(|| rest.strip_prefix(b"%:"))?;
    let rest = rest.trim_ascii_start();
    let end = rest.iter().position(|b| !b.is_ascii_alphabetic());
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// Is a comment open at the end of a line, when one was `open` before it?
fn comment_after(line: &[u8], open: bool) -> bool {
    let mut at = 0;
    if open {
        match memmem::find(line, b"*/") {
            Some(end) => at = end + 2,
            None => return true,
        }
    }
    while let Some(&byte) = line.get(at) {
        match (byte, line.get(at + 1)) {
            (b'/', Some(b'/')) => return false,
            (b'/', Some(b'*')) => return comment_after(&line[at + 2..], true),
            // Not the mark between digits.
            (b'\'', _) if at > 0 && line[at - 1].is_ascii_alphanumeric() => at += 1,
            (b'"' | b'\'', _) => at = after_quoted(line, at),
            _ => at += 1,
        }
    }
    false
}

fn after_quoted(line: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while let Some(&byte) = line.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if byte == line[quote] => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// `line` ends with a newline.
fn has_line(text: &[u8], line: &[u8]) -> bool {
    memmem::find_iter(text, line).any(|at| at == 0 || text[at - 1] == b'\n')
}

/// Is there a definition of the same letters, blanks not counted?
fn has_define(text: &[u8], line: &[u8]) -> bool {
    let is_letter = |b: &&u8| !b.is_ascii_whitespace();
    memmem::find_iter(text, b"#define ").any(|at| {
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end);
        let printed = text[at..end].iter().filter(is_letter);
        printed.eq(line.iter().filter(is_letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "#ifdef A\n# define B( x ) x + 1\n#pragma message a\n#else\n#  pragma message b\nint code;\n# if X\n#pragma message c\n#endif\n#endif\n#pragma message d\nint more;\n";

    fn passed_over(text: &str) -> Vec<char> {
        let asked = ['a', 'b', 'c', 'd'].into_iter();
        asked
            .filter(|name| {
                let at = FILE.find(&format!("message {name}")).expect("it is there");
                is_passed_over(FILE.as_bytes(), at, text.as_bytes())
            })
            .collect()
    }

    #[test]
    fn groups_without_their_lines_were_passed_over() {
        assert_eq!(passed_over("#define B(x) x + 1\nint more;\n"), ['b', 'c']);
        assert_eq!(passed_over("int code;\nint more;\n"), ['a']);
        assert_eq!(
            passed_over("xint code;\n#define B(x) x + 2\n"),
            ['a', 'b', 'c']
        );
    }

    #[test]
    fn comments_hide_conditions_and_strings_hide_comments() {
        let taken = "/*\n#if 0\n*/\nchar *s = \"/*\";\n#if 1\n#pragma message x\nint a;\n#endif\n";
        let at = taken.find("message").expect("it is there");
        assert!(!is_passed_over(taken.as_bytes(), at, b"int a;\n"));
        assert!(is_passed_over(taken.as_bytes(), at, b"int b;\n"));
    }

    #[test]
    fn lines_without_witnesses_count_as_taken() {
        let file = b"#if 0\n#pragma message \"x\"\n# define Y \"z\"\n#endif\n";
        assert!(!is_passed_over(file, 10, b""));
        assert!(!is_passed_over(b"", 0, b""));
        assert!(!is_passed_over(b"#endif\n#else\nint x;\n", 99, b"int x;\n"));
        assert!(!is_passed_over(b"#if 1\nint x; R\"(\n", 7, b""));
    }
}
