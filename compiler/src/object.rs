//! What an object file says about itself: for which machine it is, and which compiler wrote it.
//!
//! Sources: the ELF gABI (header, section headers) and what gcc and clang write into `.comment`. Every offset in the file is checked.

/// What the header and the `.comment` section of an ELF object say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFacts<'a> {
    pub header: ElfHeader,
    /// `e_flags`: floating-point and instruction-set marks on ARM, MIPS, RISC-V, PowerPC.
    pub flags: u32,
    /// The strings of `.comment`, one for each compiler that took part (`GCC: (Debian 12.2.0-14) 12.2.0`).
    pub comments: Vec<&'a [u8]>,
}

/// The three fields of an ELF header that tell machines apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ElfHeader {
    /// `EI_CLASS`: 1 for 32 bits, 2 for 64.
    pub class: u8,
    /// `EI_DATA`: 1 for little endian, 2 for big.
    pub data: u8,
    /// `e_machine`.
    pub machine: u16,
}

/// What an object is instead of one that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    #[error("not an ELF file")]
    NotElf,
    #[error("LLVM bitcode, which says nothing of its machine")]
    Bitcode,
    #[error("ELF file cut short or with offsets outside of it")]
    Broken,
    #[error("ELF file, but not a relocatable object")]
    NotRelocatable,
}

/// `e_type` of a relocatable object.
const ET_REL: u16 = 1;
/// The index that says that the true one is in the first section header.
const SHN_XINDEX: u16 = 0xffff;
/// Strings of `.comment` that are looked at; compilers leave one, `ld -r` one for each of its inputs.
pub const MAX_COMMENTS: usize = 64;

/// Reads the facts of an object file.
///
/// # Errors
/// [`ObjectError`] says what the bytes are instead.
pub fn inspect(bytes: &[u8]) -> Result<ObjectFacts<'_>, ObjectError> {
    if bytes.starts_with(b"BC\xc0\xde") || bytes.starts_with(&[0xde, 0xc0, 0x17, 0x0b]) {
        return Err(ObjectError::Bitcode);
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Err(ObjectError::NotElf);
    }
    Elf::open(bytes).ok_or(ObjectError::Broken)?.facts()
}

struct Elf<'a> {
    bytes: &'a [u8],
    wide: bool,
    big: bool,
}

impl<'a> Elf<'a> {
    fn open(bytes: &'a [u8]) -> Option<Elf<'a>> {
        let wide = match bytes.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let big = match bytes.get(5)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        Some(Elf { bytes, wide, big })
    }

    fn facts(&self) -> Result<ObjectFacts<'a>, ObjectError> {
        let kind = self.half(16).ok_or(ObjectError::Broken)?;
        let machine = self.half(18).ok_or(ObjectError::Broken)?;
        let flags = self
            .word(if self.wide { 48 } else { 36 })
            .ok_or(ObjectError::Broken)?;
        if kind != ET_REL {
            return Err(ObjectError::NotRelocatable);
        }
        let comment = self.section(b".comment").ok_or(ObjectError::Broken)?;
        let comments = comment
            .unwrap_or_default()
            .split(|&b| b == 0)
            .filter(|text| !text.is_empty())
            .take(MAX_COMMENTS)
            .collect();
        let header = ElfHeader {
            class: 1 + u8::from(self.wide),
            data: 1 + u8::from(self.big),
            machine,
        };
        Ok(ObjectFacts {
            header,
            flags,
            comments,
        })
    }

    /// The bytes of the section of this name; `Some(None)` when there is none, `None` when the file is broken.
    fn section(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        let (table, entry, count, names) = self.section_headers()?;
        let names = self.contents(table.checked_add(entry.checked_mul(names)?)?)?;
        for index in 0..count {
            let header = table.checked_add(entry.checked_mul(index)?)?;
            let at = usize::try_from(self.word(header)?).ok()?;
            if names.get(at..)?.split(|&b| b == 0).next() == Some(name) {
                return self.contents(header).map(Some);
            }
        }
        Some(None)
    }

    /// Offset of the section headers, size of one, how many there are, and which one holds the names.
    fn section_headers(&self) -> Option<(usize, usize, usize, usize)> {
        let table = self.long(if self.wide { 40 } else { 32 })?;
        let at = if self.wide { 58 } else { 46 };
        let entry = usize::from(self.half(at)?);
        let (count, names) = (self.half(at + 2)?, self.half(at + 4)?);
        if entry < if self.wide { 64 } else { 40 } {
            return None;
        }
        // Objects with many sections keep both numbers in the first section header.
        let (size_at, link_at) = if self.wide { (32, 40) } else { (20, 24) };
        let count = match count {
            0 => self.long(table.checked_add(size_at)?)?,
            count => usize::from(count),
        };
        let names = match names {
            SHN_XINDEX => usize::try_from(self.word(table.checked_add(link_at)?)?).ok()?,
            names => usize::from(names),
        };
        // Each header takes up bytes of the file, which bounds the walk.
        (count <= self.bytes.len() / entry).then_some((table, entry, count, names))
    }

