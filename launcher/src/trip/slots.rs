//! Which hosts a job may go to now, what is expected of them, and a slot of one.

use std::cell::RefCell;
use std::time::{Instant, SystemTime};

use hosts::pace::{self, Work};
use hosts::race::Idle;
use hosts::{Host, NoSlot, Outlook, Patience, ProbeGuard};
use hosts::{Slot, Slots, Transport, Try, Wish};

use super::Trip;
use crate::here::{Why, compile_slot};
use crate::idle;
use crate::say::chain;

/// A slot of the host at this place in the list, and the right to be the one that tries it, if it failed before.
pub(super) type Taken = (Slot, usize, Option<ProbeGuard>);

/// Where a job's turn came.
pub(super) enum Place {
    Host(Taken),
    Here(Why, Slot),
}

impl Trip<'_> {
    /// Waits for a slot of a host worth a try, or for one here that is done sooner; else why there is none.
    pub(super) fn take_slot(&mut self) -> Result<Place, Why> {
        let asked = Instant::now();
        let taken = loop {
            match self.take_once() {
                Err(why @ (Why::HostsAvoided | Why::HostsFailed)) if self.may_come_back() => {
                    match self.slot_until_one_is_back() {
                        Ok(slot) => break Ok(Place::Here(why, slot)),
                        Err(NoSlot::Busy) => {}
                        // It runs here without one.
                        Err(NoSlot::NoHost | NoSlot::Folder(_)) => break Err(why),
                    }
                }
                taken => break taken,
            }
        };
        self.entry.queue_ms += asked.elapsed().as_secs_f64() * 1e3;
        taken
    }

    fn take_once(&self) -> Result<Place, Why> {
        let untried = self.untried();
        let hosts = self.hosts(&untried);
        let guards = RefCell::new(Vec::new());
        let outlook = || self.outlook(&hosts, &self.work);
        let barred = || {
            // Who is not to be tried may be by now, and the other way round; for a while nobody else tries those that are tried here.
            guards.borrow_mut().clear();
            let tries: Vec<Try> = hosts.iter().map(|host| self.may_try(host)).collect();
            let barred = tries.iter().map(|may| matches!(may, Try::No { .. }));
            let barred = barred.collect();
            guards.borrow_mut().extend(tries);
            barred
        };
        let here = |ms| self.slot_here(ms);
        let wish = Wish {
            barred: Some(&barred),
            here: self.may_run_here().then_some(&here as _),
            ..Wish::of(&hosts, &outlook)
        };
        let slot = match Slots::new(self.folder).take_remote(&wish, &Patience::FOREVER) {
            Ok(slot) => slot,
            Err(NoSlot::Busy | NoSlot::NoHost) if self.entry.attempts.is_empty() => {
                return Err(Why::HostsAvoided);
            }
            Err(NoSlot::Busy | NoSlot::NoHost) => return Err(Why::HostsFailed),
            Err(NoSlot::Folder(error)) => {
                self.dispatch
                    .command
                    .say
                    .warn(format_args!("{}; can't distribute work", chain(&error)));
                return Err(Why::NoFolder);
            }
        };
        if slot.is_here() {
            return Ok(Place::Here(Why::Idle, slot));
        }
        let place = slot.host_index();
        let probe = match guards.into_inner().swap_remove(place) {
            Try::YesAsProbe(guard) => Some(guard),
            Try::Yes | Try::No { .. } => None,
        };
        Ok(Place::Host((slot, untried[place], probe)))
    }

    /// A slot of this machine for a job that no host may get now; [`NoSlot::Busy`] as soon as one may.
    fn slot_until_one_is_back(&self) -> Result<Slot, NoSlot> {
        let untried = self.untried();
        let hosts = self.hosts(&untried);
        let is_back = || {
            let mut tries = hosts.iter().map(|host| self.may_try(host));
            tries.any(|may| !matches!(may, Try::No { .. }))
        };
        let patience = Patience {
            until: None,
            give_up: &is_back,
        };
        compile_slot(self.folder, self.dispatch.list, &patience)
    }

    /// The best free slot of `candidates` for a second copy, of the host at `only` in the list where it is given; does not wait.
    pub(super) fn take_beside(
        &self,
        mut candidates: Vec<usize>,
        only: Option<usize>,
    ) -> Option<Taken> {
        candidates.retain(|index| only.is_none_or(|only| only == *index));
        let hosts = self.hosts(&candidates);
        let outlook = || self.outlook(&hosts, &self.work);
        let wish = Wish::of(&hosts, &outlook);
        let slot = Slots::new(self.folder).take_remote(&wish, &Patience::NONE);
        let slot = slot.ok()?;
        let index = candidates[slot.host_index()];
        Some((slot, index, None))
    }

    /// The best slot of `candidates` that stands idle.
    pub(super) fn idle(&self, candidates: &[usize]) -> Option<Idle> {
        // Those that a new job may wait for: its queue is the one to look at.
        let all = self.fit(|_| true);
        let hosts = self.hosts(&all);
        let outlook = self.outlook(&hosts, &self.work);
        let again = || outlook.clone();
        let barred = || {
            all.iter()
                .map(|index| !candidates.contains(index))
                .collect()
        };
        let wish = Wish {
            barred: Some(&barred),
            ..Wish::of(&hosts, &again)
        };
        let (place, number) = Slots::new(self.folder).idle(&wish)?;
        Some(Idle {
            host: all[place],
            number,
            ms: outlook.ms(place, number),
        })
    }

    /// What is expected of `hosts` for `work`.
    pub(super) fn outlook(&self, hosts: &[&Host], work: &Work) -> Outlook {
        let keys = hosts.iter().map(|host| pace::host_key(host));
        Outlook::new(&self.paces, keys, work, self.clock.now())
    }

    fn hosts(&self, indices: &[usize]) -> Vec<&Host> {
        let hosts = &self.dispatch.list.hosts;
        indices.iter().map(|index| &hosts[*index]).collect()
    }

    /// May a processor of this machine that is idle take the job?
    fn may_run_here(&self) -> bool {
        let settings = self.dispatch.command.settings;
        settings.local && settings.fallback && !settings.has_local_slot
    }

    fn slot_here(&self, elsewhere: Option<f32>) -> Option<Slot> {
        let (list, now) = (self.dispatch.list, self.clock.now());
        idle::slot(self.folder, list, &self.paces, &self.work, elsewhere, now)
    }

    /// The hosts that are known to be well, without this machine: it is for when no host is left.
    pub(super) fn elsewhere(&self) -> Vec<usize> {
        let hosts = &self.dispatch.list.hosts;
        let mut untried = self.untried();
        untried.retain(|index| {
            let host = &hosts[*index];
            host.transport != Transport::Local && matches!(self.may_try(host), Try::Yes)
        });
        untried
    }

    /// The hosts that have not had the job and have this compiler, by their place in the list.
    pub(super) fn untried(&self) -> Vec<usize> {
        self.fit(|index| !self.tried[index])
    }

    /// Those of the `wanted` hosts that have this compiler, by their place in the list.
    fn fit(&self, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let (now, id) = (SystemTime::now(), self.dispatch.about.id());
        let hosts = self.dispatch.list.hosts.iter().enumerate();
        let up = hosts.filter(|(index, host)| !host.down && wanted(*index));
        up.filter(|(_, host)| !self.dislikes.is_unfit(host, &id, now))
            .map(|(index, _)| index)
            .collect()
    }

    /// Is there a host that only has to come back, and may this job wait for that?  Who runs in a slot of this machine waits for no
    /// other.
    fn may_come_back(&self) -> bool {
        let settings = self.dispatch.command.settings;
        settings.fallback && !settings.has_local_slot && !self.untried().is_empty()
    }

    /// May the host get a job now?  Not for a while after a failure; then one launcher tries it, and the others need not wait for
    /// the end of its job where the host has shown that it lives.
    fn may_try(&self, host: &Host) -> Try {
        let now = SystemTime::now();
        let may = self.dislikes.may_try(host, now);
        let is_tried = || {
            let avoided = self.dislikes.avoided(host, now);
            avoided.is_some_and(|avoided| avoided.until <= now)
        };
        let lives = || {
            let failed = self.dislikes.failed_at(host);
            let row = self.paces.host(pace::host_key(host), self.clock.now());
            failed.is_some_and(|failed| row.lives_since(failed))
        };
        match may {
            Try::No { .. } if is_tried() && lives() => Try::Yes,
            may => may,
        }
    }
}
