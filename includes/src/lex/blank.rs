//! Blanks, line ends, splices: the bytes between tokens.

/// A blank that does not end a line. A NUL counts as one, as gcc and clang take it.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | 0)
}

pub(crate) fn is_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// May the byte be in an identifier? Bytes of other alphabets may, and so may `$`.
pub(crate) fn is_word(byte: u8) -> bool {
    IS_WORD[byte as usize]
}

static IS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80;
        byte += 1;
    }
    table
};

/// Where the line goes on when a splice begins at the backslash `at`: behind its line end. gcc and clang let blanks stand between.
pub(crate) fn splice(text: &[u8], at: usize) -> Option<usize> {
    debug_assert_eq!(text.get(at), Some(&b'\\'));
    let mut next = at + 1;
    while text.get(next).is_some_and(|&b| is_blank(b)) {
        next += 1;
    }
    text.get(next)
        .is_some_and(|&b| is_end(b))
        .then(|| after_end(text, next))
}

/// Behind the line end at `at`, which may be two bytes.
pub(crate) fn after_end(text: &[u8], at: usize) -> usize {
    if text[at] == b'\r' && text.get(at + 1) == Some(&b'\n') {
        at + 2
    } else {
        at + 1
    }
}

/// The first line end from `at` on, or the end of the text.
pub(crate) fn find_end(text: &[u8], at: usize) -> usize {
    memchr::memchr2(b'\n', b'\r', &text[at..]).map_or(text.len(), |found| at + found)
}
