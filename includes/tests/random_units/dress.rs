//! Changes of a text that mean nothing: splices, ends of lines, digraphs, trigraphs.

use super::text::Author;

impl Author<'_> {
    /// Changes of the bytes that mean nothing: splices, ends of lines, digraphs, trigraphs.
    pub(crate) fn dress(&mut self, text: String) -> Vec<u8> {
        let mut bytes = text.into_bytes();
        if self.dialect.trigraphs && self.chance.one_in(3) {
            bytes = replace(&bytes, b"\\\n", b"?\x3f/\n");
        }
        if self.dialect.trigraphs && self.chance.one_in(4) {
            bytes = replace(&bytes, b"\n#", b"\n?\x3f=");
        } else if self.dialect.digraphs && self.chance.one_in(8) {
            bytes = replace(&bytes, b"\n#", b"\n%:");
        }
        // A splice within the delimiter of a raw string is an error.
        if self.chance.one_in(4) && !bytes.windows(2).any(|two| two == b"R\"") {
            for _ in 0..1 + self.chance.below(5) {
                let at = self.chance.below(bytes.len() + 1);
                let inside_trigraph =
                    at > 0 && bytes.get(at - 1) == Some(&b'?') || bytes.get(at) == Some(&b'?');
                let utf8 = bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
                if !inside_trigraph && !utf8 {
                    let splice = self.chance.of(&[&b"\\\n"[..], b"\\ \n", b"\\\n\\\n"]);
                    bytes.splice(at..at, splice.iter().copied());
                }
            }
        }
        match self.chance.below(12) {
            0 => bytes = replace(&bytes, b"\n", b"\r\n"),
            1 => {
                let bom = [&b"\xef\xbb\xbf"[..], &bytes].concat();
                bytes = bom;
            }
            2 => {
                while bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
            }
            _ => {}
        }
        bytes
    }
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(from) {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}
