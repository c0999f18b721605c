//! What ELF header an object for a target has.
//!
//! Source: the machine numbers of the ELF gABI and the processor supplements, and the names of GNU and LLVM triples.

use crate::object::ElfHeader;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

const LITTLE: u8 = 1;
const BIG: u8 = 2;

struct Arch {
    /// The first part of a triple begins so.
    name: &'static [u8],
    class: u8,
    data: u8,
    machine: u16,
}

const fn arch(name: &'static str, bits: u8, data: u8, machine: u16) -> Arch {
    Arch {
        name: name.as_bytes(),
        class: bits / 32,
        data,
        machine,
    }
}

/// Longer names before shorter ones that begin alike.
#[rustfmt::skip]
const ARCHES: &[Arch] = &[
    arch("x86_64",      64, LITTLE, 62),
    arch("amd64",       64, LITTLE, 62),
    arch("i386",        32, LITTLE, 3),
    arch("i486",        32, LITTLE, 3),
    arch("i586",        32, LITTLE, 3),
    arch("i686",        32, LITTLE, 3),
    arch("aarch64_be",  64, BIG,    183),
    arch("aarch64",     64, LITTLE, 183),
    arch("arm64",       64, LITTLE, 183),
    arch("armeb",       32, BIG,    40),
    arch("arm",         32, LITTLE, 40),
    arch("riscv32",     32, LITTLE, 243),
    arch("riscv64",     64, LITTLE, 243),
    arch("loongarch64", 64, LITTLE, 258),
    arch("powerpc64le", 64, LITTLE, 21),
    arch("ppc64le",     64, LITTLE, 21),
    arch("powerpc64",   64, BIG,    21),
    arch("ppc64",       64, BIG,    21),
    arch("powerpcle",   32, LITTLE, 20),
    arch("powerpc",     32, BIG,    20),
    arch("mips64el",    64, LITTLE, 8),
    arch("mipsel",      32, LITTLE, 8),
    arch("s390x",       64, BIG,    22),
    arch("sparc64",     64, BIG,    43),
    arch("m68k",        32, BIG,    4),
    arch("hppa",        32, BIG,    15),
    arch("alpha",       64, LITTLE, 0x9026),
    arch("sh4",         32, LITTLE, 42),
];

const X86_64: u16 = 62;
const X86: u16 = 3;

/// The header of objects that a compiler for `triple` makes when given `words` ([`crate::Job::target_words`]); `None` when it
/// is not known.
pub fn elf_of(triple: &[u8], words: &[&OsStr]) -> Option<ElfHeader> {
    let mut triple = triple;
    let mut class_words = Vec::new();
    let mut words = words.iter().map(|word| word.as_bytes());
    while let Some(word) = words.next() {
        match word {
            b"-target" => triple = words.next()?,
            _ => match word.strip_prefix(b"--target=") {
                Some(named) => triple = named,
                None => class_words.push(word),
            },
        }
    }
    let mut header = of_triple(triple)?;
    for word in class_words {
        header = changed(header, word)?;
    }
    Some(header)
}

fn of_triple(triple: &[u8]) -> Option<ElfHeader> {
    if is_foreign(triple) {
        return None;
    }
    let arch = ARCHES.iter().find(|arch| triple.starts_with(arch.name))?;
    let wide_pointers = !triple.ends_with(b"x32");
    let class = if wide_pointers { arch.class } else { 1 };
    Some(ElfHeader {
        class,
        data: arch.data,
        machine: arch.machine,
    })
}

/// Are the objects for this target ELF files that name their compiler? Those of other systems cannot be checked as these can.
pub fn is_elf(triple: &[u8], words: &[&OsStr]) -> bool {
    let mut triple = triple;
    let mut words = words.iter().map(|word| word.as_bytes());
    while let Some(word) = words.next() {
        match word {
            b"-target" => triple = words.next().unwrap_or(triple),
            _ => triple = word.strip_prefix(b"--target=").unwrap_or(triple),
        }
    }
    !is_foreign(triple)
}

