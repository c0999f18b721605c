//! Did the preprocessor pass over a line of a file, because a condition around it did not hold?
//!
//! Of a group of lines between conditions that held, the preprocessor that keeps directives prints every line as it stands. So a group of which
//! one line is not in the text was passed over, and so was one whose `#else` is there. Lines that could be printed in another form are not
//! asked for.

use super::text::marker;
use memchr::memmem;
use std::borrow::Cow;

/// One line of a file, and the conditional groups that it stands in, innermost last.
struct Line<'f> {
    at: usize,
    bytes: &'f [u8],
    groups: Vec<Group>,
    kind: Kind,
}

/// Of the branches of a chain from `#if` to `#endif` at most one is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Group {
    chain: usize,
    branch: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// In the text as it stands, if its groups were taken.
    Code,
    /// `#define` of one line.
    Define,
    Other,
}

/// Was the line of `file` that holds the byte `at` surely passed over when `text` was made? Markers call the file `name`.
pub(super) fn is_passed_over(name: &[u8], file: &[u8], at: usize, text: &[u8]) -> bool {
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
    }) || has_other_branch(&lines, asked, &shown(name, text))
}

/// Is another branch of a chain around `asked` in what the text shows of the file?
fn has_other_branch(lines: &[Line<'_>], asked: &Line<'_>, shown: &[(usize, &[u8])]) -> bool {
    let is_other = |line: &Line<'_>| {
        let pairs = line.groups.iter().zip(&asked.groups);
        let differing = pairs.clone().find(|(theirs, ours)| theirs != ours);
        differing.is_some_and(|(theirs, ours)| theirs.chain == ours.chain)
    };
    // Numbers are exact, since debug information is made by them.
    let is_shown = |line: &Line<'_>, bytes: &[u8]| match line.kind {
        Kind::Code => line.bytes == bytes,
        Kind::Define => same_letters(line.bytes, bytes),
        Kind::Other => false,
    };
    shown.iter().any(|(number, bytes)| {
        let line = number.checked_sub(1).and_then(|at| lines.get(at));
        line.is_some_and(|line| is_other(line) && is_shown(line, bytes))
    })
}

/// The lines that `text` shows of the file `name`, with their numbers; none when it was read more than once, since each time other
/// conditions may have held.
fn shown<'t>(name: &[u8], text: &'t [u8]) -> Vec<(usize, &'t [u8])> {
    let (mut found, mut times) = (Vec::new(), 0);
    let (mut is_first, mut next) = (true, None);
    for line in text.split_inclusive(|&b| b == b'\n') {
        let Some((digits, quoted)) = marker(line) else {
            if let Some(number) = next {
                found.push((number, line));
                next = Some(number + 1);
            }
            continue;
        };
        let is_ours = &quoted[1..quoted.len() - 1] == name;
        let flags = &line[b"# ".len() + digits.len() + b" ".len() + quoted.len()..];
        times += usize::from(is_ours && (is_first || flags.starts_with(b" 1")));
        is_first = false;
        let number = str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok());
        next = number.filter(|_| is_ours);
    }
    if times > 1 {
        found.clear();
    }
    found
}

/// How many lines are looked for in the text, nearest first.
const WITNESSES: usize = 100;

/// The lines with their groups. Each condition opens a group, each `#else` and `#elif` a new one in its place.
fn read(file: &[u8]) -> Vec<Line<'_>> {
    let (mut lines, mut groups): (_, Vec<Group>) = (Vec::new(), Vec::new());
    let (mut chains, mut branch) = (0, 0);
    let (mut at, mut in_comment, mut joined) = (0, false, false);
    for bytes in file.split_inclusive(|&b| b == b'\n') {
        let was_comment = in_comment;
        let plain = !in_comment && !joined && is_plain(bytes);
        let plain_define = !in_comment && !joined && is_plain(&without_comments(bytes));
        in_comment = comment_after(bytes, in_comment);
        let directive = (!was_comment && !joined)
            .then(|| directive(bytes))
            .flatten();
        let kind = match directive {
            Some(b"if" | b"ifdef" | b"ifndef") => {
                (chains, branch) = (chains + 1, branch + 1);
                let chain = chains;
                groups.push(Group { chain, branch });
                Kind::Other
            }
            Some(b"else" | b"elif" | b"elifdef" | b"elifndef") => {
                branch += 1;
                // One without an `#if` is a chain of its own.
                let chain = groups.pop().map_or_else(|| chains + 1, |group| group.chain);
                chains = chains.max(chain);
                groups.push(Group { chain, branch });
                Kind::Other
            }
            Some(b"endif") => {
                groups.pop();
                Kind::Other
            }
            Some(b"define") if plain_define && !in_comment => Kind::Define,
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

/// A line without the comments that begin and end on it.
fn without_comments(line: &[u8]) -> Cow<'_, [u8]> {
    let mut line = Cow::Borrowed(line);
    while let Some(start) = memmem::find(&line, b"/*") {
        let Some(end) = memmem::find(&line[start + 2..], b"*/") else {
            break;
        };
        line.to_mut().splice(start..start + 2 + end + 2, *b" ");
    }
    line
}

/// Is there a definition of the same letters?
fn has_define(text: &[u8], line: &[u8]) -> bool {
    memmem::find_iter(text, b"#define ").any(|at| {
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end);
        same_letters(&text[at..end], line)
    })
}

