//! Packs.

const HASH_BITS: u32 = 13;
const MAX_DIST: usize = 0xBFFF;

#[inline]
fn rd32(s: &[u8], i: usize) -> u32 {
    u32::from_le_bytes(s[i..i + 4].try_into().expect("a slice of that length"))
}
#[inline]
fn rd64(s: &[u8], i: usize) -> u64 {
    u64::from_le_bytes(s[i..i + 8].try_into().expect("a slice of that length"))
}
#[inline]
fn hash(v: u32) -> usize {
    (v.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize
}

#[inline]
fn ext(out: &mut Vec<u8>, mut n: usize) {
    while n > 255 {
        out.push(0);
        n -= 255;
    }
    out.push(n as u8);
}
fn literals(out: &mut Vec<u8>, lit: &[u8]) {
    let t = lit.len();
    if t == 0 {
        return;
    }
    if out.is_empty() && t <= 238 {
        out.push(17 + t as u8);
    } else if t <= 3 {
        let k = out.len() - 2;
        out[k] |= t as u8;
    } else if t <= 18 {
        out.push((t - 3) as u8);
    } else {
        out.push(0);
        ext(out, t - 18);
    }
    out.extend_from_slice(lit);
}
#[inline]
fn do_match(out: &mut Vec<u8>, len: usize, dist: usize) {
    if len <= 8 && dist <= 2048 {
        let d = dist - 1;
        out.extend_from_slice(&[(((len - 1) << 5) | ((d & 7) << 2)) as u8, (d >> 3) as u8]);
    } else if dist <= 16384 {
        let d = ((dist - 1) << 2) as u16;
        if len <= 33 {
            out.push(32 | (len - 2) as u8)
        } else {
            out.push(32);
            ext(out, len - 33)
        }
        out.extend_from_slice(&d.to_le_bytes());
    } else {
        let d = dist - 16384;
        let h = ((d >> 14) << 3) as u8;
        if len <= 9 {
            out.push(16 | h | (len - 2) as u8)
        } else {
            out.push(16 | h);
            ext(out, len - 9)
        }
        out.extend_from_slice(&(((d & 0x3fff) << 2) as u16).to_le_bytes());
    }
}
/// Compresses with a table that is used again from call to call.
pub struct Compressor {}
impl Default for Compressor {
    fn default() -> Self {
        Compressor::new()
    }
}
impl Compressor {
    pub fn new() -> Compressor {
        Compressor {}
    }
    /// Replaces `out` by the block.
    pub fn compress(&mut self, src: &[u8], out: &mut Vec<u8>) {
        compress(src, out)
    }
}
/// Replaces `out` by the block that holds `src`.
pub fn compress(src: &[u8], out: &mut Vec<u8>) {
    assert!(src.len() < u32::MAX as usize);
    out.clear();
    out.reserve(src.len() / 2 + 64);
    let mut table = vec![0u32; 1 << HASH_BITS]; // position + 1
    let n = src.len();
    let mut anchor = 0usize;
    if n >= 16 {
        let limit = n - 12;
        let mut i = if n > 4 { 1 } else { 0 };
        table[hash(rd32(src, 0))] = 1;
        'outer: loop {
            let mut step = 1usize << 5;
            let (mut m, mut v);
            loop {
                if i >= limit {
                    break 'outer;
                }
                v = rd32(src, i);
                let h = hash(v);
                m = table[h] as usize;
                table[h] = i as u32 + 1;
                if m != 0 && i - (m - 1) <= MAX_DIST && rd32(src, m - 1) == v {
                    break;
                }
                i += step >> 5;
                step += 1;
            }
            let mut m = m - 1;
            while i > anchor && m > 0 && src[i - 1] == src[m - 1] {
                i -= 1;
                m -= 1;
            }
            let mut len = 4;
            // extend forward 8 bytes at a time
            let a0 = i;
            let b0 = m;
            loop {
                if a0 + len + 8 > n {
                    while a0 + len < n && src[a0 + len] == src[b0 + len] {
                        len += 1;
                    }
                    break;
                }
                let x = rd64(src, a0 + len) ^ rd64(src, b0 + len);
                if x == 0 {
                    len += 8
                } else {
                    len += (x.trailing_zeros() >> 3) as usize;
                    break;
                }
            }
            literals(out, &src[anchor..i]);
            do_match(out, len, i - m);
            i += len;
            anchor = i;
            if i >= limit {
                break;
            }
            table[hash(rd32(src, i - 2))] = (i - 2) as u32 + 1;
        }
    }
    literals(out, &src[anchor..]);
    out.extend_from_slice(&[17, 0, 0]);
}
