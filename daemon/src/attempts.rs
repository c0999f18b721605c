//! How often somebody may try a wrong key: addresses that did too often are closed before a byte of theirs is read.
//!
//! Each address has some tries, and gets one back every few seconds; only what failed counts. Knows nothing of sockets and keys.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that cost nothing.
const TRIES: u32 = 20;
/// The time after which one of them is forgotten.
const FORGET: Duration = Duration::from_secs(3);
/// Addresses that are remembered. With more, the one that was quiet for longest is forgotten.
const MAX_ADDRESSES: usize = 4096;

/// The failures of all addresses.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    addresses: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    /// When the last of them will be forgotten.
    until: Instant,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    MayTry,
    /// That was one too many.
    Closed,
}

impl Attempts {
    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// May somebody at `address` try?
    pub(crate) fn may_try(&self, address: IpAddr, now: Instant) -> bool {
        let addresses = self.addresses();
        let failures = addresses.get(&site(address));
        failures.is_none_or(|failures| failures.until <= now + FORGET * (TRIES - 1))
    }

    /// Somebody at `address` had no key that fits.
    pub(crate) fn failed(&self, address: IpAddr, now: Instant) -> Next {
        let mut addresses = self.addresses();
        let site = site(address);
        if addresses.len() >= MAX_ADDRESSES && !addresses.contains_key(&site) {
            addresses.retain(|_, failures| failures.until > now);
            if addresses.len() >= MAX_ADDRESSES {
                let quietest = addresses.iter().min_by_key(|(_, failures)| failures.until);
                let quietest = quietest.map(|(site, _)| *site);
                quietest.map(|site| addresses.remove(&site));
            }
        }
        let failures = addresses.entry(site).or_insert(Failures { until: now });
        let most = now + FORGET * TRIES;
        failures.until = (failures.until.max(now) + FORGET).min(most);
        if failures.until > now + FORGET * (TRIES - 1) {
            Next::Closed
        } else {
            Next::MayTry
        }
    }
}

/// Whose address it is: one who has an IPv6 address has 2^64 of them.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn so_many_failures_and_then_a_pause() {
        let attempts = Attempts::default();
        let (here, now) = (ip("10.0.0.1"), Instant::now());
        for _ in 1..TRIES {
            assert_eq!(attempts.failed(here, now), Next::MayTry);
            assert!(attempts.may_try(here, now));
        }
        assert_eq!(attempts.failed(here, now), Next::Closed);
        assert!(!attempts.may_try(here, now));
        assert!(attempts.may_try(ip("10.0.0.2"), now), "others may");
        // More of them do not make it longer than all are forgotten in.
        for _ in 0..1000 {
            attempts.failed(here, now);
        }
        let soon = now + FORGET;
        assert!(!attempts.may_try(here, soon - Duration::from_millis(1)));
        assert!(attempts.may_try(here, soon));
        assert_eq!(attempts.failed(here, soon), Next::Closed);
        let late = soon + FORGET * TRIES;
        assert_eq!(attempts.failed(here, late), Next::MayTry);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for n in 0..TRIES {
            attempts.failed(ip(&format!("2001:db8:0:1::{n}")), now);
        }
        assert!(!attempts.may_try(ip("2001:db8:0:1:8000::"), now));
        assert!(attempts.may_try(ip("2001:db8:0:2::1"), now));
        for _ in 0..TRIES {
            attempts.failed(ip("::ffff:10.0.0.1"), now);
        }
        assert!(!attempts.may_try(ip("10.0.0.1"), now) && attempts.may_try(ip("10.0.0.2"), now));
    }

    #[test]
    fn memory_of_addresses_is_bounded() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let greedy = ip("192.0.2.1");
        for _ in 0..TRIES {
            attempts.failed(greedy, now);
        }
        for n in 0..2 * MAX_ADDRESSES as u32 {
            attempts.failed(IpAddr::V4((0x0a00_0000 + n).into()), now);
        }
        assert_eq!(attempts.addresses().len(), MAX_ADDRESSES);
        assert!(
            !attempts.may_try(greedy, now),
            "the worst is remembered for longest"
        );
    }
}
