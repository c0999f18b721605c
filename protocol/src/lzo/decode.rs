//! Unpacks.

use super::Error;

struct In<'a> {
    s: &'a [u8],
    p: usize,
}
impl<'a> In<'a> {
    #[inline(always)]
    fn u8(&mut self) -> Result<usize, Error> {
        let b = *self.s.get(self.p).ok_or(Error::Truncated)?;
        self.p += 1;
        Ok(b as usize)
    }
    #[inline(always)]
    fn u16(&mut self) -> Result<usize, Error> {
        let b = self.s.get(self.p..self.p + 2).ok_or(Error::Truncated)?;
        self.p += 2;
        Ok(u16::from_le_bytes([b[0], b[1]]) as usize)
    }
    #[inline]
    fn ext(&mut self, base: usize) -> Result<usize, Error> {
        let mut n = base;
        loop {
            let b = self.u8()?;
            if b == 0 { n += 255 } else { return Ok(n + b) }
        }
    }
}
/// Decompress, growing the buffer as needed but never past `max`. No restart on overrun.
pub fn decompress(src: &[u8], out: &mut Vec<u8>, max: usize) -> Result<(), Error> {
    out.clear();
    out.resize(
        (src.len().saturating_mul(6))
            .clamp(256, max.max(256))
            .min(max)
            + SLACK,
        0,
    );
    let mut op = 0usize;
    let mut r = In { s: src, p: 0 };
    let mut state: usize; // 0..=3 trailing literals of last match, 4 after a literal run
    #[inline(always)]
    fn room(out: &mut Vec<u8>, op: usize, len: usize, max: usize) -> Result<(), Error> {
        if op + len + SLACK > out.len() {
            if op + len > max {
                return Err(Error::TooLarge { max });
            }
            let want = (op + len).max(out.len() * 2).min(max) + SLACK;
            out.resize(want, 0);
        }
        Ok(())
    }
    #[inline(always)]
    fn lit(
        r: &mut In,
        out: &mut Vec<u8>,
        op: &mut usize,
        len: usize,
        max: usize,
    ) -> Result<(), Error> {
        room(out, *op, len, max)?;
        if len <= 16
            && let Some(chunk) = r.s.get(r.p..r.p + 16)
        {
            // fixed-size copy: may write past op+len inside the slack
            out[*op..*op + 16].copy_from_slice(chunk);
        } else {
            let s = r.s.get(r.p..r.p + len).ok_or(Error::Truncated)?;
            out[*op..*op + len].copy_from_slice(s);
        }
        r.p += len;
        *op += len;
        Ok(())
    }
    #[inline(always)]
    fn copy(
        out: &mut Vec<u8>,
        op: &mut usize,
        dist: usize,
        len: usize,
        max: usize,
    ) -> Result<(), Error> {
        if dist > *op {
            return Err(Error::BadDistance);
        }
        room(out, *op, len, max)?;
        let m = *op - dist;
        if dist >= 16 {
            let mut k = 0;
            if len <= 16 {
                out.copy_within(m..m + 16, *op);
            } else if dist >= len {
                out.copy_within(m..m + len, *op);
            } else {
                while k < len {
                    let c = dist.min(len - k);
                    out.copy_within(m + k..m + k + c, *op + k);
                    k += c;
                }
            }
        } else if dist == 1 {
            let b = out[m];
            out[*op..*op + len].fill(b);
        } else {
            let (a, b) = out.split_at_mut(*op);
            let pat = &a[m..];
            for (k, d) in b[..len].iter_mut().enumerate() {
                *d = pat[k % dist];
            }
        }
        *op += len;
        Ok(())
    }
    let first = *src.first().ok_or(Error::Truncated)? as usize;
    if first > 17 {
        r.p = 1;
        let t = first - 17;
        lit(&mut r, out, &mut op, t, max)?;
        state = if t < 4 { t } else { 4 };
    } else {
        state = 0;
    }
    loop {
        let b = r.u8()?;
        if b < 16 {
            if state == 0 {
                let t = if b == 0 { r.ext(18)? } else { b + 3 };
                lit(&mut r, out, &mut op, t, max)?;
                state = 4;
                continue;
            }
            let h = r.u8()?;
            let d = (h << 2) + (b >> 2);
            if state == 4 {
                copy(out, &mut op, d + 2049, 3, max)?;
            } else {
                copy(out, &mut op, d + 1, 2, max)?;
            }
            state = b & 3;
        } else if b >= 64 {
            let h = r.u8()?;
            let dist = (h << 3) + ((b >> 2) & 7) + 1;
            copy(out, &mut op, dist, (b >> 5) + 1, max)?;
            state = b & 3;
        } else if b >= 32 {
            let len = if b & 31 == 0 {
                r.ext(33)?
            } else {
                (b & 31) + 2
            };
            let w = r.u16()?;
            copy(out, &mut op, (w >> 2) + 1, len, max)?;
            state = w & 3;
        } else {
            let len = if b & 7 == 0 { r.ext(9)? } else { (b & 7) + 2 };
            let w = r.u16()?;
            let d = ((b & 8) << 11) + (w >> 2);
            if d == 0 {
                out.truncate(op);
                return if r.p == src.len() {
                    Ok(())
                } else {
                    Err(Error::TrailingData)
                };
            }
            copy(out, &mut op, d + 16384, len, max)?;
            state = w & 3;
        }
        if state != 0 {
            lit(&mut r, out, &mut op, state, max)?;
        }
    }
}
const SLACK: usize = 32;
