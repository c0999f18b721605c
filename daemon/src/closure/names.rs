//! Names in a client's tree: which of them can be made true, and where its links lead. Knows nothing of what stands there.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::check::Refused;

/// What a client's link may go through.
const MOST_LINKS: usize = 40;

/// Absolute, of plain components, and not the root.
pub(super) fn is_plain(name: &Path) -> bool {
    let bytes = name.as_os_str().as_bytes();
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && part.len() <= 255;
    bytes.len() < 4096
        && bytes
            .strip_prefix(b"/")
            .is_some_and(|rest| rest.split(|byte| *byte == b'/').all(plain))
}

/// Where a relative link leads to that leaves every folder on its way up: such a link is not meant for the client's machine.
pub(super) fn climbs(name: &Path, target: &Path) -> Option<PathBuf> {
    let up = target
        .components()
        .take_while(|part| *part == Component::ParentDir)
        .count();
    let depth = name.components().count().saturating_sub(2);
    if up <= depth {
        return None;
    }
    let down = target.components().skip(up);
    Some(Path::new("/").join(down.collect::<PathBuf>()))
}

/// `path` without links and `..`, as it is in the client's tree.
pub(super) fn resolve(path: &Path, links: &HashMap<&Path, &OsStr>) -> Result<PathBuf, Refused> {
    let refused = || Refused::Name { word: path.into() };
    let mut real = PathBuf::from("/");
    let mut rest: Vec<OsString> = parts(path).rev().collect();
    let mut left = MOST_LINKS;
    while let Some(part) = rest.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        real.push(part);
        if let Some(target) = links.get(real.as_path()) {
            left = left.checked_sub(1).ok_or_else(refused)?;
            let target = Path::new(target);
            real.pop();
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            rest.extend(parts(target).rev());
        }
    }
    match is_plain(&real) || real == Path::new("/") {
        true => Ok(real),
        false => Err(refused()),
    }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}
