//! A job at one host: from the slot to the reply, or to whatever is in the way.

use hosts::Backoff;
use hosts::Period;
use hosts::pace::Sign;
use hosts::race::{CONNECT_PROBE, Idle, LegId};

use crate::client::{Held, May, system_time};
use crate::world::{Event, World};
use crate::{LauncherNumber, LegNumber, Micros, moment};

/// A job on its way to one host.
pub struct Leg {
    pub launcher: LauncherNumber,
    pub id: LegId,
    /// The host's place in the client's list, its machine, the slot.
    pub host: usize,
    pub machine: usize,
    pub number: u32,
    pub begun: Micros,
    pub connected: bool,
    pub sent: Option<Micros>,
    /// When its launcher asked for a sign of life that has not come yet.
    pub asked: Option<u64>,
    pub open: bool,
    pub in_use: u32,
}

/// Why a leg is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Done,
    Lost,
    Failed,
}

pub(crate) const CONNECT_TIMEOUT: Micros = 2_000_000;
pub(crate) const IO_TIMEOUT: Micros = 300_000_000;

impl World {
    /// A leg begins in a slot that is free.
    pub(crate) fn begin(
        &mut self,
        number: LauncherNumber,
        host: usize,
        slot: u32,
        expected: Option<f32>,
    ) {
        let now = self.now;
        let launcher = &mut self.launchers[number];
        let index = launcher.client;
        let client = &mut self.clients[index];
        let leg = self.legs.len();
        let may = client.may_try(host, now);
        self.checks.asks(may, &launcher.tried, host);
        if may == May::Probe {
            client.probing[host] = Some(leg);
        }
        let place = &mut client.slots[host][slot as usize];
        self.checks.takes(place);
        *place = Some(Held {
            leg,
            since: now,
            expected,
        });
        client.free -= 1;
        launcher.tried.push(host);
        launcher.legs.push(leg);
        launcher.waits = None;
        let id = launcher.race.started(moment(now));
        let prepare = self.random.between(0.7, 1.3) * client.build.prepare as f64;
        launcher.prepared.get_or_insert(now + prepare as Micros);
        let machine = client.build.hosts[host].0;
        self.legs.push(Leg {
            launcher: number,
            id,
            host,
            machine,
            number: slot,
            begun: now,
            connected: false,
            sent: None,
            asked: None,
            open: true,
            in_use: client.in_use(host),
        });
        self.connect(leg);
    }

    fn connect(&mut self, leg: LegNumber) {
        let machine = &self.machines[self.legs[leg].machine];
        let soon = self.now + machine.nature.round_trip;
        match machine.life {
            _ if machine.refuses => self.at(soon, Event::Refused(leg)),
            crate::machine::Life::Down => self.at(soon, Event::Refused(leg)),
            crate::machine::Life::Cut => {}
            _ => self.at(soon, Event::Connected(leg)),
        }
        let Leg { launcher, host, .. } = self.legs[leg];
        let client = &self.clients[self.launchers[launcher].client];
        let patience = match client.probing[host] == Some(leg) {
            true => CONNECT_PROBE * 1000,
            false => CONNECT_TIMEOUT,
        };
        self.at(self.now + patience, Event::ConnectTimeout(leg));
    }

    pub(crate) fn connected(&mut self, leg: LegNumber) {
        let Leg {
            launcher,
            machine,
            id,
            ..
        } = self.legs[leg];
        self.legs[leg].connected = true;
        let ours = self.machines[machine].nature.ours;
        let runner = &mut self.launchers[launcher];
        runner.race.connected(id, ours, moment(self.now));
        let bytes = self.clients[runner.client].build.jobs[runner.job].bytes;
        let takes = self.machines[machine].nature.per_kib * bytes as f64 / 1024.0;
        let ready = runner.prepared.unwrap_or(self.now).max(self.now);
        self.at(ready + takes as Micros, Event::Sent(leg));
        self.step(launcher);
    }

    /// All was sent; the daemon gets it, if it gets anything.
    pub(crate) fn sent(&mut self, leg: LegNumber) {
        let Leg {
            launcher,
            host,
            number,
            id,
            machine,
            ..
        } = self.legs[leg];
        let runner = &mut self.launchers[launcher];
        let client = &self.clients[runner.client];
        let outlook = client.outlook(&client.work(runner), self.now);
        let expected = outlook.expected(host, number);
        self.legs[leg].sent = Some(self.now);
        let ours = self.machines[machine].nature.ours;
        runner.race.sent(id, expected, ours, moment(self.now));
        let arrives = self.now + self.machines[machine].nature.round_trip / 2;
        self.at(arrives, Event::Arrives(leg));
        self.at(self.now + IO_TIMEOUT, Event::IoTimeout(leg));
        self.step(launcher);
    }

