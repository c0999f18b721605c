//! One job to one host, or to several at once: gather what it is sent as, connect, send, take in what comes back.
//!
//! [`Dispatch::start`] sets a [`Leg`] out; [`Dispatch::watch`] goes on with all of them until one is over.  Knows nothing of which
//! host is next, of when a second one is asked, and of what a result is worth.

mod files;
mod leg;
mod text;
mod watch;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use compiler::Job;
use compiler::manner::{Manner, Trap};
use hosts::race::{CONNECT_PROBE, LegId};
use hosts::{Folder, HostList, Monitor, Phase, ProbeGuard, Slot, Transport};
use protocol::Outcome;

use crate::about::About;
use crate::driver::Command;
use crate::here::Why;
use crate::os::{self, Leftover};
use crate::peer::{Peer, Question};
use crate::pump::Files;
use crate::tokens::Lender;
use crate::wire::{Connecting, Exchange, Link, Patience, Traffic, WireError};
use leg::{Gathered, Stage};
use text::{NotSent, Text};

pub(crate) use leg::{Leg, Progress};
pub(crate) use watch::Event;

/// How long one who tries a host that had failed waits for the connection.
const PROBE: Duration = Duration::from_millis(CONNECT_PROBE);

/// A job with what is ready of it to send.
pub(crate) struct Dispatch<'a> {
    pub command: &'a Command<'a>,
    pub about: &'a About,
    pub job: &'a Job<'a>,
    pub list: &'a HostList,
    /// The source as it was preprocessed last, once a host wanted that; kept from host to host.
    pub text: Option<Rc<RefCell<Text>>>,
    /// The source's files as they were last wanted.
    files: Option<Rc<Files>>,
    /// Why a host that takes files was not given any.
    pub not_pumped: Option<&'static str>,
    /// Manners that would make something else of this source.
    trapped: Vec<(Manner, Trap)>,
    /// The right to preprocess here, while the preprocessor is at work.
    cpp_slot: Option<Slot>,
    /// Lends the build tool's token while a host has the job.
    pub lender: Option<Lender>,
    /// Bytes over all hosts.
    pub traffic: Rc<Traffic>,
    folder: &'a Folder,
    /// What monitors see, and its removal should a signal end us.
    monitor: Option<(Monitor, Option<Leftover>)>,
    /// When that was written last.
    shown: Instant,
}

/// Why a leg ended without an outcome.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The host's doing.
    Wire(WireError),
    /// The host has another compiler.
    Unfit,
    /// This host does not take such jobs; another may.
    NotThere(Why),
    /// Nothing that another host could mend.
    Here(Why),
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Stop {
        Stop::Wire(error)
    }
}

