//! Just enough of protocol 1 and 2 to play a server.

use std::io::{self, Read};

/// Four letters and eight hex digits.
pub fn token(tag: &str, value: usize) -> Vec<u8> {
    format!("{tag}{value:08x}").into_bytes()
}

/// What a client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub version: u32,
    pub argv: Vec<Vec<u8>>,
    /// As on the wire: compressed in protocol 2.
    pub body: Vec<u8>,
}

impl Request {
    pub fn read(from: &mut impl Read) -> io::Result<Request> {
        let version = read_token(from, "DIST")?;
        let words = read_token(from, "ARGC")?;
        let mut argv = Vec::new();
        for _ in 0..words {
            let len = read_token(from, "ARGV")?;
            argv.push(read_bytes(from, len)?);
        }
        let len = read_token(from, "DOTI")?;
        Ok(Request {
            version,
            argv,
            body: read_bytes(from, len)?,
        })
    }
}

fn read_token(from: &mut impl Read, tag: &str) -> io::Result<u32> {
    let mut bytes = [0; 12];
    from.read_exact(&mut bytes)?;
    let text = std::str::from_utf8(&bytes).map_err(io::Error::other)?;
    match text.strip_prefix(tag) {
        Some(digits) => u32::from_str_radix(digits, 16).map_err(io::Error::other),
        None => Err(io::Error::other(format!("{text} came where {tag} was due"))),
    }
}

fn read_bytes(from: &mut impl Read, len: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(len.into()).read_to_end(&mut bytes)?;
    if bytes.len() < len as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// A reply, whole; bodies uncompressed.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub version: u32,
    /// A wait status: `exit << 8 | signal`.
    pub status: u32,
    pub stderr: Vec<u8>,
    pub stdout: Vec<u8>,
    pub object: Vec<u8>,
}

impl Reply {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = token("DONE", self.version as usize);
        bytes.extend(token("STAT", self.status as usize));
        for (tag, body) in [
            ("SERR", &self.stderr),
            ("SOUT", &self.stdout),
            ("DOTO", &self.object),
        ] {
            let body = if self.version == 1 {
                body.clone()
            } else {
                literal_lzo(body)
            };
            bytes.extend(token(tag, body.len()));
            bytes.extend(body);
        }
        bytes
    }
}

/// An LZO1X block that copies nothing: one run of literals and the end marker.
pub fn literal_lzo(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    match plain.len() {
        0 => return packed,
        len @ 1..=238 => packed.push(17 + u8::try_from(len).expect("238 at most")),
        len => {
            let rest = len - 19;
            packed.push(0);
            packed.extend(std::iter::repeat_n(0, rest / 255));
            packed.push(u8::try_from(rest % 255 + 1).expect("255 at most"));
        }
    }
    packed.extend_from_slice(plain);
    packed.extend([0x11, 0, 0]);
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_measured_as_the_format_says() {
        // 18 + 255 k + m literals for k zero bytes and a last byte m in 1..=255.
        for len in [239, 273, 274, 528, 529, 5000] {
            let packed = literal_lzo(&vec![7; len]);
            let zeros = packed[1..].iter().take_while(|byte| **byte == 0).count();
            let last = usize::from(packed[1 + zeros]);
            assert_eq!(18 + 255 * zeros + last, len);
        }
    }

    #[test]
    fn a_request_reads_back() {
        let mut bytes = token("DIST", 1);
        bytes.extend(token("ARGC", 1));
        bytes.extend(token("ARGV", 2));
        bytes.extend(b"cc");
        bytes.extend(token("DOTI", 3));
        bytes.extend(b"int");
        let request = Request::read(&mut bytes.as_slice()).unwrap();
        assert_eq!(
            request,
            Request {
                version: 1,
                argv: vec![b"cc".to_vec()],
                body: b"int".to_vec()
            }
        );
    }
}
