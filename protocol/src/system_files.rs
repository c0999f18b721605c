//! What a client saw of system headers that it does not send: their names and digests.
//!
//! A header of the compiler's own folders is there on every machine with that compiler, most often with the same content.
//! The list says which content, so that a daemon where it is another cannot use it in silence; and which names were looked for
//! and are not there, so that a daemon that has one cannot either.
//!
//! ```text
//! (digest: 16 bytes, name: bytes without NUL, NUL)*
//! ```
//!
//! Two digests are none: [`PRESENT`] and [`ABSENT`]. The name behind `ABSENT` is that of a folder, followed by the names that are
//! not in it, each behind two slashes; or that of something that is not there at all.

use crate::ProtocolError;

/// The first 16 bytes of a content's BLAKE3 digest.
pub type Digest = [u8; 16];

/// What stands for a content.
pub fn digest(content: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(&blake3::hash(content).as_bytes()[..LEN]);
    digest
}

/// Stands for a file of which it counts only that it is there.
pub const PRESENT: Digest = [0; 16];
/// Stands before what is not there.
pub const ABSENT: Digest = [0xff; 16];

const LEN: usize = std::mem::size_of::<Digest>();

/// A list in the making, or one that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemFiles {
    bytes: Vec<u8>,
}

impl SystemFiles {
    /// Adds a file by its absolute name.  A name with a NUL, which no file has, is left out.
    pub fn push(&mut self, name: &[u8], digest: &Digest) {
        if !name.contains(&0) {
            self.bytes.extend_from_slice(digest);
            self.bytes.extend_from_slice(name);
            self.bytes.push(0);
        }
    }

    /// Adds that none of `names`, each behind two slashes, is a file in `folder`; without any, that nothing is at `folder`.
    pub fn push_absent(&mut self, folder: &[u8], names: &[u8]) {
        if !folder.contains(&0) && !names.contains(&0) {
            self.bytes.extend_from_slice(&ABSENT);
            self.bytes.extend_from_slice(folder);
            self.bytes.extend_from_slice(names);
            self.bytes.push(0);
        }
    }

    /// The list's bytes, to be packed into a body.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes a list out of an unpacked body.
    ///
    /// # Errors
    /// The last record is not whole, or a name is empty.
    pub fn read(bytes: Vec<u8>) -> Result<SystemFiles, ProtocolError> {
        let list = SystemFiles { bytes };
        let mut records = Records(&list.bytes);
        if records.by_ref().any(|(_, name)| name.is_empty()) || !records.0.is_empty() {
            return Err(ProtocolError::SystemFiles);
        }
        Ok(list)
    }

    /// What the name behind [`ABSENT`] says: a folder, and the names that are not in it.
    pub fn absent(name: &[u8]) -> (&[u8], impl Iterator<Item = &[u8]>) {
        let split = |text: &[u8]| text.windows(2).position(|pair| pair == b"//");
        let (folder, names) = name.split_at(split(name).unwrap_or(name.len()));
        let mut rest = names.get(2..);
        let next = std::iter::from_fn(move || {
            let names = rest?;
            let end = split(names);
            rest = end.map(|end| &names[end + 2..]);
            Some(&names[..end.unwrap_or(names.len())])
        });
        (folder, next)
    }

    /// Digest and name of each file.
    pub fn iter(&self) -> impl Iterator<Item = (&Digest, &[u8])> {
        Records(&self.bytes)
    }
}

/// What is still unread.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = (&'a Digest, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (digest, rest) = self.0.split_first_chunk::<LEN>()?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        self.0 = &rest[end + 1..];
        Some((digest, &rest[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read() {
        let mut list = SystemFiles::default();
        list.push(b"/usr/include/stdio.h", &[0; 16]);
        list.push(b"bad\0name", &[1; 16]);
        list.push("/usr/include/\u{e4} b".as_bytes(), &[255; 16]);
        let read = SystemFiles::read(list.as_bytes().to_vec());
        assert_eq!(read.as_ref(), Ok(&list));
        let names: Vec<_> = list
            .iter()
            .map(|(digest, name)| (digest[0], name))
            .collect();
        assert_eq!(
            names,
            [
                (0, &b"/usr/include/stdio.h"[..]),
                (255, "/usr/include/\u{e4} b".as_bytes())
            ]
        );
        assert_eq!(SystemFiles::read(Vec::new()), Ok(SystemFiles::default()));
    }

    #[test]
    fn a_digest_is_the_beginning_of_blake3s() {
        // The first of its published test vectors.
        let empty = [0xaf, 0x13, 0x49, 0xb9, 0xf5, 0xf9, 0xa1, 0xa6];
        assert_eq!(digest(b"")[..8], empty);
        assert_ne!(digest(b"a"), digest(b"b"));
    }

    #[test]
    fn what_is_absent_is_read() {
        let mut list = SystemFiles::default();
        list.push_absent(b"/usr/include", b"//x.h//sys/y.h");
        list.push_absent(b"/usr/local/none", b"");
        let read = SystemFiles::read(list.as_bytes().to_vec()).expect("whole");
        let said: Vec<_> = read
            .iter()
            .map(|(digest, name)| {
                assert_eq!(*digest, ABSENT);
                let (folder, names) = SystemFiles::absent(name);
                (folder, names.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            said,
            [
                (&b"/usr/include"[..], vec![&b"x.h"[..], b"sys/y.h"]),
                (b"/usr/local/none", Vec::new()),
            ]
        );
    }

    #[test]
    fn half_a_record_is_none() {
        let mut list = SystemFiles::default();
        list.push(b"/a", &[7; 16]);
        for len in 1..list.as_bytes().len() {
            let half = list.as_bytes()[..len].to_vec();
            assert_eq!(
                SystemFiles::read(half),
                Err(ProtocolError::SystemFiles),
                "{len}"
            );
        }
        assert!(SystemFiles::read(vec![0; 17]).is_err());
    }
}