impl<'a> Dispatch<'a> {
    pub(crate) fn new(
        command: &'a Command<'a>,
        about: &'a About,
        job: &'a Job<'a>,
        list: &'a HostList,
        folder: &'a Folder,
    ) -> Dispatch<'a> {
        let lendable = command.settings.lendable();
        Dispatch {
            lender: lendable.and_then(|(jobserver, folder)| Lender::open(jobserver, folder)),
            command,
            about,
            job,
            list,
            text: None,
            files: None,
            not_pumped: None,
            trapped: Vec::new(),
            cpp_slot: None,
            traffic: Rc::default(),
            folder,
            monitor: None,
            shown: Instant::now(),
        }
    }

    /// Sets the job out to the host at `index` of the list.  Waits for nothing but this machine: for the preprocessor to be started,
    /// and for the include server.  What is in the way, [`Dispatch::watch`] tells.
    pub(crate) fn start(
        &mut self,
        id: LegId,
        index: usize,
        slot: Slot,
        probe: Option<ProbeGuard>,
    ) -> Leg {
        let host = &self.list.hosts[index];
        let settings = self.command.settings;
        let known = Peer::recall(host, settings.folder.as_deref());
        let mut leg = Leg {
            index,
            slot,
            probe,
            begun: Instant::now(),
            set_out: Instant::now(),
            unreached: false,
            id,
            sent: None,
            beside: false,
            told: Progress::Begun,
            stage: Stage::Stopped(None),
            peer: Peer::stock(),
            whole_tree: false,
            gathered: None,
        };
        match known {
            Some(peer) => {
                leg.peer = peer;
                if let Err(stop) = self.choose(&mut leg) {
                    leg.stage = Stage::Stopped(Some(stop));
                }
            }
            None => {
                self.show(Phase::Connect, host.short_name(), leg.slot.number());
                let question = match leg.probe {
                    Some(_) => Question::put(host, settings).connecting_within(PROBE),
                    None => Question::put(host, settings),
                };
                leg.stage = Stage::Asking(Box::new(question));
            }
        }
        leg
    }

    /// Goes on with `leg` as far as it gets without waiting for the host; its outcome, once that is whole.
    fn advance(&mut self, leg: &mut Leg, now: Instant) -> Result<Option<Outcome>, Stop> {
        let advanced = self.step(leg, now);
        if matches!(advanced, Err(Stop::Wire(_))) && leg.wants_ours() {
            // Perhaps another daemon listens there by now.
            self.forget_peer(leg.index);
        }
        advanced
    }

    fn step(&mut self, leg: &mut Leg, now: Instant) -> Result<Option<Outcome>, Stop> {
        loop {
            match &mut leg.stage {
                Stage::Asking(question) => {
                    let Some(greeting) = question.advance(now) else {
                        return Ok(None);
                    };
                    let folder = self.command.settings.folder.as_deref();
                    leg.peer = Peer::learn(&self.list.hosts[leg.index], folder, greeting)?;
                    self.choose(leg)?;
                }
                Stage::Connecting(connecting) => {
                    let Some(link) = connecting.advance(now)? else {
                        return Ok(None);
                    };
                    self.send(leg, link)?;
                }
                Stage::Underway(exchange) => {
                    let sending = !exchange.is_sent();
                    let outcome = exchange.advance(now)?;
                    if sending && exchange.is_sent() {
                        leg.sent = Some(Instant::now());
                        self.phase(leg, Phase::Compile);
                    }
                    let Some(outcome) = outcome else {
                        return Ok(None);
                    };
                    if !self.wants_more_files(leg, &outcome)? {
                        return Ok(Some(outcome));
                    }
                }
                Stage::Stopped(stop) => return stop.take().map_or(Ok(None), Err),
            }
        }
    }

    /// Gathers what the leg's daemon takes, in the best manner that the source allows, and sets out for it.
    fn choose(&mut self, leg: &mut Leg) -> Result<(), Stop> {
        let remote = self.about.remote.as_encoded_bytes();
        if leg.peer.has(remote, &self.about.ident, &self.about.triple) == Some(false) {
            return Err(Stop::Unfit);
        }
        let brings_files = self.list.hosts[leg.index].cpp && self.may_bring_files(&leg.peer);
        if brings_files && self.choose_files(leg)? {
            return Ok(());
        }
        self.choose_text(leg)
    }

    /// Sets out for the leg's host, with what is gathered.
    fn connect(&mut self, leg: &mut Leg) -> Result<(), Stop> {
        let host = &self.list.hosts[leg.index];
        self.show(Phase::Connect, host.short_name(), leg.slot.number());
        let traffic = Rc::clone(&self.traffic);
        leg.set_out = Instant::now();
        let connecting = Connecting::begin(host, self.command.settings, traffic)?;
        leg.stage = Stage::Connecting(match leg.probe {
            Some(_) => connecting.within(PROBE),
            None => connecting,
        });
        Ok(())
    }

    /// Sends what is gathered.
    fn send(&mut self, leg: &mut Leg, link: Link) -> Result<(), Stop> {
        self.phase(leg, Phase::Send);
        let exchange: Exchange = match leg.gathered.clone() {
            Some(Gathered::Files(files)) => self.send_files(leg, &files, link)?,
            Some(Gathered::Text(text)) => match self.send_text(leg, &text, link) {
                Ok(exchange) => exchange,
                Err(NotSent::Stop(stop)) => return Err(stop),
                Err(NotSent::Trap(trap)) => {
                    let manner = text.borrow().manner;
                    let sentence = trap.sentence();
                    self.command.say.info(format_args!("{sentence}"));
                    self.trapped.push((manner, trap));
                    return self.choose_text(leg);
                }
            },
            None => return Err(Stop::Here(Why::Unreadable)),
        };
        leg.stage = Stage::Underway(Box::new(exchange));
        Ok(())
    }

    /// How long the leg's host may be silent.
    fn patience(&self, leg: &Leg) -> Patience {
        let host = &self.list.hosts[leg.index];
        // A program has to reach the host first.
        let direct = matches!(host.transport, Transport::Tcp { .. });
        Patience::new(self.command.settings, leg.peer.ours && direct)
    }

    fn forget_peer(&self, index: usize) {
        if let Some(folder) = &self.command.settings.folder {
            Peer::forget(&self.list.hosts[index], folder);
        }
    }

    /// Shows monitors what becomes of the job.
    fn show(&mut self, phase: Phase, host: &str, slot: u32) {
        let name = compiler::names::base(self.job.source().as_encoded_bytes());
        let folder = self.folder;
        let (monitor, leftover) = self
            .monitor
            .get_or_insert_with(|| (Monitor::new(folder), None));
        monitor.note(phase, name, host, slot);
        if leftover.is_none() {
            *leftover = monitor
                .path()
                .and_then(|path| os::remove_on_signal(path).ok());
        }
        self.shown = Instant::now();
    }

    /// Shows that the leg is in another phase.
    fn phase(&mut self, leg: &Leg, phase: Phase) {
        let host = &self.list.hosts[leg.index];
        self.show(phase, host.short_name(), leg.slot.number());
    }

    fn show_again(&mut self) {
        if let Some((monitor, _)) = &mut self.monitor {
            monitor.refresh();
        }
        self.shown = Instant::now();
    }

    /// No host has the job just now: monitors see nothing of it, and it holds no slot. A preprocessor that is still at work may have had one of
    /// those that compiles here wait for, this one's among them.
    pub(crate) fn rest(&mut self) {
        self.monitor = None;
        self.cpp_slot = None;
    }
}
