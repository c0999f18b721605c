//! What a job would find that wanted a slot now, for somebody who only looks: takes no lock and changes no file.
//!
//! Decides as taking does. Does not see the queue: whether somebody waits in it shows only to who joins it.

use std::convert::Infallible;
use std::fs::File;

use super::{Row, Slots, Wish, note, rows, watch};
use crate::choice::{Busy, Hold, Outlook, Pick, pick};
use crate::folder::Folder;

/// The hosts as a job would find them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The hosts that have slots, by their place in the wish, in the order in which the job would try them; each with its best
    /// slot that is free. Those without one come last.
    pub order: Vec<(usize, Option<u32>)>,
    /// Would it rather wait for a faster one than take the first of them?
    pub waits: bool,
}

impl Slots {
    /// What a job with this wish would find now.
    pub fn look(&self, wish: &Wish<'_>) -> Found {
        let rows = rows(wish.hosts);
        let ranges = rows.iter().map(|row| row.first..row.slots).collect();
        let outlook = (wish.outlook)();
        let mut glance = Glance {
            folder: &self.folder,
            order: outlook.order(ranges).collect(),
            rows: &rows,
            outlook: &outlook,
        };
        let Ok(picked) = pick(&mut glance);
        let (mut free, mut full) = (Vec::new(), Vec::new());
        let mut known = vec![false; rows.len()];
        for (row, number) in &glance.order {
            if !known[*row] && glance.is_free(*row, *number) {
                known[*row] = true;
                free.push((rows[*row].host, Some(*number)));
            }
        }
        for (row, _) in &glance.order {
            if !std::mem::replace(&mut known[*row], true) {
                full.push((rows[*row].host, None));
            }
        }
        free.append(&mut full);
        Found {
            order: free,
            waits: picked == Pick::Wait,
        }
    }
}

struct Glance<'g> {
    folder: &'g Folder,
    rows: &'g [Row],
    outlook: &'g Outlook,
    order: Vec<(usize, u32)>,
}

impl Glance<'_> {
    fn file(&self, row: usize, number: u32) -> String {
        format!("cpu_{}_{number}", self.rows[row].name)
    }

    fn is_free(&self, row: usize, number: u32) -> bool {
        watch::is_free(self.folder, &self.file(row, number))
    }
}

impl Hold for Glance<'_> {
    type Error = Infallible;

    fn try_take(&mut self, index: usize) -> Result<Option<bool>, Infallible> {
        let slot = self.order.get(index).copied();
        Ok(slot.map(|(row, number)| self.is_free(row, number)))
    }

    /// Nothing was taken.
    fn give_back(&mut self, _: usize) {}

    fn ms(&self, index: usize) -> Option<f32> {
        let (row, number) = self.order[index];
        self.outlook.ms(row, number)
    }

    fn is_short(&self, index: usize) -> bool {
        let (row, number) = self.order[index];
        self.outlook.is_short(row, number)
    }

    fn busy(&self, index: usize) -> Option<Busy> {
        let (row, number) = self.order[index];
        let path = self.folder.lock().join(self.file(row, number));
        // A slot of this very process would lose its lock by the closing.
        if super::held().contains(&path) {
            return None;
        }
        let (elapsed, expected) = note::read(&File::open(path).ok()?)?;
        Some(Busy {
            elapsed,
            expected,
            ms: self.ms(index)?,
        })
    }
}
