//! The daemons that are there now, as far as their announcements make sense.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};

use hosts::found::{MAX_ADDRESSES, MAX_FOUND, plain_name};
use hosts::{Found, Kind};
use mdns_sd::ResolvedService;
use protocol::zeroconf::Announced;

use crate::compiler::Mine;

/// Slots where an announcement names no number: stock's default.
const SLOTS: u32 = 4;
/// Who claims to do more at once is not believed in anything.
const MOST_SLOTS: u32 = 512;

/// Daemons by their full names.
pub(crate) struct Table {
    service: String,
    mine: Mine,
    daemons: BTreeMap<String, Daemon>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Daemon {
    port: u16,
    addresses: Vec<IpAddr>,
    said: Announced,
}

impl Table {
    /// Of the service with this full name.
    pub(crate) fn new(service: &str, mine: Mine) -> Table {
        Table {
            service: service.to_owned(),
            mine,
            daemons: BTreeMap::new(),
        }
    }

    /// Takes in an announcement; true if it changed something.
    pub(crate) fn add(&mut self, service: &ResolvedService) -> bool {
        let text = service.get_properties();
        let said = Announced::read(|name| text.get_property_val(name).flatten());
        let addresses = service.get_addresses().iter();
        let addresses = addresses.map(|address| address.to_ip_addr()).collect();
        self.enter(service.get_fullname(), service.get_port(), addresses, said)
    }

    fn enter(
        &mut self,
        name: &str,
        port: u16,
        mut addresses: Vec<IpAddr>,
        said: Announced,
    ) -> bool {
        // What needs no interface's name first, and the older family.
        addresses.sort_by_key(|one| (is_link_local(*one), one.is_ipv6(), *one));
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        let daemon = Daemon {
            port,
            addresses,
            said,
        };
        let known = self.daemons.get(name);
        if port == 0 || daemon.slots() > MOST_SLOTS {
            return self.remove(name);
        }
        if known == Some(&daemon) || known.is_none() && self.daemons.len() >= MAX_FOUND {
            return false;
        }
        self.daemons.insert(name.to_owned(), daemon);
        true
    }

    /// Forgets a daemon; true if it was known.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.daemons.remove(name).is_some()
    }

    /// All of them, in the order of their names.
    pub(crate) fn found(&self) -> Vec<Found> {
        let own_name = |name: &str| {
            let own = name.strip_suffix(&self.service);
            plain_name(own.unwrap_or(name).trim_end_matches('.'))
        };
        let all = self.daemons.iter();
        all.map(|(name, daemon)| Found {
            kind: match daemon.addresses.iter().any(|one| is_ours(*one)) {
                true => Kind::Ourselves,
                false => self.mine.fits(&daemon.said),
            },
            keyed: daemon.said.keys,
            port: daemon.port,
            slots: daemon.slots(),
            name: own_name(name),
            addresses: daemon.addresses.clone(),
        })
        .collect()
    }
}

impl Daemon {
    fn slots(&self) -> u32 {
        self.said.jobs.or(self.said.cpus).unwrap_or(SLOTS)
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Only addresses of this machine can be bound.
fn is_ours(address: IpAddr) -> bool {
    let meant = !address.is_unspecified() && !address.is_multicast() && !is_link_local(address);
    meant && (address.is_loopback() || UdpSocket::bind((address, 0)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "_distcc._tcp.local.";

    fn table() -> Table {
        Table::new(SERVICE, Mine::of("x86_64-linux-gnu", "12"))
    }

    fn said(jobs: Option<u32>, cpus: Option<u32>) -> Announced {
        Announced {
            jobs,
            cpus,
            cc_machine: Some("x86_64-linux-gnu".to_owned()),
            cc_version: Some("12".to_owned()),
            ..Announced::default()
        }
    }

    fn addresses(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn daemons_come_and_go() {
        let mut table = table();
        let name = format!("distcc@farm.{SERVICE}");
        let there = addresses(&["fe80::1", "2001:db8::2", "203.0.113.77"]);
        assert!(table.enter(&name, 3632, there.clone(), said(Some(5), Some(2))));
        assert!(!table.enter(&name, 3632, there.clone(), said(Some(5), Some(2))));
        let one = Found {
            kind: Kind::Fits,
            keyed: false,
            port: 3632,
            slots: 5,
            name: "distcc@farm".to_owned(),
            addresses: addresses(&["203.0.113.77", "2001:db8::2", "fe80::1"]),
        };
        assert_eq!(table.found(), std::slice::from_ref(&one));
        assert!(table.enter(&name, 3632, there.clone(), said(None, Some(2))));
        assert_eq!(
            table.found(),
            [Found {
                slots: 2,
                ..one.clone()
            }]
        );
        assert!(table.enter(&name, 3632, there, said(None, None)));
        assert_eq!(table.found(), [Found { slots: 4, ..one }]);
        assert!(table.remove(&name) && !table.remove(&name));
        assert_eq!(table.found(), []);
    }

    #[test]
    fn this_machine_is_told_from_others() {
        let mut table = table();
        for (name, address) in [("a", "127.0.0.1"), ("b", "127.0.0.2"), ("c", "::1")] {
            assert!(table.enter(name, 3632, addresses(&[address]), said(Some(5), None)));
        }
        assert!(table.found().iter().all(|one| one.kind == Kind::Ourselves));
    }

    #[test]
    fn nonsense_is_passed_over() {
        let mut table = table();
        let there = addresses(&["203.0.113.77"]);
        assert!(!table.enter("a", 0, there.clone(), said(Some(5), None)));
        assert!(!table.enter("a", 3632, there.clone(), said(Some(513), None)));
        assert!(!table.enter("a", 3632, there.clone(), said(None, Some(4_000_000))));
        assert_eq!(table.found(), []);
        assert!(table.enter(
            "\x1b]0;title\x07 \u{e4}",
            3632,
            there.clone(),
            said(Some(5), None)
        ));
        assert_eq!(table.found()[0].name, "?]0;title???");
        // One that was well and talks nonsense now is gone.
        assert!(table.enter("a", 3632, there.clone(), said(Some(5), None)));
        assert!(table.enter("a", 3632, there.clone(), said(Some(513), None)));
        assert_eq!(table.found().len(), 1);
        for at in 0..1000 {
            table.enter(&format!("n{at}"), 3632, there.clone(), said(Some(5), None));
        }
        assert_eq!(table.found().len(), MAX_FOUND);
    }
}