/// Systems with object formats of their own, and processors whose objects do not name the compiler.
fn is_foreign(triple: &[u8]) -> bool {
    const FOREIGN: &[&[u8]] = &[
        b"darwin", b"apple", b"mingw", b"windows", b"cygwin", b"wasm", b"aix", b"ios", b"bpf",
    ];
    FOREIGN
        .iter()
        .any(|name| triple.windows(name.len()).any(|part| part == *name))
}

/// The header after an option that changes the target; `None` when it is not known what it changes.
fn changed(header: ElfHeader, word: &[u8]) -> Option<ElfHeader> {
    let x86 = matches!(header.machine, X86_64 | X86);
    match word {
        b"-m64" if x86 => Some(ElfHeader {
            class: 2,
            machine: X86_64,
            ..header
        }),
        b"-m32" | b"-m16" if x86 => Some(ElfHeader {
            class: 1,
            machine: X86,
            ..header
        }),
        b"-mx32" if x86 => Some(ElfHeader {
            class: 1,
            machine: X86_64,
            ..header
        }),
        _ if word.starts_with(b"-mtune=") || word.starts_with(b"-mcpu=") => Some(header),
        _ if x86 && word.starts_with(b"-march=") => Some(header),
        _ if matches!(header.machine, 40 | 183 | 21 | 22) && word.starts_with(b"-march=") => {
            Some(header)
        }
        _ if x86 && (word == b"-mabi=sysv" || word == b"-mabi=ms") => Some(header),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(triple: &str, words: &[&str]) -> Option<(u8, u8, u16)> {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        elf_of(triple.as_bytes(), &words).map(|h| (h.class, h.data, h.machine))
    }

    #[test]
    fn known_triples_have_headers() {
        assert_eq!(of("x86_64-linux-gnu", &[]), Some((2, LITTLE, 62)));
        assert_eq!(of("x86_64-linux-gnux32", &[]), Some((1, LITTLE, 62)));
        assert_eq!(of("i686-linux-gnu", &[]), Some((1, LITTLE, 3)));
        assert_eq!(of("aarch64-linux-gnu", &[]), Some((2, LITTLE, 183)));
        assert_eq!(of("s390x-linux-gnu", &[]), Some((2, BIG, 22)));
        assert_eq!(of("x86_64-apple-darwin20", &[]), None);
        assert_eq!(of("vax-netbsd", &[]), None);
    }

    #[test]
    fn foreign_formats_are_known() {
        let is_elf = |triple: &str, words: &[&str]| {
            let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
            super::is_elf(triple.as_bytes(), &words)
        };
        assert!(is_elf("x86_64-linux-gnu", &["-m32"]));
        assert!(!is_elf("x86_64-linux-gnu", &["--target=wasm32"]));
        assert!(!is_elf(
            "x86_64-linux-gnu",
            &["-target", "x86_64-apple-darwin"]
        ));
        assert!(is_elf(
            "x86_64-apple-darwin",
            &["--target=riscv64-linux-gnu"]
        ));
        assert!(!is_elf("x86_64-w64-mingw32", &[]));
    }

    #[test]
    fn words_change_them() {
        assert_eq!(of("x86_64-linux-gnu", &["-m32"]), Some((1, LITTLE, 3)));
        assert_eq!(
            of("x86_64-linux-gnu", &["-mx32", "-march=x86-64-v2"]),
            Some((1, LITTLE, 62))
        );
        assert_eq!(
            of("x86_64-linux-gnu", &["-target", "aarch64-linux-gnu"]),
            Some((2, LITTLE, 183))
        );
        assert_eq!(
            of("x86_64-linux-gnu", &["--target=mipsel-linux-gnu"]),
            Some((1, LITTLE, 8))
        );
        assert_eq!(of("riscv64-linux-gnu", &["-march=rv32i"]), None);
        assert_eq!(of("x86_64-linux-gnu", &["-target"]), None);
    }
}
