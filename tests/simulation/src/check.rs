//! What must never happen, noted while it would happen.

use std::collections::VecDeque;

use hosts::race::{SIGN_EVERY, SIGN_WITHIN};

use crate::Micros;
use crate::client::{Held, May};
use crate::launcher::Launcher;
use crate::leg::{CONNECT_TIMEOUT, IO_TIMEOUT, Leg};
use crate::machine::Machine;

/// Counts, and the promises that are kept by panicking where they are broken.
#[derive(Debug, Default)]
pub struct Checks {
    /// Jobs that were compiled here.
    pub local: usize,
    /// Second copies that count.
    pub copies: usize,
    /// The last thousand ends and second copies of each client.
    windows: Vec<VecDeque<bool>>,
    /// The longest that a leg stayed with a silent host that can be asked.
    pub silent: Micros,
}

const WINDOW: usize = 1000;

impl Checks {
    fn window(&mut self, client: usize) -> &mut VecDeque<bool> {
        if self.windows.len() <= client {
            self.windows.resize_with(client + 1, VecDeque::new);
        }
        &mut self.windows[client]
    }

    fn push(&mut self, client: usize, copied: bool) -> usize {
        let window = self.window(client);
        window.push_back(copied);
        if window.len() > WINDOW {
            window.pop_front();
        }
        window.iter().filter(|copied| **copied).count()
    }

    /// A second copy begins.
    pub(crate) fn copy(&mut self, client: usize, allowance: u32) {
        self.copies += 1;
        let copies = self.push(client, true);
        let most = (WINDOW / 20).max(allowance as usize);
        assert!(copies <= most, "{copies} second copies among {WINDOW} jobs");
    }

    /// A job ends.
    pub(crate) fn ends(&mut self, client: usize, copied: bool) {
        if !copied {
            self.push(client, false);
        }
    }

    pub(crate) fn takes(&self, slot: &Option<Held>) {
        assert!(slot.is_none(), "a slot is taken that {slot:?} has");
    }

    pub(crate) fn asks(&self, may: May, tried: &[usize], host: usize) {
        assert!(may != May::No, "host {host} is asked before its time");
        assert!(
            !tried.contains(&host),
            "host {host} is asked again by the same job"
        );
    }

    /// The first in the queue leaves a slot alone in which the job would take `ms`.
    pub(crate) fn waits(&self, launcher: &mut Launcher, ms: Option<f32>, now: Micros) {
        launcher.waits = match (launcher.waits, ms) {
            (_, None) => None,
            (None, Some(ms)) => Some((now, ms)),
            (Some((since, least)), Some(ms)) => Some((since, least.min(ms))),
        };
        if let Some((since, ms)) = launcher.waits {
            let waited = (now - since) as f32 / 1e3;
            assert!(
                waited < 2.0 * ms + 1000.0,
                "waited {waited} ms beside a free slot for {ms} ms"
            );
        }
    }

    pub(crate) fn closes(&mut self, leg: &Leg, machine: &Machine, now: Micros) {
        let asked = machine.nature.ours && leg.connected;
        if let Some(since) = machine.silent_since.filter(|_| asked) {
            let silent = now - since.max(leg.begun);
            self.silent = self.silent.max(silent);
            // Who asks for all may be done meanwhile, and then another asks for a while, and perhaps a third.
            let most = SIGN_EVERY + SIGN_WITHIN + 1000;
            assert!(
                silent <= most * 1000,
                "{silent} us with a host that gave no sign of life"
            );
        }
        let since = leg.sent.unwrap_or(leg.begun);
        let most = if leg.connected {
            IO_TIMEOUT
        } else {
            CONNECT_TIMEOUT
        };
        assert!(
            leg.connected && leg.sent.is_none() || now - since <= most,
            "past its deadline"
        );
    }
}