/// Are two lines the same but for blanks and comments?
fn same_letters(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (without_comments(one), without_comments(other));
    let is_letter = |b: &&u8| !b.is_ascii_whitespace();
    one.iter()
        .filter(is_letter)
        .eq(other.iter().filter(is_letter))
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
                is_passed_over(b"f.h", FILE.as_bytes(), at, text.as_bytes())
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
        assert!(!is_passed_over(b"f.h", taken.as_bytes(), at, b"int a;\n"));
        assert!(is_passed_over(b"f.h", taken.as_bytes(), at, b"int b;\n"));
    }

    #[test]
    fn lines_without_witnesses_count_as_taken() {
        let file = b"#if 0\n#pragma message \"x\"\n# define Y \"z\"\n#endif\n";
        assert!(!is_passed_over(b"f.h", file, 10, b""));
        assert!(!is_passed_over(b"f.h", b"", 0, b""));
        let broken = b"#endif\n#else\nint x;\n";
        assert!(!is_passed_over(b"f.h", broken, 99, b"int x;\n"));
        assert!(!is_passed_over(b"f.h", b"#if 1\nint x; R\"(\n", 7, b""));
    }

    #[test]
    fn a_branch_that_was_taken_rules_the_others_out() {
        let file =
            b"#ifdef A\n#pragma message \"x\"\n#else\nint y;\nint z;\nint z;\n#endif\nint end;\n";
        let over = |text: &[u8]| is_passed_over(b"f.h", file, 12, text);
        assert!(over(b"# 1 \"f.h\" 1\n\n\n\nint y;\n"));
        assert!(
            over(b"# 1 \"f.h\"\n# 4 \"f.h\"\nint y;\n"),
            "the source itself"
        );
        assert!(over(
            b"# 1 \"a.c\"\n# 1 \"f.h\" 1\n\n# 4 \"f.h\"\nint y;\n# 2 \"a.c\" 2\n"
        ));
        for not_shown in [
            &b"# 1 \"f.h\" 1\n\n\n\n\nint y;\n"[..],
            b"# 1 \"g.h\" 1\n\n\n\nint y;\n",
            b"# 1 \"f.h\" 1\n\n\n\n\n\n\n\nint end;\n",
            b"# 1 \"f.h\" 1\n\n\n\nint y;\n# 1 \"f.h\" 1\n",
            b"# 1 \"f.h\"\n\n\n\nint y;\n# 1 \"f.h\" 1\n",
            b"int y;\n",
        ] {
            assert!(!over(not_shown), "{}", not_shown.escape_ascii());
        }
    }

    #[test]
    fn a_definition_in_its_place_shows_a_branch() {
        let file = b"#ifdef A\n# define B(c) /* none */\n#else\n#pragma message x\n# define B(c)  /* off */\n#endif\n";
        let at = memmem::find(file, b"pragma").expect("it is there");
        let over = |text: &[u8]| is_passed_over(b"f.h", file, at, text);
        assert!(over(b"# 1 \"f.h\" 1\n\n#define B(c) \n"));
        assert!(!over(b"# 1 \"f.h\" 1\n\n\n\n\n#define B(c) \n"));
    }

    #[test]
    fn comments_of_definitions_do_not_count() {
        let file = b"#if 0\n#pragma message x\n#define A(b)  b /* c's */ + 1\n#endif\n";
        let over = |text: &[u8]| is_passed_over(b"f.h", file, 10, text);
        assert!(over(b"#define B 1\n"));
        assert!(!over(b"#define A(b) b + 1\n"));
        assert!(!over(b"#define A(b) b /* c's */ + 1\n"));
    }
}
