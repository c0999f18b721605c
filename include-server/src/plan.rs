//! What of a closure is sent, under which names: for stock daemons, which put everything below a folder of their own, and for ours,
//! which make the names true. Knows nothing of how it travels.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use includes::{Closure, Member, Role};

/// One thing to send.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    File(FileItem),
    Link {
        name: PathBuf,
        target: PathBuf,
    },
    /// A folder of the compiler's own, which the daemon has itself: a link that climbs out of its folder.
    SystemFolder {
        name: PathBuf,
        target: PathBuf,
    },
    Folder(PathBuf),
}

#[derive(Debug, Clone)]
pub(crate) struct FileItem {
    pub member: Arc<Member>,
    /// Comes before the content: the line that says the file's name to a compiler that sees another one.
    pub named: bool,
}

impl FileItem {
    /// The bytes that travel.
    pub(crate) fn content(&self) -> std::borrow::Cow<'_, [u8]> {
        let bytes = &*self.member.bytes;
        if !self.named {
            return bytes.into();
        }
        let (mark, rest) = match bytes.strip_prefix(b"\xef\xbb\xbf") {
            // A byte order mark counts only at the very beginning.
            Some(rest) => (&bytes[..3], rest),
            None => (&b""[..], bytes),
        };
        let mut text = mark.to_vec();
        text.extend_from_slice(b"#line 1 \"");
        for byte in self.member.name.as_os_str().as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                text.push(b'\\');
            }
            text.push(*byte);
        }
        text.extend_from_slice(b"\"\n");
        text.extend_from_slice(rest);
        text.into()
    }
}

/// For a stock daemon: the files outside the compiler's own folders by their real names, then links, then folders.
pub(crate) fn for_stock(closure: &Closure, force_folders: bool) -> Vec<Item> {
    let mut items = Vec::with_capacity(closure.files.len() + 16);
    let mut seen = HashSet::new();
    // Whatever is printed there is compiled here again, and nothing is shown of what stands in `#line`.
    let own = closure
        .files
        .iter()
        .filter(|member| !member.system && member.role != Role::Quoted);
    for member in own {
        let named = member.name.is_absolute();
        // As bytes: a path is hashed by its components.
        if seen.insert((member.real.as_os_str(), named)) {
            items.push(Item::File(FileItem {
                member: Arc::clone(member),
                named,
            }));
        }
    }
    let system = &closure.system_directories;
    for name in system.iter().filter(|name| !is_below_another(name, system)) {
        items.push(Item::SystemFolder {
            name: name.clone(),
            target: climbing(name),
        });
    }
    let mut linked = HashSet::new();
    for link in closure.links.iter().filter(|link| !link.system) {
        if linked.insert(&link.path) {
            items.push(Item::Link {
                name: link.path.clone(),
                target: link.real.clone(),
            });
        }
    }
    if force_folders {
        let folders = closure.directories.iter();
        let own = folders.filter(|folder| !is_system(folder, system));
        let mut forced = HashSet::new();
        let own = own.filter(|folder| forced.insert(Arc::clone(folder)));
        items.extend(own.map(|folder| Item::Folder(folder.to_path_buf())));
    }
    items
}

/// For a daemon of ours: names are true, links have their own text. With `whole` the compiler's own headers are among the files.
pub(crate) fn for_tree(closure: &Closure, directory: &Path, whole: bool) -> Vec<Item> {
    let mut items = Vec::with_capacity(closure.files.len() + 16);
    let mut seen = HashSet::new();
    for member in closure
        .files
        .iter()
        .filter(|member| whole || !member.system)
    {
        if seen.insert(member.real.as_os_str()) {
            items.push(Item::File(FileItem {
                member: Arc::clone(member),
                named: false,
            }));
        }
    }
    let mut names = HashSet::new();
    let mut link = |name: PathBuf, target: PathBuf, items: &mut Vec<Item>| {
        if names.insert(name.clone()) {
            items.push(Item::Link { name, target });
        }
    };
    for found in closure.links.iter().filter(|link| whole || !link.system) {
        link(found.path.clone(), found.target.clone(), &mut items);
    }
    let (real, on_the_way) = resolve(directory);
    for (name, target) in on_the_way {
        link(name, target, &mut items);
    }
    let system = &closure.system_directories;
    let folders = closure.directories.iter();
    let own = folders.filter(|folder| whole || !is_system(folder, system));
    let mut folders: HashSet<PathBuf> = own.map(|folder| folder.to_path_buf()).collect();
    folders.insert(real);
    if whole {
        // Even those that no file is sent of: the daemon's own files there are to be hidden.
        folders.extend(system.iter().cloned());
    }
    let mut folders: Vec<_> = folders.into_iter().collect();
    folders.sort();
    items.extend(folders.into_iter().map(Item::Folder));
    items
}

/// The name by which a compiler opens a header of its own, where a link leads from there to the real one: on another machine it may lead
/// elsewhere.
pub(crate) fn other_name(member: &Member, closure: &Closure) -> Option<Vec<u8>> {
    if !member.name.is_absolute() || member.name == member.real {
        return None;
    }
    let mut name = PathBuf::from("/");
    for part in parts(&member.name) {
        if part == ".." {
            name.pop();
        } else {
            name.push(part);
        }
    }
    let other = name != member.real && is_system(&name, &closure.system_directories);
    other.then(|| name.into_os_string().into_vec())
}

