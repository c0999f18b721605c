//! Which macro each name stands for now.

use super::{Doubt, MacroId};
use crate::names::Name;

/// Names to macros. Emptying it costs nothing: what was put in before counts no more.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    run: u32,
    /// Values that `#pragma push_macro` put aside.
    pushed: Vec<(Name, MacroId)>,
    pub(crate) doubt: Doubt,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The run that it was filled in.
    run: u32,
    id: MacroId,
}

const VOID: Slot = Slot {
    run: 0,
    id: MacroId::NONE,
};

impl Table {
    #[inline]
    pub(crate) fn get(&self, name: Name) -> MacroId {
        match self.slots.get(name.index()) {
            Some(slot) if slot.run == self.run => slot.id,
            _ => MacroId::NONE,
        }
    }

    #[inline]
    pub(crate) fn set(&mut self, name: Name, id: MacroId) {
        if name.index() >= self.slots.len() {
            let len = (name.index() + 1).next_power_of_two();
            self.slots.resize(len, VOID);
        }
        self.slots[name.index()] = Slot { run: self.run, id };
    }

    #[inline]
    pub(crate) fn remove(&mut self, name: Name) {
        if let Some(slot) = self.slots.get_mut(name.index()) {
            slot.id = MacroId::NONE;
        }
    }

    pub(crate) fn push(&mut self, name: Name) {
        self.pushed.push((name, self.get(name)));
    }

    pub(crate) fn pop(&mut self, name: Name) {
        let Some(at) = self.pushed.iter().rposition(|&(pushed, _)| pushed == name) else {
            return;
        };
        match self.pushed.remove(at).1 {
            MacroId::NONE => self.remove(name),
            id => self.set(name, id),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.pushed.clear();
        self.doubt.clear();
        match self.run.checked_add(1) {
            Some(run) => self.run = run,
            None => {
                self.slots.fill(VOID);
                self.run = 1;
            }
        }
    }

    pub(crate) fn memory(&self) -> usize {
        size_of::<Slot>() * self.slots.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cleared_is_gone() {
        let mut table = Table::default();
        let (name, id) = (Name(7), MacroId::token(3));
        table.clear();
        table.set(name, id);
        table.push(name);
        table.remove(name);
        assert_eq!(table.get(name), MacroId::NONE);
        table.pop(name);
        assert_eq!(table.get(name), id);
        table.clear();
        assert_eq!(table.get(name), MacroId::NONE);
    }
}
