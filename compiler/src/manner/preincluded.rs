//! What gcc includes before every source without being asked: `stdc-predef.h` of the C library. Macros of it go into debug information
//! with `-g3`, so two machines have to have the same.

use super::text::{marker, unquoted};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The file that gcc included before the source's own first line, from what `-E` wrote; `Some(None)` when there was none, `None` when there
/// were several or the text has no such head.
pub fn file(text: &[u8]) -> Option<Option<Cow<'_, OsStr>>> {
    let mut names = text
        .split(|&b| b == b'\n')
        .filter_map(marker)
        .map(|(_, name)| &name[1..name.len() - 1]);
    // The source, what is built in, the command line; then perhaps a file and the command line again; then the source.
    let source = names.next()?;
    let mut file = None;
    let mut on_command_line = false;
    for name in names {
        match name {
            _ if name == source && on_command_line => return Some(file.map(unquoted)),
            b"<built-in>" => {}
            b"<command-line>" => on_command_line = true,
            // With `-g` the folder is named.
            folder if folder.ends_with(b"//") => {}
            _ if on_command_line && file.is_none_or(|file| file == name) => file = Some(name),
            _ => return None,
        }
    }
    None
}

/// How machines tell each other what such a file is: a digest of its content in 16 hex digits, a blank, its name.
pub fn spelled(name: &OsStr, content: &[u8]) -> Vec<u8> {
    let mut spelled = format!("{:016x} ", digest(content)).into_bytes();
    spelled.extend_from_slice(name.as_bytes());
    spelled
}

/// FNV-1a of 64 bits: enough to see that two files differ, where nobody wants to hide it.
fn digest(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# 0 \"a.c\"\n# 0 \"<built-in>\"\n#define A\n# 0 \"<command-line>\"\n";

    fn found(rest: &str) -> Option<Option<String>> {
        let text = format!("{HEAD}{rest}");
        let found = file(text.as_bytes())?;
        Some(found.map(|name| name.to_string_lossy().into_owned()))
    }

    #[test]
    fn the_file_is_the_one_before_the_source() {
        let predef = "# 1 \"/usr/include/stdc-predef.h\" 1 3 4\n# 19 \"/usr/include/stdc-predef.h\" 3 4\n#define B\n# 0 \"<command-line>\" 2\n";
        let own = "# 1 \"a.c\"\n# 1 \"x.h\" 1\n";
        assert_eq!(
            found(&format!("{predef}{own}")),
            Some(Some("/usr/include/stdc-predef.h".into()))
        );
        assert_eq!(found(own), Some(None));
        assert_eq!(found(predef), None);
        assert_eq!(
            found(&format!("# 1 \"y.h\" 1\n{predef}{own}")),
            None,
            "two files"
        );
        assert_eq!(file(b""), None);
        assert_eq!(file(b"int x;\n"), None);
    }

    #[test]
    fn digests_are_those_of_fnv() {
        assert_eq!(spelled(OsStr::new("x"), b""), b"cbf29ce484222325 x");
        assert_eq!(spelled(OsStr::new("x"), b"foobar"), b"85944171f73967e8 x");
    }
}