fn is_system(path: &Path, system: &[PathBuf]) -> bool {
    system.iter().any(|folder| path.starts_with(folder))
}

fn is_below_another(path: &Path, system: &[PathBuf]) -> bool {
    system
        .iter()
        .any(|folder| folder != path && path.starts_with(folder))
}

/// The text of a link that leads from anywhere below a daemon's folder to `name` on its machine: enough steps up, as stock clients count
/// them, and down again.
fn climbing(name: &Path) -> PathBuf {
    let depth = name.components().count() - 1;
    let mut text = b"../".repeat(20 + depth);
    let down = name.as_os_str().as_bytes();
    text.extend_from_slice(down.strip_prefix(b"/").unwrap_or(down));
    PathBuf::from(OsString::from_vec(text))
}

/// The real name of a folder, and the links that lead there.
fn resolve(folder: &Path) -> (PathBuf, Vec<(PathBuf, PathBuf)>) {
    let mut links = Vec::new();
    let mut real = PathBuf::from("/");
    let mut rest: Vec<OsString> = parts(folder);
    rest.reverse();
    // More links than a kernel follows.
    let mut left = 40;
    while let Some(part) = rest.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let path = real.join(&part);
        match std::fs::read_link(&path) {
            Ok(target) if left > 0 => {
                left -= 1;
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                rest.extend(parts(&target).into_iter().rev());
                links.push((path, target));
            }
            _ => real = path,
        }
    }
    (real, links)
}

fn parts(path: &Path) -> Vec<OsString> {
    let named = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        _ => None,
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use includes::Link;
    use std::time::SystemTime;

    fn member(name: &str, real: &str, bytes: &[u8], system: bool) -> Arc<Member> {
        Arc::new(Member {
            name: name.into(),
            real: real.into(),
            bytes: bytes.into(),
            system,
            modified: SystemTime::UNIX_EPOCH,
            role: Role::Header,
        })
    }

    fn closure() -> Closure {
        Closure {
            files: vec![
                member("a.c", "/w/a.c", b"int a;\n", false),
                member("/w/inc/x.h", "/w/inc/x.h", b"\xef\xbb\xbfint x;\n", false),
                member("inc/x.h", "/w/inc/x.h", b"\xef\xbb\xbfint x;\n", false),
                member("/usr/include/s.h", "/usr/include/s.h", b"", true),
            ],
            links: vec![Arc::new(Link {
                path: "/w/l".into(),
                target: "inc".into(),
                real: "/w/inc".into(),
                system: false,
            })],
            directories: vec![
                Path::new("/w/empty").into(),
                Path::new("/usr/include/sys").into(),
            ],
            system_directories: vec![
                PathBuf::from("/usr/include"),
                PathBuf::from("/usr/include/c++"),
                PathBuf::from("/usr/local/include"),
            ]
            .into(),
            ..Closure::default()
        }
    }

    fn shown(items: &[Item]) -> Vec<String> {
        let shown = items.iter().map(|item| match item {
            Item::File(file) => format!("{} {}", file.member.real.display(), file.named),
            Item::Link { name, target } => format!("{} -> {}", name.display(), target.display()),
            Item::SystemFolder { name, target } => {
                format!("{} => {}", name.display(), target.components().count())
            }
            Item::Folder(name) => format!("{}/", name.display()),
        });
        shown.collect()
    }

    #[test]
    fn stock_gets_real_names_links_and_folders() {
        let wanted = [
            "/w/a.c false",
            "/w/inc/x.h true",
            "/w/inc/x.h false",
            "/usr/include => 24",
            "/usr/local/include => 26",
            "/w/l -> /w/inc",
            "/w/empty/",
        ];
        assert_eq!(shown(&for_stock(&closure(), true)), wanted);
        assert_eq!(for_stock(&closure(), false).len(), wanted.len() - 1);
    }

    #[test]
    fn a_tree_has_each_file_once_and_links_as_they_are() {
        let root = tempfile::tempdir().expect("folder");
        let real = root.path().canonicalize().expect("there");
        std::fs::create_dir(real.join("d")).expect("folder");
        std::os::unix::fs::symlink("d", real.join("link")).expect("link");
        let items = for_tree(&closure(), &real.join("link"), false);
        let mut wanted = vec!["/w/a.c false".to_owned(), "/w/inc/x.h true".to_owned()];
        wanted[1] = "/w/inc/x.h false".into();
        wanted.push("/w/l -> inc".into());
        wanted.push(format!("{} -> d", real.join("link").display()));
        let shown = shown(&items);
        assert_eq!(shown[..4], wanted);
        assert!(shown.contains(&format!("{}/", real.join("d").display())));
        assert!(
            shown.contains(&"/w/empty/".into()) && shown.len() == 6,
            "{shown:?}"
        );
        assert_eq!(for_tree(&closure(), &real, true).len(), 3 + 1 + 3 + 3);
    }

    #[test]
    fn a_mark_stays_first() {
        let Item::File(file) = &for_stock(&closure(), false)[1] else {
            panic!("a file");
        };
        assert_eq!(
            &*file.content(),
            b"\xef\xbb\xbf#line 1 \"/w/inc/x.h\"\nint x;\n"
        );
    }
}
