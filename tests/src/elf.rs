//! Objects that a healthy host would never return.

/// The object with another machine in its header (183 is aarch64, 3 is i386), all else as it was.
pub fn for_machine(object: &[u8], machine: u16) -> Vec<u8> {
    let mut changed = elf(object);
    changed[18..20].copy_from_slice(&machine.to_le_bytes());
    changed
}

/// The object with the other word size in its header.
pub fn for_other_class(object: &[u8]) -> Vec<u8> {
    let mut changed = elf(object);
    changed[4] = 3 - changed[4];
    changed
}

/// The object as a compiler of another version would have signed it.
///
/// Looks for `version` behind the compiler's name in `.comment`, the one place that says it in plain text.
pub fn for_another_compiler(object: &[u8], signature: &str) -> Vec<u8> {
    let mut changed = elf(object);
    let at = changed
        .windows(signature.len())
        .position(|window| window == signature.as_bytes())
        .expect("the compiler signs its objects");
    let digit = changed[at..]
        .iter()
        .position(u8::is_ascii_digit)
        .expect("a signature holds a version");
    changed[at + digit] = if changed[at + digit] == b'9' {
        b'8'
    } else {
        b'9'
    };
    changed
}

fn elf(object: &[u8]) -> Vec<u8> {
    assert_eq!(&object[..4], b"\x7fELF", "an object is an ELF file");
    object.to_vec()
}