    /// The bytes that a section header names.
    fn contents(&self, header: usize) -> Option<&'a [u8]> {
        let (offset_at, size_at) = if self.wide { (24, 32) } else { (16, 20) };
        let offset = self.long(header.checked_add(offset_at)?)?;
        let size = self.long(header.checked_add(size_at)?)?;
        self.bytes.get(offset..offset.checked_add(size)?)
    }

    fn half(&self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk::<2>()?;
        Some(if self.big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// A field of the file's own width.
    fn long(&self, at: usize) -> Option<usize> {
        if !self.wide {
            return usize::try_from(self.word(at)?).ok();
        }
        let bytes = *self.bytes.get(at..)?.first_chunk::<8>()?;
        usize::try_from(if self.big {
            u64::from_be_bytes(bytes)
        } else {
            u64::from_le_bytes(bytes)
        })
        .ok()
    }
}

/// Is this what compilers of these families call themselves, and not a remark of a source?
pub fn names_compiler(ident: &[u8]) -> bool {
    ident.starts_with(b"GCC: ") || memchr::memmem::find(ident, b"clang version ").is_some()
}

/// The compiler that an assembly text names in its last `.ident "…"`.
pub fn ident_of_assembly(bytes: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::rfind(bytes, b".ident")?;
    let line = bytes[at..].split(|&b| b == b'\n').next()?;
    let open = line.iter().position(|&b| b == b'"')?;
    let close = line.iter().rposition(|&b| b == b'"')?;
    line.get(open + 1..close)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A big-endian 32-bit object with a `.comment` section: header, contents, two section headers.
    fn small_object() -> Vec<u8> {
        let mut bytes = vec![0; 52];
        bytes[..7].copy_from_slice(b"\x7fELF\x01\x02\x01");
        bytes[17] = 1; // ET_REL
        bytes[19] = 20; // EM_PPC
        let comment = b"\0GCC: (x) 12\0";
        let names = b"\0.comment\0";
        bytes.extend_from_slice(comment);
        bytes.extend_from_slice(names);
        let table = bytes.len() as u32;
        bytes[32..36].copy_from_slice(&table.to_be_bytes());
        bytes[46..52].copy_from_slice(&[0, 40, 0, 2, 0, 0]);
        for (name, offset, size) in [
            (0u32, 52 + comment.len(), names.len()),
            (1, 52, comment.len()),
        ] {
            let mut header = [0; 40];
            header[..4].copy_from_slice(&name.to_be_bytes());
            header[16..20].copy_from_slice(&(offset as u32).to_be_bytes());
            header[20..24].copy_from_slice(&(size as u32).to_be_bytes());
            bytes.extend_from_slice(&header);
        }
        bytes
    }

    #[test]
    fn header_and_comment_are_read() {
        let bytes = small_object();
        let facts = inspect(&bytes).expect("a whole object");
        assert_eq!(
            facts.header,
            ElfHeader {
                class: 1,
                data: 2,
                machine: 20
            }
        );
        assert_eq!(facts.comments, [b"GCC: (x) 12"]);
    }

    #[test]
    fn every_cut_and_every_changed_byte_gives_an_answer() {
        let bytes = small_object();
        // The last fields of the last section header say nothing here.
        for len in 0..bytes.len() - 16 {
            assert!(inspect(&bytes[..len]).is_err());
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                let comments = inspect(&bytes).map(|facts| facts.comments.len());
                assert!(comments.is_err() || comments.is_ok_and(|count| count <= MAX_COMMENTS));
            }
        }
    }

    #[test]
    fn other_files_are_told_apart() {
        assert_eq!(inspect(b"int x;"), Err(ObjectError::NotElf));
        assert_eq!(inspect(b"BC\xc0\xde...."), Err(ObjectError::Bitcode));
        assert_eq!(inspect(b"\x7fELF"), Err(ObjectError::Broken));
    }

    #[test]
    fn ident_is_the_last_one() {
        let text = b"\t.ident\t\"mine\"\n\t.ident\t\"GCC: (Debian) 12.2.0\"\n\t.section x\n";
        assert_eq!(ident_of_assembly(text), Some(&b"GCC: (Debian) 12.2.0"[..]));
        assert_eq!(ident_of_assembly(b".text\n"), None);
        assert_eq!(ident_of_assembly(b".ident \""), None);
    }
}
