//! What the first line of `--version` says: whose compiler it is, and how its objects name it.

use crate::{Family, names};

/// Family and `.comment` text out of the first line of `--version`. gcc prints its own name first, where objects say `GCC: `; clang
/// prints what its objects say.
pub fn read(line: &[u8]) -> Option<(Family, Vec<u8>)> {
    if memchr::memmem::find(line, b"clang version").is_some() {
        return Some((Family::Clang, line.trim_ascii().to_vec()));
    }
    // `gcc (Debian 12.2.0-14+deb12u1) 12.2.0`: everything behind the program's name.
    let open = memchr::memchr(b'(', line)?;
    let name = line[..open].trim_ascii();
    let gnu = names::guess(names::base(name)).is_some()
        || name.ends_with(b"gcc")
        || name.ends_with(b"g++");
    gnu.then(|| (Family::Gcc, [b"GCC: ", line[open..].trim_ascii()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_lines_say_what_objects_say() {
        let debian = "GCC: (Debian 12.2.0-14+deb12u1) 12.2.0";
        for (line, family, ident) in [
            ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0", Family::Gcc, debian),
            (
                "aarch64-linux-gnu-gcc-12 (GCC) 12.3.0",
                Family::Gcc,
                "GCC: (GCC) 12.3.0",
            ),
            (
                "Debian clang version 14.0.6",
                Family::Clang,
                "Debian clang version 14.0.6",
            ),
        ] {
            let read = read(line.as_bytes());
            assert_eq!(read, Some((family, ident.as_bytes().to_vec())), "{line}");
        }
        for other in [
            "",
            "tcc version 0.9.27 (x86_64 Linux)",
            "GNU ld (GNU Binutils) 2.40",
        ] {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
    }
}
