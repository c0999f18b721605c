//! Which macro each name stands for now.

use super::MacroId;
use crate::names::Name;

/// Names to macros. Emptied at the cost of what was put in.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Vec<MacroId>,
    touched: Vec<Name>,
    /// Values that `#pragma push_macro` put aside.
    pushed: Vec<(Name, MacroId)>,
}

impl Table {
    pub(crate) fn get(&self, name: Name) -> MacroId {
        self.slots
            .get(name.index())
            .copied()
            .unwrap_or(MacroId::NONE)
    }

    pub(crate) fn set(&mut self, name: Name, id: MacroId) {
        if name.index() >= self.slots.len() {
            self.slots
                .resize((name.index() + 1).next_power_of_two(), MacroId::NONE);
        }
        let slot = &mut self.slots[name.index()];
        if *slot == MacroId::NONE {
            self.touched.push(name);
        }
        *slot = id;
    }

    pub(crate) fn remove(&mut self, name: Name) {
        if let Some(slot) = self.slots.get_mut(name.index()) {
            *slot = MacroId::NONE;
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
        for name in self.touched.drain(..) {
            self.slots[name.index()] = MacroId::NONE;
        }
        self.pushed.clear();
    }

    pub(crate) fn memory(&self) -> usize {
        4 * self.slots.capacity() + 4 * self.touched.capacity()
    }
}
