//! A launcher with its job: what it does at each step of the race.  This is what `launcher/src/trip.rs` does with sockets and
//! lock files.

use hosts::Backoff;
use hosts::Period;
use hosts::choice::{Hold as _, Pick, pick};
use hosts::pace::{Sign, here_key};
use hosts::race::{Copies, Idle, LegId, Race, SIGN_WITHIN, Step};

use crate::client::{Held, May, View, system_time};
use crate::world::{Event, World};
use crate::{LauncherNumber, LegNumber, Micros, SECOND, moment};

/// Where a launcher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Starting,
    Queued,
    Racing,
    LocalQueued,
    Local,
    Ending,
    Ended,
}

pub struct Launcher {
    pub client: usize,
    pub job: usize,
    pub place: Place,
    pub race: Race,
    pub tried: Vec<usize>,
    pub legs: Vec<LegNumber>,
    /// It had a second copy that counts.
    pub copied: bool,
    /// Since when it waits, when its source is preprocessed.
    pub since: Micros,
    pub prepared: Option<Micros>,
    /// Ends of waiting that were foreseen before the last step are none.
    pub version: u64,
    /// Free slots that it did not want, since when, and how long the job would have taken there.
    pub waits: Option<(Micros, f32)>,
}

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

/// How often the first in the queue looks while a slot is free, and how often he sees after everything else.
const POLL: Micros = 6_000;
const BEAT: Micros = 100_000;
/// From one first in the queue to the next.
const WAKE: Micros = 150;
const CONNECT_TIMEOUT: Micros = 3_000_000;
const IO_TIMEOUT: Micros = 300_000_000;

impl World {
    /// A job begins: its launcher is started.
    pub(crate) fn launch(&mut self, client: usize) {
        let build = &mut self.clients[client];
        if build.running >= build.build.width || build.started == build.build.jobs.len() {
            return;
        }
        let (job, more) = (build.started, build.build.spawn);
        build.started += 1;
        build.running += 1;
        let copies = match build.build.copies {
            true => Copies::Yes,
            false => Copies::No,
        };
        let ready = self.now + self.random.between(0.8, 1.2).mul_add(build.build.before as f64, 0.0) as Micros;
        let number = self.launchers.len();
        self.launchers.push(Launcher {
            client,
            job,
            place: Place::Starting,
            race: Race::new(copies),
            tried: Vec::new(),
            legs: Vec::new(),
            copied: false,
            since: self.now,
            prepared: None,
            version: 0,
            waits: None,
        });
        self.at(ready, Event::Step(number, 0));
        self.at(self.now + more, Event::Launch(client));
    }

    /// Does what the race says until that is waiting.
    pub(crate) fn step(&mut self, number: LauncherNumber) {
        loop {
            let now = moment(self.now);
            let launcher = &mut self.launchers[number];
            launcher.version += 1;
            match launcher.race.step(now) {
                Step::Queue => return self.queue(number),
                Step::Watch(until) => {
                    launcher.place = Place::Racing;
                    if until < hosts::pace::Moment::MAX {
                        let after = until.saturating_sub(now).max(1) * 1000;
                        let version = launcher.version;
                        self.at(self.now + after, Event::Step(number, version));
                    }
                    return;
                }
                Step::Look => {
                    let idle = self.idle(number);
                    self.launchers[number].race.looked(idle, now);
                }
                Step::Copy { host, counts } => self.copy(number, host, counts),
                Step::Sign(leg) => self.sign(number, leg),
                Step::Expect(leg) => self.expect(number, leg),
                Step::Note(leg, ms) => {
                    if let Some(leg) = self.leg(number, leg) {
                        self.note(leg, ms);
                    }
                }
            }
        }
    }

    fn leg(&self, launcher: LauncherNumber, id: LegId) -> Option<LegNumber> {
        let legs = self.launchers[launcher].legs.iter().copied();
        legs.into_iter().find(|leg| self.legs[*leg].id == id)
    }

    fn expect(&mut self, number: LauncherNumber, id: LegId) {
        let Some(leg) = self.leg(number, id) else { return };
        let Leg { host, number: slot, .. } = self.legs[leg];
        let launcher = &mut self.launchers[number];
        let client = &self.clients[launcher.client];
        let outlook = client.outlook(&client.work(launcher), self.now);
        let expected = outlook.expected(host, slot);
        launcher.race.expect(id, expected, outlook.best());
    }

    /// The host takes longer than `ms` for the job.
    fn note(&mut self, leg: LegNumber, ms: f32) {
        let Leg { launcher, host, .. } = self.legs[leg];
        let (client, job) = (self.launchers[launcher].client, self.launchers[launcher].job);
        let client = &self.clients[client];
        let work = client.build.jobs[job].work(true);
        client.paces.took_longer_than(client.keys[host], &work, ms, moment(self.now));
    }

