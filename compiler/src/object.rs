//! What an object file says about itself: for which machine it is, and which compiler wrote it.

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

/// Reads the facts of an object file.
///
/// # Errors
/// [`ObjectError`] says what the bytes are instead.
pub fn inspect(bytes: &[u8]) -> Result<ObjectFacts<'_>, ObjectError> {
    let _ = bytes;
    Err(ObjectError::NotElf)
}

/// The compiler that an assembly text names in its last `.ident "…"`.
pub fn ident_of_assembly(bytes: &[u8]) -> Option<&[u8]> {
    let _ = bytes;
    None
}
