//! Packs, greedily: at each place the most recent place with the same four bytes is taken, as 1X-1 does.

use super::END;

const HASH_BITS: u32 = 13;
/// As far back as a match can reach.
const MAX_DISTANCE: usize = 0xbfff;
/// A match is looked for by this many bytes, and is never shorter.
const MIN_MATCH: usize = 4;
/// After this many places without a match the search begins to leave out places, ever more of them.
const PATIENCE: usize = 32;
/// Literals up to this many are copied in one move of this size.
const MOVE: usize = 16;

/// Packs one block after the other, with a table that need not be cleared in between.
pub struct Compressor {
    /// For each hash, the last place with it: its index plus `base`, modulo 2³².  Stale places look too far away to
    /// be used, and a place is never believed before its bytes are compared.
    table: Box<[u32; 1 << HASH_BITS]>,
    base: u32,
}

impl Default for Compressor {
    fn default() -> Compressor {
        Compressor::new()
    }
}

impl Compressor {
    pub fn new() -> Compressor {
        let table = vec![0; 1 << HASH_BITS].into_boxed_slice();
        Compressor {
            table: table.try_into().expect("a table of that length"),
            base: 0,
        }
    }

    /// Replaces `out` by a block that holds `src`.  The same `src` gives the same block, whatever was packed before.
    pub fn compress(&mut self, src: &[u8], out: &mut Vec<u8>) {
        let end = u32::try_from(src.len())
            .ok()
            .and_then(|len| self.base.checked_add(len));
        if end.is_none() {
            // Places would start over at 0, where stale ones would look near.
            self.table.fill(0);
            self.base = 0;
        }
        let mut output = Output::new(std::mem::take(out), src.len());
        let packed = self.pack(src, &mut output);
        output.literals(src, packed, src.len());
        output.put(&END);
        *out = output.finish();
        self.base = end.unwrap_or(src.len() as u32);
    }

    /// Writes all but the literals at the end; returns where those begin.
    fn pack(&mut self, src: &[u8], output: &mut Output) -> usize {
        let mut anchor = 0;
        let mut at = 0;
        let mut misses = PATIENCE;
        while let Some(word) = four_bytes(src, at) {
            let slot = &mut self.table[hash(word)];
            let place = self.base.wrapping_add(at as u32);
            let distance = place.wrapping_sub(*slot) as usize;
            *slot = place;
            if distance.wrapping_sub(1) >= MAX_DISTANCE.min(at)
                || four_bytes(src, at - distance) != Some(word)
            {
                at += misses / PATIENCE;
                misses += 1;
                continue;
            }
            let back = common_before(&src[anchor..at], &src[..at - distance]);
            let length =
                MIN_MATCH + common(&src[at + MIN_MATCH..], &src[at - distance + MIN_MATCH..]);
            output.literals(src, anchor, at - back);
            output.copy(length + back, distance);
            at += length;
            anchor = at;
            misses = PATIENCE;
            if let Some(word) = four_bytes(src, at - 2) {
                self.table[hash(word)] = self.base.wrapping_add(at as u32 - 2);
            }
        }
        anchor
    }
}

/// Replaces `out` by a block that holds `src`.
pub fn compress(src: &[u8], out: &mut Vec<u8>) {
    Compressor::new().compress(src, out);
}

#[inline(always)]
fn hash(word: u32) -> usize {
    (word.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

#[inline(always)]
fn four_bytes(src: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*src.get(at..)?.first_chunk()?))
}

/// How many bytes at the start of both are the same.
#[inline(always)]
fn common(a: &[u8], b: &[u8]) -> usize {
    let mut same = 0;
    while let (Some(x), Some(y)) = (
        a.get(same..).and_then(|a| a.first_chunk()),
        b.get(same..).and_then(|b| b.first_chunk()),
    ) {
        let differing = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differing != 0 {
            return same + differing.trailing_zeros() as usize / 8;
        }
        same += 8;
    }
    same + a[same..]
        .iter()
        .zip(&b[same..])
        .take_while(|(x, y)| x == y)
        .count()
}

/// How many bytes at the end of both are the same.
#[inline(always)]
fn common_before(a: &[u8], b: &[u8]) -> usize {
    a.iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(x, y)| x == y)
        .count()
}