    /// Waits its turn for a slot, or for one of this machine where no host may be tried.
    fn queue(&mut self, number: LauncherNumber) {
        let now = self.now;
        let launcher = &mut self.launchers[number];
        launcher.since = now;
        launcher.waits = None;
        let index = launcher.client;
        let client = &mut self.clients[index];
        let waits_here = launcher.place == Place::LocalQueued;
        if !client.has_candidate(&launcher.tried, now) {
            // Hosts may return before it is its turn.
            let version = launcher.version;
            launcher.place = Place::LocalQueued;
            if !waits_here {
                client.local_queue.push_back(number);
            }
            let again = now + self.random.below(3 * SECOND) + BEAT;
            self.at(again, Event::Step(number, version));
            return self.fill_local(index);
        }
        if waits_here {
            client.local_queue.retain(|other| *other != number);
        }
        launcher.place = Place::Queued;
        client.queue.push_back(number);
        if client.queue.len() == 1 {
            self.look_at(index, now);
        }
    }

    /// The first in the queue looks at the slots.
    pub(crate) fn look(&mut self, index: usize) {
        let Some(&number) = self.clients[index].queue.front() else {
            return;
        };
        let (launcher, client, now) = (&self.launchers[number], &self.clients[index], self.now);
        if !client.has_candidate(&launcher.tried, now) {
            self.leave_queue(index);
            return self.queue(number);
        }
        if client.free == 0 && !client.build.use_local {
            return self.look_at(index, now + BEAT);
        }
        let outlook = client.outlook(&client.work(launcher), now);
        let mut view = View {
            client,
            outlook: &outlook,
            rest: outlook.order(client.ranges(&launcher.tried, now)),
            seen: Vec::new(),
            now,
        };
        let Ok(picked) = pick(&mut view);
        if let Pick::Take(slot) = picked {
            let (host, slot) = view.seen[slot];
            let expected = outlook.ms(host, slot);
            self.leave_queue(index);
            self.begin(number, host, slot, expected);
            return self.step(number);
        }
        let busy = (0..view.seen.len()).filter_map(|slot| view.busy(slot));
        let soonest = hosts::choice::soonest(busy);
        let waits = picked == Pick::Wait;
        let free = view.seen.last().filter(|_| waits);
        let free = free.and_then(|(host, slot)| outlook.ms(*host, *slot));
        if self.here_instead(number, soonest) {
            return;
        }
        self.checks.waits(&mut self.launchers[number], free, now);
        self.look_at(index, now + if waits { POLL } else { BEAT });
    }

    /// The first leaves the queue, the next one looks.
    fn leave_queue(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.queue.pop_front();
        if !client.queue.is_empty() {
            // Waking and looking takes a moment.
            self.look_at(index, self.now + WAKE);
        }
    }

    /// Takes a slot of this machine where the job ends sooner than in `soonest` ms.
    fn here_instead(&mut self, number: LauncherNumber, soonest: Option<f32>) -> bool {
        let launcher = &self.launchers[number];
        let client = &self.clients[launcher.client];
        if !client.build.use_local || client.free_local().is_none() {
            return false;
        }
        let work = client.work(launcher);
        let outlook = hosts::Outlook::new(&client.paces, [here_key()], &work, moment(self.now));
        let sooner = match (outlook.ms(0, 0), soonest) {
            (Some(here), Some(there)) => here < there,
            _ => false,
        };
        if !sooner {
            return false;
        }
        let index = launcher.client;
        self.leave_queue(index);
        self.launchers[number].place = Place::LocalQueued;
        self.clients[index].local_queue.push_front(number);
        self.fill_local(index);
        true
    }

    /// A leg begins in a slot that is free.
    fn begin(&mut self, number: LauncherNumber, host: usize, slot: u32, expected: Option<f32>) {
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
        *place = Some(Held { leg, since: now, expected });
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
        self.at(self.now + CONNECT_TIMEOUT, Event::ConnectTimeout(leg));
    }

