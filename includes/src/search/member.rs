//! Files that were found, as members of a closure.

use super::Opened;
use crate::closure::{Member, Role};
use crate::disk::Tree;
use crate::names::Names;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// Is the path below one of the folders?
pub(crate) fn is_below(path: &[u8], folders: &[std::path::PathBuf]) -> bool {
    folders.iter().any(|folder| {
        path.strip_prefix(folder.as_os_str().as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b'/'))
    })
}

/// A file of a closure, in the state in which it was read.
pub(crate) fn member(
    opened: &mut Opened,
    role: Role,
    bytes: &Arc<[u8]>,
    tree: &Tree,
    names: &Names,
) -> Option<Arc<Member>> {
    let file = tree.file(opened.file?);
    let modified = tree.modified(opened.file?);
    if let Some(member) = &opened.member
        && Arc::ptr_eq(&member.bytes, bytes)
        && member.role == role
        && member.modified == modified
    {
        return Some(member.clone());
    }
    let path = |bytes: &[u8]| std::path::PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    let member = Arc::new(Member {
        name: path(names.get(opened.path)),
        real: path(&file.path),
        bytes: bytes.clone(),
        system: opened.system,
        modified,
        role,
    });
    opened.member = Some(member.clone());
    Some(member)
}
