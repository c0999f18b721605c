//! Unpacks, and believes nothing: not a length, not a distance, not that there is an end.

use super::Error;

/// Bytes that may be written beyond the content, so that short pieces are copied in one move.
const SLACK: usize = 16;

/// What the bytes just written were; a first byte below 16 means something else after each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// Nothing yet, or a match without literals.
    Match,
    /// One to three literals.
    FewLiterals,
    ManyLiterals,
}

/// Replaces `out` by the content of the block `src`.
///
/// Fails when the block is damaged, does not end where `src` does, or holds more than `max` bytes; `out` is empty then.
/// Memory grows with what has been unpacked.
pub fn decompress(src: &[u8], out: &mut Vec<u8>, max: usize) -> Result<(), Error> {
    let input = Input { bytes: src, at: 0 };
    let output = Output::new(std::mem::take(out), src.len(), max);
    *out = run(input, output)?;
    Ok(())
}

fn run(mut input: Input, mut output: Output) -> Result<Vec<u8>, Error> {
    let mut after = After::Match;
    if let Some(&first @ 18..) = input.bytes.first() {
        input.at = 1;
        after = output.literals(&mut input, usize::from(first) - 17)?;
    }
    loop {
        let first = usize::from(input.byte()?);
        let follow = if first >= 64 {
            let far = usize::from(input.byte()?) << 3 | first >> 2 & 7;
            output.copy(far + 1, (first >> 5) + 1)?;
            first & 3
        } else if first >= 32 {
            let length = input.length(first & 31, 33)?;
            let pair = input.pair()?;
            output.copy((pair >> 2) + 1, length)?;
            pair & 3
        } else if first >= 16 {
            let length = input.length(first & 7, 9)?;
            let pair = input.pair()?;
            let far = (first & 8) << 11 | pair >> 2;
            if far == 0 {
                return if input.at == input.bytes.len() {
                    Ok(output.finish())
                } else {
                    Err(Error::TrailingData)
                };
            }
            output.copy(far + 16384, length)?;
            pair & 3
        } else if after == After::Match {
            let count = if first == 0 {
                input.more(18)?
            } else {
                first + 3
            };
            after = output.literals(&mut input, count)?;
            continue;
        } else {
            let far = usize::from(input.byte()?) << 2 | first >> 2;
            match after {
                After::ManyLiterals => output.copy(far + 2049, 3)?,
                _ => output.copy(far + 1, 2)?,
            }
            first & 3
        };
        after = match follow {
            0 => After::Match,
            count => output.literals(&mut input, count)?,
        };
    }
}

/// The block and how much of it is used.
struct Input<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Input<'_> {
    #[inline(always)]
    fn byte(&mut self) -> Result<u8, Error> {
        let byte = *self.bytes.get(self.at).ok_or(Error::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline(always)]
    fn pair(&mut self) -> Result<usize, Error> {
        let pair = self.bytes[self.at..]
            .first_chunk()
            .ok_or(Error::Truncated)?;
        self.at += 2;
        Ok(usize::from(u16::from_le_bytes(*pair)))
    }

    /// A match's length: in the first byte's `bits`, or else in bytes of its own.
    #[inline(always)]
    fn length(&mut self, bits: usize, base: usize) -> Result<usize, Error> {
        if bits == 0 {
            self.more(base)
        } else {
            Ok(bits + 2)
        }
    }

    /// `base` plus the number in the next bytes.
    fn more(&mut self, base: usize) -> Result<usize, Error> {
        let mut sum = base;
        loop {
            match self.byte()? {
                0 => sum = sum.saturating_add(255),
                last => return Ok(sum.saturating_add(usize::from(last))),
            }
        }
    }
}

/// The content so far: `bytes[..len]`.  Of the rest at least `SLACK` bytes may be written at any time.
struct Output {
    bytes: Vec<u8>,
    len: usize,
    max: usize,
}

impl Output {
    /// Uses the memory of `old`, or twice the block's length.
    fn new(old: Vec<u8>, block: usize, max: usize) -> Output {
        let likely = block.saturating_mul(2).min(max) + SLACK;
        let mut bytes = old;
        if bytes.capacity() < likely {
            // Memory that comes zeroed from the system, and that no page of is there before it is used.
            bytes = vec![0; likely];
        } else {
            bytes.resize(likely, 0);
        }
        Output { bytes, len: 0, max }
    }

    /// Makes room for `more` bytes and the slack beyond them.
    #[inline(always)]
    fn room(&mut self, more: usize) -> Result<(), Error> {
        if more > self.bytes.len() - SLACK - self.len {
            self.grow(more)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn grow(&mut self, more: usize) -> Result<(), Error> {
        if more > self.max - self.len {
            return Err(Error::TooLarge { max: self.max });
        }
        let target = (self.len + more)
            .max(self.len.saturating_mul(2))
            .min(self.max)
            + SLACK;
        self.bytes.reserve_exact(target - self.bytes.len());
        self.bytes.resize(target, 0);
        Ok(())
    }

    #[inline(always)]
    fn literals(&mut self, input: &mut Input, count: usize) -> Result<After, Error> {
        let rest = &input.bytes[input.at..];
        if count > rest.len() {
            return Err(Error::Truncated);
        }
        self.room(count)?;
        match rest.first_chunk::<SLACK>() {
            Some(piece) if count <= SLACK => {
                self.bytes[self.len..self.len + SLACK].copy_from_slice(piece)
            }
            _ => self.bytes[self.len..self.len + count].copy_from_slice(&rest[..count]),
        }
        self.len += count;
        input.at += count;
        Ok(if count < 4 {
            After::FewLiterals
        } else {
            After::ManyLiterals
        })
    }

    #[inline(always)]
    fn copy(&mut self, distance: usize, length: usize) -> Result<(), Error> {
        let from = self.len.checked_sub(distance).ok_or(Error::BadDistance)?;
        self.room(length)?;
        if distance >= SLACK && length <= SLACK {
            self.bytes.copy_within(from..from + SLACK, self.len);
        } else {
            self.repeat(from, distance, length);
        }
        self.len += length;
        Ok(())
    }

    /// Writes `length` bytes that repeat the last `distance` bytes.
    fn repeat(&mut self, from: usize, distance: usize, length: usize) {
        // What is written can be read again, so the piece that can be copied at once doubles each time.
        let mut piece = distance;
        let mut written = 0;
        while written < length {
            let now = piece.min(length - written);
            self.bytes.copy_within(from..from + now, self.len + written);
            written += now;
            piece += now;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }
}
