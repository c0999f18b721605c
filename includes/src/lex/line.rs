//! One directive's text: to the end of its logical line, without comments and splices.

use super::Mode;
use super::blank::{after_end, find_end, is_end, is_word, splice};

/// The text of a directive.
pub(super) enum Text {
    /// As it stands: a range of the source.
    Plain { start: usize, end: usize },
    /// Had comments or splices in it. The other list tells before which bytes line ends were, one entry for each.
    Cleaned(Vec<u8>, Vec<usize>),
}

/// Reads the logical line from `at`, which is behind the `#`. Gives its text and where the next line begins.
pub(super) fn logical_line(text: &[u8], at: usize, mode: Mode) -> (Text, usize) {
    let mut end = at;
    while let Some(&byte) = text.get(end) {
        if is_end(byte) {
            let next = after_end(text, end);
            return (Text::Plain { start: at, end }, next);
        }
        if matches!(byte, b'\\' | b'/') {
            return clean(text, at, end, mode);
        }
        end += 1;
    }
    (Text::Plain { start: at, end }, end)
}

/// As [`logical_line`], when something odd stands at `odd`.
fn clean(text: &[u8], start: usize, odd: usize, mode: Mode) -> (Text, usize) {
    let mut out = Vec::with_capacity(odd - start + 64);
    let mut breaks = Vec::new();
    let mut at = start;
    while let Some(&byte) = text.get(at) {
        if is_end(byte) {
            return (Text::Cleaned(out, breaks), after_end(text, at));
        }
        match byte {
            b'\\' => match splice(text, at) {
                Some(next) => {
                    breaks.push(out.len());
                    at = next;
                }
                None => {
                    out.push(byte);
                    at += 1;
                }
            },
            b'/' => {
                let next = slash(text, at, mode, &mut out);
                let ends = memchr::memchr_iter(b'\n', &text[at..next]).count();
                breaks.extend(std::iter::repeat_n(out.len().saturating_sub(1), ends));
                at = next;
            }
            b'"' | b'\'' => at = literal(text, at, byte, mode, &mut out),
            b'<' if names_file(&out, mode) => at = literal(text, at, b'>', mode, &mut out),
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    (Text::Cleaned(out, breaks), at)
}

/// Text of several lines without comments and splices.
pub(crate) fn clean_text(text: &[u8], start: usize, end: usize, mode: Mode) -> Vec<u8> {
    let text = &text[..end];
    let mut out = Vec::with_capacity(end - start);
    let mut at = start;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => match splice(text, at) {
                Some(next) => at = next,
                None => {
                    out.push(byte);
                    at += 1;
                }
            },
            b'/' => at = slash(text, at, mode, &mut out),
            b'"' | b'\'' => at = literal(text, at, byte, mode, &mut out),
            _ if is_end(byte) => {
                out.push(b'\n');
                at = after_end(text, at);
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// A comment becomes a blank; another slash stays.
fn slash(text: &[u8], at: usize, mode: Mode, out: &mut Vec<u8>) -> usize {
    let next = past_splices(text, at + 1);
    match text.get(next) {
        Some(b'*') => {
            out.push(b' ');
            end_of_block(text, next + 1)
        }
        Some(b'/') if mode.line_comments => end_of_logical_line(text, next + 1),
        _ => {
            out.push(b'/');
            at + 1
        }
    }
}

pub(super) fn past_splices(text: &[u8], mut at: usize) -> usize {
    while text.get(at) == Some(&b'\\') {
        match splice(text, at) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// Behind the `*/` that ends the comment, or the end of the text.
pub(super) fn end_of_block(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(star) = memchr::memchr(b'*', &text[at.min(text.len())..]) {
        let next = past_splices(text, at + star + 1);
        if text.get(next) == Some(&b'/') {
            return next + 1;
        }
        at += star + 1;
    }
    text.len()
}

/// The line end that ends the logical line, or the end of the text.
pub(super) fn end_of_logical_line(text: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        let end = find_end(text, at);
        let line = &text[at..end];
        let last = line.iter().rposition(|&b| !super::blank::is_blank(b));
        match last {
            Some(last) if line[last] == b'\\' && end < text.len() => at = after_end(text, end),
            _ => return end,
        }
    }
}

/// Copies a literal to its closing quote or, if it has none, to the end of the line.
fn literal(text: &[u8], from: usize, close: u8, mode: Mode, out: &mut Vec<u8>) -> usize {
    if close == b'"' && mode.raw_strings && super::scan::is_raw(text, from) {
        let end = super::scan::end_of_raw(text, from);
        out.extend_from_slice(&text[from..end]);
        return end;
    }
    if close == b'\'' && mode.separators && super::scan::is_separator(text, from) {
        out.push(b'\'');
        return from + 1;
    }
    out.push(text[from]);
    let mut at = from + 1;
    while let Some(&byte) = text.get(at) {
        if is_end(byte) {
            break;
        }
        if byte == b'\\' {
            if let Some(next) = splice(text, at) {
                at = next;
                continue;
            }
            // In the name of a header a backslash is one.
            if close != b'>' && text.get(at + 1).is_some_and(|&b| !is_end(b)) {
                out.extend_from_slice(&text[at..at + 2]);
                at += 2;
                continue;
            }
        }
        out.push(byte);
        at += 1;
        if byte == close {
            break;
        }
    }
    at
}

/// May the directive whose beginning this is take the name of a header next? To clang macros may stand before it.
fn names_file(start: &[u8], mode: Mode) -> bool {
    let word = start.trim_ascii_start();
    let len = word.iter().take_while(|&&byte| is_word(byte)).count();
    let behind = word[len..].trim_ascii();
    match &word[..len] {
        b"include" | b"include_next" | b"import" | b"embed" => mode.clang || behind.is_empty(),
        b"pragma" => word.trim_ascii() == b"pragma GCC dependency",
        _ => asks_for_header(word, mode),
    }
}

/// Does `__has_include (` or one of its kin stand here, with that parenthesis still open?
fn asks_for_header(text: &[u8], mode: Mode) -> bool {
    let Some(at) = memchr::memmem::rfind(text, b"__has_") else {
        return false;
    };
    let word = &text[at..];
    let len = word.iter().take_while(|&&byte| is_word(byte)).count();
    let rest = word[len..].trim_ascii_start();
    let open = rest.iter().filter(|&&byte| byte == b'(').count();
    let closed = rest.iter().filter(|&&byte| byte == b')').count();
    matches!(
        &word[..len],
        b"__has_include" | b"__has_include_next" | b"__has_embed"
    ) && rest.starts_with(b"(")
        && open > closed
        && (mode.clang || rest.trim_ascii() == b"(")
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: Mode = Mode {
        clang: false,
        cxx: false,
        assembler: false,
        raw_strings: true,
        trigraphs: false,
        digraphs: true,
        line_comments: true,
        separators: false,
        elifdef: true,
        booleans: false,
        va_opt: true,
        unsigned_chars: false,
        unsigned_wide: false,
        modules: false,
    };

    fn line(text: &str) -> (String, usize) {
        let (line, next) = logical_line(text.as_bytes(), 0, C);
        let line = match line {
            Text::Plain { start, end } => text.as_bytes()[start..end].to_vec(),
            Text::Cleaned(line, _) => line,
        };
        (String::from_utf8(line).expect("tests use UTF-8"), next)
    }

    #[test]
    fn comments_and_splices_go_and_literals_stay() {
        assert_eq!(line("if 1\nx").0, "if 1");
        assert_eq!(line("if 1 // a \\\n b\nx").0, "if 1 ");
        assert_eq!(line("if /* a\n b */ 1\nx").0, "if   1");
        assert_eq!(line("inc\\\nlude \"a//b.h\"\n").0, "include \"a//b.h\"");
        assert_eq!(line("include <a//b.h> // c\n").0, "include <a//b.h> ");
        assert_eq!(
            line("define A '/*' \"\\\"/*\" b\n").0,
            "define A '/*' \"\\\"/*\" b"
        );
        assert_eq!(line("error don't /* x\ny").0, "error don't /* x");
        assert_eq!(line("if 4 / 2\r\nx").1, 10);
        assert_eq!(line("include \"a\\b.h\" // c\n").0, "include \"a\\b.h\" ");
    }
}
