//! Takes comments out of C text that keeps its directives, without moving a token: line counts and columns stay.
//!
//! A comment goes only when nothing follows it on its last line. Those that a compiler heeds stay: `fall through`, and those that
//! -Wcomment warns of.

use memchr::{memchr, memchr3, memmem};

/// The text without its comments.
pub fn blank(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut kept_to, mut at) = (0, 0);
    while let Some(found) = memchr3(b'/', b'"', b'\'', &text[at..]) {
        let start = at + found;
        at = match text[start] {
            b'"' => after_string(text, start),
            b'\'' => after_character(text, start),
            _ => {
                let end = after_comment(text, start);
                if end > start + 1 && may_go(text, start, end) {
                    out.extend_from_slice(&text[kept_to..start]);
                    out.extend(text[start..end].iter().filter(|&&b| b == b'\n'));
                    kept_to = end;
                }
                end
            }
        };
    }
    out.extend_from_slice(&text[kept_to..]);
    out
}

/// Where the comment that starts here ends; the next byte when none does. The newline after `//` is no part of it.
fn after_comment(text: &[u8], start: usize) -> usize {
    match text.get(start + 1) {
        Some(b'*') => {
            memmem::find(&text[start + 2..], b"*/").map_or(text.len(), |end| start + 2 + end + 2)
        }
        Some(b'/') => memchr(b'\n', &text[start..]).map_or(text.len(), |end| start + end),
        _ => start + 1,
    }
}

fn may_go(text: &[u8], start: usize, end: usize) -> bool {
    let comment = &text[start..end];
    let rest_of_line =
        memchr(b'\n', &text[end..]).map_or(&text[end..], |newline| &text[end..end + newline]);
    let closed = comment.ends_with(b"*/") || comment[1] == b'/';
    // A `//` that goes on in the next line ends with a backslash, with blanks after it or not.
    let goes_on = comment[1] == b'/' && comment.trim_ascii_end().ends_with(b"\\");
    let nested = memmem::find(&comment[2..], b"/*").is_some();
    closed && !goes_on && !nested && rest_of_line.trim_ascii().is_empty() && !says_fall(comment)
}

/// Every form of comment that `-Wimplicit-fallthrough` heeds holds this word.
fn says_fall(comment: &[u8]) -> bool {
    comment
        .windows(4)
        .any(|part| part.eq_ignore_ascii_case(b"fall"))
}

/// Where the string whose quote is here ends, or its line does.
fn after_string(text: &[u8], quote: usize) -> usize {
    match raw_delimiter(text, quote) {
        Some(delimiter) => {
            let close = [b")", delimiter, b"\""].concat();
            memmem::find(&text[quote..], &close).map_or(text.len(), |end| quote + end + close.len())
        }
        None => after_quoted(text, quote, b'"'),
    }
}

/// The delimiter of `R"delimiter(…)delimiter"`.
fn raw_delimiter(text: &[u8], quote: usize) -> Option<&[u8]> {
    let word = &text[word_start(text, quote)..quote];
    if !matches!(word, b"R" | b"LR" | b"uR" | b"UR" | b"u8R") {
        return None;
    }
    let rest = &text[quote + 1..];
    let open = rest.iter().take(17).position(|&b| b == b'(')?;
    Some(&rest[..open])
}

/// Where a character constant ends; the next byte for the mark between digits.
fn after_character(text: &[u8], quote: usize) -> usize {
    let word = &text[word_start(text, quote)..quote];
    if word.first().is_some_and(u8::is_ascii_digit) {
        quote + 1
    } else {
        after_quoted(text, quote, b'\'')
    }
}

fn after_quoted(text: &[u8], quote: usize, mark: u8) -> usize {
    let mut at = quote + 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' => return at,
            _ if byte == mark => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Where the name or number that ends before `end` starts.
fn word_start(text: &[u8], end: usize) -> usize {
    let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'\'' | b'.');
    text[..end]
        .iter()
        .rposition(|b| !part(b))
        .map_or(0, |before| before + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blanked(text: &str) -> String {
        String::from_utf8(blank(text.as_bytes())).expect("tests use UTF-8")
    }

    #[test]
    fn comments_at_line_ends_go_and_lines_stay() {
        assert_eq!(
            blanked("int a; // x\nint b; /* y\n z */\nint c;\n"),
            "int a; \nint b; \n\nint c;\n"
        );
        assert_eq!(
            blanked("#define A 1 /* one */\n#define B 2 /* a\n b */ 3\n"),
            "#define A 1 \n#define B 2 /* a\n b */ 3\n"
        );
    }

    #[test]
    fn what_moves_tokens_or_is_heeded_stays() {
        for text in [
            "int /* a */ b;\n",
            "x; /* fall through */\n",
            "x; // FALLTHRU\n",
            "// goes on \\\nhere\n",
            "/* a /* b */\n",
            "/* open",
            "a / b / c\n",
        ] {
            assert_eq!(blanked(text), text);
        }
    }

    #[test]
    fn strings_hide_what_looks_like_comments() {
        for text in [
            "\"// no\" x\n",
            "\"a\\\"// no\"\n",
            "'\"' + \"//\"\n",
            "R\"(// no \" )\" x\n",
            "u8R\"ab(/* )\" )ab\"\n",
            "1'000'000 + x\n",
            "'/' + '*'\n",
        ] {
            assert_eq!(blanked(text), text);
        }
        assert_eq!(blanked("1'000 // c\n"), "1'000 \n");
        assert_eq!(blanked("L'\"' // c\n"), "L'\"' \n");
        assert_eq!(blanked("#error don't\nx // c\n"), "#error don't\nx \n");
    }
}
