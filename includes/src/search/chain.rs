//! The folders that headers are looked for in, in order, as gcc and clang put them together.

use super::SearchFolder;
use crate::Family;
use crate::disk::{FolderId, Found, Trail, Tree};
use crate::names::Names;
use compiler::inclusion::{Chain, Inclusion};
use compiler::tree::search_variable;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

/// Folders in their order, and where those for angle brackets begin.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    pub(crate) all: Vec<SearchFolder>,
    pub(crate) angle: usize,
    /// `-I-`: the folder of the including file is not searched.
    pub(crate) only_named: bool,
    /// Was a folder looked for where nobody watches?
    pub(crate) unwatched: bool,
    /// Absolute names of folders that were named and are not there, or are something else.
    pub(crate) absent: Vec<Vec<u8>>,
    /// The names of all folders that were looked for.
    pub(crate) named: Vec<Vec<u8>>,
}

/// What the folders are made from.
pub(crate) struct Plan<'a> {
    pub(crate) family: Family,
    pub(crate) inclusion: &'a Inclusion<'a>,
    pub(crate) environment: &'a [(OsString, OsString)],
    /// The compiler's own folders.
    pub(crate) own: &'a [Vec<u8>],
}

/// One folder as the command or the compiler names it.
#[derive(Debug, Clone)]
struct Wanted {
    name: Vec<u8>,
    system: bool,
    framework: bool,
}

#[derive(Debug, Default)]
struct Wishes {
    quote: Vec<Wanted>,
    angle: Vec<Wanted>,
    system: Vec<Wanted>,
    after: Vec<Wanted>,
    only_named: bool,
}

/// The folders that are searched by a command that runs in `cwd`.
pub(crate) fn folders(
    plan: &Plan<'_>,
    cwd: FolderId,
    tree: &mut Tree,
    names: &mut Names,
) -> Folders {
    let wishes = wishes(plan);
    let (mut unwatched, mut absent, mut named) = (false, Vec::new(), Vec::new());
    let mut look = |list: Vec<Wanted>| -> Vec<SearchFolder> {
        list.into_iter()
            .filter_map(|wanted| {
                let mut trail = Trail::default();
                let found = tree.resolve(cwd, &wanted.name, names, &mut trail);
                unwatched |= trail.unwatched;
                named.push(wanted.name.clone());
                let Some(Found::Folder(id)) = found else {
                    absent.push(match wanted.name.first() {
                        Some(b'/') => wanted.name,
                        _ => [&tree.path(cwd)[..], b"/", &wanted.name].concat(),
                    });
                    return None;
                };
                Some(SearchFolder {
                    name: wanted.name,
                    id,
                    identity: tree.identity(id),
                    system: wanted.system,
                    framework: wanted.framework,
                    trail,
                })
            })
            .collect()
    };
    let (quote, angle) = (look(wishes.quote), look(wishes.angle));
    let mut system = look(wishes.system);
    system.extend(look(wishes.after));
    let (quote, angle) = match plan.family {
        Family::Gcc => merge_gcc(quote, angle, system),
        Family::Clang => merge_clang(quote, angle, system),
    };
    let at = quote.len();
    let mut all = quote;
    all.extend(angle);
    Folders {
        all,
        angle: at,
        only_named: wishes.only_named,
        unwatched,
        absent,
        named,
    }
}

/// gcc: what is a system folder anyway is none of the user's, and of several the first counts.
fn merge_gcc(
    quote: Vec<SearchFolder>,
    angle: Vec<SearchFolder>,
    system: Vec<SearchFolder>,
) -> (Vec<SearchFolder>, Vec<SearchFolder>) {
    let system = without_duplicates(system, &[], None);
    let join = system.first().map(SearchFolder::key);
    let angle = without_duplicates(angle, &system, join);
    let join = angle.first().or(system.first()).map(SearchFolder::key);
    let quote = without_duplicates(quote, &system, join);
    let mut rest = angle;
    rest.extend(system);
    (quote, rest)
}

fn without_duplicates(
    list: Vec<SearchFolder>,
    system: &[SearchFolder],
    join: Option<(u64, u64, bool)>,
) -> Vec<SearchFolder> {
    let mut kept: Vec<SearchFolder> = Vec::with_capacity(list.len());
    for folder in list {
        let same = |other: &SearchFolder| other.key() == folder.key();
        if !system.iter().any(same) && !kept.iter().any(same) {
            kept.push(folder);
        }
    }
    // The last one would only be searched twice in a row.
    if kept.last().map(SearchFolder::key) == join && join.is_some() {
        kept.pop();
    }
    kept
}

/// clang: of several the first counts, but a user's folder that is a system folder further on counts there.
fn merge_clang(
    quote: Vec<SearchFolder>,
    angle: Vec<SearchFolder>,
    system: Vec<SearchFolder>,
) -> (Vec<SearchFolder>, Vec<SearchFolder>) {
    let quote = without_duplicates(quote, &[], None);
    let mut kept: Vec<SearchFolder> = Vec::new();
    for folder in angle.into_iter().chain(system) {
        match kept.iter().position(|other| other.key() == folder.key()) {
            None => kept.push(folder),
            Some(at) if folder.system && !kept[at].system => {
                kept.remove(at);
                kept.push(folder);
            }
            Some(_) => {}
        }
    }
    (quote, kept)
}