    pub(crate) fn connected(&mut self, leg: LegNumber) {
        let Leg { launcher, machine, id, .. } = self.legs[leg];
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
        let Leg { launcher, host, number, id, machine, .. } = self.legs[leg];
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

    fn idle(&self, number: LauncherNumber) -> Option<Idle> {
        let launcher = &self.launchers[number];
        let client = &self.clients[launcher.client];
        if !client.queue.is_empty() || client.free == 0 {
            return None;
        }
        let (host, number, ms) = self.free_slot(number, None)?;
        Some(Idle { host, number, ms })
    }

    /// The best free slot, of `host` if one is named.
    fn free_slot(&self, number: LauncherNumber, host: Option<usize>) -> Option<(usize, u32, Option<f32>)> {
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
        let free = |(host, number): &(usize, u32)| {
            client.slots[*host][*number as usize].is_none()
        };
        let (host, slot) = order.find(free)?;
        Some((host, slot, outlook.ms(host, slot)))
    }

    fn copy(&mut self, number: LauncherNumber, host: Option<usize>, counts: bool) {
        let now = moment(self.now);
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
                return launcher.race.refused(true, now);
            }
            launcher.copied = true;
            self.checks.copy(launcher.client, allowance);
        }
        self.begin(number, host, slot, expected);
    }

    fn sign(&mut self, number: LauncherNumber, id: LegId) {
        let now = moment(self.now);
        let Some(leg) = self.leg(number, id) else { return };
        let Leg { host, machine, sent, begun, .. } = self.legs[leg];
        let client = &self.clients[self.launchers[number].client];
        let since = moment(sent.unwrap_or(begun));
        let race = &mut self.launchers[number].race;
        match client.paces.sign(client.keys[host], since, now) {
            Sign::Alive { again } | Sign::Asked { again } => race.sign(id, again),
            Sign::Silent => self.blame(leg),
            Sign::Ask => {
                race.sign(id, now + SIGN_WITHIN + 1);
                let machine = &self.machines[machine];
                if machine.answers() && !machine.mute && !machine.refuses {
                    let answer = self.now + machine.nature.round_trip * 2;
                    self.at(answer, Event::Answers(leg));
                }
                self.at(self.now + SIGN_WITHIN * 1000, Event::Unanswered(leg, now));
            }
        }
    }

    pub(crate) fn answers(&mut self, leg: LegNumber) {
        let Leg { launcher, host, machine, id, .. } = self.legs[leg];
        let client = &self.clients[self.launchers[launcher].client];
        let machine = &self.machines[machine];
        let jobs = Some(machine.nature.jobs as u32);
        let now = moment(self.now);
        client.paces.answered(client.keys[host], jobs, Some(machine.load()), now);
        let race = &mut self.launchers[launcher].race;
        race.sign(id, now + hosts::race::SIGN_EVERY);
        self.step(launcher);
    }

    pub(crate) fn unanswered(&mut self, leg: LegNumber, asked: u64) {
        let Leg { launcher, host, .. } = self.legs[leg];
        let client = &self.clients[self.launchers[launcher].client];
        let now = moment(self.now);
        client.paces.was_silent(client.keys[host], asked, now);
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

    /// A reply that fits: the job is done.
    pub(crate) fn done(&mut self, leg: LegNumber) {
        let Leg { launcher: number, host, sent, in_use, .. } = self.legs[leg];
        let launcher = &self.launchers[number];
        let index = launcher.client;
        let ms = sent.map_or(0.0, |sent| (self.now - sent) as f32 / 1e3);
        let client = &mut self.clients[index];
        let work = client.build.jobs[launcher.job].work(true);
        client.paces.finished(client.keys[host], &work, ms, in_use, launcher.copied, moment(self.now));
        client.backoff[host] = None;
        self.checks.ends(index, launcher.copied);
        for leg in self.launchers[number].legs.clone() {
            self.close(leg, if self.legs[leg].host == host { End::Done } else { End::Lost });
        }
        self.end(number);
    }

    /// A leg is over: its slot is free, its compile ends.
    fn close(&mut self, leg: LegNumber, end: End) {
        let Leg { launcher: number, host, machine, number: slot, id, sent, .. } = self.legs[leg];
        self.checks.closes(&self.legs[leg], &self.machines[machine], self.now);
        self.legs[leg].open = false;
        let launcher = &mut self.launchers[number];
        launcher.legs.retain(|other| *other != leg);
        launcher.race.ended(id);
        let index = launcher.client;
        let client = &mut self.clients[index];
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

    /// Compiles here start, as far as there are slots.
    fn fill_local(&mut self, index: usize) {
        while let Some(slot) = self.clients[index].free_local() {
            let client = &mut self.clients[index];
            let Some(number) = client.local_queue.pop_front() else {
                return;
            };
            client.local[slot] = Some(number);
            let launcher = &mut self.launchers[number];
            launcher.place = Place::Local;
            launcher.version += 1;
            launcher.since = self.now;
            let work = client.build.jobs[launcher.job].work * client.build.local_pace;
            self.at(self.now + work as Micros, Event::LocalDone(number, slot));
        }
    }

    pub(crate) fn local_done(&mut self, number: LauncherNumber, slot: usize) {
        let launcher = &self.launchers[number];
        let index = launcher.client;
        let client = &mut self.clients[index];
        client.local[slot] = None;
        let work = client.build.jobs[launcher.job].work(true);
        let ms = (self.now - launcher.since) as f32 / 1e3;
        client.paces.finished(here_key(), &work, ms, 1, launcher.copied, moment(self.now));
        self.checks.ends(index, launcher.copied);
        self.checks.local += 1;
        self.end(number);
        self.fill_local(index);
    }

    fn end(&mut self, number: LauncherNumber) {
        let launcher = &mut self.launchers[number];
        launcher.place = Place::Ending;
        launcher.version += 1;
        let after = self.clients[launcher.client].build.after;
        self.at(self.now + after, Event::Ends(number));
    }
}
