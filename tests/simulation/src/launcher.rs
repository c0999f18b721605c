//! A launcher with its job: what it does at each step of the race.  This is what `launcher/src/trip.rs` does with sockets and
//! lock files.

use hosts::choice::{Hold as _, Pick, pick};
use hosts::pace::here_key;
use hosts::race::{Copies, LegId, Race, Step};

use crate::client::View;
use crate::leg::Leg;
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

/// How often the first in the queue looks while a slot is free, and how often he sees after everything else.
const POLL: Micros = 6_000;
const BEAT: Micros = 100_000;
/// From one first in the queue to the next.
const WAKE: Micros = 150;

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
        let ready =
            self.now + (self.random.between(0.8, 1.2) * build.build.before as f64) as Micros;
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
                Step::GiveUp => self.no_copy(number),
                Step::Sign(leg) => self.sign(number, leg),
                Step::Leave(leg) => self.leave(number, leg),
                Step::Expect(leg) => self.expect(number, leg),
                Step::Note(leg, ms) => {
                    if let Some(leg) = self.leg(number, leg) {
                        self.note(leg, ms);
                    }
                }
            }
        }
    }

    pub(crate) fn leg(&self, launcher: LauncherNumber, id: LegId) -> Option<LegNumber> {
        let legs = self.launchers[launcher].legs.iter().copied();
        legs.into_iter().find(|leg| self.legs[*leg].id == id)
    }

    fn expect(&mut self, number: LauncherNumber, id: LegId) {
        let Some(leg) = self.leg(number, id) else {
            return;
        };
        let Leg {
            host, number: slot, ..
        } = self.legs[leg];
        let launcher = &mut self.launchers[number];
        let client = &self.clients[launcher.client];
        let outlook = client.outlook(&client.work(launcher), self.now);
        let expected = outlook.expected(host, slot);
        launcher.race.expect(id, expected, outlook.best());
    }

    /// The host takes longer than `ms` for the job.
    pub(crate) fn note(&mut self, leg: LegNumber, ms: f32) {
        let Leg { launcher, host, .. } = self.legs[leg];
        let (client, job) = (
            self.launchers[launcher].client,
            self.launchers[launcher].job,
        );
        let client = &self.clients[client];
        let work = client.build.jobs[job].work(true);
        client
            .paces
            .took_longer_than(client.keys[host], &work, ms, moment(self.now));
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
        client
            .paces
            .finished(here_key(), &work, ms, 1, launcher.copied, moment(self.now));
        self.checks.ends(index, launcher.copied);
        self.checks.local += 1;
        self.end(number);
        self.fill_local(index);
    }

    pub(crate) fn end(&mut self, number: LauncherNumber) {
        let launcher = &mut self.launchers[number];
        launcher.place = Place::Ending;
        launcher.version += 1;
        let after = self.clients[launcher.client].build.after;
        self.at(self.now + after, Event::Ends(number));
    }
}