fn wishes(plan: &Plan<'_>) -> Wishes {
    let inclusion = plan.inclusion;
    let sysroot = inclusion.header_sysroot.or(inclusion.sysroot);
    let mut wishes = Wishes::default();
    let mut prefix: Option<Vec<u8>> = None;
    // Behind every -I; and to clang before every -idirafter.
    let mut prefixed_angle = Vec::new();
    let mut prefixed_after = Vec::new();
    for &(chain, value) in &inclusion.search {
        let rooted = || below_sysroot(plan.family, chain, value, sysroot);
        let prefixed = |prefix: &Option<Vec<u8>>| {
            let mut name = prefix.clone().unwrap_or_else(|| own_prefix(plan.own));
            name.extend_from_slice(value);
            name
        };
        match chain {
            Chain::Quote => wishes.quote.push(Wanted::user(rooted())),
            Chain::Angle => wishes.angle.push(Wanted::user(rooted())),
            Chain::System => wishes.system.push(Wanted::system(rooted())),
            Chain::After => wishes.after.push(Wanted::system(rooted())),
            Chain::PrefixedAfter if plan.family == Family::Clang => {
                prefixed_after.push(Wanted::system(prefixed(&prefix)));
            }
            Chain::PrefixedAfter => wishes.after.push(Wanted::system(prefixed(&prefix))),
            Chain::PrefixedAngle => prefixed_angle.push(Wanted::user(prefixed(&prefix))),
            Chain::Prefix => prefix = Some(value.to_vec()),
            Chain::SysrootSystem => {
                let mut name = sysroot.unwrap_or_default().to_vec();
                name.extend_from_slice(value);
                wishes.system.push(Wanted::system(name));
            }
            Chain::Framework => wishes.angle.push(Wanted {
                framework: true,
                ..Wanted::user(value.to_vec())
            }),
            Chain::SystemFramework => wishes.system.push(Wanted {
                framework: true,
                ..Wanted::system(value.to_vec())
            }),
            Chain::Barrier => {
                wishes.quote = std::mem::take(&mut wishes.angle);
                wishes.only_named = true;
            }
        }
    }
    wishes.angle.extend(prefixed_angle);
    wishes.after.splice(0..0, prefixed_after);
    wishes.add_environment(plan);
    wishes
        .system
        .extend(plan.own.iter().cloned().map(Wanted::system));
    wishes
}

impl Wanted {
    fn user(name: Vec<u8>) -> Wanted {
        Wanted {
            name,
            system: false,
            framework: false,
        }
    }

    fn system(name: Vec<u8>) -> Wanted {
        Wanted {
            system: true,
            ..Wanted::user(name)
        }
    }
}

impl Wishes {
    fn add_environment(&mut self, plan: &Plan<'_>) {
        let of_language = search_variable(plan.inclusion.language).unwrap_or("C_INCLUDE_PATH");
        for (name, value) in plan.environment {
            let parts = || {
                value
                    .as_bytes()
                    .split(|&b| b == b':')
                    .map(|part| if part.is_empty() { b"." } else { part }.to_vec())
            };
            if name == "CPATH" && !value.is_empty() {
                self.angle.extend(parts().map(Wanted::user));
            } else if name.as_bytes() == of_language.as_bytes() && !value.is_empty() {
                self.system.extend(parts().map(Wanted::system));
            }
        }
    }
}

/// `=dir` and gcc's `$SYSROOT/dir` are below the system root, where there is one; to clang only behind `-I`.
fn below_sysroot(family: Family, chain: Chain, value: &[u8], sysroot: Option<&[u8]>) -> Vec<u8> {
    let Some(sysroot) = sysroot else {
        return value.to_vec();
    };
    let (rest, between): (_, &[u8]) = match family {
        Family::Gcc => {
            let after_equals = value.strip_prefix(b"=");
            (after_equals.or(value.strip_prefix(b"$SYSROOT")), b"")
        }
        Family::Clang => {
            let rest = value.strip_prefix(b"=").filter(|_| chain == Chain::Angle);
            let joined = rest.is_some_and(|rest| rest.starts_with(b"/")) || sysroot.ends_with(b"/");
            (rest, if joined { b"" } else { b"/" })
        }
    };
    match rest {
        Some(rest) => [sysroot, between, rest].concat(),
        None => value.to_vec(),
    }
}

/// What stands before `-iwithprefix` when no `-iprefix` does: gcc's own folder.
fn own_prefix(own: &[Vec<u8>]) -> Vec<u8> {
    own.iter()
        .find_map(|name| {
            let of_gcc = memchr::memmem::find(name, b"/lib/gcc/").is_some()
                || memchr::memmem::find(name, b"/lib/clang/").is_some();
            name.strip_suffix(b"include")
                .filter(|_| of_gcc)
                .map(<[u8]>::to_vec)
        })
        .unwrap_or_default()
}