    pub(crate) fn idle(&self, number: LauncherNumber) -> Option<Idle> {
        let launcher = &self.launchers[number];
        let client = &self.clients[launcher.client];
        if !client.queue.is_empty() || client.free == 0 {
            return None;
        }
        let (host, number, ms) = self.free_slot(number, None)?;
        Some(Idle { host, number, ms })
    }

    /// The best free slot, of `host` if one is named.
    fn free_slot(
        &self,
        number: LauncherNumber,
        host: Option<usize>,
    ) -> Option<(usize, u32, Option<f32>)> {
        let launcher = &self.launchers[number];
        let client = &self.clients[launcher.client];
        let mut ranges = client.ranges(&launcher.tried, self.now);
        for (other, range) in ranges.iter_mut().enumerate() {
            if host.is_some_and(|host| host != other) {
                *range = 0..0;
            }
        }
        let outlook = client.outlook(&client.work(launcher), self.now);
        let mut order = outlook.order(ranges);
        let free = |(host, number): &(usize, u32)| client.slots[*host][*number as usize].is_none();
        let (host, slot) = order.find(free)?;
        Some((host, slot, outlook.ms(host, slot)))
    }

    pub(crate) fn copy(&mut self, number: LauncherNumber, host: Option<usize>, counts: bool) {
        let now = moment(self.now);
        let legs = &self.launchers[number].legs;
        let long = legs.len() > 1 && legs.iter().any(|leg| self.lives(*leg));
        if self.is_nowhere_else(number) || counts && long {
            return self.no_copy(number);
        }
        let free = match self.clients[self.launchers[number].client].free {
            0 => None,
            _ => self.free_slot(number, host),
        };
        let Some((host, slot, expected)) = free else {
            return self.launchers[number].race.refused(false, now);
        };
        let launcher = &mut self.launchers[number];
        let client = &self.clients[launcher.client];
        if counts {
            let allowance = client.allowance();
            if !client.paces.begin_copy(allowance) {
                return self.no_copy(number);
            }
            launcher.copied = true;
            self.checks.copy(launcher.client, allowance);
        }
        self.begin(number, host, slot, expected);
    }

    fn is_nowhere_else(&self, number: LauncherNumber) -> bool {
        let launcher = &self.launchers[number];
        let client = &self.clients[launcher.client];
        let hosts = 0..client.build.hosts.len();
        let mut others = hosts.filter(|host| !launcher.tried.contains(host));
        !others.any(|host| client.may_try(host, self.now) == May::Yes)
    }

    /// Has the leg's host done anything since it had the job?
    fn lives(&self, leg: LegNumber) -> bool {
        let leg = &self.legs[leg];
        let client = &self.clients[self.launchers[leg.launcher].client];
        let row = client.paces.host(client.keys[leg.host], moment(self.now));
        let ours = self.machines[leg.machine].nature.ours;
        ours || leg
            .sent
            .is_some_and(|sent| row.lives_since(system_time(sent)))
    }

    /// There may be no second copy: what is as good as lost ends where its host has done nothing since.
    pub(crate) fn no_copy(&mut self, number: LauncherNumber) {
        let now = moment(self.now);
        let race = &mut self.launchers[number].race;
        race.refused(true, now);
        for id in race.lost(now) {
            let leg = self.leg(number, id).filter(|leg| !self.lives(*leg));
            if let Some(leg) = leg {
                self.blame(leg);
            }
        }
    }

    pub(crate) fn sign(&mut self, number: LauncherNumber, id: LegId) {
        let now = moment(self.now);
        let Some(leg) = self.leg(number, id) else {
            return;
        };
        let Leg {
            host,
            machine,
            sent,
            begun,
            ..
        } = self.legs[leg];
        let client = &self.clients[self.launchers[number].client];
        let since = moment(sent.unwrap_or(begun));
        let race = &mut self.launchers[number].race;
        match client.paces.sign(client.keys[host], since, now) {
            Sign::Alive { again } | Sign::Asked { again } => race.sign(id, again),
            Sign::Silent => self.blame(leg),
            Sign::Ask { within } => {
                race.sign(id, now + within + 1);
                self.legs[leg].asked = Some(now);
                let machine = &self.machines[machine];
                if machine.answers() && !machine.mute && !machine.refuses {
                    let answer = self.now + machine.nature.round_trip * 2;
                    self.at(answer, Event::Answers(leg));
                }
                self.at(self.now + within * 1000, Event::Unanswered(leg, now));
            }
        }
    }

