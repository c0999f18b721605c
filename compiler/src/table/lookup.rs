//! How a word finds its row: binary search for the last row not after it, and from there along the rows that it may begin with.
//!
//! The columns for that are computed when this is compiled.

use super::{Opt, Shape, clang, common, gcc};
use crate::Family;

/// The options of one family.
pub struct Table {
    rows: &'static [Opt],
    /// The first eight bytes of each name, to compare in one step.
    keys: &'static [u64],
    /// For each row the row with the longest name that this row's name begins with; [`NONE`] where there is none.
    parents: &'static [u16],
}

const NONE: u16 = u16::MAX;

impl Table {
    pub fn of(family: Family) -> &'static Table {
        match family {
            Family::Gcc => &gcc::TABLE,
            Family::Clang => &clang::TABLE,
        }
    }

    pub fn rows(&self) -> &'static [Opt] {
        self.rows
    }

    /// The option that `word` spells: the longest name that fits.
    pub fn lookup(&self, word: &[u8]) -> Option<&'static Opt> {
        let mut at = self.last_not_after(word)?;
        loop {
            let row = &self.rows[at];
            let name = row.name.as_bytes();
            let fits = match row.shape {
                Shape::Flag | Shape::Separate => word == name,
                Shape::Joined | Shape::Either => word.starts_with(name),
            };
            if fits {
                return Some(row);
            }
            match self.parents[at] {
                NONE => return None,
                parent => at = usize::from(parent),
            }
        }
    }

    /// Is `word`, up to an equals sign, the beginning of an option's name?
    pub(crate) fn begins_a_name(&self, word: &[u8]) -> bool {
        let start = word.split(|&b| b == b'=').next().unwrap_or_default();
        self.rows
            .iter()
            .any(|row| row.name.as_bytes().starts_with(start))
    }

    /// The last row whose name is not after `word`. Each name that `word` begins with is that row or one of its parents.
    fn last_not_after(&self, word: &[u8]) -> Option<usize> {
        let key = key(word);
        let start = self.keys.partition_point(|&k| k < key);
        let mut end = start;
        while end < self.keys.len()
            && self.keys[end] == key
            && self.rows[end].name.as_bytes() <= word
        {
            end += 1;
        }
        end.checked_sub(1)
    }
}

/// What a table is made of.
pub(super) struct Columns<const N: usize> {
    rows: [Opt; N],
    keys: [u64; N],
    parents: [u16; N],
}

impl<const N: usize> Columns<N> {
    /// The options that all families read alike, and a family's own ones.
    pub(super) const fn new(own: &[Opt]) -> Columns<N> {
        let rows = merge(own);
        Columns {
            keys: keys(&rows),
            parents: parents(&rows),
            rows,
        }
    }

    pub(super) const fn table(&'static self) -> Table {
        Table {
            rows: &self.rows,
            keys: &self.keys,
            parents: &self.parents,
        }
    }
}

/// The common rows and a family's own, each sorted, as one sorted list.
const fn merge<const N: usize>(own: &[Opt]) -> [Opt; N] {
    let common = common::ROWS;
    let mut rows = [common[0]; N];
    let (mut c, mut o) = (0, 0);
    while c + o < N {
        let is_common =
            o == own.len() || c < common.len() && is_before(common[c].name, own[o].name);
        if is_common {
            rows[c + o] = common[c];
            c += 1;
        } else {
            rows[c + o] = own[o];
            o += 1;
        }
    }
    rows
}

const fn is_before(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() {
        if a[i] != b[i] {
            return a[i] < b[i];
        }
        i += 1;
    }
    a.len() < b.len()
}

const fn key(name: &[u8]) -> u64 {
    let mut key = 0;
    let mut i = 0;
    while i < 8 {
        key = key << 8 | if i < name.len() { name[i] as u64 } else { 0 };
        i += 1;
    }
    key
}

const fn keys<const N: usize>(rows: &[Opt]) -> [u64; N] {
    let mut keys = [0; N];
    let mut i = 0;
    while i < N {
        keys[i] = key(rows[i].name.as_bytes());
        i += 1;
    }
    keys
}

const fn parents<const N: usize>(rows: &[Opt]) -> [u16; N] {
    let mut parents = [NONE; N];
    let mut i = 1;
    while i < N {
        let mut candidate = (i - 1) as u16;
        while candidate != NONE
            && !begins(
                rows[i].name.as_bytes(),
                rows[candidate as usize].name.as_bytes(),
            )
        {
            candidate = parents[candidate as usize];
        }
        parents[i] = candidate;
        i += 1;
    }
    parents
}

const fn begins(word: &[u8], start: &[u8]) -> bool {
    if word.len() < start.len() {
        return false;
    }
    let mut i = 0;
    while i < start.len() {
        if word[i] != start[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [Family; 2] = [Family::Gcc, Family::Clang];

    #[test]
    fn every_name_finds_its_own_row() {
        for family in FAMILIES {
            let table = Table::of(family);
            for row in table.rows() {
                assert_eq!(
                    table.lookup(row.name.as_bytes()).map(|found| found.name),
                    Some(row.name)
                );
            }
        }
    }

    #[test]
    fn rows_are_sorted() {
        for family in FAMILIES {
            assert!(
                Table::of(family)
                    .rows()
                    .is_sorted_by(|a, b| a.name.as_bytes() < b.name.as_bytes())
            );
        }
    }

    #[test]
    fn search_agrees_with_a_walk_over_all_rows() {
        for family in FAMILIES {
            let table = Table::of(family);
            for row in table.rows() {
                for tail in ["", "x", "=", "=a/b", "-", "\u{ff}", "no-such"] {
                    for cut in 0..=row.name.len() {
                        let word = [&row.name.as_bytes()[..cut], tail.as_bytes()].concat();
                        let walked = table
                            .rows()
                            .iter()
                            .filter(|opt| match opt.shape {
                                Shape::Flag | Shape::Separate => word == opt.name.as_bytes(),
                                Shape::Joined | Shape::Either => {
                                    word.starts_with(opt.name.as_bytes())
                                }
                            })
                            .max_by_key(|opt| opt.name.len());
                        assert_eq!(table.lookup(&word).map(|o| o.name), walked.map(|o| o.name));
                    }
                }
            }
        }
    }
}
