//! Which hosts a job may go to now, what is expected of them, and a slot of one.

use std::time::{Duration, Instant, SystemTime};

use hosts::pace::{self, Work};
use hosts::race::Idle;
use hosts::{Host, NoSlot, Outlook, Patience, ProbeGuard, Slot, Slots, Transport, Try, Wish};

use super::Trip;
use crate::here::Why;
use crate::idle;
use crate::say::chain;

/// Who waited no longer than this need not look again whether his host is avoided by now.
const NO_WAIT: Duration = Duration::from_millis(50);

/// A slot of the host at this place in the list, and the right to be the one that tries it, if it failed before.
pub(super) type Taken = (Slot, usize, Option<ProbeGuard>);

/// Where a job's turn came.
pub(super) enum Place {
    Host(Taken),
    Here(Slot),
}

impl Trip<'_> {
    /// Waits for a slot of a host worth a try, or for one here that is done sooner; else why there is none.
    pub(super) fn take_slot(&mut self) -> Result<Place, Why> {
        let asked = Instant::now();
        let taken = loop {
            if let Some(taken) = self.take_once(asked) {
                break taken;
            }
        };
        self.entry.queue_ms += asked.elapsed().as_secs_f64() * 1e3;
        taken
    }

    /// `None`: what was waited for has changed, so wait for something else.
    fn take_once(&self, asked: Instant) -> Option<Result<Place, Why>> {
        let mut candidates = self.candidates();
        let hosts: Vec<&Host> = self.hosts(&candidates);
        // While this job waits, its hosts may go away, and others come back.
        let changed =
            || hosts.iter().all(|host| self.avoided(host)) || self.is_another_back(&hosts);
        let waiting = Patience {
            until: None,
            give_up: &changed,
        };
        let outlook = || self.outlook(&hosts, &self.work);
        let here = |ms| self.slot_here(ms);
        let wish = Wish {
            here: self.may_run_here().then_some(&here as _),
            ..Wish::of(&hosts, &outlook)
        };
        let slot = match Slots::new(self.folder).take_remote(&wish, &waiting) {
            Ok(slot) => slot,
            Err(NoSlot::Busy) => return None,
            Err(NoSlot::NoHost) if self.entry.attempts.is_empty() => {
                return Some(Err(Why::HostsAvoided));
            }
            Err(NoSlot::NoHost) => return Some(Err(Why::HostsFailed)),
            Err(NoSlot::Folder(error)) => {
                self.dispatch
                    .command
                    .say
                    .warn(format_args!("{}; can't distribute work", chain(&error)));
                return Some(Err(Why::NoFolder));
            }
        };
        if slot.is_here() {
            return Some(Ok(Place::Here(slot)));
        }
        let (index, probe) = candidates.swap_remove(slot.host_index());
        let host = &self.dispatch.list.hosts[index];
        if asked.elapsed() > NO_WAIT && probe.is_none() && self.avoided(host) {
            return None;
        }
        Some(Ok(Place::Host((slot, index, probe))))
    }

    /// The best free slot for a second copy, of the host at `only` in the list where it is given; does not wait.
    pub(super) fn take_beside(&self, only: Option<usize>) -> Option<Taken> {
        let mut candidates = self.elsewhere();
        candidates.retain(|(index, _)| only.is_none_or(|only| only == *index));
        let hosts = self.hosts(&candidates);
        let outlook = || self.outlook(&hosts, &self.work);
        let wish = Wish::of(&hosts, &outlook);
        let slot = Slots::new(self.folder).take_remote(&wish, &Patience::NONE);
        let slot = slot.ok()?;
        let (index, probe) = candidates.swap_remove(slot.host_index());
        Some((slot, index, probe))
    }

    /// The best slot that stands idle.
    pub(super) fn idle(&self) -> Option<Idle> {
        let candidates = self.elsewhere();
        let hosts = self.hosts(&candidates);
        let outlook = self.outlook(&hosts, &self.work);
        let again = || outlook.clone();
        let (place, number) = Slots::new(self.folder).idle(&Wish::of(&hosts, &again))?;
        Some(Idle {
            host: candidates[place].0,
            number,
            ms: outlook.ms(place, number),
        })
    }

    /// What is expected of `hosts` for `work`.
    pub(super) fn outlook(&self, hosts: &[&Host], work: &Work) -> Outlook {
        let keys = hosts.iter().map(|host| pace::host_key(host));
        Outlook::new(&self.paces, keys, work, self.clock.now())
    }

    fn hosts(&self, candidates: &[(usize, Option<ProbeGuard>)]) -> Vec<&Host> {
        let hosts = &self.dispatch.list.hosts;
        candidates.iter().map(|(index, _)| &hosts[*index]).collect()
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
    fn elsewhere(&self) -> Vec<(usize, Option<ProbeGuard>)> {
        let mut candidates = self.candidates();
        candidates.retain(|(index, probe)| {
            let host = &self.dispatch.list.hosts[*index];
            probe.is_none() && host.transport != Transport::Local
        });
        candidates
    }

    /// The hosts that may be tried now, by their place in the list.
    fn candidates(&self) -> Vec<(usize, Option<ProbeGuard>)> {
        let (now, id) = (SystemTime::now(), self.dispatch.about.id());
        let untried = self
            .dispatch
            .list
            .hosts
            .iter()
            .enumerate()
            .filter(|(index, host)| !host.down && !self.tried[*index]);
        untried
            .filter(|(_, host)| !self.dislikes.is_unfit(host, &id, now))
            .filter_map(|(index, host)| match self.dislikes.may_try(host, now) {
                Try::Yes => Some((index, None)),
                Try::YesAsProbe(guard) => Some((index, Some(guard))),
                Try::No { .. } => None,
            })
            .collect()
    }

    /// May a host be tried again that was left out of `hosts`?
    fn is_another_back(&self, hosts: &[&Host]) -> bool {
        let (now, id) = (SystemTime::now(), self.dispatch.about.id());
        let all = self.dispatch.list.hosts.iter().enumerate();
        let left_out = all.filter(|(index, host)| {
            let among = hosts.iter().any(|other| std::ptr::eq(*other, *host));
            !among && !host.down && !self.tried[*index]
        });
        left_out
            .filter(|(_, host)| !self.avoided(host))
            .any(|(_, host)| !self.dislikes.is_unfit(host, &id, now))
    }

    fn avoided(&self, host: &Host) -> bool {
        matches!(
            self.dislikes.may_try(host, SystemTime::now()),
            Try::No { .. }
        )
    }
}