    pub(crate) fn answers(&mut self, leg: LegNumber) {
        self.legs[leg].asked = None;
        let Leg {
            launcher,
            host,
            machine,
            id,
            ..
        } = self.legs[leg];
        let client = &self.clients[self.launchers[launcher].client];
        let machine = &self.machines[machine];
        let jobs = Some(machine.nature.jobs as u32);
        let now = moment(self.now);
        client
            .paces
            .answered(client.keys[host], jobs, Some(machine.load()), now);
        let race = &mut self.launchers[launcher].race;
        race.sign(id, now + hosts::race::SIGN_EVERY);
        self.step(launcher);
    }

    pub(crate) fn unanswered(&mut self, leg: LegNumber, asked: u64) {
        let Leg { launcher, host, .. } = self.legs[leg];
        let client = &self.clients[self.launchers[launcher].client];
        let now = moment(self.now);
        client.paces.was_silent(client.keys[host], asked, now);
        self.legs[leg].asked = None;
        self.step(launcher);
    }

    /// The host did not do its part; the job goes on.
    pub(crate) fn fail(&mut self, leg: LegNumber) {
        self.blame(leg);
        self.step(self.legs[leg].launcher);
    }

    /// The leg is over, its host avoided for a while.
    fn blame(&mut self, leg: LegNumber) {
        let Leg { launcher, host, .. } = self.legs[leg];
        let time = system_time(self.now);
        let client = &mut self.clients[self.launchers[launcher].client];
        if let Some(after) = Backoff::after(client.backoff[host], Period::Growing, time) {
            client.backoff[host] = Some(after);
        }
        self.close(leg, End::Failed);
    }

    /// Another host was reached first.
    pub(crate) fn leave(&mut self, number: LauncherNumber, id: LegId) {
        match self.leg(number, id) {
            Some(leg) => self.close(leg, End::Lost),
            None => self.launchers[number].race.ended(id),
        }
    }

    /// A reply that fits: the job is done.
    pub(crate) fn done(&mut self, leg: LegNumber) {
        let Leg {
            launcher: number,
            host,
            sent,
            in_use,
            ..
        } = self.legs[leg];
        let launcher = &self.launchers[number];
        let index = launcher.client;
        let ms = sent.map_or(0.0, |sent| (self.now - sent) as f32 / 1e3);
        let client = &mut self.clients[index];
        let work = client.build.jobs[launcher.job].work(true);
        client.paces.finished(
            client.keys[host],
            &work,
            ms,
            in_use,
            launcher.copied,
            moment(self.now),
        );
        client.backoff[host] = None;
        self.checks.ends(index, launcher.copied);
        for leg in self.launchers[number].legs.clone() {
            self.close(
                leg,
                if self.legs[leg].host == host {
                    End::Done
                } else {
                    End::Lost
                },
            );
        }
        self.end(number);
    }

    /// A leg is over: its slot is free, its compile ends.
    fn close(&mut self, leg: LegNumber, end: End) {
        let Leg {
            launcher: number,
            host,
            machine,
            number: slot,
            id,
            sent,
            ..
        } = self.legs[leg];
        self.checks
            .closes(&self.legs[leg], &self.machines[machine], self.now);
        self.legs[leg].open = false;
        let asked = self.legs[leg].asked;
        let launcher = &mut self.launchers[number];
        launcher.legs.retain(|other| *other != leg);
        launcher.race.ended(id);
        let index = launcher.client;
        let client = &mut self.clients[index];
        if let Some(asked) = asked {
            let now = moment(self.now);
            client.paces.stopped_asking(client.keys[host], asked, now);
        }
        client.slots[host][slot as usize] = None;
        client.free += 1;
        if client.probing[host] == Some(leg) {
            client.probing[host] = None;
        }
        if !client.queue.is_empty() {
            let poll = self.random.below(3_000);
            self.look_at(index, self.now + poll);
        }
        if end != End::Done {
            if let (End::Lost, Some(sent)) = (end, sent) {
                self.note(leg, (self.now - sent) as f32 / 1e3);
            }
            let arrives = self.now + self.machines[machine].nature.round_trip / 2;
            self.at(arrives, Event::Closed(leg));
        }
    }
}
