//! Empty bodies of loops and conditions, of which clang warns only in text without line markers (it compares a line of the markers with one of
//! the file): `for (…) ;` on one line, outside of system headers.

use memchr::{memchr, memmem};

/// Would clang warn, if the text had no line markers? Macros are not seen through; clang does not warn within them.
pub(super) fn has_empty_body(text: &[u8]) -> bool {
    memmem::find_iter(text, b")").any(|close| {
        let rest = &text[close + 1..];
        let next = rest.iter().position(|b| !matches!(b, b' ' | b'\t'));
        next.is_some_and(|next| rest[next] == b';')
            && condition_of(text, close).is_some_and(|start| !ends_loop(text, start))
            && !is_system(text, close)
    })
}

/// Where the keyword starts whose condition ends here.
fn condition_of(text: &[u8], close: usize) -> Option<usize> {
    const LONGEST: usize = 2000;
    let mut depth = 0usize;
    let start = close.saturating_sub(LONGEST);
    let open = text[start..=close].iter().rposition(|&b| {
        match b {
            b')' => depth += 1,
            b'(' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })? + start;
    let before = text[..open].trim_ascii_end();
    let keyword = [&b"for"[..], b"if", b"while", b"switch"]
        .into_iter()
        .find(|keyword| before.ends_with(keyword))?;
    let start = before.len() - keyword.len();
    let part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    (!text[..start].last().is_some_and(part)).then_some(start)
}

/// `} while (…);`
fn ends_loop(text: &[u8], keyword: usize) -> bool {
    text[keyword..].starts_with(b"while") && text[..keyword].trim_ascii_end().ends_with(b"}")
}

/// Is the last line marker before `at` one of a system header?
fn is_system(text: &[u8], at: usize) -> bool {
    let mut end = at;
    while let Some(found) = memmem::rfind(&text[..end], b"# ") {
        let line = &text[found..];
        let line = &line[..memchr(b'\n', line).unwrap_or(line.len())];
        let starts_line = found == 0 || text[found - 1] == b'\n';
        if let Some(quote) = memchr::memrchr(b'"', line)
            && starts_line
            && line[2..].first().is_some_and(u8::is_ascii_digit)
        {
            return line[quote..].split(|&b| b == b' ').any(|flag| flag == b"3");
        }
        end = found;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_bodies_are_found() {
        for text in [
            "for (i = 0; i < f(x); i++) ;",
            "if (x);\n",
            "while(f(1)(2))\t;",
            "# 1 \"s.h\" 1 3\nint s;\n# 2 \"a.c\" 2\nif (x) ;",
        ] {
            assert!(has_empty_body(text.as_bytes()), "{text}");
        }
        for text in [
            "f(x);",
            "notif (x);",
            "do { x(); } while (f(1));",
            "for (;;)\n;",
            "while (x) { ; }",
            ");",
            "# 1 \"s.h\" 1 3 4\nwhile (*s++) ;\n# define x\n if (s) ;",
        ] {
            assert!(!has_empty_body(text.as_bytes()), "{text}");
        }
    }
}
