//! Translation phases 1 and 2 over a whole file: for the few files where a splice or a trigraph stands where it changes what begins.

use super::blank::splice;

/// The text without splices and, if they count, with trigraphs replaced. Lines that were put together have empty ones behind them, so that
/// the next one has its number.
pub(super) fn normalise(text: &[u8], trigraphs: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    let mut spliced = 0;
    while let Some(&byte) = text.get(at) {
        let (byte, used) = match text.get(at + 1..at + 3) {
            Some(&[b'?', third]) if trigraphs && byte == b'?' => match trigraph(third) {
                Some(meant) => (meant, 3),
                None => (byte, 1),
            },
            _ => (byte, 1),
        };
        if byte == b'\\' {
            let next = if used == 1 {
                splice(text, at)
            } else {
                // A backslash spelled as a trigraph splices as well.
                let mut plain = vec![b'\\'];
                plain.extend(text[at + 3..].iter().take(64));
                splice(&plain, 0).map(|next| at + 2 + next)
            };
            if let Some(next) = next {
                at = next;
                spliced += 1;
                continue;
            }
        }
        out.push(byte);
        at += used;
        if byte == b'\n' {
            out.extend(std::iter::repeat_n(b'\n', spliced));
            spliced = 0;
        }
    }
    out
}

fn trigraph(third: u8) -> Option<u8> {
    Some(match third {
        b'=' => b'#',
        b'(' => b'[',
        b'/' => b'\\',
        b')' => b']',
        b'\'' => b'^',
        b'<' => b'{',
        b'!' => b'|',
        b'>' => b'}',
        b'-' => b'~',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn splices_and_trigraphs_go() {
        assert_eq!(normalise(b"a\\\nb \\ \r\nc", false), b"ab c");
        assert_eq!(normalise(b"??=if ??/\nx ??? ??", true), b"#if x ??? ??");
        assert_eq!(normalise(b"a\\\nb\nc\n", false), b"ab\n\nc\n");
        assert_eq!(normalise(b"??=if", false), b"??=if");
    }
}
