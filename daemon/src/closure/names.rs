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
    match walk(path, links) {
        Some(Walk { real, .. }) if is_plain(&real) || real == Path::new("/") => Ok(real),
        _ => Err(Refused::Name { word: path.into() }),
    }
}

/// Whether `path` leads nowhere above the root, which is its own parent only where it is one.
pub(super) fn stays_below_root(path: &Path, links: &HashMap<&Path, &OsStr>) -> bool {
    walk(path, links).is_some_and(|walk| !walk.above_root)
}

/// Where a name leads in the client's tree.
struct Walk {
    real: PathBuf,
    /// It went up from the root.
    above_root: bool,
}

/// `None`: through too many links.
fn walk(path: &Path, links: &HashMap<&Path, &OsStr>) -> Option<Walk> {
    let mut real = PathBuf::from("/");
    let mut above_root = false;
    let mut rest: Vec<OsString> = parts(path).rev().collect();
    let mut left = MOST_LINKS;
    while let Some(part) = rest.pop() {
        if part == ".." {
            above_root |= !real.pop();
            continue;
        }
        real.push(part);
        if let Some(target) = links.get(real.as_path()) {
            left = left.checked_sub(1)?;
            let target = Path::new(target);
            real.pop();
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            rest.extend(parts(target).rev());
        }
    }
    Some(Walk { real, above_root })
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_within_the_tree() {
        let links = [
            ("/w/l", "../v"),
            ("/w/up", "x/../../.."),
            ("/w/abs", "/../../etc"),
            ("/w/r", "/"),
            ("/w/two", "r/../etc"),
            ("/w/loop", "loop"),
        ];
        let links: HashMap<&Path, &OsStr> = links
            .iter()
            .map(|(name, target)| (Path::new(*name), OsStr::new(*target)))
            .collect();
        let leads = |path: &str| resolve(Path::new(path), &links).ok();
        assert_eq!(leads("/w/l/a.o"), Some("/v/a.o".into()));
        assert_eq!(leads("/w/abs/a.o"), Some("/etc/a.o".into()));
        assert_eq!(leads("/w/loop/a.o"), None);
        for (path, inside) in [
            ("/w/l", true),
            ("/w/r", true),
            ("/w/a/../b", true),
            ("/w/up", false),
            ("/w/abs", false),
            ("/w/two", false),
            ("/w/loop", false),
            ("/w/../../w", false),
        ] {
            assert_eq!(stays_below_root(Path::new(path), &links), inside, "{path}");
        }
    }
}
