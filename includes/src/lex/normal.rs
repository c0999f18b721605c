//! Translation phases 1 and 2 over a whole file: for the few files where a splice or a trigraph stands where it changes what begins.

use super::blank::splice;

/// The text without splices and, if they count, with trigraphs replaced; and before which of its bytes splices were.
pub(super) fn normalise(text: &[u8], trigraphs: bool) -> (Vec<u8>, Vec<u32>) {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    let mut splices = Vec::new();
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
                splices.push(out.len() as u32);
                continue;
            }
        }
        out.push(byte);
        at += used;
    }
    (out, splices)
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
        let text = |text: &[u8], trigraphs| normalise(text, trigraphs).0;
        assert_eq!(text(b"a\\\nb \\ \r\nc", false), b"ab c");
        assert_eq!(text(b"??=if ??/\nx ??? ??", true), b"#if x ??? ??");
        assert_eq!(text(b"??=if", false), b"??=if");
        assert_eq!(
            normalise(b"a\\\nb\nc\\\n", false),
            (b"ab\nc".to_vec(), vec![1, 4])
        );
    }
}
