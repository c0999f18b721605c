//! What each option is to including: where it goes in an [`Inclusion`](super::Inclusion), and whether the compiler has to see it to say
//! what it predefines.

use super::Chain;
use crate::Reason;
use crate::table::Effect;

/// What an option is to including.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Define,
    Undefine,
    Include,
    Macros,
    Search(Chain),
    Sysroot,
    HeaderSysroot,
    Overlay,
    /// Its value is a file that the driver reads.
    Read,
    Depth,
    Charset,
    /// Changes what is included in a way that nobody here follows.
    Unknown,
}

pub(super) fn role(name: &str) -> Option<Role> {
    Some(match name {
        "-D" | "--define-macro" | "--define-macro=" => Role::Define,
        "-U" | "--undefine-macro" | "--undefine-macro=" => Role::Undefine,
        "-include" | "--include" | "--include=" => Role::Include,
        "-imacros" | "--imacros" | "--imacros=" => Role::Macros,
        "-I" | "--include-directory" | "--include-directory=" => Role::Search(Chain::Angle),
        "-iquote" => Role::Search(Chain::Quote),
        "-isystem" => Role::Search(Chain::System),
        "-idirafter" | "--include-directory-after" | "--include-directory-after=" => {
            Role::Search(Chain::After)
        }
        "-iwithprefix"
        | "--include-with-prefix"
        | "--include-with-prefix="
        | "--include-with-prefix-after"
        | "--include-with-prefix-after=" => Role::Search(Chain::PrefixedAfter),
        "-iwithprefixbefore" | "--include-with-prefix-before" | "--include-with-prefix-before=" => {
            Role::Search(Chain::PrefixedAngle)
        }
        "-iprefix" | "--include-prefix" | "--include-prefix=" => Role::Search(Chain::Prefix),
        "-iwithsysroot" => Role::Search(Chain::SysrootSystem),
        "-F" => Role::Search(Chain::Framework),
        "-iframework" => Role::Search(Chain::SystemFramework),
        "-I-" | "--include-barrier" => Role::Search(Chain::Barrier),
        "--sysroot" | "--sysroot=" => Role::Sysroot,
        "-isysroot" => Role::HeaderSysroot,
        "-ivfsoverlay" | "-ivfsoverlay=" => Role::Overlay,
        "-specs" | "-specs=" | "--specs" | "--specs=" | "--config" | "--config=" => Role::Read,
        "-fmax-include-depth=" => Role::Depth,
        "-finput-charset=" => Role::Charset,
        "-traditional"
        | "--traditional"
        | "-traditional-cpp"
        | "--traditional-cpp"
        | "-remap"
        | "-index-header-map"
        | "-iframeworkwithsysroot"
        | "-working-directory"
        | "-working-directory=" => Role::Unknown,
        _ => return reads_other_headers(name).then_some(Role::Unknown),
    })
}

/// Is it about modules or headers that were compiled before?
fn reads_other_headers(name: &str) -> bool {
    const STARTS: &[&str] = &[
        "-fmodule",
        "-fcxx-modules",
        "-fprebuilt-",
        "-fimplicit-module-maps",
        "-fbuiltin-module-map",
        "-include-pch",
        "-include-pth",
        "-fpch-preprocess",
        "-fsystem-module",
    ];
    STARTS.iter().any(|start| name.starts_with(start))
}

/// Folders that only clang's own compiler has options for.
pub(super) fn frontend_role(word: &[u8]) -> Option<Chain> {
    match word {
        b"-internal-isystem" | b"-internal-externc-isystem" => Some(Chain::System),
        _ => None,
    }
}

/// Words that are frequent and change nothing that is predefined, as a test asks gcc and clang.
pub const HARMLESS: &[&str] = &[
    "-fdata-sections",
    "-ffunction-sections",
    "-fmerge-all-constants",
    "-fno-common",
    "-fno-ident",
    "-fno-omit-frame-pointer",
    "-fno-plt",
    "-fno-semantic-interposition",
    "-fno-strict-aliasing",
    "-fomit-frame-pointer",
    "-fstrict-aliasing",
    "-funroll-loops",
    "-fvisibility-inlines-hidden",
    "-fvisibility=default",
    "-fvisibility=hidden",
    "-pipe",
];

/// Can an option change what the compiler predefines, or where its own headers are?
pub(super) fn matters_to_probe(name: &str, effect: Effect) -> bool {
    match effect {
        Effect::Cpp => matches!(
            name,
            "-undef"
                | "-trigraphs"
                | "--trigraphs"
                | "-ibuiltininc"
                | "-nobuiltininc"
                | "-A"
                | "--assert"
                | "--assert="
        ),
        Effect::Search => match role(name) {
            Some(Role::Search(chain)) => chain == Chain::Prefix,
            Some(Role::Overlay) => false,
            _ => true,
        },
        Effect::Everywhere | Effect::Fallthrough => {
            !name.starts_with("-W") && !name.starts_with("-fdiagnostics") && !is_path_map(name)
        }
        Effect::Target
        | Effect::Cpu
        | Effect::Columns
        | Effect::Guess
        | Effect::LikeF
        | Effect::LikeM
        | Effect::Lto(_) => true,
        Effect::Here(reason) => !matches!(
            reason,
            Reason::KeepsTemporaries
                | Reason::Verbose
                | Reason::Dumps
                | Reason::Times
                | Reason::WritesReport
                | Reason::Profile
                | Reason::Coverage
                | Reason::Question
                | Reason::Wrapper
        ),
        _ => false,
    }
}

fn is_path_map(name: &str) -> bool {
    name.ends_with("-prefix-map=") || matches!(name, "-frandom-seed=" | "-fdebug-compilation-dir=")
}

/// Charsets in which every byte that directives are made of means what it means in ASCII.
pub(super) fn is_like_ascii(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    [
        &b"utf-8"[..],
        b"utf8",
        b"ascii",
        b"us-ascii",
        b"latin1",
        b"cp1252",
        b"windows-1252",
    ]
    .contains(&&name[..])
        || name.starts_with(b"iso-8859-")
        || name.starts_with(b"iso8859-")
        || name.starts_with(b"koi8-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Family;
    use crate::table::Table;

    /// Every row that says where headers are looked for is followed, given to the compiler that is asked, or refused.
    #[test]
    fn no_way_to_search_is_forgotten() {
        for family in [Family::Gcc, Family::Clang] {
            for row in Table::of(family).rows() {
                if row.effect == Effect::Search {
                    assert!(
                        role(row.name).is_some() || matters_to_probe(row.name, row.effect),
                        "{}",
                        row.name
                    );
                }
            }
        }
    }
}