/// The block so far: `bytes[..len]`.
struct Output {
    bytes: Vec<u8>,
    len: usize,
}

impl Output {
    /// Uses the memory of `old`, or what the block of `content` bytes of text is likely to need.
    fn new(old: Vec<u8>, content: usize) -> Output {
        let likely = content / 3 + 64;
        let mut bytes = old;
        if bytes.capacity() < likely {
            // Memory that comes zeroed from the system, and that no page of is there before it is used.
            bytes = vec![0; likely];
        }
        Output { bytes, len: 0 }
    }

    /// Makes room for `more` bytes and one move beyond them.
    #[inline(always)]
    fn room(&mut self, more: usize) {
        if self.bytes.len() - self.len < more + MOVE {
            self.grow(more);
        }
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let least = self.len + more + MOVE;
        self.bytes.resize(least.max(self.bytes.len() * 2), 0);
    }

    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Writes what goes beyond the length an instruction's first byte can tell; `more` is 1 or greater.
    fn put_more(&mut self, more: usize) {
        let zeros = (more - 1) / 255;
        self.room(zeros + 1);
        self.bytes[self.len..self.len + zeros].fill(0);
        self.bytes[self.len + zeros] = (more - 255 * zeros) as u8;
        self.len += zeros + 1;
    }

    /// Writes `src[from..to]` as literals.
    #[inline(always)]
    fn literals(&mut self, src: &[u8], from: usize, to: usize) {
        let count = to - from;
        match count {
            0 => return,
            1..=238 if self.len == 0 => self.put(&[17 + count as u8]),
            // Told by the match before them.
            1..=3 => self.bytes[self.len - 2] |= count as u8,
            4..=18 => self.put(&[(count - 3) as u8]),
            _ => {
                self.put(&[0]);
                self.put_more(count - 18);
            }
        }
        self.room(count);
        match src.get(from..from + MOVE) {
            Some(piece) if count <= MOVE => {
                self.bytes[self.len..self.len + MOVE].copy_from_slice(piece)
            }
            _ => self.bytes[self.len..self.len + count].copy_from_slice(&src[from..to]),
        }
        self.len += count;
    }

    /// Writes a match, in the shortest form that can tell it.
    #[inline(always)]
    fn copy(&mut self, length: usize, distance: usize) {
        if length <= 8 && distance <= 2048 {
            let far = distance - 1;
            self.put(&[((length - 1) << 5 | (far & 7) << 2) as u8, (far >> 3) as u8]);
            return;
        }
        let (first, longest, far) = if distance <= 16384 {
            (32, 33, distance - 1)
        } else {
            let far = distance - 16384;
            (16 | (far >> 14 << 3) as u8, 9, far & 0x3fff)
        };
        if length <= longest {
            self.put(&[first | (length - 2) as u8]);
        } else {
            self.put(&[first]);
            self.put_more(length - longest);
        }
        self.put(&((far << 2) as u16).to_le_bytes());
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(src: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compress(src, &mut out);
        out
    }

    #[test]
    fn short_content_is_one_run_of_literals() {
        assert_eq!(packed(b""), END);
        assert_eq!(packed(b"#define K 7\n"), b"\x1d#define K 7\n\x11\0\0");
    }

    #[test]
    fn a_used_compressor_packs_as_a_new_one() {
        let mut compressor = Compressor::new();
        let text = b"the same words and the same words again, the same words".repeat(20);
        for base in [0, 1, u32::MAX - 2000, u32::MAX - 1] {
            compressor.base = base;
            for src in [&text[..], &text[7..], &text[..900], &text[..]] {
                let mut out = Vec::new();
                compressor.compress(src, &mut out);
                assert_eq!(out, packed(src), "from {base}");
            }
        }
    }

    #[test]
    fn memory_follows_the_block_and_not_the_content() {
        let zeros = vec![0; 10 << 20];
        let mut out = Vec::new();
        compress(&zeros, &mut out);
        assert!(out.len() < zeros.len() / 200);
        assert!(out.capacity() <= zeros.len() / 3 + 64);
    }
}
